//! Stripe's API for tests, on a port of its own: it keeps events and objects of several accounts in both modes, lists
//! them as Stripe does, gets into the trouble it is told to, and remembers everything it was asked.
//!
//! It has a clock of its own, which only tests move: nothing here depends on how fast a machine is.

mod answers;
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio_util::sync::DropGuard;

use super::listen::listen;

/// The API version of the accounts here.
pub(crate) const VERSION: &str = "2025-09-30.clover";
/// The id of the account that the keys belong to.
pub(crate) const OWN_ACCOUNT: &str = "acct_own";

/// One request, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
}

impl Asked {
    /// A parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let mut given = self.query.iter().filter(|(known, _)| known == name);
        given.next().map(|(_, value)| value.as_str())
    }

    /// A header, where there is one.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// What befalls a request instead of its answer.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// 429, with `Retry-After` in seconds or without.
    Limited(Option<u32>),
    /// A failure with this status, and `Stripe-Should-Retry: false` where nobody is to ask again.
    Fails { status: u16, again: bool },
    /// The connection ends in the middle of the answer.
    HangsUp,
    /// Nothing is answered, ever.
    IsSilent,
    /// The answer begins, and never ends.
    Trickles,
    /// 200, and no JSON.
    Garbage,
}

/// Something that happens at Stripe while it is being asked.
type Happening = Box<dyn FnOnce(&mut Shelf) + Send>;

/// What Stripe has, of all accounts. The account is none for the keys' own.
#[derive(Default)]
pub(crate) struct Shelf {
    /// Stripe's clock, in seconds.
    pub(crate) now: i64,
    /// As they were created, oldest first.
    pub(crate) events: Vec<(Option<String>, Value)>,
    /// By account and path; as they were created.
    objects: Vec<(Option<String>, String, Value)>,
    /// What a key may not read: the beginning of a path, and the permission that Stripe says is missing.
    lacks: BTreeMap<String, String>,
    /// Accounts that have ended their connection.
    disconnected: Vec<String>,
    /// Accounts about which nothing is answered, ever.
    silent: Vec<String>,
    /// An item that a page was to begin behind, and that is not there, is answered 404 instead of 400.
    pub(crate) lost_place_is_gone: bool,
    troubles: VecDeque<Option<Trouble>>,
    happenings: BTreeMap<usize, Happening>,
    asked: Vec<Asked>,
}

impl Shelf {
    /// An event of an account comes to be.
    pub(crate) fn add_event(&mut self, account: Option<&str>, event: Value) {
        self.events.push((account.map(str::to_owned), event));
    }

    /// Puts an object where Stripe has it, in place of the one that was there.
    pub(crate) fn put(&mut self, account: Option<&str>, object: Value) {
        let list = answers::list_of(object["object"].as_str().unwrap());
        let path = format!("{list}/{}", object["id"].as_str().unwrap());
        self.put_at(account, &path, object);
    }

    /// Puts any answer anywhere: a thin event at `/v2/core/events/ID`, a line at `/v1/invoices/ID/lines/LINE`.
    pub(crate) fn put_at(&mut self, account: Option<&str>, path: &str, answer: Value) {
        let account = account.map(str::to_owned);
        let known = self
            .objects
            .iter_mut()
            .find(|(of, at, _)| *of == account && at == path);
        match known {
            Some((_, _, object)) => *object = answer,
            None => self.objects.push((account, path.to_owned(), answer)),
        }
    }

    /// An object is gone.
    pub(crate) fn remove(&mut self, path: &str) {
        self.objects.retain(|(_, at, _)| at != path);
    }

    /// Keys may not read below this path, for want of that permission.
    pub(crate) fn forbid(&mut self, path: &str, permission: &str) {
        self.lacks.insert(path.to_owned(), permission.to_owned());
    }

    /// Keys may read below this path again.
    pub(crate) fn allow(&mut self, path: &str) {
        self.lacks.remove(path);
    }

    /// An account ends its connection.
    pub(crate) fn disconnect(&mut self, account: &str) {
        self.disconnected.push(account.to_owned());
    }

    /// Nothing is answered about an account any more.
    pub(crate) fn silence(&mut self, account: &str) {
        self.silent.push(account.to_owned());
    }
}

/// A running Stripe; gone with this value.
pub(crate) struct StripeServer {
    shelf: Arc<Mutex<Shelf>>,
    address: std::net::SocketAddr,
    _stop: DropGuard,
}

impl StripeServer {
    /// One whose clock shows `now`, in seconds, and which has nothing yet.
    pub(crate) async fn start(now: i64) -> Self {
        let shelf = Arc::new(Mutex::new(Shelf {
            now,
            ..Shelf::default()
        }));
        let app = Router::new().fallback(answer).with_state(shelf.clone());
        let (address, stop) = listen(app).await;
        Self {
            shelf,
            address,
            _stop: stop,
        }
    }

    /// What goes into `STRIPE_API_BASE`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has.
    pub(crate) fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap()
    }

    /// The next requests get into this trouble, one after the other; `None` is an ordinary answer.
    pub(crate) fn troubles(&self, troubles: impl IntoIterator<Item = Option<Trouble>>) {
        self.shelf().troubles.extend(troubles);
    }

    /// Before the request of this number is answered, counted from 1 over all, something happens at Stripe.
    pub(crate) fn before(&self, request: usize, happens: impl FnOnce(&mut Shelf) + Send + 'static) {
        self.shelf().happenings.insert(request, Box::new(happens));
    }

    /// Everything that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shelf().asked.clone()
    }

    /// Everything that was asked below a path.
    pub(crate) fn asked_for(&self, path: &str) -> Vec<Asked> {
        let mut asked = self.asked();
        asked.retain(|asked| asked.path.starts_with(path));
        asked
    }
}

async fn answer(State(shelf): State<Arc<Mutex<Shelf>>>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let asked = Asked {
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        query: reqwest::Url::parse(&format!("http://stripe/?{query}"))
            .unwrap()
            .query_pairs()
            .into_owned()
            .collect(),
        headers: request.headers().clone(),
    };
    let (trouble, (status, body), now) = {
        let mut shelf = shelf.lock().unwrap();
        shelf.asked.push(asked.clone());
        let number = shelf.asked.len();
        if let Some(happens) = shelf.happenings.remove(&number) {
            happens(&mut shelf);
        }
        let mut trouble = shelf.troubles.pop_front().flatten();
        let account = asked.header("stripe-account");
        if shelf
            .silent
            .iter()
            .any(|name| Some(name.as_str()) == account)
        {
            trouble = Some(Trouble::IsSilent);
        }
        (trouble, shelf.answer(&asked), shelf.now)
    };
    let error = |kind: &str| json!({ "error": { "type": kind, "message": "prose" } });
    match trouble {
        None => respond(status, now, &[], Body::from(body.to_string())),
        Some(Trouble::Limited(wait)) => {
            let wait = wait.map(|seconds| ("retry-after", seconds.to_string()));
            let body = error("rate_limit_error").to_string();
            respond(429, now, wait.as_slice(), Body::from(body))
        }
        Some(Trouble::Fails { status, again }) => {
            let again = [("stripe-should-retry", again.to_string())];
            let body = error("api_error").to_string();
            respond(status, now, &again, Body::from(body))
        }
        Some(Trouble::Garbage) => respond(200, now, &[], Body::from("<html>hello</html>")),
        Some(Trouble::HangsUp) => {
            let part = Ok(Bytes::from_static(b"{\"object\": \"li"));
            let end = Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
            respond(200, now, &[], Body::from_stream(stream::iter([part, end])))
        }
        Some(Trouble::Trickles) => {
            let part = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"{"))]);
            let body = Body::from_stream(part.chain(stream::pending()));
            respond(200, now, &[], body)
        }
        Some(Trouble::IsSilent) => std::future::pending().await,
    }
}

fn respond(status: u16, now: i64, headers: &[(&str, String)], body: Body) -> Response {
    let date = jiff::Timestamp::from_second(now).unwrap();
    let mut response = Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .header(
            "date",
            date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        )
        .header("request-id", "req_test")
        .header("stripe-version", VERSION);
    for (name, value) in headers {
        response = response.header(*name, value);
    }
    response.body(body).unwrap()
}
