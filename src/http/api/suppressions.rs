//! The list of mailboxes that are never written to. An address is told in a body and never in a path: paths are logged.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ListAnswer;
use crate::guardrails::recipient::{is_address, recipient_key};
use crate::http::App;
use crate::http::problem::Problem;
use crate::http::query::Parameters;
use crate::store::Suppression;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/suppressions", get(list).post(add).delete(remove))
}

async fn list(State(app): State<Arc<App>>, mut parameters: Parameters) -> ListAnswer<Suppression> {
    let page = parameters.page()?;
    parameters.finish()?;
    Ok(Json(app.state.store.suppressions(&page).await?))
}

/// A mailbox, and why it is never written to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mailbox {
    address: String,
    #[serde(default)]
    reason: Option<String>,
}

fn read(parameters: Parameters, body: &Bytes) -> Result<Mailbox, Problem> {
    parameters.finish()?;
    let mailbox: Option<Mailbox> = serde_json::from_slice(body).ok();
    mailbox
        .filter(|mailbox| is_address(&mailbox.address))
        .ok_or_else(|| {
            Problem::bad_parameter(
                "address",
                "must be a mail address, in a JSON object that holds it and may hold a `reason`",
            )
        })
}

async fn add(
    State(app): State<Arc<App>>,
    parameters: Parameters,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let Mailbox { address, reason } = read(parameters, &body)?;
    let reason = reason.unwrap_or_default();
    let added = app.state.store.suppress(&address, Some(&reason)).await?;
    Ok(Json(
        json!({ "object": "suppression", "address": recipient_key(&address), "added": added }),
    ))
}

async fn remove(
    State(app): State<Arc<App>>,
    parameters: Parameters,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let Mailbox { address, .. } = read(parameters, &body)?;
    let deleted = app.state.store.suppress(&address, None).await?;
    Ok(Json(
        json!({ "object": "suppression", "address": recipient_key(&address), "deleted": deleted }),
    ))
}
