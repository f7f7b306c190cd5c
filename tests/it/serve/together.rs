//! Several processes over one PostgreSQL: they wake each other, and one takes up what another left.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

use super::{customer, intent};
use crate::support::place::Place;
use crate::support::process::{Process, fresh_event};
use crate::support::redis::RedisServer;

const FAILED: &str = "billhook_bells_total{what=\"failed\"}";
const HEARD: &str = "billhook_bells_total{what=\"heard\"}";

/// One process takes in and one works, and neither looks for work by itself for an hour.
async fn two_that_never_poll(place: &mut Place) -> (Process, Process) {
    place.set("BILLHOOK__WORKER__POLL", "1h");
    place.set("BILLHOOK__WORKER__LEASE", "2h");
    let (ingest, work) = (place.serve_as("ingest").await, place.serve_as("work").await);
    // From now on it listens, and has looked: what it finds later it was woken for.
    work.wait_until("it listens", async |work| work.metric(HEARD).await >= 2)
        .await;
    (ingest, work)
}

async fn takes_in_and_applies(ingest: &Process, work: &Process, id: &str) {
    let event = fresh_event(id, "customer.created", &customer(&format!("cus_{id}")));
    // A connection that was cut a moment ago is found so by whoever uses it first, and Stripe sends again.
    ingest
        .wait_until("it is taken in", async |ingest| {
            let body = event.to_string().into_bytes();
            let (status, _) = ingest.try_post("/stripe/webhook", body).await.unwrap();
            status == 200
        })
        .await;
    // Whoever was woken may meet a connection that was cut a moment ago, too, and puts the event off. It has heard then,
    // and another ring makes it look again.
    let rings = Cell::new(0);
    work.wait_until(&format!("{id} is done"), async |work| {
        let (_, event) = work.ask(&format!("/events/{id}")).await;
        if event["last_error"].is_string() {
            rings.set(rings.get() + 1);
            let ring = format!("{id}_ring_{}", rings.get());
            let ring = fresh_event(&ring, "customer.created", &customer(&ring)).to_string();
            // It may meet a cut connection in its turn; then the next one rings.
            drop(ingest.try_post("/stripe/webhook", ring.into_bytes()).await);
        }
        event["status"] == "done"
    })
    .await;
}

async fn every_ring_is_heard(ingest: &Process, work: &Process) {
    let begun = Instant::now();
    for number in 0..10 {
        takes_in_and_applies(ingest, work, &format!("evt_{number}")).await;
    }
    println!("10 events from process to process: {:?}", begun.elapsed());
}

/// Cuts every connection to the database, and waits until they are gone.
async fn cut_connections(place: &Place) {
    let mut admin = PgConnection::connect(&place.url()).await.unwrap();
    let others: Vec<i32> = sqlx::query_scalar(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert!(others.len() >= 2, "{others:?}");
    for other in others {
        let wait = "SELECT pg_terminate_backend($1, 60000)";
        let ended: bool = sqlx::query_scalar(wait)
            .bind(other)
            .fetch_one(&mut admin)
            .await
            .unwrap();
        assert!(ended);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_takes_in_another_is_woken_for_by_postgres() {
    let Some(mut place) = Place::postgres().await else {
        return;
    };
    // Also where all others are given a Redis.
    place.set("REDIS_URL", "");
    let (ingest, work) = two_that_never_poll(&mut place).await;
    every_ring_is_heard(&ingest, &work).await;
    assert_eq!(ingest.metric(FAILED).await, 0);
    for cut in 0..3 {
        cut_connections(&place).await;
        takes_in_and_applies(&ingest, &work, &format!("evt_cut_{cut}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_takes_in_another_is_woken_for_by_redis() {
    let Some(mut place) = Place::postgres().await else {
        return;
    };
    let mut redis = RedisServer::start().await;
    place.set("REDIS_URL", redis.url());
    let (ingest, work) = two_that_never_poll(&mut place).await;
    every_ring_is_heard(&ingest, &work).await;
    for cut in 0..3 {
        redis.kill();
        let id = format!("evt_cut_{cut}");
        let event = fresh_event(&id, "customer.created", &customer(&format!("cus_{id}")));
        assert_eq!(ingest.deliver(&event).await, "accepted");
        redis.restart().await;
        work.event_when(&id, "done").await;
        takes_in_and_applies(&ingest, &work, &format!("evt_again_{cut}")).await;
    }
}

/// A failed payment of the customer of this number: one mail is owed.
async fn deliver_failure(process: &Process, number: usize) {
    let (id, person) = (format!("pi_{number}"), format!("cus_{number}"));
    let failed = intent(&id, Some(&person), "requires_payment_method");
    let id = format!("evt_{id}");
    let failed = fresh_event(&id, "payment_intent.payment_failed", &failed);
    assert_eq!(process.deliver(&failed).await, "accepted");
}

async fn done(process: &Process) -> usize {
    let events = process.all("/events").await;
    events
        .iter()
        .filter(|event| event["status"] == "done")
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_takes_up_what_another_left_and_nothing_is_done_twice() {
    const FAILURES: usize = 60;
    let Some(place) = Place::postgres().await else {
        return;
    };
    let (mut one, mut other) = (place.serve().await, place.serve().await);
    // Who is written to must be known before, however slow the machine is.
    for number in 0..FAILURES {
        let person = customer(&format!("cus_{number}"));
        let created = fresh_event(&format!("evt_cus_{number}"), "customer.created", &person);
        assert_eq!(one.deliver(&created).await, "accepted");
    }
    let all_done = async |process: &Process, events: usize| {
        process
            .wait_until("all are done", async |process| {
                done(process).await == events
            })
            .await;
    };
    all_done(&other, FAILURES).await;
    for number in 0..FAILURES / 2 {
        let process = if number % 2 == 0 { &one } else { &other };
        deliver_failure(process, number).await;
    }
    other
        .wait_until("some are done", async |other| {
            done(other).await >= FAILURES + 5
        })
        .await;
    one.signal("KILL");
    one.ends_within(Duration::from_secs(10)).await;
    // What it held is taken up when its lease has ended.
    all_done(&other, FAILURES + FAILURES / 2).await;

    let mut one = place.serve().await;
    for number in FAILURES / 2..FAILURES {
        let process = if number % 2 == 0 { &one } else { &other };
        deliver_failure(process, number).await;
    }
    for process in [&mut one, &mut other] {
        process.signal("TERM");
        let status = process.ends_within(Duration::from_secs(20)).await;
        assert_eq!(status.code(), Some(0), "{}", process.log());
    }

    let last = place.serve().await;
    all_done(&last, 2 * FAILURES).await;
    last.wait_until("all mails are sent", async |last| {
        let messages = last.all("/outbox").await;
        messages.len() == FAILURES && messages.iter().all(|message| message["status"] == "sent")
    })
    .await;
    let messages = last.all("/outbox").await;
    let to: BTreeSet<_> = messages
        .iter()
        .map(|message| message["to"].as_str().unwrap())
        .collect();
    assert_eq!(to.len(), FAILURES, "nobody is written to twice");
    assert_eq!(place.mails().len(), FAILURES);
    let runs = last.all("/runs").await;
    assert_eq!(runs.len(), FAILURES, "every follow-up is one run");
    assert!(runs.iter().all(|run| run["status"] == "done"), "{runs:#?}");
}
