//! The ledger: which movements of money the snapshots of one object tell of.
//!
//! An amount is what the business's balance at Stripe gains, so what leaves it is negative. Every entry has an id of
//! Stripe's. A credit note moves no money: the refund that it may cause does. What an event tells however late is in
//! here, because all snapshots are asked and not only the newest.
//!
//! What was only reserved never was on the balance: the release of it has no balance transaction, and moves nothing. Of
//! what was captured in part Stripe made two movements until 2025-03-31.basil, all that was reserved and the rest back, and
//! makes one since then: what was captured (docs.stripe.com/changelog/basil/2025-03-31/remove-refund-from-partial-capture-and-payment-cancellation-flow).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::refund::{came_back, released};
use crate::clock::Timestamp;
use crate::guardrails::mandatory::snapshot::Snapshot;
use crate::stripe::view::{Family, View};

/// One movement of money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Stripe's id of it: a balance transaction's where one is shown, else the object's.
    pub id: String,
    /// What kind of movement it is.
    pub kind: &'static str,
    /// What the balance gains, in minor units.
    pub amount: i64,
    /// What Stripe took for it.
    pub fee: Option<i64>,
    /// The currency.
    pub currency: String,
    /// When it was made.
    pub created: Timestamp,
}

/// Every entry of one object, given its row and all of its snapshots in any order.
pub fn entries(family: Family, object: &str, row: &View, snapshots: &[Snapshot]) -> Vec<Entry> {
    let at = |id: &str, kind, amount: Option<i64>| {
        Some(Entry {
            id: id.to_owned(),
            kind,
            amount: amount.filter(|amount| *amount != 0)?,
            fee: None,
            currency: row.text("currency")?.to_owned(),
            created: Timestamp::from_seconds(row.int("created").unwrap_or(0)),
        })
    };
    let amount = row.int("amount");
    let status = row.text("status");
    match family {
        // `paid` is true of what is only reserved, too.
        Family::Charge if status == Some("succeeded") && row.flag("captured") == Some(true) => {
            let captured = row.int("amount_captured").or(amount);
            let whole = came_whole(row, snapshots);
            let came = if whole { amount } else { captured };
            at(object, "charge", came).into_iter().collect()
        }
        // No balance transaction, no movement: not yet, or never.
        Family::Refund if row.is_null("balance_transaction") => Vec::new(),
        Family::Refund => leaves(
            at(object, "refund", amount.map(i64::saturating_neg)),
            came_back(row),
            row.text("failure_balance_transaction")
                .and_then(|id| at(id, "refund_failure", amount)),
        ),
        Family::Payout if status.is_some() => leaves(
            at(object, "payout", amount.map(i64::saturating_neg)),
            matches!(status, Some("failed" | "canceled")),
            row.text("failure_balance_transaction")
                .and_then(|id| at(id, "payout_failure", amount)),
        ),
        Family::Dispute => movements(snapshots),
        _ => Vec::new(),
    }
}

/// Whether all that was reserved came, and the rest left again as a refund of its own: only then does the charge count
/// that rest as refunded from its capture on.
fn came_whole(row: &View, snapshots: &[Snapshot]) -> bool {
    let captured = snapshots.iter().map(|snapshot| &snapshot.fields);
    let mut captured = captured.filter(|fields| {
        fields.flag("captured") == Some(true) && fields.int("amount_refunded").is_some()
    });
    released(row) > 0 && captured.all(|fields| released(fields) > 0)
}

/// What left the balance, and how it came back. Where Stripe does not say by which movement it did, neither is told: the
/// sum is the same.
fn leaves(left: Option<Entry>, came_back: bool, back: Option<Entry>) -> Vec<Entry> {
    match (came_back, back) {
        (false, _) => left.into_iter().collect(),
        (true, None) => Vec::new(),
        (true, Some(back)) => left.into_iter().chain([back]).collect(),
    }
}

/// A dispute's movement as its view keeps it.
#[derive(Deserialize)]
struct Movement {
    id: String,
    amount: i64,
    currency: String,
    fee: Option<i64>,
    created: Option<i64>,
}

/// Funds withdrawn and reinstated, in whichever event they stand: each once, by its own id.
fn movements(snapshots: &[Snapshot]) -> Vec<Entry> {
    let mut ordered: Vec<&Snapshot> = snapshots.iter().collect();
    ordered.sort_by_key(|s| (s.created, &s.event, &s.api_version));
    let mut entries = BTreeMap::new();
    for snapshot in ordered {
        let shown = snapshot.fields.get("balance_transactions");
        for movement in shown.and_then(Value::as_array).into_iter().flatten() {
            // An id alone says that there is a movement, and not how much.
            let Ok(movement) = serde_json::from_value::<Movement>(movement.clone()) else {
                continue;
            };
            let kind = if movement.amount < 0 {
                "funds_withdrawn"
            } else {
                "funds_reinstated"
            };
            let created = movement.created.map(Timestamp::from_seconds);
            entries.insert(
                movement.id.clone(),
                Entry {
                    id: movement.id,
                    kind,
                    amount: movement.amount,
                    fee: movement.fee,
                    currency: movement.currency,
                    created: created.unwrap_or(snapshot.created),
                },
            );
        }
    }
    entries.into_values().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::stripe::view::view;

    fn snapshot(family: Family, created: i64, object: &Value) -> Snapshot {
        Snapshot {
            family,
            object: "the_1".to_owned(),
            event: format!("evt_{created}"),
            event_type: "charge.dispute.updated".to_owned(),
            api_version: "2025-09-30.clover".to_owned(),
            created: Timestamp::from_seconds(created),
            fields: view(family, object),
            previous: View::default(),
        }
    }

    fn told(family: Family, row: &Value) -> Vec<(String, &'static str, i64)> {
        let view = view(family, row);
        entries(family, "the_1", &view, &[])
            .into_iter()
            .map(|entry| (entry.id, entry.kind, entry.amount))
            .collect()
    }

    #[test]
    fn what_moved_is_told_once_and_what_came_back_adds_up_to_nothing() {
        let own = |kind, amount| vec![("the_1".to_owned(), kind, amount)];
        let back = |kind, reverse, amount: i64| {
            vec![
                ("the_1".to_owned(), kind, -amount),
                ("txn_9".to_owned(), reverse, amount),
            ]
        };
        let charge = |status: &str, captured: bool| json!({"status": status, "captured": captured, "amount": 900, "amount_captured": 600, "currency": "eur"});
        let moved = |status: &str, failure: Value| json!({"status": status, "amount": 900, "currency": "eur", "failure_balance_transaction": failure});
        for (family, row, expected) in [
            (
                Family::Charge,
                charge("succeeded", true),
                own("charge", 600),
            ),
            (Family::Charge, charge("succeeded", false), vec![]),
            (Family::Charge, charge("failed", true), vec![]),
            (
                Family::Charge,
                json!({"status": "succeeded", "captured": true, "amount": 900}),
                vec![],
            ),
            (
                Family::Refund,
                moved("succeeded", json!(null)),
                own("refund", -900),
            ),
            (
                Family::Refund,
                moved("pending", json!(null)),
                own("refund", -900),
            ),
            (Family::Refund, moved("canceled", json!(null)), vec![]),
            (Family::Refund, moved("failed", json!(null)), vec![]),
            (
                Family::Refund,
                moved("failed", json!("txn_9")),
                back("refund", "refund_failure", 900),
            ),
            (
                Family::Payout,
                moved("in_transit", json!(null)),
                own("payout", -900),
            ),
            (
                Family::Payout,
                moved("paid", json!(null)),
                own("payout", -900),
            ),
            (
                Family::Payout,
                moved("failed", json!("txn_9")),
                back("payout", "payout_failure", 900),
            ),
            (Family::Payout, moved("canceled", json!(null)), vec![]),
            (Family::CreditNote, moved("issued", json!(null)), vec![]),
            (
                Family::PaymentIntent,
                moved("succeeded", json!(null)),
                vec![],
            ),
        ] {
            assert_eq!(told(family, &row), expected, "{family} {row}");
        }
    }

    #[test]
    fn what_was_released_never_moved() {
        let released = |transaction: Value| json!({"status": "succeeded", "amount": 600, "currency": "eur", "balance_transaction": transaction});
        assert_eq!(told(Family::Refund, &released(Value::Null)), []);
        let reversal = told(Family::Refund, &released(json!("txn_1")));
        assert_eq!(reversal, [("the_1".to_owned(), "refund", -600)]);
        let captured = |refunded: i64| {
            json!({
                "status": "succeeded", "captured": true, "amount": 900, "amount_captured": 300,
                "amount_refunded": refunded, "currency": "eur",
            })
        };
        // With the reversal it comes to 300, too.
        let charge = |amount| [("the_1".to_owned(), "charge", amount)];
        assert_eq!(told(Family::Charge, &captured(600)), charge(900));
        assert_eq!(told(Family::Charge, &captured(0)), charge(300));
        assert_eq!(told(Family::Charge, &captured(300)), charge(300));
    }

    #[test]
    fn what_a_charge_told_at_its_capture_says_how_it_came() {
        let charge = |refunded: i64| {
            json!({
                "status": "succeeded", "captured": true, "amount": 900, "amount_captured": 500,
                "amount_refunded": refunded, "currency": "eur",
            })
        };
        let row = view(Family::Charge, &charge(400));
        for (first, expected) in [(0, 500), (400, 900)] {
            let mut told = [
                snapshot(Family::Charge, 1, &charge(first)),
                snapshot(Family::Charge, 2, &charge(400)),
            ];
            for _ in 0..2 {
                let entries = entries(Family::Charge, "the_1", &row, &told);
                assert_eq!(entries[0].amount, expected, "{first} at first");
                told.reverse();
            }
        }
    }

    #[test]
    fn a_disputes_movements_are_the_union_of_what_any_event_shows() {
        let movement = |id: &str, amount: i64| json!({"id": id, "amount": amount, "currency": "eur", "fee": 1500, "created": 9});
        let dispute = |created, movements: Vec<Value>| {
            snapshot(
                Family::Dispute,
                created,
                &json!({ "balance_transactions": movements }),
            )
        };
        let mut snapshots = vec![
            dispute(1, vec![]),
            dispute(2, vec![movement("txn_1", -900)]),
            // Only the newer movement, and one of which nothing is shown.
            dispute(3, vec![movement("txn_2", 900), json!("txn_3")]),
        ];
        let first = entries(Family::Dispute, "the_1", &View::default(), &snapshots);
        let shown: Vec<_> = first
            .iter()
            .map(|entry| (entry.id.as_str(), entry.kind, entry.amount, entry.fee))
            .collect();
        assert_eq!(
            shown,
            [
                ("txn_1", "funds_withdrawn", -900, Some(1500)),
                ("txn_2", "funds_reinstated", 900, Some(1500))
            ]
        );
        snapshots.reverse();
        assert_eq!(
            entries(Family::Dispute, "the_1", &View::default(), &snapshots),
            first
        );
    }
}
