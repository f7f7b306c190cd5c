//! A language model behind any server that speaks `OpenAI`'s chat completions.
//!
//! Owns that whatever such a server answers becomes a [`Reply`] or one of two errors, within the run's deadline; that a
//! failing server is left alone and the next of the list is asked; and the one place where a request is tried again.
//! Never shows a key, and never a word of what was asked or answered.

mod arguments;
mod breaker;
mod endpoint;
mod error;
mod observed;
mod probe;
mod profile;
mod reply;
mod request;
mod stream;
mod transport;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use self::endpoint::Endpoint;
use self::error::{Failure, Then};
pub use self::probe::{Found, Probed};
use crate::agent::model::{Model, ModelError, Reply, Request};
use crate::clock::Clock;
use crate::config::ModelConfig;
use crate::retry::{RetryPolicy, jitter};

/// How often the whole list is asked for one reply, and the pauses between.
const ROUNDS: RetryPolicy = RetryPolicy {
    attempts: 3,
    base: Duration::from_millis(500),
    max: Duration::from_secs(8),
};

/// A longer wait than this is not spent with a run in hand: it is deferred.
const PATIENCE: Duration = Duration::from_secs(20);

/// A model that cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The key cannot stand in a header. It is not shown.
    #[error("the key of the model's endpoint `{0}` contains characters that no key has")]
    Key(String),
    /// The client cannot be made.
    #[error("the http client for the model cannot be made")]
    Client(#[source] reqwest::Error),
}

/// A language model, at the first of its endpoints that answers.
pub struct OpenAi {
    endpoints: Vec<Endpoint>,
    clock: Arc<dyn Clock>,
    rounds: RetryPolicy,
}

impl OpenAi {
    /// The model that the configuration describes; none where it describes none.
    pub fn new(config: &ModelConfig, clock: Arc<dyn Clock>) -> Result<Option<Self>, SetupError> {
        let endpoints = config
            .endpoints()
            .iter()
            .map(|endpoint| Endpoint::new(endpoint, config))
            .collect::<Result<Vec<_>, _>>()?;
        Ok((!endpoints.is_empty()).then_some(Self {
            endpoints,
            clock,
            rounds: ROUNDS,
        }))
    }

    /// Each endpoint's name, and for how long it is being left alone.
    pub fn state(&self) -> impl Iterator<Item = (&str, Duration)> {
        let now = self.clock.now();
        self.endpoints
            .iter()
            .map(move |endpoint| (endpoint.name.as_str(), endpoint.rest_of_pause(now)))
    }
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.state()).finish()
    }
}

#[async_trait]
impl Model for OpenAi {
    fn name(&self) -> &str {
        self.endpoints.first().map_or("", |first| &first.model)
    }

    async fn reply(&self, request: &Request) -> Result<Reply, ModelError> {
        let mut asking = Asking::new(self, request);
        let mut round = 1;
        loop {
            let asked = match asking.round().await {
                Ok(reply) => return Ok(reply),
                Err(asked) => asked,
            };
            if let Some(reason) = asking.is_refused_by_all() {
                return Err(ModelError::Rejected { reason });
            }
            let wait = asking.wait(jitter(self.rounds.pause(round)));
            round += 1;
            // Where all are left alone, nobody is to wait for them with a run in hand.
            if asked == 0 || round > self.rounds.attempts || asking.is_too_long(wait) {
                return Err(ModelError::Unavailable {
                    reason: asking.reasons(),
                    retry_after: asking.asked_to_wait(),
                });
            }
            sleep(wait).await;
        }
    }
}

/// One request on its way through the list, and what came of it at each endpoint.
struct Asking<'a> {
    model: &'a OpenAi,
    request: &'a Request,
    /// What each endpoint's last attempt came to; none where none was made.
    failures: Vec<Option<Failure>>,
    /// Whether each may still be asked.
    is_candidate: Vec<bool>,
}

impl<'a> Asking<'a> {
    fn new(model: &'a OpenAi, request: &'a Request) -> Self {
        let endpoints = model.endpoints.len();
        Self {
            model,
            request,
            failures: vec![None; endpoints],
            is_candidate: vec![true; endpoints],
        }
    }

    /// Asks each that may be asked, in order, until one answers; else says how many were asked.
    async fn round(&mut self) -> Result<Reply, usize> {
        let mut asked = 0;
        let slots = self.failures.iter_mut().zip(&mut self.is_candidate);
        for (endpoint, (last, is_candidate)) in self.model.endpoints.iter().zip(slots) {
            if !*is_candidate || endpoint.admit(self.model.clock.now()).is_err() {
                continue;
            }
            asked += 1;
            let answer = endpoint.ask(self.request).await;
            endpoint.note(&answer, self.model.clock.now());
            let failure = match answer {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            tracing::warn!(endpoint = %endpoint.name, reason = %failure, "the model did not answer");
            // A server that failed by itself twice over the same request fails on the request.
            let is_the_request = failure.is_internal() && last.as_ref() == Some(&failure);
            *is_candidate = failure.then == Then::Again && !is_the_request;
            *last = Some(failure);
        }
        Err(asked)
    }

    /// Why nobody will ever answer, where that is so.
    fn is_refused_by_all(&self) -> Option<String> {
        self.failures
            .iter()
            .all(|failure| {
                failure
                    .as_ref()
                    .is_some_and(|f| matches!(f.then, Then::Never | Then::Without(_)))
            })
            .then(|| self.reasons())
    }

    /// How long to wait for the next round: `pause`, and for as long as everybody asked for.
    fn wait(&self, pause: Duration) -> Duration {
        self.asked_to_wait().unwrap_or_default().max(pause)
    }

    /// The shortest time after which somebody may be asked; none where nobody said so.
    fn asked_to_wait(&self) -> Option<Duration> {
        let now = self.model.clock.now();
        let waits = self.model.endpoints.iter().map(|e| e.rest_of_pause(now));
        waits.min().filter(|wait| !wait.is_zero())
    }

    fn is_too_long(&self, wait: Duration) -> bool {
        let deadline = self.request.deadline;
        let nobody = !self.is_candidate.contains(&true);
        nobody || wait > PATIENCE || deadline.is_some_and(|end| Instant::now() + wait >= end)
    }

    /// What each endpoint's last attempt came to, for a log line or a row.
    fn reasons(&self) -> String {
        let reasons: Vec<String> = self
            .model
            .endpoints
            .iter()
            .zip(&self.failures)
            .map(|(endpoint, failure)| match failure {
                Some(failure) => format!("{}: {failure}", endpoint.name),
                None => format!("{}: left alone after failures", endpoint.name),
            })
            .collect();
        reasons.join("; ")
    }
}
