//! When work that failed is tried again.

use std::time::Duration;

use rand::Rng as _;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::clock::Timestamp;

/// How often, and how long between.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// After this many failures it is dead.
    pub attempts: u32,
    /// The first pause; it doubles each time.
    pub base: Duration,
    /// The longest pause.
    pub max: Duration,
}

impl RetryPolicy {
    /// When to try again after `failures` failures, or nothing when that is enough.
    pub fn next(&self, failures: u32, now: Timestamp) -> Option<Timestamp> {
        (failures < self.attempts).then(|| now.plus(jitter(self.pause(failures))))
    }

    /// The pause after `failures` failures, before jitter.
    pub fn pause(&self, failures: u32) -> Duration {
        let doubled = 1_u32
            .checked_shl(failures.saturating_sub(1))
            .unwrap_or(u32::MAX);
        self.base.saturating_mul(doubled).min(self.max)
    }
}

/// Between half of a pause and all of it, so that what failed together does not come back together.
pub fn jitter(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// How long an answer asks us to wait before we ask again: whole seconds, and within reason.
pub fn retry_after(headers: &HeaderMap, most: Duration) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let seconds = seconds.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        attempts: 8,
        base: Duration::from_secs(2),
        max: Duration::from_hours(1),
    };

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<u64> = (1..=14).map(|n| POLICY.pause(n).as_secs()).collect();
        assert_eq!(
            pauses,
            [
                2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600, 3600
            ]
        );
        assert_eq!(POLICY.pause(u32::MAX).as_secs(), 3600);
    }

    #[test]
    fn the_last_attempt_is_the_last() {
        let now = Timestamp(0);
        assert!(POLICY.next(7, now).is_some());
        assert_eq!(POLICY.next(8, now), None);
        for _ in 0..100 {
            let wait = POLICY.next(3, now).unwrap().since(now);
            assert!(
                (Duration::from_secs(4)..=Duration::from_secs(8)).contains(&wait),
                "{wait:?}"
            );
        }
    }
}
