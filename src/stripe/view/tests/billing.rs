use serde_json::json;

use super::{check, check_field};
use crate::stripe::view::Family;

#[test]
fn a_customer() {
    check(
        Family::Customer,
        &json!({
            "id": "cus_1", "object": "customer", "email": "ada@example.com", "name": "Ada", "phone": "1",
            "preferred_locales": ["de-AT", "en"], "delinquent": false, "currency": "EUR", "created": 5,
        }),
        &json!({
            "email": "ada@example.com", "name": "Ada", "preferred_locale": "de-AT", "delinquent": false,
            "currency": "eur", "created": 5
        }),
    );
    check(
        Family::Customer,
        &json!({"email": null, "name": null, "currency": null, "delinquent": null}),
        &json!({"email": null, "name": null, "currency": null, "delinquent": null}),
    );
    check(
        Family::Customer,
        &json!({"id": "cus_1", "object": "customer", "deleted": true}),
        &json!({"deleted": true}),
    );
    for (locales, expected) in [
        (json!([]), Some(json!(null))),
        (json!(null), Some(json!(null))),
        (json!([7, "fr"]), Some(json!("fr"))),
        (json!("fr"), None),
    ] {
        let object = json!({"preferred_locales": locales});
        check_field(
            Family::Customer,
            &object,
            "preferred_locale",
            expected.as_ref(),
        );
    }
}

#[test]
fn a_subscription_before_and_after_its_periods_moved() {
    let whole = json!({
        "customer": {"id": "cus_1", "object": "customer"}, "status": "active", "cancel_at": null,
        "cancel_at_period_end": false, "canceled_at": null, "ended_at": null, "trial_end": 9,
        "latest_invoice": {"id": "in_1", "object": "invoice"}, "default_payment_method": null,
        "currency": "usd", "created": 1, "collection_method": "charge_automatically",
        "test_clock": {"id": "clock_1", "object": "test_helpers.test_clock"},
    });
    let mut expected = json!({
        "customer": "cus_1", "status": "active", "cancel_at": null, "cancel_at_period_end": false,
        "canceled_at": null, "ended_at": null, "trial_end": 9, "latest_invoice": "in_1",
        "default_payment_method": null, "currency": "usd", "created": 1,
        "collection_method": "charge_automatically", "test_clock": "clock_1",
    });
    check(Family::Subscription, &whole, &expected);

    let mut old = whole.clone();
    old["current_period_start"] = json!(100);
    old["current_period_end"] = json!(200);
    old["plan"] = json!({"id": "plan_old", "product": "prod_old"});
    let mut seen = expected.clone();
    for (field, value) in [
        ("current_period_start", json!(100)),
        ("current_period_end", json!(200)),
        ("plan", json!("plan_old")),
        ("product", json!("prod_old")),
    ] {
        seen[field] = value;
    }
    check(Family::Subscription, &old, &seen);

    let items = json!({"data": [
        {"price": {"id": "price_1", "product": "prod_1"}, "current_period_start": 120, "current_period_end": 180},
        {"price": {"id": "price_2", "product": {"id": "prod_2"}}, "current_period_start": 110, "current_period_end": 190},
        {"price": {"id": "price_3"}, "current_period_start": null}
    ]});
    let mut new = whole;
    new["items"] = items.clone();
    for (field, value) in [
        ("current_period_start", json!(110)),
        ("current_period_end", json!(190)),
        ("plan", json!("price_1")),
        ("product", json!("prod_1")),
        ("period_amount", json!(null)),
    ] {
        expected[field] = value;
    }
    check(Family::Subscription, &new, &expected);

    // Both: the period of the whole stands, and so does the price of the first item.
    old["items"] = items;
    seen["plan"] = json!("price_1");
    seen["product"] = json!("prod_1");
    seen["period_amount"] = json!(null);
    check(Family::Subscription, &old, &seen);
}

#[test]
fn a_subscriptions_period_may_be_null_or_missing() {
    for (object, expected) in [
        (
            json!({"items": {"data": [{"current_period_end": null}]}}),
            Some(json!(null)),
        ),
        (
            json!({"items": {"data": [{"current_period_end": null}, {"current_period_end": 4}]}}),
            Some(json!(4)),
        ),
        (
            json!({"current_period_end": null, "items": {"data": [{"current_period_end": 4}]}}),
            Some(json!(4)),
        ),
        (
            json!({"current_period_end": null, "items": {"data": []}}),
            Some(json!(null)),
        ),
        (json!({"items": {"data": [{"id": "si_1"}]}}), None),
        (json!({"items": {"data": []}}), None),
        (json!({"current_period_end": "4"}), None),
    ] {
        check_field(
            Family::Subscription,
            &object,
            "current_period_end",
            expected.as_ref(),
        );
    }
}

#[test]
fn a_subscriptions_plan_is_its_first_items_price_else_its_plan() {
    for (object, plan, product) in [
        (
            json!({"items": {"data": [{"price": "price_1"}]}}),
            Some(json!("price_1")),
            None,
        ),
        (
            json!({"items": {"data": [{"plan": {"id": "plan_1", "product": "prod_1"}}]}, "plan": null}),
            Some(json!("plan_1")),
            Some(json!("prod_1")),
        ),
        (
            json!({"items": {"data": []}, "plan": null}),
            Some(json!(null)),
            Some(json!(null)),
        ),
        (
            json!({"plan": {"id": "gold", "product": {"id": "prod_1", "deleted": true}}}),
            Some(json!("gold")),
            Some(json!("prod_1")),
        ),
        (json!({}), None, None),
    ] {
        check_field(Family::Subscription, &object, "plan", plan.as_ref());
        check_field(Family::Subscription, &object, "product", product.as_ref());
    }
    let old = json!({"billing": "send_invoice"});
    check_field(
        Family::Subscription,
        &old,
        "collection_method",
        Some(&json!("send_invoice")),
    );
}

#[test]
fn an_invoice_of_2022_and_one_of_2026() {
    let shared = json!({
        "customer": "cus_1", "status": "open", "amount_due": 2000, "amount_paid": 0,
        "amount_remaining": 2000, "total": 2000, "currency": "usd", "attempt_count": 2,
        "attempted": true, "next_payment_attempt": null, "collection_method": "charge_automatically",
        "billing_reason": "subscription_cycle", "hosted_invoice_url": "https://invoice.stripe.com/i/x",
        "number": "A-1", "due_date": null, "created": 10, "period_end": 9,
        "customer_email": "ada@example.com",
    });
    let mut expected = shared.clone();
    expected["subscription"] = json!("sub_1");
    expected["payment_intent"] = json!("pi_1");
    expected["charge"] = json!("ch_1");

    let mut old = shared.clone();
    old["subscription"] = json!({"id": "sub_1", "object": "subscription"});
    old["payment_intent"] = json!("pi_1");
    old["charge"] = json!({"id": "ch_1", "deleted": true});
    old["paid"] = json!(false);
    check(Family::Invoice, &old, &expected);

    let mut new = shared.clone();
    new["parent"] = json!({
        "type": "subscription_details", "quote_details": null,
        "subscription_details": {"metadata": {}, "subscription": "sub_1"}
    });
    new["payments"] = json!({"object": "list", "has_more": false, "data": [
        {"object": "invoice_payment", "payment": {"type": "payment_intent", "payment_intent": "pi_1"}},
        {"object": "invoice_payment", "payment": {"type": "charge", "charge": "ch_1"}},
        {"object": "invoice_payment", "payment": {"type": "payment_intent", "payment_intent": {"id": "pi_2"}}}
    ]});
    expected["payments_incomplete"] = json!(false);
    check(Family::Invoice, &new, &expected);

    // Both, with the old places empty: what is known wins over null.
    for field in ["subscription", "payment_intent", "charge"] {
        new[field] = json!(null);
    }
    check(Family::Invoice, &new, &expected);

    // Both, and they differ: the old place stands.
    new["subscription"] = json!("sub_old");
    check_field(
        Family::Invoice,
        &new,
        "subscription",
        Some(&json!("sub_old")),
    );

    check(Family::Invoice, &shared, &shared);
}

#[test]
fn an_invoice_without_a_subscription_says_so_or_says_nothing() {
    for (object, expected) in [
        (json!({"subscription": null}), Some(json!(null))),
        (json!({"parent": null}), Some(json!(null))),
        (
            json!({"parent": {"type": "quote_details", "quote_details": {"quote": "qt_1"}, "subscription_details": null}}),
            Some(json!(null)),
        ),
        (
            json!({"parent": {"type": "subscription_details", "subscription_details": {"subscription": null}}}),
            Some(json!(null)),
        ),
        (json!({"parent": {"type": "subscription_details"}}), None),
        (json!({"parent": 7}), None),
        (json!({}), None),
    ] {
        check_field(Family::Invoice, &object, "subscription", expected.as_ref());
    }
    for payments in [
        json!({"data": []}),
        json!({"data": [{"payment": {"type": "charge"}}]}),
    ] {
        let object = json!({"payments": payments});
        check_field(Family::Invoice, &object, "payment_intent", None);
    }
}

#[test]
fn an_invoices_status_is_said_or_follows_from_paid() {
    for (object, expected) in [
        (json!({"status": "open", "paid": true}), Some(json!("open"))),
        (json!({"paid": true, "closed": true}), Some(json!("paid"))),
        (json!({"status": null, "paid": true}), Some(json!("paid"))),
        (json!({"paid": false, "closed": true}), None),
        (json!({"status": null, "paid": false}), Some(json!(null))),
        (json!({"status": "a_new_one"}), Some(json!("a_new_one"))),
    ] {
        check_field(Family::Invoice, &object, "status", expected.as_ref());
    }
    let old = json!({"date": 5, "billing": "send_invoice"});
    check(
        Family::Invoice,
        &old,
        &json!({"created": 5, "collection_method": "send_invoice"}),
    );
}

#[test]
fn an_invoice_payment() {
    check(
        Family::InvoicePayment,
        &json!({
            "id": "inpay_1", "invoice": {"id": "in_1"}, "status": "paid", "amount_paid": 500,
            "amount_requested": 700, "currency": "usd", "created": 3, "is_default": true,
            "payment": {"type": "payment_intent", "payment_intent": {"id": "pi_1"}}
        }),
        &json!({
            "invoice": "in_1", "status": "paid", "amount_paid": 500, "amount_requested": 700,
            "currency": "usd", "created": 3, "is_default": true, "payment_intent": "pi_1"
        }),
    );
    check(
        Family::InvoicePayment,
        &json!({"amount_paid": null, "payment": {"charge": "ch_1", "payment_intent": null}}),
        &json!({"amount_paid": null, "charge": "ch_1", "payment_intent": null}),
    );
}

#[test]
fn a_subscriptions_items_are_a_set() {
    let item = |id: &str, amount: i64| json!({"id": id, "price": {"id": "price_1", "unit_amount": amount, "currency": "EUR"}, "quantity": 2});
    let seen = json!([
        {"id": "si_1", "price": "price_1", "unit_amount": 5, "currency": "eur", "quantity": 2},
        {"id": "si_2", "price": "price_1", "unit_amount": 7, "currency": "eur", "quantity": 2},
    ]);
    for (items, expected) in [
        (
            json!({"data": [item("si_1", 5), item("si_2", 7)]}),
            Some(seen.clone()),
        ),
        (
            json!({"data": [item("si_2", 7), {}, item("si_1", 5)]}),
            Some(seen),
        ),
        (
            json!({"data": [{"id": "si_1", "plan": {"id": "gold", "amount": 5}}]}),
            Some(json!([{"id": "si_1", "price": "gold", "unit_amount": 5}])),
        ),
        (json!({"data": []}), Some(json!([]))),
        (json!({"data": [{}]}), None),
        (json!({"data": "si_1"}), None),
        (json!(null), None),
    ] {
        let object = json!({ "items": items });
        check_field(Family::Subscription, &object, "items", expected.as_ref());
    }
}
