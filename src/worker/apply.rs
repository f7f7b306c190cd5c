//! Events from their claim to their mandatory updates, or to the note that these failed.
//!
//! A batch is claimed under one lease. What it holds is begun only while enough of that is left, so that a slow database
//! makes a worker hand events on instead of working for nothing.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use futures::stream::{self, StreamExt};
use tracing::Instrument as _;

use super::{Panicked, Stop, Worker};
use crate::clock::Timestamp;
use crate::retry::jitter;
use crate::store::{ClaimedEvent, Failure, StoreError};
use crate::telemetry::{in_one_line, spans};

/// Events applied side by side. They converge in any order, so only the database limits this.
const APPLY_AT_ONCE: usize = 8;

impl Worker {
    /// Applies what is pending; says how many events were claimed.
    pub(super) async fn apply_until(&self, stop: &Stop) -> Result<u64, StoreError> {
        // The lease begins after this moment, never before it.
        let claimed_at = self.clock.now();
        let events = self
            .store
            .claim_events(self.pace.batch, self.pace.lease)
            .await?;
        let claimed = events.len() as u64;
        stream::iter(events)
            .for_each_concurrent(APPLY_AT_ONCE, |event| async move {
                if self.may_begin(claimed_at, stop) {
                    self.apply(&event).await;
                }
            })
            .await;
        Ok(claimed)
    }

    /// Whether another event of a batch may be begun; if not, it is left to whoever claims it when the lease has ended.
    fn may_begin(&self, claimed_at: Timestamp, stop: &Stop) -> bool {
        let held = self.clock.now().since(claimed_at);
        !stop.cut.is_cancelled() && held.saturating_mul(3) <= self.pace.lease.saturating_mul(2)
    }

    async fn apply(&self, event: &ClaimedEvent) {
        let span = spans::apply(&event.id, &event.event_type);
        let applied = AssertUnwindSafe(self.store.apply_event(event))
            .catch_unwind()
            .instrument(span.clone())
            .await;
        if !matches!(applied, Ok(Ok(()) | Err(StoreError::Fenced))) {
            spans::failed(&span, "failed");
        }
        drop(span);
        let now = self.clock.now();
        let attempt = event.attempts.saturating_add(1);
        let (text, failure) = match applied {
            Ok(Ok(())) => {
                metrics::counter!("billhook_events_applied_total").increment(1);
                return;
            }
            Ok(Err(StoreError::Fenced)) => return,
            Ok(Err(error)) if error.is_about_the_database() => {
                let pause = jitter(self.pace.retry.pause(attempt));
                (in_one_line(&error), Failure::Postpone(now.plus(pause)))
            }
            Ok(Err(error)) if error.is_final() => (in_one_line(&error), Failure::Dead),
            Ok(Err(error)) => (in_one_line(&error), self.again(attempt, now)),
            Err(_) => (in_one_line(&Panicked), self.again(attempt, now)),
        };
        match self.store.fail_event(event, &text, failure).await {
            Ok(()) => match failure {
                Failure::Retry(_) => {
                    tracing::warn!(event.id = %event.id, attempt, error = %text, "applying failed; it is tried again");
                }
                Failure::Postpone(_) => {
                    tracing::warn!(event.id = %event.id, error = %text, "the database kept an event from being applied; it is tried again");
                }
                Failure::Dead => {
                    tracing::error!(event.id = %event.id, attempt, error = %text, "applying failed for good; the event is dead");
                }
            },
            // Another worker has it, or it was committed and only the answer was lost: then nothing failed.
            Err(StoreError::Fenced) => {}
            Err(error) => {
                // Its lease ends by itself, and it is claimed again.
                tracing::error!(event.id = %event.id, error = %in_one_line(&error), "the failure could not be stored");
            }
        }
    }

    fn again(&self, failures: u32, now: Timestamp) -> Failure {
        let again = self.pace.retry.next(failures, now);
        again.map_or(Failure::Dead, Failure::Retry)
    }
}
