//! Runs and tool calls: what was decided, by whom, and what was refused.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};

use super::{Id, ListAnswer};
use crate::http::App;
use crate::http::problem::Problem;
use crate::http::query::Parameters;
use crate::store::{RunRecord, ToolCallRecord};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/runs", get(list))
        .route("/runs/{id}", get(show))
        .route("/tool_calls", get(list_tool_calls))
}

async fn list(State(app): State<Arc<App>>, mut parameters: Parameters) -> ListAnswer<RunRecord> {
    let page = parameters.page()?;
    parameters.finish()?;
    Ok(Json(app.state.store.runs(&page).await?))
}

async fn show(
    State(app): State<Arc<App>>,
    Id(id): Id,
    parameters: Parameters,
) -> Result<Json<RunRecord>, Problem> {
    parameters.finish()?;
    let run = app.state.store.run(&id).await?;
    run.map(Json).ok_or_else(|| Problem::missing("run"))
}

async fn list_tool_calls(
    State(app): State<Arc<App>>,
    mut parameters: Parameters,
) -> ListAnswer<ToolCallRecord> {
    let page = parameters.page()?;
    parameters.finish()?;
    Ok(Json(app.state.store.tool_calls(&page).await?))
}
