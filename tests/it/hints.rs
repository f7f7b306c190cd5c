//! What hints promise those who use them, with a Redis of the test's own.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use billhook::agent::rules::Rules;
use billhook::config::RedisConfig;
use billhook::hints::{Hints, Lookup};
use billhook::inbox::{Inbox, Limits, Room};
use billhook::store::{Accepted, Delivery, Store};
use billhook::stripe::event::Event;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::support::app::TestApp;
use crate::support::bench::Bench;
use crate::support::process::PATIENCE;
use crate::support::redis::RedisServer;

async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Longer than any machine is busy: for tests in which Redis is well.
const PATIENT: Duration = Duration::from_secs(10);

async fn hints(redis: &RedisServer, bench: &Bench) -> (Hints, DropGuard) {
    hints_with(redis, bench, PATIENT).await
}

/// Hints about the rows of a bench, once Redis answers.
async fn hints_with(redis: &RedisServer, bench: &Bench, timeout: Duration) -> (Hints, DropGuard) {
    let config = RedisConfig {
        url: Some(redis.url().parse().unwrap()),
        timeout,
        remember: Duration::from_mins(10),
    };
    let (hints, task) = Hints::new(&config, "process_1".to_owned(), bench.store.clone()).unwrap();
    let stop = CancellationToken::new();
    TaskTracker::new().spawn(task.run(true, stop.clone()));
    until("Redis answers", async || {
        hints.redis_answers() == Some(true)
    })
    .await;
    (hints, stop.drop_guard())
}

async fn is_known(hints: &Hints, event: &str) -> bool {
    matches!(
        hints.recent.look_up("default", event, b"{}").await,
        Lookup::Committed
    )
}

async fn commit(hints: &Hints, event: &str) {
    until("it is noted", async || {
        match hints.recent.look_up("default", event, b"{}").await {
            Lookup::Committed => true,
            Lookup::Unknown(note) => {
                note.keep();
                false
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_one_database_committed_no_other_knows() {
    let redis = RedisServer::start().await;
    let (one, other) = (Bench::in_memory().await, Bench::in_memory().await);
    let (first, _running) = hints(&redis, &one).await;
    commit(&first, "evt_1").await;
    // The same process and Redis, a new database: what was answered 200 before is not in it.
    let (second, _running) = hints(&redis, &other).await;
    assert!(!is_known(&second, "evt_1").await);
    commit(&second, "evt_1").await;
    assert_eq!(redis.keys(":seen:").await.len(), 2);
    redis.flush().await;
    assert!(!is_known(&first, "evt_1").await);
}

fn delivery(bench: &Bench) -> Delivery {
    let body = br#"{"id":"evt_1","type":"invoice.paid"}"#.to_vec();
    Delivery {
        event: Event::parse(&body, bench.now()).unwrap(),
        account: "self".to_owned(),
        endpoint: "default".to_owned(),
        received_at: bench.now(),
        body,
        ignored: None,
    }
}

#[tokio::test]
async fn what_was_not_committed_is_not_remembered() {
    let redis = RedisServer::start().await;
    let bench = Bench::sqlite().await;
    let (hints, _running) = hints(&redis, &bench).await;
    let another = bench.another_process().await;
    for (store, commits) in [(&bench.store, false), (&another, true)] {
        let limits = Limits {
            max_backlog: 1000,
            backlog_pause: Duration::from_secs(1),
            commit: Duration::from_secs(5),
        };
        let (inbox, writer) = Inbox::new(store.clone(), limits, hints.doorbell.clone());
        let inbox = inbox.remembering(hints.recent.clone());
        let stop = CancellationToken::new();
        TaskTracker::new().spawn(writer.run(stop.clone()));
        let _stop = stop.drop_guard();
        if commits {
            let first = inbox
                .accept(delivery(&bench), Room::new(0).share())
                .await
                .unwrap();
            assert_eq!(first, Accepted::Accepted);
            until("it is noted", async || {
                redis.keys(":seen:").await.len() == 2
            })
            .await;
            let again = inbox
                .accept(delivery(&bench), Room::new(0).share())
                .await
                .unwrap();
            assert_eq!(again, Accepted::Duplicate);
        } else {
            store.close().await;
            inbox
                .accept(delivery(&bench), Room::new(0).share())
                .await
                .unwrap_err();
            // Notes are written in order, so a wrong one would be there before this one is.
            commit(&hints, "evt_2").await;
            assert_eq!(redis.keys(":seen:").await.len(), 1);
        }
    }
    let event = another.event("evt_1").await.unwrap().unwrap();
    assert_eq!(event.deliveries.len(), 1);
}

#[tokio::test]
async fn a_copy_of_a_database_is_another_one() {
    // Both are copies of one template, the random id in their rows included.
    let (Some(one), Some(other)) = (Bench::postgres().await, Bench::postgres().await) else {
        return;
    };
    let identity = one.store.identity().await.unwrap();
    assert_ne!(identity, other.store.identity().await.unwrap());
    let again = one.another_process().await;
    assert_eq!(identity, again.identity().await.unwrap());
}

#[tokio::test]
async fn a_redis_that_hangs_costs_one_time_limit_and_then_nothing() {
    let redis = RedisServer::start().await;
    let bench = Bench::in_memory().await;
    let (hints, _running) = hints_with(&redis, &bench, Duration::from_millis(50)).await;
    commit(&hints, "evt_1").await;
    redis.hang();
    let begun = Instant::now();
    for _ in 0..1000 {
        assert!(!is_known(&hints, "evt_1").await);
    }
    let waited = begun.elapsed();
    println!("1000 questions to a Redis that hangs: {waited:?}");
    // One limit is 50 ms, and a thousand of them would be 50 s.
    assert!(
        waited >= Duration::from_millis(50) && waited < Duration::from_secs(5),
        "{waited:?}"
    );
    assert_eq!(hints.redis_answers(), Some(false));
    redis.go_on();
    until("Redis is back", async || is_known(&hints, "evt_1").await).await;
}

#[tokio::test]
async fn a_redis_that_only_reads_is_as_good_as_none() {
    let redis = RedisServer::start().await;
    let bench = Bench::in_memory().await;
    let (hints, _running) = hints(&redis, &bench).await;
    let mut connection = redis.connection().await;
    let nobody = redis::cmd("REPLICAOF").arg("127.0.0.1").arg(1).to_owned();
    nobody.exec_async(&mut connection).await.unwrap();
    match hints.recent.look_up("default", "evt_1", b"{}").await {
        Lookup::Unknown(note) => note.keep(),
        Lookup::Committed => panic!("nobody noted it"),
    }
    until("the refused write is noticed", async || {
        hints.redis_answers() == Some(false)
    })
    .await;
    let master = redis::cmd("REPLICAOF").arg("NO").arg("ONE").to_owned();
    master.exec_async(&mut connection).await.unwrap();
    until("Redis is back", async || {
        hints.redis_answers() == Some(true)
    })
    .await;
    commit(&hints, "evt_1").await;
}

async fn guess(app: &TestApp, address: &str) -> StatusCode {
    let mut request = Request::post("/stripe/webhook")
        .header("Stripe-Signature", "t=1,v1=00")
        .body(Body::from("{}"))
        .unwrap();
    let address: IpAddr = address.parse().unwrap();
    request
        .extensions_mut()
        .insert(ConnectInfo(SocketAddr::new(address, 50_000)));
    app.ask(request).await.0
}

#[tokio::test]
async fn who_guesses_at_one_process_guesses_at_all() {
    let mut redis = RedisServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("shared.db").display());
    let url = redis.url();
    let settings = [
        ("DATABASE_URL", database.as_str()),
        ("REDIS_URL", url.as_str()),
        ("BILLHOOK__REDIS__TIMEOUT", "10s"),
        ("BILLHOOK__STRIPE__MAX_FAILED_VERIFICATIONS_PER_MINUTE", "3"),
    ];
    let one = TestApp::with(&settings, Arc::new(Rules)).await;
    let other = TestApp::with(&settings, Arc::new(Rules)).await;
    for app in [&one, &other] {
        until("Redis answers", async || {
            let asked = Request::get("/readyz").body(Body::empty()).unwrap();
            app.ask(asked).await.1["checks"]["redis"] == "ok"
        })
        .await;
    }
    let wrong = StatusCode::UNAUTHORIZED;
    for app in [&one, &other, &one] {
        assert_eq!(guess(app, "203.0.113.7").await, wrong);
    }
    // Neither process has counted more than two of its own.
    assert_eq!(
        guess(&other, "203.0.113.7").await,
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(
        guess(&one, "203.0.113.7").await,
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(guess(&one, "203.0.113.8").await, wrong);
    for _ in 0..10 {
        assert_eq!(guess(&one, "127.0.0.1").await, wrong);
    }
    assert_eq!(
        redis.keys(":failed:").await.len(),
        2,
        "no address of ours is kept"
    );

    // Without Redis each process goes on with what it has counted itself.
    redis.kill();
    for _ in 0..3 {
        assert_eq!(guess(&other, "203.0.113.9").await, wrong);
    }
    assert_eq!(
        guess(&other, "203.0.113.9").await,
        StatusCode::TOO_MANY_REQUESTS
    );
}
