//! The business's own application, as a receiver of Standard Webhooks: it verifies with the standard's own library, drops
//! what is older than what it has, and can misbehave in every way that a receiver does.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio_util::sync::DropGuard;

use super::listen::listen;

/// What billhook and the receiver share.
pub(crate) const APP_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// How the receiver takes a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// It takes it and says so.
    Well,
    /// It does not take it, and answers this.
    Answers(StatusCode),
    /// It takes it, and its answer breaks off.
    HangsUp,
    /// It takes it, and never answers.
    Silent,
    /// It takes it, and sends the sender elsewhere.
    Redirects,
}

/// What it has heard.
#[derive(Debug, Default)]
struct Room {
    /// Id and body of everything that was taken, in the order of arrival.
    taken: Vec<(String, Value)>,
    /// How it takes the next messages; then all of them well.
    next: Vec<Takes>,
    always: Option<Takes>,
    elsewhere: usize,
    /// How many messages came, taken or not.
    heard: usize,
}

/// The newest that a receiver knows, by object: its version and its data.
pub(crate) type Known = BTreeMap<String, (i64, Value)>;

/// A receiver; gone with this value.
pub(crate) struct Receiver {
    room: Arc<Mutex<Room>>,
    address: SocketAddr,
    _stop: DropGuard,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let room = Arc::<Mutex<Room>>::default();
        let app = Router::new()
            .route("/hook", post(take))
            .route("/elsewhere", post(elsewhere))
            .with_state(room.clone());
        let (address, stop) = listen(app).await;
        Self {
            room,
            address,
            _stop: stop,
        }
    }

    /// What goes into `APP_WEBHOOK_URL`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// How it takes the next messages.
    pub(crate) fn next(&self, takes: impl IntoIterator<Item = Takes>) {
        let mut room = self.room.lock().unwrap();
        room.next = takes.into_iter().collect();
        room.next.reverse();
    }

    /// How it takes all that is not told otherwise.
    pub(crate) fn always(&self, takes: Takes) {
        self.room.lock().unwrap().always = Some(takes);
    }

    /// How many messages came, taken or not.
    pub(crate) fn heard(&self) -> usize {
        self.room.lock().unwrap().heard
    }

    /// Everything that was taken, in the order of arrival, repeats included.
    pub(crate) fn taken(&self) -> Vec<(String, Value)> {
        self.room.lock().unwrap().taken.clone()
    }

    /// How often somebody followed it elsewhere.
    pub(crate) fn followed(&self) -> usize {
        self.room.lock().unwrap().elsewhere
    }

    /// What it knows: the newest version of each object.
    pub(crate) fn known(&self) -> Known {
        known(&self.taken())
    }
}

/// What a receiver knows that was told this, in this order: it drops what is older than what it has.
pub(crate) fn known(told: &[(String, Value)]) -> Known {
    let mut known = Known::new();
    for (_, body) in told {
        let data = &body["data"];
        let object = format!(
            "{}/{}",
            data["object"].as_str().unwrap(),
            data["id"].as_str().unwrap()
        );
        let version = body["version"].as_i64().unwrap();
        let older = known.get(&object).is_some_and(|(has, _)| version < *has);
        if !older {
            known.insert(object, (version, data.clone()));
        }
    }
    known
}

async fn take(State(room): State<Arc<Mutex<Room>>>, headers: HeaderMap, body: Bytes) -> Response {
    let verified = Webhook::new(APP_SECRET).unwrap().verify(&body, &headers);
    if let Err(error) = verified {
        panic!("a message that does not verify: {error}");
    }
    let takes = {
        let mut room = room.lock().unwrap();
        room.heard += 1;
        let always = room.always.unwrap_or(Takes::Well);
        let takes = room.next.pop().unwrap_or(always);
        if !matches!(takes, Takes::Answers(_)) {
            let id = headers["webhook-id"].to_str().unwrap().to_owned();
            room.taken
                .push((id, serde_json::from_slice(&body).unwrap()));
        }
        takes
    };
    match takes {
        Takes::Well => StatusCode::NO_CONTENT.into_response(),
        Takes::Answers(status) => status.into_response(),
        // What a handler that panics does to its connection.
        Takes::HangsUp => {
            let broken =
                futures::stream::once(async { Err::<Bytes, _>(std::io::Error::other("")) });
            let mut response = Response::new(Body::from_stream(broken));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
        Takes::Silent => never().await.into_response(),
        Takes::Redirects => {
            (StatusCode::TEMPORARY_REDIRECT, [("location", "/elsewhere")]).into_response()
        }
    }
}

async fn never() -> Result<StatusCode, Infallible> {
    std::future::pending().await
}

async fn elsewhere(State(room): State<Arc<Mutex<Room>>>) -> StatusCode {
    room.lock().unwrap().elsewhere += 1;
    StatusCode::OK
}
