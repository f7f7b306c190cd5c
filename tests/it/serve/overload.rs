//! More than can be worked off, and clients that take their time: whoever sends something whole is answered quickly.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use billhook::agent::model::{Model, ModelError, Reply, Request};
use billhook::store::Store as _;
use futures::future::join_all;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::{customer, intent, on_both};
use crate::support::app::{TestApp, event};
use crate::support::place::Place;
use crate::support::process::{PATIENCE, Process, fresh_event, signature};
use crate::support::smtp::{Does, SmtpServer};

on_both!(
    a_full_backlog_is_refused_and_recovers_by_itself,
    acknowledgements_do_not_wait_for_a_mail_server_that_hangs,
    a_database_that_stalls_is_answered_in_time_and_taken_up_again,
);

/// Much longer than an acknowledgement takes on a busy machine, and much shorter than any of the time limits that a
/// slow client or a mail server runs into.
const QUICK: Duration = Duration::from_secs(5);

/// An answer's status, its `Retry-After` and its body.
type Answer = (u16, Option<String>, Value);

async fn read(answer: reqwest::Response) -> Answer {
    let retry_after = answer.headers().get("retry-after");
    let retry_after = retry_after.map(|value| value.to_str().unwrap().to_owned());
    (
        answer.status().as_u16(),
        retry_after,
        answer.json().await.unwrap(),
    )
}

/// Posts over a connection of its own, as a sender does who has none open.
async fn post(process: &Process, event: &Value) -> Answer {
    let body = event.to_string();
    let request = client()
        .post(process.at("/stripe/webhook"))
        .header("Stripe-Signature", signature(body.as_bytes()))
        .body(body);
    read(request.send().await.unwrap()).await
}

async fn get(process: &Process, path: &str) -> reqwest::Response {
    client().get(process.at(path)).send().await.unwrap()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn payment(id: &str) -> Value {
    let object = intent(&format!("pi_{id}"), None, "succeeded");
    fresh_event(&format!("evt_{id}"), "payment_intent.succeeded", &object)
}

async fn a_full_backlog_is_refused_and_recovers_by_itself(mut place: Place) {
    place.set("BILLHOOK__INBOX__MAX_BACKLOG", "5");
    let ingest = place.serve_as("ingest").await;
    // The count may be a second old, so some more are taken before it is seen.
    let started = Instant::now();
    let mut taken = 0;
    let (status, retry_after, answer) = loop {
        let answer = post(&ingest, &payment(&format!("{taken}"))).await;
        if answer.0 != 200 {
            break answer;
        }
        taken += 1;
        assert!(started.elapsed() < PATIENCE, "{taken} events were taken");
    };
    assert_eq!(
        (status, answer["type"].as_str(), retry_after.as_deref()),
        (503, Some("urn:billhook:problem:backlog"), Some("30"))
    );
    // It is full whatever comes: looking up whether an event is known costs what the bound protects.
    assert_eq!(post(&ingest, &payment("1")).await.0, 503);
    let (status, _, answer) = read(get(&ingest, "/readyz").await).await;
    assert_eq!(
        (status, answer["checks"]["backlog"].as_str()),
        (503, Some("failing"))
    );
    assert_eq!(ingest.all("/events").await.len(), taken);
    assert!(taken > 5, "{taken} taken");

    let _worker = place.serve_as("work").await;
    ingest
        .wait_until("it takes events again", async |process| {
            post(process, &payment("after")).await.0 == 200
        })
        .await;
    let (status, _, answer) = post(&ingest, &payment("1")).await;
    assert_eq!(
        (status, answer["status"].as_str()),
        (200, Some("duplicate"))
    );
    ingest.event_when("evt_after", "done").await;
    assert_eq!(ingest.all("/events").await.len(), taken + 1);
    assert_eq!(get(&ingest, "/readyz").await.status(), 200);
}

async fn acknowledgements_do_not_wait_for_a_mail_server_that_hangs(mut place: Place) {
    let mail = SmtpServer::start().await;
    mail.now(Does::Waits("connect", Duration::from_mins(10)));
    place.set("SMTP_URL", mail.url());
    // A Redis that nobody is at: port 1 of this machine.
    place.set("REDIS_URL", "redis://127.0.0.1:1");
    let process = place.serve().await;
    for number in 0..20 {
        let id = format!("cus_{number}");
        let created = fresh_event(&format!("evt_{id}"), "customer.created", &customer(&id));
        process.deliver(&created).await;
        let failed = intent(&format!("pi_{id}"), Some(&id), "requires_payment_method");
        let failed = fresh_event(
            &format!("evt_failed_{id}"),
            "payment_intent.payment_failed",
            &failed,
        );
        process.deliver(&failed).await;
    }
    process
        .wait_until("mails hang at the server", async |process| {
            mail.seen.lock().unwrap().connections > 0 && process.all("/outbox").await.len() == 20
        })
        .await;
    let times = join_all((0..100).map(async |number| {
        let event = payment(&format!("during_{number}"));
        let started = Instant::now();
        assert_eq!(process.deliver(&event).await, "accepted");
        started.elapsed()
    }))
    .await;
    assert!(times.iter().all(|time| *time < QUICK), "{times:?}");
    process.event_when("evt_during_99", "done").await;
    assert!(mail.message_ids().is_empty());
}

/// Holds what every delivery needs, until it is dropped.
enum Stall {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

impl Stall {
    async fn begin(url: &str) -> Self {
        if url.starts_with("sqlite:") {
            let pool = sqlx::SqlitePool::connect(url).await.unwrap();
            return Self::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await.unwrap());
        }
        let pool = sqlx::PgPool::connect(url).await.unwrap();
        let mut held = pool.begin().await.unwrap();
        sqlx::query("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
            .execute(&mut *held)
            .await
            .unwrap();
        Self::Postgres(held)
    }

    async fn end(self) {
        match self {
            Self::Sqlite(held) => held.rollback().await.unwrap(),
            Self::Postgres(held) => held.rollback().await.unwrap(),
        }
    }
}

async fn a_database_that_stalls_is_answered_in_time_and_taken_up_again(mut place: Place) {
    place.set("BILLHOOK__SERVER__REQUEST_TIMEOUT", "3s");
    let process = place.serve().await;
    assert_eq!(post(&process, &payment("before")).await.0, 200);
    let stall = Stall::begin(&place.url()).await;
    let started = Instant::now();
    let answers = join_all((0..20).map(async |number| {
        let event = payment(&format!("during_{number}"));
        post(&process, &event).await
    }))
    .await;
    // Two transactions at the most are waited for, each for a third of what a request may take.
    assert!(started.elapsed() < QUICK, "{:?}", started.elapsed());
    for (status, retry_after, answer) in answers {
        assert_eq!(
            (status, retry_after.as_deref()),
            (503, Some("5")),
            "{answer}"
        );
    }
    assert_eq!(get(&process, "/healthz").await.status(), 200);
    stall.end().await;
    process
        .wait_until("it takes events again", async |process| {
            post(process, &payment("after")).await.0 == 200
        })
        .await;
    for number in 0..20 {
        let (status, _, answer) = post(&process, &payment(&format!("during_{number}"))).await;
        assert_eq!(status, 200, "{answer}");
    }
    for id in ["evt_before", "evt_during_0", "evt_during_19", "evt_after"] {
        process.event_when(id, "done").await;
    }
    assert_eq!(process.all("/events").await.len(), 22);
}

/// A model that is asked and never answers.
#[derive(Debug, Default)]
struct Silent {
    asked: Notify,
}

#[async_trait]
impl Model for Silent {
    fn name(&self) -> &'static str {
        "silent"
    }

    async fn reply(&self, _request: &Request) -> Result<Reply, ModelError> {
        self.asked.notify_one();
        std::future::pending().await
    }
}

#[tokio::test]
async fn acknowledgements_do_not_wait_for_a_model_that_never_answers() {
    let model = Arc::new(Silent::default());
    let app = TestApp::with(&[], model.clone()).await;
    app.deliver(&fresh_event(
        "evt_1",
        "customer.created",
        &customer("cus_1"),
    ))
    .await;
    let failed = intent("pi_1", Some("cus_1"), "requires_payment_method");
    let failed = event("evt_2", "payment_intent.payment_failed", 0, &failed);
    app.deliver(&failed).await;
    app.app.worker.apply_due().await.unwrap();
    app.clock.advance(Duration::from_secs(61));
    let delivering = async {
        model.asked.notified().await;
        for number in 0..50 {
            let object = intent(&format!("pi_{number}"), None, "succeeded");
            let id = format!("evt_during_{number}");
            app.deliver(&event(&id, "payment_intent.succeeded", 61, &object))
                .await;
        }
    };
    tokio::select! {
        decided = app.app.worker.decide_due() => panic!("it decided: {decided:?}"),
        delivered = tokio::time::timeout(QUICK, delivering) => delivered.unwrap(),
    }
    assert_eq!(app.store().backlog(100).await.unwrap(), 50);
}

/// What a slow client does once it is connected.
#[derive(Clone, Copy)]
enum Slow {
    /// Nothing.
    Idle,
    /// It is always about to send one more header.
    Headers,
    /// It is always about to send the rest of its body.
    Body,
    /// It sends requests and reads no answer.
    Deaf,
    /// It says that it sends nothing more, and stays.
    HalfClosed,
}

async fn slow(process: &Process, slow: Slow) -> TcpStream {
    let mut stream = TcpStream::connect(process.address()).await.unwrap();
    let body = payment("never").to_string();
    let head = format!(
        "POST /stripe/webhook HTTP/1.1\r\nHost: x\r\nStripe-Signature: {}\r\nContent-Length: {}\r\n",
        signature(body.as_bytes()),
        body.len()
    );
    let sent = match slow {
        Slow::Idle => String::new(),
        Slow::Headers => head,
        Slow::Body => format!("{head}\r\n{{"),
        Slow::Deaf => "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100),
        Slow::HalfClosed => "POST /stri".to_owned(),
    };
    stream.write_all(sent.as_bytes()).await.unwrap();
    if matches!(slow, Slow::HalfClosed) {
        stream.shutdown().await.unwrap();
    }
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_without_number_keep_nobody_from_being_answered() {
    let mut place = Place::sqlite();
    place.set("BILLHOOK__SERVER__MAX_CONNECTIONS", "50");
    let process = place.serve().await;
    let kinds = [
        Slow::Idle,
        Slow::Headers,
        Slow::Body,
        Slow::Deaf,
        Slow::HalfClosed,
    ];
    let mut held = Vec::new();
    for round in 0..200 {
        for kind in kinds {
            held.push(slow(&process, kind).await);
        }
        if round % 20 == 0 {
            let started = Instant::now();
            let (status, _, answer) = post(&process, &payment(&format!("{round}"))).await;
            assert_eq!(status, 200, "{answer}");
            let time = started.elapsed();
            assert!(time < QUICK, "{time:?} with {} slow clients", held.len());
        }
    }
    let metrics = get(&process, "/metrics").await.text().await.unwrap();
    let open: f64 = metrics
        .lines()
        .find_map(|line| line.strip_prefix("billhook_http_connections "))
        .unwrap()
        .parse()
        .unwrap();
    assert!(open <= 50.0, "{open} connections");
    // Whoever does nothing is told so by the end of the connection, although nobody's time limit has passed.
    for (number, stream) in held[..100].iter_mut().enumerate() {
        let mut bytes = Vec::new();
        let end = tokio::time::timeout(QUICK, stream.read_to_end(&mut bytes)).await;
        assert!(end.is_ok(), "the {number}th is still open");
    }
    assert_eq!(process.all("/events").await.len(), 10);
    assert_eq!(process.get("/events/evt_never").await, None);
}
