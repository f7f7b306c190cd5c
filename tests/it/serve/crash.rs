//! What was answered 200 outlives the process, wherever it was killed.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::iter;
use serde_json::Value;

use super::{customer, intent, on_both};
use crate::support::place::Place;
use crate::support::process::{Process, fresh_event};

on_both!(a_process_that_is_killed_loses_nothing_and_repeats_nothing);

const EVENTS: usize = 500;
const CUSTOMERS: usize = 50;
/// Requests in flight at once.
const AT_ONCE: usize = 32;

/// Every tenth is a failed payment, whose customer is owed one mail; the others are payments.
fn event(number: usize) -> (String, Value) {
    let id = format!("evt_{number}");
    let intent_id = format!("pi_{number}");
    let event = if number.is_multiple_of(10) {
        let customer = format!("cus_{}", number / 10);
        let object = intent(&intent_id, Some(&customer), "requires_payment_method");
        fresh_event(&id, "payment_intent.payment_failed", &object)
    } else {
        let object = intent(&intent_id, None, "succeeded");
        fresh_event(&id, "payment_intent.succeeded", &object)
    };
    (id, event)
}

/// Posts them all, and kills the process once `kill_after` were answered. Says which were answered 200.
async fn post_and_kill(
    process: &Process,
    events: &[(String, Value)],
    kill_after: usize,
) -> BTreeSet<String> {
    let answered = Mutex::new(BTreeSet::new());
    iter(events)
        .for_each_concurrent(AT_ONCE, async |(id, event)| {
            let body = event.to_string().into_bytes();
            // After the kill nothing answers any more: these were never promised anything.
            let Ok((status, answer)) = process.try_post("/stripe/webhook", body).await else {
                return;
            };
            assert_eq!(status, 200, "{answer}");
            let mut answered = answered.lock().unwrap();
            answered.insert(id.clone());
            if answered.len() == kill_after {
                process.signal("KILL");
            }
        })
        .await;
    answered.into_inner().unwrap()
}

async fn done(process: &Process) -> usize {
    let events = process.all("/events").await;
    events
        .iter()
        .filter(|event| event["status"] == "done")
        .count()
}

async fn a_process_that_is_killed_loses_nothing_and_repeats_nothing(place: Place) {
    let mut process = place.serve().await;
    for number in 0..CUSTOMERS {
        let id = format!("cus_{number}");
        let created = fresh_event(&format!("evt_{id}"), "customer.created", &customer(&id));
        process.deliver(&created).await;
    }
    let events: Vec<_> = (0..EVENTS).map(event).collect();
    let answered = post_and_kill(&process, &events, 200).await;
    let status = process.ends_within(Duration::from_secs(10)).await;
    assert_eq!(status.code(), None, "it was to die of the signal");
    assert!(
        (200..EVENTS).contains(&answered.len()),
        "{}",
        answered.len()
    );

    // Everything that was promised is there, before anybody sends anything again.
    let mut process = place.serve().await;
    let known: BTreeSet<String> = process
        .all("/events")
        .await
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    let lost: Vec<_> = answered.difference(&known).collect();
    assert!(lost.is_empty(), "answered 200 and lost: {lost:?}");

    // Stripe sends again what it has no answer for; the process dies again, now also halfway through its work.
    for (id, event) in &events {
        if !answered.contains(id) {
            process.deliver(event).await;
        }
    }
    process
        .wait_until("some are done", async |process| done(process).await >= 100)
        .await;
    process.signal("KILL");
    process.ends_within(Duration::from_secs(10)).await;

    let process = place.serve().await;
    process
        .wait_until("all are done", async |process| {
            done(process).await == EVENTS + CUSTOMERS
        })
        .await;
    assert_eq!(process.all("/events").await.len(), EVENTS + CUSTOMERS);
    process
        .wait_until("all mails are sent", async |process| {
            let messages = process.all("/outbox").await;
            messages.iter().all(|message| message["status"] == "sent")
        })
        .await;
    let failures = EVENTS / 10;
    assert_eq!(process.all("/outbox").await.len(), failures);
    assert_eq!(place.mails().len(), failures);
    let recipients: BTreeSet<_> = process
        .all("/outbox")
        .await
        .iter()
        .map(|message| message["to"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(recipients.len(), failures, "nobody is written to twice");
    let orders = process.all("/orders").await;
    let paid = orders
        .iter()
        .filter(|order| order["status"] == "paid")
        .count();
    assert_eq!(paid, EVENTS - failures);
}
