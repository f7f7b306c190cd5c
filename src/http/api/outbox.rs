//! The outbox: messages to customers and colleagues, and what became of each.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};

use super::{Id, ListAnswer};
use crate::http::App;
use crate::http::problem::Problem;
use crate::http::query::Parameters;
use crate::store::MessageRecord;

const STATUSES: &[&str] = &[
    "pending",
    "sending",
    "sent",
    "failed",
    "unknown",
    "suppressed",
    "held",
    "denied",
    "expired",
];

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/outbox", get(list))
        .route("/outbox/{id}", get(show))
}

async fn list(
    State(app): State<Arc<App>>,
    mut parameters: Parameters,
) -> ListAnswer<MessageRecord> {
    let page = parameters.page()?;
    let status = parameters.word("status", STATUSES)?;
    parameters.finish()?;
    Ok(Json(
        app.state.store.messages(status.as_deref(), &page).await?,
    ))
}

async fn show(
    State(app): State<Arc<App>>,
    Id(id): Id,
    parameters: Parameters,
) -> Result<Json<MessageRecord>, Problem> {
    parameters.finish()?;
    let message = app.state.store.message(&id).await?;
    message.map(Json).ok_or_else(|| Problem::missing("message"))
}
