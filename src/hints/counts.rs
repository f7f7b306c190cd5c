//! Counts that processes share: who guesses against one of them guesses against all.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::redis::Redis;

/// A count is about one minute, and clocks differ a little.
const FORGET: Duration = Duration::from_mins(2);

/// Counts of all processes together; without Redis nobody knows them.
#[derive(Clone, Default)]
pub struct SharedCounts(pub(super) Option<Arc<Redis>>);

impl SharedCounts {
    /// Counts one more failed verification of a network in a minute, and says how many there were in all processes.
    pub async fn failed_verification(&self, network: IpAddr, minute: i64) -> Option<u64> {
        let redis = self.0.as_ref()?;
        // Nobody needs to read addresses out of a cache.
        let network = hex::encode(Sha256::digest(network.to_string()));
        let key = redis.key("failed", &format!("{minute}:{network}"));
        let mut count = redis::pipe();
        let forget = i64::try_from(FORGET.as_secs()).unwrap_or(i64::MAX);
        count.atomic().incr(&key, 1).expire(&key, forget).ignore();
        let (failures,) = redis.ask(&count).await?;
        Some(failures)
    }
}
