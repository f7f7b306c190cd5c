//! Ids as a parameter, so that tests can foresee them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Clock;

/// Makes ids of our own: `run_…`, `occ_…`, `msg_…`, `req_…`.
pub trait IdSource: Send + Sync {
    /// A new id that starts with `prefix` and an underscore; later ids sort after earlier ones.
    fn next(&self, prefix: &str) -> String;
}

/// Version 7 UUIDs: unique across processes and sorted by time.
pub struct TimeSortedIds {
    clock: Arc<dyn Clock>,
}

impl TimeSortedIds {
    /// Ids stamped by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }
}

impl IdSource for TimeSortedIds {
    fn next(&self, prefix: &str) -> String {
        let now = self.clock.now().0.max(0).unsigned_abs();
        let stamp = uuid::Timestamp::from_unix(
            uuid::NoContext,
            now / 1_000_000,
            u32::try_from(now % 1_000_000).unwrap_or(0) * 1_000,
        );
        format!("{prefix}_{}", uuid::Uuid::new_v7(stamp).simple())
    }
}

/// Counted ids, for tests and evals that print the same bytes twice.
#[derive(Debug, Default)]
pub struct CountedIds(AtomicU64);

impl IdSource for CountedIds {
    fn next(&self, prefix: &str) -> String {
        format!("{prefix}_{:06}", self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }
}
