use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use opentelemetry_sdk::error::OTelSdkError;

use super::super::{spans, subscriber};
use super::*;
use crate::config::Config;

/// An exporter that takes a batch when it is let, and does with it what it is told.
#[derive(Debug)]
struct Told {
    /// One message lets one batch go: whether it is taken.
    leave: Mutex<Receiver<bool>>,
    names: Arc<Mutex<Vec<String>>>,
}

impl SpanExporter for Told {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        // Whoever is gone lets all go.
        let is_taken = self.leave.lock().unwrap().recv().unwrap_or(true);
        if !is_taken {
            return Err(OTelSdkError::InternalFailure("away".to_owned()));
        }
        let names = batch.iter().map(|span| span.name.to_string());
        self.names.lock().unwrap().extend(names);
        Ok(())
    }
}

/// Traces to an exporter that is told what to do, and what it took.
fn traces(captures_content: bool) -> (Traces, Sender<bool>, Arc<Mutex<Vec<String>>>) {
    let (sender, leave) = channel();
    let names = Arc::new(Mutex::default());
    let exporter = Told {
        leave: Mutex::new(leave),
        names: names.clone(),
    };
    (Traces::to(exporter, captures_content), sender, names)
}

fn within<T>(traces: &Traces, log: &str, work: impl FnOnce() -> T) -> T {
    let config = TelemetryConfig {
        log: log.to_owned(),
        ..Config::defaults().unwrap().telemetry
    };
    let subscriber = subscriber(&config, false, std::io::sink, Some(traces)).unwrap();
    tracing::subscriber::with_default(subscriber, work)
}

/// One series of this process.
fn counted(outcome: &str) -> u64 {
    let text = crate::telemetry::metrics().unwrap().render();
    let series = format!("billhook_spans_total{{outcome=\"{outcome}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&series));
    value.map_or(0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn only_spans_leave_and_however_little_is_logged() {
    let (traces, leave, names) = traces(false);
    drop(leave);
    within(&traces, "off", || {
        let workflow = spans::workflow("evt_1", "run_1").entered();
        tracing::error!(secret = "hunter2", "something is logged");
        drop(tracing::info_span!("request", request.id = "req_1").entered());
        drop(spans::tool("send_email", "call_1", 3));
        assert!(!spans::wants_content());
        drop(workflow);
    });
    traces.finish().await;
    let names = names.lock().unwrap().clone();
    assert_eq!(
        names,
        ["execute_tool send_email", "invoke_workflow billhook.event"]
    );
}

#[tokio::test]
async fn content_is_wanted_only_where_it_is_captured_and_makes_no_span() {
    let (traces, leave, names) = traces(true);
    drop(leave);
    within(&traces, "info", || assert!(spans::wants_content()));
    traces.finish().await;
    assert!(names.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_nobody_up_and_what_it_misses_is_counted() {
    crate::telemetry::metrics().unwrap();
    let before = counted("dropped");
    let (traces, leave, names) = traces(false);
    // More than the queue and the batch that hangs can hold: whoever ends a span returns all the same.
    let more = 500;
    let all = QUEUE + BATCH + more;
    within(&traces, "off", || {
        for _ in 0..all {
            drop(spans::apply("evt_1", "invoice.paid"));
        }
    });
    let dropped = counted("dropped") - before;
    assert!(dropped >= more as u64, "{dropped}");
    drop(leave);
    traces.finish().await;
    let exported = names.lock().unwrap().len() as u64;
    assert_eq!(exported + dropped, all as u64);
}

#[tokio::test]
async fn a_receiver_that_refuses_costs_its_spans_and_takes_later_ones() {
    crate::telemetry::metrics().unwrap();
    let before = counted("failed");
    let (traces, leave, names) = traces(false);
    leave.send(false).unwrap();
    within(&traces, "off", || {
        drop(spans::apply("evt_1", "invoice.paid"));
    });
    assert!(traces.provider.force_flush().is_err());
    assert_eq!(counted("failed") - before, 1);
    leave.send(true).unwrap();
    within(&traces, "off", || {
        drop(spans::apply("evt_2", "invoice.paid"));
    });
    traces.finish().await;
    assert_eq!(*names.lock().unwrap(), ["apply"]);
}

#[test]
fn the_environment_may_name_the_service_and_else_it_is_ours() {
    let resource = resource();
    let told = |key: &'static str| {
        resource
            .get(&Key::from_static_str(key))
            .unwrap()
            .to_string()
    };
    assert_eq!(told("service.name"), "billhook");
    assert_eq!(told("service.version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(told("service.instance.id").len(), 32);
}

#[test]
fn an_address_with_a_password_is_not_repeated() {
    let endpoint = "http://ada:hunter2@[broken:4318".parse().unwrap();
    let error = exporter(&endpoint).unwrap_err();
    let text = super::super::in_one_line(&error);
    assert!(
        text.contains("telemetry.otlp_endpoint") && !text.contains("hunter2"),
        "{text}"
    );
}
