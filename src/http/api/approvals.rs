//! Approvals: what a model proposed and a person decides about.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::Value;

use super::{Id, ListAnswer};
use crate::hints::Bell;
use crate::http::App;
use crate::http::problem::Problem;
use crate::http::query::Parameters;
use crate::store::{APPROVAL_STATUSES, ApprovalFilter, ApprovalRecord, Decision, Verdict};

/// As what a decision through the API is recorded.
const BY: &str = "api";

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/approvals", get(list))
        .route("/approvals/{id}", get(show))
        .route("/approvals/{id}/approve", post(approve))
        .route("/approvals/{id}/deny", post(deny))
}

async fn list(
    State(app): State<Arc<App>>,
    mut parameters: Parameters,
) -> ListAnswer<ApprovalRecord> {
    let page = parameters.page()?;
    let status = parameters.word("status", &APPROVAL_STATUSES)?;
    parameters.finish()?;
    let filter = ApprovalFilter { status };
    Ok(Json(app.state.store.approvals(&filter, &page).await?))
}

async fn show(
    State(app): State<Arc<App>>,
    Id(id): Id,
    parameters: Parameters,
) -> Result<Json<ApprovalRecord>, Problem> {
    parameters.finish()?;
    read(&app, &id).await
}

/// What was shown to whoever approves.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    hash: String,
}

async fn approve(
    State(app): State<Arc<App>>,
    Id(id): Id,
    parameters: Parameters,
    body: Bytes,
) -> Result<Json<ApprovalRecord>, Problem> {
    parameters.finish()?;
    let Ok(Seen { hash }) = serde_json::from_slice(&body) else {
        return Err(Problem::bad_parameter(
            "hash",
            "must be the `hash` of the approval as it was shown, in a JSON object that holds nothing else",
        ));
    };
    decide(&app, &id, &Verdict::Approve { hash }).await
}

/// Why it may not leave.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Denial {
    #[serde(default)]
    reason: Option<String>,
}

async fn deny(
    State(app): State<Arc<App>>,
    Id(id): Id,
    parameters: Parameters,
    body: Bytes,
) -> Result<Json<ApprovalRecord>, Problem> {
    parameters.finish()?;
    let denial = if body.is_empty() {
        Denial::default()
    } else {
        serde_json::from_slice(&body).map_err(|_error| {
            Problem::bad_parameter(
                "reason",
                "must be a text, in a JSON object that holds nothing else; or leave the body out",
            )
        })?
    };
    let reason = denial.reason.filter(|reason| !reason.trim().is_empty());
    decide(&app, &id, &Verdict::Deny { reason }).await
}

async fn decide(app: &App, id: &str, verdict: &Verdict) -> Result<Json<ApprovalRecord>, Problem> {
    let decision = app.state.store.decide_approval(id, verdict, BY).await?;
    // Its time may have been over: then what is owed is due.
    app.state.hints.doorbell.ring(Bell::Outbox);
    match decision {
        Decision::Done => read(app, id).await,
        Decision::Missing => Err(Problem::missing("approval")),
        Decision::Over(status) => Err(conflict(
            "approval-over",
            "Nothing to decide",
            format!(
                "the approval is {status}, and is decided once; GET /api/v1/approvals/{id} says what became of it"
            ),
            ("approval_status", status),
        )),
        Decision::OtherHash(hash) => Err(conflict(
            "approval-mismatch",
            "Not what is held",
            format!(
                "`hash` is not that of what is held; look at GET /api/v1/approvals/{id} again and approve what it shows"
            ),
            ("hash", hash),
        )),
        Decision::Changed => Err(conflict(
            "approval-changed",
            "What is held was changed",
            format!(
                "what is held is not what was proposed: its row was changed in the database; POST /api/v1/approvals/{id}/deny has the rules do what is owed"
            ),
            ("approval_status", "held".to_owned()),
        )),
    }
}

fn conflict(
    kind: &'static str,
    title: &'static str,
    detail: String,
    (name, value): (&'static str, String),
) -> Problem {
    let mut problem = Problem::new(StatusCode::CONFLICT, kind, title, detail);
    problem.members.push((name, Value::from(value)));
    problem
}

async fn read(app: &App, id: &str) -> Result<Json<ApprovalRecord>, Problem> {
    let approval = app.state.store.approval(id).await?;
    approval
        .map(Json)
        .ok_or_else(|| Problem::missing("approval"))
}
