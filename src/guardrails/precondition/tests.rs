mod doubts;
mod recovered;

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::clock::Timestamp;
use crate::guardrails::derive::access::Access;
use crate::guardrails::derive::order::OrderStatus;

fn row(fields: Value) -> (String, View) {
    ("id".to_owned(), serde_json::from_value(fields).unwrap())
}

fn order(status: OrderStatus) -> Order {
    Order {
        id: "A-1".to_owned(),
        aliases: Vec::new(),
        customer: None,
        status,
        amount: None,
        amount_refunded: 0,
        currency: None,
        capture_before: None,
        holds: Vec::new(),
        payment_intents: Vec::new(),
        created: 0,
    }
}

/// The whole table, as a person reads it.
#[test]
fn every_stop_condition() {
    let rows = STOPS.iter().map(|stop| {
        let ends = |reach| {
            let purposes = Purpose::ALL.into_iter();
            let ended: Vec<&str> = purposes
                .filter(|purpose| stop.reach(*purpose) == Some(reach))
                .map(Purpose::as_str)
                .collect();
            if ended.is_empty() {
                "-".to_owned()
            } else {
                ended.join(" ")
            }
        };
        let (mails, everything) = (ends(Reach::Mails), ends(Reach::Everything));
        format!("{} | {mails} | {everything}\n", stop.fact)
    });
    let table: String = rows.collect();
    insta::assert_snapshot!(format!("fact | ends mails | ends everything\n{table}"), @"
    fact | ends mails | ends everything
    customer deleted | payment_failed invoice_payment_failed subscription_past_due subscription_ended winback_due trial_ending | -
    payment succeeded | - | payment_failed invoice_payment_failed
    payment processing | - | payment_failed
    payment authorized | - | payment_failed
    payment canceled | payment_failed | -
    order paid otherwise | - | payment_failed
    payment refunded in full | - | payment_succeeded
    invoice paid | - | invoice_payment_failed subscription_past_due
    invoice void | invoice_payment_failed | -
    invoice uncollectible | invoice_payment_failed | -
    invoice no longer open | invoice_payment_failed | -
    invoice finalized or given up | - | invoice_finalization_failed
    nothing overpaid | - | invoice_overpaid
    subscription ended | invoice_payment_failed subscription_past_due | -
    subscription recovered | - | subscription_past_due
    subscription no longer past due | subscription_past_due | -
    subscription not ended | - | subscription_ended
    trial over | - | trial_ending
    trial moved | - | trial_ending
    trial past | - | trial_ending
    subscription ends with its trial | - | trial_ending
    subscription not collected | - | trial_ending
    subscription costs nothing | - | trial_ending
    dispute over | - | dispute_opened
    inquiry became a dispute | - | dispute_opened
    payment disputed | payment_failed invoice_payment_failed subscription_past_due winback_due | -
    dispute lost | winback_due | -
    payment warned of | payment_failed invoice_payment_failed subscription_past_due winback_due | -
    payment under review | payment_failed invoice_payment_failed subscription_past_due winback_due | -
    customer back | - | winback_due
    account disconnected | - | payment_succeeded payment_failed invoice_payment_failed subscription_past_due subscription_ended winback_due dispute_opened trial_ending payout_failed invoice_finalization_failed invoice_overpaid
    ");
}

#[test]
fn each_row_says_why_and_ends_something() {
    for stop in STOPS {
        assert!(stop.why.len() > 15, "{}", stop.fact);
        let ends = |purpose: &Purpose| stop.reach(*purpose).is_some();
        assert!(Purpose::ALL.iter().any(ends), "{}", stop.fact);
    }
}

#[test]
fn what_is_not_known_ends_nothing() {
    for purpose in Purpose::ALL {
        assert_eq!(fallen(purpose, &Standing::default()), None);
        let without_status = Standing {
            customer: Some(row(json!({}))),
            payment_intent: Some(row(json!({}))),
            invoice: Some(row(json!({ "status": null }))),
            subscription: Some(row(json!({}))),
            ..Standing::default()
        };
        assert_eq!(fallen(purpose, &without_status), None, "{purpose:?}");
    }
}

/// Where nothing is known but the status of one thing.
fn only(thing: &str, status: &str) -> Standing {
    let row = Some(row(json!({ "status": status })));
    let mut standing = Standing::default();
    match thing {
        "payment" => standing.payment_intent = row,
        "invoice" => standing.invoice = row,
        "dispute" => standing.dispute = row,
        _ => standing.subscription = row,
    }
    standing
}

/// What is said when one row alone is known, for a mail and for a notice.
#[test]
fn one_status_decides() {
    for (purpose, thing, goes, mails_end, all_ends) in [
        (
            Purpose::PaymentFailed,
            "payment",
            &["requires_payment_method", "requires_action"][..],
            &["canceled"][..],
            &["succeeded", "processing", "requires_capture"][..],
        ),
        (
            Purpose::InvoicePaymentFailed,
            "invoice",
            &["open"],
            &[
                "void",
                "uncollectible",
                "deleted",
                "draft",
                "from_the_future",
            ],
            &["paid"],
        ),
        (
            Purpose::InvoicePaymentFailed,
            "subscription",
            &["active", "past_due", "unpaid"],
            &["canceled", "incomplete_expired"],
            &[],
        ),
        (
            Purpose::SubscriptionPastDue,
            "subscription",
            &["past_due"],
            &["canceled", "unpaid", "paused", "incomplete_expired"],
            &["active", "trialing"],
        ),
        (
            Purpose::SubscriptionEnded,
            "subscription",
            &["canceled"],
            &[],
            &["active", "past_due"],
        ),
        (
            Purpose::TrialEnding,
            "subscription",
            &["trialing"],
            &[],
            &["active", "canceled", "past_due", "paused", "incomplete"],
        ),
        (
            Purpose::DisputeOpened,
            "dispute",
            &[
                "needs_response",
                "under_review",
                "warning_needs_response",
                "lost",
                "new_word",
            ],
            &[],
            &["won", "warning_closed", "prevented"],
        ),
        (
            Purpose::InvoiceFinalizationFailed,
            "invoice",
            &["draft", "from_the_future"],
            &[],
            &["open", "paid", "void", "uncollectible", "deleted"],
        ),
        (
            Purpose::PaymentSucceeded,
            "payment",
            &["succeeded", "canceled"],
            &[],
            &[],
        ),
    ] {
        for (statuses, ends_mails, ends_notices) in [
            (goes, false, false),
            (mails_end, true, false),
            (all_ends, true, true),
        ] {
            for status in statuses {
                let standing = only(thing, status);
                let said = Some(format!("the {thing} is {status} now"));
                assert_eq!(
                    fallen(purpose, &standing),
                    said.clone().filter(|_| ends_mails),
                    "{purpose:?} {status}"
                );
                assert_eq!(
                    fallen_for_notice(purpose, &standing),
                    said.filter(|_| ends_notices),
                    "{purpose:?} {status}"
                );
            }
        }
    }
}

#[test]
fn an_order_paid_otherwise_needs_no_mail_about_the_other_payment() {
    let standing = |status| Standing {
        payment_intent: Some(row(json!({ "status": "requires_payment_method" }))),
        order: Some(order(status)),
        ..Standing::default()
    };
    assert_eq!(
        fallen(Purpose::PaymentFailed, &standing(OrderStatus::Paid)).as_deref(),
        Some("order A-1 was paid by another payment")
    );
    assert_eq!(
        fallen(Purpose::PaymentFailed, &standing(OrderStatus::Pending)),
        None
    );
}

#[test]
fn a_customer_who_is_back_is_not_invited_back() {
    let access = Access::Grace {
        subscription: "sub_2".to_owned(),
        since: 0,
    };
    let grace = Duration::from_hours(24);
    let at = |seconds| Standing {
        access: Some(access.at(Timestamp::from_seconds(seconds), grace)),
        ..Standing::default()
    };
    assert_eq!(
        fallen(Purpose::WinbackDue, &at(86_399)).as_deref(),
        Some(
            "the customer is back: subscription sub_2 is past due, in grace until 1970-01-02T00:00:00Z"
        )
    );
    // Nothing is written when a grace ends: the row says the same for ever.
    assert_eq!(fallen(Purpose::WinbackDue, &at(86_400)), None);
}

#[test]
fn an_invoice_that_is_overpaid_no_more_is_no_news() {
    let paid = |over: Value| Standing {
        invoice: Some(row(json!({ "status": "paid", "amount_overpaid": over }))),
        ..Standing::default()
    };
    let said = fallen_for_notice(Purpose::InvoiceOverpaid, &paid(json!(0)));
    assert_eq!(
        said.as_deref(),
        Some("of what was paid on invoice id nothing is over now")
    );
    for over in [json!(100), json!(null)] {
        assert_eq!(
            fallen_for_notice(Purpose::InvoiceOverpaid, &paid(over)),
            None
        );
    }
}

/// When the trial of the tests ends.
const END: i64 = 1_000_000;

#[test]
fn a_trial_is_told_of_only_where_something_is_charged_at_its_end() {
    let told = |subscription: Value| {
        let standing = Standing {
            subscription: Some(row(subscription)),
            trial_end: Some(END),
            now: Some(Timestamp::from_seconds(END - 1)),
            ..Standing::default()
        };
        let mail = fallen(Purpose::TrialEnding, &standing);
        assert_eq!(mail, fallen_for_notice(Purpose::TrialEnding, &standing));
        mail
    };
    let leaves = "subscription id is set to end";
    for (subscription, said) in [
        (json!({ "status": "trialing" }), None),
        (json!({ "cancel_at_period_end": true }), Some(leaves)),
        (
            json!({ "cancel_at_period_end": true, "cancel_at": null }),
            Some(leaves),
        ),
        (json!({ "cancel_at": END }), Some(leaves)),
        (json!({ "cancel_at": END - 1 }), Some(leaves)),
        // It is charged once more before it ends.
        (json!({ "cancel_at": END + 1 }), None),
        (
            json!({ "cancel_at": END + 1, "cancel_at_period_end": true }),
            None,
        ),
        (json!({ "pause_behavior": null }), None),
        (
            json!({ "pause_behavior": "void" }),
            Some("subscription id is not collected: void"),
        ),
        (
            json!({ "pause_behavior": "keep_as_draft", "pause_resumes_at": END }),
            Some("subscription id is not collected: keep_as_draft"),
        ),
        (
            json!({ "pause_behavior": "mark_uncollectible", "pause_resumes_at": null }),
            Some("subscription id is not collected: mark_uncollectible"),
        ),
        (
            json!({ "pause_behavior": "void", "pause_resumes_at": END - 1 }),
            None,
        ),
    ] {
        assert_eq!(
            told(subscription.clone()).as_deref(),
            said,
            "{subscription}"
        );
    }
}

#[test]
fn a_trial_that_has_ended_is_no_news() {
    for (now, said) in [
        (END - 1, None),
        (END, Some("the trial has ended")),
        (END + 1, Some("the trial has ended")),
    ] {
        let standing = Standing {
            trial_end: Some(END),
            now: Some(Timestamp::from_seconds(now)),
            ..Standing::default()
        };
        assert_eq!(fallen(Purpose::TrialEnding, &standing).as_deref(), said);
        assert_eq!(fallen(Purpose::InvoicePaymentFailed, &standing), None);
        // Its end is simulated time, and this is not.
        let simulated = Standing {
            subscription: Some(row(json!({ "test_clock": "clock_1" }))),
            ..standing
        };
        assert_eq!(fallen(Purpose::TrialEnding, &simulated), None);
    }
}

#[test]
fn a_deleted_customer_gets_no_mail_and_colleagues_still_hear() {
    let deleted = Standing {
        customer: Some(row(json!({ "deleted": true }))),
        ..Standing::default()
    };
    for purpose in Purpose::ALL {
        let ended = fallen(purpose, &deleted).is_some();
        // None of these is written to the customer.
        let internal = matches!(
            purpose,
            Purpose::PaymentSucceeded
                | Purpose::DisputeOpened
                | Purpose::PayoutFailed
                | Purpose::InvoiceFinalizationFailed
                | Purpose::InvoiceOverpaid
        );
        assert_eq!(ended, !internal, "{purpose:?}");
        assert_eq!(fallen_for_notice(purpose, &deleted), None, "{purpose:?}");
    }
}

#[test]
fn what_stripe_says_of_the_thing_comes_first() {
    let standing = Standing {
        invoice: Some(row(json!({ "status": "void" }))),
        subscription: Some(row(json!({ "status": "canceled" }))),
        ..Standing::default()
    };
    assert_eq!(
        fallen(Purpose::InvoicePaymentFailed, &standing).as_deref(),
        Some("the invoice is void now")
    );
}
