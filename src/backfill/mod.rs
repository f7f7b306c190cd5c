//! Missed events: found in Stripe's list of events and taken in through the same door as a delivery.
//!
//! Owns how far each account's events are known to be complete, and that this is never said too early: a mark moves
//! only after everything before it was stored. A walk goes forward in time, slice by slice (`slices.rs`), because what
//! Stripe will stop listing is fetched first and because no cursor then outlives a slice: an event's id as a cursor is
//! refused once that event is thirty days old, a moment is not. Each walk begins well before the last one's end, since
//! events of one second share it and some are listed late; what was stored already is a duplicate.
//!
//! Never decides what an event means, and writes no row but through the inbox and the store's verbs.

mod accounts;
mod reconcile;
mod report;
mod slices;
mod take_in;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use metrics::{counter, gauge};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub use accounts::own_account;
pub use report::{AccountReport, Outcome, Report, Stage, Step, Watch};

use self::accounts::{Account, Wanted};
use self::report::Round;
use crate::clock::{Clock, Timestamp};
use crate::inbox::{Admission, Inbox, InboxError};
use crate::retry::{RetryPolicy, jitter};
use crate::store::{BackfillClaim, ClaimedBackfill, Store, StoreError};
use crate::stripe::api::{ApiError, StripeApi};
use crate::telemetry::in_one_line;

/// Stripe lists an event for thirty days (docs.stripe.com/api/events). A little less is counted on: what is about to go
/// may be gone before it is asked for.
pub const LISTED: Duration = Duration::from_hours(30 * 24 - 1);

/// A claim outlives its longest silence, the wait for one answer, by so much.
const MARGIN: Duration = Duration::from_mins(1);

/// Accounts that are looked at side by side, so that a large one does not hold up the others. Each asks for one page at a
/// time, so together they stay far below the 25 requests in a second that Stripe allows a sandbox, and the 100 in live
/// mode (docs.stripe.com/rate-limits).
const SIDE_BY_SIDE: usize = 4;

/// How often it is looked whether somebody else's claim is over. No row says so but by being asked.
const CLAIM_POLL: Duration = Duration::from_millis(500);

/// The pauses after a look that failed.
const AGAIN: RetryPolicy = RetryPolicy {
    attempts: u32::MAX,
    base: Duration::from_secs(10),
    max: Duration::from_mins(15),
};

/// How missed events are looked for.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The pause between two looks; zero for none.
    pub interval: Duration,
    /// How far a walk goes back behind the last one's end.
    pub overlap: Duration,
    /// How far the first walk goes back.
    pub first: Duration,
    /// How long one answer of Stripe's may take.
    pub longest_answer: Duration,
    /// The accounts of endpoints that belong to one each.
    pub endpoint_accounts: Vec<String>,
    /// This process's number, for whoever finds an account taken.
    pub process: u32,
}

/// One look: what a person, or the schedule, wants.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// Look back so far, whatever is known already.
    pub since: Option<Duration>,
    /// Write nothing, and say what would come in.
    pub dry_run: bool,
    /// Leave accounts alone that somebody has looked at so recently.
    pub unless_within: Option<Duration>,
    /// Where somebody else has an account, wait for as long as one who died over it would have it.
    pub waits: bool,
}

/// Why nothing could be looked for, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum BackfillError {
    /// The key does not say whose mode it is.
    #[error(
        "`stripe.secret_key` does not say whether it is for live or for test mode: take a key that starts with sk_live_, rk_live_, sk_test_ or rk_test_"
    )]
    Mode,
    /// Stripe did not answer what was asked.
    #[error(transparent)]
    Stripe(#[from] ApiError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The inbox took nothing.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// Somebody else took over, or the process is about to end.
    #[error(
        "another process took over, or this one stops; whoever goes on begins where this ended"
    )]
    Stopped,
}

impl BackfillError {
    /// Whether the same may well work later.
    fn is_passing(&self) -> bool {
        match self {
            Self::Mode => false,
            Self::Stripe(error) => error.is_passing(),
            Self::Store(_) | Self::Inbox(_) | Self::Stopped => true,
        }
    }

    /// Whether waiting is of no use: somebody has to change the key, or where it is sent.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Mode | Self::Stripe(ApiError::Denied { .. } | ApiError::Redirected { .. })
        )
    }
}

/// Looks for missed events.
pub struct Backfill {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    api: StripeApi,
    inbox: Inbox,
    admission: Arc<Admission>,
    plan: Plan,
}

impl Backfill {
    /// Looks through `api`, and takes in through `inbox` what `admission` lets in.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        api: StripeApi,
        inbox: Inbox,
        admission: Arc<Admission>,
        plan: Plan,
    ) -> Self {
        Self {
            store,
            clock,
            api,
            inbox,
            admission,
            plan,
        }
    }

    /// Whether the configuration wants somebody to look without being asked.
    pub fn is_scheduled(&self) -> bool {
        !self.plan.interval.is_zero()
    }

    /// Looks when it begins, then on the schedule, until `stop`.
    pub async fn work(&self, stop: CancellationToken) {
        let mut failures = 0;
        while !stop.is_cancelled() {
            let look = Look {
                // One of several processes is enough.
                unless_within: Some(self.plan.interval / 2),
                ..Look::default()
            };
            let failed = match self.look(look, &report::nobody, &stop).await {
                Ok(report) => report.has_failed(),
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(error, "missed events could not be looked for");
                    true
                }
            };
            failures = if failed { failures + 1 } else { 0 };
            let pause = if failed {
                jitter(AGAIN.pause(failures)).min(self.plan.interval)
            } else {
                self.plan.interval
            };
            let waited = tokio::time::sleep(pause);
            if stop.run_until_cancelled(waited).await.is_none() {
                return;
            }
        }
    }

    /// Looks once at every account; `watch` hears how far it has come. At `stop` it gives its claim back and ends.
    ///
    /// What fails for one account fails for that one only, and is in its part of the report.
    pub async fn look(
        &self,
        look: Look,
        watch: &Watch<'_>,
        stop: &CancellationToken,
    ) -> Result<Report, BackfillError> {
        let livemode = self.api.livemode().ok_or(BackfillError::Mode)?;
        let Wanted {
            accounts,
            remarks,
            unlisted,
        } = self.accounts(livemode, stop).await?;
        let of = accounts.len();
        let names: BTreeSet<String> = accounts.iter().map(|one| one.name.clone()).collect();
        let looks = self.in_turn(accounts, livemode).await?.into_iter();
        let looks = looks.map(|(place, account)| {
            let round = Round::new(account, of, livemode, watch, stop.clone());
            async move { (place, self.look_at(round, look).await) }
        });
        let mut reports: Vec<_> = stream::iter(looks)
            .buffer_unordered(SIDE_BY_SIDE)
            .collect()
            .await;
        reports.sort_by_key(|(place, _)| *place);
        if !look.dry_run {
            self.show_age(livemode, &names).await;
        }
        Ok(Report {
            object: "backfill",
            dry_run: look.dry_run,
            livemode,
            accounts: reports.into_iter().map(|(_, report)| report).collect(),
            remarks,
            unlisted,
        })
    }

    /// The accounts with their places in the report, in the order in which they are looked at: the key's own first, then
    /// those that nobody has looked at for longest. Whoever is stopped halfway every time gets to all of them so.
    async fn in_turn(
        &self,
        accounts: Vec<Account>,
        livemode: bool,
    ) -> Result<Vec<(usize, Account)>, StoreError> {
        let records = self.store.backfills().await?;
        let done: BTreeMap<String, Option<Timestamp>> = records
            .into_iter()
            .filter(|record| record.livemode == livemode)
            .map(|record| (record.account, record.done_at))
            .collect();
        let mut turns: Vec<_> = accounts.into_iter().enumerate().collect();
        turns.sort_by_key(|(_, account)| {
            let is_connected = account.connected.is_some();
            (is_connected, done.get(&account.name).copied().flatten())
        });
        Ok(turns)
    }

    /// Looks at one account, unless the process is about to end.
    async fn look_at(&self, mut round: Round<'_>, look: Look) -> AccountReport {
        let outcome = if round.stop.is_cancelled() {
            Outcome::Failed(BackfillError::Stopped)
        } else if look.dry_run {
            let rehearsed = self.rehearse(&mut round, look).await;
            Outcome::of(&round.account, rehearsed)
        } else {
            self.complete(&mut round, look).await
        };
        round.tell(Stage::Ended);
        round.into_report(outcome)
    }

    /// Walks and reconciles one account under a claim.
    async fn complete(&self, round: &mut Round<'_>, look: Look) -> Outcome {
        let outcome = match self.claim(round, look).await {
            Ok(BackfillClaim::Held(holder)) => Outcome::Busy(holder),
            Ok(BackfillClaim::Recent) => Outcome::Recent,
            Ok(BackfillClaim::Claimed(claimed)) => {
                let done = self.walk_and_reconcile(&claimed, round, look).await;
                let outcome = Outcome::of(&round.account, done);
                self.give_back(&claimed, &outcome).await;
                outcome
            }
            Err(error) => Outcome::of(&round.account, Err(error)),
        };
        counter!("billhook_backfill_walks_total", "outcome" => outcome.word()).increment(1);
        let account = &round.account.name;
        match &outcome {
            Outcome::Done | Outcome::Busy(_) | Outcome::Recent | Outcome::Disconnected => {
                tracing::info!(
                    account,
                    outcome = outcome.word(),
                    found = round.found,
                    new = round.new,
                    "looked for missed events"
                );
            }
            Outcome::Failed(error) => {
                let error: &dyn std::error::Error = error;
                tracing::warn!(
                    account,
                    found = round.found,
                    new = round.new,
                    error,
                    "looking for missed events ended early; the next look goes on"
                );
            }
        }
        outcome
    }

    async fn claim(&self, round: &Round<'_>, look: Look) -> Result<BackfillClaim, BackfillError> {
        let done_before = match look.unless_within {
            Some(recently) => self.clock.now().minus(recently),
            None => Timestamp(i64::MAX),
        };
        let command = if look.unless_within.is_some() {
            "serve"
        } else {
            "backfill"
        };
        let by = format!("`billhook {command}` (process {})", self.plan.process);
        let account = round.account.name.as_str();
        let patience = Instant::now() + self.lease();
        let mut says_so = true;
        loop {
            let claim = self
                .store
                .claim_backfill(account, round.livemode, done_before, self.lease(), &by)
                .await?;
            let holder = match &claim {
                BackfillClaim::Held(holder) => holder,
                // Whoever had it came to an end while that was asked.
                BackfillClaim::Recent if look.unless_within.is_none() => continue,
                BackfillClaim::Claimed(_) | BackfillClaim::Recent => return Ok(claim),
            };
            if !look.waits || Instant::now() >= patience {
                return Ok(claim);
            }
            if std::mem::take(&mut says_so) {
                tracing::info!(account, by = holder.by, until = %holder.until, "somebody else is looking for these events; waiting");
            }
            round.tell(Stage::Waits(holder));
            let paused = round.stop.run_until_cancelled(sleep(CLAIM_POLL)).await;
            paused.ok_or(BackfillError::Stopped)?;
        }
    }

    async fn give_back(&self, claimed: &ClaimedBackfill, outcome: &Outcome) {
        let error = match outcome {
            Outcome::Failed(error) => Some(in_one_line(error)),
            _ => None,
        };
        match self.store.end_backfill(claimed, error.as_deref()).await {
            // Whoever took over will give it back.
            Ok(()) | Err(StoreError::Fenced) => {}
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(
                    account = claimed.account,
                    error,
                    "the claim on an account's events is left to end by itself"
                );
            }
        }
    }

    /// Says how long the account that was longest not looked at to the end has waited, and how many have a gap. What was
    /// left behind by accounts that nobody looks at any more says nothing.
    async fn show_age(&self, livemode: bool, names: &BTreeSet<String>) {
        let mut records = match self.store.backfills().await {
            Ok(records) => records,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "how far missed events were looked for is not shown");
                return;
            }
        };
        records.retain(|record| record.livemode == livemode && names.contains(&record.account));
        let now = self.clock.now();
        let oldest = records.iter().filter_map(|record| record.done_at).min();
        let age = oldest.map_or(0.0, |done_at| now.since(done_at).as_secs_f64());
        let gaps = records.iter().filter(|one| one.progress.gap.is_some());
        let gaps = u32::try_from(gaps.count()).unwrap_or(u32::MAX);
        let mode = if livemode { "live" } else { "test" };
        gauge!("billhook_backfill_age_seconds", "mode" => mode).set(age);
        gauge!("billhook_backfill_gaps", "mode" => mode).set(f64::from(gaps));
    }

    fn lease(&self) -> Duration {
        self.plan.longest_answer.saturating_add(MARGIN)
    }
}
