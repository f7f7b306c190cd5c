//! What there is to write for an event, or for an answer of Stripe's: read from its bodies, before any row is looked at.

use std::collections::BTreeSet;

use crate::guardrails::mandatory::facts::Fact;
use crate::guardrails::mandatory::snapshot::Snapshot;
use crate::guardrails::mandatory::{rule_of, update};
use crate::store::error::StoreError;
use crate::store::records::ClaimedEvent;
use crate::stripe::event::Event;
use crate::stripe::links::{Edge, Node, NodeKind, edges};
use crate::stripe::view::Family;

/// Everything that the unapplied bodies of one event say.
pub(crate) struct Work {
    pub(crate) family: Family,
    pub(crate) object: Subject,
    pub(crate) customer: Option<String>,
    pub(super) snapshots: Vec<Snapshot>,
    pub(crate) links: Vec<Edge>,
    pub(crate) facts: Vec<Fact>,
    /// Why nothing of the object is kept.
    pub(super) remark: Option<&'static str>,
    /// What has to be sent as `Stripe-Context` by whoever asks about it.
    pub(super) context: Option<String>,
}

/// The event's object: its id, and its node where links know it.
pub(crate) struct Subject {
    pub(super) id: String,
    pub(super) node: Option<Node>,
}

impl Work {
    pub(super) fn of(claimed: &ClaimedEvent) -> Result<Option<Self>, StoreError> {
        let Some(rule) = rule_of(&claimed.event_type) else {
            return Ok(None);
        };
        let mut work: Option<Self> = None;
        for (_, body) in &claimed.bodies {
            let event =
                Event::parse(body, claimed.received_at).map_err(|source| StoreError::Body {
                    event: claimed.id.clone(),
                    source,
                })?;
            let update = update(rule, &event, &claimed.account)?;
            let work = work
                .get_or_insert_with(|| Self::about(rule.family, update.object, event.customer()));
            work.context = work.context.take().or(event.context);
            work.remark = update.remark.or(work.remark);
            work.snapshots.extend(update.snapshot);
            work.links.extend(update.links);
            work.facts.extend(update.facts);
        }
        Ok(work)
    }

    /// Everything that one object says which Stripe was asked for: no facts, because nothing happened by asking.
    pub(in crate::store) fn of_fetched(event: &Event, snapshot: Snapshot) -> Self {
        let family = snapshot.family;
        let links = edges(family, &snapshot.object, &event.object);
        let mut work = Self::about(family, snapshot.object.clone(), event.customer());
        work.links = links;
        work.snapshots.push(snapshot);
        work
    }

    fn about(family: Family, id: String, customer: Option<&str>) -> Self {
        Self {
            family,
            object: Subject {
                node: NodeKind::of(family)
                    .filter(|_| !id.is_empty())
                    .map(|kind| Node::new(kind, id.clone())),
                id,
            },
            customer: customer.map(str::to_owned),
            snapshots: Vec::new(),
            links: Vec::new(),
            facts: Vec::new(),
            remark: None,
            context: None,
        }
    }

    /// The objects the event itself shows.
    pub(super) fn nodes(&self) -> BTreeSet<Node> {
        let linked = self
            .links
            .iter()
            .flat_map(|edge| [edge.first(), edge.last()]);
        linked.chain(&self.object.node).cloned().collect()
    }
}
