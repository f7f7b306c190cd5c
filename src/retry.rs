//! When work that failed is tried again.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use rand::Rng as _;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

use crate::clock::Timestamp;

/// What some servers of models send beside `Retry-After`, or instead of it.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

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

/// How long an answer asks us to wait before we ask again, within reason: milliseconds, seconds, or a moment by the
/// answer's own clock (RFC 9110, section 10.2.3).
pub fn retry_after(headers: &HeaderMap, most: Duration) -> Option<Duration> {
    let text = |name: HeaderName| Some(headers.get(name)?.to_str().ok()?.trim());
    let milliseconds = text(RETRY_AFTER_MS).and_then(|text| text.parse().ok());
    let wait = if let Some(milliseconds) = milliseconds {
        Duration::from_millis(milliseconds)
    } else {
        let said = text(RETRY_AFTER)?;
        match said.parse() {
            Ok(seconds) => match Duration::try_from_secs_f64(seconds) {
                Ok(wait) => wait,
                // What is longer than any wait is as good as the longest.
                Err(_) if seconds > 0.0 => Duration::MAX,
                Err(_) => return None,
            },
            Err(_no_number) => moment(said)?
                .duration_since(moment(text(DATE)?)?)
                .try_into()
                .unwrap_or_default(),
        }
    };
    Some(wait.min(most))
}

fn moment(text: &str) -> Option<jiff::Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
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

    #[test]
    fn a_wait_is_read_in_every_notation() {
        type Headers<'a> = &'a [(&'static str, &'static str)];
        const MOST: Duration = Duration::from_hours(1);
        let date = ("date", "Tue, 24 Nov 2026 10:00:00 GMT");
        let cases: [(Headers<'_>, Option<u64>); 14] = [
            (&[("retry-after", "7")], Some(7_000)),
            (&[("retry-after", " 1.5 ")], Some(1_500)),
            (&[("retry-after", "0")], Some(0)),
            (&[("retry-after", "86400")], Some(3_600_000)),
            (&[("retry-after", "1e300")], Some(3_600_000)),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "NaN")], None),
            (&[("retry-after", "soon")], None),
            (
                &[("retry-after-ms", "250"), ("retry-after", "9")],
                Some(250),
            ),
            (
                &[("retry-after-ms", "soon"), ("retry-after", "9")],
                Some(9_000),
            ),
            (
                &[date, ("retry-after", "Tue, 24 Nov 2026 10:00:30 GMT")],
                Some(30_000),
            ),
            (
                &[date, ("retry-after", "Tue, 24 Nov 2026 09:00:00 GMT")],
                Some(0),
            ),
            // Without the answer's clock nobody knows how far that is.
            (&[("retry-after", "Tue, 24 Nov 2026 10:00:30 GMT")], None),
            (&[], None),
        ];
        for (headers, expected) in cases {
            let map = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
                .collect();
            let wait = retry_after(&map, MOST);
            assert_eq!(wait, expected.map(Duration::from_millis), "{headers:?}");
        }
    }
}
