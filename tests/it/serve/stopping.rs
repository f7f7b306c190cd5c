//! Signals: the first is an orderly end, the second an end at once.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{customer, intent, on_both};
use crate::support::place::Place;
use crate::support::process::{PATIENCE, Process, fresh_event, signature};
use crate::support::smtp::{Does, SmtpServer, header};

on_both!(
    sigterm_answers_what_is_under_way_and_exits_with_0,
    a_second_signal_does_not_wait_for_anybody,
    sigterm_waits_for_the_answer_to_a_mail_that_the_server_has,
    sigterm_gives_back_what_no_server_has,
    a_mail_that_was_under_way_at_a_kill_is_unknown_and_a_notice_goes_again,
);

/// A request of which the server has the headers and half of the body.
async fn half_a_request(process: &Process, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(process.address()).await.unwrap();
    let head = format!(
        "POST /stripe/webhook HTTP/1.1\r\nHost: {}\r\nStripe-Signature: {}\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        process.address(),
        signature(body),
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server says this once it wants the body: only then is the request under way for certain.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&body[..body.len() / 2]).await.unwrap();
    stream
}

async fn refuses_connections(process: &Process) {
    process
        .wait_until("the listener is closed", async |process| {
            TcpStream::connect(process.address()).await.is_err()
        })
        .await;
}

async fn sigterm_answers_what_is_under_way_and_exits_with_0(place: Place) {
    let mut process = place.serve().await;
    let object = intent("pi_1", None, "succeeded");
    let body = fresh_event("evt_1", "payment_intent.succeeded", &object)
        .to_string()
        .into_bytes();
    let mut stream = half_a_request(&process, &body).await;
    process.signal("TERM");
    refuses_connections(&process).await;
    assert!(process.runs(), "it ended with a request under way");
    stream.write_all(&body[body.len() / 2..]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with(r#"{"status":"accepted"}"#), "{answer}");
    let status = process.ends_within(Duration::from_secs(20)).await;
    assert_eq!(status.code(), Some(0), "{}", process.log());

    let process = place.serve().await;
    process.event_when("evt_1", "done").await;
}

async fn a_second_signal_does_not_wait_for_anybody(place: Place) {
    let mut process = place.serve().await;
    let body = b"{\"id\":\"evt_never_finished\"}";
    let stream = half_a_request(&process, body).await;
    process.signal("TERM");
    refuses_connections(&process).await;
    assert!(process.runs(), "it ended with a request under way");
    process.signal("TERM");
    // Waiting for that request would take 15 seconds, and the whole patience of a shutdown is 30.
    let status = process.ends_within(Duration::from_secs(8)).await;
    assert!(status.code().is_some(), "it ends by itself: {status}");
    drop(stream);
    let process = place.serve().await;
    assert_eq!(process.get("/events/evt_never_finished").await, None);
}

/// A place whose mails go to this server, the business's own as well, and whose stops have little patience.
fn with_mail(mut place: Place, server: &SmtpServer) -> Place {
    place.set("SMTP_URL", server.url());
    place.set("SALES_EMAIL", "sales@acme.example");
    place.set("BILLHOOK__SERVER__SHUTDOWN_TIMEOUT", "1s");
    place
}

/// A payment of this customer that failed, of which the customer is to hear.
async fn a_payment_fails(process: &Process, name: &str) {
    let created = fresh_event(
        &format!("evt_created_{name}"),
        "customer.created",
        &customer(name),
    );
    process.deliver(&created).await;
    let failed = intent(&format!("pi_{name}"), Some(name), "requires_payment_method");
    let event = fresh_event(
        &format!("evt_failed_{name}"),
        "payment_intent.payment_failed",
        &failed,
    );
    process.deliver(&event).await;
}

/// A payment that is large enough for sales to hear of it.
async fn a_large_payment_succeeds(process: &Process) {
    let mut large = intent("pi_large", None, "succeeded");
    large["amount"] = 490_000.into();
    large["amount_received"] = 490_000.into();
    let event = fresh_event("evt_large", "payment_intent.succeeded", &large);
    process.deliver(&event).await;
}

/// What a stopped service has left in the outbox.
async fn left_behind(place: &Place) -> Vec<Value> {
    let mut command = place.command(&["--json", "outbox", "list"]);
    let ended = tokio::task::spawn_blocking(move || command.output());
    let listed: Value = serde_json::from_slice(&ended.await.unwrap().unwrap().stdout).unwrap();
    listed["data"].as_array().unwrap().clone()
}

async fn ends_with_0(process: &mut Process) {
    let status = process.ends_within(Duration::from_secs(20)).await;
    assert_eq!(status.code(), Some(0), "{}", process.log());
}

async fn sigterm_waits_for_the_answer_to_a_mail_that_the_server_has(place: Place) {
    let server = SmtpServer::start().await;
    let place = with_mail(place, &server);
    let mut process = place.serve().await;
    server.now(Does::Hangs("dot"));
    a_payment_fails(&process, "cus_1").await;
    server
        .once("it is handed over", |seen| seen.messages.len() == 1)
        .await;
    process.signal("TERM");
    process
        .wait_until("patience is over", async |process| {
            process.log().contains("time is up")
        })
        .await;
    // The process has nothing to do but wait, for longer than its lease and its patience together.
    let status = tokio::time::timeout(Duration::from_secs(4), process.ends_within(PATIENCE)).await;
    assert!(status.is_err(), "it did not wait: {}", process.log());
    server.now(None);
    ends_with_0(&mut process).await;

    let messages = left_behind(&place).await;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["status"], "sent", "{messages:#?}");
    assert_eq!(server.message_ids().len(), 1);
}

async fn sigterm_gives_back_what_no_server_has(place: Place) {
    let server = SmtpServer::start().await;
    let place = with_mail(place, &server);
    let mut process = place.serve().await;
    server.now(Does::Hangs("RCPT"));
    a_payment_fails(&process, "cus_1").await;
    server
        .once("it is under way", |seen| {
            seen.commands
                .iter()
                .any(|command| command.starts_with("RCPT"))
        })
        .await;
    process.signal("TERM");
    ends_with_0(&mut process).await;
    assert!(server.message_ids().is_empty());

    let messages = left_behind(&place).await;
    assert_eq!(messages[0]["status"], "pending", "{messages:#?}");

    server.now(None);
    let process = place.serve().await;
    process
        .wait_until("it is sent", async |process| {
            process.all("/outbox?status=sent").await.len() == 1
        })
        .await;
    assert_eq!(server.message_ids().len(), 1);
}

async fn a_mail_that_was_under_way_at_a_kill_is_unknown_and_a_notice_goes_again(place: Place) {
    let server = SmtpServer::start().await;
    let place = with_mail(place, &server);
    let mut process = place.serve().await;
    server.now(Does::Hangs("dot"));
    a_payment_fails(&process, "cus_1").await;
    a_large_payment_succeeds(&process).await;
    server
        .once("both are handed over", |seen| seen.messages.len() == 2)
        .await;
    process.signal("KILL");
    process.ends_within(Duration::from_secs(10)).await;
    server.now(None);

    let process = place.serve().await;
    process
        .wait_until("both leases are over", async |process| {
            let unknown = process.all("/outbox?status=unknown").await.len();
            (unknown, process.all("/outbox?status=sent").await.len()) == (1, 1)
        })
        .await;
    // What is owed since goes out, and what nobody can know stays as it is.
    a_payment_fails(&process, "cus_2").await;
    process
        .wait_until("the next mail is sent", async |process| {
            process.all("/outbox?status=sent").await.len() == 2
        })
        .await;
    let unknown = process.all("/outbox?status=unknown").await.remove(0);
    assert_eq!(unknown["to"], "cus_1@example.com");
    let messages = server.seen.lock().unwrap().messages.clone();
    let copies_for = |recipient: &str| {
        let theirs = messages
            .iter()
            .filter(|message| header(message, "To") == recipient);
        theirs
            .map(|message| header(message, "Message-ID"))
            .collect::<Vec<_>>()
    };
    assert_eq!(copies_for("cus_1@example.com").len(), 1);
    assert_eq!(copies_for("cus_2@example.com").len(), 1);
    let notices = copies_for("sales@acme.example");
    assert!(
        notices.len() == 2 && notices[0] == notices[1],
        "{notices:?}"
    );
}
