//! How much of a payment was paid back: a function of its charge rows and its refund rows, whichever of them are known.
//!
//! `charge.amount_refunded` is cumulative: it is set, never added to (docs.stripe.com/api/charges/object). It counts
//! every refund that was made, and may be older than the refunds' own rows. A refund may fail after it succeeded, and
//! the money is the business's again (docs.stripe.com/refunds#failed-refunds).

use crate::stripe::view::View;

/// The states of a refund whose money never left, or came back.
const CAME_BACK: &[&str] = &["failed", "canceled"];

/// Whether the money of a refund is the business's again.
pub fn came_back(refund: &View) -> bool {
    refund
        .text("status")
        .is_some_and(|status| CAME_BACK.contains(&status))
}

/// What was paid back of one payment, in minor units. Only one charge of a payment can have been captured.
///
/// With `known` the sum of all refunds whose rows are known, and `good` the sum of those that hold: where the charge
/// tells of at least as much as is known, it counts those that came back, too, and they are taken off. Where it tells of
/// less, it is older than the refunds or has forgotten them, and the larger of what it tells and what holds is true.
pub fn paid_back(charges: &[View], refunds: &[View]) -> i64 {
    if !charges.is_empty() && charges.iter().all(was_never_captured) {
        // What was only reserved is released, which Stripe tells as a refund.
        return 0;
    }
    let told = sum(charges.iter().map(told));
    let known = sum(refunds.iter().map(amount));
    let good = sum(refunds.iter().filter(|row| !came_back(row)).map(amount));
    if told >= known {
        told.saturating_sub(known.saturating_sub(good))
    } else {
        good.max(told)
    }
}

fn was_never_captured(charge: &View) -> bool {
    charge.flag("captured") == Some(false)
}

fn told(charge: &View) -> i64 {
    if was_never_captured(charge) {
        return 0;
    }
    charge.int("amount_refunded").unwrap_or(0).max(0)
}

fn amount(refund: &View) -> i64 {
    refund.int("amount").unwrap_or(0).max(0)
}

fn sum(amounts: impl Iterator<Item = i64>) -> i64 {
    amounts.fold(0, i64::saturating_add)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::guardrails::mandatory::lattice;
    use crate::stripe::view::{Family, view};

    fn refunds(rows: &[(i64, &str)]) -> Vec<View> {
        rows.iter()
            .map(|(amount, status)| {
                let refund = json!({ "amount": amount, "status": status });
                view(Family::Refund, &refund)
            })
            .collect()
    }

    #[test]
    fn what_the_charge_tells_and_what_the_refunds_tell_come_to_one_amount() {
        let (good, bad, off) = ("succeeded", "failed", "canceled");
        for (told, rows, expected, why) in [
            (None, vec![], 0, "nothing is known"),
            (Some(0), vec![], 0, "nothing was paid back"),
            (Some(500), vec![], 500, "only the charge is known"),
            (None, vec![(500, good)], 500, "only the refund is known"),
            (Some(500), vec![(500, good)], 500, "both tell of one refund"),
            (Some(0), vec![(500, good)], 500, "the charge is older"),
            (Some(800), vec![(500, good)], 800, "one refund is not known"),
            (Some(500), vec![(500, bad)], 0, "it came back"),
            (Some(0), vec![(500, bad)], 0, "and the charge says so"),
            (
                Some(500),
                vec![(500, bad), (500, good)],
                500,
                "made once more",
            ),
            (
                Some(1000),
                vec![(500, bad), (500, good)],
                500,
                "and the charge counts both",
            ),
            (
                Some(800),
                vec![(300, off), (500, good)],
                500,
                "one was canceled",
            ),
            (None, vec![(300, "pending")], 300, "on its way"),
            (None, vec![(300, "requires_action")], 300, "owed"),
            (None, vec![(300, "something_new")], 300, "not known to fail"),
        ] {
            let charges: Vec<View> = told
                .map(|told| view(Family::Charge, &json!({ "amount_refunded": told })))
                .into_iter()
                .collect();
            assert_eq!(paid_back(&charges, &refunds(&rows)), expected, "{why}");
        }
    }

    #[test]
    fn what_was_never_captured_cannot_be_paid_back() {
        let charge = |captured| {
            let released = json!({ "amount_refunded": 900, "captured": captured });
            view(Family::Charge, &released)
        };
        assert_eq!(
            paid_back(&[charge(false)], &refunds(&[(900, "succeeded")])),
            0
        );
        let declined = view(
            Family::Charge,
            &json!({ "captured": false, "amount_refunded": 0 }),
        );
        assert_eq!(paid_back(&[declined, charge(true)], &[]), 900);
    }

    #[test]
    fn amounts_that_cannot_be_do_not_overflow() {
        let charge = view(Family::Charge, &json!({ "amount_refunded": -5 }));
        let most = refunds(&[(i64::MAX, "succeeded"), (i64::MAX, "failed")]);
        assert_eq!(paid_back(&[charge], &most), i64::MAX);
    }

    #[test]
    fn a_refund_that_leads_nowhere_came_back() {
        let states = lattice::of(Family::Refund).unwrap().states;
        let last = states.iter().filter(|state| state.next.is_empty());
        let last: Vec<&str> = last.map(|state| state.name).collect();
        assert_eq!(last, CAME_BACK);
    }
}
