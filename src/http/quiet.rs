//! Keeps refusals from flooding the log: of each kind a few lines a second, and how many were left out.
//!
//! Under ten times the load nearly every request is refused, and a line for each would cost more than the request, fill
//! a disk, and block everybody where whoever reads the log is slow. Metrics count them all.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines of one kind in a second.
const LINES: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);

/// What was logged in this second, by the problem's name: there are a dozen names, and none comes from a caller.
#[derive(Default)]
pub(super) struct Quiet(Mutex<BTreeMap<&'static str, Second>>);

struct Second {
    began: Instant,
    lines: u32,
    silent: u64,
}

impl Quiet {
    /// Whether a refusal may be logged; if so, how many of its kind were not since the last line.
    pub(super) fn speak(&self, name: &'static str, now: Instant) -> Option<u64> {
        let mut seconds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let second = seconds.entry(name).or_insert(Second {
            began: now,
            lines: 0,
            silent: 0,
        });
        if now.saturating_duration_since(second.began) >= SECOND {
            second.began = now;
            second.lines = 0;
        }
        if second.lines == LINES {
            second.silent += 1;
            return None;
        }
        second.lines += 1;
        Some(std::mem::take(&mut second.silent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_refusal_is_logged_a_few_times_a_second_and_the_rest_is_counted() {
        let (quiet, start) = (Quiet::default(), Instant::now());
        for _ in 0..LINES {
            assert_eq!(quiet.speak("backlog", start), Some(0));
        }
        for _ in 0..5 {
            assert_eq!(quiet.speak("backlog", start + SECOND / 2), None);
        }
        assert_eq!(quiet.speak("invalid-signature", start), Some(0));
        assert_eq!(quiet.speak("backlog", start + SECOND), Some(5));
        assert_eq!(quiet.speak("backlog", start + SECOND), Some(0));
    }
}
