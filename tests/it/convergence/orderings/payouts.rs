//! Payouts.

use serde_json::json;

use super::{always_on_both, told};
use crate::support::fixture::Payout;

/// Legal: the bank may return a payout some days after it was paid, or at once.
#[tokio::test]
async fn a_payout_that_was_paid_may_fail() {
    let payout = |status: &'static str| Payout {
        id: "po_1".into(),
        failure_code: (status == "failed").then_some("account_closed"),
        status,
        ..Payout::default()
    };
    for later in [0, 300_000] {
        let events = [
            told("4", "payout.created", 0, payout("pending")),
            told("3", "payout.updated", 0, payout("in_transit")),
            told("2", "payout.paid", 0, payout("paid")),
            told("1", "payout.failed", later, payout("failed")),
        ];
        always_on_both(&events, ("payout", "po_1"), "status", json!("failed")).await;
    }
}
