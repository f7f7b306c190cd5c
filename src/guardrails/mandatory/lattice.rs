//! Which state may follow which, as tables: what the projection, `billhook events types` and alerts read.
//!
//! The moves are those of Stripe's documentation (docs.stripe.com/payments/paymentintents/lifecycle,
//! docs.stripe.com/billing/subscriptions/overview, docs.stripe.com/invoicing/overview, docs.stripe.com/disputes,
//! docs.stripe.com/refunds, docs.stripe.com/payouts) and of the comments in Stripe's own libraries. No table refuses
//! anything: what Stripe says is so. A move that no table knows is only told to the operator.

mod tables;

use std::collections::BTreeSet;

use crate::stripe::view::{Family, View};

pub use self::tables::LATTICES;

/// One state of an object.
#[derive(Debug)]
pub struct State {
    /// Stripe's word for it.
    pub name: &'static str,
    /// The states that may come next.
    pub next: &'static [&'static str],
    /// Moves that Stripe makes to correct itself: they count, and somebody should know.
    pub corrections: &'static [&'static str],
    /// Nothing leaves it, and an earlier state that is told later changes nothing.
    pub absorbs: bool,
    /// How far the object has come, for events of one second. A state that no table knows counts as the furthest.
    pub rank: i64,
}

/// What tells apart two snapshots of one second. Larger is later.
#[derive(Debug, Clone, Copy)]
pub enum Measure {
    /// The rank of the state.
    State,
    /// A number that only grows.
    Number(&'static str),
    /// Yes is later than no.
    Flag(&'static str),
    /// Something is later than nothing.
    Present(&'static str),
    /// Anything else is later than this value.
    Not(&'static str, &'static str),
}

/// The states of the objects of a family.
#[derive(Debug)]
pub struct Lattice {
    /// Whose.
    pub family: Family,
    /// The states; the first are those it may begin in.
    pub states: &'static [State],
    /// What orders snapshots of one second, the weightiest first.
    pub measures: &'static [Measure],
}

const fn state(name: &'static str, next: &'static [&'static str]) -> State {
    State {
        name,
        next,
        corrections: &[],
        absorbs: false,
        rank: 0,
    }
}

impl State {
    const fn absorbing(self) -> Self {
        Self {
            absorbs: true,
            ..self
        }
    }

    const fn ranked(self, rank: i64) -> Self {
        Self { rank, ..self }
    }

    const fn corrected_to(self, corrections: &'static [&'static str]) -> Self {
        Self {
            corrections,
            ..self
        }
    }
}

/// The table of a family, if its objects have states.
pub fn of(family: Family) -> Option<&'static Lattice> {
    LATTICES.iter().find(|lattice| lattice.family == family)
}

/// How an object moved from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// As the table says, perhaps over states that nobody told.
    Expected,
    /// Stripe corrected itself.
    Correction,
    /// No table knows of it.
    Unknown,
}

impl Lattice {
    /// The state of this name.
    pub fn state(&self, name: &str) -> Option<&State> {
        self.states.iter().find(|state| state.name == name)
    }

    /// How an object came from one state into another.
    pub fn judge(&self, from: &str, to: &str) -> Move {
        if from == to {
            return Move::Expected;
        }
        let mut reached = BTreeSet::from([from]);
        let mut open = vec![from];
        while let Some(name) = open.pop() {
            let next = self.state(name).map_or(&[][..], |state| state.next);
            for state in next {
                if reached.insert(state) {
                    open.push(state);
                }
            }
        }
        if reached.contains(to) {
            return Move::Expected;
        }
        let corrected = self
            .state(from)
            .is_some_and(|state| state.corrections.contains(&to));
        if corrected {
            Move::Correction
        } else {
            Move::Unknown
        }
    }

    /// How far an object has come, for events of one second.
    pub fn progress(&self, fields: &View) -> Vec<i64> {
        let measured = |measure: &Measure| match *measure {
            Measure::State => self.rank(fields.text("status")),
            Measure::Number(field) => fields.int(field).unwrap_or(0),
            Measure::Flag(field) => i64::from(fields.flag(field) == Some(true)),
            Measure::Present(field) => i64::from(fields.text(field).is_some()),
            Measure::Not(field, value) => i64::from(fields.text(field) != Some(value)),
        };
        self.measures.iter().map(measured).collect()
    }

    fn rank(&self, status: Option<&str>) -> i64 {
        let known = status.and_then(|status| self.state(status));
        let last = self.states.iter().map(|state| state.rank).max();
        known.map_or_else(|| last.unwrap_or(0), |state| state.rank)
    }
}

/// Whether an object has reached a state that it cannot leave.
///
/// Beside the states of the tables, a customer that was deleted. Nothing else absorbs: a paid payout may fail, a succeeded
/// refund may fail, a lost dispute may be won, an uncollectible invoice may be paid.
pub fn is_absorbed(family: Family, fields: &View) -> bool {
    if family == Family::Customer {
        return fields.flag("deleted") == Some(true);
    }
    of(family)
        .zip(fields.text("status"))
        .and_then(|(lattice, status)| lattice.state(status))
        .is_some_and(|state| state.absorbs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_move_leads_to_a_state_of_its_table() {
        for lattice in LATTICES {
            for state in lattice.states {
                for next in state.next.iter().chain(state.corrections) {
                    assert!(
                        lattice.state(next).is_some(),
                        "{}: {} -> {next}",
                        lattice.family,
                        state.name
                    );
                }
                assert!(
                    !state.absorbs || state.next.is_empty(),
                    "{}: what absorbs, nothing leaves",
                    state.name
                );
            }
        }
    }

    #[test]
    fn moves_are_judged_by_the_table() {
        for (family, from, to, expected) in [
            (
                Family::PaymentIntent,
                "requires_payment_method",
                "succeeded",
                Move::Expected,
            ),
            (
                Family::PaymentIntent,
                "succeeded",
                "processing",
                Move::Unknown,
            ),
            (Family::Invoice, "draft", "paid", Move::Expected),
            (Family::Invoice, "uncollectible", "paid", Move::Expected),
            (Family::Invoice, "paid", "open", Move::Unknown),
            (Family::Refund, "succeeded", "failed", Move::Expected),
            (Family::Payout, "paid", "failed", Move::Expected),
            (Family::Dispute, "lost", "won", Move::Correction),
            (Family::Dispute, "warning_closed", "lost", Move::Expected),
            (Family::Subscription, "canceled", "active", Move::Unknown),
            (
                Family::Subscription,
                "active",
                "something_new",
                Move::Unknown,
            ),
        ] {
            let lattice = of(family).unwrap();
            assert_eq!(
                lattice.judge(from, to),
                expected,
                "{family}: {from} -> {to}"
            );
        }
    }
}
