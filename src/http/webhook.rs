//! Stripe's webhook: verify the bytes as they came, read the envelope, hand it to the inbox, answer after the commit.
//!
//! A handler that holds a [`VerifiedEvent`] cannot have skipped the signature: the extractor is the only way to make
//! one. Nothing here looks into the event, and nothing here answers 200 before the inbox did.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequest, Path, Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::routing::post;
use axum::{Json, RequestExt, Router};
use futures::StreamExt;
use serde_json::{Value, json};
use tracing::Instrument as _;

use super::problem::Problem;
use super::{App, Endpoint};
use crate::clock::Timestamp;
use crate::inbox::{InboxError, NoRoom, Receiver, Share};
use crate::store::{Accepted, Delivery};
use crate::stripe::event::{Event, EventError};
use crate::stripe::signature::{SignatureError, verify};
use crate::telemetry::spans;

const SIGNATURE: &str = "stripe-signature";
/// What the endpoint without a name is called in the store.
const DEFAULT: &str = "default";
/// A body that is too large is read and dropped up to this many times its limit: a sender that is still writing would
/// otherwise see a broken connection instead of the answer.
const DRAIN: usize = 8;

pub(super) fn routes() -> Router<Arc<App>> {
    // No redirects and no trailing slash: Stripe follows none, and counts each as a failure.
    Router::new()
        .route("/stripe/webhook", post(receive))
        .route("/stripe/webhook/{endpoint}", post(receive))
}

async fn receive(
    State(app): State<Arc<App>>,
    verified: VerifiedEvent,
) -> Result<Json<Value>, Problem> {
    let VerifiedEvent {
        event,
        body: Bounded { bytes: body, share },
        endpoint,
        receiver,
        received_at,
    } = verified;
    let (account, ignored) = app.state.admission.judge(&event, &receiver);
    let id = event.id.clone();
    let span = spans::accept(&id, &event.kind);
    let delivery = Delivery {
        event,
        account,
        endpoint,
        received_at,
        body,
        ignored,
    };
    let accepted = app
        .state
        .inbox
        .accept(delivery, share)
        .instrument(span.clone())
        .await
        .map_err(|error| {
            spans::failed(&span, "unavailable");
            refusal(error)
        })?;
    tracing::debug!(event.id = %id, ?accepted, "delivery stored");
    let status = match accepted {
        Accepted::Accepted => "accepted",
        Accepted::Duplicate => "duplicate",
    };
    Ok(Json(json!({ "status": status })))
}

fn refusal(error: InboxError) -> Problem {
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    match error {
        InboxError::Backlog => Problem::new(
            unavailable,
            "backlog",
            "Too much work waits",
            "too many events wait to be applied; the delivery was not stored, send it again later",
        )
        .retry_after(Duration::from_secs(30)),
        InboxError::Unavailable(_) | InboxError::Late | InboxError::Closed => Problem::new(
            unavailable,
            "unavailable",
            "The delivery could not be stored",
            "the delivery was not stored; send it again",
        )
        .retry_after(Duration::from_secs(5)),
    }
    .caused_by(error)
}

/// An event whose signature was verified over the bytes as they came.
struct VerifiedEvent {
    /// Its envelope: what the object says is in the body.
    event: Event,
    body: Bounded,
    endpoint: String,
    receiver: Receiver,
    received_at: Timestamp,
}

impl FromRequest<Arc<App>> for VerifiedEvent {
    type Rejection = Problem;

    /// In the order that callers rely on: 404 for an unknown endpoint, 413, 401 (or 429), 400.
    async fn from_request(mut request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        // A name that cannot be decoded is an unknown endpoint, never the one without a name.
        let name = request
            .extract_parts::<Option<Path<String>>>()
            .await
            .map_err(|_rejection| Problem::missing("webhook endpoint"))?
            .map_or_else(String::new, |Path(name)| name);
        let endpoint = app
            .state
            .endpoints
            .get(&name)
            .ok_or_else(|| Problem::missing("webhook endpoint"))?;
        let (parts, body) = request.into_parts();
        let share = app.state.room.share();
        let body = read(&parts.headers, body, app.state.limits.max_body, share).await?;
        let received_at = app.state.clock.now();
        if let Err(error) = check(app, endpoint, &parts.headers, &body.bytes, received_at) {
            let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
            let peer = peer.map(|ConnectInfo(peer)| peer.ip());
            return Err(unverified(app, peer, received_at, error).await);
        }
        let event = Event::parse(&body.bytes, received_at)
            .map_err(|error| no_event(&error))?
            .without_content();
        Ok(Self {
            event,
            body,
            endpoint: if name.is_empty() {
                DEFAULT.to_owned()
            } else {
                name
            },
            receiver: endpoint.receiver.clone(),
            received_at,
        })
    }
}

fn check(
    app: &App,
    endpoint: &Endpoint,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<(), SignatureError> {
    let signatures: Vec<&[u8]> = headers
        .get_all(SIGNATURE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    verify(
        &signatures,
        body,
        &endpoint.secrets,
        now,
        app.state.limits.tolerance,
    )
}

/// A body that has its place in memory.
struct Bounded {
    bytes: Vec<u8>,
    share: Share,
}

/// The body, never more of it in memory than `limit`, and not more than all bodies together may have.
async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    mut share: Share,
) -> Result<Bounded, Problem> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok())
        .unwrap_or(0);
    let drain_limit = limit.saturating_mul(DRAIN);
    if announced > drain_limit {
        return Err(too_large(limit));
    }
    let mut bytes = Vec::new();
    let mut length = 0_usize;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "incomplete-body",
                "The body broke off",
                "the connection broke before the whole body was read; send it again",
            )
            .caused_by(error)
        })?;
        length = length.saturating_add(chunk.len());
        if length > drain_limit {
            break;
        }
        if length > limit {
            bytes = Vec::new();
        } else {
            bytes.extend_from_slice(&chunk);
        }
        share.cover(bytes.capacity()).map_err(no_room)?;
    }
    if length > limit {
        return Err(too_large(limit));
    }
    // It may stand in the inbox's queue for a while, and a vector grows by doubling.
    bytes.shrink_to_fit();
    share.cover(bytes.capacity()).map_err(no_room)?;
    Ok(Bounded { bytes, share })
}

fn no_room(error: NoRoom) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "overloaded",
        "Too many deliveries at once",
        "too many deliveries are being taken in; this one was not stored, send it again later",
    )
    .retry_after(Duration::from_secs(5))
    .caused_by(error)
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body-too-large",
        "The body is too large",
        format!("the body has more than {limit} bytes, and no event of Stripe's has"),
    )
}

/// 401, or 429 once the address has failed too often. The valid never come here.
async fn unverified(
    app: &App,
    peer: Option<IpAddr>,
    now: Timestamp,
    error: SignatureError,
) -> Problem {
    if let Some(wait) = app.failures.record(peer, now).await {
        return Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-failures",
            "Too many failed verifications",
            "too many deliveries from this address had no valid signature; valid ones are still taken",
        )
        .retry_after(wait);
    }
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "invalid-signature",
        "The signature is not valid",
        error.to_string(),
    )
    .challenge("Stripe-Signature")
    .caused_by(error)
}

/// The reason is shown to the sender, who signed the body, and not logged: it may repeat a piece of it.
fn no_event(error: &EventError) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "not-an-event",
        "The body is no event",
        error.to_string(),
    )
}
