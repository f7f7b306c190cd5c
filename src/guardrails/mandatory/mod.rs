//! Mandatory updates: what an event must write to the business's state, decided before any model is asked.
//!
//! A new event type is one line in [`RULES`]; what it says happened is one function in `facts.rs`. Anything not listed
//! is stored and ignored. The list follows Stripe's event reference (docs.stripe.com/api/events/types).

pub mod facts;
pub mod snapshot;

use serde_json::Value;

use crate::stripe::event::Event;
use crate::stripe::links::{Edge, edges};
use crate::stripe::view::{Family, View, view};

use self::facts::Fact;
use self::snapshot::{Phase, Snapshot};

/// One event type and what it means.
#[derive(Debug)]
pub struct Rule {
    /// Stripe's event type.
    pub event_type: &'static str,
    /// What `data.object` is.
    pub family: Family,
    /// Where the type stands among events of one second.
    pub phase: Phase,
    /// Whether the object's row is kept; else only links and facts are taken.
    pub keeps_row: bool,
    /// What such an event says happened.
    pub facts: fn(&Event, &View) -> Vec<Fact>,
}

const fn rule(event_type: &'static str, family: Family, phase: Phase) -> Rule {
    Rule {
        event_type,
        family,
        phase,
        keeps_row: true,
        facts: facts::none,
    }
}

const fn says(rule: &Rule, facts: fn(&Event, &View) -> Vec<Fact>) -> Rule {
    Rule { facts, ..*rule }
}

const fn without_row(rule: &Rule) -> Rule {
    Rule {
        keeps_row: false,
        ..*rule
    }
}

use Family::{
    Charge, CheckoutSession, Customer, Invoice, InvoicePayment, PaymentIntent, Subscription,
};
use Phase::{Created, Later};

/// Every event type with mandatory updates.
pub static RULES: &[Rule] = &[
    rule("payment_intent.created", PaymentIntent, Created),
    rule("payment_intent.processing", PaymentIntent, Later),
    says(
        &rule("payment_intent.succeeded", PaymentIntent, Later),
        facts::payment_succeeded,
    ),
    says(
        &rule("payment_intent.payment_failed", PaymentIntent, Later),
        facts::payment_failed,
    ),
    rule("payment_intent.canceled", PaymentIntent, Later),
    rule("customer.created", Customer, Created),
    rule("customer.updated", Customer, Later),
    rule("customer.deleted", Customer, Later),
    says(
        &rule("customer.subscription.created", Subscription, Created),
        facts::subscription_changed,
    ),
    says(
        &rule("customer.subscription.updated", Subscription, Later),
        facts::subscription_changed,
    ),
    says(
        &rule("customer.subscription.deleted", Subscription, Later),
        facts::subscription_changed,
    ),
    rule("invoice.created", Invoice, Created),
    rule("invoice.finalized", Invoice, Later),
    says(
        &rule("invoice.updated", Invoice, Later),
        facts::invoice_updated,
    ),
    says(&rule("invoice.paid", Invoice, Later), facts::invoice_paid),
    says(
        &rule("invoice.payment_failed", Invoice, Later),
        facts::invoice_payment_failed,
    ),
    rule("invoice.voided", Invoice, Later),
    rule("invoice_payment.paid", InvoicePayment, Later),
    says(
        &without_row(&rule("charge.failed", Charge, Later)),
        facts::charge_failed,
    ),
    rule("checkout.session.completed", CheckoutSession, Later),
];

/// The rule of an event type, or nothing for a type that nobody handles.
pub fn rule_of(event_type: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.event_type == event_type)
}

/// What one event writes: at most one snapshot, the links it shows, and what it says happened.
#[derive(Debug, Clone)]
pub struct Update {
    /// The object's snapshot, when its row is kept.
    pub snapshot: Option<Snapshot>,
    /// Every link the object shows.
    pub links: Vec<Edge>,
    /// What happened.
    pub facts: Vec<Fact>,
}

/// Why an event cannot be understood at all.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The payload has no object to keep.
    #[error(
        "`data.object` of this {event_type} has no id; ask Stripe support for the event, or send it again from the dashboard"
    )]
    NoId {
        /// The event's type.
        event_type: String,
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

/// What `event` must write under `rule`.
pub fn update(rule: &Rule, event: &Event) -> Result<Update, Unreadable> {
    let id = event
        .object_id()
        .filter(|id| !id.is_empty())
        .ok_or_else(|| Unreadable::NoId {
            event_type: event.kind.clone(),
        })?;
    if let Some(found) = event
        .object_kind()
        .filter(|kind| *kind != rule.family.as_str())
    {
        return Err(Unreadable::OtherObject {
            event_type: event.kind.clone(),
            found: found.to_owned(),
            expected: rule.family.as_str(),
        });
    }
    let mut fields = view(rule.family, &event.object);
    if rule.event_type == "customer.deleted" {
        // The payload of `customer.deleted` is the whole customer as it was; only the type says that it is gone.
        fields.insert("deleted", Value::Bool(true));
    }
    let facts = (rule.facts)(event, &fields);
    let links = edges(rule.family, id, &event.object);
    let snapshot = rule.keeps_row.then(|| Snapshot {
        family: rule.family,
        object: id.to_owned(),
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
        snapshot,
        links,
        facts,
    })
}
