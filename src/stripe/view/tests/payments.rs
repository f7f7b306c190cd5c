use serde_json::json;

use super::{check, check_field};
use crate::stripe::view::Family;

#[test]
fn a_payment_intent_of_2020_and_one_of_2026() {
    let shared = json!({
        "customer": null, "status": "requires_payment_method", "amount": 2000, "amount_received": 0,
        "amount_capturable": 0, "currency": "usd", "capture_method": "automatic",
        "cancellation_reason": null, "receipt_email": null, "created": 4, "description": "not kept",
        "metadata": {"order_id": "1001"},
        "last_payment_error": {"type": "card_error", "code": "card_declined",
            "decline_code": "insufficient_funds", "charge": "ch_2"},
    });
    let mut expected = json!({
        "customer": null, "status": "requires_payment_method", "amount": 2000, "amount_received": 0,
        "amount_capturable": 0, "currency": "usd", "capture_method": "automatic",
        "cancellation_reason": null, "receipt_email": null, "created": 4, "order_id": "1001",
        "error_code": "card_declined", "error_decline_code": "insufficient_funds",
        "error_advice_code": null, "error_charge": "ch_2",
    });
    check(Family::PaymentIntent, &shared, &expected);

    let mut old = shared.clone();
    old["invoice"] = json!("in_1");
    old["charges"] = json!({"data": [
        {"id": "ch_1", "created": 3}, {"id": "ch_2", "created": 4}, {"id": "ch_3", "created": 4}
    ]});
    expected["latest_charge"] = json!("ch_2");
    let mut of_old = expected.clone();
    of_old["invoice"] = json!("in_1");
    check(Family::PaymentIntent, &old, &of_old);

    let mut new = shared;
    new["latest_charge"] = json!({"id": "ch_2", "object": "charge"});
    check(Family::PaymentIntent, &new, &expected);

    new["charges"] = json!({"data": [{"id": "ch_9", "created": 99}]});
    check(Family::PaymentIntent, &new, &expected);
}

#[test]
fn a_payment_intents_latest_charge() {
    for (object, expected) in [
        (json!({"latest_charge": null}), Some(json!(null))),
        (
            json!({"latest_charge": null, "charges": {"data": [{"id": "ch_1"}]}}),
            Some(json!("ch_1")),
        ),
        (
            json!({"charges": {"data": [{"id": "ch_1"}, {"id": "ch_2", "created": 1}]}}),
            Some(json!("ch_2")),
        ),
        (
            json!({"charges": {"data": ["ch_1", 7, null]}}),
            Some(json!("ch_1")),
        ),
        (json!({"charges": {"data": []}}), None),
        (json!({"charges": null}), None),
        (json!({"latest_charge": 7}), None),
    ] {
        check_field(
            Family::PaymentIntent,
            &object,
            "latest_charge",
            expected.as_ref(),
        );
    }
}

#[test]
fn a_payment_intents_error_is_replaced_as_a_whole() {
    let null = json!({
        "error_code": null, "error_decline_code": null, "error_advice_code": null, "error_charge": null
    });
    for (error, expected) in [
        (json!({"last_payment_error": null}), null.clone()),
        (
            json!({"last_payment_error": {"type": "idempotency_error"}}),
            null,
        ),
        (
            json!({"last_payment_error": {
                "code": "expired_card", "advice_code": "confirm_card_data", "charge": {"id": "ch_1"}
            }}),
            json!({
                "error_code": "expired_card", "error_decline_code": null,
                "error_advice_code": "confirm_card_data", "error_charge": "ch_1"
            }),
        ),
        (
            json!({"last_payment_error": {"code": 7, "decline_code": null, "charge": []}}),
            json!({"error_decline_code": null, "error_advice_code": null}),
        ),
        (json!({"last_payment_error": "declined"}), json!({})),
        (json!({}), json!({})),
    ] {
        check(Family::PaymentIntent, &error, &expected);
    }
}

#[test]
fn an_order_id_is_text_or_a_number() {
    for family in [Family::PaymentIntent, Family::CheckoutSession] {
        for (metadata, expected) in [
            (json!({"order_id": "1001"}), Some(json!("1001"))),
            (json!({"order_id": 1001}), Some(json!("1001"))),
            (
                json!({"order_id": "x".repeat(300)}),
                Some(json!("x".repeat(255))),
            ),
            (json!({"order_id": ""}), None),
            (json!({"order_id": null}), Some(json!(null))),
            (json!({"order_id": {}}), None),
            (json!({}), None),
            (json!(null), Some(json!(null))),
        ] {
            check_field(
                family,
                &json!({"metadata": metadata}),
                "order_id",
                expected.as_ref(),
            );
        }
    }
}

#[test]
fn a_charge() {
    check(
        Family::Charge,
        &json!({
            "customer": "cus_1", "payment_intent": {"id": "pi_1"}, "invoice": null, "status": "failed",
            "paid": false, "captured": false, "amount": 2000, "amount_refunded": 0, "currency": "USD",
            "failure_code": "card_declined", "created": 8,
            "outcome": {"type": "issuer_declined", "reason": "generic_decline"}
        }),
        &json!({
            "customer": "cus_1", "payment_intent": "pi_1", "invoice": null, "status": "failed",
            "paid": false, "captured": false, "amount": 2000, "amount_refunded": 0, "currency": "usd",
            "failure_code": "card_declined", "created": 8, "decline_code": "generic_decline"
        }),
    );
    for (outcome, expected) in [
        (
            json!({"type": "blocked", "reason": "highest_risk_level"}),
            Some(json!("highest_risk_level")),
        ),
        (
            json!({"type": "manual_review", "reason": "elevated_risk_level"}),
            Some(json!(null)),
        ),
        (
            json!({"type": "authorized", "reason": null}),
            Some(json!(null)),
        ),
        (
            json!({"reason": "do_not_honor"}),
            Some(json!("do_not_honor")),
        ),
        (json!({}), Some(json!(null))),
        (json!(null), Some(json!(null))),
        (json!(7), None),
    ] {
        check_field(
            Family::Charge,
            &json!({"outcome": outcome}),
            "decline_code",
            expected.as_ref(),
        );
    }
    check_field(Family::Charge, &json!({}), "decline_code", None);
}

#[test]
fn a_checkout_session() {
    check(
        Family::CheckoutSession,
        &json!({
            "customer": {"id": "cus_1", "object": "customer", "deleted": true}, "payment_intent": "pi_1",
            "invoice": null, "subscription": null, "mode": "payment", "status": "complete",
            "payment_status": "paid", "amount_total": 2000, "currency": "usd",
            "client_reference_id": "cart-7", "metadata": {"order_id": "1001"},
            "customer_details": {"email": "new@example.com"}, "customer_email": "old@example.com",
            "created": 6, "expires_at": 7
        }),
        &json!({
            "customer": "cus_1", "payment_intent": "pi_1", "invoice": null, "subscription": null,
            "mode": "payment", "status": "complete", "payment_status": "paid", "amount_total": 2000,
            "currency": "usd", "client_reference_id": "cart-7", "order_id": "1001",
            "customer_email": "new@example.com", "created": 6, "expires_at": 7
        }),
    );
    for (object, expected) in [
        (
            json!({"customer_details": null, "customer_email": "a@b.c"}),
            Some(json!("a@b.c")),
        ),
        (
            json!({"customer_details": {"email": null}, "customer_email": null}),
            Some(json!(null)),
        ),
        (json!({"customer_details": {}}), None),
    ] {
        check_field(
            Family::CheckoutSession,
            &object,
            "customer_email",
            expected.as_ref(),
        );
    }
    for (reference, expected) in [(json!(null), Some(json!(null))), (json!(""), None)] {
        let object = json!({"client_reference_id": reference});
        check_field(
            Family::CheckoutSession,
            &object,
            "client_reference_id",
            expected.as_ref(),
        );
    }
}
