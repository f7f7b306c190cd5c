//! How much of a payment was paid back: a function of its charge rows and its refund rows, whichever of them are known.
//!
//! `charge.amount_refunded` is cumulative: it is set, never added to (docs.stripe.com/api/charges/object). It counts
//! every refund that was made, and may be older than the refunds' own rows. A refund may fail after it succeeded, and
//! the money is the business's again (docs.stripe.com/refunds#failed-refunds).
//!
//! Where less is captured than was reserved, the rest is released (docs.stripe.com/payments/place-a-hold-on-a-payment-method):
//! the customer never paid it. Until 2025-03-31.basil Stripe told the release as a refund and counted it in `amount_refunded`,
//! since then it does neither (docs.stripe.com/changelog/basil/2025-03-31/remove-refund-from-partial-capture-and-payment-cancellation-flow).
//! Which of both it was follows from the amounts, as far as they can tell: the version of whoever captured is not known.

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
    let mut told = sum(charges.iter().map(told));
    let mut refunds: Vec<&View> = refunds.iter().collect();
    let rest = sum(charges.iter().map(released));
    if rest > 0 {
        let release = refunds.iter().position(|row| may_release(row, rest));
        let known = sum(refunds.iter().map(|row| amount(row)));
        let of_it = charges.iter().any(counts_more_than_was_kept);
        if let Some(release) = release {
            refunds.remove(release);
            told = told.saturating_sub(rest);
        } else if of_it || known < told {
            told = told.saturating_sub(rest);
        }
    }
    let known = sum(refunds.iter().map(|row| amount(row)));
    let good = refunds.iter().filter(|row| !came_back(row));
    let good = sum(good.map(|row| amount(row)));
    if told >= known {
        told.saturating_sub(known.saturating_sub(good))
    } else {
        good.max(told)
    }
}

/// What `amount_refunded` of a charge may count although nobody paid it: what was reserved and not captured.
///
/// None where the charge tells of less than that, or calls itself refunded in full and tells of less than was reserved:
/// then refunds alone are counted.
pub(super) fn released(charge: &View) -> i64 {
    let (Some(reserved), Some(captured)) = (charge.int("amount"), charge.int("amount_captured"))
    else {
        return 0;
    };
    if charge.flag("captured") != Some(true) || captured < 0 {
        return 0;
    }
    let rest = reserved.saturating_sub(captured).max(0);
    let told = told(charge);
    let in_full = charge.flag("refunded") == Some(true) && told < reserved;
    if told < rest || in_full { 0 } else { rest }
}

/// More than was kept cannot be paid back, so the rest must be counted.
fn counts_more_than_was_kept(charge: &View) -> bool {
    let kept = charge.int("amount_captured");
    kept.is_some_and(|kept| told(charge) > kept)
}

/// Whether a refund can be the release of `rest`: nobody gave a reason for it, and it cannot fail.
fn may_release(refund: &View, rest: i64) -> bool {
    amount(refund) == rest && refund.text("reason").is_none() && !came_back(refund)
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
    fn what_was_released_was_not_paid_back() {
        // Reserved were 900. Captured, told as refunded, called refunded, refunds, and what was paid back.
        for (captured, told, whole, rows, expected, why) in [
            (300, 600, false, vec![], 0, "the rest was released"),
            (300, 600, false, vec![600], 0, "and told as a refund"),
            (300, 700, false, vec![600], 100, "and some was paid back"),
            (300, 700, false, vec![600, 100], 100, "by a known refund"),
            (300, 900, true, vec![600, 300], 300, "all was paid back"),
            (300, 900, true, vec![300], 300, "the release is not known"),
            (300, 0, false, vec![], 0, "since basil it is not told"),
            (300, 100, false, vec![100], 100, "and some was paid back"),
            (300, 300, true, vec![300], 300, "and all was paid back"),
            (500, 500, true, vec![500], 500, "and more than the rest was"),
            (500, 450, false, vec![450], 450, "no refund is the release"),
            (500, 400, false, vec![400], 0, "a release, as far as told"),
        ] {
            let charge = json!({
                "amount": 900, "amount_captured": captured, "captured": true,
                "amount_refunded": told, "refunded": whole,
            });
            let charge = view(Family::Charge, &charge);
            let rows: Vec<_> = rows.iter().map(|row| (*row, "succeeded")).collect();
            let mut known = refunds(&rows);
            for _ in 0..2 {
                let paid = paid_back(std::slice::from_ref(&charge), &known);
                assert_eq!(paid, expected, "{why}");
                known.reverse();
            }
        }
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
