//! A receiver of traces for tests, as the OTLP specification has it: it takes protobuf over HTTP and keeps every byte.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message as _;
use tokio_util::sync::DropGuard;

use super::listen::listen;

/// One span as it was received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) name: String,
    /// `internal`, `server` or `client`.
    pub(crate) kind: &'static str,
    /// `unset` or `error`.
    pub(crate) status: &'static str,
    pub(crate) trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
    /// Values as text; `type text` for all but texts, such as `int 3`.
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) events: usize,
}

impl Received {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.attributes.get(key).map(String::as_str)
    }
}

#[derive(Default)]
struct Room {
    requests: Mutex<Vec<(HeaderMap, Bytes)>>,
}

/// The receiver; gone with this value.
pub(crate) struct OtlpServer {
    room: Arc<Room>,
    url: String,
    _stop: DropGuard,
}

impl OtlpServer {
    pub(crate) async fn start() -> Self {
        let room = Arc::new(Room::default());
        let app = Router::new()
            .route("/v1/traces", post(take))
            .with_state(room.clone());
        let (address, stop) = listen(app).await;
        Self {
            room,
            url: format!("http://{address}"),
            _stop: stop,
        }
    }

    /// One that takes requests and never answers.
    pub(crate) async fn hanging() -> Self {
        let app = Router::new().route("/v1/traces", post(std::future::pending::<StatusCode>));
        let (address, stop) = listen(app).await;
        Self {
            room: Arc::default(),
            url: format!("http://{address}"),
            _stop: stop,
        }
    }

    /// What goes into `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Every body so far, one after the other.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let requests = self.room.requests.lock().unwrap();
        requests
            .iter()
            .flat_map(|(_, body)| body.to_vec())
            .collect()
    }

    /// The headers of every request so far.
    pub(crate) fn headers(&self) -> Vec<HeaderMap> {
        let requests = self.room.requests.lock().unwrap();
        requests
            .iter()
            .map(|(headers, _)| headers.clone())
            .collect()
    }

    /// Every request so far, read.
    pub(crate) fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let requests = self.room.requests.lock().unwrap();
        let read = |body: &Bytes| ExportTraceServiceRequest::decode(body.clone()).unwrap();
        requests.iter().map(|(_, body)| read(body)).collect()
    }

    /// Every span so far, in the order of their beginning.
    pub(crate) fn spans(&self) -> Vec<Received> {
        let mut spans: Vec<_> = self
            .requests()
            .into_iter()
            .flat_map(|request| request.resource_spans)
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
            .collect();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
            .into_iter()
            .map(|span| Received {
                kind: match span.kind {
                    1 => "internal",
                    2 => "server",
                    3 => "client",
                    other => panic!("kind {other} of {}", span.name),
                },
                status: match span.status.unwrap_or_default().code {
                    0 => "unset",
                    2 => "error",
                    other => panic!("status {other} of {}", span.name),
                },
                name: span.name,
                trace: span.trace_id,
                id: span.span_id,
                parent: span.parent_span_id,
                attributes: pairs(&span.attributes),
                events: span.events.len(),
            })
            .collect()
    }

    /// The name of the span above one, where there is any.
    pub(crate) fn parent_of(spans: &[Received], span: &Received) -> Option<String> {
        let above = spans.iter().find(|above| above.id == span.parent)?;
        assert_eq!(
            above.trace, span.trace,
            "{} is in its parent's trace",
            span.name
        );
        Some(above.name.clone())
    }
}

async fn take(State(room): State<Arc<Room>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    room.requests.lock().unwrap().push((headers, body));
    StatusCode::OK
}

/// Attributes as texts.
pub(crate) fn pairs(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let pairs = attributes.iter().map(|pair| {
        let value = pair.value.as_ref();
        (pair.key.clone(), text(value))
    });
    pairs.collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::BoolValue(value)) => format!("bool {value}"),
        Some(Any::IntValue(value)) => format!("int {value}"),
        Some(Any::DoubleValue(value)) => format!("double {value}"),
        Some(Any::ArrayValue(list)) => {
            let items: Vec<String> = list.values.iter().map(|item| text(Some(item))).collect();
            format!("list {}", items.join(","))
        }
        other => panic!("an attribute is {other:?}"),
    }
}
