//! The business's own application beside the real program: told across kills of the sender, and told again when asked for.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{intent, on_both};
use crate::support::place::Place;
use crate::support::process::{PATIENCE, Process, fresh_event};
use crate::support::receiver::{APP_SECRET, Receiver, Takes};

on_both!(a_sender_that_is_killed_leaves_nothing_untold);

const ORDERS: usize = 60;

fn tell(place: &mut Place, receiver: &Receiver) {
    place.set("APP_WEBHOOK_URL", receiver.url());
    place.set("APP_WEBHOOK_SECRET", APP_SECRET);
}

fn order(number: usize, status: &str) -> Value {
    let mut object = intent(&format!("pi_{number}"), None, status);
    object["metadata"] = json!({ "order_id": format!("order-{number}") });
    let kind = match status {
        "succeeded" => "payment_intent.succeeded",
        _ => "payment_intent.created",
    };
    fresh_event(&format!("evt_{number}_{status}"), kind, &object)
}

async fn until(what: &str, so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Every order as the API shows it, and whether the receiver knows each so.
async fn knows_all(process: &Process, receiver: &Receiver) -> bool {
    let known = receiver.known();
    let orders = process.all("/orders").await;
    orders.len() == ORDERS
        && orders.iter().all(|order| {
            let name = format!("order/{}", order["id"].as_str().unwrap());
            known.get(&name).is_some_and(|(_, data)| data == order)
        })
}

async fn a_sender_that_is_killed_leaves_nothing_untold(mut place: Place) {
    let receiver = Receiver::start().await;
    tell(&mut place, &receiver);
    // Answers are lost, so that messages are on their way when the process dies.
    receiver.next(
        [Takes::Silent, Takes::Well, Takes::HangsUp]
            .into_iter()
            .cycle()
            .take(30),
    );
    for (status, heard) in [("requires_payment_method", 10), ("succeeded", 60)] {
        let mut process = place.serve().await;
        for number in 0..ORDERS {
            process.deliver(&order(number, status)).await;
        }
        until("some were told", || receiver.taken().len() >= heard).await;
        process.signal("KILL");
        process.ends_within(Duration::from_secs(10)).await;
    }
    let process = place.serve().await;
    process
        .wait_until("all are paid", async |process| {
            let orders = process.all("/orders").await;
            orders.iter().all(|order| order["status"] == "paid")
        })
        .await;
    let known = async |process: &Process| knows_all(process, &receiver).await;
    process.wait_until("all is known", known).await;
    process
        .wait_until("nothing is left to tell", async |process| {
            let messages = process.all("/outbox").await;
            messages
                .iter()
                .all(|message| message["status"] == "sent" || message["status"] == "suppressed")
        })
        .await;
}

/// Exit code and answer of a command.
async fn ask(place: &Place, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = place.command(arguments);
    let ran = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ran.status.code(), text(ran.stdout), text(ran.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_comes_later_is_told_everything_once() {
    let mut place = Place::sqlite();
    let process = place.serve().await;
    for number in 0..ORDERS {
        process.deliver(&order(number, "succeeded")).await;
    }
    process
        .wait_until("all are applied", async |process| {
            process.all("/orders").await.len() == ORDERS
        })
        .await;
    assert!(process.all("/outbox").await.is_empty());
    let (code, _, error) = ask(&place, &["app", "resend"]).await;
    assert_eq!(code, Some(2), "{error}");
    assert!(
        error.contains("set APP_WEBHOOK_URL and APP_WEBHOOK_SECRET"),
        "{error}"
    );

    let receiver = Receiver::start().await;
    tell(&mut place, &receiver);
    let (code, told, _) = ask(&place, &["app", "resend", "--dry-run"]).await;
    assert_eq!(
        (code, told.as_str()),
        (Some(0), "60 objects would be told\n")
    );
    assert!(process.all("/outbox").await.is_empty());
    let (code, told, _) = ask(&place, &["--json", "app", "resend"]).await;
    assert_eq!(code, Some(0));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        told,
        json!({ "object": "app_resend", "dry_run": false, "count": ORDERS })
    );
    drop(process);
    let process = place.serve().await;
    let known = async |process: &Process| knows_all(process, &receiver).await;
    process.wait_until("all is known", known).await;
    assert_eq!(receiver.taken().len(), ORDERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_says_when_an_application_is_away_or_wants_no_more() {
    let receiver = Receiver::start().await;
    let mut place = Place::sqlite();
    tell(&mut place, &receiver);
    receiver.always(Takes::Answers(StatusCode::GONE));
    let process = place.serve().await;
    process.deliver(&order(1, "succeeded")).await;
    process
        .wait_until("it was refused", async |process| {
            process.all("/outbox?status=failed").await.len() == 1
        })
        .await;
    let (_, told, _) = ask(&place, &["doctor"]).await;
    assert!(told.contains("untold objects"), "{told}");
    assert!(told.contains("is there, and messages get 1"), "{told}");
    drop(receiver);
    let (_, told, _) = ask(&place, &["--json", "doctor"]).await;
    assert!(told.contains("correct APP_WEBHOOK_URL"), "{told}");
}
