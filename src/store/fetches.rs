//! What Stripe is to be asked: put down in the transaction that applies an event which leaves something open, and worked
//! off beside everything else. Nothing ever waits for an answer, and without a key nothing is put down.
//!
//! There is one row for each object and reason. It stays when it is over, and is taken up again when the reason comes
//! back; whoever works on it at that moment is fenced, because their answer may be older than the new question.

mod records;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

pub use self::records::{ClaimedFetch, FetchEnd, FetchRecord, Reach, Reason};

use self::records::AFTER_A_TIE;
use super::database::{Transaction, args, statements};
use super::error::StoreError;
use super::records::ClaimedEvent;
use super::shown::EventRecord;
use super::shown::rows::count;
use super::sql_store::SqlStore;
use super::waits::{self, Moment};
use crate::clock::{Timestamp, micros};
use crate::guardrails::mandatory::{Key, rule_of};
use crate::stripe::event::{THIN, is_thin};
use crate::stripe::resource::lists;
use crate::stripe::view::{Family, View};

statements! {
    /// Where the key lacks a permission, a new question of the kind waits with the others.
    ASK: "INSERT INTO fetches (id, account, livemode, context, reason, kind, object, event, not_before, asked_at, status) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, \
            coalesce((SELECT max(d.not_before) FROM fetches d WHERE d.status = 'denied' AND d.reason = $5 AND d.kind = $6 AND d.livemode = $3), $9), $10, \
            CASE WHEN EXISTS (SELECT 1 FROM fetches d WHERE d.status = 'denied' AND d.reason = $5 AND d.kind = $6 AND d.livemode = $3) THEN 'denied' ELSE 'pending' END) \
        ON CONFLICT (account, livemode, kind, object, reason) DO UPDATE SET event = excluded.event, context = coalesce(excluded.context, fetches.context), \
            epoch = fetches.epoch + 1, lease_until = 0, ended_at = NULL, \
            attempts = CASE WHEN fetches.status IN ('pending', 'denied') THEN fetches.attempts ELSE 0 END, \
            not_before = CASE WHEN fetches.status IN ('pending', 'denied') THEN fetches.not_before ELSE excluded.not_before END, \
            asked_at = CASE WHEN fetches.status IN ('pending', 'denied') THEN fetches.asked_at ELSE excluded.asked_at END, \
            last_error = CASE WHEN fetches.status IN ('pending', 'denied') THEN fetches.last_error END, \
            status = CASE WHEN fetches.status IN ('pending', 'denied') THEN fetches.status ELSE excluded.status END";
    /// Asked outside of any transaction that writes: most of the time there is none.
    ANY_DUE: "SELECT 1 AS one FROM fetches WHERE status IN ('pending', 'denied') AND livemode = $1 AND not_before <= $2 LIMIT 1";
    /// What was put down for a key of the other mode may lie there for ever, and is not read past.
    CLAIM: "UPDATE fetches SET lease_until = $1, epoch = epoch + 1 WHERE id IN ( \
            SELECT id FROM fetches WHERE status IN ('pending', 'denied') AND livemode = $2 AND not_before <= $3 AND lease_until < $4 \
            ORDER BY not_before LIMIT $5) \
        RETURNING id, epoch, account, livemode, context, reason, kind, object, event, attempts, asked_at",
        postgres: "UPDATE fetches SET lease_until = $1, epoch = epoch + 1 WHERE id = ANY (ARRAY( \
            SELECT id FROM fetches WHERE status IN ('pending', 'denied') AND livemode = $2 AND not_before <= $3 AND lease_until < $4 \
            ORDER BY not_before LIMIT $5 FOR UPDATE SKIP LOCKED)) \
        RETURNING id, epoch, account, livemode, context, reason, kind, object, event, attempts, asked_at";
    /// Spends the epoch, as every end of a claim does.
    END: "UPDATE fetches SET status = $3, last_error = $4, ended_at = $5, lease_until = 0, epoch = epoch + 1 WHERE id = $1 AND epoch = $2";
    AGAIN: "UPDATE fetches SET status = 'pending', last_error = $3, not_before = $4, attempts = attempts + 1, lease_until = 0, epoch = epoch + 1 WHERE id = $1 AND epoch = $2";
    HOLDS: "SELECT 1 AS one FROM fetches WHERE id = $1 AND epoch = $2";
    /// What would be answered the same is not asked: all questions of the kind wait. Those that wait for it already are left
    /// alone, or each start of a process would have all of them written.
    DENY: "UPDATE fetches SET status = 'denied', last_error = $4, not_before = $5, lease_until = 0, epoch = epoch + 1 \
        WHERE reason = $1 AND kind = $2 AND livemode = $3 AND status IN ('pending', 'denied') \
            AND (status = 'pending' OR not_before <= $6 OR id = $7)";
    /// The first of each kind: what is answered to it decides about the others.
    HURRY: "UPDATE fetches SET not_before = $2 WHERE status IN ('pending', 'denied') AND livemode = $1 AND not_before > $2 AND status = 'denied' AND id IN ( \
            SELECT (SELECT f.id FROM fetches f WHERE f.status = 'denied' AND f.reason = k.reason AND f.kind = k.kind AND f.livemode = $1 \
                ORDER BY f.not_before, f.id LIMIT 1) \
            FROM (SELECT DISTINCT d.reason, d.kind FROM fetches d WHERE d.status = 'denied' AND d.livemode = $1) k)";
    /// Stripe answered one of the kind: the key may ask the others, too.
    RELEASE: "UPDATE fetches SET status = 'pending', not_before = $4 WHERE reason = $1 AND kind = $2 AND livemode = $3 AND status = 'denied' AND not_before > $4";
    ROW: "SELECT tie, data FROM objects WHERE account = $1 AND livemode = $2 AND kind = $3 AND id = $4";
    OF_OBJECT: "SELECT * FROM fetches WHERE account = $1 AND livemode = $2 AND kind = $3 AND object = $4 ORDER BY reason";
    COUNTS: "SELECT status, count(*) AS n FROM fetches WHERE status IN ('pending', 'denied') GROUP BY status \
        UNION ALL SELECT status, count(*) AS n FROM fetches WHERE status = 'given_up' GROUP BY status";
    DENIED: "SELECT DISTINCT last_error FROM fetches WHERE status IN ('pending', 'denied') AND status = 'denied' AND last_error IS NOT NULL ORDER BY last_error LIMIT 10";
}

/// What a question is about.
pub(super) struct Subject<'a> {
    pub(super) kind: &'a str,
    pub(super) id: &'a str,
    pub(super) context: Option<&'a str>,
}

impl SqlStore {
    /// Puts a question down, where the key reaches.
    pub(super) async fn ask(
        &self,
        tx: &mut Transaction,
        claimed: &ClaimedEvent,
        reason: Reason,
        subject: &Subject<'_>,
    ) -> Result<(), StoreError> {
        if !self.policy.reach.covers(claimed.livemode) {
            return Ok(());
        }
        let now = self.clock.now();
        let values = args![
            self.ids.next("fetch"),
            &claimed.account,
            claimed.livemode,
            subject.context.map(str::to_owned),
            reason.as_str(),
            subject.kind,
            subject.id,
            &claimed.id,
            now.plus(reason.pause()),
            now,
        ];
        tx.run(&ASK, values).await.map(drop)
    }

    pub(super) async fn claim_questions(
        &self,
        livemode: Option<bool>,
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<ClaimedFetch>, StoreError> {
        let reach = Reach::of_key(livemode);
        if !self.any_question_due(reach).await? {
            return Ok(Vec::new());
        }
        let mut tx = self.db.begin().await?;
        let leased = tx.lease_clock(self.clock.as_ref()).await?;
        let until = leased.0.saturating_add(micros(lease));
        let now = self.clock.now();
        let mut claimed = Vec::new();
        let mut left = usize::try_from(limit).unwrap_or(usize::MAX);
        for mode in reach.modes() {
            let most = i64::try_from(left).unwrap_or(i64::MAX);
            let claim = args![until, mode, now, leased, most];
            let rows = tx.rows(&CLAIM, claim).await?;
            left = left.saturating_sub(rows.len());
            for row in &rows {
                claimed.push(ClaimedFetch::read(row)?);
            }
        }
        if claimed.is_empty() {
            return Ok(claimed);
        }
        tx.commit().await?;
        Ok(claimed)
    }

    /// Whether something within `reach` can be asked now, or is being asked.
    pub(super) async fn any_question_due(&self, reach: Reach) -> Result<bool, StoreError> {
        let now = self.clock.now();
        for mode in reach.modes() {
            if self.db.row(&ANY_DUE, args![mode, now]).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes one denied question of each kind due. Those that are being asked stay with whoever asks them.
    pub(super) async fn hurry_denied(&self, livemode: Option<bool>) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let mut hurried = 0;
        let mut tx = self.db.begin().await?;
        for mode in Reach::of_key(livemode).modes() {
            hurried += tx.run(&HURRY, args![mode, now]).await?;
        }
        tx.commit().await?;
        Ok(hurried)
    }

    pub(super) async fn end_question(
        &self,
        fetch: &ClaimedFetch,
        end: &FetchEnd,
    ) -> Result<(), StoreError> {
        let (id, epoch, now) = (&fetch.id, fetch.epoch, self.clock.now());
        let is_answered = matches!(end, FetchEnd::Done | FetchEnd::Gone);
        let mut tx = self.db.begin().await?;
        let end = match end {
            FetchEnd::Done if self.is_still_open(&mut tx, fetch).await? => self.once_more(fetch),
            end => end.clone(),
        };
        let none: Option<String> = None;
        let written = match end {
            FetchEnd::Done => tx.run(&END, args![id, epoch, "done", none, now]).await?,
            FetchEnd::Gone => tx.run(&END, args![id, epoch, "gone", none, now]).await?,
            FetchEnd::GivenUp(error) => {
                tx.run(&END, args![id, epoch, "given_up", error, now])
                    .await?
            }
            FetchEnd::Again { at, error } => tx.run(&AGAIN, args![id, epoch, error, at]).await?,
            FetchEnd::Denied { until, error } => {
                let held = tx.row(&HOLDS, args![id, epoch]).await?.is_some();
                if held {
                    let (reason, kind) = (fetch.reason.as_str(), &fetch.kind);
                    let kind = args![reason, kind, fetch.livemode, error, until, now, id];
                    tx.run(&DENY, kind).await?;
                }
                u64::from(held)
            }
        };
        if written == 0 {
            return Err(StoreError::Fenced);
        }
        if is_answered {
            let kind = args![fetch.reason.as_str(), &fetch.kind, fetch.livemode, now];
            tx.run(&RELEASE, kind).await?;
        }
        tx.commit().await
    }

    /// Whether an answer was taken in and left open what it was asked for.
    async fn is_still_open(
        &self,
        tx: &mut Transaction,
        fetch: &ClaimedFetch,
    ) -> Result<bool, StoreError> {
        let object = args![&fetch.account, fetch.livemode, &fetch.kind, &fetch.object];
        let Some(row) = tx.row(&ROW, object).await? else {
            return Ok(false);
        };
        Ok(match fetch.reason {
            Reason::Tie => row.flag("tie")?,
            Reason::List => {
                let fields: View = row.json("data")?;
                Family::parse(&fetch.kind).is_some_and(|family| is_cut_short(family, &fields))
            }
            Reason::Links | Reason::Thin => false,
        })
    }

    /// An answer of the very second that it is about, or one that something newer has overtaken.
    fn once_more(&self, fetch: &ClaimedFetch) -> FetchEnd {
        let error = "the answer did not settle it";
        if fetch.attempts.saturating_add(1) >= self.policy.attempts {
            return FetchEnd::GivenUp(error.to_owned());
        }
        let pause = AFTER_A_TIE.saturating_mul(fetch.attempts.saturating_add(1));
        FetchEnd::Again {
            at: self.clock.now().plus(pause),
            error: error.to_owned(),
        }
    }

    /// What Stripe was asked about the object of an event, whose id is `object`, and what came of it.
    pub(super) async fn questions_of(
        &self,
        event: &EventRecord,
        object: Option<String>,
        moment: Moment,
    ) -> Result<Vec<FetchRecord>, StoreError> {
        let Some((kind, object)) = asked_about(event, object) else {
            return Ok(Vec::new());
        };
        let asked = args![&event.account, event.livemode, kind, &object];
        let rows = self.db.rows(&OF_OBJECT, asked).await?;
        rows.iter()
            .map(|row| {
                let status = row.text("status")?;
                let waits = matches!(status.as_str(), "pending" | "denied");
                let not_before = row.time("not_before")?;
                Ok(FetchRecord {
                    reason: row.text("reason")?,
                    kind: row.text("kind")?,
                    id: row.text("object")?,
                    attempts: count(row, "attempts")?,
                    last_error: row.opt_text("last_error")?,
                    not_before: waits.then(|| not_before.iso()),
                    asked_at: row.time("asked_at")?.iso(),
                    ended_at: row.opt_time("ended_at")?.map(Timestamp::iso),
                    waits_for: waits::fetch(row, self.policy.reach, moment)?,
                    status,
                })
            })
            .collect()
    }

    /// How many questions there are that are not answered, by status.
    pub(super) async fn open_questions(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let rows = self.db.rows(&COUNTS, args![]).await?;
        rows.iter()
            .map(|row| {
                Ok((
                    row.text("status")?,
                    u64::try_from(row.int("n")?).unwrap_or(0),
                ))
            })
            .collect()
    }

    /// What the key lacks, each once.
    pub(super) async fn denials(&self) -> Result<Vec<String>, StoreError> {
        let rows = self.db.rows(&DENIED, args![]).await?;
        rows.iter().map(|row| row.text("last_error")).collect()
    }
}

/// What Stripe may have been asked about because of an event: kind and id.
fn asked_about(event: &EventRecord, object: Option<String>) -> Option<(&'static str, String)> {
    if is_thin(&event.r#type) {
        return Some((THIN, event.id.clone()));
    }
    let rule = rule_of(&event.r#type)?;
    let id = match rule.key {
        Key::Object => object,
        Key::Customer => event.customer.clone(),
        Key::Account => None,
    };
    Some((rule.family.as_str(), id?))
}

/// Whether any list of an object's row is known in part only.
pub(super) fn is_cut_short(family: Family, row: &View) -> bool {
    let is_marked = |mark: &str| row.get(mark) == Some(&Value::Bool(true));
    lists(family).iter().any(|list| is_marked(list.mark))
}
