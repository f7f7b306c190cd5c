//! Questions to Stripe from their claim to their end: what an event left open is asked for, and the answer taken in as one
//! more snapshot.
//!
//! Nothing waits for this. A follow-up is decided on what is known when it is due, and an answer that comes later updates
//! state like a late event. Must never follow a path out of Stripe's API: the client refuses those.

mod answer;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use futures::stream::{self, StreamExt};

use self::answer::Unanswered;
use super::{Panicked, Stop, Worker};
use crate::clock::Timestamp;
use crate::retry::jitter;
use crate::store::{ClaimedFetch, FetchEnd, StoreError};
use crate::stripe::api::{ApiError, StripeApi};
use crate::telemetry::in_one_line;

/// Questions claimed at once, and asked side by side: few, because the business's own requests share Stripe's limit
/// (docs.stripe.com/rate-limits).
const AT_ONCE: u32 = 4;
/// So many leases of other work: an answer may have many pages, each with `stripe.api_deadline`. Two that ask the same do no
/// harm.
const LEASES: u32 = 5;
/// A question that Stripe could not be asked for so long is given up: its events are a day old.
const MAX_AGE: Duration = Duration::from_hours(24);
/// How long nothing is asked that the key may not ask.
const UNTIL_ALLOWED: Duration = Duration::from_hours(1);
/// How long nothing is asked about an account that has disconnected. Stripe would refuse, as it does where the key lacks a
/// permission, and for that everybody's questions wait.
const UNTIL_CONNECTED: Duration = Duration::from_hours(1);

impl Worker {
    /// Asks Stripe what is due, as far as the key reaches; says how many questions were claimed.
    pub async fn fetch_due(&self) -> Result<u64, StoreError> {
        self.fetch_until(&Stop::default()).await
    }

    pub(super) async fn fetch_until(&self, stop: &Stop) -> Result<u64, StoreError> {
        let Some(api) = &self.api else {
            return Ok(0);
        };
        // Whoever starts may have another key, or the same one and another leave.
        self.has_hurried
            .get_or_try_init(async || self.store.hurry_fetches(api.livemode()).await)
            .await?;
        // The lease begins after this moment, never before it.
        let claimed_at = self.clock.now();
        let fetches = self
            .store
            .claim_fetches(api.livemode(), AT_ONCE, self.pace.lease * LEASES)
            .await?;
        let claimed = fetches.len() as u64;
        stream::iter(fetches)
            .for_each_concurrent(None, |fetch| async move {
                // What is cut is asked again by whoever claims it when its lease has ended.
                let asking = self.fetch(api, &fetch, claimed_at);
                if stop.cut.run_until_cancelled(asking).await.is_none() {
                    tracing::debug!(fetch.id = %fetch.id, "stopped while Stripe was asked; it is asked again");
                }
            })
            .await;
        Ok(claimed)
    }

    async fn fetch(&self, api: &StripeApi, fetch: &ClaimedFetch, claimed_at: Timestamp) {
        let answered = AssertUnwindSafe(self.ask(api, fetch)).catch_unwind().await;
        let (word, end) = match answered {
            Ok(Ok(())) => ("done", FetchEnd::Done),
            Ok(Err(Unanswered::Api(ApiError::Gone))) => ("gone", FetchEnd::Gone),
            Ok(Err(Unanswered::Api(error))) => self.unanswered(fetch, &error),
            Ok(Err(Unanswered::Other(what))) => ("given_up", FetchEnd::GivenUp(what)),
            Ok(Err(Unanswered::Disconnected)) => self.disconnected(fetch),
            // The answer is there and could not be kept: not the question failed. Its lease ends by itself.
            Ok(Err(Unanswered::Store(error))) if !error.is_final() => {
                tracing::warn!(fetch.id = %fetch.id, error = %in_one_line(&error), "an answer of Stripe's could not be stored; it is asked for again");
                return;
            }
            Ok(Err(Unanswered::Store(error))) => {
                ("given_up", FetchEnd::GivenUp(in_one_line(&error)))
            }
            Err(_) => ("given_up", FetchEnd::GivenUp(in_one_line(&Panicked))),
        };
        metrics::counter!("billhook_fetches_total", "reason" => fetch.reason.as_str(), "outcome" => word)
            .increment(1);
        let asked = self.clock.now().since(claimed_at);
        match &end {
            FetchEnd::GivenUp(error) => {
                tracing::warn!(fetch.id = %fetch.id, event.id = %fetch.event, error, "a question to Stripe is given up; state stays as the events say it");
            }
            FetchEnd::Denied { error, .. } => {
                tracing::error!(fetch.reason = fetch.reason.as_str(), fetch.kind = %fetch.kind, error, "nothing of this kind is asked for an hour, or until `serve` is started anew");
            }
            FetchEnd::Done | FetchEnd::Gone | FetchEnd::Again { .. } => {
                tracing::debug!(fetch.id = %fetch.id, outcome = word, ?asked, "Stripe was asked");
            }
        }
        match self.store.end_fetch(fetch, &end).await {
            // It was asked for once more meanwhile, and whoever has it knows better.
            Ok(()) | Err(StoreError::Fenced) => {}
            Err(error) => {
                tracing::error!(fetch.id = %fetch.id, error = %in_one_line(&error), "what came of a question to Stripe could not be stored");
            }
        }
    }

    fn disconnected(&self, fetch: &ClaimedFetch) -> (&'static str, FetchEnd) {
        let now = self.clock.now();
        let error = format!("account {} has disconnected", fetch.account);
        if now.since(fetch.asked_at) > MAX_AGE {
            return ("given_up", FetchEnd::GivenUp(error));
        }
        let at = now.plus(UNTIL_CONNECTED);
        ("again", FetchEnd::Again { at, error })
    }

    fn unanswered(&self, fetch: &ClaimedFetch, error: &ApiError) -> (&'static str, FetchEnd) {
        let now = self.clock.now();
        let what = in_one_line(error);
        let is_old = now.since(fetch.asked_at) > MAX_AGE;
        let may_pass = error.is_passing() || matches!(error, ApiError::NotJson(_));
        match error {
            _ if is_old => ("given_up", FetchEnd::GivenUp(what)),
            ApiError::Denied { .. } => {
                let until = now.plus(UNTIL_ALLOWED);
                ("denied", FetchEnd::Denied { until, error: what })
            }
            _ if may_pass => {
                let pause = self.pace.retry.pause(fetch.attempts.saturating_add(1));
                let at = now.plus(jitter(pause));
                ("again", FetchEnd::Again { at, error: what })
            }
            _ => ("given_up", FetchEnd::GivenUp(what)),
        }
    }
}
