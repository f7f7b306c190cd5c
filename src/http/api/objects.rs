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
use crate::store::{LedgerEntry, LedgerFilter, Listing, ObjectFilter, ObjectRow, Page};

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
    let mut page = parameters.page()?;
    let whose = Whose::taken_from(&mut parameters)?;
    parameters.finish()?;
    if let Some(after) = &page.starting_after {
        // A page that goes on from one of several rows would leave out some of the others, or show them twice. An order
        // may go by another id since it was listed.
        let row = unambiguous(app, kind, after, &whose).await?;
        page.starting_after = row.map(|row| row.id).or(page.starting_after);
    }
    let filter = ObjectFilter {
        kind: kind.to_owned(),
        account: whose.account,
        livemode: whose.livemode,
    };
    let rows = app.state.store.objects(&filter, &page).await?;
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
    let whose = Whose::taken_from(&mut parameters)?;
    let mut filter = LedgerFilter {
        id: page.starting_after.clone(),
        source: parameters.text("source")?,
        account: whose.account,
        livemode: whose.livemode,
    };
    parameters.finish()?;
    if filter.id.is_some() {
        let first = Page {
            limit: 100,
            starting_after: None,
        };
        let entries = app.state.store.ledger(&filter, &first).await?.data;
        if entries.len() > 1 {
            return Err(ambiguous_entry(&entries));
        }
    }
    filter.id = None;
    if let Some(source) = &filter.source
        && (filter.account.is_none() || filter.livemode.is_none())
    {
        let owners = app.state.store.ledger_owners(&filter).await?;
        if owners.len() > 1 {
            return Err(ambiguous(owners.iter().map(|(account, livemode)| {
                (source.as_str(), account.as_str(), *livemode)
            })));
        }
    }
    Ok(Json(app.state.store.ledger(&filter, &page).await?))
}

async fn show(
    app: &App,
    kind: &str,
    id: &str,
    mut parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    let whose = Whose::taken_from(&mut parameters)?;
    parameters.finish()?;
    match unambiguous(app, kind, id, &whose).await? {
        None => Err(Problem::missing(kind)),
        Some(row) => Ok(Json(shape(app, &row))),
    }
}

/// Whose rows are asked for: an id is only unique within an account and a mode.
pub(super) struct Whose {
    pub(super) account: Option<String>,
    pub(super) livemode: Option<bool>,
}

impl Whose {
    pub(super) fn taken_from(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self {
            account: parameters.text("account")?,
            livemode: parameters.flag("livemode")?,
        })
    }

    fn may_be(&self, row: &ObjectRow) -> bool {
        let account = self.account.as_ref();
        account.is_none_or(|account| *account == row.account)
            && self
                .livemode
                .is_none_or(|livemode| livemode == row.livemode)
    }
}

/// The one row with this id, if there is any; 409 where there are several.
pub(super) async fn unambiguous(
    app: &App,
    kind: &str,
    id: &str,
    whose: &Whose,
) -> Result<Option<ObjectRow>, Problem> {
    let mut rows = app.state.store.object(kind, id).await?;
    rows.retain(|row| whose.may_be(row));
    match rows.as_slice() {
        [] | [_] => Ok(rows.pop()),
        rows => {
            Err(ambiguous(rows.iter().map(|row| {
                (row.id.as_str(), row.account.as_str(), row.livemode)
            })))
        }
    }
}

fn shape(app: &App, row: &ObjectRow) -> Value {
    shapes::object(row, app.state.clock.now(), &app.state.access)
}

/// An id, its account and its mode.
type Owned<'a> = (&'a str, &'a str, bool);

fn ambiguous<'a>(rows: impl Iterator<Item = Owned<'a>>) -> Problem {
    let candidates = rows
        .map(
            |(id, account, livemode)| json!({ "id": id, "account": account, "livemode": livemode }),
        )
        .collect();
    conflict(
        "several accounts or modes have this id; say which with `account` and `livemode`",
        candidates,
    )
}

fn ambiguous_entry(entries: &[LedgerEntry]) -> Problem {
    let candidates = entries
        .iter()
        .map(|entry| {
            json!({
                "id": entry.id, "account": entry.account, "livemode": entry.livemode, "source": entry.source,
            })
        })
        .collect();
    conflict(
        "several movements have this id; say which with `account`, `livemode` and `source`",
        candidates,
    )
}

fn conflict(detail: &str, candidates: Vec<Value>) -> Problem {
    let mut problem = Problem::new(
        StatusCode::CONFLICT,
        "ambiguous-id",
        "The id is ambiguous",
        detail,
    );
    problem
        .members
        .push(("candidates", Value::Array(candidates)));
    problem
}
