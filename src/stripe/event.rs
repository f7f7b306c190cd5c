//! The envelope of an event: what billhook must know to keep it, and the object it is about.
//!
//! Reading is loose on purpose. Only `id` and `type` must be there; everything else may be missing, null or of a kind
//! that nobody has seen. A v2 event (`v2.core.event`, a "thin" event) is read too: it carries no object, and is kept
//! and ignored by whoever finds no `object` in it. Nothing here judges a signature or fetches what is missing.

use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::stripe::reference::reference;
use crate::stripe::text::{MAX_ID_CHARS, clip, fits_an_id, remove_nul};

/// The last second of the year 9999: no event is created later, and a time beyond it would stay the newest for ever.
const LAST_SECOND: i64 = 253_402_300_799;

/// The account of an event that names none, received by an endpoint that names none.
pub const OWN_ACCOUNT: &str = "self";

/// What a thin event calls itself.
pub const THIN: &str = "v2.core.event";

/// Whether events of this type are thin: they only name what they are about. Types of others have no version in front
/// (docs.stripe.com/event-destinations#thin-events).
pub fn is_thin(event_type: &str) -> bool {
    event_type.starts_with("v1.") || event_type.starts_with("v2.")
}

/// One Stripe event, as one delivery of it shows it.
///
/// Two deliveries of one id may differ in everything but `id` and `kind`: each endpoint has its own API version.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The id, unique among all events of all accounts.
    pub id: String,
    /// What Stripe calls `type`: `invoice.payment_failed`.
    pub kind: String,
    /// When Stripe says that it happened, else when it was received.
    pub created: Timestamp,
    /// Whether real money is meant. An event that does not say so is a test.
    pub livemode: bool,
    /// The API version that shaped [`object`](Self::object).
    pub api_version: Option<String>,
    /// The connected account it belongs to; `None` for the endpoint's own.
    pub account: Option<String>,
    /// What an answering API call has to send as `Stripe-Context`: a path of accounts, `acct_1` or `acct_1/acct_2`.
    pub context: Option<String>,
    /// The API request that caused it.
    pub request_id: Option<String>,
    /// `data.object`, or null where there is none.
    pub object: Value,
    /// `data.previous_attributes`: only updates have them.
    pub previous: Option<Value>,
}

/// Why a body is no event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// There is no body.
    #[error("the body is empty: send the event as JSON")]
    Empty,
    /// The body is not JSON, or is nested too deeply to be read safely.
    #[error("the body is no JSON that can be read: {0}")]
    NotJson(#[from] serde_json::Error),
    /// The body is JSON, and no object.
    #[error("the body is no JSON object: send one event at a time")]
    NotAnObject,
    /// The body is some other object of Stripe's.
    #[error(
        "`object` is {found}, which is no event: send the whole event, not only what it is about"
    )]
    NotAnEvent {
        /// What stands there, clipped.
        found: String,
    },
    /// A field that every event has is missing, empty or no string.
    #[error("the event has no `{field}`: it must be a string that is not empty")]
    Missing {
        /// The name of the field.
        field: &'static str,
    },
    /// A field is longer than Stripe's can be.
    #[error("`{field}` is longer than {MAX_ID_CHARS} characters: this is no event of Stripe's")]
    TooLong {
        /// The name of the field.
        field: &'static str,
    },
}

impl Event {
    /// Reads one event; `received` stands in where the event does not say when it was created.
    pub fn parse(body: &[u8], received: Timestamp) -> Result<Self, EventError> {
        if body.is_empty() {
            return Err(EventError::Empty);
        }
        // Into a `Value` first: a derived struct would refuse duplicate keys and, as a whole, one field of a new kind.
        let mut value: Value = serde_json::from_slice(body)?;
        remove_nul(&mut value);
        let Value::Object(mut envelope) = value else {
            return Err(EventError::NotAnObject);
        };
        check_object(envelope.get("object"))?;

        let (object, previous) = match envelope.remove("data") {
            Some(Value::Object(mut data)) => (
                data.remove("object").unwrap_or(Value::Null),
                data.remove("previous_attributes")
                    .filter(|previous| !previous.is_null()),
            ),
            _ => (Value::Null, None),
        };
        Ok(Self {
            id: required(&envelope, "id")?,
            kind: required(&envelope, "type")?,
            created: created(envelope.get("created")).unwrap_or(received),
            livemode: envelope
                .get("livemode")
                .and_then(Value::as_bool)
                .unwrap_or(false),
            api_version: text(envelope.get("api_version")),
            account: account(envelope.get("account"))?,
            context: context(envelope.get("context"))?,
            request_id: request_id(&envelope),
            object,
            previous,
        })
    }

    /// The same event without what its object says, only which object it is and whose: as a parsed tree an object takes
    /// many times the memory of its text, and whoever only stores an event has the text.
    #[must_use]
    pub fn without_content(mut self) -> Self {
        let mut kept = Map::new();
        for (key, value) in [
            ("object", self.object_kind()),
            ("id", self.object_id()),
            ("customer", self.customer()),
        ] {
            kept.extend(value.map(|value| (key.to_owned(), Value::from(value))));
        }
        self.object = Value::Object(kept);
        self.previous = None;
        self
    }

    /// The account that the event says it belongs to; `None` for the endpoint's own.
    ///
    /// Connect names it in `account`. An organization's endpoint gets events of many accounts, which name theirs in
    /// `context` only: a path from the key's own account down, whose last part is the one that the event comes from
    /// (docs.stripe.com/context, docs.stripe.com/changelog/basil/2025-04-30/additional-context-organization-events).
    pub fn owner(&self) -> Option<&str> {
        let path = || {
            self.context
                .as_deref()?
                .rsplit('/')
                .find(|part| !part.is_empty())
        };
        self.account.as_deref().or_else(path)
    }

    /// The id of the object that the event is about; `invoice.upcoming` has none.
    pub fn object_id(&self) -> Option<&str> {
        self.object
            .get("id")
            .and_then(Value::as_str)
            .filter(|id| fits_an_id(id))
    }

    /// The kind of that object, in Stripe's words: `payment_intent`, `checkout.session`.
    pub fn object_kind(&self) -> Option<&str> {
        self.object
            .get("object")
            .and_then(Value::as_str)
            .filter(|kind| !kind.is_empty())
    }

    /// The customer whom the event is about: the object itself, or the one it belongs to.
    pub fn customer(&self) -> Option<&str> {
        if self.object_kind() == Some("customer") {
            return self.object_id();
        }
        reference(self.object.get("customer")).id()
    }
}

fn check_object(object: Option<&Value>) -> Result<(), EventError> {
    match object {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(name)) if name == "event" || name == THIN => Ok(()),
        Some(other) => Err(EventError::NotAnEvent {
            found: clip(&other.to_string(), 60).to_owned(),
        }),
    }
}

fn required(envelope: &Map<String, Value>, field: &'static str) -> Result<String, EventError> {
    match envelope.get(field) {
        Some(Value::String(text)) if fits_an_id(text) => Ok(text.clone()),
        Some(Value::String(text)) if !text.is_empty() => Err(EventError::TooLong { field }),
        _ => Err(EventError::Missing { field }),
    }
}

/// Refused when too long, and not clipped: a clipped account would be another account.
fn account(value: Option<&Value>) -> Result<Option<String>, EventError> {
    match value {
        Some(Value::String(text)) if !text.is_empty() && !fits_an_id(text) => {
            Err(EventError::TooLong { field: "account" })
        }
        value => Ok(reference(value).id().map(str::to_owned)),
    }
}

/// Like an account: of a clipped path the last part would be another account.
fn context(value: Option<&Value>) -> Result<Option<String>, EventError> {
    match value.and_then(Value::as_str) {
        Some(text) if !text.is_empty() && !fits_an_id(text) => {
            Err(EventError::TooLong { field: "context" })
        }
        text => Ok(text.filter(|text| !text.is_empty()).map(str::to_owned)),
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    let text = clip(value?.as_str()?, MAX_ID_CHARS);
    (!text.is_empty()).then(|| text.to_owned())
}

/// `request` was a string before 2017-05-25 and is an object since; a v2 event has it in `reason`.
fn request_id(envelope: &Map<String, Value>) -> Option<String> {
    let request = envelope.get("request").or_else(|| {
        envelope
            .get("reason")
            .and_then(|reason| reason.get("request"))
    })?;
    text(Some(request)).or_else(|| text(request.get("id")))
}

/// Whole seconds for a v1 event, RFC 3339 for a v2 event; `None` for whatever cannot be a moment.
fn created(value: Option<&Value>) -> Option<Timestamp> {
    match value? {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| whole_seconds(number.as_f64()?))
            .and_then(moment),
        Value::String(text) => match text.parse::<i64>() {
            Ok(seconds) => moment(seconds),
            Err(_) => text
                .parse::<f64>()
                .ok()
                .and_then(whole_seconds)
                .and_then(moment)
                .or_else(|| rfc_3339(text)),
        },
        _ => None,
    }
}

fn moment(seconds: i64) -> Option<Timestamp> {
    (0..=LAST_SECOND)
        .contains(&seconds)
        .then(|| Timestamp::from_seconds(seconds))
}

fn rfc_3339(text: &str) -> Option<Timestamp> {
    let moment = text.parse::<jiff::Timestamp>().ok()?;
    (moment.as_second() >= 0).then(|| Timestamp(moment.as_microsecond()))
}

/// The second that a fractional time lies in; order within a second never comes from the envelope.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a cast from float saturates, and NaN is 0"
)]
fn whole_seconds(seconds: f64) -> Option<i64> {
    seconds.is_finite().then(|| seconds.floor() as i64)
}

#[cfg(test)]
mod tests;
