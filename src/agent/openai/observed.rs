//! What is told of each attempt to get a reply: a span and metrics, by the names of the `GenAI` conventions.
//!
//! Values of labels come from the configuration, or are few: names that a server makes up must not multiply series.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use metrics::{Label, gauge, histogram};
use serde_json::Value;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use super::error::Failure;
use super::profile::Profile;
use crate::agent::model::{Reply, Request};
use crate::agent::spans;
use crate::telemetry::spans::{Chat, chat, count, failed, finished_for, word};

/// Names of models that an endpoint answers under, as labels; further ones are `other`.
const MOST_MODELS: usize = 8;

tokio::task_local! {
    /// When the first chunk of the answer came to the attempt that runs in this task.
    static FIRST_CHUNK: Cell<Option<Instant>>;
}

/// Notes that a chunk of the answer is here; the first counts.
pub(super) fn chunk_came() {
    let noted = FIRST_CHUNK.try_with(|at| at.set(at.get().or_else(|| Some(Instant::now()))));
    // Outside of an attempt nobody asks.
    noted.unwrap_or(());
}

/// Who is watched: one model at one endpoint.
#[derive(Debug)]
pub(super) struct Observer {
    endpoint: String,
    model: String,
    provider: &'static str,
    address: String,
    port: u16,
    /// The names that it answered under so far.
    models: Mutex<BTreeSet<String>>,
}

impl Observer {
    /// For `model` at the endpoint with this name and address.
    pub(super) fn new(endpoint: &str, model: &str, base: &str) -> Self {
        let url = reqwest::Url::parse(base).ok();
        let host = url.as_ref().and_then(|url| url.host_str());
        let address = host.unwrap_or_default().to_owned();
        Self {
            endpoint: endpoint.to_owned(),
            model: model.to_owned(),
            // Whoever speaks this protocol is that provider, as far as the form of what is told goes.
            provider: if address.ends_with(".openai.azure.com") {
                "azure.ai.openai"
            } else {
                "openai"
            },
            port: url.and_then(|url| url.port_or_known_default()).unwrap_or(0),
            address,
            models: Mutex::default(),
        }
    }

    /// An attempt begins. `is_probe`: the endpoint failed lately, and this one finds out whether it is back.
    pub(super) fn begin(
        &self,
        request: &Request,
        profile: &Profile,
        is_probe: bool,
    ) -> Attempt<'_> {
        let span = chat(Chat {
            provider: self.provider,
            model: &self.model,
            max_tokens: profile.configured.max_tokens,
            stream: profile.configured.stream,
            address: &self.address,
            port: self.port,
            breaker: if is_probe { "half_open" } else { "closed" },
        });
        spans::asked(&span, request);
        Attempt {
            observer: self,
            span,
            begun: Instant::now(),
            first_chunk: None,
            is_stream: profile.configured.stream,
            model: None,
        }
    }

    /// The breaker of this endpoint is open, or closed.
    pub(super) fn breaker(&self, is_open: bool) {
        gauge!("billhook_model_breaker_open", "endpoint" => self.endpoint.clone())
            .set(f64::from(u8::from(is_open)));
    }

    /// The name that a server gave its model, as one of a few.
    fn bounded(&self, model: &str) -> String {
        let Some(model) = word(model) else {
            return "other".to_owned();
        };
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if models.contains(model) || models.len() < MOST_MODELS && models.insert(model.to_owned()) {
            model.to_owned()
        } else {
            "other".to_owned()
        }
    }
}

/// One attempt under way.
pub(super) struct Attempt<'a> {
    observer: &'a Observer,
    span: Span,
    begun: Instant,
    first_chunk: Option<Instant>,
    is_stream: bool,
    /// Who answered, as it is labelled.
    model: Option<String>,
}

impl Attempt<'_> {
    /// Does the attempt's work inside its span.
    pub(super) async fn watch<T>(&mut self, work: impl Future<Output = T>) -> T {
        let noted = FIRST_CHUNK.scope(Cell::new(None), async {
            let done = work.await;
            (done, FIRST_CHUNK.with(Cell::get))
        });
        let (done, first_chunk) = noted.instrument(self.span.clone()).await;
        self.first_chunk = first_chunk.filter(|_| self.is_stream);
        done
    }

    /// Something was answered.
    pub(super) fn answered(&mut self, body: &Value) {
        let text = |key: &str| body.get(key).and_then(Value::as_str);
        if let Some(id) = text("id").and_then(word) {
            self.span.record("gen_ai.response.id", id);
        }
        if let Some(model) = text("model") {
            self.span.record("gen_ai.response.model", word(model));
            self.model = Some(self.observer.bounded(model));
        }
    }

    /// The attempt is over.
    pub(super) fn end(self, reply: &Result<Reply, Failure>) {
        let mut labels = self.labels();
        match reply {
            Ok(reply) => self.replied(reply, &labels),
            Err(failure) => {
                let error = failure.error_type();
                failed(&self.span, &error);
                labels.push(Label::new("error_type", error.into_owned()));
            }
        }
        histogram!("gen_ai_client_operation_duration_seconds", labels)
            .record(self.begun.elapsed().as_secs_f64());
    }

    fn replied(&self, reply: &Reply, labels: &[Label]) {
        finished_for(&self.span, &reply.finish);
        spans::replied(&self.span, reply);
        if let Some(first) = self.first_chunk {
            let waited = (first - self.begun).as_secs_f64();
            let name = "gen_ai_client_operation_time_to_first_chunk_seconds";
            self.span
                .record("gen_ai.response.time_to_first_chunk", waited);
            histogram!(name, labels.to_vec()).record(waited);
        }
        let usage = reply.usage;
        // What nobody counted is no measurement.
        if usage.estimated {
            return;
        }
        for (name, tokens) in [
            ("gen_ai.usage.input_tokens", usage.input_tokens),
            ("gen_ai.usage.output_tokens", usage.output_tokens),
            ("gen_ai.usage.cache_read.input_tokens", usage.cached_tokens),
            (
                "gen_ai.usage.reasoning.output_tokens",
                usage.reasoning_tokens,
            ),
        ] {
            self.span.record(name, count(tokens));
        }
        for (kind, tokens) in [
            ("input", usage.input_tokens),
            ("output", usage.output_tokens),
        ] {
            let mut labels = labels.to_vec();
            labels.push(Label::new("gen_ai_token_type", kind));
            let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
            histogram!("gen_ai_client_token_usage", labels).record(f64::from(tokens));
        }
    }

    fn labels(&self) -> Vec<Label> {
        let observer = self.observer;
        let mut labels = vec![
            Label::new("gen_ai_operation_name", "chat"),
            Label::new("gen_ai_provider_name", observer.provider),
            Label::new("gen_ai_request_model", observer.model.clone()),
            Label::new("server_address", observer.address.clone()),
            Label::new("server_port", observer.port.to_string()),
        ];
        if let Some(model) = &self.model {
            labels.push(Label::new("gen_ai_response_model", model.clone()));
        }
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_makes_names_up_makes_no_series() {
        let observer = Observer::new("main", "m", "http://127.0.0.1:8000/v1");
        assert_eq!(
            (observer.address.as_str(), observer.port),
            ("127.0.0.1", 8000)
        );
        assert_eq!(observer.bounded("Dear Ada,\n"), "other");
        let seen: BTreeSet<String> = (0..1000)
            .map(|at| observer.bounded(&format!("model-{at}")))
            .collect();
        assert_eq!(seen.len(), MOST_MODELS + 1, "{seen:?}");
        assert_eq!(observer.bounded("model-0"), "model-0");
    }

    #[test]
    fn a_provider_is_told_by_its_address() {
        let provider = |base| Observer::new("main", "m", base).provider;
        assert_eq!(provider("https://api.openai.com/v1"), "openai");
        assert_eq!(provider("http://localhost:11434/v1"), "openai");
        let azure = "https://acme.openai.azure.com/openai/v1";
        assert_eq!(provider(azure), "azure.ai.openai");
    }
}
