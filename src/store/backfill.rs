//! How far each account's events are known to be complete, and who is making them so.
//!
//! One row for each account and mode, claimed under a lease as all work is. A mark only ever moves forward, and only
//! under the epoch of whoever stored what lies before it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::database::{Row, args, list, statements};
use super::error::StoreError;
use super::sql_store::SqlStore;
use crate::clock::{Timestamp, micros};

statements! {
    /// One step of the index for each account, however many objects it has.
    ACCOUNTS: "WITH RECURSIVE known (account) AS ( \
            SELECT min(account) FROM objects \
            UNION ALL SELECT (SELECT min(account) FROM objects WHERE account > known.account) FROM known WHERE known.account IS NOT NULL) \
        SELECT account FROM known WHERE account IS NOT NULL AND EXISTS (SELECT 1 FROM objects WHERE account = known.account AND livemode = $1)";
    KNOWN: "SELECT id FROM events WHERE id IN (SELECT value FROM json_each($1))";
    ADD: "INSERT INTO backfills (account, livemode) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    CLAIM: "UPDATE backfills SET lease_until = $3, held_by = $6, epoch = epoch + 1 \
        WHERE account = $1 AND livemode = $2 AND lease_until < $4 AND done_at <= $5 RETURNING *";
    HOLDER: "SELECT held_by, lease_until FROM backfills WHERE account = $1 AND livemode = $2 AND lease_until >= $3";
    ADVANCE: "UPDATE backfills SET mark = CASE WHEN mark < $4 THEN $4 ELSE mark END, gap_from = $5, gap_to = $6, reconciled = $7, places = $8, lease_until = $9 \
        WHERE account = $1 AND livemode = $2 AND epoch = $3";
    /// What ends a claim spends its epoch.
    END: "UPDATE backfills SET done_at = CASE WHEN $4 > 0 THEN $4 ELSE done_at END, last_error = $5, lease_until = 0, held_by = NULL, epoch = epoch + 1 \
        WHERE account = $1 AND livemode = $2 AND epoch = $3";
    ALL_MARKS: "SELECT * FROM backfills ORDER BY account, livemode";
}

/// A time whose events Stripe does not list any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub to: Timestamp,
    /// The lists of objects that were looked up since.
    pub reconciled: BTreeSet<String>,
    /// How far others were: by list, the last object of it that was taken in.
    pub places: BTreeMap<String, String>,
}

/// How far an account's events are complete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Every event that was created before this is stored; none where nothing is known yet.
    pub mark: Option<Timestamp>,
    /// What can only be looked up any more.
    pub gap: Option<Gap>,
}

/// An account whose events are being completed, under a lease.
#[derive(Debug, Clone)]
pub struct ClaimedBackfill {
    /// The account, as its events are stored under.
    pub account: String,
    /// Stripe's livemode.
    pub livemode: bool,
    /// The fence.
    pub epoch: i64,
    /// What earlier walks came to.
    pub progress: Progress,
}

/// What came of wanting an account.
#[derive(Debug, Clone)]
pub enum BackfillClaim {
    /// It is the caller's.
    Claimed(ClaimedBackfill),
    /// Somebody else has it.
    Held(Holder),
    /// Somebody has just come to its end.
    Recent,
}

/// Who has an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// As they call themselves.
    pub by: String,
    /// Whoever died over it has it so long; whoever lives keeps it on the way.
    pub until: Timestamp,
}

/// An account's row, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackfillRecord {
    /// The account.
    pub account: String,
    /// Stripe's livemode.
    pub livemode: bool,
    /// How far it is complete.
    pub progress: Progress,
    /// When a walk last came to its end.
    pub done_at: Option<Timestamp>,
    /// Why the last one did not.
    pub last_error: Option<String>,
}

impl SqlStore {
    pub(super) async fn list_accounts(&self, livemode: bool) -> Result<Vec<String>, StoreError> {
        let rows = self.db.rows(&ACCOUNTS, args![livemode]).await?;
        rows.iter().map(|row| row.text("account")).collect()
    }

    pub(super) async fn find_known(&self, ids: &[String]) -> Result<BTreeSet<String>, StoreError> {
        let ids = list(ids.iter().map(String::as_str));
        let rows = self.db.rows(&KNOWN, args![&ids]).await?;
        rows.iter().map(|row| row.text("id")).collect()
    }

    pub(super) async fn claim_account(
        &self,
        account: &str,
        livemode: bool,
        done_before: Timestamp,
        lease: Duration,
        by: &str,
    ) -> Result<BackfillClaim, StoreError> {
        let mut tx = self.db.begin().await?;
        tx.run(&ADD, args![account, livemode]).await?;
        let now = tx.lease_clock(self.clock.as_ref()).await?;
        let until = now.0.saturating_add(micros(lease));
        let values = args![account, livemode, until, now, done_before, by];
        let claimed = tx.row(&CLAIM, values).await?;
        let holder = match claimed {
            Some(_) => None,
            None => tx.row(&HOLDER, args![account, livemode, now]).await?,
        };
        tx.commit().await?;
        if let Some(row) = claimed {
            return Ok(BackfillClaim::Claimed(ClaimedBackfill {
                account: account.to_owned(),
                livemode,
                epoch: row.int("epoch")?,
                progress: progress(&row)?,
            }));
        }
        holder.map_or(Ok(BackfillClaim::Recent), |row| {
            Ok(BackfillClaim::Held(Holder {
                by: row.opt_text("held_by")?.unwrap_or_default(),
                until: row.time("lease_until")?,
            }))
        })
    }

    pub(super) async fn advance(
        &self,
        claimed: &ClaimedBackfill,
        progress: &Progress,
        lease: Duration,
    ) -> Result<(), StoreError> {
        let Progress { mark, gap } = progress;
        let (from, to, reconciled) = match gap {
            Some(gap) => (gap.from, gap.to, &gap.reconciled),
            None => (Timestamp(0), Timestamp(0), &BTreeSet::new()),
        };
        let places = gap.as_ref().map(|gap| json!(gap.places).to_string());
        let mut tx = self.db.begin().await?;
        let now = tx.lease_clock(self.clock.as_ref()).await?;
        let values = args![
            &claimed.account,
            claimed.livemode,
            claimed.epoch,
            mark.unwrap_or_default(),
            from,
            to,
            list(reconciled.iter().map(String::as_str)),
            places,
            now.0.saturating_add(micros(lease)),
        ];
        if tx.run(&ADVANCE, values).await? == 0 {
            return Err(StoreError::Fenced);
        }
        tx.commit().await
    }

    pub(super) async fn end(
        &self,
        claimed: &ClaimedBackfill,
        error: Option<&str>,
    ) -> Result<(), StoreError> {
        let done_at = if error.is_none() {
            self.clock.now()
        } else {
            Timestamp(0)
        };
        let mut tx = self.db.begin().await?;
        let values = args![
            &claimed.account,
            claimed.livemode,
            claimed.epoch,
            done_at,
            error.map(str::to_owned),
        ];
        if tx.run(&END, values).await? == 0 {
            return Err(StoreError::Fenced);
        }
        tx.commit().await
    }

    pub(super) async fn list_backfills(&self) -> Result<Vec<BackfillRecord>, StoreError> {
        let rows = self.db.rows(&ALL_MARKS, args![]).await?;
        rows.iter()
            .map(|row| {
                Ok(BackfillRecord {
                    account: row.text("account")?,
                    livemode: row.flag("livemode")?,
                    progress: progress(row)?,
                    done_at: moment(row, "done_at")?,
                    last_error: row.opt_text("last_error")?,
                })
            })
            .collect()
    }
}

fn progress(row: &Row) -> Result<Progress, StoreError> {
    let gap = match (moment(row, "gap_from")?, moment(row, "gap_to")?) {
        (Some(from), Some(to)) => Some(Gap {
            from,
            to,
            reconciled: row.json("reconciled")?,
            places: row.json("places")?,
        }),
        _ => None,
    };
    Ok(Progress {
        mark: moment(row, "mark")?,
        gap,
    })
}

fn moment(row: &Row, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
    Ok(Some(row.time(column)?).filter(|moment| moment.0 > 0))
}
