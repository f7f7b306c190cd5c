//! Fields of every fixture, at any depth, missing, null, of another type or of a value that nobody knows: no such event
//! is dead, and none brings anything down.
//!
//! `BILLHOOK_TEST_MUTATIONS` says that one in so many goes through the store; with 1, all of them.

use std::collections::BTreeSet;

use billhook::clock::Timestamp;
use billhook::guardrails::mandatory::{rule_of, update};
use billhook::store::{Delivery, Store as _};
use billhook::stripe::event::Event;
use serde_json::{Value, json};

use super::apply_everything;
use crate::support::bench::Bench;
use crate::support::fixture::delivery;
use crate::support::fixture::samples::{shapes_of, story};
use crate::support::services::variable;

/// Mutated events that go to one account: they are about one object, which has to live with all of them.
const TOGETHER: usize = 16;
/// One in so many goes through the store, and one in so many through the rules alone, which is quicker. Neither has a
/// divisor in common with the number of mutations: so none of them is left out for good.
const STORED: usize = 5;
const READ: usize = 3;

/// What a field is made into; `None` takes it away.
const MUTATIONS: [fn(&Value) -> Option<Value>; 19] = [
    |_| None,
    |_| Some(Value::Null),
    // Other types.
    |_| Some(json!(true)),
    |_| Some(json!(7)),
    |_| Some(json!("7")),
    |_| Some(json!([])),
    |value| Some(json!([value])),
    |_| Some(json!({})),
    |value| Some(json!({ "id": value })),
    // Values that nobody knows, or that break whoever trusts them.
    |_| Some(json!("a_word_of_tomorrow")),
    |_| Some(json!("")),
    |_| Some(json!("a\u{0}b")),
    |_| Some(json!("\u{202e}\u{2066}abc\u{200b}")),
    |_| Some(json!("é".repeat(6000))),
    |_| Some(json!(i64::MAX)),
    |_| Some(json!(i64::MIN)),
    |_| Some(json!(u64::MAX)),
    |_| Some(json!(0.5)),
    |_| Some(json!(1e300)),
];

/// The JSON pointers of every field below `value`, at any depth; of lists every item.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), value))
            .collect(),
        Value::Array(items) => (0..).map(|at: usize| at.to_string()).zip(items).collect(),
        _ => return,
    };
    for (key, child) in children {
        let at = format!("{at}/{key}");
        pointers(child, &at, found);
        found.push(at);
    }
}

fn mutated(event: &Value, pointer: &str, to: Option<Value>) -> Value {
    let mut event = event.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match (event.pointer_mut(parent).unwrap(), to) {
        (Value::Object(fields), Some(to)) => drop(fields.insert(key.to_owned(), to)),
        (Value::Object(fields), None) => drop(fields.remove(key)),
        (Value::Array(items), Some(to)) => items[key.parse::<usize>().unwrap()] = to,
        (Value::Array(items), None) => drop(items.remove(key.parse().unwrap())),
        (other, _) => panic!("{pointer} is below {other}"),
    }
    event
}

/// Each mutation of each fixture that is `wanted`, by its number. What several shapes tell alike is mutated in the
/// first of them.
fn every_mutation(wanted: impl Fn(usize) -> bool, mut visit: impl FnMut(usize, &str, Value)) {
    let mut number = 0;
    for told in story() {
        let mut seen = BTreeSet::new();
        for shape in shapes_of(&told) {
            let event = told.json(shape);
            let mut found = Vec::new();
            for part in ["/data/object", "/data/previous_attributes"] {
                if let Some(value) = event.pointer(part) {
                    pointers(value, part, &mut found);
                }
            }
            for pointer in found {
                let value = event.pointer(&pointer).unwrap();
                if !seen.insert((pointer.clone(), value.to_string())) {
                    continue;
                }
                for mutate in MUTATIONS {
                    number += 1;
                    if !wanted(number) {
                        continue;
                    }
                    let to = mutate(value);
                    if to.as_ref() == Some(value) {
                        continue;
                    }
                    visit(number, &pointer, mutated(&event, &pointer, to));
                }
            }
        }
    }
}

#[test]
fn the_rules_take_something_from_every_mutation() {
    let mut count = 0;
    every_mutation(
        |number| number % READ == 0,
        |_, pointer, event| {
            let body = event.to_string();
            let event = Event::parse(body.as_bytes(), Timestamp::default())
                .unwrap_or_else(|error| panic!("{pointer} in {body}: {error}"));
            let rule = rule_of(&event.kind).unwrap();
            update(rule, &event, "acct_1")
                .unwrap_or_else(|error| panic!("{pointer} in {body}: {error}"));
            count += 1;
        },
    );
    println!("{count} mutated events were read, and none was refused");
    assert!(count >= 35_000, "{count}");
}

async fn store_half(half: usize) {
    let bench = Bench::in_memory().await;
    let stored =
        variable("BILLHOOK_TEST_MUTATIONS").map_or(STORED, |one_in| one_in.parse().unwrap());
    let mut chosen: Vec<Delivery> = Vec::new();
    every_mutation(
        |number| number % stored == 0 && number / stored / TOGETHER % 2 == half,
        |number, _, mut event| {
            event["id"] = json!(format!("evt_{number}"));
            let mut delivery = delivery(&event, bench.now());
            delivery.account = format!("acct_{}", chosen.len() / TOGETHER);
            chosen.push(delivery);
        },
    );
    for batch in chosen.chunks(256) {
        bench.store.ingest(batch).await.unwrap();
        apply_everything(&bench).await;
    }
    let census = bench.store.census().await.unwrap();
    for status in ["pending", "retrying", "dead"] {
        assert_eq!(census.events.get(status), None, "{status}");
    }
    println!(
        "{} mutated events were stored and applied; none is dead",
        chosen.len()
    );
    assert!(chosen.len() * stored >= 55_000, "{}", chosen.len());
}

// Two tests, because each runs on one core.
#[tokio::test]
async fn the_store_lives_with_one_half_of_the_mutations() {
    store_half(0).await;
}

#[tokio::test]
async fn the_store_lives_with_the_other_half_of_the_mutations() {
    store_half(1).await;
}
