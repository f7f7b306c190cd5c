//! What the store holds, counted for `/metrics` no oftener than it can bear.
//!
//! Whoever may ask for metrics needs no token, so how often they ask must not decide how often the database counts.

use std::error::Error;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::store::{Census, Store};

/// The shortest time between two counts.
const PAUSE: Duration = Duration::from_secs(1);
/// Counting takes at most one part in so many of the database's time.
const REST: u32 = 10;

/// The census as it was taken last.
#[derive(Default)]
pub(super) struct Counted(Mutex<Last>);

#[derive(Default)]
struct Last {
    /// Before then nobody counts.
    next: Option<Instant>,
    /// None where the store could not be counted.
    census: Option<Census>,
}

impl Counted {
    /// The census, at most some seconds old. Those who ask while it is taken wait for it together.
    pub(super) async fn census(&self, store: &dyn Store, now: Instant) -> Option<Census> {
        let mut last = self.0.lock().await;
        if last.next.is_none_or(|next| next <= now) {
            // Before the count: whoever hangs up meanwhile must not have it begin again at once.
            last.next = Some(now + PAUSE);
            let started = Instant::now();
            let counted = store.census().await;
            last.census = counted
                .inspect_err(|error| {
                    tracing::warn!(
                        error = error as &dyn Error,
                        "the store cannot be counted for /metrics"
                    );
                })
                .ok();
            let took = started.elapsed();
            last.next = Some(now + took + PAUSE.max(took * REST));
        }
        last.census.clone()
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;
    use crate::inbox::fake_store::FakeStore;

    #[tokio::test]
    async fn however_many_ask_the_store_counts_once_a_second() {
        let (store, counted) = (FakeStore::default(), Counted::default());
        let start = Instant::now();
        for second in 1..=3 {
            let now = start + 2 * PAUSE * second;
            // A count that fails is not tried at will either.
            store.held().broken = second == 2;
            for _ in 0..2 {
                let asked = join_all((0..20).map(|_| counted.census(&store, now))).await;
                assert!(asked.iter().all(|census| census.is_none() == (second == 2)));
            }
            assert_eq!(store.held().censuses, second);
        }
    }

    #[tokio::test]
    async fn whoever_hangs_up_has_nothing_counted_again() {
        let (store, counted) = (FakeStore::default(), Counted::default());
        let now = Instant::now();
        for _ in 0..3 {
            tokio::select! {
                biased;
                _ = counted.census(&store, now) => {}
                () = std::future::ready(()) => {}
            }
        }
        assert_eq!(store.held().censuses, 1);
    }
}
