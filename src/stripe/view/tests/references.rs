//! Every reference of every view, in each form that Stripe sends it in.

use std::collections::BTreeSet;

use super::*;

/// A family, the field of its view, and a place where an object shows it.
const REFERENCES: &[(Family, &str, &str)] = &[
    (Family::Subscription, "customer", "customer"),
    (Family::Subscription, "latest_invoice", "latest_invoice"),
    (
        Family::Subscription,
        "default_payment_method",
        "default_payment_method",
    ),
    (Family::Subscription, "default_source", "default_source"),
    (Family::Subscription, "schedule", "schedule"),
    (Family::Customer, "default_source", "default_source"),
    (
        Family::Customer,
        "default_payment_method",
        "invoice_settings.default_payment_method",
    ),
    (Family::Subscription, "plan", "items.data[].price"),
    (Family::Subscription, "plan", "items.data[].plan"),
    (Family::Subscription, "plan", "plan"),
    (
        Family::Subscription,
        "product",
        "items.data[].price.product",
    ),
    (Family::Subscription, "product", "items.data[].plan.product"),
    (Family::Subscription, "product", "plan.product"),
    (Family::SubscriptionSchedule, "customer", "customer"),
    (Family::SubscriptionSchedule, "subscription", "subscription"),
    (
        Family::SubscriptionSchedule,
        "released_subscription",
        "released_subscription",
    ),
    (Family::Entitlements, "customer", "customer"),
    (Family::Discount, "customer", "customer"),
    (Family::Discount, "subscription", "subscription"),
    (Family::Discount, "promotion_code", "promotion_code"),
    (Family::Discount, "coupon", "coupon"),
    (Family::Discount, "coupon", "source.coupon"),
    (Family::Invoice, "customer", "customer"),
    (Family::Invoice, "subscription", "subscription"),
    (
        Family::Invoice,
        "subscription",
        "parent.subscription_details.subscription",
    ),
    (Family::Invoice, "payment_intent", "payment_intent"),
    (
        Family::Invoice,
        "payment_intent",
        "payments.data[].payment.payment_intent",
    ),
    (Family::Invoice, "charge", "charge"),
    (Family::Invoice, "charge", "payments.data[].payment.charge"),
    (Family::InvoicePayment, "invoice", "invoice"),
    (
        Family::InvoicePayment,
        "payment_intent",
        "payment.payment_intent",
    ),
    (Family::InvoicePayment, "charge", "payment.charge"),
    (Family::CreditNote, "customer", "customer"),
    (Family::CreditNote, "invoice", "invoice"),
    (Family::CreditNote, "refund", "refund"),
    (Family::CreditNote, "refund", "refunds[].refund"),
    (Family::PaymentIntent, "customer", "customer"),
    (Family::PaymentIntent, "invoice", "invoice"),
    (Family::PaymentIntent, "review", "review"),
    (Family::PaymentIntent, "payment_method", "payment_method"),
    (Family::PaymentIntent, "latest_charge", "latest_charge"),
    (
        Family::PaymentIntent,
        "error_charge",
        "last_payment_error.charge",
    ),
    (Family::Charge, "customer", "customer"),
    (Family::Charge, "payment_intent", "payment_intent"),
    (Family::Charge, "invoice", "invoice"),
    (Family::Charge, "balance_transaction", "balance_transaction"),
    (Family::Charge, "review", "review"),
    (Family::Refund, "customer", "customer"),
    (Family::Refund, "charge", "charge"),
    (Family::Refund, "payment_intent", "payment_intent"),
    (Family::Refund, "balance_transaction", "balance_transaction"),
    (
        Family::Refund,
        "failure_balance_transaction",
        "failure_balance_transaction",
    ),
    (Family::Dispute, "charge", "charge"),
    (Family::Dispute, "payment_intent", "payment_intent"),
    (Family::Dispute, "customer", "charge.customer"),
    (Family::EarlyFraudWarning, "charge", "charge"),
    (
        Family::EarlyFraudWarning,
        "payment_intent",
        "payment_intent",
    ),
    (Family::EarlyFraudWarning, "customer", "charge.customer"),
    (Family::Review, "charge", "charge"),
    (Family::Review, "payment_intent", "payment_intent"),
    (Family::Review, "customer", "charge.customer"),
    (Family::Review, "customer", "payment_intent.customer"),
    (Family::CheckoutSession, "customer", "customer"),
    (Family::CheckoutSession, "payment_intent", "payment_intent"),
    (Family::CheckoutSession, "setup_intent", "setup_intent"),
    (Family::CheckoutSession, "invoice", "invoice"),
    (Family::CheckoutSession, "subscription", "subscription"),
    (Family::PaymentMethod, "customer", "customer"),
    (Family::SetupIntent, "customer", "customer"),
    (Family::SetupIntent, "payment_method", "payment_method"),
    (Family::SetupIntent, "mandate", "mandate"),
    (Family::Mandate, "payment_method", "payment_method"),
    (Family::Payout, "balance_transaction", "balance_transaction"),
    (
        Family::Payout,
        "failure_balance_transaction",
        "failure_balance_transaction",
    ),
    (Family::Payout, "original_payout", "original_payout"),
    (Family::Payout, "reversed_by", "reversed_by"),
    (Family::Capability, "account", "account"),
    (Family::Product, "default_price", "default_price"),
    (Family::Price, "product", "product"),
];

/// `value` where `place` says, and nothing beside it.
fn nested(place: &str, value: Value) -> Value {
    place
        .rsplit('.')
        .fold(value, |value, key| match key.strip_suffix("[]") {
            Some(key) => json!({ key: [value] }),
            None => json!({ key: value }),
        })
}

#[test]
fn a_reference_is_read_in_every_form() {
    let thing = json!({ "id": "x_1", "object": "thing", "created": 7, "metadata": {} });
    let deleted = json!({ "id": "x_1", "object": "thing", "deleted": true });
    for (family, field, place) in REFERENCES {
        for named in [json!("x_1"), thing.clone(), deleted.clone()] {
            let object = nested(place, named);
            check_field(*family, &object, field, Some(&json!("x_1")));
        }
        check_field(
            *family,
            &nested(place, json!(null)),
            field,
            Some(&json!(null)),
        );
        for nothing in [
            json!({}),
            json!({ "id": null }),
            json!(7),
            json!(true),
            json!([]),
            json!(""),
        ] {
            let object = nested(place, nothing);
            check_field(*family, &object, field, None);
        }
        check_field(*family, &json!({ "object": family.as_str() }), field, None);
    }
}

/// Wherever a name leads to a reference in one view, it does so in the others that know it.
#[test]
fn no_reference_is_missing_in_the_table() {
    let names: BTreeSet<&str> = REFERENCES
        .iter()
        .filter(|(_, _, place)| !place.contains('.'))
        .map(|(_, _, place)| *place)
        .collect();
    for family in Family::ALL {
        for name in &names {
            let object = nested(name, json!({ "id": "x_1" }));
            for (field, value) in view(family, &object).iter() {
                let known = REFERENCES.contains(&(family, field, name));
                assert!(*value != "x_1" || known, "{family}.{field} from {name}");
            }
        }
    }
}
