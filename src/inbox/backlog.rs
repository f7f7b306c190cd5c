//! Whether too many events wait to be applied, counted beside the writer and never by it.
//!
//! Counting a backlog takes the longer the larger it is, and at its bound that is a million index entries: a delivery
//! must not wait for it. So the answer is a moment old, and the bound may be passed by what comes in meanwhile.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::store::Store;

/// Counting takes at most one part in so many of the database's time.
const REST: u32 = 10;

/// The backlog as it was counted last.
pub(super) struct Backlog {
    store: Arc<dyn Store>,
    bound: u64,
    /// The shortest pause between two counts.
    pause: Duration,
    /// Unknown until it was counted once.
    full: watch::Sender<Option<bool>>,
}

impl Backlog {
    pub(super) fn new(store: Arc<dyn Store>, bound: u64, pause: Duration) -> Self {
        Self {
            store,
            bound,
            pause,
            full: watch::Sender::new(None),
        }
    }

    /// Whether more wait than may. Waits only for the first count of all.
    pub(super) async fn is_full(&self) -> bool {
        let mut full = self.full.subscribe();
        // The sender lives as long as this does.
        full.wait_for(Option::is_some)
            .await
            .is_ok_and(|full| *full == Some(true))
    }

    /// Counts again and again.
    pub(super) async fn watch(&self) -> Infallible {
        loop {
            let started = Instant::now();
            self.count().await;
            let pause = self.pause.max(started.elapsed() * REST);
            tokio::time::sleep(pause).await;
        }
    }

    async fn count(&self) {
        let full = match self.store.backlog(self.bound.saturating_add(1)).await {
            Ok(backlog) => backlog > self.bound,
            Err(error) => {
                // The bound only protects the disk; whether the database takes anything in is its own word to say.
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the backlog cannot be counted"
                );
                self.full.borrow().unwrap_or(false)
            }
        };
        self.full.send_replace(Some(full));
    }
}
