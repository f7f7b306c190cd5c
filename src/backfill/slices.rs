//! How a time is cut into slices that are walked one after the other. Pure.
//!
//! Stripe lists the newest events first, so of a slice that was not read to its end nothing is known: the slice is what
//! would have to be done again, and its end is where a mark may stand. Quiet times make long slices, busy ones short.

use std::time::Duration;

use crate::clock::Timestamp;

const FIRST: Duration = Duration::from_hours(1);
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(30 * 24);
/// With fewer pages the next slice is longer, with more it is shorter.
const FEW_PAGES: usize = 2;
const MANY_PAGES: usize = 10;

/// One slice: from a second on, up to another, or to whatever is the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) from: Timestamp,
    /// The first moment after it; none for the last slice, which nothing bounds: clocks differ.
    pub(super) to: Option<Timestamp>,
}

/// The slices from a moment to now.
#[derive(Debug)]
pub(super) struct Slices {
    at: Timestamp,
    now: Timestamp,
    width: Duration,
    ended: bool,
}

impl Slices {
    pub(super) fn new(from: Timestamp, now: Timestamp) -> Self {
        Self {
            // Stripe counts in seconds, and a slice must not begin behind an event of its own second.
            at: Timestamp::from_seconds(from.seconds()),
            now,
            width: FIRST,
            ended: false,
        }
    }

    /// The next slice; `pages` is how many the last one had.
    pub(super) fn next(&mut self, pages: usize) -> Option<Slice> {
        if self.ended {
            return None;
        }
        if pages > MANY_PAGES {
            self.width = (self.width / 2).max(SHORTEST);
        } else if pages > 0 && pages <= FEW_PAGES {
            self.width = (self.width * 2).min(LONGEST);
        }
        let from = self.at;
        let to = Timestamp::from_seconds(from.plus(self.width).seconds());
        self.at = to;
        self.ended = to >= self.now;
        Some(Slice {
            from,
            to: (!self.ended).then_some(to),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(hours: u64, pages: impl Fn(usize) -> usize) -> Vec<Slice> {
        let from = Timestamp(1_800_000_000_123_456);
        let now = from.plus(Duration::from_hours(hours));
        let mut slices = Slices::new(from, now);
        let mut walked = Vec::new();
        let mut last = 0;
        while let Some(slice) = slices.next(last) {
            walked.push(slice);
            last = pages(walked.len());
        }
        walked
    }

    #[test]
    fn slices_cover_everything_once_and_the_last_is_open() {
        for pages in [0, 1, 2, 5, 10, 11, 100] {
            let walked = walk(50, |_| pages);
            let (last, others) = walked.split_last().unwrap();
            assert_eq!(walked[0].from, Timestamp::from_seconds(1_800_000_000));
            assert_eq!(last.to, None);
            for pair in walked.windows(2) {
                assert_eq!(pair[0].to, Some(pair[1].from), "{pages} pages");
            }
            assert!(others.iter().all(|slice| slice.to.unwrap() > slice.from));
        }
    }

    #[test]
    fn quiet_times_are_walked_in_few_steps_and_busy_ones_in_short_ones() {
        assert_eq!(walk(30 * 24, |_| 1).len(), 10);
        // One more than hours, because the first begins with its second.
        assert_eq!(walk(24, |_| 5).len(), 25);
        let busy = walk(24, |_| 40);
        let shortest = busy
            .iter()
            .filter_map(|slice| Some(slice.to?.since(slice.from)));
        assert_eq!(shortest.min(), Some(SHORTEST));
        assert_eq!(walk(0, |_| 1).len(), 1);
    }
}
