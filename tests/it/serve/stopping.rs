//! Signals: the first is an orderly end, the second an end at once.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{intent, on_both};
use crate::support::process::{Place, Process, fresh_event, signature};

on_both!(
    sigterm_answers_what_is_under_way_and_exits_with_0,
    a_second_signal_does_not_wait_for_anybody,
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
