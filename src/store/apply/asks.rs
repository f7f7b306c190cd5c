//! What an event leaves open that Stripe could answer. Pure; whether anybody can ask is not its concern.

use super::Work;
use super::graph::{Graph, pays};
use crate::guardrails::mandatory::facts::FactKind;
use crate::store::fetches::{Reason, is_cut_short};
use crate::stripe::links::{Node, NodeKind};
use crate::stripe::resource;
use crate::stripe::view::{Family, View};

/// What is asked about the event's own object. `row` is what its projection came to, `subscribes` whether its customer
/// ever had a subscription.
pub(super) fn asks(
    work: &Work,
    row: Option<&View>,
    tie: bool,
    graph: &Graph,
    subscribes: bool,
) -> Vec<Reason> {
    let can_be_asked = resource::path(work.family, &work.object.id).is_some();
    let mut asked = Vec::new();
    if tie && can_be_asked {
        asked.push(Reason::Tie);
    }
    if row.is_some_and(|row| is_cut_short(work.family, row)) {
        asked.push(Reason::List);
    }
    if can_be_asked && !costs_nothing(work, row) && lacks_its_link(work, graph, subscribes) {
        asked.push(Reason::Links);
    }
    asked
}

/// Whether it failed or succeeded, and nothing says to which invoice it belongs, or by which payment it was to be paid.
///
/// The basil versions show neither (docs.stripe.com/changelog/basil/2025-03-31/add-support-for-multiple-partial-payments-on-invoices);
/// older ones say null where there is none, which settles it. What a customer without subscriptions pays is hardly
/// ever an invoice's, and there are many such payments: about those nobody is asked.
fn lacks_its_link(work: &Work, graph: &Graph, subscribes: bool) -> bool {
    let (other, field) = match work.family {
        Family::PaymentIntent if subscribes => (NodeKind::Invoice, "invoice"),
        Family::Invoice => (NodeKind::PaymentIntent, "payment_intent"),
        _ => return false,
    };
    let Some(node) = &work.object.node else {
        return false;
    };
    let tells = |kind| matches!(kind, FactKind::Failure | FactKind::Success);
    let is_said = |fields: &View| fields.is_present(field);
    work.facts.iter().any(|fact| tells(fact.kind))
        && !work.snapshots.iter().any(|one| is_said(&one.fields))
        && !reaches(graph, node, other)
}

/// An invoice over nothing is paid without a payment, so there is none to ask for: one whose total is zero, that a balance
/// pays, or that is smaller than what can be charged (docs.stripe.com/api/invoices/object#invoice_object-amount_due).
fn costs_nothing(work: &Work, row: Option<&View>) -> bool {
    work.family == Family::Invoice && row.and_then(|row| row.int("amount_due")) == Some(0)
}

fn reaches(graph: &Graph, node: &Node, kind: NodeKind) -> bool {
    let linked = graph.connected(&[node.clone()].into(), pays);
    linked.iter().any(|other| other.kind == kind)
}
