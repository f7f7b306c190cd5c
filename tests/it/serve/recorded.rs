//! Recorded events sent with `billhook send`, and bodies that are hard to read.

use std::path::Path;

use billhook::store::Store as _;
use serde_json::{Value, json};

use super::on_both;
use crate::support::bench::open;
use crate::support::fixture::Shape;
use crate::support::fixture::samples::sample;
use crate::support::place::Place;
use crate::support::process::{Process, SECRET};

on_both!(
    our_fixtures_come_to_one_state_however_they_are_sent,
    bodies_that_are_hard_to_read_harm_nobody,
);

/// Waits until everything that was taken in is applied, and answers what it came to.
async fn state(place: &Place, process: &Process) -> Vec<String> {
    let store = open(&place.url()).await;
    process
        .wait_until("everything is applied", async |_| {
            store.backlog(1).await.unwrap() == 0
        })
        .await;
    let mut lines = store.business_state().await.unwrap();
    lines.sort();
    lines
}

/// Only the rows that differ are worth reading.
fn assert_same(expected: &[String], found: &[String]) {
    let missing = expected.iter().filter(|line| !found.contains(line));
    let more = found.iter().filter(|line| !expected.contains(line));
    let differences: Vec<String> = missing
        .map(|line| format!("- {line}"))
        .chain(more.map(|line| format!("+ {line}")))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

async fn sent(place: &Place, process: &Process, arguments: &[&str]) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stripe");
    let url = process.at("/stripe/webhook");
    let fixtures = fixtures.to_str().unwrap();
    // As recorded: what was shifted to today would be another day's history the second time.
    let mut send = vec![
        "send",
        fixtures,
        "--url",
        &url,
        "--secret",
        SECRET,
        "--as-recorded",
    ];
    send.extend(arguments);
    let (code, told) = place.run(place.command(&send)).await;
    assert_eq!(code, Some(0), "{told}; log:\n{}", process.log());
}

async fn our_fixtures_come_to_one_state_however_they_are_sent(place: Place) {
    let process = place.serve().await;
    sent(&place, &process, &["--concurrency", "4"]).await;
    let once = state(&place, &process).await;
    assert!(once.len() > 150, "{} rows and links", once.len());
    sent(
        &place,
        &process,
        &["--shuffle", "--concurrency", "16", "--repeat", "2"],
    )
    .await;
    let again = state(&place, &process).await;
    assert_same(&once, &again);
    assert_eq!(
        process.all("/events?status=dead").await,
        Vec::<Value>::new()
    );
    assert_eq!(
        process.all("/events?status=retrying").await,
        Vec::<Value>::new()
    );

    // Those who arrive in the other order see the same.
    let other = place.another().await;
    let process = other.serve().await;
    sent(&other, &process, &["--shuffle", "--concurrency", "16"]).await;
    assert_same(&once, &state(&other, &process).await);
}

async fn bodies_that_are_hard_to_read_harm_nobody(place: Place) {
    let process = place.serve().await;
    let event = |id: &str| {
        let mut event = sample("customer.updated").json(Shape::Dahlia);
        event["id"] = json!(id);
        event
    };
    let mut bodies = Vec::new();

    // A byte more than may be, and exactly as many: padding inside of a text that is kept.
    for (id, length) in [("evt_long", 1 << 20), ("evt_longer", (1 << 20) + 1)] {
        let mut long = event(id);
        long["data"]["object"]["description"] = json!("");
        let padding = "x".repeat(length - long.to_string().len());
        long["data"]["object"]["description"] = json!(padding);
        let status = if length > 1 << 20 { 413 } else { 200 };
        bodies.push((id, long.to_string(), status));
    }
    // Deeper than anybody reads safely, and as deep as is still read.
    for (id, depth, status) in [("evt_deep", 100, 200), ("evt_deeper", 200, 400)] {
        let mut deep = event(id);
        deep["data"]["object"]["metadata"] = json!("HERE");
        let nested = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        bodies.push((id, deep.to_string().replace("\"HERE\"", &nested), status));
    }
    // Of two fields of one name the last counts, as in other readers.
    let twice = event("evt_twice").to_string();
    let twice = twice.replace(
        "\"delinquent\":",
        "\"delinquent\":\"first\",\"delinquent\":",
    );
    bodies.push(("evt_twice", twice, 200));
    let other = event("evt_other").to_string();
    let twice = other.replace(
        "\"id\":\"evt_other\"",
        "\"id\":\"evt_first\",\"id\":\"evt_last\"",
    );
    assert_ne!(twice, other);
    bodies.push(("evt_last", twice, 200));

    for (id, body, status) in bodies {
        let (answered, told) = process
            .try_post("/stripe/webhook", body.into_bytes())
            .await
            .unwrap();
        assert_eq!(answered, status, "{id}: {told}");
        if status == 200 {
            process.event_when(id, "done").await;
        } else {
            assert_eq!(process.get(&format!("/events/{id}")).await, None, "{id}");
        }
    }
    assert_eq!(
        process.all("/events?status=dead").await,
        Vec::<Value>::new()
    );
}
