//! Taking deliveries in, and handing events out to be applied.

mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::rows::{admissions, arrivals, bodies, envelopes};
use super::database::{args, list, statements};
use super::error::StoreError;
use super::records::{Accepted, ClaimedEvent, Delivery, Failure};
use super::sql_store::SqlStore;
use super::verdicts::Retried;
use crate::clock::{Timestamp, micros};
use crate::stripe::event::Event;

statements! {
    /// One statement for all rows of a batch: on SQLite the envelopes come as JSON, on PostgreSQL as arrays.
    INSERT_EVENTS: "INSERT INTO events (id, account, livemode, type, api_version, endpoint, created, received_at, customer, object, lane, status, last_error) \
        SELECT value->>'id', value->>'account', value->>'livemode', value->>'type', value->>'api_version', value->>'endpoint', \
               value->>'created', value->>'received_at', value->>'customer', value->>'object', value->>'lane', value->>'status', value->>'ignored' \
        FROM json_each($1) WHERE true ON CONFLICT (id) DO NOTHING RETURNING id",
        postgres: "INSERT INTO events (id, account, livemode, type, api_version, endpoint, created, received_at, customer, object, lane, status, last_error) \
        SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::BIGINT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::BIGINT[], $8::BIGINT[], $9::TEXT[], $10::TEXT[], $11::TEXT[], $12::TEXT[], $13::TEXT[]) \
        ON CONFLICT (id) DO NOTHING RETURNING id";
    /// On SQLite all bodies come as one blob that is cut by offset and length.
    INSERT_BODIES: "INSERT INTO bodies (event, api_version, received_at, body) \
        SELECT value->>'id', coalesce(value->>'api_version', ''), value->>'received_at', substr($2, value->>'offset', value->>'length') \
        FROM json_each($1) WHERE true ON CONFLICT (event, api_version) DO NOTHING RETURNING event",
        postgres: "INSERT INTO bodies (event, api_version, received_at, body) \
        SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::BIGINT[], $4::BYTEA[]) ON CONFLICT (event, api_version) DO NOTHING RETURNING event";
    INSERT_DELIVERIES: "INSERT INTO deliveries (event, endpoint, api_version, received_at, body_sha256) \
        SELECT value->>'id', value->>'endpoint', coalesce(value->>'api_version', ''), value->>'received_at', value->>'sha256' FROM json_each($1)",
        postgres: "INSERT INTO deliveries (event, endpoint, api_version, received_at, body_sha256) \
        SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::BIGINT[], $5::TEXT[])";
    /// A known event in another shape is applied once more, as one more snapshot. One that is being applied just now is
    /// written, too, and keeps its status: so whoever applies it waits for this body, or this waits for them.
    REOPEN: "UPDATE events SET not_before = CASE WHEN status IN ('applied', 'done') THEN 0 ELSE not_before END, \
        status = CASE WHEN status IN ('applied', 'done') THEN 'pending' ELSE status END WHERE id IN (SELECT value FROM json_each($1))",
        postgres: "UPDATE events SET not_before = CASE WHEN status IN ('applied', 'done') THEN 0 ELSE not_before END, \
        status = CASE WHEN status IN ('applied', 'done') THEN 'pending' ELSE status END \
        WHERE id = ANY (ARRAY(SELECT id FROM events WHERE id IN (SELECT value FROM json_each($1)) ORDER BY id FOR UPDATE))";
    /// An event that nobody wanted where it came first (another mode, a foreign account, a type that nothing handled yet),
    /// and that is wanted where it comes now. It counts as received now: what follows from it must not take it for fresh.
    ADMIT: "UPDATE events SET status = 'pending', last_error = NULL, account = now.account, endpoint = now.endpoint, received_at = now.received_at, lane = now.lane \
        FROM (SELECT value->>'id' AS id, value->>'account' AS account, value->>'endpoint' AS endpoint, value->>'received_at' AS received_at, value->>'lane' AS lane FROM json_each($1)) AS now \
        WHERE events.id = now.id AND events.status = 'ignored'",
        postgres: "UPDATE events SET status = 'pending', last_error = NULL, account = now.account, endpoint = now.endpoint, received_at = now.received_at, lane = now.lane \
        FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::BIGINT[], $5::TEXT[]) AS now (id, account, endpoint, received_at, lane) \
        WHERE events.id = now.id AND events.id = ANY (ARRAY(SELECT id FROM events WHERE id = ANY ($1) AND status = 'ignored' ORDER BY id FOR UPDATE))";
    BACKLOG: "SELECT count(*) AS n FROM (SELECT 1 AS one FROM events WHERE status IN ('pending', 'retrying') LIMIT $1) AS bounded";
    /// An array, because PostgreSQL may run a subquery of `IN` more than once, and would then claim over the limit. A
    /// body's length is known without reading the body.
    CLAIM: "UPDATE events SET lease_until = $1, epoch = epoch + 1 WHERE id IN ( \
            SELECT id FROM events WHERE status IN ('pending', 'retrying') AND not_before <= $2 AND lease_until < $3 \
            ORDER BY not_before, received_at LIMIT $4) \
        RETURNING id, epoch, account, livemode, type, received_at, attempts, \
            coalesce((SELECT sum(length(body)) FROM bodies WHERE event = events.id AND applied = 0), 0) AS bytes",
        postgres: "UPDATE events SET lease_until = $1, epoch = epoch + 1 WHERE id = ANY (ARRAY( \
            SELECT id FROM events WHERE status IN ('pending', 'retrying') AND not_before <= $2 AND lease_until < $3 \
            ORDER BY not_before, received_at LIMIT $4 FOR UPDATE SKIP LOCKED)) \
        RETURNING id, epoch, account, livemode, type, received_at, attempts, \
            coalesce((SELECT sum(length(body)) FROM bodies WHERE event = events.id AND applied = 0), 0)::BIGINT AS bytes";
    UNCLAIM: "UPDATE events SET lease_until = 0 WHERE id IN (SELECT value FROM json_each($1))";
    UNAPPLIED: "SELECT event, api_version, body FROM bodies WHERE applied = 0 AND event IN (SELECT value FROM json_each($1)) ORDER BY event, api_version";
    /// What ends a claim spends its epoch: whoever had no answer and writes again is refused, not counted twice.
    FAIL: "UPDATE events SET status = $3, last_error = $4, not_before = $5, attempts = attempts + $6, lease_until = 0, epoch = epoch + 1 WHERE id = $1 AND epoch = $2";
    STATUS: "SELECT status, applied_at, occurrence, (SELECT count(*) FROM bodies WHERE event = events.id AND applied = 0) AS unapplied FROM events WHERE id = $1";
    RETRY_APPLY: "UPDATE events SET status = 'pending', attempts = 0, not_before = 0, lease_until = 0, last_error = NULL WHERE id = $1 AND status IN ('dead', 'retrying')";
    /// A lane is held before its runs are written, as whoever claims it does: the two cannot wait for each other.
    HOLD_LANES: "SELECT lane FROM lanes WHERE lane IN (SELECT lane FROM runs WHERE occurrence = $1) ORDER BY lane",
        postgres: "SELECT lane FROM lanes WHERE lane IN (SELECT lane FROM runs WHERE occurrence = $1) ORDER BY lane FOR UPDATE";
    /// One that was never tried waits for its own time, and is left to it.
    RETRY_RUN: "UPDATE runs SET status = 'waiting', attempts = 0, due_at = $2, reason = NULL, ended_at = NULL WHERE occurrence = $1 \
        AND (status IN ('failed', 'deferred') OR (status = 'waiting' AND attempts > 0)) RETURNING lane";
    RETRY_RUN_EVENTS: "UPDATE events SET status = 'applied', last_error = NULL WHERE occurrence = $1 AND status IN ('dead', 'retrying')";
    WAKE_LANE: "INSERT INTO lanes (lane, next_due) VALUES ($1, $2) ON CONFLICT (lane) DO UPDATE SET next_due = \
        CASE WHEN lanes.next_due IS NULL OR lanes.next_due > excluded.next_due THEN excluded.next_due ELSE lanes.next_due END";
}

/// The bytes of bodies that are claimed at once, unless one event alone has more: all of them are in memory until the
/// last is applied.
const CLAIM_BYTES: i64 = 8 << 20;

/// How many of the first fit into `room`; one always does.
fn first_of(room: i64, sizes: impl IntoIterator<Item = i64>) -> usize {
    let mut sum = 0_i64;
    sizes
        .into_iter()
        .take_while(|size| {
            let fits = sum == 0 || sum.saturating_add(*size) <= room;
            sum = sum.saturating_add(*size);
            fits
        })
        .count()
}

/// The lane of an event: its customer's, else its object's, else its own.
pub(super) fn lane(account: &str, livemode: bool, event: &Event) -> String {
    let mode = if livemode { "live" } else { "test" };
    match (event.customer(), event.object_id()) {
        (Some(customer), _) => format!("{account}/{mode}/customer/{customer}"),
        (None, Some(object)) => format!("{account}/{mode}/object/{object}"),
        (None, None) => format!("{account}/{mode}/event/{}", event.id),
    }
}

impl SqlStore {
    pub(super) async fn ingest_batch(
        &self,
        batch: &[Delivery],
    ) -> Result<Vec<Accepted>, StoreError> {
        // Rows go in sorted by key, so that two processes that take in the same events cannot deadlock.
        let mut firsts: BTreeMap<&str, &Delivery> = BTreeMap::new();
        let mut shapes: BTreeMap<(&str, &str), &Delivery> = BTreeMap::new();
        for delivery in batch {
            let first = firsts.entry(&delivery.event.id).or_insert(delivery);
            if first.ignored.is_some() && delivery.ignored.is_none() {
                // Two endpoints have it, and only the other one wants it.
                *first = delivery;
            }
            let version = delivery.event.api_version.as_deref().unwrap_or_default();
            shapes
                .entry((&delivery.event.id, version))
                .or_insert(delivery);
        }
        let firsts: Vec<&Delivery> = firsts.into_values().collect();
        let shapes: Vec<&Delivery> = shapes.into_values().collect();
        let all: Vec<&Delivery> = batch.iter().collect();
        let mut tx = self.db.begin().await?;
        let sqlite = tx.is_sqlite();
        let inserted: BTreeSet<String> = tx
            .rows(&INSERT_EVENTS, &envelopes(&firsts, sqlite))
            .await?
            .iter()
            .map(|row| row.text("id"))
            .collect::<Result<_, _>>()?;
        let blob = if sqlite {
            shapes.iter().flat_map(|d| d.body.iter().copied()).collect()
        } else {
            Vec::new()
        };
        let reshaped: BTreeSet<String> = tx
            .rows(&INSERT_BODIES, &bodies(&shapes, &blob, sqlite))
            .await?
            .iter()
            .map(|row| row.text("event"))
            .collect::<Result<_, _>>()?;
        tx.run(&INSERT_DELIVERIES, &arrivals(&all, sqlite)).await?;
        let again = list(reshaped.difference(&inserted).map(String::as_str));
        if reshaped.difference(&inserted).next().is_some() {
            tx.run(&REOPEN, args![&again]).await?;
        }
        let wanted = |d: &&Delivery| d.ignored.is_none() && !inserted.contains(&d.event.id);
        let wanted: Vec<&Delivery> = firsts.into_iter().filter(wanted).collect();
        if !wanted.is_empty() {
            tx.run(&ADMIT, &admissions(&wanted, sqlite)).await?;
        }
        tx.commit().await?;
        // Of several deliveries of one new event in this batch, the first is the accepted one.
        let mut fresh: BTreeSet<&str> = inserted.iter().map(String::as_str).collect();
        Ok(batch
            .iter()
            .map(|d| {
                if fresh.remove(d.event.id.as_str()) {
                    Accepted::Accepted
                } else {
                    Accepted::Duplicate
                }
            })
            .collect())
    }

    pub(super) async fn count_backlog(&self, bound: u64) -> Result<u64, StoreError> {
        let limit = i64::try_from(bound).unwrap_or(i64::MAX);
        let counted = self
            .db
            .row(&BACKLOG, args![limit])
            .await?
            .map_or(Ok(0), |row| row.int("n"))?;
        Ok(u64::try_from(counted).unwrap_or(0))
    }

    pub(super) async fn claim_pending(
        &self,
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<ClaimedEvent>, StoreError> {
        let mut tx = self.db.begin().await?;
        let now = tx.lease_clock(self.clock.as_ref()).await?;
        let rows = tx
            .rows(
                &CLAIM,
                args![
                    now.0.saturating_add(micros(lease)),
                    self.clock.now(),
                    now,
                    i64::from(limit)
                ],
            )
            .await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            let event = ClaimedEvent {
                id: row.text("id")?,
                epoch: row.int("epoch")?,
                attempts: u32::try_from(row.int("attempts")?).unwrap_or(u32::MAX),
                account: row.text("account")?,
                livemode: row.flag("livemode")?,
                event_type: row.text("type")?,
                received_at: row.time("received_at")?,
                bodies: Vec::new(),
            };
            events.push((row.int("bytes")?, event));
        }
        events.sort_by_key(|(_, event)| event.received_at);
        let kept = first_of(CLAIM_BYTES, events.iter().map(|(bytes, _)| *bytes));
        let rest = events.split_off(kept);
        if !rest.is_empty() {
            let ids = list(rest.iter().map(|(_, event)| event.id.as_str()));
            tx.run(&UNCLAIM, args![&ids]).await?;
        }
        let mut events: Vec<ClaimedEvent> = events.into_iter().map(|(_, event)| event).collect();
        let ids = list(events.iter().map(|event| event.id.as_str()));
        let mut unapplied: BTreeMap<String, Vec<(String, Vec<u8>)>> = BTreeMap::new();
        for row in tx.rows(&UNAPPLIED, args![&ids]).await? {
            unapplied
                .entry(row.text("event")?)
                .or_default()
                .push((row.text("api_version")?, row.bytes("body")?));
        }
        tx.commit().await?;
        for event in &mut events {
            event.bodies = unapplied.remove(&event.id).unwrap_or_default();
        }
        Ok(events)
    }

    pub(super) async fn fail(
        &self,
        event: &ClaimedEvent,
        error: &str,
        failure: Failure,
    ) -> Result<(), StoreError> {
        let (status, not_before, counts) = match failure {
            Failure::Retry(at) => ("retrying", at, true),
            Failure::Postpone(at) => ("retrying", at, false),
            Failure::Dead => ("dead", Timestamp::default(), true),
        };
        let mut tx = self.db.begin().await?;
        if tx
            .run(
                &FAIL,
                args![&event.id, event.epoch, status, error, not_before, counts],
            )
            .await?
            == 0
        {
            return Err(StoreError::Fenced);
        }
        tx.commit().await
    }

    pub(super) async fn retry(&self, id: &str) -> Result<Retried, StoreError> {
        let mut tx = self.db.begin().await?;
        let Some(row) = tx.row(&STATUS, args![id]).await? else {
            return Ok(Retried::Missing);
        };
        let status = row.text("status")?;
        // Of an applied event the run may be between two tries.
        if !matches!(status.as_str(), "dead" | "retrying" | "applied") {
            return Ok(Retried::NotDead);
        }
        // An event that is applied may be sent once more in another shape, and fail at that.
        let applied = row.opt_int("applied_at")?.is_some() && row.int("unapplied")? == 0;
        match row.opt_text("occurrence")?.filter(|_| applied) {
            // What failed is its run, and that is what goes on.
            Some(occurrence) => {
                let now = self.clock.now();
                tx.rows(&HOLD_LANES, args![&occurrence]).await?;
                let lanes = tx.rows(&RETRY_RUN, args![&occurrence, now]).await?;
                if lanes.is_empty() && status == "applied" {
                    return Ok(Retried::NotDead);
                }
                for lane in lanes {
                    tx.run(&WAKE_LANE, args![lane.text("lane")?, now]).await?;
                }
                tx.run(&RETRY_RUN_EVENTS, args![&occurrence]).await?;
            }
            None => {
                tx.run(&RETRY_APPLY, args![id]).await?;
            }
        }
        tx.commit().await?;
        Ok(Retried::Retrying)
    }
}
