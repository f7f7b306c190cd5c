//! Traces from outside: what leaves the process, and that a receiver which is not there costs nothing but its spans.

use std::collections::BTreeSet;

use super::{customer, intent};
use crate::support::otlp::{OtlpServer, pairs};
use crate::support::place::Place;
use crate::support::process::{PATIENCE, Process, fresh_event};

/// A payment that failed, followed to its mail.
async fn follow_up(process: &Process, number: usize) {
    let (cus, pi) = (format!("cus_{number}"), format!("pi_{number}"));
    process
        .deliver(&fresh_event(
            &format!("evt_c{number}"),
            "customer.created",
            &customer(&cus),
        ))
        .await;
    let failed = intent(&pi, Some(&cus), "requires_payment_method");
    let id = format!("evt_{number}");
    process
        .deliver(&fresh_event(&id, "payment_intent.payment_failed", &failed))
        .await;
    process.event_when(&id, "done").await;
    process
        .wait_until("the mail is sent", async |process| {
            let sent = process.all("/outbox?status=sent").await;
            sent.len() >= number
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_spans_leave_before_the_process_does() {
    let receiver = OtlpServer::start().await;
    let mut place = Place::sqlite();
    // The base of the receiver, as other programs take it: with a slash or without.
    place.set(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        format!("{}/", receiver.url()),
    );
    place.set("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=hunter2");
    place.set(
        "OTEL_RESOURCE_ATTRIBUTES",
        "deployment.environment.name=test",
    );
    // Only the end of the process is a reason to send anything.
    place.set("OTEL_BSP_SCHEDULE_DELAY", "3600000");
    place.set("RUST_LOG", "debug");
    let mut process = place.serve().await;
    follow_up(&process, 1).await;
    assert!(receiver.headers().is_empty());
    process.signal("TERM");
    assert!(process.ends_within(PATIENCE).await.success());

    let headers = receiver.headers();
    assert!(
        !headers.is_empty()
            && headers
                .iter()
                .all(|headers| headers["x-api-key"] == "hunter2")
    );
    let spans = receiver.spans();
    let names: BTreeSet<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    let expected = [
        "POST /stripe/webhook",
        "accept",
        "apply",
        "execute_tool send_email",
        "invoke_agent payment_failed",
        "invoke_workflow billhook.event",
        "send email",
    ];
    for name in expected {
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
    let request = &receiver.requests()[0].resource_spans[0];
    let resource = pairs(&request.resource.as_ref().unwrap().attributes);
    assert_eq!(resource["service.name"], "billhook");
    assert_eq!(resource["deployment.environment.name"], "test");
    let log = process.log();
    assert!(
        !log.contains("hunter2") && !log.contains("invoke_agent"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sampler_may_keep_all_traces_here() {
    let receiver = OtlpServer::start().await;
    let mut place = Place::sqlite();
    place.set("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url());
    place.set("OTEL_TRACES_SAMPLER", "always_off");
    let mut process = place.serve().await;
    follow_up(&process, 1).await;
    process.signal("TERM");
    assert!(process.ends_within(PATIENCE).await.success());
    assert!(receiver.spans().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_away_is_said_once_and_costs_nothing_else() {
    let mut place = Place::sqlite();
    place.set(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "http://app:hunter2@127.0.0.1:1",
    );
    place.set("OTEL_BSP_SCHEDULE_DELAY", "20");
    let mut process = place.serve().await;
    let lost = "billhook_spans_total{outcome=\"failed\"}";
    let mut before = 0;
    for number in 1..=3 {
        follow_up(&process, number).await;
        process
            .wait_until("another batch is lost", async |process| {
                process.metric(lost).await > before
            })
            .await;
        before = process.metric(lost).await;
    }
    process.signal("TERM");
    assert!(process.ends_within(PATIENCE).await.success());
    let log = process.log();
    assert_eq!(log.matches("spans were not taken").count(), 1, "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_hangs_keeps_no_process() {
    let receiver = OtlpServer::hanging().await;
    let mut place = Place::sqlite();
    place.set("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url());
    place.set("OTEL_BSP_SCHEDULE_DELAY", "20");
    let mut process = place.serve().await;
    follow_up(&process, 1).await;
    process.signal("TERM");
    assert!(process.ends_within(PATIENCE).await.success());
}
