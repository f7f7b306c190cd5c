//! An object's row as a projection of the set of its snapshots.
//!
//! Stripe promises no order and sends duplicates (docs.stripe.com/webhooks#event-ordering), and `created` has a
//! resolution of one second. So a row is never updated by an event: it is computed from all snapshots, and the order
//! of arrival cannot matter.

mod why;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::clock::Timestamp;
use crate::stripe::view::{Family, View};

pub use self::why::{Superseded, superseded};

use super::{lattice, rule_of};

/// Where an event type stands among the events of one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// `*.created`: the object's first state.
    Created,
    /// A hint about something to come; its payload may be older than its time.
    Hint,
    /// Everything else.
    Later,
    /// What Stripe answered when it was asked, at the end of that second.
    Fetched,
}

/// What stands for an event's type in the snapshot of an object that Stripe was asked for.
pub const FETCH: &str = "fetch";

/// One event's, or one answer's, view of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// What the object is.
    pub family: Family,
    /// The object's id.
    pub object: String,
    /// The event that showed it.
    pub event: String,
    /// The event's type.
    pub event_type: String,
    /// The API version of the body; one event may be delivered in two.
    pub api_version: String,
    /// The event's `created`.
    pub created: Timestamp,
    /// The normalized fields.
    pub fields: View,
    /// The normalized `previous_attributes`: what the changed fields were before.
    pub previous: View,
}

/// What the set of an object's snapshots comes to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Projection {
    /// The row.
    pub row: View,
    /// Which event each field's value came from.
    pub winners: BTreeMap<String, String>,
    /// Two events that say different things were told apart by their ids only.
    pub tie: bool,
}

impl Projection {
    /// Whether `event` won no field: everything it says is known better.
    pub fn is_stale(&self, event: &str) -> bool {
        !self.winners.values().any(|winner| winner == event)
    }
}

/// The field that counts from the first `past_due` since the last other status.
const PAST_DUE_SINCE: &str = "past_due_since";

/// Projects an object's snapshots. The order in which they are given does not matter.
pub fn project(snapshots: &[Snapshot]) -> Projection {
    let mut ranked: Vec<(Rank, &Snapshot)> = snapshots.iter().map(|s| (Rank::of(s), s)).collect();
    ranked.sort_by(|(a, x), (b, y)| {
        (a, &x.event, &x.api_version).cmp(&(b, &y.event, &y.api_version))
    });
    let mut projection = Projection::default();
    let mut past_due_since = None;
    for group in ranked.chunk_by(|(a, _), (b, _)| a == b) {
        let group: Vec<&Snapshot> = group.iter().map(|(_, s)| *s).collect();
        for snapshot in chain(&group, &mut projection) {
            for (field, value) in snapshot.fields.iter() {
                projection.row.insert(field, value.clone());
                projection
                    .winners
                    .insert(field.to_owned(), snapshot.event.clone());
            }
            match snapshot.fields.text("status") {
                Some("past_due") => past_due_since = past_due_since.or(Some(snapshot.created)),
                Some(_) => past_due_since = None,
                None => {}
            }
        }
    }
    if let (Some(since), Some(Family::Subscription)) =
        (past_due_since, snapshots.first().map(|s| s.family))
    {
        // Counted from the first `past_due` since the last other state; access grace hangs on it.
        projection.row.insert(PAST_DUE_SINCE, since.seconds());
    }
    projection
}

/// The short way to the same: what one more snapshot makes of a row whose newest snapshot was created at `newest`.
///
/// Nothing where the snapshot is not greater than every other, which only [`project`] can judge.
pub fn advance(row: &View, newest: Timestamp, next: &Snapshot) -> Option<Projection> {
    // A row is in a state that absorbs as soon as one of its snapshots is.
    let held =
        lattice::is_absorbed(next.family, row) && !lattice::is_absorbed(next.family, &next.fields);
    if held || next.created <= newest {
        return None;
    }
    let mut projection = Projection {
        row: row.clone(),
        ..Projection::default()
    };
    for (field, value) in next.fields.iter() {
        projection.row.insert(field, value.clone());
        projection
            .winners
            .insert(field.to_owned(), next.event.clone());
    }
    let status = next.fields.text("status");
    if next.family == Family::Subscription && status == Some("past_due") {
        if !row.is_present(PAST_DUE_SINCE) {
            let since = next.created.seconds();
            projection.row.insert(PAST_DUE_SINCE, since);
        }
    } else if status.is_some() {
        projection.row.remove(PAST_DUE_SINCE);
    }
    Some(projection)
}

/// What orders snapshots, greatest last, before the chain within a second and the event id are asked.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    absorbed: bool,
    created: Timestamp,
    phase: Phase,
    progress: Vec<i64>,
}

impl Rank {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            absorbed: lattice::is_absorbed(snapshot.family, &snapshot.fields),
            created: snapshot.created,
            phase: match rule_of(&snapshot.event_type) {
                Some(rule) => rule.phase,
                None if snapshot.event_type == FETCH => Phase::Fetched,
                None => Phase::Later,
            },
            progress: lattice::of(snapshot.family)
                .map(|lattice| lattice.progress(&snapshot.fields))
                .unwrap_or_default(),
        }
    }
}

/// Orders snapshots that nothing else tells apart by following `previous_attributes` from the row so far.
///
/// Where the chain breaks off, the events are asked about each other. Where that does not help, the event id decides and the
/// row is marked as a tie, unless the events agree. The bodies of one event, which stand together, are one step.
fn chain<'a>(group: &[&'a Snapshot], projection: &mut Projection) -> Vec<&'a Snapshot> {
    let mut rest: Vec<Step<'_, 'a>> = group.chunk_by(|a, b| a.event == b.event).collect();
    let mut ordered: Vec<&Snapshot> = Vec::with_capacity(group.len());
    let mut row = projection.row.clone();
    // A row of which nothing is known yet is in no state that could be followed.
    while rest.len() > 1 && !row.is_empty() {
        let next: Vec<usize> = rest
            .iter()
            .enumerate()
            .filter(|(_, step)| goes_on_from(&row, step))
            .map(|(at, _)| at)
            .collect();
        let [only] = next.as_slice() else { break };
        let step = rest.remove(*only);
        for (field, value) in step.iter().flat_map(|snapshot| snapshot.fields.iter()) {
            row.insert(field, value.clone());
        }
        ordered.extend(step);
    }
    // Where a later second settles everything, an earlier tie is forgotten.
    projection.tie = contradict(&rest.concat());
    if let Some(order) = projection.tie.then(|| only_order(&row, &rest)).flatten() {
        projection.tie = false;
        rest = order;
    }
    ordered.extend(rest.concat());
    ordered
}

/// The bodies of one event, the newest version last, which speaks for it.
type Step<'s, 'a> = &'s [&'a Snapshot];

/// Whether an event can be what happened next to a row of which something is known.
fn goes_on_from(row: &View, step: Step<'_, '_>) -> bool {
    step.last().is_some_and(|newest| {
        !row.is_empty() && !newest.previous.is_empty() && follows(row, &newest.previous)
    })
}

/// More events of one object in one second are not tried in every order.
const MOST_STEPS: usize = 6;

/// The one order in which each of these can have come after the one before it, and the first after the row, unless none
/// can; nothing where there are several orders, or none.
fn only_order<'s, 'a>(row: &View, steps: &[Step<'s, 'a>]) -> Option<Vec<Step<'s, 'a>>> {
    if steps.len() > MOST_STEPS {
        return None;
    }
    let goes_on = steps.iter().any(|step| goes_on_from(row, step));
    let mut orders = Vec::new();
    for (at, first) in steps.iter().enumerate() {
        if !goes_on || goes_on_from(row, first) {
            let mut others = steps.to_vec();
            others.remove(at);
            try_orders(&mut vec![*first], &others, &mut orders);
        }
    }
    match orders.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    }
}

/// Goes on from `path` in every possible way, until it is known whether there is more than one.
fn try_orders<'s, 'a>(
    path: &mut Vec<Step<'s, 'a>>,
    left: &[Step<'s, 'a>],
    orders: &mut Vec<Vec<Step<'s, 'a>>>,
) {
    if left.is_empty() {
        orders.push(path.clone());
    }
    let newest = path.last().and_then(|step| step.last().copied());
    for (at, step) in left.iter().enumerate() {
        let after = step.last().copied();
        let fits = newest
            .zip(after)
            .is_some_and(|(before, after)| comes_after(after, before));
        if fits && orders.len() < 2 {
            let mut others = left.to_vec();
            others.remove(at);
            path.push(step);
            try_orders(path, &others, orders);
            path.pop();
        }
    }
}

/// Whether an event can be the next after another: what it changed was as the other says, and so is what it did not change.
fn comes_after(after: &Snapshot, before: &Snapshot) -> bool {
    let is_unchanged = |field: &str| after.previous.get(field).is_none();
    let mut rest = after.fields.iter().filter(|(field, _)| is_unchanged(field));
    !after.previous.is_empty()
        && follows(&before.fields, &after.previous)
        && rest.all(|(field, value)| before.fields.get(field).is_none_or(|known| known == value))
}

/// Whether two events say different things of one field.
///
/// What only one of them says, because another API version shaped it, stands whoever is last. Two bodies of one event
/// differ in shape, not in what they say: the newer version stands last, and speaks for the event.
fn contradict(snapshots: &[&Snapshot]) -> bool {
    let mut said: BTreeMap<&str, (&Value, &str)> = BTreeMap::new();
    snapshots.iter().any(|snapshot| {
        snapshot.fields.iter().any(|(field, value)| {
            let before = said.insert(field, (value, &snapshot.event));
            before.is_some_and(|(other, event)| event != snapshot.event && other != value)
        })
    })
}

/// Whether a row is in the state that `previous` describes.
fn follows(row: &View, previous: &View) -> bool {
    previous
        .iter()
        .all(|(field, value)| row.get(field).unwrap_or(&Value::Null) == value)
}

#[cfg(test)]
mod tests;
