//! Stripe events of our own, in the shapes of six API versions: what a test says once, told as an endpoint of any of
//! them would be told.
//!
//! Objects here are what the business means (a customer, an invoice and its attempt); `object/` writes them as
//! Stripe's JSON. All ids, people and amounts are invented.

mod object;
pub(crate) mod samples;
mod shape;

use std::fmt;

use billhook::clock::Timestamp;
use billhook::store::Delivery;
use billhook::stripe::event::Event;
use serde_json::{Value, json};

pub(crate) use object::{
    Account, Application, Capability, Charge, Coupon, CreditNote, Customer, Discount, Dispute,
    EntitlementSummary, FraudWarning, Intent, Invoice, InvoicePayment, Item, Line, Mandate, Object,
    PaymentMethod, Payout, Price, Product, Refund, Review, Schedule, Session, SetupIntent,
    Subscription,
};
pub(crate) use shape::Shape;

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
    /// The object before the change: each shape says of it what it says of the object itself.
    pub(crate) before: Option<Object>,
    /// What changed, the same in every shape. It wins over `before`.
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
            before: None,
            previous: None,
        }
    }

    /// The object as it was before the change.
    pub(crate) fn changed_from(mut self, before: impl Into<Object>) -> Self {
        self.before = Some(before.into());
        self
    }

    /// What the changed fields were before.
    pub(crate) fn was(mut self, previous: Value) -> Self {
        self.previous = Some(previous);
        self
    }

    /// The event as Stripe sends it.
    pub(crate) fn json(&self, shape: Shape) -> Value {
        let mut data = json!({ "object": self.object.json(shape) });
        let changed = self
            .before
            .as_ref()
            .map(|before| object::previous(&before.json(shape), &data["object"]));
        if let Some(previous) = self.previous.clone().or(changed) {
            data["previous_attributes"] = previous;
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
