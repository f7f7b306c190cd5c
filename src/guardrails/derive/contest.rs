//! How a dispute stands, in the few words that orders and access go by.
//!
//! After Stripe's list of statuses (docs.stripe.com/api/disputes/object#dispute_object-status). An inquiry, whose
//! statuses begin with `warning_`, is a question of the bank's: no money moves unless it becomes a dispute
//! (docs.stripe.com/disputes/how-disputes-work).

use crate::stripe::view::View;

/// How a dispute stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contest {
    /// The bank asks; the money is still there.
    Inquiry,
    /// The money was taken back until the bank decides.
    Open,
    /// The bank decided against the business.
    Lost,
    /// It is over, and the payment stands.
    Over,
    /// In a state that no table knows: somebody should look, and nothing is concluded from it.
    Unclear,
}

const CONTESTS: &[(&str, Contest)] = &[
    ("warning_needs_response", Contest::Inquiry),
    ("warning_under_review", Contest::Inquiry),
    ("warning_closed", Contest::Over),
    ("needs_response", Contest::Open),
    ("under_review", Contest::Open),
    ("won", Contest::Over),
    ("lost", Contest::Lost),
    // Settled with the bank before it became one, since the clover versions.
    ("prevented", Contest::Over),
    // The business paid it back, which the refund itself says; until 2023-08-16.
    ("charge_refunded", Contest::Over),
];

impl Contest {
    /// How the dispute of this row stands.
    pub fn of(dispute: &View) -> Self {
        let status = dispute.text("status");
        CONTESTS
            .iter()
            .find(|(name, _)| Some(*name) == status)
            .map_or(Self::Unclear, |(_, contest)| *contest)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::guardrails::mandatory::lattice;
    use crate::stripe::view::{Family, view};

    #[test]
    fn every_state_of_a_dispute_has_its_word() {
        let states = lattice::of(Family::Dispute).unwrap().states;
        let states: BTreeSet<&str> = states.iter().map(|state| state.name).collect();
        let words: BTreeSet<&str> = CONTESTS.iter().map(|(name, _)| *name).collect();
        assert_eq!(words, states);
    }

    #[test]
    fn what_no_table_knows_concludes_nothing() {
        for status in [json!("something_new"), json!(null), json!(7)] {
            let row = view(Family::Dispute, &json!({ "status": status }));
            assert_eq!(Contest::of(&row), Contest::Unclear, "{status}");
        }
    }
}
