//! Logs, metrics and traces: how they are set up, once, at start.
//!
//! Owns what is filtered out for everybody: a library that logs a whole reply of a model would put personal data into
//! the logs. What is logged is never exported, and spans that are exported are never logged. Never writes to standard
//! output, which belongs to the answers of commands.

pub mod spans;
mod traces;

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::Subscriber;
use tracing_subscriber::filter::{FilterExt as _, ParseError, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer};

use self::spans::{CONTENT, SPANS};
pub use self::traces::{Traces, try_out};
use crate::config::{LogFormat, TelemetryConfig};

/// Targets that log what nobody may read in a log: the one a whole body that it cannot parse, which may hold what a
/// customer wrote; the other the addresses it connects to, with a password where one is in them.
const NEVER_LOGGED: [&str; 2] = ["async_openai::error", "hyper_util::client"];

/// Upper bounds of everything measured in seconds, from an acknowledgement to a slow model.
const SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0,
];

/// Upper bounds of a model's time, as the `GenAI` conventions have them.
const MODEL_SECONDS: [f64; 14] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];

/// Upper bounds of tokens, as the `GenAI` conventions have them.
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// The pause between two upkeeps of the metrics.
const UPKEEP: Duration = Duration::from_secs(5);

/// Why logs or metrics could not be set up.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The log filter is not in the notation of `RUST_LOG`.
    #[error(
        "`telemetry.log` (RUST_LOG) is no log filter: write info, debug, or billhook::store=debug"
    )]
    Filter(#[source] ParseError),
    /// Somebody else has set up logging in this process.
    #[error("logging is set up already")]
    Logging(#[source] TryInitError),
    /// The client that exports traces cannot be made.
    #[error("the http client that exports traces cannot be made")]
    Client(#[source] Option<reqwest::Error>),
    /// Traces cannot be sent to such an address.
    #[error(
        "`telemetry.otlp_endpoint` is no address that traces can be sent to: {0}; write http://HOST:4318"
    )]
    Endpoint(String),
    /// Somebody else records metrics in this process.
    #[error("metrics cannot be recorded")]
    Metrics(#[source] BuildError),
}

/// Sends logs to standard error and spans to `traces`, as configured. Call once, before anything is worth logging.
pub fn init(config: &TelemetryConfig, traces: Option<&Traces>) -> Result<(), TelemetryError> {
    let ansi = std::io::stderr().is_terminal();
    subscriber(config, ansi, std::io::stderr, traces)?
        .try_init()
        .map_err(TelemetryError::Logging)
}

/// What [`init`] installs, for tests that read what is written.
pub fn subscriber<W>(
    config: &TelemetryConfig,
    ansi: bool,
    writer: W,
    traces: Option<&Traces>,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder()
        .parse(&config.log)
        .map_err(TelemetryError::Filter)?;
    // Not a directive among the others: a more specific one of an operator would bring the target back.
    let allowed = filter_fn(|metadata| {
        let target = metadata.target();
        let never = NEVER_LOGGED.iter().any(|name| target.starts_with(name));
        !never && target != SPANS && target != CONTENT
    });
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(ansi);
    let registry = tracing_subscriber::registry().with(traces.map(Traces::layer));
    // Of this layer only: how much is logged says nothing of what is exported.
    let filter = filter.and(allowed);
    Ok(match config.log_format {
        LogFormat::Text => Box::new(registry.with(lines.with_filter(filter))),
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false);
            Box::new(registry.with(lines.with_filter(filter)))
        }
    })
}

/// Starts to record metrics and returns what renders them as Prometheus text. A process has one recorder: further
/// calls return the same one.
///
/// Somebody must run [`keep_up`] beside it, or histograms grow while nobody reads them.
pub fn metrics() -> Result<PrometheusHandle, TelemetryError> {
    static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = installed.as_ref() {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(|builder| {
            let model = Matcher::Prefix("gen_ai_client_operation".to_owned());
            builder.set_buckets_for_metric(model, &MODEL_SECONDS)
        })
        .and_then(|builder| {
            let tokens = Matcher::Full("gen_ai_client_token_usage".to_owned());
            builder.set_buckets_for_metric(tokens, &TOKENS)
        })
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(TelemetryError::Metrics)?;
    *installed = Some(handle.clone());
    Ok(handle)
}

/// Sorts what was recorded into the histograms, again and again until `stop`: until then each single value is kept.
pub async fn keep_up(metrics: PrometheusHandle, stop: CancellationToken) {
    while stop
        .run_until_cancelled(tokio::time::sleep(UPKEEP))
        .await
        .is_some()
    {
        metrics.run_upkeep();
    }
}

/// An error with its causes, for a line of text; what stands in it already is not said again.
pub fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::io::Write;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(log: &str, log_format: LogFormat, work: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let config = TelemetryConfig {
            log: log.to_owned(),
            log_format,
            ..Config::defaults().unwrap().telemetry
        };
        let subscriber = subscriber(&config, false, move || writer.clone(), None).unwrap();
        tracing::subscriber::with_default(subscriber, work);
        String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn the_filter_decides_what_is_logged() {
        let work = || {
            tracing::debug!("quiet");
            tracing::info!(event.id = "evt_1", "event accepted");
        };
        let info = logged("info", LogFormat::Text, work);
        assert!(
            info.contains("event accepted") && info.contains("evt_1"),
            "{info}"
        );
        assert!(!info.contains("quiet"), "{info}");
        assert!(logged("debug", LogFormat::Text, work).contains("quiet"));
    }

    #[test]
    fn a_models_reply_is_never_logged_whatever_the_filter() {
        for filter in [
            "info",
            "trace",
            "async_openai=trace",
            "info,async_openai::error=trace",
            "info,async_openai::error::body=trace",
        ] {
            let text = logged(filter, LogFormat::Text, || {
                tracing::error!(target: "async_openai::error::body", "failed deserialization of: hunter2");
                tracing::error!(target: "async_openai::error", "failed deserialization of: hunter2");
                tracing::trace!(target: "hyper_util::client::legacy::pool", "checkout waiting for user:hunter2@localhost");
                tracing::error!(target: "async_openai", "sent");
            });
            assert!(!text.contains("hunter2"), "{filter}: {text}");
            assert!(text.contains("sent"), "{filter}: {text}");
        }
    }

    #[test]
    fn json_lines_are_objects_with_the_fields_on_top() {
        let text = logged("info", LogFormat::Json, || {
            tracing::info!(event.id = "evt_1", "event accepted");
        });
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["message"], "event accepted");
        assert_eq!(line["event.id"], "evt_1");
    }

    #[test]
    fn a_bad_filter_is_refused_with_what_to_write() {
        let mut config = Config::defaults().unwrap().telemetry;
        config.log = "billhook=loud=quiet".to_owned();
        let error = subscriber(&config, false, std::io::sink, None)
            .err()
            .unwrap();
        assert!(error.to_string().contains("RUST_LOG"), "{error}");
    }

    #[test]
    fn metrics_are_rendered_and_a_second_call_sees_the_same() {
        let first = metrics().unwrap();
        metrics::counter!("telemetry_test_total").increment(2);
        metrics::histogram!("telemetry_test_seconds").record(0.2);
        let text = metrics().unwrap().render();
        assert!(text.contains("telemetry_test_total 2"), "{text}");
        assert!(
            text.contains("telemetry_test_seconds_bucket{le=\"0.25\"} 1"),
            "{text}"
        );
        assert!(first.render().contains("telemetry_test_total 2"));
    }
}
