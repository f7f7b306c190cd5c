//! Which business fact an event belongs to, so that each has one follow-up however many events tell it.
//!
//! One failed renewal makes Stripe send `charge.failed`, `payment_intent.payment_failed`, `invoice.payment_failed`,
//! `invoice.updated` and `customer.subscription.updated` within a second, in any order, and newer API versions do not
//! even link the payment intent to its invoice. Facts are joined by the objects they name, by links, and at last by
//! customer, amount and second.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Timestamp, micros};
use crate::guardrails::mandatory::facts::{Fact, FactKind, Lead};
use crate::stripe::links::{Node, NodeKind};

/// Events about one failure are created within this time of each other.
pub const SAME_FAILURE: Duration = Duration::from_secs(5);

/// A business fact, as it is stored: everything its facts named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Occurrence {
    /// An id of ours that never changes.
    pub id: String,
    /// What kind of fact it is.
    pub kind: FactKind,
    /// The greatest follow-up asked for so far.
    pub lead: Option<Lead>,
    /// The customer.
    pub customer: Option<String>,
    /// Amount and currency.
    pub amount: Option<(i64, String)>,
    /// `created` of the first event that told it.
    pub created: Timestamp,
    /// When its first event was received; an occurrence of before this was kept has none.
    #[serde(default)]
    pub received: Option<Timestamp>,
    /// The objects that its facts named.
    pub nodes: BTreeSet<Node>,
    /// The charges that its facts named as the failed one.
    pub charges: BTreeSet<String>,
    /// The invoices and attempts that its facts named.
    pub attempts: BTreeSet<(String, i64)>,
    /// The end of the trial that it is about.
    #[serde(default)]
    pub trial_end: Option<i64>,
    /// Why the invoice could not be finalized.
    #[serde(default)]
    pub reason: Option<String>,
    /// Invoice and payment were joined by amount and time, not by a link; no third may join so.
    pub matched: bool,
}

/// An occurrence among those that a fact might belong to.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The occurrence.
    pub occurrence: Occurrence,
    /// Its follow-up is absent or still waiting: nothing was done for it yet.
    pub open: bool,
}

/// How two occurrences, or a fact and an occurrence, belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bond {
    /// Objects or links tell.
    Linked,
    /// Customer, amount and second tell.
    Matched,
}

impl Occurrence {
    /// An occurrence that `fact` opens.
    pub fn open(id: String, fact: &Fact) -> Self {
        let mut occurrence = Self {
            id,
            kind: fact.kind,
            lead: None,
            customer: None,
            amount: None,
            created: fact.created,
            received: None,
            nodes: BTreeSet::new(),
            charges: BTreeSet::new(),
            attempts: BTreeSet::new(),
            trial_end: None,
            reason: None,
            matched: false,
        };
        occurrence.add(fact);
        occurrence
    }

    /// Takes in what a further fact of the same occurrence names.
    pub fn add(&mut self, fact: &Fact) {
        self.lead = self.lead.max(fact.lead);
        self.customer = self.customer.take().or_else(|| fact.customer.clone());
        // The invoice's amount due and the payment's amount agree where it matters; the first one known stands.
        self.amount = self.amount.take().or_else(|| fact.amount.clone());
        self.created = self.created.min(fact.created);
        self.nodes.extend(fact.nodes.iter().cloned());
        self.charges.extend(fact.charge.iter().cloned());
        self.attempts.extend(fact.attempt.iter().cloned());
        self.trial_end = self.trial_end.or(fact.trial_end);
        self.reason = self.reason.take().or_else(|| fact.reason.clone());
    }

    /// Takes in everything of an occurrence that turned out to be the same.
    pub fn absorb(&mut self, other: &Self) {
        self.lead = self.lead.max(other.lead);
        self.customer = self.customer.take().or_else(|| other.customer.clone());
        self.amount = self.amount.take().or_else(|| other.amount.clone());
        self.created = self.created.min(other.created);
        self.received = self.received.into_iter().chain(other.received).min();
        self.nodes.extend(other.nodes.iter().cloned());
        self.charges.extend(other.charges.iter().cloned());
        self.attempts.extend(other.attempts.iter().cloned());
        self.matched |= other.matched;
    }

    /// Notes that one of its events was received.
    pub fn hear(&mut self, received: Timestamp) {
        self.received = self.received.into_iter().chain([received]).min();
    }

    fn names(&self, kind: NodeKind) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.kind == kind)
    }

    fn is_about_an_invoice(&self) -> bool {
        self.names(NodeKind::Invoice).next().is_some()
    }

    fn is_about_a_payment(&self) -> bool {
        self.names(NodeKind::PaymentIntent).next().is_some() || !self.charges.is_empty()
    }

    fn is_only_past_due(&self) -> bool {
        self.lead == Some(Lead::SubscriptionPastDue) && self.attempts.is_empty()
    }

    fn is_near(&self, other: &Self) -> bool {
        micros(SAME_FAILURE) >= (self.created.0 - other.created.0).abs()
    }

    /// Whether an object that `reach` connects to this occurrence leads to the other.
    ///
    /// A subscription fails again with each of its invoices, so it connects only what says nothing but "past due".
    fn meets(&self, other: &Self, reach: &BTreeSet<Node>) -> bool {
        let past_due = self.is_only_past_due() || other.is_only_past_due();
        reach
            .intersection(&other.nodes)
            .any(|node| node.kind != NodeKind::Subscription || past_due)
    }

    /// Whether both are one business fact, given that objects or links connect them.
    fn is_same(&self, other: &Self, both_open: bool) -> bool {
        match self.kind {
            // A payment is one payment intent; an invoice may be paid by several.
            FactKind::Success => !self.name_others(other, NodeKind::PaymentIntent),
            FactKind::Failure => self.is_same_failure(other, both_open),
            // Their names say it all.
            FactKind::Ended | FactKind::Dispute | FactKind::Trial | FactKind::Alert => false,
        }
    }

    fn is_same_failure(&self, other: &Self, both_open: bool) -> bool {
        let near = self.is_near(other);
        let other_invoice = self.name_others(other, NodeKind::Invoice);
        if self.is_only_past_due() || other.is_only_past_due() {
            // "Past due" follows from a failure, perhaps days after it; it never is a second one. A failure that comes
            // days after it is. Which invoice is the latest says little where both are of one second.
            let (failure, past_due) = if self.is_only_past_due() {
                (other, self)
            } else {
                (self, other)
            };
            let follows = past_due.created >= failure.created;
            return near || (!other_invoice && (both_open || follows));
        }
        if other_invoice {
            return false;
        }
        if let Some(same) = agree(&self.attempts, &other.attempts) {
            return same;
        }
        if !self.charges.is_empty() && !other.charges.is_empty() {
            return !self.charges.is_disjoint(&other.charges);
        }
        near
    }

    /// Whether both name objects of a kind, and none of them in common.
    fn name_others(&self, other: &Self, kind: NodeKind) -> bool {
        let mine: BTreeSet<&Node> = self.names(kind).collect();
        let theirs: BTreeSet<&Node> = other.names(kind).collect();
        !mine.is_empty() && !theirs.is_empty() && mine.is_disjoint(&theirs)
    }

    /// Whether both may be one failure that no link connects: same customer, currency and amount, within seconds, one
    /// about an invoice and the other about a payment.
    fn could_match(&self, other: &Self) -> bool {
        let complementary = (self.is_about_an_invoice()
            && !self.is_about_a_payment()
            && other.is_about_a_payment()
            && !other.is_about_an_invoice())
            || (other.is_about_an_invoice()
                && !other.is_about_a_payment()
                && self.is_about_a_payment()
                && !self.is_about_an_invoice());
        self.kind == FactKind::Failure
            && other.kind == FactKind::Failure
            && complementary
            && !self.matched
            && !other.matched
            && self.customer.is_some()
            && self.customer == other.customer
            && self.amount.is_some()
            && self.amount == other.amount
            && self.is_near(other)
    }
}

/// Whether two sets of (invoice, attempt) agree, where they speak of the same invoice.
fn agree(mine: &BTreeSet<(String, i64)>, theirs: &BTreeSet<(String, i64)>) -> Option<bool> {
    let speak = mine
        .iter()
        .any(|(invoice, _)| theirs.iter().any(|(other, _)| invoice == other));
    speak.then(|| !mine.is_disjoint(theirs))
}

/// What joining a fact comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    /// The occurrence the fact belongs to, with the fact and everything merged taken in.
    pub occurrence: Occurrence,
    /// Whether it is new.
    pub opened: bool,
    /// Occurrences that turned out to be the same; they end as merged into it.
    pub merged: Vec<String>,
}

/// Places a new `fact`. `linked` are the objects that links connect it to; `new_id` is used if it opens an occurrence.
///
/// `candidates` must hold every unmerged occurrence that shares an object with `linked`, and those of the customer of
/// about the same second.
pub fn place(
    fact: &Fact,
    linked: &BTreeSet<Node>,
    candidates: &[Candidate],
    new_id: String,
) -> Placement {
    let fresh = Occurrence::open(new_id, fact);
    let fresh = Candidate {
        occurrence: fresh,
        open: true,
    };
    settle(&fresh, true, linked, candidates)
}

/// Joins an existing occurrence with others after new links: the same rules, without a new fact.
pub fn rejoin(
    existing: &Candidate,
    linked: &BTreeSet<Node>,
    candidates: &[Candidate],
) -> Placement {
    settle(existing, false, linked, candidates)
}

fn settle(
    start: &Candidate,
    fresh: bool,
    linked: &BTreeSet<Node>,
    candidates: &[Candidate],
) -> Placement {
    let start_id = start.occurrence.id.clone();
    let mut rest: Vec<&Candidate> = candidates
        .iter()
        .filter(|c| c.occurrence.id != start_id)
        .collect();
    // Of several attempts the nearest is meant.
    rest.sort_by_key(|c| {
        let apart = (c.occurrence.created.0 - start.occurrence.created.0).abs();
        (apart, c.occurrence.id.clone())
    });
    let mut joined = vec![start.clone()];
    let mut whole = start.occurrence.clone();
    let mut reach: BTreeSet<Node> = linked.union(&whole.nodes).cloned().collect();
    // What is joined may reach further, so this goes on until nothing more belongs.
    while let Some((at, bond)) = next_bond(&whole, &reach, &joined, &rest) {
        let found = rest.remove(at);
        reach.extend(found.occurrence.nodes.iter().cloned());
        whole.absorb(&found.occurrence);
        whole.matched |= bond == Bond::Matched;
        joined.push(found.clone());
    }
    // The one that already had effects stands; among equals the oldest, and never the one just made.
    joined.sort_by_key(|c| {
        (
            c.open,
            c.occurrence.id == start_id && fresh,
            c.occurrence.created,
            c.occurrence.id.clone(),
        )
    });
    let survivor = joined
        .first()
        .map_or(start_id.clone(), |c| c.occurrence.id.clone());
    let merged = joined
        .iter()
        .map(|c| c.occurrence.id.clone())
        .filter(|id| *id != survivor && (!fresh || *id != start_id))
        .collect();
    whole.id.clone_from(&survivor);
    Placement {
        opened: fresh && survivor == start_id,
        occurrence: whole,
        merged,
    }
}

fn next_bond(
    whole: &Occurrence,
    reach: &BTreeSet<Node>,
    joined: &[Candidate],
    rest: &[&Candidate],
) -> Option<(usize, Bond)> {
    let whole_open = joined.iter().all(|c| c.open);
    let linked = rest.iter().position(|c| {
        c.occurrence.kind == whole.kind
            && whole.meets(&c.occurrence, reach)
            && whole.is_same(&c.occurrence, whole_open && c.open)
    });
    if let Some(at) = linked {
        return Some((at, Bond::Linked));
    }
    let mut matches = rest
        .iter()
        .enumerate()
        .filter(|(_, c)| whole.could_match(&c.occurrence));
    let (at, candidate) = matches.next()?;
    if matches.next().is_some() {
        return None;
    }
    // A match is a guess. It must not swallow an invoice's mail because a payment's went out.
    let allowed = match (whole_open, candidate.open) {
        (true, true) => true,
        (true, false) => candidate.occurrence.is_about_an_invoice(),
        (false, true) => whole.is_about_an_invoice(),
        (false, false) => false,
    };
    allowed.then_some((at, Bond::Matched))
}

#[cfg(test)]
mod tests;
