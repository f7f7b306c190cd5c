//! Lists for people, newest first.
//!
//! Pages go on from a key, never by an offset, so the hundredth page costs what the first does. The key is a row that must
//! be there: a page that began at the top instead would show a program that pages through a list the same rows for ever.

use super::database::{Arg, Sql, args, statements};
use super::error::StoreError;
use super::read::RUN_OF_OCCURRENCE;
use super::shown::rows::{event, message, tool_call};
use super::shown::{
    EventFilter, EventRecord, Listing, MessageFilter, MessageRecord, ObjectFilter, ObjectRow, Page,
    RunRecord, ToolCallRecord,
};
use super::sql_store::SqlStore;
use crate::clock::Timestamp;

statements! {
    EVENTS: "SELECT * FROM events WHERE (received_at, id) < ($1, $2) \
        AND (CAST($3 AS TEXT) IS NULL OR type = $3) AND created >= $4 AND (CAST($6 AS TEXT) IS NULL OR account = $6) AND (CAST($7 AS BIGINT) IS NULL OR livemode = $7) ORDER BY received_at DESC, id DESC LIMIT $5";
    EVENTS_OF_STATUS: "SELECT * FROM events WHERE (received_at, id) < ($1, $2) \
        AND (CAST($3 AS TEXT) IS NULL OR type = $3) AND created >= $4 AND status = $6 AND (CAST($7 AS TEXT) IS NULL OR customer = $7) AND (CAST($8 AS TEXT) IS NULL OR account = $8) AND (CAST($9 AS BIGINT) IS NULL OR livemode = $9) ORDER BY received_at DESC, id DESC LIMIT $5";
    /// The same, with the list of a partial index word for word: SQLite uses the index for nothing else. What waits is in
    /// another order there and is sorted; `+ 0` keeps SQLite from walking all that is over instead.
    EVENTS_UNAPPLIED: "SELECT * FROM events WHERE (received_at + 0, id) < ($1, $2) \
        AND (CAST($3 AS TEXT) IS NULL OR type = $3) AND created >= $4 AND status IN ('pending', 'retrying') AND status = $6 AND (CAST($7 AS TEXT) IS NULL OR customer = $7) AND (CAST($8 AS TEXT) IS NULL OR account = $8) AND (CAST($9 AS BIGINT) IS NULL OR livemode = $9) \
        ORDER BY received_at + 0 DESC, id DESC LIMIT $5";
    EVENTS_UNDONE: "SELECT * FROM events WHERE (received_at, id) < ($1, $2) \
        AND (CAST($3 AS TEXT) IS NULL OR type = $3) AND created >= $4 AND status IN ('dead', 'retrying', 'applied', 'ignored') AND status = $6 \
        AND (CAST($7 AS TEXT) IS NULL OR customer = $7) AND (CAST($8 AS TEXT) IS NULL OR account = $8) AND (CAST($9 AS BIGINT) IS NULL OR livemode = $9) ORDER BY received_at DESC, id DESC LIMIT $5";
    EVENTS_OF_CUSTOMER: "SELECT * FROM events WHERE (received_at, id) < ($1, $2) \
        AND (CAST($3 AS TEXT) IS NULL OR type = $3) AND created >= $4 AND customer = $6 AND (CAST($7 AS TEXT) IS NULL OR account = $7) AND (CAST($8 AS BIGINT) IS NULL OR livemode = $8) ORDER BY received_at DESC, id DESC LIMIT $5";
    RUNS: "SELECT * FROM runs WHERE (created_at, id) < ($1, $2) ORDER BY created_at DESC, id DESC LIMIT $3";
    CALLS: "SELECT c.*, coalesce(c.effect, e.status) AS became FROM tool_calls c LEFT JOIN effects e ON e.effect_key = c.effect_key AND e.run = c.run \
        WHERE (c.at, c.id) < ($1, $2) ORDER BY c.at DESC, c.id DESC LIMIT $3";
    MESSAGES: "SELECT * FROM messages WHERE (created_at, id) < ($1, $2) \
        AND (CAST($3 AS TEXT) IS NULL OR status = $3) ORDER BY created_at DESC, id DESC LIMIT $4";
    MESSAGES_OF_CHANNEL: "SELECT * FROM messages WHERE channel = $5 AND (created_at, id) < ($1, $2) \
        AND (CAST($3 AS TEXT) IS NULL OR status = $3) ORDER BY created_at DESC, id DESC LIMIT $4";
    MESSAGES_WAITING: "SELECT * FROM messages WHERE (created_at + 0, id) < ($1, $2) \
        AND status IN ('pending', 'sending') AND status = $3 AND (CAST($5 AS TEXT) IS NULL OR channel = $5) \
        ORDER BY created_at + 0 DESC, id DESC LIMIT $4";
    MESSAGES_UNSENT: "SELECT * FROM messages WHERE (created_at, id) < ($1, $2) \
        AND status IN ('unknown', 'failed', 'suppressed', 'expired', 'held', 'denied') AND status = $3 AND (CAST($5 AS TEXT) IS NULL OR channel = $5) \
        ORDER BY created_at DESC, id DESC LIMIT $4";
    OBJECTS: "SELECT * FROM objects WHERE kind = $3 AND (created, id) < ($1, $2) \
        AND (CAST($5 AS TEXT) IS NULL OR account = $5) AND (CAST($6 AS BIGINT) IS NULL OR livemode = $6) ORDER BY created DESC, id DESC LIMIT $4";
    OBJECTS_OF_ACCOUNT: "SELECT * FROM objects WHERE account = $5 AND livemode = $6 AND kind = $3 \
        AND (created, id) < ($1, $2) ORDER BY created DESC, id DESC LIMIT $4";
    AT_EVENT: "SELECT received_at AS place FROM events WHERE id = $1";
    AT_RUN: "SELECT created_at AS place FROM runs WHERE id = $1";
    AT_CALL: "SELECT at AS place FROM tool_calls WHERE id = $1";
    AT_MESSAGE: "SELECT created_at AS place FROM messages WHERE id = $1";
    AT_OBJECT: "SELECT created AS place FROM objects WHERE kind = $2 AND id = $1 AND (CAST($3 AS TEXT) IS NULL OR account = $3) \
        AND (CAST($4 AS BIGINT) IS NULL OR livemode = $4) ORDER BY created DESC LIMIT 1";
}

fn rows_for(page: &Page) -> i64 {
    i64::from(page.limit) + 1
}

impl SqlStore {
    /// Where a page begins: behind the row that it goes on from, which `sql` finds by its id and `whose`; without one,
    /// before every row.
    pub(super) async fn place<'page>(
        &self,
        page: &'page Page,
        object: &str,
        sql: &Sql,
        whose: &[Arg<'_>],
    ) -> Result<(i64, &'page str), StoreError> {
        let Some(id) = &page.starting_after else {
            return Ok((i64::MAX, "~"));
        };
        let mut asked = vec![Arg::from(id)];
        asked.extend_from_slice(whose);
        match self.db.row(sql, &asked).await? {
            Some(row) => Ok((row.int("place")?, id)),
            None => Err(StoreError::no_such(object, id)),
        }
    }

    pub(super) async fn list_events(
        &self,
        filter: &EventFilter,
        page: &Page,
    ) -> Result<Listing<EventRecord>, StoreError> {
        let from = filter.created_from.unwrap_or(Timestamp(i64::MIN));
        let (kind, limit) = (&filter.event_type, rows_for(page));
        let (at, id) = self.place(page, "event", &AT_EVENT, &[]).await?;
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
                            at, id, kind, from, limit, status, customer, account, livemode
                        ],
                    )
                    .await?
            }
            (None, Some(customer)) => {
                self.db
                    .rows(
                        &EVENTS_OF_CUSTOMER,
                        args![at, id, kind, from, limit, customer, account, livemode],
                    )
                    .await?
            }
            (None, None) => {
                self.db
                    .rows(&EVENTS, args![at, id, kind, from, limit, account, livemode])
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

    pub(super) async fn list_runs(&self, page: &Page) -> Result<Listing<RunRecord>, StoreError> {
        let (at, id) = self.place(page, "run", &AT_RUN, &[]).await?;
        let rows = self.db.rows(&RUNS, args![at, id, rows_for(page)]).await?;
        let moment = self.moment().await?;
        let mut runs = Vec::with_capacity(rows.len());
        for row in &rows {
            runs.push(self.shown_run(row, moment).await?);
        }
        Ok(Listing::new(runs, page.limit))
    }

    pub(super) async fn list_tool_calls(
        &self,
        page: &Page,
    ) -> Result<Listing<ToolCallRecord>, StoreError> {
        let (at, id) = self.place(page, "tool call", &AT_CALL, &[]).await?;
        let rows = self.db.rows(&CALLS, args![at, id, rows_for(page)]).await?;
        Ok(Listing::new(
            rows.iter().map(tool_call).collect::<Result<_, _>>()?,
            page.limit,
        ))
    }

    pub(super) async fn list_messages(
        &self,
        filter: &MessageFilter,
        page: &Page,
    ) -> Result<Listing<MessageRecord>, StoreError> {
        let MessageFilter { status, channel } = filter;
        let sql = match (status.as_deref(), channel) {
            (Some("pending" | "sending"), _) => &MESSAGES_WAITING,
            (Some("unknown" | "failed" | "suppressed" | "expired" | "held" | "denied"), _) => {
                &MESSAGES_UNSENT
            }
            // Nearly all were sent, and so are the newest.
            (_, None) => &MESSAGES,
            (_, Some(_)) => &MESSAGES_OF_CHANNEL,
        };
        let (at, id) = self.place(page, "message", &AT_MESSAGE, &[]).await?;
        let channel = channel.map(|channel| channel.as_str().to_owned());
        let asked = args![at, id, status, rows_for(page), channel];
        let rows = self.db.rows(sql, asked).await?;
        let moment = self.moment().await?;
        let messages = rows
            .iter()
            .map(|row| message(row, moment))
            .collect::<Result<_, _>>()?;
        Ok(Listing::new(messages, page.limit))
    }

    pub(super) async fn list_objects(
        &self,
        filter: &ObjectFilter,
        page: &Page,
    ) -> Result<Listing<ObjectRow>, StoreError> {
        let kind = &filter.kind;
        let livemode = filter.livemode.map(i64::from);
        let whose = args![kind, &filter.account, livemode];
        let (at, id) = self.place(page, kind, &AT_OBJECT, whose).await?;
        let sql = match (&filter.account, livemode) {
            (Some(_), Some(_)) => &OBJECTS_OF_ACCOUNT,
            _ => &OBJECTS,
        };
        let asked = args![at, id, kind, rows_for(page), &filter.account, livemode];
        let rows = self.db.rows(sql, asked).await?;
        let mut objects = Vec::with_capacity(rows.len());
        for row in &rows {
            objects.push(self.object_row(row).await?);
        }
        Ok(Listing::new(objects, page.limit))
    }
}
