//! Money that went back, and trials that end otherwise than was told.

use serde_json::{Value, json};

use super::{order, row};
use crate::guardrails::derive::order::OrderStatus;
use crate::guardrails::precondition::{Purpose, Standing, fallen, fallen_for_notice};

#[test]
fn a_payment_that_went_back_in_full_is_no_news_any_more() {
    let charge = |fields| Standing {
        charge: Some(row(fields)),
        ..Standing::default()
    };
    let refunded = charge(json!({ "refunded": true, "amount_refunded": 500 }));
    assert_eq!(
        fallen_for_notice(Purpose::PaymentSucceeded, &refunded).as_deref(),
        Some("charge id was refunded in full")
    );
    let partly = charge(json!({ "refunded": false, "amount_refunded": 100 }));
    assert_eq!(fallen(Purpose::PaymentSucceeded, &partly), None);
}

#[test]
fn a_trial_that_ends_otherwise_is_not_written_about() {
    let trial = |fields: Value| {
        let mut subscription = json!({ "status": "trialing", "trial_end": 100, "cancel_at_period_end": false,
            "cancel_at": null, "period_amount": 900 });
        let changes = fields.as_object().unwrap().clone();
        subscription.as_object_mut().unwrap().extend(changes);
        Standing {
            subscription: Some(row(subscription)),
            trial_end: Some(100),
            ..Standing::default()
        }
    };
    for (changes, said) in [
        (json!({}), None),
        (json!({ "period_amount": null }), None),
        (json!({ "trial_end": null }), None),
        (
            json!({ "trial_end": 200 }),
            Some("the trial ends at another time now"),
        ),
        (
            json!({ "cancel_at_period_end": true }),
            Some("subscription id is set to end"),
        ),
        (
            json!({ "cancel_at": 100 }),
            Some("subscription id is set to end"),
        ),
        (
            json!({ "period_amount": 0 }),
            Some("subscription id costs nothing"),
        ),
    ] {
        assert_eq!(
            fallen(Purpose::TrialEnding, &trial(changes.clone())).as_deref(),
            said,
            "{changes}"
        );
    }
}

#[test]
fn an_order_that_was_settled_and_paid_back_is_not_asked_for_again() {
    for status in [
        OrderStatus::Pending,
        OrderStatus::AwaitingCustomer,
        OrderStatus::Review,
        OrderStatus::Canceled,
    ] {
        let standing = Standing {
            order: Some(order(status)),
            ..Standing::default()
        };
        assert_eq!(
            fallen(Purpose::PaymentFailed, &standing),
            None,
            "{status:?}"
        );
    }
}
