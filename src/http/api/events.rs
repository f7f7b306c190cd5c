//! Events: the inbox, and the verb that tries one again.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};

use super::objects::{Whose, unambiguous};
use super::{Id, ListAnswer};
use crate::http::App;
use crate::http::problem::Problem;
use crate::http::query::Parameters;
use crate::store::{EVENT_STATUSES, EventFilter, EventRecord, Retried};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/events", get(list))
        .route("/events/{id}", get(show))
        .route("/events/{id}/retry", post(retry))
}

async fn list(State(app): State<Arc<App>>, mut parameters: Parameters) -> ListAnswer<EventRecord> {
    let page = parameters.page()?;
    let event_type = parameters.text("type")?;
    let status = parameters.word("status", &EVENT_STATUSES)?;
    let customer = parameters.text("customer")?;
    let created_from = parameters.moment("created[gte]")?;
    let whose = Whose::taken_from(&mut parameters)?;
    parameters.finish()?;
    if let Some(customer) = &customer {
        unambiguous(&app, "customer", customer, &whose).await?;
    }
    let filter = EventFilter {
        event_type,
        status,
        customer,
        account: whose.account,
        livemode: whose.livemode,
        created_from,
    };
    Ok(Json(app.state.store.events(&filter, &page).await?))
}

async fn show(
    State(app): State<Arc<App>>,
    Id(id): Id,
    parameters: Parameters,
) -> Result<Json<EventRecord>, Problem> {
    parameters.finish()?;
    read(&app, &id).await
}

async fn retry(
    State(app): State<Arc<App>>,
    Id(id): Id,
    parameters: Parameters,
) -> Result<Json<EventRecord>, Problem> {
    parameters.finish()?;
    match app.state.store.retry_event(&id).await? {
        Retried::Missing => Err(Problem::missing("event")),
        Retried::NotDead => Err(Problem::new(
            StatusCode::CONFLICT,
            "not-dead",
            "Nothing to try again",
            "the event is neither dead nor retrying, so there is nothing to try again",
        )),
        Retried::Retrying => {
            app.state.inbox.ring();
            read(&app, &id).await
        }
    }
}

async fn read(app: &App, id: &str) -> Result<Json<EventRecord>, Problem> {
    let event = app.state.store.event(id).await?;
    event.map(Json).ok_or_else(|| Problem::missing("event"))
}
