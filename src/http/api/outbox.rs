//! The outbox: messages to customers and colleagues, and what became of each.

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
use crate::store::{Channel, MESSAGE_STATUSES, MessageFilter, MessageRecord, Resolution, Resolved};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/outbox", get(list))
        .route("/outbox/{id}", get(show))
        .route("/outbox/{id}/resolve", post(resolve))
}

async fn list(
    State(app): State<Arc<App>>,
    mut parameters: Parameters,
) -> ListAnswer<MessageRecord> {
    let page = parameters.page()?;
    let status = parameters.word("status", &MESSAGE_STATUSES)?;
    let channel = parameters.word("channel", &Channel::WORDS)?;
    parameters.finish()?;
    let filter = MessageFilter {
        status,
        channel: channel.as_deref().and_then(Channel::parse),
    };
    Ok(Json(app.state.store.messages(&filter, &page).await?))
}

async fn show(
    State(app): State<Arc<App>>,
    Id(id): Id,
    parameters: Parameters,
) -> Result<Json<MessageRecord>, Problem> {
    parameters.finish()?;
    read(&app, &id).await
}

/// What a person says of a message whose fate nobody knows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdict {
    resolution: Resolution,
}

async fn resolve(
    State(app): State<Arc<App>>,
    Id(id): Id,
    parameters: Parameters,
    body: Bytes,
) -> Result<Json<MessageRecord>, Problem> {
    parameters.finish()?;
    let Ok(Verdict { resolution }) = serde_json::from_slice(&body) else {
        return Err(Problem::bad_parameter(
            "resolution",
            "must be \"sent\" or \"resend\", in a JSON object that holds nothing else",
        ));
    };
    match app.state.store.resolve_message(&id, resolution).await? {
        Resolved::Missing => Err(Problem::missing("message")),
        Resolved::NotUnknown(status) => Err(not_unknown(&id, &status)),
        Resolved::Done => {
            // It may be due again.
            app.state.hints.doorbell.ring(Bell::Outbox);
            read(&app, &id).await
        }
    }
}

fn not_unknown(id: &str, status: &str) -> Problem {
    let mut problem = Problem::new(
        StatusCode::CONFLICT,
        "not-unknown",
        "Nothing to resolve",
        format!(
            "the message is {status}, and only an unknown one can be resolved, or a failed or expired notice to sales or finance sent again; GET /api/v1/outbox/{id} shows it"
        ),
    );
    problem
        .members
        .push(("message_status", Value::from(status)));
    problem
}

async fn read(app: &App, id: &str) -> Result<Json<MessageRecord>, Problem> {
    let message = app.state.store.message(id).await?;
    message.map(Json).ok_or_else(|| Problem::missing("message"))
}
