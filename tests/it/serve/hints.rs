//! Redis from outside: it saves work while it is there, and may go at any moment.

use std::collections::BTreeSet;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};

use super::{customer, intent, on_both};
use crate::support::place::Place;
use crate::support::process::{Process, fresh_event};
use crate::support::redis::RedisServer;

on_both!(
    a_repetition_is_answered_without_a_write,
    a_redis_that_outlives_the_database_is_not_believed,
    redis_may_go_at_any_moment,
);

const REMEMBERED: &str = "billhook_inbox_deliveries_total{result=\"remembered\"}";
const LOSSES: &str = "billhook_redis_losses_total";

async fn with_redis(place: &mut Place) -> RedisServer {
    let redis = RedisServer::start().await;
    place.set("REDIS_URL", redis.url());
    redis
}

/// The same, and no process takes it for lost only because the machine is busy.
async fn with_quick_redis(place: &mut Place) -> RedisServer {
    place.set("BILLHOOK__REDIS__TIMEOUT", "10s");
    with_redis(place).await
}

async fn says(process: &Process, redis: &str) {
    process
        .wait_until(&format!("Redis is {redis}"), async |process| {
            let (status, answer) = process.ready().await;
            assert_eq!(status, 200, "Redis is no reason to be unready: {answer}");
            answer["checks"]["redis"] == redis
        })
        .await;
}

/// Delivers an event until Redis knows it.
async fn deliver_and_note(process: &Process, redis: &RedisServer, event: &Value) {
    let known = redis.keys(":seen:").await.len();
    assert_eq!(process.deliver(event).await, "accepted");
    process
        .wait_until("it is noted", async |_| {
            redis.keys(":seen:").await.len() > known
        })
        .await;
}

async fn a_repetition_is_answered_without_a_write(mut place: Place) {
    let redis = with_quick_redis(&mut place).await;
    let process = place.serve().await;
    says(&process, "ok").await;
    let event = fresh_event("evt_1", "customer.created", &customer("cus_1"));
    deliver_and_note(&process, &redis, &event).await;
    for _ in 0..5 {
        assert_eq!(process.deliver(&event).await, "duplicate");
    }
    let kept = process.get("/events/evt_1").await.unwrap();
    assert_eq!(kept["deliveries"].as_array().unwrap().len(), 1);
    assert_eq!(process.metric(REMEMBERED).await, 5);

    // Another body of the same event is another thing: it has to be written.
    let mut other = event.clone();
    other["api_version"] = json!("2025-09-30.clover");
    assert_eq!(process.deliver(&other).await, "duplicate");
    let kept = process.get("/events/evt_1").await.unwrap();
    assert_eq!(kept["deliveries"].as_array().unwrap().len(), 2);
    assert_eq!(process.metric(REMEMBERED).await, 5);
    process.event_when("evt_1", "done").await;
}

async fn a_redis_that_outlives_the_database_is_not_believed(mut place: Place) {
    let redis = with_quick_redis(&mut place).await;
    let event = fresh_event("evt_1", "customer.created", &customer("cus_1"));
    let process = place.serve().await;
    says(&process, "ok").await;
    deliver_and_note(&process, &redis, &event).await;
    assert_eq!(process.deliver(&event).await, "duplicate");
    drop(process);

    let restored = place.another().await;
    let process = restored.serve().await;
    says(&process, "ok").await;
    assert_eq!(process.deliver(&event).await, "accepted");
    process.event_when("evt_1", "done").await;
}

async fn all_are_done(process: &Process) {
    process
        .wait_until("all are done", async |process| {
            let events = process.all("/events").await;
            events.iter().all(|event| event["status"] == "done")
        })
        .await;
}

/// What befalls a Redis, in an order that the seed decides.
async fn befall(redis: &mut RedisServer, what: &str) {
    // Whatever it was before, it is over.
    if redis.runs() {
        redis.go_on();
    } else {
        redis.restart().await;
    }
    match what {
        "forgets" => redis.flush().await,
        "hangs" => redis.hang(),
        "dies" => redis.kill(),
        _ => {}
    }
}

async fn redis_may_go_at_any_moment(mut place: Place) {
    const EVENTS: usize = 240;
    const SEED: u64 = 20_270_115;
    let mut redis = with_redis(&mut place).await;
    let process = place.serve().await;
    let mut random = StdRng::seed_from_u64(SEED);
    let people = (0..EVENTS / 2).map(|number| {
        let person = customer(&format!("cus_{number}"));
        fresh_event(&format!("evt_cus_{number}"), "customer.created", &person)
    });
    let failures = (0..EVENTS / 2).map(|number| {
        let (id, person) = (format!("pi_{number}"), format!("cus_{number}"));
        let failed = intent(&id, Some(&person), "requires_payment_method");
        fresh_event(
            &format!("evt_pi_{number}"),
            "payment_intent.payment_failed",
            &failed,
        )
    });
    let events: Vec<Value> = people.chain(failures).collect();
    let mut befallen = Vec::new();
    for (number, event) in events.iter().enumerate() {
        if number % 8 == 7 {
            let what = ["forgets", "hangs", "dies", "recovers"]
                .choose(&mut random)
                .unwrap();
            befall(&mut redis, what).await;
            befallen.push(*what);
        }
        if number == EVENTS / 2 {
            // Who is written to must be known, however slow the machine is.
            all_are_done(&process).await;
        }
        assert_eq!(process.deliver(event).await, "accepted");
        for repeated in events.get(number.saturating_sub(3)..=number).unwrap() {
            assert_eq!(process.deliver(repeated).await, "duplicate");
        }
    }
    println!("seed {SEED}: {befallen:?}");
    befall(&mut redis, "recovers").await;
    says(&process, "ok").await;

    all_are_done(&process).await;
    assert_eq!(process.all("/events").await.len(), EVENTS);
    process
        .wait_until("all mails are sent", async |process| {
            let messages = process.all("/outbox").await;
            messages.iter().all(|message| message["status"] == "sent")
        })
        .await;
    let messages = process.all("/outbox").await;
    let to: BTreeSet<_> = messages
        .iter()
        .map(|message| message["to"].as_str().unwrap())
        .collect();
    assert_eq!((messages.len(), to.len()), (EVENTS / 2, EVENTS / 2));
    assert_eq!(place.mails().len(), EVENTS / 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_hangs_delays_one_acknowledgement() {
    let mut place = Place::sqlite();
    let redis = with_redis(&mut place).await;
    let process = place.serve().await;
    says(&process, "ok").await;
    let deliver_many = async |name: &str| {
        let mut slowest = std::time::Duration::ZERO;
        for number in 0..100 {
            let id = format!("evt_{name}_{number}");
            let event = fresh_event(&id, "customer.created", &customer(&format!("cus_{number}")));
            let begun = std::time::Instant::now();
            assert_eq!(process.deliver(&event).await, "accepted");
            slowest = slowest.max(begun.elapsed());
        }
        slowest
    };
    let with = deliver_many("with").await;
    says(&process, "ok").await;
    let losses = process.metric(LOSSES).await;
    redis.hang();
    let without = deliver_many("without").await;
    println!("slowest acknowledgement: {with:?} with Redis, {without:?} with one that hangs");
    // Each wait is counted as a loss, and a Redis that hangs cannot be lost twice.
    let losses = process.metric(LOSSES).await - losses;
    assert!(losses <= 1, "{losses} waits");
    says(&process, "away").await;
    redis.go_on();
    says(&process, "ok").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_does_not_answer_is_warned_of_and_gone_without() {
    let mut place = Place::sqlite();
    // Nobody listens on port 1 of this machine.
    place.set("REDIS_URL", "redis://app:hunter2@127.0.0.1:1");
    let process = place.serve().await;
    let event = fresh_event("evt_1", "customer.created", &customer("cus_1"));
    assert_eq!(process.deliver(&event).await, "accepted");
    assert_eq!(process.deliver(&event).await, "duplicate");
    says(&process, "away").await;
    process
        .wait_until("it is warned of", async |process| {
            process.log().contains("Redis is away")
        })
        .await;
    let log = process.log();
    assert!(
        log.contains("check that it runs and that REDIS_URL is right"),
        "{log}"
    );
    assert!(log.contains("app:***@127.0.0.1:1"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    for url in [
        "redis://app:hunter2@cache:port",
        "redis://cache/zero",
        "redis://",
    ] {
        let place = Place::sqlite();
        let mut command = place.command(&["serve"]);
        command.env("REDIS_URL", url);
        let (code, told) = place.run(command).await;
        assert_eq!(code, Some(2), "{url}: {told}");
        assert!(told.contains("REDIS_URL"), "{url}: {told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}
