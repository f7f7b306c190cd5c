//! A server of chat completions for tests, on a port of its own: it answers what it is told to, in the ways that real ones
//! do, keeps what it was asked, and refuses to go on when that is no well-formed request.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::DropGuard;

use super::listen::listen;

/// What it answers one request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// This JSON.
    Json(Value),
    /// These events, each as it is after `data: `, comments between them.
    Events(Vec<String>),
    /// Anything at all.
    Raw(u16, Vec<(&'static str, String)>, String),
    /// It takes the request and never answers.
    Silence,
    /// It answers with a space now and then, and never comes to an end.
    Trickle,
    /// It hangs up in the middle of its answer.
    HangUp,
    /// This JSON, once it is let through, and so much later.
    Held(Arc<Semaphore>, Duration, Value),
}

/// Looks at a request and how many came before it.
type Script = dyn Fn(&Value, usize) -> Answer + Send + Sync;

struct Room {
    script: Box<Script>,
    asked: Mutex<Vec<(HeaderMap, Value)>>,
    complaints: Mutex<Vec<String>>,
    inside: AtomicUsize,
    most: AtomicUsize,
}

/// A server of chat completions; gone with this value.
pub(crate) struct ModelServer {
    room: Arc<Room>,
    url: String,
    _stop: DropGuard,
}

impl ModelServer {
    /// One that answers as `script` says.
    pub(crate) async fn start(
        script: impl Fn(&Value, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let room = Arc::new(Room {
            script: Box::new(script),
            asked: Mutex::default(),
            complaints: Mutex::default(),
            inside: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        });
        let app = Router::new()
            .route("/v1/chat/completions", post(answer))
            .with_state(room.clone());
        let (address, stop) = listen(app).await;
        Self {
            room,
            url: format!("http://{address}/v1"),
            _stop: stop,
        }
    }

    /// What goes into `OPENAI_BASE_URL`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The body of every request so far. Panics when one of them was malformed.
    pub(crate) fn asked(&self) -> Vec<Value> {
        let complaints = self.room.complaints.lock().unwrap();
        assert!(complaints.is_empty(), "{complaints:#?}");
        let asked = self.room.asked.lock().unwrap();
        asked.iter().map(|(_, body)| body.clone()).collect()
    }

    /// How many requests there were so far.
    pub(crate) fn count(&self) -> usize {
        self.room.asked.lock().unwrap().len()
    }

    /// The most requests that were in its hands at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.room.most.load(Ordering::SeqCst)
    }

    /// The headers of every request so far.
    pub(crate) fn headers(&self) -> Vec<HeaderMap> {
        let asked = self.room.asked.lock().unwrap();
        asked.iter().map(|(headers, _)| headers.clone()).collect()
    }
}

/// A request that is in the server's hands; gone with this value.
struct Inside(Arc<Room>);

impl Inside {
    fn of(room: Arc<Room>) -> Self {
        let inside = room.inside.fetch_add(1, Ordering::SeqCst) + 1;
        room.most.fetch_max(inside, Ordering::SeqCst);
        Self(room)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn answer(State(room): State<Arc<Room>>, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    if let Err(complaint) = well_formed(&body) {
        let complaint = format!("{complaint} in {body:#}");
        room.complaints.lock().unwrap().push(complaint);
    }
    let before = {
        let mut asked = room.asked.lock().unwrap();
        asked.push((headers, body.clone()));
        asked.len() - 1
    };
    let _inside = Inside::of(room.clone());
    match (room.script)(&body, before) {
        Answer::Held(gate, takes, answer) => {
            drop(gate.acquire().await.unwrap());
            tokio::time::sleep(takes).await;
            response(200, "application/json", Body::from(answer.to_string()))
        }
        Answer::Json(answer) => response(200, "application/json", Body::from(answer.to_string())),
        Answer::Events(events) => {
            let lines = events.into_iter().map(|event| {
                let comment = ": keep-alive\n\n";
                Ok::<_, Infallible>(format!("data: {event}\n\n{comment}"))
            });
            let body = Body::from_stream(stream::iter(lines));
            response(200, "text/event-stream; charset=utf-8", body)
        }
        Answer::Raw(status, headers, body) => {
            let mut response = response(status, "text/html", Body::from(body));
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
        Answer::Silence => std::future::pending().await,
        Answer::Trickle => {
            let drops = stream::unfold((), async |()| {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Ok::<_, Infallible>(" "), ()))
            });
            response(200, "application/json", Body::from_stream(drops.boxed()))
        }
        Answer::HangUp => {
            let broken = stream::iter([
                Ok("{\"choices\": ["),
                Err(std::io::Error::other("hung up on purpose")),
            ]);
            response(200, "application/json", Body::from_stream(broken))
        }
    }
}

fn response(status: u16, kind: &str, body: Body) -> Response {
    let response = Response::builder().status(status);
    response.header("content-type", kind).body(body).unwrap()
}

/// What every server may rely on (platform.openai.com/docs/api-reference/chat/create).
fn well_formed(body: &Value) -> Result<(), String> {
    let messages = body["messages"].as_array().ok_or("no messages")?;
    let mut open = BTreeSet::new();
    for message in messages {
        let role = message["role"].as_str().ok_or("no role")?;
        if !message["content"].is_string() {
            return Err(format!("content of {role} is no text"));
        }
        if role == "tool" {
            let id = message["tool_call_id"].as_str().ok_or("no id")?;
            if !open.remove(id) {
                return Err(format!("{id} answers no call"));
            }
        } else if !open.is_empty() {
            return Err(format!("{open:?} are not answered"));
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let id = call["id"].as_str().ok_or("a call without an id")?;
            if call["type"] != "function" || !call["function"]["name"].is_string() {
                return Err(format!("{call} is no call"));
            }
            if !open.insert(id.to_owned()) {
                return Err(format!("{id} is given twice"));
            }
        }
        if message["tool_calls"].as_array().is_some_and(Vec::is_empty) {
            return Err("an empty list of calls".to_owned());
        }
    }
    if body["tools"].as_array().is_some_and(Vec::is_empty) {
        return Err("an empty list of tools".to_owned());
    }
    if body.get("response_format").is_some() && body.get("tools").is_some() {
        return Err("response_format beside tools".to_owned());
    }
    if open.is_empty() {
        Ok(())
    } else {
        Err(format!("{open:?} are not answered"))
    }
}

/// A completion with one choice.
pub(crate) fn completion(message: &Value, finish: &Value) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_800_000_000, "model": "test-model",
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": null}],
        "usage": {"prompt_tokens": 900, "completion_tokens": 50, "total_tokens": 950},
    })
}

/// The same as a stream would bring it: arguments in pieces, the usage at the end.
pub(crate) fn events(completion: &Value) -> Vec<String> {
    let chunk = |delta: Value, finish: &Value| {
        json!({
            "id": completion["id"], "object": "chat.completion.chunk", "created": 1_800_000_000, "model": "test-model",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        })
    };
    let choice = &completion["choices"][0];
    let message = &choice["message"];
    let null = &Value::Null;
    let mut chunks = vec![chunk(json!({"role": "assistant", "content": ""}), null)];
    for key in ["content", "refusal", "reasoning_content"] {
        if let Some(text) = message[key].as_str() {
            chunks.push(chunk(json!({key: text}), null));
        }
    }
    for (index, call) in message["tool_calls"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        let mut first = call.clone();
        first["index"] = index.into();
        let arguments = call["function"]["arguments"].as_str().map(str::to_owned);
        let Some(arguments) = arguments else {
            chunks.push(chunk(json!({"tool_calls": [first]}), null));
            continue;
        };
        first["function"]["arguments"] = "".into();
        chunks.push(chunk(json!({"tool_calls": [first]}), null));
        let half = arguments.chars().count() / 2;
        let pieces: [String; 2] = [
            arguments.chars().take(half).collect(),
            arguments.chars().skip(half).collect(),
        ];
        for piece in pieces {
            let more = json!({"index": index, "function": {"arguments": piece}});
            chunks.push(chunk(json!({"tool_calls": [more]}), null));
        }
    }
    chunks.push(chunk(json!({}), &choice["finish_reason"]));
    let mut last = chunk(json!({}), null);
    last["choices"] = json!([]);
    last["usage"] = completion["usage"].clone();
    chunks.push(last);
    let texts = chunks.iter().map(Value::to_string);
    texts.chain(["[DONE]".to_owned()]).collect()
}
