//! Reading for people: single rows with everything that belongs to them. Lists are in `lists.rs`.

use serde_json::{Value, json};

use super::apply::rows::{SNAPSHOTS, snapshots};
use super::database::{Row, args, statements};
use super::error::StoreError;
use super::shown::rows::{event, message, parsed as shown, run, tool_call};
use super::shown::{EventRecord, MessageRecord, ObjectRow, RunRecord, ToolCallRecord};
use super::sql_store::SqlStore;
use super::waits::Moment;
use crate::clock::Timestamp;
use crate::guardrails::mandatory::snapshot::{Superseded, superseded};
use crate::guardrails::mandatory::{rule_of, update};
use crate::stripe::event::Event;

statements! {
    EVENT: "SELECT * FROM events WHERE id = $1";
    BODY: "SELECT body FROM bodies WHERE event = $1 ORDER BY received_at, api_version LIMIT 1";
    DELIVERIES: "SELECT endpoint, api_version, received_at, body_sha256 FROM deliveries WHERE event = $1 ORDER BY id LIMIT 100";
    CHANGES: "SELECT entity, object, field, from_value, to_value, rule FROM changes WHERE event = $1 ORDER BY id";
    RUN: "SELECT * FROM runs WHERE id = $1";
    /// Of several, a win-back for example, the one that somebody or something waits for; else the first.
    RUN_OF_OCCURRENCE: "SELECT * FROM runs WHERE occurrence = $1 ORDER BY CASE WHEN status = 'failed' THEN 0 WHEN status IN ('waiting', 'running', 'deferred') THEN 1 ELSE 2 END, \
        CASE WHEN stage = 'first' THEN 0 ELSE 1 END LIMIT 1";
    STEPS: "SELECT generation, seq, at, data FROM steps WHERE run = $1 ORDER BY generation, seq";
    CALLS_OF_OCCURRENCE: "SELECT c.*, coalesce(c.effect, e.status) AS became FROM tool_calls c LEFT JOIN effects e ON e.effect_key = c.effect_key AND e.run = c.run \
        WHERE c.run IN (SELECT id FROM runs WHERE occurrence = $1) ORDER BY c.at, c.generation, c.seq";
    MESSAGE: "SELECT * FROM messages WHERE id = $1";
    MESSAGES_OF_OCCURRENCE: "SELECT * FROM messages WHERE run IN (SELECT id FROM runs WHERE occurrence = $1) ORDER BY created_at, id";
    OBJECT: "SELECT * FROM objects WHERE kind = $1 AND id = $2 ORDER BY account, livemode";
    /// A customer whose own object has not come, and who has access by a subscription that has.
    KNOWN_BY_ACCESS: "SELECT a.* FROM objects a WHERE a.kind = 'access' AND a.id = $1 AND NOT EXISTS (SELECT 1 FROM objects c \
        WHERE c.account = a.account AND c.livemode = a.livemode AND c.kind = 'customer' AND c.id = a.id) ORDER BY a.account, a.livemode";
    /// An order's own id is one of its aliases, too: what is an id in one account may be an alias in another.
    ORDER_BY_ALIAS: "SELECT o.* FROM order_aliases a JOIN objects o ON o.account = a.account AND o.livemode = a.livemode AND o.kind = 'order' AND o.id = a.order_id \
        WHERE a.alias = $1 ORDER BY o.account, o.livemode";
    HOLDS: "SELECT owner, reason, placed_at, ends_at FROM holds WHERE account = $1 AND livemode = $2 AND released_at IS NULL AND ends_at > $4 AND (order_id = $3 \
        OR order_id IN (SELECT alias FROM order_aliases WHERE account = $1 AND livemode = $2 AND order_id = $3)) ORDER BY placed_at";
    ACCESS: "SELECT data FROM objects WHERE account = $1 AND livemode = $2 AND kind = 'access' AND id = $3";
}

impl SqlStore {
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
        event.fetches = self
            .questions_of(&event, found.opt_text("object")?, moment)
            .await?;
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
            event.approvals = self.approvals_of(occurrence).await?;
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

    pub(super) async fn shown_run(
        &self,
        row: &Row,
        moment: Moment,
    ) -> Result<RunRecord, StoreError> {
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

    pub(super) async fn read_message(&self, id: &str) -> Result<Option<MessageRecord>, StoreError> {
        let Some(row) = self.db.row(&MESSAGE, args![id]).await? else {
            return Ok(None);
        };
        let mut record = message(&row, self.moment().await?)?;
        record.text = Some(row.text("text")?);
        Ok(Some(record))
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
        if kind == "customer" {
            for row in self.db.rows(&KNOWN_BY_ACCESS, args![id]).await? {
                objects.push(ObjectRow {
                    account: row.text("account")?,
                    livemode: row.flag("livemode")?,
                    kind: kind.to_owned(),
                    id: row.text("id")?,
                    data: json!({}),
                    version: 0,
                    tie: false,
                    beside: row.json("data")?,
                });
            }
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
