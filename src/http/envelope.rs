//! What every answer has in common: a request id, one line in the log when it is refused, problems instead of bare
//! statuses, and headers that keep it out of caches.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use metrics::{counter, histogram};
use tracing::{Instrument, Span};

use super::App;
use super::problem::Problem;
use crate::telemetry::spans;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The outermost layer: nothing leaves without it.
pub(super) async fn wrap(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    // Never the caller's own: it would be a way to write into the log.
    let id = app.state.ids.next("req");
    let method = method(request.method());
    // Never the path itself: it has as many values as a stranger likes.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());

    let span =
        tracing::info_span!("request", request.id = %id, http.method = method, http.route = %route);
    // Probes and dashboards ask without end; what is worth a trace is what Stripe delivers.
    let traced = if route.starts_with("/stripe/") {
        spans::request(method, &route)
    } else {
        Span::none()
    };
    let answer = next.run(request).instrument(span.clone());
    let mut response = answer.instrument(traced.clone()).await;
    let status = response.status();
    spans::answered(&traced, status.as_u16());
    drop(traced);
    let problem = match response.extensions_mut().remove::<Arc<Problem>>() {
        Some(problem) => Some(problem),
        None if status.is_client_error() || status.is_server_error() => {
            Some(Arc::new(Problem::of_status(status)))
        }
        None => None,
    };
    if let Some(problem) = problem {
        if let Some(silent) = app.quiet.speak(problem.name, started) {
            span.in_scope(|| log(&problem, silent));
        }
        response = render(response, &problem, &id);
    }

    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    counter!("billhook_http_requests_total", "method" => method, "route" => route.clone(), "status" => status.as_u16().to_string())
        .increment(1);
    histogram!("billhook_http_request_seconds", "route" => route)
        .record(started.elapsed().as_secs_f64());
    response
}

/// Keeps the headers of the refusal: `Allow`, `Retry-After`, `WWW-Authenticate`.
fn render(response: Response, problem: &Problem, id: &str) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, PROBLEM_JSON);
    if problem.status == StatusCode::SERVICE_UNAVAILABLE {
        parts
            .headers
            .entry(header::RETRY_AFTER)
            .or_insert(HeaderValue::from_static("5"));
    }
    Response::from_parts(parts, Body::from(problem.body(id).to_string()))
}

/// The problem's name and causes, never its detail: that may repeat what a caller wrote. `silent` of its kind were not
/// logged since the last line.
fn log(problem: &Problem, silent: u64) {
    let (status, name, causes) = (problem.status.as_u16(), problem.name, problem.causes());
    if problem.status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(http.status = status, problem = name, error = %causes, silent, "request failed");
    } else if problem.status.is_server_error() {
        tracing::warn!(http.status = status, problem = name, error = %causes, silent, "request cannot be served now");
    } else if problem.source.is_some() {
        tracing::warn!(http.status = status, problem = name, error = %causes, silent, "request refused");
    } else {
        tracing::info!(
            http.status = status,
            problem = name,
            silent,
            "request refused"
        );
    }
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Answers what no route takes.
pub(super) async fn not_found() -> Problem {
    Problem::of_status(StatusCode::NOT_FOUND)
}

/// What a handler said when it panicked; only for the log.
#[derive(Debug, thiserror::Error)]
#[error("a handler panicked: {0}")]
struct Panicked(String);

/// Answers for a handler that panicked: the process lives on, and the caller learns nothing.
// A handler of `CatchPanicLayer` gets the payload by value.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer hands the payload over"
)]
pub(super) fn panicked(payload: Box<dyn Any + Send + 'static>) -> Response {
    let said = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR)
        .caused_by(Panicked(said))
        .into_response()
}
