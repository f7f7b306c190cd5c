//! Mandatory updates: what an event must write to the business's state, decided before any model is asked.
//!
//! A new event type is one line in [`RULES`]; what it says happened is one function in `facts.rs`. Which state may follow
//! which is a table in `lattice.rs`.

pub mod facts;
pub mod lattice;
mod rules;
pub mod snapshot;

use serde_json::Value;

use crate::stripe::event::{Event, OWN_ACCOUNT};
use crate::stripe::links::{Edge, edges};
use crate::stripe::text::fits_an_id;
use crate::stripe::view::view;

pub use self::rules::{Key, RULES, Rule, Said, rule_of};

use self::facts::Fact;
use self::snapshot::Snapshot;

/// What one event writes: at most one snapshot, the links it shows, and what it says happened.
#[derive(Debug, Clone)]
pub struct Update {
    /// The id of the object that it is about; empty where it has none.
    pub object: String,
    /// The object's snapshot, when its row is kept.
    pub snapshot: Option<Snapshot>,
    /// Every link the object shows.
    pub links: Vec<Edge>,
    /// What happened.
    pub facts: Vec<Fact>,
    /// Why no row is kept of an object that has one by rule.
    pub remark: Option<&'static str>,
}

/// Why an event cannot be understood at all.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// There is nothing in the payload that could be the object.
    #[error(
        "`data.object` of this {event_type} shows nothing of a {expected}; ask Stripe support for the event, or send it again from the dashboard"
    )]
    NoObject {
        /// The event's type.
        event_type: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// The payload is something else than the type says.
    #[error(
        "`data.object` of this {event_type} is a {found}, not a {expected}; nothing was taken from it"
    )]
    OtherObject {
        /// The event's type.
        event_type: String,
        /// What it says to be.
        found: String,
        /// What it has to be.
        expected: &'static str,
    },
}

/// What is said of an object that cannot be told from others.
const NO_ID: &str = "its object has no id: there is no row to write it to";

/// What `event` must write under `rule`. `account` is whose it was found to be when it was taken in, which an event that
/// came through an endpoint of one account, or was found in an account's list, need not say itself.
pub fn update(rule: &Rule, event: &Event, account: &str) -> Result<Update, Unreadable> {
    let mut fields = view(rule.family, &event.object);
    let id = subject(rule, event, account).unwrap_or_default();
    let is_named = !id.is_empty() || event.object_id().is_some();
    check(rule, event, fields.is_empty() && !is_named)?;
    if let Some((field, said)) = rule.sets {
        let value = match said {
            Said::Yes => Value::Bool(true),
            Said::No => Value::Bool(false),
            Said::Word(word) => Value::from(word),
        };
        fields.insert(field, value);
    }
    let facts = (rule.facts)(event, &fields);
    let links = edges(rule.family, &id, &event.object);
    let remark = (rule.keeps_row && id.is_empty()).then_some(NO_ID);
    let snapshot = (rule.keeps_row && remark.is_none()).then(|| Snapshot {
        family: rule.family,
        object: id.clone(),
        event: event.id.clone(),
        event_type: event.kind.clone(),
        api_version: event.api_version.clone().unwrap_or_default(),
        created: event.created,
        previous: event
            .previous
            .as_ref()
            .map(|previous| view(rule.family, previous))
            .unwrap_or_default(),
        fields,
    });
    Ok(Update {
        object: id,
        snapshot,
        links,
        facts,
        remark,
    })
}

/// Refuses what says nothing at all, and what says to be another thing. A word that nobody knows is taken for a new name
/// of the same thing.
fn check(rule: &Rule, event: &Event, says_nothing: bool) -> Result<(), Unreadable> {
    let event_type = event.kind.clone();
    let expected = rule.object;
    // What stands for its account or its customer need not say anything itself.
    let stands_for_another = rule.key != Key::Object && event.object_kind() == Some(expected);
    if says_nothing && !stands_for_another {
        return Err(Unreadable::NoObject {
            event_type,
            expected,
        });
    }
    match event.object_kind() {
        Some(found) if found != expected && RULES.iter().any(|rule| rule.object == found) => {
            Err(Unreadable::OtherObject {
                event_type,
                found: found.to_owned(),
                expected,
            })
        }
        _ => Ok(()),
    }
}

/// The id of the object that an event is about.
fn subject(rule: &Rule, event: &Event, account: &str) -> Option<String> {
    let id = match rule.key {
        Key::Object => event.object_id(),
        Key::Customer => event.customer(),
        // The business's own account gives no leave, and takes none back.
        Key::Account => Some(account).filter(|account| *account != OWN_ACCOUNT),
    };
    id.filter(|id| fits_an_id(id)).map(str::to_owned)
}
