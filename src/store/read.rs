//! Reading for people: lists newest first, and single rows with everything that belongs to them.
//!
//! Pages go on from a key, never by an offset, so the hundredth page costs what the first does.

use serde_json::{Value, json};

use super::apply::rows::{SNAPSHOTS, snapshots};
use super::database::{Row, args, statements};
use super::error::StoreError;
use super::shown::rows::{event, json as shown, message, run, tool_call};
use super::shown::{
    EventFilter, EventRecord, Listing, MessageRecord, ObjectFilter, ObjectRow, Page, RunRecord,
    ToolCallRecord,
};
use super::sql_store::SqlStore;
use super::waits::Moment;
use crate::clock::Timestamp;
use crate::guardrails::mandatory::snapshot::{Superseded, superseded};
use crate::guardrails::mandatory::{rule_of, update};
use crate::stripe::event::Event;

statements! {
    EVENTS: "SELECT * FROM events WHERE (received_at, id) < ((SELECT coalesce(max(received_at), 9223372036854775807) FROM events WHERE id = $1), coalesce($1, '~')) \
        AND (CAST($2 AS TEXT) IS NULL OR type = $2) AND created >= $3 AND (CAST($5 AS TEXT) IS NULL OR account = $5) AND (CAST($6 AS BIGINT) IS NULL OR livemode = $6) ORDER BY received_at DESC, id DESC LIMIT $4";
    EVENTS_OF_STATUS: "SELECT * FROM events WHERE (received_at, id) < ((SELECT coalesce(max(received_at), 9223372036854775807) FROM events WHERE id = $1), coalesce($1, '~')) \
        AND (CAST($2 AS TEXT) IS NULL OR type = $2) AND created >= $3 AND status = $5 AND (CAST($6 AS TEXT) IS NULL OR customer = $6) AND (CAST($7 AS TEXT) IS NULL OR account = $7) AND (CAST($8 AS BIGINT) IS NULL OR livemode = $8) ORDER BY received_at DESC, id DESC LIMIT $4";
    /// The same, with the list of a partial index word for word: SQLite uses the index for nothing else. What waits is in
    /// another order there and is sorted; `+ 0` keeps SQLite from walking all that is over instead.
    EVENTS_UNAPPLIED: "SELECT * FROM events WHERE (received_at + 0, id) < ((SELECT coalesce(max(received_at), 9223372036854775807) FROM events WHERE id = $1), coalesce($1, '~')) \
        AND (CAST($2 AS TEXT) IS NULL OR type = $2) AND created >= $3 AND status IN ('pending', 'retrying') AND status = $5 AND (CAST($6 AS TEXT) IS NULL OR customer = $6) AND (CAST($7 AS TEXT) IS NULL OR account = $7) AND (CAST($8 AS BIGINT) IS NULL OR livemode = $8) \
        ORDER BY received_at + 0 DESC, id DESC LIMIT $4";
    EVENTS_UNDONE: "SELECT * FROM events WHERE (received_at, id) < ((SELECT coalesce(max(received_at), 9223372036854775807) FROM events WHERE id = $1), coalesce($1, '~')) \
        AND (CAST($2 AS TEXT) IS NULL OR type = $2) AND created >= $3 AND status IN ('dead', 'retrying', 'applied', 'ignored') AND status = $5 \
        AND (CAST($6 AS TEXT) IS NULL OR customer = $6) AND (CAST($7 AS TEXT) IS NULL OR account = $7) AND (CAST($8 AS BIGINT) IS NULL OR livemode = $8) ORDER BY received_at DESC, id DESC LIMIT $4";
    EVENTS_OF_CUSTOMER: "SELECT * FROM events WHERE (received_at, id) < ((SELECT coalesce(max(received_at), 9223372036854775807) FROM events WHERE id = $1), coalesce($1, '~')) \
        AND (CAST($2 AS TEXT) IS NULL OR type = $2) AND created >= $3 AND customer = $5 AND (CAST($6 AS TEXT) IS NULL OR account = $6) AND (CAST($7 AS BIGINT) IS NULL OR livemode = $7) ORDER BY received_at DESC, id DESC LIMIT $4";
    EVENT: "SELECT * FROM events WHERE id = $1";
    BODY: "SELECT body FROM bodies WHERE event = $1 ORDER BY received_at, api_version LIMIT 1";
    DELIVERIES: "SELECT endpoint, api_version, received_at, body_sha256 FROM deliveries WHERE event = $1 ORDER BY id LIMIT 100";
    CHANGES: "SELECT entity, object, field, from_value, to_value, rule FROM changes WHERE event = $1 ORDER BY id";
    RUN: "SELECT * FROM runs WHERE id = $1";
    /// Of several, a win-back for example, the one that somebody or something waits for; else the first.
    RUN_OF_OCCURRENCE: "SELECT * FROM runs WHERE occurrence = $1 ORDER BY CASE WHEN status = 'failed' THEN 0 WHEN status IN ('waiting', 'running', 'deferred') THEN 1 ELSE 2 END, \
        CASE WHEN stage = 'first' THEN 0 ELSE 1 END LIMIT 1";
    RUNS: "SELECT * FROM runs WHERE (created_at, id) < ((SELECT coalesce(max(created_at), 9223372036854775807) FROM runs WHERE id = $1), coalesce($1, '~')) \
        ORDER BY created_at DESC, id DESC LIMIT $2";
    STEPS: "SELECT generation, seq, at, data FROM steps WHERE run = $1 ORDER BY generation, seq";
    CALLS: "SELECT c.*, coalesce(c.effect, e.status) AS became FROM tool_calls c LEFT JOIN effects e ON e.effect_key = c.effect_key AND e.run = c.run \
        WHERE (c.at, c.id) < ((SELECT coalesce(max(at), 9223372036854775807) FROM tool_calls WHERE id = $1), coalesce($1, '~')) ORDER BY c.at DESC, c.id DESC LIMIT $2";
    CALLS_OF_OCCURRENCE: "SELECT c.*, coalesce(c.effect, e.status) AS became FROM tool_calls c LEFT JOIN effects e ON e.effect_key = c.effect_key AND e.run = c.run \
        WHERE c.run IN (SELECT id FROM runs WHERE occurrence = $1) ORDER BY c.at, c.generation, c.seq";
    MESSAGES: "SELECT * FROM messages WHERE (created_at, id) < ((SELECT coalesce(max(created_at), 9223372036854775807) FROM messages WHERE id = $1), coalesce($1, '~')) \
        AND (CAST($2 AS TEXT) IS NULL OR status = $2) ORDER BY created_at DESC, id DESC LIMIT $3";
    MESSAGES_WAITING: "SELECT * FROM messages WHERE (created_at + 0, id) < ((SELECT coalesce(max(created_at), 9223372036854775807) FROM messages WHERE id = $1), coalesce($1, '~')) \
        AND status IN ('pending', 'sending') AND status = $2 ORDER BY created_at + 0 DESC, id DESC LIMIT $3";
    MESSAGES_UNSENT: "SELECT * FROM messages WHERE (created_at, id) < ((SELECT coalesce(max(created_at), 9223372036854775807) FROM messages WHERE id = $1), coalesce($1, '~')) \
        AND status IN ('unknown', 'failed', 'suppressed', 'expired', 'held', 'denied') AND status = $2 ORDER BY created_at DESC, id DESC LIMIT $3";
    MESSAGE: "SELECT * FROM messages WHERE id = $1";
    MESSAGES_OF_OCCURRENCE: "SELECT * FROM messages WHERE run IN (SELECT id FROM runs WHERE occurrence = $1) ORDER BY created_at, id";
    OBJECTS: "SELECT * FROM objects WHERE kind = $2 AND (created, id) < ((SELECT coalesce(max(created), 9223372036854775807) FROM objects WHERE kind = $2 AND id = $1 AND (CAST($4 AS TEXT) IS NULL OR account = $4) AND (CAST($5 AS BIGINT) IS NULL OR livemode = $5)), coalesce($1, '~')) \
        AND (CAST($4 AS TEXT) IS NULL OR account = $4) AND (CAST($5 AS BIGINT) IS NULL OR livemode = $5) ORDER BY created DESC, id DESC LIMIT $3";
    OBJECTS_OF_ACCOUNT: "SELECT * FROM objects WHERE account = $4 AND livemode = $5 AND kind = $2 \
        AND (created, id) < ((SELECT coalesce(max(created), 9223372036854775807) FROM objects WHERE account = $4 AND livemode = $5 AND kind = $2 AND id = $1), coalesce($1, '~')) \
        ORDER BY created DESC, id DESC LIMIT $3";
    OBJECT: "SELECT * FROM objects WHERE kind = $1 AND id = $2 ORDER BY account, livemode";
    /// An order's own id is one of its aliases, too: what is an id in one account may be an alias in another.
    ORDER_BY_ALIAS: "SELECT o.* FROM order_aliases a JOIN objects o ON o.account = a.account AND o.livemode = a.livemode AND o.kind = 'order' AND o.id = a.order_id \
        WHERE a.alias = $1 ORDER BY o.account, o.livemode";
    HOLDS: "SELECT owner, reason, placed_at, ends_at FROM holds WHERE account = $1 AND livemode = $2 AND released_at IS NULL AND ends_at > $4 AND (order_id = $3 \
        OR order_id IN (SELECT alias FROM order_aliases WHERE account = $1 AND livemode = $2 AND order_id = $3)) ORDER BY placed_at";
    ACCESS: "SELECT data FROM objects WHERE account = $1 AND livemode = $2 AND kind = 'access' AND id = $3";
}

fn rows_for(page: &Page) -> i64 {
    i64::from(page.limit) + 1
}

impl SqlStore {
    pub(super) async fn list_events(
        &self,
        filter: &EventFilter,
        page: &Page,
    ) -> Result<Listing<EventRecord>, StoreError> {
        let from = filter.created_from.unwrap_or(Timestamp(i64::MIN));
        let (after, kind, limit) = (&page.starting_after, &filter.event_type, rows_for(page));
        let (account, livemode) = (&filter.account, filter.livemode.map(i64::from));
        let rows = match (&filter.status, &filter.customer) {
            (Some(status), customer) => {
                let sql = match status.as_str() {
                    "pending" => &EVENTS_UNAPPLIED,
                    "retrying" | "dead" | "applied" | "ignored" => &EVENTS_UNDONE,
                    _ => &EVENTS_OF_STATUS,
                };
                self.db
                    .rows(
                        sql,
                        args![
                            after, kind, from, limit, status, customer, account, livemode
                        ],
                    )
                    .await?
            }
            (None, Some(customer)) => {
                self.db
                    .rows(
                        &EVENTS_OF_CUSTOMER,
                        args![after, kind, from, limit, customer, account, livemode],
                    )
                    .await?
            }
            (None, None) => {
                self.db
                    .rows(&EVENTS, args![after, kind, from, limit, account, livemode])
                    .await?
            }
        };
        let moment = self.moment().await?;
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut event = event(row)?;
            let run = match (&event.occurrence, event.status.as_str()) {
                (Some(occurrence), "applied" | "dead") => {
                    self.db.row(&RUN_OF_OCCURRENCE, args![occurrence]).await?
                }
                _ => None,
            };
            let run = match run {
                Some(run) => Some(self.shown_run(&run, moment).await?),
                None => None,
            };
            event.waits_for = self.event_waits(row, run.as_ref(), moment)?;
            events.push(event);
        }
        Ok(Listing::new(events, page.limit))
    }

    pub(super) async fn read_event(&self, id: &str) -> Result<Option<EventRecord>, StoreError> {
        let Some(found) = self.db.row(&EVENT, args![id]).await? else {
            return Ok(None);
        };
        let moment = self.moment().await?;
        let mut event = event(&found)?;
        if let Some(body) = self.db.row(&BODY, args![id]).await? {
            let body = body.bytes("body")?;
            event.payload = serde_json::from_slice(&body).unwrap_or(Value::Null);
            if event.stale {
                event.superseded_by = self.superseding(&event, &body).await?;
            }
        }
        for row in self.db.rows(&DELIVERIES, args![id]).await? {
            event.deliveries.push(json!({
                "endpoint": row.text("endpoint")?,
                "api_version": row.text("api_version")?,
                "received_at": row.time("received_at")?.iso(),
                "body_sha256": row.text("body_sha256")?,
            }));
        }
        for row in self.db.rows(&CHANGES, args![id]).await? {
            event.changes.push(json!({
                "entity": row.text("entity")?,
                "id": row.text("object")?,
                "field": row.text("field")?,
                "from": shown(row.opt_text("from_value")?),
                "to": shown(row.opt_text("to_value")?),
                "rule": row.text("rule")?,
            }));
        }
        event.fetches = self.questions_of(&event, found.opt_text("object")?).await?;
        if let Some(occurrence) = &event.occurrence
            && let Some(row) = self.db.row(&RUN_OF_OCCURRENCE, args![occurrence]).await?
        {
            let run = self.shown_run(&row, moment).await?;
            event.tool_calls = self.calls_of(occurrence).await?;
            let messages = self
                .db
                .rows(&MESSAGES_OF_OCCURRENCE, args![occurrence])
                .await?;
            event.messages = messages
                .iter()
                .map(|row| message(row, moment))
                .collect::<Result<_, _>>()?;
            event.run = Some(run);
        }
        event.waits_for = self.event_waits(&found, event.run.as_ref(), moment)?;
        Ok(Some(event))
    }

    /// What says better what this event says: asked of the projection itself, so that it cannot differ from it.
    async fn superseding(
        &self,
        event: &EventRecord,
        body: &[u8],
    ) -> Result<Vec<Superseded>, StoreError> {
        let (Some(rule), Ok(parsed)) = (
            rule_of(&event.r#type),
            Event::parse(body, Timestamp::default()),
        ) else {
            return Ok(Vec::new());
        };
        let object = update(rule, &parsed, &event.account)?.object;
        let asked = args![
            &event.account,
            event.livemode,
            rule.family.as_str(),
            &object
        ];
        let rows = self.db.rows(&SNAPSHOTS, asked).await?;
        Ok(superseded(
            &snapshots(rule.family, &object, &rows)?,
            &event.id,
        ))
    }

    async fn calls_of(&self, occurrence: &str) -> Result<Vec<ToolCallRecord>, StoreError> {
        self.db
            .rows(&CALLS_OF_OCCURRENCE, args![occurrence])
            .await?
            .iter()
            .map(tool_call)
            .collect()
    }

    pub(super) async fn list_runs(&self, page: &Page) -> Result<Listing<RunRecord>, StoreError> {
        let rows = self
            .db
            .rows(&RUNS, args![&page.starting_after, rows_for(page)])
            .await?;
        let moment = self.moment().await?;
        let mut runs = Vec::with_capacity(rows.len());
        for row in &rows {
            runs.push(self.shown_run(row, moment).await?);
        }
        Ok(Listing::new(runs, page.limit))
    }

    async fn shown_run(&self, row: &Row, moment: Moment) -> Result<RunRecord, StoreError> {
        let mut run = run(row)?;
        run.waits_for = self.run_waits(row, moment).await?;
        Ok(run)
    }

    pub(super) async fn read_run(&self, id: &str) -> Result<Option<RunRecord>, StoreError> {
        let Some(row) = self.db.row(&RUN, args![id]).await? else {
            return Ok(None);
        };
        let mut run = self.shown_run(&row, self.moment().await?).await?;
        for row in self.db.rows(&STEPS, args![id]).await? {
            run.steps.push(json!({
                "generation": row.int("generation")?,
                "seq": row.int("seq")?,
                "at": row.time("at")?.iso(),
                "data": shown(row.opt_text("data")?),
            }));
        }
        Ok(Some(run))
    }

    pub(super) async fn list_tool_calls(
        &self,
        page: &Page,
    ) -> Result<Listing<ToolCallRecord>, StoreError> {
        let rows = self
            .db
            .rows(&CALLS, args![&page.starting_after, rows_for(page)])
            .await?;
        Ok(Listing::new(
            rows.iter().map(tool_call).collect::<Result<_, _>>()?,
            page.limit,
        ))
    }

    pub(super) async fn list_messages(
        &self,
        status: Option<&str>,
        page: &Page,
    ) -> Result<Listing<MessageRecord>, StoreError> {
        let sql = match status {
            Some("pending" | "sending") => &MESSAGES_WAITING,
            Some("unknown" | "failed" | "suppressed" | "expired" | "held" | "denied") => {
                &MESSAGES_UNSENT
            }
            // Nearly all were sent, and so are the newest.
            _ => &MESSAGES,
        };
        let status = status.map(str::to_owned);
        let rows = self
            .db
            .rows(sql, args![&page.starting_after, status, rows_for(page)])
            .await?;
        let moment = self.moment().await?;
        let messages = rows
            .iter()
            .map(|row| message(row, moment))
            .collect::<Result<_, _>>()?;
        Ok(Listing::new(messages, page.limit))
    }

    pub(super) async fn read_message(&self, id: &str) -> Result<Option<MessageRecord>, StoreError> {
        let Some(row) = self.db.row(&MESSAGE, args![id]).await? else {
            return Ok(None);
        };
        let mut record = message(&row, self.moment().await?)?;
        record.text = Some(row.text("text")?);
        Ok(Some(record))
    }

    pub(super) async fn list_objects(
        &self,
        filter: &ObjectFilter,
        page: &Page,
    ) -> Result<Listing<ObjectRow>, StoreError> {
        let (after, kind, limit) = (&page.starting_after, &filter.kind, rows_for(page));
        let livemode = filter.livemode.map(i64::from);
        let sql = match (&filter.account, livemode) {
            (Some(_), Some(_)) => &OBJECTS_OF_ACCOUNT,
            _ => &OBJECTS,
        };
        let asked = args![after, kind, limit, &filter.account, livemode];
        let rows = self.db.rows(sql, asked).await?;
        let mut objects = Vec::with_capacity(rows.len());
        for row in &rows {
            objects.push(self.object_row(row).await?);
        }
        Ok(Listing::new(objects, page.limit))
    }

    pub(super) async fn read_object(
        &self,
        kind: &str,
        id: &str,
    ) -> Result<Vec<ObjectRow>, StoreError> {
        let rows = match kind {
            "order" => self.db.rows(&ORDER_BY_ALIAS, args![id]).await?,
            _ => self.db.rows(&OBJECT, args![kind, id]).await?,
        };
        let mut objects = Vec::with_capacity(rows.len());
        for row in &rows {
            objects.push(self.object_row(row).await?);
        }
        Ok(objects)
    }

    pub(super) async fn object_row(&self, row: &Row) -> Result<ObjectRow, StoreError> {
        let mut object = ObjectRow {
            account: row.text("account")?,
            livemode: row.flag("livemode")?,
            kind: row.text("kind")?,
            id: row.text("id")?,
            data: row.json("data")?,
            version: row.int("version")?,
            tie: row.flag("tie")?,
            beside: Value::Null,
        };
        match object.kind.as_str() {
            "order" => {
                let now = self.clock.now();
                let holds = self
                    .db
                    .rows(
                        &HOLDS,
                        args![&object.account, object.livemode, &object.id, now],
                    )
                    .await?;
                let holds: Vec<Value> = holds
                    .iter()
                    .map(|row| {
                        Ok(json!({
                            "owner": row.text("owner")?,
                            "reason": row.text("reason")?,
                            "placed_at": row.time("placed_at")?.iso(),
                            "ends_at": row.time("ends_at")?.iso(),
                        }))
                    })
                    .collect::<Result<_, StoreError>>()?;
                object.beside = Value::Array(holds);
            }
            "customer" => {
                let access = self
                    .db
                    .row(&ACCESS, args![&object.account, object.livemode, &object.id])
                    .await?;
                object.beside = access.map_or(Ok(Value::Null), |row| row.json("data"))?;
            }
            _ => {}
        }
        Ok(object)
    }
}
