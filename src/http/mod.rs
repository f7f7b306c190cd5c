//! HTTP: Stripe's webhook, health, and the API that shows what billhook knows and did.
//!
//! Owns the routes and what every answer has in common: a request id, problems for errors, a time limit. Writes only
//! through verbs of the store that the command line offers too. Never logs a body, a signature, a token or who a
//! customer is.

mod access;
mod api;
mod counted;
pub mod decides;
mod envelope;
mod failures;
mod health;
mod problem;
mod query;
mod quiet;
mod seats;
pub mod serve;
pub mod shapes;
#[cfg(test)]
mod tests;
mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware;
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::SecretString;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use self::counted::Counted;
use self::failures::FailedVerifications;
use self::quiet::Quiet;
use crate::agent::budget::Budgets;
use crate::clock::Clock;
use crate::config::AccessConfig;
use crate::hints::Hints;
use crate::ids::IdSource;
use crate::inbox::{Admission, Inbox, Receiver, Room};
use crate::store::Store;
use crate::stripe::signature::SigningSecrets;

/// A webhook endpoint as Stripe knows it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its signing secrets; several while one is rolled.
    pub secrets: SigningSecrets,
    /// What it says of the events that come through it.
    pub receiver: Receiver,
}

/// What one request may cost.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// The largest webhook body in bytes.
    pub max_body: usize,
    /// How far a signature's timestamp may lie from now.
    pub tolerance: Duration,
    /// How long a request may take as a whole.
    pub request_timeout: Duration,
    /// After so many failed verifications an address is told to wait.
    pub max_failed_verifications_per_minute: u32,
}

/// Everything the routes need.
#[derive(Clone)]
pub struct HttpState {
    /// What lasts.
    pub store: Arc<dyn Store>,
    /// The way in.
    pub inbox: Inbox,
    /// What other processes know.
    pub hints: Hints,
    /// How many bytes of deliveries may be in memory.
    pub room: Room,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Makes request ids.
    pub ids: Arc<dyn IdSource>,
    /// Endpoints by name; the empty name is `POST /stripe/webhook`.
    pub endpoints: Arc<BTreeMap<String, Endpoint>>,
    /// Which events are worked on.
    pub admission: Arc<Admission>,
    /// What a request may cost.
    pub limits: HttpLimits,
    /// Who knows it may use the API; when it is empty, nobody may.
    pub admin_token: SecretString,
    /// Who has access, where it is a matter of policy.
    pub access: AccessConfig,
    /// The budgets of the model; none where the rules decide.
    pub budgets: Option<Budgets>,
    /// Renders the process's metrics; none where none are recorded.
    pub metrics: Option<PrometheusHandle>,
    /// The listener's address is a loopback address: then a browser is refused that was sent here under another name.
    pub listens_on_loopback: bool,
}

/// The state of one router.
struct App {
    state: HttpState,
    failures: FailedVerifications,
    quiet: Quiet,
    counted: Counted,
}

/// All routes. Serve it with [`serve::serve`], which says who connects.
pub fn router(state: HttpState) -> Router {
    // `envelope` makes a problem with `Retry-After` of it, as of every other bare status.
    let time_limit = TimeoutLayer::with_status_code(
        StatusCode::SERVICE_UNAVAILABLE,
        state.limits.request_timeout,
    );
    let app = Arc::new(App {
        failures: FailedVerifications::new(
            state.limits.max_failed_verifications_per_minute,
            state.hints.counts.clone(),
        ),
        quiet: Quiet::default(),
        counted: Counted::default(),
        state,
    });
    let api = api::routes().route_layer(middleware::from_fn_with_state(
        Arc::clone(&app),
        access::guard,
    ));
    Router::new()
        .merge(webhook::routes())
        .merge(health::routes())
        .merge(api)
        .fallback(envelope::not_found)
        .layer(time_limit)
        .layer(CatchPanicLayer::custom(envelope::panicked))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&app),
            envelope::wrap,
        ))
        .with_state(app)
}
