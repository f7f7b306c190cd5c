//! Payments and the orders they pay.

use serde_json::json;

use super::{always, intent, told};
use crate::support::bench::START;
use crate::support::fixture::{Charge, Session};

#[tokio::test]
async fn an_order_stays_paid_when_its_first_payment_is_told_to_have_failed() {
    let declined = Charge {
        id: "ch_pi_1".into(),
        intent: "pi_1".into(),
        customer: Some("cus_1".into()),
        invoice: None,
        amount: 4900,
        created: START,
        ..Charge::default()
    };
    let events = [
        told(
            "1",
            "payment_intent.payment_failed",
            0,
            intent("pi_1", "requires_payment_method", true),
        ),
        told(
            "2",
            "payment_intent.succeeded",
            30,
            intent("pi_2", "succeeded", false),
        ),
        told("3", "charge.failed", 40, declined),
    ];
    always(&events, ("order", "1001"), "status", json!("paid")).await;
}

#[tokio::test]
async fn a_payment_that_failed_and_then_succeeded_has_succeeded() {
    let events = [
        told(
            "2",
            "payment_intent.payment_failed",
            0,
            intent("pi_1", "requires_payment_method", true),
        ),
        told(
            "1",
            "payment_intent.succeeded",
            0,
            intent("pi_1", "succeeded", false),
        ),
    ];
    always(
        &events,
        ("payment_intent", "pi_1"),
        "status",
        json!("succeeded"),
    )
    .await;
    always(&events, ("order", "1001"), "status", json!("paid")).await;
}

/// Somebody opens a payment link with another order's payment intent as its reference.
#[tokio::test]
async fn nobody_takes_the_name_of_another_order() {
    let mut lone = intent("pi_1", "succeeded", false);
    lone.order = None;
    let session = Session {
        id: "cs_2".into(),
        mode: "payment",
        customer: Some("cus_2".into()),
        intent: Some("pi_2".into()),
        subscription: None,
        invoice: None,
        order: None,
        reference: Some("pi_1".into()),
        amount: 1,
        payment_status: "unpaid",
        created: START,
        ..Session::default()
    };
    let events = [
        told("1", "payment_intent.succeeded", 0, lone),
        told("2", "checkout.session.completed", 5, session),
    ];
    always(&events, ("order", "pi_1"), "status", json!("paid")).await;
    always(&events, ("order", "pi_1"), "customer", json!("cus_1")).await;
    always(&events, ("order", "pi_2"), "customer", json!("cus_2")).await;
}
