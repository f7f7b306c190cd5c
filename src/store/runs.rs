//! Follow-ups from their schedule to the last step of their journal.

use std::collections::BTreeMap;
use std::time::Duration;

use super::database::{Transaction, args, statements};
use super::error::StoreError;
use super::inbox::WAKE_LANE;
use super::records::{ClaimedRun, NewStep, Release, RunInput, Step};
use super::shown::ObjectRow;
use super::sql_store::SqlStore;
use crate::clock::{Timestamp, micros};

statements! {
    DUE_SCHEDULES: "SELECT effect_key, account, livemode, playbook, customer, subscription, occurrence, event, due_at FROM schedules \
        WHERE status = 'pending' AND due_at <= $1 ORDER BY due_at LIMIT $2",
        postgres: "SELECT effect_key, account, livemode, playbook, customer, subscription, occurrence, event, due_at FROM schedules \
        WHERE status = 'pending' AND due_at <= $1 ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED";
    SCHEDULE_DONE: "UPDATE schedules SET status = 'done' WHERE effect_key = $1";
    INSERT_RUN: "INSERT INTO runs (id, account, livemode, lane, event, occurrence, playbook, stage, customer, status, due_at, decide_by, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'waiting', $10, $11, $12) ON CONFLICT (occurrence, stage) DO NOTHING";
    ANY_SCHEDULE: "SELECT 1 AS one FROM schedules WHERE status = 'pending' AND due_at <= $1 LIMIT 1";
    /// A lane waits until its customer's received events are applied. For one that failed it does not wait for ever, nor
    /// for what came after its follow-up was due; all else is on its way, however long the backlog. This reads past every
    /// lane that waits, so no transaction that writes may ask it.
    DUE_LANES: "SELECT l.lane FROM lanes l WHERE l.next_due <= $1 AND l.lease_until < $2 AND NOT EXISTS ( \
            SELECT 1 FROM events e WHERE e.lane = l.lane AND e.status IN ('pending', 'retrying') \
            AND (e.received_at > $3 OR e.status = 'pending' AND e.received_at <= l.next_due)) \
        ORDER BY l.next_due LIMIT $4";
    /// One lane by its key, and only if it still is as it was when it was found.
    CLAIM_LANE: "UPDATE lanes SET lease_until = $1, epoch = epoch + 1 WHERE lane = ( \
            SELECT l.lane FROM lanes l WHERE l.lane = $5 AND l.next_due <= $2 AND l.lease_until < $3 AND NOT EXISTS ( \
                SELECT 1 FROM events e WHERE e.lane = l.lane AND e.status IN ('pending', 'retrying') \
                AND (e.received_at > $4 OR e.status = 'pending' AND e.received_at <= l.next_due))) RETURNING epoch",
        postgres: "UPDATE lanes SET lease_until = $1, epoch = epoch + 1 WHERE lane = ( \
            SELECT l.lane FROM lanes l WHERE l.lane = $5 AND l.next_due <= $2 AND l.lease_until < $3 AND NOT EXISTS ( \
                SELECT 1 FROM events e WHERE e.lane = l.lane AND e.status IN ('pending', 'retrying') \
                AND (e.received_at > $4 OR e.status = 'pending' AND e.received_at <= l.next_due)) \
            FOR UPDATE SKIP LOCKED) RETURNING epoch";
    /// Locked, because an event that is applied at this moment may merge it away.
    NEXT_RUN: "SELECT id, playbook, stage, event, occurrence, account, livemode, customer, generation, attempts, decide_by, started_at, prompt_hash, tools_hash FROM runs \
        WHERE lane = $1 AND status IN ('waiting', 'running', 'deferred') AND due_at <= $2 ORDER BY due_at, id LIMIT 1",
        postgres: "SELECT id, playbook, stage, event, occurrence, account, livemode, customer, generation, attempts, decide_by, started_at, prompt_hash, tools_hash FROM runs \
        WHERE lane = $1 AND status IN ('waiting', 'running', 'deferred') AND due_at <= $2 ORDER BY due_at, id LIMIT 1 FOR UPDATE";
    START: "UPDATE runs SET status = 'running', started_at = coalesce(started_at, $2) WHERE id = $1 AND status IN ('waiting', 'running', 'deferred')";
    NEW_GENERATION: "UPDATE runs SET generation = $2, started_at = $3, prompt_hash = NULL, tools_hash = NULL WHERE id = $1";
    /// When the lane is due again: its next open run, if there is one. The epoch is spent: a renewal that is still on its
    /// way must not lease the lane to nobody.
    FREE_LANE: "UPDATE lanes SET lease_until = 0, epoch = epoch + 1, next_due = ( \
            SELECT min(due_at) FROM runs WHERE runs.lane = lanes.lane AND status IN ('waiting', 'running', 'deferred')) \
        WHERE lane = $1 AND epoch = $2";
    HOLDS: "SELECT 1 AS one FROM lanes WHERE lane = $1 AND epoch = $2",
        postgres: "SELECT 1 AS one FROM lanes WHERE lane = $1 AND epoch = $2 FOR UPDATE";
    RENEW: "UPDATE lanes SET lease_until = $3 WHERE lane = $1 AND epoch = $2";
    EVENT_TYPE: "SELECT type FROM events WHERE id = $1";
    STEPS: "SELECT seq, at, data FROM steps WHERE run = $1 AND generation = $2 ORDER BY seq";
    INSERT_STEP: "INSERT INTO steps (run, generation, seq, at, data) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (run, generation, seq) DO NOTHING";
    SAME_STEP: "SELECT 1 AS one FROM steps WHERE run = $1 AND generation = $2 AND seq = $3 AND data = $4";
    /// The last that answered: another endpoint may, from one question to the next.
    NOTE_MODEL: "UPDATE runs SET model = $2, prompt_hash = $3, tools_hash = $4 WHERE id = $1";
    INSERT_CALL: "INSERT INTO tool_calls (id, run, event, generation, seq, tool, arguments, by, verdict, rule, reason, effect_key, result, at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    /// Only what failed spends an attempt; waiting for a model and being stopped do not.
    GIVE_BACK: "UPDATE runs SET status = $2, due_at = $3, reason = $4, ended_at = CASE WHEN $2 = 'failed' THEN CAST($5 AS BIGINT) END, \
        generation = generation + $6, started_at = CASE WHEN $6 = 1 THEN NULL ELSE started_at END, \
        attempts = attempts + $7 WHERE id = $1 AND status = 'running'";
    /// The leading event is done already when a later run of its occurrence fails, a win-back for example.
    EVENTS_DEAD: "UPDATE events SET status = 'dead', last_error = $2 WHERE occurrence = $1 AND (status = 'applied' OR (status = 'done' AND id = $3))";
    PAYMENTS: "SELECT account, livemode, kind, id, data, version, tie FROM objects WHERE account = $1 AND livemode = $2 AND customer = $3 AND kind = 'payment_intent' \
        ORDER BY created DESC, id DESC LIMIT $4";
}

/// After this long a resumed run starts a new generation: what it read is too old to act on.
const STALE_JOURNAL: Duration = Duration::from_mins(5);

/// Lanes that are looked for at once: others may take some of them before their claim.
const LANES_AT_ONCE: usize = 8;

impl SqlStore {
    pub(super) async fn promote(&self, limit: u32) -> Result<u64, StoreError> {
        let now = self.clock.now();
        if self.db.row(&ANY_SCHEDULE, args![now]).await?.is_none() {
            return Ok(0);
        }
        let mut tx = self.db.begin().await?;
        let due = tx
            .rows(&DUE_SCHEDULES, args![now, i64::from(limit)])
            .await?;
        let mut lanes: BTreeMap<String, Timestamp> = BTreeMap::new();
        for row in &due {
            let (account, livemode) = (row.text("account")?, row.flag("livemode")?);
            let customer = row.opt_text("customer")?;
            let mode = if livemode { "live" } else { "test" };
            let lane = match (&customer, row.opt_text("subscription")?) {
                (Some(customer), _) => format!("{account}/{mode}/customer/{customer}"),
                (None, subscription) => format!(
                    "{account}/{mode}/object/{}",
                    subscription.unwrap_or_default()
                ),
            };
            let due_at = row.time("due_at")?;
            tx.run(
                &INSERT_RUN,
                args![
                    self.ids.next("run"),
                    &account,
                    livemode,
                    &lane,
                    row.text("event")?,
                    row.text("occurrence")?,
                    row.text("playbook")?,
                    "winback",
                    &customer,
                    due_at,
                    now.plus(self.policy.decide_by),
                    now,
                ],
            )
            .await?;
            let first = lanes.entry(lane).or_insert(due_at);
            *first = due_at.min(*first);
            tx.run(&SCHEDULE_DONE, args![row.text("effect_key")?])
                .await?;
        }
        // Sorted, so that two processes that promote at once cannot wait for each other.
        for (lane, due_at) in &lanes {
            tx.run(&WAKE_LANE, args![lane, *due_at]).await?;
        }
        tx.commit().await?;
        Ok(due.len() as u64)
    }

    pub(super) async fn claim_due_run(
        &self,
        lease: Duration,
    ) -> Result<Option<ClaimedRun>, StoreError> {
        loop {
            let lanes = self.due_lanes().await?;
            for lane in &lanes {
                if let Some(run) = self.claim_lane(lane, lease).await? {
                    return Ok(Some(run));
                }
            }
            // Fewer than were asked for are all there are.
            if lanes.len() < LANES_AT_ONCE {
                return Ok(None);
            }
        }
    }

    async fn due_lanes(&self) -> Result<Vec<String>, StoreError> {
        let now = self.clock.now();
        let leased = self.db.lease_clock(self.clock.as_ref()).await?;
        let patience = now.minus(self.policy.patience());
        let most = i64::try_from(LANES_AT_ONCE).unwrap_or(i64::MAX);
        let lanes = args![now, leased, patience, most];
        let lanes = self.db.rows(&DUE_LANES, lanes).await?;
        lanes.iter().map(|row| row.text("lane")).collect()
    }

    /// Claims a lane and its next run; nothing if another worker has it by now, or it has nothing to do.
    async fn claim_lane(
        &self,
        lane: &str,
        lease: Duration,
    ) -> Result<Option<ClaimedRun>, StoreError> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let leased = tx.lease_clock(self.clock.as_ref()).await?;
        let patience = now.minus(self.policy.patience());
        let until = leased.0.saturating_add(micros(lease));
        let claim = args![until, now, leased, patience, lane];
        let Some(row) = tx.row(&CLAIM_LANE, claim).await? else {
            return Ok(None);
        };
        let epoch = row.int("epoch")?;
        let Some(row) = tx.row(&NEXT_RUN, args![lane, now]).await? else {
            // What was due is merged or done by now; freed, the lane says when it is due next.
            tx.run(&FREE_LANE, args![lane, epoch]).await?;
            tx.commit().await?;
            return Ok(None);
        };
        let mut run = ClaimedRun {
            id: row.text("id")?,
            lane: lane.to_owned(),
            epoch,
            playbook: row.text("playbook")?,
            stage: row.text("stage")?,
            event: row.text("event")?,
            occurrence: row.text("occurrence")?,
            account: row.text("account")?,
            livemode: row.flag("livemode")?,
            customer: row.opt_text("customer")?,
            generation: row.int("generation")?,
            attempts: u32::try_from(row.int("attempts")?).unwrap_or(u32::MAX),
            decide_by: row.time("decide_by")?,
            started_at: row.opt_time("started_at")?.unwrap_or(now),
            prompt_hash: row.opt_text("prompt_hash")?,
            tools_hash: row.opt_text("tools_hash")?,
        };
        if now.since(run.started_at) > STALE_JOURNAL {
            (run.generation, run.started_at) = (run.generation + 1, now);
            (run.prompt_hash, run.tools_hash) = (None, None);
            tx.run(&NEW_GENERATION, args![&run.id, run.generation, now])
                .await?;
        }
        tx.run(&START, args![&run.id, now]).await?;
        tx.commit().await?;
        Ok(Some(run))
    }

    pub(super) async fn load_input(&self, run: &ClaimedRun) -> Result<RunInput, StoreError> {
        let mut tx = self.db.begin().await?;
        let (occurrence, standing) = self.standing(&mut tx, &run.occurrence).await?;
        let event_type = tx
            .row(&EVENT_TYPE, args![&run.event])
            .await?
            .map(|row| row.text("type"))
            .transpose()?;
        let mut steps = Vec::new();
        for row in tx.rows(&STEPS, args![&run.id, run.generation]).await? {
            steps.push(Step {
                seq: row.int("seq")?,
                at: row.time("at")?,
                data: row.json("data")?,
            });
        }
        Ok(RunInput {
            occurrence,
            event_type: event_type.unwrap_or_default(),
            standing,
            steps,
        })
    }

    pub(super) async fn commit_step(
        &self,
        run: &ClaimedRun,
        step: &NewStep,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        fence(&mut tx, run).await?;
        let data = step.data.to_string();
        let inserted = tx
            .run(
                &INSERT_STEP,
                args![&run.id, run.generation, step.seq, now, &data],
            )
            .await?;
        if inserted == 0 {
            // Nobody else writes under this fence, so it is ours: it was committed and only the answer was lost.
            let step = args![&run.id, run.generation, step.seq, &data];
            return match tx.row(&SAME_STEP, step).await? {
                Some(_) => Ok(()),
                None => Err(StoreError::Inconsistent {
                    column: "steps.data",
                    what: "another step has this number",
                }),
            };
        }
        if let Some(model) = &step.model {
            let with = args![&run.id, model, &step.prompt_hash, &step.tools_hash];
            tx.run(&NOTE_MODEL, with).await?;
        }
        if let Some(call) = &step.call {
            tx.run(
                &INSERT_CALL,
                args![
                    self.ids.next("call"),
                    &run.id,
                    &run.event,
                    run.generation,
                    step.seq,
                    &call.tool,
                    call.arguments.to_string(),
                    call.by,
                    call.verdict,
                    &call.rule,
                    &call.reason,
                    &call.effect_key,
                    call.result.to_string(),
                    now,
                ],
            )
            .await?;
        }
        if let Some(spending) = &step.spending {
            self.spend(&mut tx, run, spending).await?;
        }
        tx.commit().await
    }

    pub(super) async fn renew(&self, run: &ClaimedRun, lease: Duration) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        let until = tx.lease_clock(self.clock.as_ref()).await?.plus(lease);
        if tx.run(&RENEW, args![&run.lane, run.epoch, until]).await? == 0 {
            return Err(StoreError::Fenced);
        }
        tx.commit().await
    }

    pub(super) async fn give_back(
        &self,
        run: &ClaimedRun,
        release: &Release,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        fence(&mut tx, run).await?;
        let now = self.clock.now();
        let given = tx
            .run(
                &GIVE_BACK,
                args![
                    &run.id,
                    release.status,
                    release.due_at,
                    &release.error,
                    now,
                    release.start_over,
                    release.is_failure,
                ],
            )
            .await?;
        if given == 0 {
            // It had ended: its finishing transaction was committed and only the answer was lost.
            return Err(StoreError::Fenced);
        }
        if release.status == "failed" {
            let dead = args![&run.occurrence, &release.error, &run.event];
            tx.run(&EVENTS_DEAD, dead).await?;
        }
        tx.run(&FREE_LANE, args![&run.lane, run.epoch]).await?;
        tx.commit().await
    }

    pub(super) async fn read_payments(
        &self,
        account: &str,
        livemode: bool,
        customer: &str,
        limit: u32,
    ) -> Result<Vec<ObjectRow>, StoreError> {
        let rows = self
            .db
            .rows(
                &PAYMENTS,
                args![account, livemode, customer, i64::from(limit)],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(ObjectRow {
                    account: row.text("account")?,
                    livemode: row.flag("livemode")?,
                    kind: row.text("kind")?,
                    id: row.text("id")?,
                    data: row.json("data")?,
                    version: row.int("version")?,
                    tie: row.flag("tie")?,
                    beside: serde_json::Value::Null,
                })
            })
            .collect()
    }
}

/// Refuses to write for a lane that another worker has taken over.
pub(super) async fn fence(tx: &mut Transaction, run: &ClaimedRun) -> Result<(), StoreError> {
    match tx.row(&HOLDS, args![&run.lane, run.epoch]).await? {
        Some(_) => Ok(()),
        None => Err(StoreError::Fenced),
    }
}
