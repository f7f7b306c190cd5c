//! Disputes, warnings and reviews: whom they keep from being asked, and when finance need not be told.

use serde_json::{Value, json};

use super::row;
use crate::guardrails::precondition::{Purpose, Standing, fallen, fallen_for_notice};
use crate::stripe::links::NodeKind;

/// What stops which mails, and that it stops nothing else; a notice that is ready still goes.
fn assert_stops(standing: &Standing, stopped: &[Purpose], said: &str) {
    for purpose in Purpose::ALL {
        let expected = stopped.contains(&purpose).then(|| said.to_owned());
        assert_eq!(fallen(purpose, standing), expected, "{purpose:?}");
        assert_eq!(fallen_for_notice(purpose, standing), None, "{purpose:?}");
    }
}

const ASKING: [Purpose; 4] = [
    Purpose::PaymentFailed,
    Purpose::InvoicePaymentFailed,
    Purpose::SubscriptionPastDue,
    Purpose::WinbackDue,
];

fn doubted(kind: NodeKind, rows: &[Value]) -> Standing {
    let doubts = rows.iter().map(|fields| (kind, row(fields.clone()).1));
    Standing {
        doubts: doubts.collect(),
        ..Standing::default()
    }
}

#[test]
fn a_customer_who_disputes_a_payment_is_not_asked_for_another() {
    for (status, stopped) in [
        ("needs_response", &ASKING[..]),
        ("under_review", &ASKING),
        ("warning_needs_response", &ASKING),
        ("warning_under_review", &ASKING),
        ("from_the_future", &ASKING),
        ("lost", &[Purpose::WinbackDue]),
        ("won", &[]),
        ("warning_closed", &[]),
        ("prevented", &[]),
        ("charge_refunded", &[]),
    ] {
        let standing = doubted(NodeKind::Dispute, &[json!({ "status": status })]);
        let said = format!("a payment of the customer is disputed: {status}");
        assert_stops(&standing, stopped, &said);
    }
    // One that is over says nothing about the next.
    let both = doubted(
        NodeKind::Dispute,
        &[
            json!({ "status": "won" }),
            json!({ "status": "under_review" }),
        ],
    );
    assert_stops(
        &both,
        &ASKING,
        "a payment of the customer is disputed: under_review",
    );
    assert_stops(&doubted(NodeKind::Dispute, &[json!({})]), &[], "");
}

#[test]
fn a_payment_that_is_doubted_keeps_its_customer_from_being_asked() {
    for (kind, fields, said) in [
        (
            NodeKind::EarlyFraudWarning,
            json!({ "actionable": true }),
            "a card issuer warns of a payment of the customer",
        ),
        (
            NodeKind::Review,
            json!({ "open": true }),
            "a payment of the customer is under review",
        ),
    ] {
        assert_stops(&doubted(kind, &[fields]), &ASKING, said);
    }
    for (kind, fields) in [
        (NodeKind::EarlyFraudWarning, json!({ "actionable": false })),
        (NodeKind::EarlyFraudWarning, json!({ "actionable": "yes" })),
        (
            NodeKind::Review,
            json!({ "open": false, "closed_reason": "approved" }),
        ),
        (NodeKind::Review, json!({})),
    ] {
        assert_stops(&doubted(kind, &[fields]), &[], "");
    }
}

#[test]
fn an_inquiry_is_not_told_once_it_is_a_dispute() {
    let standing = |inquiry, status: &str| Standing {
        dispute: Some(row(json!({ "status": status }))),
        inquiry,
        ..Standing::default()
    };
    let said = fallen_for_notice(Purpose::DisputeOpened, &standing(true, "needs_response"));
    assert_eq!(
        said.as_deref(),
        Some("the inquiry is a dispute now: needs_response")
    );
    for (inquiry, status) in [(true, "warning_under_review"), (false, "needs_response")] {
        let standing = standing(inquiry, status);
        assert_eq!(fallen(Purpose::DisputeOpened, &standing), None, "{status}");
    }
}
