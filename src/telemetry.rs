//! Logs and metrics: how they are set up, once, at start.
//!
//! Owns what is filtered out for everybody: a library that logs a whole reply of a model would put personal data into
//! the logs. Never writes to standard output, which belongs to the answers of commands.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::Subscriber;
use tracing_subscriber::filter::{ParseError, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{LogFormat, TelemetryConfig};

/// On a body it cannot parse, this target logs the whole body, which may hold what a customer wrote.
const NEVER_LOGGED: &str = "async_openai::error";

/// Upper bounds of everything measured in seconds, from an acknowledgement to a slow model.
const SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0,
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
    /// Somebody else records metrics in this process.
    #[error("metrics cannot be recorded")]
    Metrics(#[source] BuildError),
}

/// Sends logs to standard error, as configured. Call once, before anything is worth logging.
pub fn init_logging(config: &TelemetryConfig) -> Result<(), TelemetryError> {
    let ansi = std::io::stderr().is_terminal();
    subscriber(config, ansi, std::io::stderr)?
        .try_init()
        .map_err(TelemetryError::Logging)?;
    if let Some(endpoint) = &config.otlp_endpoint {
        tracing::warn!(%endpoint, "traces are not exported by this version: telemetry.otlp_endpoint has no effect");
    }
    Ok(())
}

/// What [`init_logging`] installs, for tests that read what is written.
pub fn subscriber<W>(
    config: &TelemetryConfig,
    ansi: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder()
        .parse(&config.log)
        .map_err(TelemetryError::Filter)?;
    // Not a directive among the others: a more specific one of an operator would bring the target back.
    let allowed = filter_fn(|metadata| !metadata.target().starts_with(NEVER_LOGGED));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(ansi);
    let registry = tracing_subscriber::registry().with(filter);
    Ok(match config.log_format {
        LogFormat::Text => Box::new(registry.with(lines.with_filter(allowed))),
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false);
            Box::new(registry.with(lines.with_filter(allowed)))
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
        let subscriber = subscriber(&config, false, move || writer.clone()).unwrap();
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
        let error = subscriber(&config, false, std::io::sink).err().unwrap();
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
