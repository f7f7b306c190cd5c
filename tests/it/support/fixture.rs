//! Stripe events of our own, in the shapes of two API versions: what a test says once, told as an endpoint of either
//! version would be told.
//!
//! Objects here are what the business means (a customer, an invoice and its attempt); `object.rs` writes them as
//! Stripe's JSON. All ids, people and amounts are invented.

mod object;
mod samples;

use std::fmt;

use billhook::clock::Timestamp;
use billhook::store::Delivery;
use billhook::stripe::event::Event;
use serde_json::{Value, json};

pub(crate) use object::{
    Charge, Customer, Intent, Invoice, InvoicePayment, Object, Session, Subscription,
};

/// Which API version shapes an object's JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shape {
    /// An invoice names its payment intent, charge and subscription; a payment names its invoice.
    Old,
    /// `parent`, `payments` and items say it instead, and a payment does not know its invoice.
    Clover,
}

impl Shape {
    pub(crate) const BOTH: [Self; 2] = [Self::Old, Self::Clover];

    /// The version that an event of this shape names.
    pub(crate) fn version(self) -> &'static str {
        match self {
            Self::Old => "2020-08-27",
            Self::Clover => "2025-09-30.clover",
        }
    }
}

/// One event, whatever shape it is told in.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    /// Seconds since 1970.
    pub(crate) created: i64,
    pub(crate) account: Option<String>,
    pub(crate) livemode: bool,
    pub(crate) object: Object,
    pub(crate) previous: Option<Value>,
}

impl Told {
    pub(crate) fn new(
        id: impl Into<String>,
        kind: &'static str,
        created: i64,
        object: impl Into<Object>,
    ) -> Self {
        Self {
            id: id.into(),
            kind,
            created,
            account: None,
            livemode: true,
            object: object.into(),
            previous: None,
        }
    }

    /// What the changed fields were before.
    pub(crate) fn was(mut self, previous: Value) -> Self {
        self.previous = Some(previous);
        self
    }

    /// The event as Stripe sends it.
    pub(crate) fn json(&self, shape: Shape) -> Value {
        let mut data = json!({ "object": self.object.json(shape) });
        if let Some(previous) = &self.previous {
            data["previous_attributes"] = previous.clone();
        }
        let mut event = json!({
            "id": self.id,
            "object": "event",
            "api_version": shape.version(),
            "created": self.created,
            "data": data,
            "livemode": self.livemode,
            "pending_webhooks": 1,
            "request": { "id": null, "idempotency_key": null },
            "type": self.kind,
        });
        if let Some(account) = &self.account {
            event["account"] = json!(account);
        }
        event
    }

    /// Its arrival in a shape.
    pub(crate) fn delivery(&self, shape: Shape, received_at: Timestamp) -> Delivery {
        delivery(&self.json(shape), received_at)
    }
}

/// Short enough to read a whole history of them.
impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} {}", self.id, self.created, self.kind)?;
        if let Some(account) = &self.account {
            write!(f, " of {account}")?;
        }
        write!(f, ": {:?}", self.object)?;
        match &self.previous {
            Some(previous) => write!(f, " was {previous}"),
            None => Ok(()),
        }
    }
}

/// The arrival of an event given as JSON.
pub(crate) fn delivery(event: &Value, received_at: Timestamp) -> Delivery {
    arrival(event.to_string().into_bytes(), received_at)
}

/// The arrival of a body.
pub(crate) fn arrival(body: Vec<u8>, received_at: Timestamp) -> Delivery {
    let event = Event::parse(&body, received_at).unwrap();
    Delivery {
        account: event.account.clone().unwrap_or_else(|| "self".to_owned()),
        event,
        endpoint: "default".to_owned(),
        received_at,
        body,
        ignored: None,
    }
}
