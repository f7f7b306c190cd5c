//! Counts for metrics, and the whole business state as text for tests and evals to compare.

use super::database::{Row, args, statements};
use super::error::StoreError;
use super::shown::Census;
use super::sql_store::SqlStore;
use crate::clock::Timestamp;

statements! {
    /// Each count names the list of its partial index word for word: SQLite uses the index for nothing else.
    EVENTS: "SELECT status, count(*) AS n FROM events WHERE status IN ('pending', 'retrying') GROUP BY status \
        UNION ALL SELECT 'applied' AS status, count(*) AS n FROM events WHERE status IN ('dead', 'retrying', 'applied', 'ignored') AND status = 'applied' HAVING count(*) > 0 \
        UNION ALL SELECT 'dead' AS status, count(*) AS n FROM events WHERE status IN ('dead', 'retrying', 'applied', 'ignored') AND status = 'dead' HAVING count(*) > 0";
    /// Of an applied event it is the follow-up that failed, unless it was sent once more in a shape that cannot be applied.
    DEAD: "SELECT stage AS status, count(*) AS n FROM (SELECT CASE WHEN applied_at IS NULL OR EXISTS ( \
            SELECT 1 FROM bodies WHERE event = events.id AND applied = 0) THEN 'apply' ELSE 'follow_up' END AS stage \
        FROM events WHERE status IN ('dead', 'retrying', 'applied', 'ignored') AND status = 'dead') AS dead GROUP BY stage";
    RUNS: "SELECT status, count(*) AS n FROM runs WHERE status IN ('waiting', 'running', 'deferred') GROUP BY status";
    MESSAGES: "SELECT status, count(*) AS n FROM messages WHERE status IN ('pending', 'sending') GROUP BY status \
        UNION ALL SELECT status, count(*) AS n FROM messages WHERE status IN ('unknown', 'failed', 'suppressed', 'expired', 'held', 'denied') \
            AND status IN ('unknown', 'failed', 'held') GROUP BY status";
    SENDABLE: "SELECT count(*) AS n FROM messages WHERE status IN ('pending', 'sending') AND not_before <= $1 AND (reason IS NULL OR reason NOT LIKE 'no_channel%')";
    DUE_SCHEDULES: "SELECT count(*) AS n FROM schedules WHERE status = 'pending' AND due_at <= $1";
    ALL_OBJECTS: "SELECT account, livemode, kind, id, customer, created, tie, data FROM objects ORDER BY account, livemode, kind, id";
    ALL_LINKS: "SELECT account, livemode, a, b FROM links ORDER BY account, livemode, a, b";
    ALL_ENTRIES: "SELECT * FROM ledger ORDER BY account, livemode, source_kind, source, id";
    ALL_ALIASES: "SELECT account, livemode, alias, order_id FROM order_aliases ORDER BY account, livemode, alias";
}

impl SqlStore {
    pub(super) async fn take_census(&self) -> Result<Census, StoreError> {
        let now = self.clock.now();
        let counted = |rows: Vec<Row>| {
            rows.iter()
                .map(|row| {
                    Ok((
                        row.text("status")?,
                        u64::try_from(row.int("n")?).unwrap_or(0),
                    ))
                })
                .collect::<Result<_, StoreError>>()
        };
        let mut census = Census {
            events: counted(self.db.rows(&EVENTS, args![]).await?)?,
            dead: counted(self.db.rows(&DEAD, args![]).await?)?,
            runs: counted(self.db.rows(&RUNS, args![]).await?)?,
            messages: counted(self.db.rows(&MESSAGES, args![]).await?)?,
            decisions: self.decisions().await?,
            fetches: self.open_questions().await?,
            approvals_held: self.count_held(Timestamp(i64::MAX)).await?,
            idle: false,
        };
        let mut due = 0;
        for sql in [&SENDABLE, &DUE_SCHEDULES] {
            due += self
                .db
                .row(sql, args![now])
                .await?
                .map_or(Ok(0), |row| row.int("n"))?;
        }
        let unapplied = ["pending", "retrying"]
            .iter()
            .any(|status| census.events.contains_key(*status));
        let asks = self.any_question_due(self.policy.reach).await?;
        census.idle = !unapplied && census.runs.is_empty() && due == 0 && !asks;
        Ok(census)
    }

    /// Everything that must not depend on the order or number of deliveries, one line a row: objects, derived rows,
    /// links, the ledger and the ids orders go by. What others than rules hold and receive times are left out.
    pub async fn business_state(&self) -> Result<Vec<String>, StoreError> {
        let mut lines = Vec::new();
        for row in self.db.rows(&ALL_OBJECTS, args![]).await? {
            lines.push(format!(
                "{}/{}/{}/{} of {} at {} tie {}: {}",
                row.text("account")?,
                row.int("livemode")?,
                row.text("kind")?,
                row.text("id")?,
                row.opt_text("customer")?.unwrap_or_default(),
                row.int("created")?,
                row.int("tie")?,
                row.text("data")?
            ));
        }
        for row in self.db.rows(&ALL_ENTRIES, args![]).await? {
            lines.push(format!(
                "{}/{} {}/{} moved {} {} {} fee {:?} as {} at {}",
                row.text("account")?,
                row.int("livemode")?,
                row.text("source_kind")?,
                row.text("source")?,
                row.int("amount")?,
                row.text("currency")?,
                row.text("id")?,
                row.opt_int("fee")?,
                row.text("kind")?,
                row.int("created")?,
            ));
        }
        for (sql, from, to) in [(&ALL_LINKS, "a", "b"), (&ALL_ALIASES, "alias", "order_id")] {
            for row in self.db.rows(sql, args![]).await? {
                let (account, mode) = (row.text("account")?, row.int("livemode")?);
                lines.push(format!(
                    "{account}/{mode} {} -> {}",
                    row.text(from)?,
                    row.text(to)?
                ));
            }
        }
        Ok(lines)
    }
}
