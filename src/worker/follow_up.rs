//! Follow-ups from their claim to their end, or to the note why there is none yet: several lanes at once, each kept by a
//! lease that is renewed for as long as its run takes.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::decide::Undecided;
use super::{Panicked, Stop, Worker};
use crate::hints::Bell;
use crate::retry::jitter;
use crate::store::{ClaimedRun, Release, StoreError};
use crate::telemetry::{in_one_line, spans};

impl Worker {
    pub(super) async fn follow_up(&self, run: ClaimedRun, stop: &Stop) {
        let span = spans::workflow(&run.event, &run.id);
        let decided = tokio::select! {
            biased;
            () = stop.cut.cancelled() => Err(Undecided::Stopped),
            decided = AssertUnwindSafe(self.keep_alive(&run)).catch_unwind().instrument(span.clone()) => {
                decided.unwrap_or_else(|_| Err(Undecided::Failed(Box::new(Panicked))))
            }
        };
        let undecided = match decided {
            Ok(status) => {
                span.record("billhook.run.status", status);
                count(&run, status);
                self.doorbell.ring(Bell::Outbox);
                return;
            }
            // Another worker has it; or its own end was committed before its renewal, and only the answer was not here.
            Err(Undecided::Fenced) => {
                self.doorbell.ring(Bell::Outbox);
                return;
            }
            Err(undecided) => undecided,
        };
        let release = self.release(&run, undecided);
        span.record("billhook.run.status", release.status);
        if release.is_failure || release.status == "deferred" {
            spans::failed(&span, release.status);
        }
        match self.store.release_run(&run, &release).await {
            Ok(()) => {
                count(&run, release.status);
                let (status, reason) = (release.status, release.error.as_str());
                if status == "failed" {
                    tracing::error!(run.id = %run.id, reason, "the run failed for good; its event is dead");
                } else {
                    tracing::warn!(run.id = %run.id, status, reason, "the run is given back");
                }
            }
            // Another worker has it, or it had ended and only the answer was lost: then there is nothing to give back.
            Err(StoreError::Fenced) => self.doorbell.ring(Bell::Outbox),
            Err(error) => {
                tracing::error!(run.id = %run.id, error = %in_one_line(&error), "the run could not be given back; its lease ends by itself");
            }
        }
    }

    /// Decides a run, and keeps its lane for as long as that takes.
    async fn keep_alive(&self, run: &ClaimedRun) -> Result<&'static str, Undecided> {
        // Side by side: the run may hold the connection that the renewal waits for, and must go on meanwhile.
        // What has ended comes first: a renewal is refused as soon as the run's own end is committed.
        let deadline = Instant::now() + self.pace.run_timeout;
        let deciding = self.deciding();
        tokio::select! {
            biased;
            decided = deciding.decide(self.store.as_ref(), self.clock.as_ref(), run, deadline) => decided,
            () = self.renew(run) => Err(Undecided::Fenced),
            () = tokio::time::sleep_until(deadline) => Err(Undecided::Deferred {
                reason: "the run took longer than `model.run_timeout`".to_owned(),
                retry_after: None,
            }),
        }
    }

    /// Renews a run's lease again and again; ends when another worker has the lane.
    async fn renew(&self, run: &ClaimedRun) {
        loop {
            tokio::time::sleep(self.pace.lease / 3).await;
            match self.store.renew_run(run, self.pace.lease).await {
                Ok(()) => {}
                Err(StoreError::Fenced) => return,
                // The lease may still hold; if it does not, the finishing transaction is refused.
                Err(error) => {
                    tracing::warn!(run.id = %run.id, error = %in_one_line(&error), "the lease could not be renewed");
                }
            }
        }
    }

    /// How a run goes back: when it is tried again, and whether this try counts.
    fn release(&self, run: &ClaimedRun, undecided: Undecided) -> Release {
        let now = self.clock.now();
        let waiting = |error: String| Release {
            status: "waiting",
            due_at: now,
            error,
            start_over: false,
            is_failure: false,
        };
        match undecided {
            Undecided::Fenced | Undecided::Stopped => {
                waiting("its process was stopped; it goes on from its journal".to_owned())
            }
            Undecided::Outdated => Release {
                start_over: true,
                ..waiting(
                    "the prompts or the tools changed: it starts over with fresh reads".to_owned(),
                )
            },
            Undecided::Deferred {
                reason,
                retry_after,
            } => {
                let wait = retry_after.unwrap_or_else(|| {
                    // A deferral spends no attempt, so the pause grows with the time already waited.
                    let generation = u32::try_from(run.generation).unwrap_or(u32::MAX);
                    let shortest = self.pace.retry.pause(generation);
                    let waited = now.since(run.started_at);
                    jitter(waited.clamp(shortest, self.pace.retry.max.max(shortest)))
                });
                Release {
                    status: "deferred",
                    due_at: now.plus(wait).min(run.decide_by),
                    ..waiting(reason)
                }
            }
            Undecided::Failed(error) => {
                let failures = run.attempts.saturating_add(1);
                if about_the_database(error.as_ref()) {
                    let pause = jitter(self.pace.retry.pause(failures));
                    return Release {
                        due_at: now.plus(pause),
                        ..waiting(in_one_line(error.as_ref()))
                    };
                }
                let again = self.pace.retry.next(failures, now);
                Release {
                    status: if again.is_some() { "waiting" } else { "failed" },
                    due_at: again.unwrap_or(now),
                    is_failure: true,
                    ..waiting(in_one_line(error.as_ref()))
                }
            }
        }
    }
}

/// Whether the database failed at the bottom of it, in whichever verb.
fn about_the_database(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .filter_map(|error| error.downcast_ref::<StoreError>())
        .any(StoreError::is_about_the_database)
}

fn count(run: &ClaimedRun, status: &'static str) {
    metrics::counter!("billhook_runs_total", "playbook" => run.playbook.clone(), "status" => status).increment(1);
}
