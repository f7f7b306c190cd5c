//! Traces on their way out: which spans leave, where to, and what becomes of those that nobody takes.
//!
//! Whoever ends a span never waits: it goes into a queue with a bound, and what is over the bound is dropped and counted.
//! One thread of its own empties the queue. A receiver that is away costs its spans and one line in the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use metrics::counter;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, InstrumentationScope, Key, KeyValue};
use opentelemetry_otlp::{
    RetryPolicy, SpanExporter as OtlpExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, Span, SpanData, SpanExporter,
    SpanProcessor,
};
use tracing::Metadata;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::layer::Identity;
use tracing_subscriber::{Layer, Registry};

use super::TelemetryError;
use super::spans::{CONTENT, SEMCONV_VERSION, SPANS};
use crate::config::{ServiceUrl, TelemetryConfig};
use crate::tls;

/// Spans that wait to be exported at most; some megabytes.
const QUEUE: usize = 4096;

/// Spans in one request at most.
const BATCH: usize = 512;

/// How long one request to the receiver may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the end of the process waits for the last spans.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// What is added to the address that is configured, by the OTLP specification.
const PATH: &str = "/v1/traces";

/// The export of traces, from its start to the last span.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    captures_content: bool,
}

impl Traces {
    /// Starts to export as configured; none where no receiver is.
    pub fn start(config: &TelemetryConfig) -> Result<Option<Self>, TelemetryError> {
        let Some(endpoint) = &config.otlp_endpoint else {
            return Ok(None);
        };
        let traces = Self::to(exporter(endpoint)?, config.capture_content);
        Ok(Some(traces))
    }

    /// Exports to a receiver of the caller's choice.
    pub fn to(exporter: impl SpanExporter + 'static, captures_content: bool) -> Self {
        let waiting = Arc::new(AtomicUsize::new(0));
        let exporter = Counted {
            inner: exporter,
            waiting: waiting.clone(),
            is_away: AtomicBool::new(false),
        };
        let pace = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .build();
        let bounded = Bounded {
            inner: BatchSpanProcessor::new(exporter, pace),
            waiting,
        };
        // The sampler is the library's, which reads OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG.
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_span_processor(bounded)
            .build();
        Self {
            provider,
            captures_content,
        }
    }

    /// What has to hear of spans for them to be exported. Nothing that is logged comes this way.
    pub(super) fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
        let scope = InstrumentationScope::builder("billhook")
            .with_version(env!("CARGO_PKG_VERSION"))
            .with_schema_url(format!(
                "https://opentelemetry.io/schemas/{SEMCONV_VERSION}"
            ))
            .build();
        let spans = OpenTelemetryLayer::new(self.provider.tracer_with_scope(scope))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(only(SPANS));
        if self.captures_content {
            // It does nothing; that it listens is what `wants_content` asks.
            Box::new(spans.and_then(Identity::new().with_filter(only(CONTENT))))
        } else {
            Box::new(spans)
        }
    }

    /// Exports what waits, within bounds, and ends.
    pub async fn finish(self) {
        let ended =
            tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(LAST_PATIENCE));
        if let Ok(Err(error)) = ended.await {
            tracing::warn!(%error, "the last spans were not exported");
        }
    }
}

/// Sends no span, and so finds out whether the receiver would take one.
pub async fn try_out(endpoint: &ServiceUrl) -> Result<(), String> {
    let exporter = exporter(endpoint).map_err(|error| super::in_one_line(&error))?;
    let asked = tokio::task::spawn_blocking(move || exporter.export(Vec::new()).now_or_never());
    match asked.await {
        Ok(Some(result)) => result.map_err(|error| match error {
            OTelSdkError::InternalFailure(why) => why,
            other => other.to_string(),
        }),
        Ok(None) | Err(_) => Err("the request could not be made".to_owned()),
    }
}

fn only(target: &'static str) -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    let filter = FilterFn::new(move |metadata| metadata.is_span() && metadata.target() == target);
    filter.with_max_level_hint(LevelFilter::INFO)
}

fn exporter(endpoint: &ServiceUrl) -> Result<OtlpExporter, TelemetryError> {
    tls::use_ring();
    let address = format!("{}{PATH}", endpoint.expose().trim_end_matches('/'));
    // Such a client must not be made where others wait for the same thread.
    let client = std::thread::spawn(|| {
        reqwest::blocking::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            // A redirect would take the headers, and a key in them, to an address that nobody configured.
            .redirect(reqwest::redirect::Policy::none())
            .build()
    });
    let client = client
        .join()
        .map_err(|_panicked| TelemetryError::Client(None))?
        .map_err(|error| TelemetryError::Client(Some(error)))?;
    OtlpExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(address)
        .with_timeout(REQUEST_TIMEOUT)
        // The next batch is the next try: a receiver that is away must not hold the end up.
        .with_retry_policy(RetryPolicy::disabled())
        .build()
        // The library's error repeats the address, which may hold a password.
        .map_err(|_error| TelemetryError::Endpoint(endpoint.to_string()))
}

/// Who we are. What the environment says (`OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`) stands.
fn resource() -> Resource {
    let told = Resource::builder().build();
    let instance: [u8; 16] = rand::random();
    let ours = [
        KeyValue::new("service.name", "billhook"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", hex::encode(instance)),
    ];
    let is_told = |key: &Key| {
        let value = told.get(key);
        value.is_some_and(|value| !value.as_str().starts_with("unknown_service"))
    };
    let missing = ours.into_iter().filter(|pair| !is_told(&pair.key));
    Resource::builder().with_attributes(missing).build()
}

fn count(outcome: &'static str, spans: usize) {
    counter!("billhook_spans_total", "outcome" => outcome).increment(spans as u64);
}

/// A queue that says what it drops: the library's own drops in silence.
#[derive(Debug)]
struct Bounded {
    inner: BatchSpanProcessor,
    /// Spans in the queue; it never takes more than fit into the library's.
    waiting: Arc<AtomicUsize>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            count("dropped", 1);
            return;
        }
        self.inner.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// An exporter whose failures are counted each and said once.
#[derive(Debug)]
struct Counted<E> {
    inner: E,
    waiting: Arc<AtomicUsize>,
    is_away: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        let result = self.inner.export(batch).await;
        match &result {
            Ok(()) => {
                count("exported", spans);
                if self.is_away.swap(false, Ordering::Relaxed) {
                    tracing::info!("the receiver of traces takes spans again");
                }
            }
            Err(error) => {
                count("failed", spans);
                if !self.is_away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "spans were not taken and are lost; billhook works on, and this is said once. Check telemetry.otlp_endpoint and OTEL_EXPORTER_OTLP_HEADERS");
                }
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests;
