//! Percentiles of measured times.

use std::time::Duration;

/// The time that so many percent stay within, in milliseconds; `sorted` from short to long.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted
        .get(rank)
        .map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}
