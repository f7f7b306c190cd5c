//! One walk through an account's events: where it begins, slice by slice to now, and what it may say is complete.

use std::time::Duration;

use metrics::counter;
use tokio_util::sync::CancellationToken;

use super::report::{Round, Stage};
use super::slices::{Slice, Slices};
use super::{Backfill, BackfillError, LISTED, Look, Plan};
use crate::clock::Timestamp;
use crate::store::{ClaimedBackfill, Gap, Progress};
use crate::stripe::api::{ApiError, Page, Scope};

/// Where Stripe lists events.
const EVENTS: &str = "/v1/events";
/// How often a slice, or a list, is begun anew because Stripe lost its place in it.
const MOST_RESTARTS: usize = 3;

/// How often one was.
#[derive(Default)]
pub(super) struct Restarts(usize);

impl Restarts {
    /// Whether what failed so is begun anew once more.
    pub(super) fn follow(&mut self, error: &BackfillError) -> bool {
        let is_lost = matches!(error, BackfillError::Stripe(error) if error.is_lost_cursor());
        if !is_lost || self.0 >= MOST_RESTARTS {
            return false;
        }
        self.0 += 1;
        counter!("billhook_backfill_lost_cursors_total").increment(1);
        true
    }
}

/// Where a walk begins, and what follows from that.
#[derive(Debug, PartialEq, Eq)]
struct Start {
    from: Timestamp,
    /// Nothing is missing between the mark and the beginning, so that the mark may go along.
    moves_mark: bool,
    /// What should have been walked, and is not listed any more: its first moment.
    gap_from: Option<Timestamp>,
}

impl Start {
    fn of(mark: Option<Timestamp>, since: Option<Duration>, plan: &Plan, now: Timestamp) -> Self {
        // Without a mark nothing is known, and nothing is missed that is older than this.
        let complete = mark.unwrap_or_else(|| now.minus(plan.first));
        let wanted = match (since, mark) {
            (Some(since), _) => now.minus(since),
            (None, Some(mark)) => mark.minus(plan.overlap),
            (None, None) => complete,
        };
        let listed = now.minus(LISTED);
        let from = wanted.max(listed);
        let missing = if since.is_some() { wanted } else { complete };
        let gap_from = Some(missing).filter(|missing| *missing < listed);
        Self {
            from,
            moves_mark: from <= complete || gap_from.is_some_and(|gap| gap <= complete),
            gap_from,
        }
    }
}

impl Backfill {
    /// Takes in what is missing, and looks up what no event tells of any more.
    pub(super) async fn walk_and_reconcile(
        &self,
        claimed: &ClaimedBackfill,
        round: &mut Round<'_>,
        look: Look,
    ) -> Result<(), BackfillError> {
        let now = self.clock.now();
        let mut progress = claimed.progress.clone();
        let start = Start::of(progress.mark, look.since, &self.plan, now);
        if let Some(from) = start.gap_from {
            // Written before the mark moves on: from then on nothing else knows of it.
            progress.gap = Some(widened(progress.gap.as_ref(), from, start.from));
            self.advance(claimed, &progress).await?;
            let account = &claimed.account;
            tracing::error!(
                account,
                gap.from = %from,
                gap.to = %start.from,
                "events of this time are missing and Stripe does not list them any more; the objects are looked up instead"
            );
        }
        round.gap.clone_from(&progress.gap);
        self.walk(Some(claimed), &mut progress, &start, round)
            .await?;
        if progress.gap.is_some() {
            self.reconcile(claimed, &mut progress, round).await?;
        }
        Ok(())
    }

    /// The same walk without a write.
    pub(super) async fn rehearse(
        &self,
        round: &mut Round<'_>,
        look: Look,
    ) -> Result<(), BackfillError> {
        let records = self.store.backfills().await?;
        let known = records.into_iter().find(|record| {
            record.account == round.account.name && record.livemode == round.livemode
        });
        let mut progress = known.map(|known| known.progress).unwrap_or_default();
        let start = Start::of(progress.mark, look.since, &self.plan, self.clock.now());
        round.gap = match start.gap_from {
            Some(from) => Some(widened(progress.gap.as_ref(), from, start.from)),
            None => progress.gap.clone(),
        };
        self.walk(None, &mut progress, &start, round).await
    }

    /// Walks to now; without a claim nothing is written.
    async fn walk(
        &self,
        claimed: Option<&ClaimedBackfill>,
        progress: &mut Progress,
        start: &Start,
        round: &mut Round<'_>,
    ) -> Result<(), BackfillError> {
        let now = self.clock.now();
        round.from = Some(start.from);
        let mut slices = Slices::new(start.from, now);
        let mut pages = 0;
        while let Some(slice) = slices.next(pages) {
            let read = self.read_slice(slice, claimed, progress, round).await?;
            pages = read.pages;
            // Everything up to here is committed. The last slice has no end: it holds what Stripe had when it was asked.
            let reached = slice.to.unwrap_or(read.asked_at);
            if start.moves_mark {
                progress.mark = progress.mark.max(Some(reached));
            }
            if let Some(claimed) = claimed {
                self.advance(claimed, progress).await?;
            }
            round.tell(Stage::Walks {
                from: start.from,
                at: slice.to.unwrap_or(now),
                to: now,
            });
        }
        Ok(())
    }

    /// Takes in one slice, from its newest event to its oldest.
    async fn read_slice(
        &self,
        slice: Slice,
        claimed: Option<&ClaimedBackfill>,
        progress: &Progress,
        round: &mut Round<'_>,
    ) -> Result<Read, BackfillError> {
        let mut restarts = Restarts::default();
        loop {
            match self.try_slice(slice, claimed, progress, round).await {
                // The event that the next page begins behind is not listed any more. The time still is.
                Err(error) if restarts.follow(&error) => {
                    tracing::warn!(account = round.account.name, from = %slice.from, "Stripe does not know a cursor any more; the slice begins anew by time");
                }
                other => return other,
            }
        }
    }

    async fn try_slice(
        &self,
        slice: Slice,
        claimed: Option<&ClaimedBackfill>,
        progress: &Progress,
        round: &mut Round<'_>,
    ) -> Result<Read, BackfillError> {
        let connected = round.account.connected.clone();
        let (from, to) = (
            slice.from.seconds().to_string(),
            slice.to.map(|to| to.seconds().to_string()),
        );
        let mut query = vec![("created[gte]", from.as_str())];
        query.extend(to.as_deref().map(|to| ("created[lt]", to)));
        let scope = Scope::of_account(connected.as_deref());
        let mut pages = self.api.pages(EVENTS, &query, scope);
        let mut read = Read {
            pages: 0,
            asked_at: self.clock.now(),
        };
        while let Some(page) = listed(EVENTS, pages.next(), &round.stop).await? {
            let Page { items, date, .. } = page;
            if let (0, Some(date)) = (read.pages, date) {
                read.asked_at = date;
            }
            read.pages += 1;
            match claimed {
                Some(claimed) => {
                    self.take_in(&items, round).await?;
                    self.advance(claimed, progress).await?;
                }
                None => self.rehearse_page(&items, round).await?,
            }
        }
        Ok(read)
    }

    /// Commits how far it has come, and keeps the claim.
    pub(super) async fn advance(
        &self,
        claimed: &ClaimedBackfill,
        progress: &Progress,
    ) -> Result<(), BackfillError> {
        let advanced = self
            .store
            .advance_backfill(claimed, progress, self.lease())
            .await;
        match advanced {
            Err(crate::store::StoreError::Fenced) => Err(BackfillError::Stopped),
            other => Ok(other?),
        }
    }
}

/// What reading a slice came to.
struct Read {
    pages: usize,
    /// When Stripe answered the first page, by its own clock.
    asked_at: Timestamp,
}

/// A gap that also holds what an earlier walk left.
fn widened(known: Option<&Gap>, from: Timestamp, to: Timestamp) -> Gap {
    let mut gap = Gap {
        from,
        to,
        reconciled: std::collections::BTreeSet::default(),
        places: std::collections::BTreeMap::default(),
    };
    let Some(known) = known else { return gap };
    // Objects are looked up after a walk that began at the gap's end, when that was about to leave Stripe's list. So they
    // show whatever happened until it did, and whoever asks again so soon goes on instead of beginning anew.
    let has_begun = !known.reconciled.is_empty() || !known.places.is_empty();
    if has_begun && from >= known.from && to <= known.to.plus(LISTED) {
        return known.clone();
    }
    // What was looked up before the gap grew says nothing about the rest.
    gap.from = from.min(known.from);
    gap.to = to.max(known.to);
    gap
}

/// The next page of the list at `path`, unless the process is about to end.
///
/// Lists of the account itself are narrowed down by time and state only, so what "is not there" is never an object.
pub(super) async fn listed(
    path: &'static str,
    page: impl Future<Output = Result<Option<Page>, ApiError>>,
    stop: &CancellationToken,
) -> Result<Option<Page>, BackfillError> {
    let answer = stop.run_until_cancelled(page).await;
    match answer.ok_or(BackfillError::Stopped)? {
        // The place in the list is not there; the list is.
        Err(error) if error.is_lost_cursor() => Err(error.into()),
        Err(ApiError::Gone | ApiError::Refused { status: 404, .. }) => {
            Err(BackfillError::Stripe(ApiError::NotAList {
                path: path.to_owned(),
                what: "is not there (404)",
            }))
        }
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const DAY: Duration = Duration::from_hours(24);

    fn plan() -> Plan {
        Plan {
            interval: HOUR,
            overlap: HOUR,
            first: 3 * DAY,
            longest_answer: HOUR,
            endpoint_accounts: Vec::new(),
            process: 1,
        }
    }

    /// In hours before now: where the walk begins, whether the mark moves, where the gap begins.
    fn start(mark: Option<u32>, since: Option<u32>) -> (u64, bool, Option<u64>) {
        let now = Timestamp::from_seconds(1_800_000_000);
        let mark = mark.map(|hours| now.minus(HOUR * hours));
        let start = Start::of(mark, since.map(|hours| HOUR * hours), &plan(), now);
        let ago = |moment: Timestamp| now.since(moment).as_secs() / 3600;
        (ago(start.from), start.moves_mark, start.gap_from.map(ago))
    }

    #[test]
    fn a_walk_begins_before_the_mark_and_moves_it_only_where_nothing_is_missing() {
        let listed = 30 * 24 - 1;
        for (mark, since, expected) in [
            // The first, and the next ones.
            (None, None, (72, true, None)),
            (Some(0), None, (1, true, None)),
            (Some(100), None, (101, true, None)),
            // A person looks further back, or not far enough to speak of the whole.
            (Some(100), Some(200), (200, true, None)),
            (Some(100), Some(5), (5, false, None)),
            (None, Some(5), (5, false, None)),
            (None, Some(100), (100, true, None)),
            // Longer ago than Stripe lists: what lies between is a gap, and the mark goes on behind it.
            (Some(1000), None, (listed, true, Some(1000))),
            (None, Some(1000), (listed, true, Some(1000))),
            (Some(10), Some(1000), (listed, true, Some(1000))),
            // Only the overlap is not listed any more: nothing is missing.
            (Some(30 * 24 - 1), None, (listed, true, None)),
        ] {
            assert_eq!(start(mark, since), expected, "{mark:?} {since:?}");
        }
    }

    #[test]
    fn a_gap_only_grows_and_what_was_looked_up_counts_while_it_shows_all_of_it() {
        let at = Timestamp::from_seconds;
        let untouched = widened(None, at(10), at(20));
        let grown = widened(Some(&untouched), at(15), at(30));
        assert_eq!((grown.from, grown.to), (at(10), at(30)));
        let mut begun = untouched.clone();
        begun.reconciled.insert("/v1/customers".to_owned());
        let mut halfway = untouched;
        let place = ("/v1/customers".to_owned(), "cus_1".to_owned());
        halfway.places.extend([place]);
        let listed = i64::try_from(LISTED.as_secs()).unwrap();
        for known in [begun, halfway] {
            // Soon after, and no earlier: it goes on.
            for to in [30, 20 + listed] {
                assert_eq!(widened(Some(&known), at(15), at(to)), known);
            }
            for (from, to) in [(9, 30), (15, 21 + listed)] {
                let grown = widened(Some(&known), at(from), at(to));
                assert_eq!((grown.from, grown.to), (at(from.min(10)), at(to)));
                assert!(grown.reconciled.is_empty() && grown.places.is_empty());
            }
        }
    }
}
