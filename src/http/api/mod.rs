//! The API under `/api/v1`: what the store holds, read page by page, and the few verbs that change something.
//!
//! Every route here is behind the token; `router` sees to that for all of them at once. A new resource is a file here
//! and one line in [`routes`].

mod approvals;
mod events;
mod objects;
mod outbox;
mod runs;
mod suppressions;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::extract::Path;
use axum::http::request::Parts;
use axum::{Json, Router};

use super::App;
use super::problem::Problem;
use crate::store::Listing;

pub(super) fn routes() -> Router<Arc<App>> {
    let api = Router::new()
        .merge(events::routes())
        .merge(runs::routes())
        .merge(outbox::routes())
        .merge(approvals::routes())
        .merge(suppressions::routes())
        .merge(objects::routes());
    Router::new().nest("/api/v1", api)
}

/// What a handler of a list answers.
type ListAnswer<T> = Result<Json<Listing<T>>, Problem>;

/// The id in the path. One that no row could have is answered like any other that is missing.
struct Id(String);

impl FromRequestParts<Arc<App>> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, app).await {
            // PostgreSQL cannot even be asked for a text with NUL in it.
            Ok(Path(id)) if !id.contains('\0') && id.chars().count() <= 255 => Ok(Self(id)),
            _ => Err(Problem::missing("object")),
        }
    }
}
