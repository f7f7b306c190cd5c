//! The routes from outside, over a store in memory.

mod answers;
mod api;
mod approvals;
mod outbox;
mod webhook;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, Response, StatusCode};
use secrecy::SecretString;
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::{Endpoint, HttpLimits, HttpState, router};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::config::{AccessConfig, OnLostDispute};
use crate::hints::{Doorbell, Hints};
use crate::ids::CountedIds;
use crate::inbox::fake_store::FakeStore;
use crate::inbox::{Admission, Inbox, Limits, Receiver, Room};
use crate::store::Reach;
use crate::stripe::signature::{SigningSecrets, sign};

const SECRET: &str = "whsec_one";
const EVENT: &str = r#"{"id":"evt_1","object":"event","type":"invoice.paid","livemode":true}"#;
const TOKEN: &str = "token-of-the-tests";
const MAX_BODY: usize = 1024;

/// A whole server without a socket.
struct Server {
    store: Arc<FakeStore>,
    clock: Arc<ManualClock>,
    router: Router,
    _writer: DropGuard,
}

/// An answer that was read to its end.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    async fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(parts.headers.contains_key("x-request-id"), "{parts:?}");
        let answer = Self {
            status: parts.status,
            headers: parts.headers,
            text,
        };
        if answer.status.is_client_error() || answer.status.is_server_error() {
            let problem = answer.json();
            assert_eq!(
                answer.header("content-type"),
                Some("application/problem+json")
            );
            assert_eq!(problem["status"], answer.status.as_u16());
            assert_eq!(
                problem["request_id"].as_str(),
                answer.header("x-request-id")
            );
        }
        answer
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The body without what differs from request to request.
    fn redacted(&self) -> Value {
        let mut json = self.json();
        json["request_id"] = Value::from("[id]");
        json
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The last part of the problem's type.
    fn problem(&self) -> String {
        let problem = self.json()["type"].as_str().unwrap().to_owned();
        problem
            .strip_prefix("urn:billhook:problem:")
            .unwrap()
            .to_owned()
    }
}

impl Server {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut HttpState)) -> Self {
        let store = Arc::new(FakeStore::default());
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_767_225_600)));
        let limits = Limits {
            max_backlog: 10,
            backlog_pause: Duration::from_secs(1),
            commit: Duration::from_secs(5),
        };
        let (inbox, task) = Inbox::new(store.clone(), limits, Doorbell::default());
        let stop = CancellationToken::new();
        TaskTracker::new().spawn(task.run(stop.clone()));
        let endpoint = |secret: &str, account: Option<&str>| Endpoint {
            secrets: SigningSecrets::parse(secret).unwrap(),
            receiver: Receiver {
                account: account.map(str::to_owned),
                livemode: None,
            },
        };
        let mut state = HttpState {
            store: store.clone(),
            inbox,
            hints: Hints::default(),
            room: Room::new(4 * MAX_BODY),
            clock: clock.clone(),
            ids: Arc::new(CountedIds::default()),
            endpoints: Arc::new(BTreeMap::from([
                (String::new(), endpoint(SECRET, None)),
                ("eu".to_owned(), endpoint("whsec_eu", Some("acct_eu"))),
            ])),
            admission: Arc::new(Admission {
                accept_livemode: true,
                accept_testmode: true,
                accounts: Vec::new(),
                reach: Reach::Nothing,
            }),
            limits: HttpLimits {
                max_body: MAX_BODY,
                tolerance: Duration::from_mins(5),
                request_timeout: Duration::from_secs(10),
                max_failed_verifications_per_minute: 2,
            },
            admin_token: SecretString::from(TOKEN),
            access: AccessConfig {
                past_due_grace: Duration::from_hours(168),
                on_lost_dispute: OnLostDispute::Keep,
            },
            budgets: None,
            metrics: None,
            listens_on_loopback: true,
        };
        change(&mut state);
        Self {
            store,
            clock,
            router: router(state),
            _writer: stop.drop_guard(),
        }
    }

    async fn ask(&self, request: Request<Body>) -> Answer {
        Answer::read(self.router.clone().oneshot(request).await.unwrap()).await
    }

    /// A delivery that is signed right.
    fn signed(&self, path: &str, secret: &str, body: &str) -> Request<Body> {
        let header = sign(
            &SecretString::from(secret),
            self.clock.now(),
            body.as_bytes(),
        );
        Request::post(path)
            .header("Stripe-Signature", header)
            .body(Body::from(body.to_owned()))
            .unwrap()
    }

    async fn deliver(&self, body: &str) -> Answer {
        self.ask(self.signed("/stripe/webhook", SECRET, body)).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(admin("GET", path)).await
    }
}

/// A request of one who knows the token.
fn admin(method: &str, path: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("Host", "localhost:8080")
        .header("Authorization", format!("Bearer {TOKEN}"))
        .body(Body::empty())
        .unwrap()
}

/// The same request as it comes from somewhere.
fn from(address: &str, mut request: Request<Body>) -> Request<Body> {
    let address: IpAddr = address.parse().unwrap();
    request
        .extensions_mut()
        .insert(ConnectInfo(SocketAddr::new(address, 50_000)));
    request
}
