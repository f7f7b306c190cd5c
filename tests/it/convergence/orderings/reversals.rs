//! Refunds and disputes: money that goes back, and sometimes comes again.

use serde_json::json;

use super::{always, always_on_both, told};
use crate::support::fixture::{Charge, Dispute, Refund};

fn charge(refunds: Vec<Refund>) -> Charge {
    Charge {
        id: "ch_1".into(),
        status: "succeeded",
        captured: true,
        refunds,
        ..Charge::default()
    }
}

fn refund(status: &'static str) -> Refund {
    Refund {
        id: "re_1".into(),
        charge: Some("ch_1".into()),
        status,
        failure_reason: (status == "failed").then_some("lost_or_stolen_card"),
        ..Refund::default()
    }
}

fn dispute(status: &'static str, movements: &[(&'static str, i64)]) -> Dispute {
    Dispute {
        id: "dp_1".into(),
        charge: "ch_1".into(),
        movements: movements.to_vec(),
        status,
        ..Dispute::default()
    }
}

#[tokio::test]
async fn a_charge_refunded_before_it_succeeded_is_refunded() {
    let events = [
        told("9", "charge.succeeded", 0, charge(Vec::new())),
        told("1", "charge.refunded", 0, charge(vec![refund("succeeded")])),
    ];
    always(&events, ("charge", "ch_1"), "amount_refunded", json!(4900)).await;
    always(&events, ("charge", "ch_1"), "refunded", json!(true)).await;
}

#[tokio::test]
async fn a_dispute_won_before_it_was_opened_is_won() {
    let events = [
        told(
            "9",
            "charge.dispute.created",
            0,
            dispute("needs_response", &[]),
        ),
        told("1", "charge.dispute.closed", 0, dispute("won", &[])),
    ];
    always(&events, ("dispute", "dp_1"), "status", json!("won")).await;
}

#[tokio::test]
async fn funds_reinstated_before_they_were_withdrawn_come_to_nothing() {
    let (out, back) = (("txn_out", -4900), ("txn_back", 4900));
    let events = [
        told(
            "1",
            "charge.dispute.created",
            0,
            dispute("needs_response", &[]),
        ),
        told(
            "2",
            "charge.dispute.funds_withdrawn",
            5,
            dispute("needs_response", &[out]),
        ),
        told(
            "3",
            "charge.dispute.funds_reinstated",
            90,
            dispute("won", &[out, back]),
        ),
    ];
    let movement = |(id, amount): (&str, i64)| {
        json!({
            "id": id, "amount": amount, "fee": 0, "net": amount, "currency": "eur", "created": 1_700_000_000,
        })
    };
    let both = json!([movement(out), movement(back)]);
    always(&events, ("dispute", "dp_1"), "balance_transactions", both).await;
}

/// Legal: the customer's bank may send a refund back, weeks later or at once.
#[tokio::test]
async fn a_refund_that_succeeded_may_fail() {
    for later in [0, 900_000] {
        let events = [
            told("3", "refund.created", 0, refund("pending")),
            told("2", "charge.refund.updated", 0, refund("succeeded")),
            told("1", "refund.failed", later, refund("failed")),
        ];
        always_on_both(&events, ("refund", "re_1"), "status", json!("failed")).await;
    }
}

/// Legal: the bank changed its mind.
#[tokio::test]
async fn a_dispute_that_was_lost_may_be_won() {
    let events = [
        told(
            "1",
            "charge.dispute.created",
            0,
            dispute("needs_response", &[]),
        ),
        told("2", "charge.dispute.closed", 60, dispute("lost", &[])),
        told("3", "charge.dispute.updated", 900_000, dispute("won", &[])),
    ];
    always_on_both(&events, ("dispute", "dp_1"), "status", json!("won")).await;
}
