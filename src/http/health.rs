//! Liveness, readiness and metrics. These answer without a token and say nothing about any customer.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};

use super::App;
use super::decides;
use super::problem::Problem;
use crate::inbox::InboxError;
use crate::store::{Census, StoreError};

const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What can be counted, and every status that is shown even when it has none: a series that vanishes keeps its last
/// value in many a dashboard.
const EVENTS: &[&str] = &["pending", "applied", "retrying", "dead"];
const STAGES: &[&str] = &["apply", "follow_up"];
const RUNS: &[&str] = &["waiting", "running", "deferred"];
const FETCHES: &[&str] = &["pending", "denied", "given_up"];
const MESSAGES: &[&str] = &["pending", "sending", "unknown", "held", "failed"];

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/healthz", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

async fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

async fn ready(State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    let redis = app.state.hints.redis_answers();
    let checks = |database, migrations, backlog| {
        let mut checks =
            json!({ "database": database, "migrations": migrations, "backlog": backlog });
        if let (Some(answers), Some(checks)) = (redis, checks.as_object_mut()) {
            // To be seen, and no reason to send deliveries elsewhere: without Redis everything is only slower.
            let redis = if answers { "ok" } else { "away" };
            checks.insert("redis".to_owned(), redis.into());
        }
        checks
    };
    match app.state.store.check().await {
        Ok(()) => {}
        Err(error @ (StoreError::SchemaTooNew { .. } | StoreError::SchemaMissing)) => {
            return Err(not_ready(checks("ok", "failing", "unknown"), error));
        }
        Err(error) => return Err(not_ready(checks("failing", "unknown", "unknown"), error)),
    }
    if app.state.endpoints.is_empty() {
        // It takes nothing in, so what keeps others from that is no concern of its own.
        return Ok(Json(
            json!({ "status": "ok", "checks": checks("ok", "ok", "ok") }),
        ));
    }
    // A database that answers may still take nothing: locked, full, read-only.
    if let Some(failure) = app.state.inbox.recent_failure() {
        return Err(not_ready(checks("failing", "ok", "unknown"), failure));
    }
    // The writer's own answer: whoever may ask for this must not be able to make the database count.
    if app.state.inbox.is_full().await {
        return Err(not_ready(
            checks("ok", "ok", "failing"),
            InboxError::Backlog,
        ));
    }
    Ok(Json(
        json!({ "status": "ok", "checks": checks("ok", "ok", "ok") }),
    ))
}

fn not_ready(checks: Value, cause: impl Error + Send + Sync + 'static) -> Problem {
    let mut problem = Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "not-ready",
        "Not ready",
        "this process cannot take deliveries now; `checks` names what fails, and the log says why",
    )
    .retry_after(Duration::from_secs(5))
    .caused_by(cause);
    problem.members.push(("checks", checks));
    problem
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let mut text = app
        .state
        .metrics
        .as_ref()
        .map(PrometheusHandle::render)
        .unwrap_or_default();
    // What the process counted itself is needed most when the database is down.
    if let Some(census) = app
        .counted
        .census(app.state.store.as_ref(), Instant::now())
        .await
    {
        text.push_str(&gauges(&census));
        text.push_str(&decides::gauges(
            &census.decisions,
            app.state.budgets.as_ref(),
        ));
    }
    ([(header::CONTENT_TYPE, PROMETHEUS_TEXT)], text)
}

fn gauges(census: &Census) -> String {
    let mut text = String::new();
    gauge(
        &mut text,
        "billhook_events",
        "Events that are not over, by status.",
        ("status", EVENTS),
        &census.events,
    );
    gauge(
        &mut text,
        "billhook_dead_events",
        "Events that wait for `events retry`, by the stage that failed.",
        ("stage", STAGES),
        &census.dead,
    );
    gauge(
        &mut text,
        "billhook_runs",
        "Runs that are not over, by status.",
        ("status", RUNS),
        &census.runs,
    );
    gauge(
        &mut text,
        "billhook_messages",
        "Messages that are not over or need a person, by status.",
        ("status", MESSAGES),
        &census.messages,
    );
    gauge(
        &mut text,
        "billhook_fetches",
        "Questions to Stripe's API that are not answered, by status; `denied` lacks a permission.",
        ("status", FETCHES),
        &census.fetches,
    );
    // Writing into a string cannot fail.
    let _written = write!(
        text,
        "# HELP billhook_approvals_held What waits for a person's word.\n# TYPE billhook_approvals_held gauge\n\
         billhook_approvals_held {}\n",
        census.approvals_held
    );
    text
}

fn gauge(
    text: &mut String,
    name: &str,
    help: &str,
    (label, known): (&str, &[&str]),
    counts: &BTreeMap<String, u64>,
) {
    let mut all: BTreeMap<&str, u64> = known.iter().map(|value| (*value, 0)).collect();
    all.extend(counts.iter().map(|(value, count)| (value.as_str(), *count)));
    let mut lines = format!("# HELP {name} {help}\n# TYPE {name} gauge\n");
    for (value, count) in all {
        // Writing into a string cannot fail.
        if writeln!(lines, "{name}{{{label}=\"{value}\"}} {count}").is_err() {
            return;
        }
    }
    text.push_str(&lines);
}
