//! Two hundred follow-ups at once, before a model that takes two seconds for each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::iter;
use serde_json::json;
use tokio::sync::Semaphore;

use super::{customer, intent, on_both};
use crate::support::model_server::{Answer, ModelServer, completion};
use crate::support::place::Place;
use crate::support::process::{Process, fresh_event};
use crate::support::tables::select;

on_both!(two_hundred_follow_ups_wait_for_a_slow_model);

const CUSTOMERS: usize = 100;
/// Each customer has two payments that failed.
const FOLLOW_UPS: usize = 2 * CUSTOMERS;
/// `follow_up.concurrency`.
const AT_ONCE: usize = 50;
const MODEL_TAKES: Duration = Duration::from_secs(2);
/// What a run may hold in memory while it waits for its model, pages that the allocator keeps included.
const MOST_BYTES_OF_A_RUN: u64 = 1 << 20;

/// One that answers nobody until as many ask as may ask at once, and takes its time then and ever after.
async fn slow_model() -> ModelServer {
    let gate = Arc::new(Semaphore::new(0));
    ModelServer::start(move |_, before| {
        if before + 1 == AT_ONCE {
            gate.add_permits(FOLLOW_UPS);
        }
        let message = json!({ "role": "assistant", "content": "Done." });
        let done = completion(&message, &json!("stop"));
        Answer::Held(gate.clone(), MODEL_TAKES, done)
    })
    .await
}

async fn deliver_all(process: &Process) {
    let customers: Vec<String> = (0..CUSTOMERS).map(|n| format!("cus_{n}")).collect();
    iter(&customers)
        .for_each_concurrent(16, async |id| {
            let created = fresh_event(&format!("evt_{id}"), "customer.created", &customer(id));
            process.deliver(&created).await;
        })
        .await;
    let failures = ["a", "b"].into_iter().flat_map(|payment| {
        let of = customers.iter();
        of.map(move |customer| (format!("pi_{customer}_{payment}"), customer))
    });
    iter(failures)
        .for_each_concurrent(16, async |(id, customer)| {
            let failed = intent(&id, Some(customer), "requires_payment_method");
            let kind = "payment_intent.payment_failed";
            let event = fresh_event(&format!("evt_{id}"), kind, &failed);
            process.deliver(&event).await;
        })
        .await;
}

async fn two_hundred_follow_ups_wait_for_a_slow_model(mut place: Place) {
    let model = slow_model().await;
    place.set("OPENAI_BASE_URL", model.url());
    place.set("OPENAI_MODEL", "test-model");
    place.set("BILLHOOK__FOLLOW_UP__CONCURRENCY", AT_ONCE.to_string());
    place.set("BILLHOOK__MODEL__ATTEMPT_TIMEOUT", "100s");
    place.set("BILLHOOK__MODEL__FIRST_BYTE_TIMEOUT", "100s");
    // Nobody takes over what a slow machine only keeps waiting.
    place.set("BILLHOOK__WORKER__LEASE", "10m");
    let process = place.serve().await;
    let (before, _) = process.memory();
    deliver_all(&process).await;

    let url = place.url();
    let runs = async || {
        let sql = "SELECT lane, status, CAST(started_at AS TEXT), CAST(ended_at AS TEXT) FROM runs ORDER BY started_at";
        select(&url, sql).await
    };
    process
        .wait_until("every follow-up is done", async |_| {
            let runs = runs().await;
            runs.len() == FOLLOW_UPS && runs.iter().all(|run| run[1] == "done")
        })
        .await;
    let (_, most) = process.memory();
    let grown = most.saturating_sub(before);
    let in_flight = model.most_at_once();
    let [before, most] = [before, most].map(|bytes| bytes >> 20);
    println!(
        "{FOLLOW_UPS} follow-ups, {in_flight} at once at most: {before} MiB before, {most} MiB at most, {} KiB more",
        grown >> 10
    );

    // Each was asked about once, as many at a time as are configured.
    assert_eq!(model.asked().len(), FOLLOW_UPS);
    assert_eq!(in_flight, AT_ONCE);
    let mut lanes: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
    for run in runs().await {
        let times = (run[2].parse().unwrap(), run[3].parse().unwrap());
        lanes.entry(run[0].clone()).or_default().push(times);
    }
    assert_eq!(lanes.len(), CUSTOMERS);
    for (lane, runs) in lanes {
        let [(_, ended), (started, _)] = runs[..] else {
            panic!("{lane}: {runs:?}");
        };
        assert!(ended <= started, "{lane} had two runs at a time");
    }
    let effects = select(&url, "SELECT effect_key, tool FROM effects").await;
    assert_eq!(effects.len(), FOLLOW_UPS);
    assert!(effects.iter().all(|effect| effect[1] == "send_email"));
    let bound = AT_ONCE as u64 * MOST_BYTES_OF_A_RUN;
    assert!(grown < bound, "{grown} bytes more, {bound} are allowed");
}
