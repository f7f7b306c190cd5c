//! What events say of a trial.

use super::{Fact, FactKind, Lead, base};
use crate::stripe::event::Event;
use crate::stripe::links::NodeKind;
use crate::stripe::view::{Family, View};

/// `customer.subscription.trial_will_end`: three days before, or at once where a trial is shorter
/// (docs.stripe.com/billing/subscriptions/trials). The end is part of the name: a trial that was extended ends again.
pub fn trial_will_end(event: &Event, fields: &View) -> Vec<Fact> {
    let Some((base, end)) = base(event, fields, Family::Subscription).zip(fields.int("trial_end"))
    else {
        return Vec::new();
    };
    let mut fact = base.fact(
        format!("subscription:{}:trial_ends:{end}", base.id),
        FactKind::Trial,
        Some(Lead::TrialEnding),
    );
    // Its latest invoice is the one of nothing that began the trial.
    fact.nodes
        .retain(|node| node.kind == NodeKind::Subscription);
    fact.trial_end = Some(end);
    vec![fact]
}
