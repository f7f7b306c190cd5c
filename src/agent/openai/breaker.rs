//! When an endpoint that fails is left alone. Pure: the time comes in.
//!
//! Open means that nobody asks. When its pause has passed, one request is let through as a probe and the next only a
//! pause later: nobody has to report a probe that was abandoned. The first success closes it.

use std::time::Duration;

use crate::clock::Timestamp;

/// After this many failures without a success between them it opens.
const FAILURES: u32 = 5;

/// How long it stays open at first; this doubles with each probe that fails.
const FIRST_PAUSE: Duration = Duration::from_secs(15);

/// How long it stays open at most.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// What an endpoint's recent past says of asking it.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    /// Until when nobody asks; none means closed.
    open_until: Option<Timestamp>,
    pause: Duration,
}

impl Breaker {
    /// Whether a request may go, and if not, from when on. Whoever is told `Ok` goes: an open breaker lets one through.
    pub(super) fn admit(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        match self.open_until {
            Some(until) if now < until => Err(until),
            Some(_) => {
                self.open_until = Some(now.plus(self.pause));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Whether it is being left alone, or would be tried out by the next request.
    pub(super) fn is_open(&self) -> bool {
        self.open_until.is_some()
    }

    /// It answered.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// It did not answer, or answered that it could not.
    pub(super) fn failed(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.open(now);
        }
    }

    /// It says that it will serve nobody: the key is wrong, the quota is spent.
    pub(super) fn gave_up(&mut self, now: Timestamp) {
        self.failures = FAILURES;
        self.open(now);
    }

    /// It asked to be left alone for a while.
    pub(super) fn rest(&mut self, now: Timestamp, wait: Duration) {
        self.open_until = self.open_until.max(Some(now.plus(wait)));
    }

    /// How long from `now` nobody asks it; zero where it is closed.
    pub(super) fn rest_of_pause(&self, now: Timestamp) -> Duration {
        self.open_until
            .map_or(Duration::ZERO, |until| until.since(now))
    }

    fn open(&mut self, now: Timestamp) {
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.open_until = Some(now.plus(self.pause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_probe_through() {
        let mut breaker = Breaker::default();
        for _ in 1..FAILURES {
            breaker.failed(at(0));
            assert_eq!(breaker.admit(at(0)), Ok(()));
        }
        breaker.failed(at(0));
        assert_eq!(breaker.admit(at(14)), Err(at(15)));
        assert_eq!(breaker.admit(at(15)), Ok(()), "the probe");
        assert_eq!(breaker.admit(at(15)), Err(at(30)), "and no second one");
        breaker.failed(at(16));
        assert_eq!(breaker.admit(at(45)), Err(at(46)), "twice as long");
        assert_eq!(breaker.admit(at(46)), Ok(()));
        assert!(breaker.is_open(), "until the probe succeeds");
        breaker.succeeded();
        assert!(!breaker.is_open());
        assert_eq!(breaker.rest_of_pause(at(46)), Duration::ZERO);
        breaker.failed(at(47));
        assert_eq!(breaker.admit(at(47)), Ok(()), "the count began anew");
    }

    #[test]
    fn a_success_between_failures_keeps_it_closed() {
        let mut breaker = Breaker::default();
        for second in 0..100 {
            breaker.failed(at(second));
            if second % 4 == 3 {
                breaker.succeeded();
            }
            assert_eq!(breaker.admit(at(second)), Ok(()));
        }
    }

    #[test]
    fn pauses_grow_to_five_minutes_and_never_longer() {
        let mut breaker = Breaker::default();
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            breaker.gave_up(now);
            let until = breaker.admit(now).unwrap_err();
            pauses.push(until.since(now).as_secs());
            now = until;
        }
        assert_eq!(pauses, [15, 30, 60, 120, 240, 300, 300, 300]);
    }

    #[test]
    fn who_asks_to_be_left_alone_is_and_then_serves_all() {
        let mut breaker = Breaker::default();
        breaker.failed(at(0));
        breaker.rest(at(0), Duration::from_secs(20));
        breaker.rest(at(0), Duration::from_secs(2));
        assert_eq!(breaker.admit(at(19)), Err(at(20)));
        assert_eq!(breaker.admit(at(20)), Ok(()));
        assert_eq!(
            breaker.admit(at(20)),
            Ok(()),
            "that was no failure in a row"
        );
    }
}
