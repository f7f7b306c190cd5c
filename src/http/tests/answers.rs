//! What all answers have in common, and health.

use insta::{assert_json_snapshot, assert_snapshot};

use super::*;

fn plain(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn an_unknown_address_is_a_problem() {
    let server = Server::new();
    let answer = server.ask(plain("/nowhere")).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_json_snapshot!(answer.redacted(), @r#"
    {
      "type": "urn:billhook:problem:not-found",
      "title": "Not found",
      "status": 404,
      "detail": "there is nothing at this address",
      "request_id": "[id]"
    }
    "#);
}

#[tokio::test]
async fn a_panic_is_a_problem_that_says_nothing() {
    let server = Server::new();
    server.store.held().panics = true;
    let answer = server.get("/api/v1/events/evt_1").await;
    assert!(!answer.text.contains("secret"), "{answer:?}");
    assert_json_snapshot!(answer.redacted(), @r#"
    {
      "type": "urn:billhook:problem:internal",
      "title": "Internal error",
      "status": 500,
      "detail": "something went wrong here; the log says what, under this request id",
      "request_id": "[id]"
    }
    "#);
    assert_eq!(server.ask(plain("/healthz")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn each_request_has_its_own_id() {
    let server = Server::new();
    let mut claimed = plain("/healthz");
    claimed
        .headers_mut()
        .insert("x-request-id", "mine".parse().unwrap());
    let first = server.ask(claimed).await;
    let second = server.ask(plain("/healthz")).await;
    assert_ne!(first.header("x-request-id"), Some("mine"));
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
}

#[tokio::test]
async fn health_answers_without_a_token() {
    let server = Server::new();
    let live = server.ask(plain("/healthz")).await;
    assert_eq!(
        (live.status, live.text.as_str()),
        (StatusCode::OK, r#"{"status":"ok"}"#)
    );
    let ready = server.ask(plain("/readyz")).await;
    assert_eq!(
        ready.text,
        r#"{"status":"ok","checks":{"database":"ok","migrations":"ok","backlog":"ok"}}"#
    );
}

#[tokio::test]
async fn readiness_names_what_fails() {
    let server = Server::new();
    server.store.held().backlog = 11;
    let answer = server.ask(plain("/readyz")).await;
    assert_json_snapshot!(answer.redacted(), @r#"
    {
      "type": "urn:billhook:problem:not-ready",
      "title": "Not ready",
      "status": 503,
      "detail": "this process cannot take deliveries now; `checks` names what fails, and the log says why",
      "request_id": "[id]",
      "checks": {
        "database": "ok",
        "migrations": "ok",
        "backlog": "failing"
      }
    }
    "#);
    server.store.held().schema_too_new = true;
    let checks = server.ask(plain("/readyz")).await.json()["checks"].to_string();
    assert_eq!(
        checks,
        r#"{"database":"ok","migrations":"failing","backlog":"unknown"}"#
    );
    server.store.held().broken = true;
    let checks = server.ask(plain("/readyz")).await.json()["checks"].to_string();
    assert_eq!(
        checks,
        r#"{"database":"failing","migrations":"unknown","backlog":"unknown"}"#
    );
    assert_eq!(server.ask(plain("/healthz")).await.status, StatusCode::OK);
}

/// A disk that is full lets everybody read, and a lock that somebody else holds does, too.
#[tokio::test]
async fn a_database_that_takes_nothing_is_not_ready_whatever_it_answers() {
    let server = Server::new();
    server.store.held().broken = true;
    let refused = server.deliver(EVENT);
    assert_eq!(refused.await.status, StatusCode::SERVICE_UNAVAILABLE);
    server.store.held().broken = false;
    let checks = server.ask(plain("/readyz")).await.json()["checks"].to_string();
    assert_eq!(
        checks,
        r#"{"database":"failing","migrations":"ok","backlog":"unknown"}"#
    );
    let taken = server.deliver(EVENT);
    assert_eq!(taken.await.status, StatusCode::OK);
    assert_eq!(
        server.ask(plain("/readyz")).await.status,
        StatusCode::OK,
        "one commit, and it is over"
    );
}

#[tokio::test]
async fn a_process_that_takes_nothing_in_is_ready_to_work_off_a_backlog() {
    let server = Server::with(|state| state.endpoints = std::sync::Arc::default());
    server.store.held().backlog = 11;
    assert_eq!(server.ask(plain("/readyz")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn metrics_show_the_census_with_zeros() {
    let server = Server::new();
    server
        .store
        .held()
        .census
        .events
        .insert("dead".to_owned(), 3);
    server
        .store
        .held()
        .census
        .dead
        .insert("follow_up".to_owned(), 3);
    server
        .store
        .held()
        .census
        .runs
        .insert("waiting".to_owned(), 2);
    let answer = server.ask(plain("/metrics")).await;
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert_snapshot!(answer.text, @r#"
    # HELP billhook_events Events that are not over, by status.
    # TYPE billhook_events gauge
    billhook_events{status="applied"} 0
    billhook_events{status="dead"} 3
    billhook_events{status="pending"} 0
    billhook_events{status="retrying"} 0
    # HELP billhook_dead_events Events that wait for `events retry`, by the stage that failed.
    # TYPE billhook_dead_events gauge
    billhook_dead_events{stage="apply"} 0
    billhook_dead_events{stage="follow_up"} 3
    # HELP billhook_runs Runs that are not over, by status.
    # TYPE billhook_runs gauge
    billhook_runs{status="deferred"} 0
    billhook_runs{status="running"} 0
    billhook_runs{status="waiting"} 2
    # HELP billhook_messages Messages that are not over or need a person, by status.
    # TYPE billhook_messages gauge
    billhook_messages{status="failed"} 0
    billhook_messages{status="held"} 0
    billhook_messages{status="pending"} 0
    billhook_messages{status="sending"} 0
    billhook_messages{status="unknown"} 0
    # HELP billhook_fetches Questions to Stripe's API that are not answered, by status; `denied` lacks a permission.
    # TYPE billhook_fetches gauge
    billhook_fetches{status="denied"} 0
    billhook_fetches{status="given_up"} 0
    billhook_fetches{status="pending"} 0
    # HELP billhook_approvals_held What waits for a person's word.
    # TYPE billhook_approvals_held gauge
    billhook_approvals_held 0
    # HELP billhook_decisions_by 1 for who decides follow-ups now: the model, the rules, or nobody until the model may be asked again.
    # TYPE billhook_decisions_by gauge
    billhook_decisions_by{by="model"} 0
    billhook_decisions_by{by="deferred"} 0
    billhook_decisions_by{by="rules"} 1
    # HELP billhook_runs_deferred Runs that wait for a model, by why it is not asked.
    # TYPE billhook_runs_deferred gauge
    billhook_runs_deferred{why="model"} 0
    billhook_runs_deferred{why="day_budget"} 0
    billhook_runs_deferred{why="customer_budget"} 0
    # HELP billhook_runs_deferred_since_timestamp_seconds When the first of the runs that wait for a model became due; 0 where none waits.
    # TYPE billhook_runs_deferred_since_timestamp_seconds gauge
    billhook_runs_deferred_since_timestamp_seconds{why="model"} 0
    billhook_runs_deferred_since_timestamp_seconds{why="day_budget"} 0
    billhook_runs_deferred_since_timestamp_seconds{why="customer_budget"} 0
    "#);
}

#[tokio::test]
async fn metrics_of_a_store_that_cannot_be_counted_are_what_the_process_counted() {
    let server = Server::new();
    server.store.held().broken = true;
    let answer = server.ask(plain("/metrics")).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, ""));
}
