//! The worker: claims what is due, applies events, decides follow-ups, and gives back what fails.
//!
//! Each stage finds its work in the store and none calls the next. No transaction is open while a stage works. A stage
//! that dies is taken up by another worker when its lease ends.

mod decide;
mod journal;
mod prepare;

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;

pub use decide::Deciding;

use crate::clock::Clock;
use crate::hints::{Bell, Doorbell};
use crate::retry::{RetryPolicy, jitter};
use crate::store::{ClaimedEvent, ClaimedRun, Release, Store, StoreError};

/// How a worker works.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long claimed work is ours.
    pub lease: Duration,
    /// Events claimed at once.
    pub batch: u32,
    /// The pause when nothing is due and nobody rings.
    pub poll: Duration,
    /// Runs at once.
    pub concurrency: usize,
    /// No run holds its lane longer than this; it is deferred.
    pub run_timeout: Duration,
    /// When to try again.
    pub retry: RetryPolicy,
}

/// Applies events and decides follow-ups.
pub struct Worker {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    deciding: Deciding,
    pace: Pace,
    /// Rings when something was stored that may be due, and is rung when a run has put messages into the outbox.
    doorbell: Doorbell,
}

/// Events applied side by side. They converge in any order, so only the database limits this.
const APPLY_AT_ONCE: usize = 8;

/// Schedules promoted in one transaction.
const SCHEDULES_AT_ONCE: u32 = 100;

impl Worker {
    /// A worker over `store`, woken by one bell of `doorbell`, ringing the other.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        deciding: Deciding,
        pace: Pace,
        doorbell: Doorbell,
    ) -> Self {
        Self {
            store,
            clock,
            deciding,
            pace,
            doorbell,
        }
    }

    /// Works until `stop`, then finishes what it holds.
    pub async fn work(self: Arc<Self>, stop: CancellationToken) {
        let apply = Self::repeat("apply", &self, &stop, |worker| async move {
            worker.apply_due().await
        });
        let follow_up = Self::repeat("follow_up", &self, &stop, |worker| async move {
            let promoted = worker.promote_due().await?;
            Ok(promoted + worker.decide_due().await?)
        });
        tokio::join!(apply, follow_up);
    }

    /// Repeats a stage while it finds work, and waits for the bell or the next poll when it does not.
    async fn repeat<F, Fut>(
        stage: &'static str,
        worker: &Arc<Self>,
        stop: &CancellationToken,
        step: F,
    ) where
        F: Fn(Arc<Self>) -> Fut,
        Fut: Future<Output = Result<u64, StoreError>>,
    {
        let mut bell = worker.doorbell.listen(Bell::Inbox);
        while !stop.is_cancelled() {
            bell.forget();
            match step(worker.clone()).await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(error) => {
                    metrics::counter!("billhook_worker_errors_total", "stage" => stage)
                        .increment(1);
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(stage, error, "the store does not answer; trying again");
                }
            }
            tokio::select! {
                () = bell.rung() => {}
                () = tokio::time::sleep(worker.pace.poll) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Turns due schedules into follow-ups; says how many.
    pub async fn promote_due(&self) -> Result<u64, StoreError> {
        self.store.promote_schedules(SCHEDULES_AT_ONCE).await
    }

    /// Applies what is pending; says how many events were claimed.
    pub async fn apply_due(&self) -> Result<u64, StoreError> {
        let events = self
            .store
            .claim_events(self.pace.batch, self.pace.lease)
            .await?;
        let claimed = events.len() as u64;
        stream::iter(events)
            .for_each_concurrent(
                APPLY_AT_ONCE,
                |event| async move { self.apply(&event).await },
            )
            .await;
        if claimed > 0 {
            // Its follow-up may be due at once.
            self.doorbell.ring_here(Bell::Inbox);
        }
        Ok(claimed)
    }

    async fn apply(&self, event: &ClaimedEvent) {
        let error = match self.store.apply_event(event).await {
            Ok(()) => {
                metrics::counter!("billhook_events_applied_total").increment(1);
                return;
            }
            Err(StoreError::Fenced) => return,
            Err(error) => error,
        };
        let failures = event.attempts.saturating_add(1);
        let retry_at = if error.is_final() {
            None
        } else {
            self.pace.retry.next(failures, self.clock.now())
        };
        let text = chain(&error);
        if retry_at.is_some() {
            tracing::warn!(event.id = %event.id, attempt = failures, error = %text, "applying failed; it is tried again");
        } else {
            tracing::error!(event.id = %event.id, attempt = failures, error = %text, "applying failed for good; the event is dead");
        }
        if let Err(error) = self.store.fail_event(event, &text, retry_at).await {
            // Its lease ends by itself, and it is claimed again.
            tracing::error!(event.id = %event.id, error = %chain(&error), "the failure could not be stored");
        }
    }

    /// Decides what is due, several lanes at once; says how many runs were claimed.
    pub async fn decide_due(&self) -> Result<u64, StoreError> {
        let mut claimed = 0;
        let mut running = stream::FuturesUnordered::new();
        let mut claim = None;
        let mut dry = false;
        let mut failed = None;
        loop {
            if claim.is_none() && !dry && running.len() < self.pace.concurrency {
                claim = Some(self.store.claim_run(self.pace.lease));
            }
            // Runs go on while the next is claimed: one of them may hold the connection that the claim waits for. And a
            // claim is never dropped halfway, or its lane would stay leased to nobody.
            tokio::select! {
                Some(found) = async { Some(claim.as_mut()?.await) } => {
                    claim = None;
                    match found {
                        Ok(Some(run)) => {
                            claimed += 1;
                            running.push(self.decide(run));
                        }
                        Ok(None) => dry = true,
                        Err(error) => (dry, failed) = (true, Some(error)),
                    }
                }
                Some(()) = running.next() => {
                    // One slow run must not keep what became due meanwhile from being claimed.
                    dry = failed.is_some();
                }
                else => return failed.map_or(Ok(claimed), Err),
            }
        }
    }

    async fn decide(&self, run: ClaimedRun) {
        let decided = self.keep_alive(&run).await;
        let failures = run.attempts.saturating_add(1);
        let release = match decided {
            Ok(status) => {
                count(&run, status);
                self.doorbell.ring(Bell::Outbox);
                return;
            }
            Err(decide::Undecided::Fenced) => return,
            Err(decide::Undecided::Outdated) => {
                let error = "the prompts changed: it starts over with fresh reads".to_owned();
                Release {
                    status: "waiting",
                    due_at: self.clock.now(),
                    error,
                    start_over: true,
                }
            }
            Err(decide::Undecided::Deferred {
                reason,
                retry_after,
            }) => {
                let now = self.clock.now();
                let wait = retry_after.unwrap_or_else(|| {
                    // A deferral spends no attempt, so the pause grows with the time already waited.
                    let generation = u32::try_from(run.generation).unwrap_or(u32::MAX);
                    let shortest = self.pace.retry.pause(generation);
                    let waited = now.since(run.started_at);
                    jitter(waited.clamp(shortest, self.pace.retry.max.max(shortest)))
                });
                let due_at = now.plus(wait).min(run.decide_by);
                tracing::warn!(run.id = %run.id, %reason, "the model is away; the run is deferred");
                Release {
                    status: "deferred",
                    due_at,
                    error: reason,
                    start_over: false,
                }
            }
            Err(decide::Undecided::Failed(error)) => {
                let text = chain(error.as_ref());
                if let Some(due_at) = self.pace.retry.next(failures, self.clock.now()) {
                    tracing::warn!(run.id = %run.id, attempt = failures, error = %text, "the run failed; it is tried again");
                    Release {
                        status: "waiting",
                        due_at,
                        error: text,
                        start_over: false,
                    }
                } else {
                    tracing::error!(run.id = %run.id, attempt = failures, error = %text, "the run failed for good; its event is dead");
                    Release {
                        status: "failed",
                        due_at: self.clock.now(),
                        error: text,
                        start_over: false,
                    }
                }
            }
        };
        count(&run, release.status);
        match self.store.release_run(&run, &release).await {
            Ok(()) | Err(StoreError::Fenced) => {}
            Err(error) => {
                tracing::error!(run.id = %run.id, error = %chain(&error), "the run could not be given back; its lease ends by itself");
            }
        }
    }
}

impl Worker {
    /// Decides a run, and keeps its lane for as long as that takes.
    async fn keep_alive(&self, run: &ClaimedRun) -> Result<&'static str, decide::Undecided> {
        // Side by side: the run may hold the connection that the renewal waits for, and must go on meanwhile.
        tokio::select! {
            decided = self.deciding.decide(self.store.as_ref(), self.clock.as_ref(), run) => decided,
            () = self.renew(run) => Err(decide::Undecided::Fenced),
            () = tokio::time::sleep(self.pace.run_timeout) => Err(decide::Undecided::Deferred {
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
                    tracing::warn!(run.id = %run.id, error = %chain(&error), "the lease could not be renewed");
                }
            }
        }
    }
}

fn count(run: &ClaimedRun, status: &'static str) {
    metrics::counter!("billhook_runs_total", "playbook" => run.playbook.clone(), "status" => status).increment(1);
}

/// An error and all its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
