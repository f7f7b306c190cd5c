//! A chat webhook for tests, on a port of its own: it keeps every notice, and answers what it is told to.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tokio_util::sync::DropGuard;

use super::listen::listen;

#[derive(Debug, Default)]
struct Room {
    notices: Vec<(String, Value)>,
    answer: Option<StatusCode>,
}

/// A chat webhook; gone with this value.
pub(crate) struct ChatServer {
    room: Arc<Mutex<Room>>,
    address: std::net::SocketAddr,
    _stop: DropGuard,
}

impl ChatServer {
    /// One that takes everything.
    pub(crate) async fn start() -> Self {
        let room = Arc::<Mutex<Room>>::default();
        let app = Router::new()
            .route("/hook", post(take))
            .with_state(room.clone());
        let (address, stop) = listen(app).await;
        Self {
            room,
            address,
            _stop: stop,
        }
    }

    /// What goes into `SALES_WEBHOOK_URL`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// From now on it answers this; `None` is 200.
    pub(crate) fn answers(&self, status: Option<StatusCode>) {
        self.room.lock().unwrap().answer = status;
    }

    /// The effect key and the body of every notice, in order, repeats and refused ones included.
    pub(crate) fn notices(&self) -> Vec<(String, Value)> {
        self.room.lock().unwrap().notices.clone()
    }

    /// How many notices came.
    pub(crate) fn count(&self) -> usize {
        self.room.lock().unwrap().notices.len()
    }
}

async fn take(
    State(room): State<Arc<Mutex<Room>>>,
    headers: HeaderMap,
    body: axum::Json<Value>,
) -> StatusCode {
    let effect = headers
        .get("x-billhook-effect")
        .map_or("", |value| value.to_str().unwrap());
    let mut room = room.lock().unwrap();
    room.notices.push((effect.to_owned(), body.0));
    room.answer.unwrap_or(StatusCode::OK)
}
