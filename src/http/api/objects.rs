//! Customers, orders, subscriptions, invoices and payments, as the business sees them, and the ledger of what moved.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::{Id, ListAnswer};
use crate::http::App;
use crate::http::problem::Problem;
use crate::http::query::Parameters;
use crate::http::shapes;
use crate::store::{LedgerEntry, Listing, ObjectRow};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .merge(routes_of("/customers", "/customers/{id}", "customer"))
        .merge(routes_of("/orders", "/orders/{id}", "order"))
        .merge(routes_of(
            "/subscriptions",
            "/subscriptions/{id}",
            "subscription",
        ))
        .merge(routes_of("/invoices", "/invoices/{id}", "invoice"))
        .merge(routes_of("/charges", "/charges/{id}", "charge"))
        .merge(routes_of("/refunds", "/refunds/{id}", "refund"))
        .merge(routes_of("/disputes", "/disputes/{id}", "dispute"))
        .merge(routes_of("/payouts", "/payouts/{id}", "payout"))
        .route("/ledger", get(ledger))
}

fn routes_of(all: &str, one: &str, kind: &'static str) -> Router<Arc<App>> {
    Router::new()
        .route(
            all,
            get(
                move |State(app): State<Arc<App>>, parameters: Parameters| async move {
                    list(&app, kind, parameters).await
                },
            ),
        )
        .route(
            one,
            get(
                move |State(app): State<Arc<App>>, Id(id): Id, parameters: Parameters| async move {
                    show(&app, kind, &id, parameters).await
                },
            ),
        )
}

async fn list(app: &App, kind: &str, mut parameters: Parameters) -> ListAnswer<Value> {
    let page = parameters.page()?;
    parameters.finish()?;
    let rows = app.state.store.objects(kind, &page).await?;
    Ok(Json(Listing {
        object: rows.object,
        data: rows.data.iter().map(|row| shape(app, row)).collect(),
        has_more: rows.has_more,
    }))
}

async fn ledger(
    State(app): State<Arc<App>>,
    mut parameters: Parameters,
) -> ListAnswer<LedgerEntry> {
    let page = parameters.page()?;
    let source = parameters.text("source")?;
    parameters.finish()?;
    let entries = app.state.store.ledger(source.as_deref(), &page).await?;
    Ok(Json(entries))
}

async fn show(
    app: &App,
    kind: &str,
    id: &str,
    mut parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    let account = parameters.text("account")?;
    let livemode = parameters.flag("livemode")?;
    parameters.finish()?;
    let mut rows = app.state.store.object(kind, id).await?;
    rows.retain(|row| {
        account
            .as_ref()
            .is_none_or(|account| *account == row.account)
            && livemode.is_none_or(|livemode| livemode == row.livemode)
    });
    match rows.as_slice() {
        [] => Err(Problem::missing(kind)),
        [row] => Ok(Json(shape(app, row))),
        rows => Err(ambiguous(rows)),
    }
}

fn shape(app: &App, row: &ObjectRow) -> Value {
    shapes::object(row, app.state.clock.now(), &app.state.access)
}

fn ambiguous(rows: &[ObjectRow]) -> Problem {
    let mut problem = Problem::new(
        StatusCode::CONFLICT,
        "ambiguous-id",
        "The id is ambiguous",
        "several accounts or modes have this id; say which with `account` and `livemode`",
    );
    let candidates = rows
        .iter()
        .map(|row| json!({ "id": row.id, "account": row.account, "livemode": row.livemode }))
        .collect();
    problem
        .members
        .push(("candidates", Value::Array(candidates)));
    problem
}
