//! The loop of the follow-up stage: it claims what is due as hands become free, and never more than that.

use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

use super::{AFTER_ERROR, Stop, Worker};
use crate::hints::Bell;
use crate::store::StoreError;

/// A look that finds nothing is followed by a rest this much longer than it took, however often it rings meanwhile. It
/// reads past every lane whose customer still has events in the inbox, so it is slow while the backlog is long, which is
/// also when each batch rings.
const REST: u32 = 9;

impl Worker {
    /// Decides what becomes due until `soft`, then finishes what it holds; a slow run holds up its own hand only.
    pub(super) async fn work_lanes(&self, stop: &Stop) {
        let mut bell = self.doorbell.listen(Bell::Inbox);
        let mut hands = FuturesUnordered::new();
        let mut claim = None;
        // Whether more may be due than was claimed, and since when it may be looked for; without a sign of it, the poll.
        let mut more = true;
        let (mut rested_at, mut poll_at) = (Instant::now(), Instant::now());
        loop {
            let look_at = if more { rested_at } else { poll_at };
            let may_claim =
                !stop.soft.is_cancelled() && claim.is_none() && hands.len() < self.pace.concurrency;
            if may_claim && Instant::now() >= look_at {
                more = false;
                let begun = Instant::now();
                claim = Some((begun, self.store.claim_run(self.pace.lease)));
                continue;
            }
            if stop.soft.is_cancelled() && claim.is_none() && hands.is_empty() {
                return;
            }
            // Runs go on while the next is claimed: one of them may hold the connection that the claim waits for. And a
            // claim is never dropped halfway, or its lane would stay leased to nobody.
            tokio::select! {
                Some((begun, found)) = async { let (begun, claim) = claim.as_mut()?; Some((*begun, claim.await)) } => {
                    claim = None;
                    let now = Instant::now();
                    rested_at = now;
                    poll_at = now + self.pace.poll;
                    match found {
                        Ok(Some(run)) => {
                            more = true;
                            hands.push(self.follow_up(run, stop));
                        }
                        Ok(None) => rested_at = now + rest(now - begun, self.pace.poll),
                        Err(error) => {
                            Self::cannot_look("follow_up", &error);
                            // What rang before was not looked for, and nobody rings again for it.
                            more = true;
                            rested_at = now + self.pace.poll.min(AFTER_ERROR);
                        }
                    }
                }
                // Its customer may have another that is due.
                Some(()) = hands.next() => more = true,
                () = bell.rung(), if !more => more = true,
                () = tokio::time::sleep_until(look_at), if may_claim => {}
                () = stop.soft.cancelled(), if !stop.soft.is_cancelled() => {}
            }
        }
    }

    /// Decides what is due now, several lanes at once; says how many runs were claimed.
    pub async fn decide_due(&self) -> Result<u64, StoreError> {
        let stop = Stop::default();
        let mut claimed = 0;
        let mut hands = FuturesUnordered::new();
        let mut claim = None;
        let mut more = true;
        let mut failed = None;
        loop {
            if claim.is_none() && more && hands.len() < self.pace.concurrency {
                more = false;
                claim = Some(self.store.claim_run(self.pace.lease));
            }
            tokio::select! {
                Some(found) = async { Some(claim.as_mut()?.await) } => {
                    claim = None;
                    match found {
                        Ok(Some(run)) => {
                            claimed += 1;
                            more = true;
                            hands.push(self.follow_up(run, &stop));
                        }
                        Ok(None) => {}
                        Err(error) => failed = Some(error),
                    }
                }
                Some(()) = hands.next() => more = failed.is_none(),
                else => return failed.map_or(Ok(claimed), Err),
            }
        }
    }
}

/// How long nothing is looked for after a look that took `took` and found nothing.
fn rest(took: Duration, poll: Duration) -> Duration {
    took.saturating_mul(REST).min(poll)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_that_find_nothing_take_a_tenth_of_the_time_at_most() {
        let poll = Duration::from_secs(1);
        for (took, expected) in [(0, 0), (1, 9), (100, 900), (200, 1000), (5000, 1000)] {
            let rest = rest(Duration::from_millis(took), poll);
            assert_eq!(rest, Duration::from_millis(expected), "{took} ms");
        }
    }
}
