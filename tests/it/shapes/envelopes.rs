//! Events whose envelope is not as it should be: what each is answered, and what becomes of it.

use std::time::Duration;

use billhook::clock::Timestamp;
use billhook::guardrails::mandatory::rule_of;
use billhook::store::Store as _;
use billhook::stripe::event::Event;
use serde_json::{Value, json};

use crate::support::bench::Bench;
use crate::support::fixture::samples::{sample, story};
use crate::support::fixture::{Shape, delivery};

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Answered 400: nobody could say which event it is.
    Refused,
    /// Answered 200; nobody handles such a thing, so it is kept.
    Ignored,
    /// Answered 200 and worked off.
    Done,
    /// Answered 200, and nothing in it could be understood: somebody has to look.
    Dead,
}
use Fate::{Dead, Done, Ignored, Refused};

type Change = fn(&mut Value);

/// One line for each way in which an envelope may be wrong.
const ENVELOPES: [(&str, Change, Fate); 35] = [
    ("id missing", |event| remove(event, "/id"), Refused),
    ("id null", |event| event["id"] = Value::Null, Refused),
    ("id a number", |event| event["id"] = json!(7), Refused),
    ("id empty", |event| event["id"] = json!(""), Refused),
    ("type missing", |event| remove(event, "/type"), Refused),
    (
        "type a list",
        |event| event["type"] = json!(["invoice.paid"]),
        Refused,
    ),
    (
        "type unknown",
        |event| event["type"] = json!("invoice.of_tomorrow"),
        Ignored,
    ),
    ("object missing", |event| remove(event, "/object"), Done),
    ("object null", |event| event["object"] = Value::Null, Done),
    (
        "object another",
        |event| event["object"] = json!("invoice"),
        Refused,
    ),
    ("data missing", |event| remove(event, "/data"), Dead),
    ("data null", |event| event["data"] = Value::Null, Dead),
    ("data a text", |event| event["data"] = json!("in_1"), Dead),
    (
        "data.object missing",
        |event| remove(event, "/data/object"),
        Dead,
    ),
    (
        "data.object null",
        |event| event["data"]["object"] = Value::Null,
        Dead,
    ),
    (
        "data.object an id",
        |event| event["data"]["object"] = json!("in_1"),
        Dead,
    ),
    (
        "data.object a list",
        |event| event["data"]["object"] = json!([]),
        Dead,
    ),
    (
        "data.object empty",
        |event| event["data"]["object"] = json!({}),
        Dead,
    ),
    (
        "data.object says only what it is",
        |event| event["data"]["object"] = json!({ "object": "invoice" }),
        Dead,
    ),
    (
        "data.object of another kind",
        |event| event["data"]["object"]["object"] = json!("customer"),
        Dead,
    ),
    (
        "data.object of a kind that nobody knows",
        |event| event["data"]["object"]["object"] = json!("invoice_of_tomorrow"),
        Done,
    ),
    (
        "data.object without an id",
        |event| remove(event, "/data/object/id"),
        Done,
    ),
    (
        "previous_attributes a list",
        |event| event["data"]["previous_attributes"] = json!([1]),
        Done,
    ),
    (
        "api_version null",
        |event| event["api_version"] = Value::Null,
        Done,
    ),
    (
        "api_version unknown",
        |event| event["api_version"] = json!("2031-01-01.iris"),
        Done,
    ),
    ("created missing", |event| remove(event, "/created"), Done),
    (
        "created a text",
        |event| event["created"] = json!("yesterday"),
        Done,
    ),
    (
        "created beyond time",
        |event| event["created"] = json!(u64::MAX),
        Done,
    ),
    (
        "created before time",
        |event| event["created"] = json!(-1),
        Done,
    ),
    ("livemode missing", |event| remove(event, "/livemode"), Done),
    ("account null", |event| event["account"] = Value::Null, Done),
    (
        "account expanded",
        |event| event["account"] = json!({ "id": "acct_1" }),
        Done,
    ),
    // Before 2017-05-25.
    (
        "request an id",
        |event| event["request"] = json!("req_1"),
        Done,
    ),
    ("request null", |event| event["request"] = Value::Null, Done),
    (
        "pending_webhooks missing",
        |event| remove(event, "/pending_webhooks"),
        Done,
    ),
];

fn remove(event: &mut Value, pointer: &str) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    parent.remove(key).unwrap();
}

#[tokio::test]
async fn an_envelope_decides_what_becomes_of_an_event() {
    let bench = Bench::in_memory().await;
    let event = sample("invoice.marked_uncollectible").json(Shape::Dahlia);
    for (at, (name, change, fate)) in ENVELOPES.into_iter().enumerate() {
        let mut event = event.clone();
        event["id"] = json!(format!("evt_{at}"));
        change(&mut event);
        assert_eq!(fate_of(&bench, &event).await, fate, "{name}");
    }
}

/// Of no type does an event need more than its object, and of none does it need less.
#[tokio::test]
async fn an_event_of_any_type_without_an_object_is_dead() {
    let bench = Bench::in_memory().await;
    for told in story() {
        let mut event = told.json(Shape::Old);
        event["data"]["object"] = Value::Null;
        // What its type and its account say is all there is to say.
        let says_enough = told.kind.starts_with("account.application.");
        let fate = if says_enough { Done } else { Dead };
        assert_eq!(fate_of(&bench, &event).await, fate, "{}", told.kind);

        // One that says only what it is may be anything; unless it stands for its account or its customer, of whom nothing
        // is said here.
        let mut event = told.json(Shape::Old);
        event["id"] = json!(format!("{}_alone", told.id));
        event["account"] = Value::Null;
        let kind = event["data"]["object"]["object"].take();
        event["data"]["object"] = json!({ "object": kind });
        let stands_for_another = says_enough || told.kind.starts_with("entitlements.");
        let fate = if stands_for_another { Done } else { Dead };
        assert_eq!(fate_of(&bench, &event).await, fate, "{}", told.kind);
    }
}

/// What a service would do with it, without the service.
async fn fate_of(bench: &Bench, event: &Value) -> Fate {
    let body = event.to_string();
    let Ok(parsed) = Event::parse(body.as_bytes(), Timestamp::default()) else {
        return Refused;
    };
    if rule_of(&parsed.kind).is_none() {
        return Ignored;
    }
    let delivery = delivery(event, bench.now());
    bench.store.ingest(&[delivery]).await.unwrap();
    let lease = Duration::from_mins(10);
    let claimed = bench.store.claim_events(1, lease).await.unwrap();
    match bench.store.apply_event(&claimed[0]).await {
        Ok(()) => Done,
        Err(error) if error.is_final() => Dead,
        Err(error) => panic!("{event}: {error}"),
    }
}
