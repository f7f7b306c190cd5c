//! The worker: claims what is due, applies events, decides follow-ups, and gives back what fails.
//!
//! Each stage finds its work in the store and none calls the next. No transaction is open while a stage works. A stage
//! that dies is taken up by another worker when its lease ends. No item may take the process down with it: a panic is
//! that item's failure, or one poison event would keep all others from being worked on.

mod apply;
mod budget;
mod decide;
mod fetch;
mod follow_up;
mod journal;
mod lanes;
mod modes;
mod prepare;
mod prompts;
mod rerun;

use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

pub use decide::Deciding;
pub use rerun::{Rerun, RerunError};

use crate::clock::Clock;
use crate::hints::{Bell, Doorbell};
use crate::retry::RetryPolicy;
use crate::store::{Store, StoreError};
use crate::stripe::api::StripeApi;

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

/// What a worker repeats beside its lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Apply,
    Fetch,
    Schedule,
}

impl Stage {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Fetch => "fetch",
            Self::Schedule => "schedule",
        }
    }
}

/// What a stage watches while it works; by default nothing ever stops it.
#[derive(Debug, Clone, Default)]
struct Stop {
    /// Claim no more, and finish what is held.
    soft: CancellationToken,
    /// Give back what can be given back.
    cut: CancellationToken,
}

/// Applies events and decides follow-ups.
pub struct Worker {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// With which runs are decided that begin now.
    deciding: RwLock<Arc<Deciding>>,
    pace: Pace,
    /// Rings when something was stored that may be due, and is rung when a run has put messages into the outbox.
    doorbell: Doorbell,
    /// Who may be asked what events leave open.
    api: Option<StripeApi>,
    /// What waited for a leave when this worker began was made due.
    has_hurried: OnceCell<u64>,
}

/// The longest pause after a look that failed: nobody rings again for what it did not find.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// Approvals whose time is over that are ended in one go.
const APPROVALS_AT_ONCE: u32 = 100;

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
            deciding: RwLock::new(Arc::new(deciding)),
            pace,
            doorbell,
            api: None,
            has_hurried: OnceCell::new(),
        }
    }

    /// The same worker, which asks Stripe what events leave open.
    #[must_use]
    pub fn asking(self, api: Option<StripeApi>) -> Self {
        Self { api, ..self }
    }

    /// Works until `soft`, then finishes what it holds; at `cut` it gives back what it has not finished.
    pub async fn work(self: Arc<Self>, soft: CancellationToken, cut: CancellationToken) {
        let stop = Stop { soft, cut };
        tokio::join!(
            self.repeat(Stage::Apply, &stop),
            self.repeat(Stage::Fetch, &stop),
            self.repeat(Stage::Schedule, &stop),
            self.work_lanes(&stop),
        );
    }

    /// Repeats a stage while it finds work, and waits for the bell or the next poll when it does not.
    async fn repeat(&self, stage: Stage, stop: &Stop) {
        let mut bell = self.doorbell.listen(Bell::Inbox);
        while !stop.soft.is_cancelled() {
            bell.forget();
            let step = match stage {
                Stage::Apply => self.apply_until(stop).await,
                Stage::Fetch => self.fetch_until(stop).await,
                Stage::Schedule => self.promote_due().await,
            };
            let pause = match step {
                Ok(0) => self.pace.poll,
                Ok(_) => {
                    // Follow-ups may be due at once.
                    self.doorbell.ring_here(Bell::Inbox);
                    continue;
                }
                Err(error) => {
                    Self::cannot_look(stage.as_str(), &error);
                    // What rang before was not looked for.
                    self.pace.poll.min(AFTER_ERROR)
                }
            };
            tokio::select! {
                // Nobody rings for a schedule, nor for a question to Stripe: their time comes.
                () = bell.rung(), if stage == Stage::Apply => {}
                () = tokio::time::sleep(pause) => {}
                () = stop.soft.cancelled() => {}
            }
        }
    }

    /// Counts and says that a stage could not look for work.
    fn cannot_look(stage: &'static str, error: &StoreError) {
        metrics::counter!("billhook_worker_errors_total", "stage" => stage).increment(1);
        let error: &dyn std::error::Error = error;
        tracing::error!(stage, error, "the store does not answer; trying again");
    }

    /// Turns due schedules into follow-ups, and ends the wait of what nobody approved in time; says how many.
    pub async fn promote_due(&self) -> Result<u64, StoreError> {
        let promoted = self.store.promote_schedules(SCHEDULES_AT_ONCE).await;
        // Whatever became of the one, the other is due.
        let expired = self.store.expire_approvals(APPROVALS_AT_ONCE).await;
        if let Ok(1..) = expired {
            self.doorbell.ring(Bell::Outbox);
        }
        Ok(promoted? + expired?)
    }

    /// Applies what is pending; says how many events were claimed.
    pub async fn apply_due(&self) -> Result<u64, StoreError> {
        self.apply_until(&Stop::default()).await
    }
}

/// The failure of an item that made its worker panic. What the panic said is left out: it may quote the payload.
#[derive(Debug, thiserror::Error)]
#[error("billhook panicked on it, which is a bug; its standard error output says where")]
struct Panicked;
