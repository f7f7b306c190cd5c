//! What a house holds when it is over: its tables, asked in SQL of our own, and the bytes that left it.

use std::path::Path;

use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection as _, FromRow, SqliteConnection};

#[derive(Debug, Clone, Default, FromRow)]
pub(super) struct MessageRow {
    pub(super) event: String,
    pub(super) occurrence: String,
    pub(super) playbook: String,
    pub(super) channel: String,
    pub(super) recipient: Option<String>,
    pub(super) message_id: String,
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: Option<String>,
    pub(super) notice: Option<String>,
    pub(super) status: String,
}

#[derive(Debug, Clone, Default, FromRow)]
pub(super) struct HoldRow {
    pub(super) order_id: String,
    pub(super) owner: String,
    pub(super) reason: String,
    pub(super) occurrence: String,
    pub(super) placed_at: i64,
    pub(super) ends_at: i64,
}

#[derive(Debug, Clone, Default, FromRow)]
pub(super) struct ScheduleRow {
    pub(super) event: String,
    pub(super) occurrence: String,
    pub(super) playbook: String,
    pub(super) subscription: Option<String>,
    pub(super) data: String,
    pub(super) due_at: i64,
    /// When the run that scheduled it ended.
    pub(super) at: i64,
}

#[derive(Debug, Clone, Default, FromRow)]
pub(super) struct CallRow {
    pub(super) event: String,
    pub(super) tool: String,
    pub(super) arguments: String,
    pub(super) by: String,
    pub(super) verdict: String,
    pub(super) rule: Option<String>,
}

#[derive(Debug, Clone, Default, FromRow)]
pub(super) struct RunRow {
    pub(super) event: String,
    pub(super) status: String,
    /// Replies in its journal, the rules' aside.
    pub(super) turns: i64,
    /// How large its journal is.
    pub(super) bytes: i64,
}

/// A row of an object, as far as it is the business's state.
#[derive(Debug, Clone, Default, FromRow)]
pub(super) struct StateRow {
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) customer: Option<String>,
    pub(super) data: String,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Books {
    pub(super) messages: Vec<MessageRow>,
    pub(super) holds: Vec<HoldRow>,
    pub(super) schedules: Vec<ScheduleRow>,
    pub(super) calls: Vec<CallRow>,
    pub(super) runs: Vec<RunRow>,
    pub(super) state: Vec<StateRow>,
    /// Tables that only events may write, and who wrote them otherwise.
    pub(super) strange_changes: Vec<String>,
    /// Mails as they left.
    pub(super) mails: Vec<String>,
    /// Notices as they left.
    pub(super) notices: Vec<Value>,
}

async fn all<T>(database: &mut SqliteConnection, sql: &'static str) -> Vec<T>
where
    T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
{
    sqlx::query_as(sql).fetch_all(database).await.unwrap()
}

impl Books {
    /// Opens the books of a house on this file.
    pub(super) async fn open(file: &Path, mails: Vec<String>, notices: Vec<Value>) -> Self {
        let url = format!("sqlite://{}", file.display());
        let mut database = SqliteConnection::connect(&url).await.unwrap();
        let db = &mut database;
        let strange = "SELECT 'change of ' || entity || '.' || field || ' by ' || rule FROM changes WHERE event NOT IN (SELECT id FROM events) \
            UNION ALL SELECT 'effect of ' || tool FROM effects e WHERE NOT EXISTS (SELECT 1 FROM tool_calls c WHERE c.effect_key = e.effect_key AND c.verdict = 'allowed') \
            UNION ALL SELECT 'message without an effect: ' || id FROM messages m WHERE NOT EXISTS (SELECT 1 FROM effects e WHERE e.effect_key = m.effect_key)";
        let strange: Vec<(String,)> = all(db, strange).await;
        Self {
            messages: all(db, "SELECT * FROM messages").await,
            holds: all(db, "SELECT * FROM holds").await,
            schedules: all(
                db,
                "SELECT s.*, r.ended_at AS at FROM schedules s JOIN runs r ON r.id = s.run",
            )
            .await,
            calls: all(db, "SELECT * FROM tool_calls ORDER BY at, run, generation, seq").await,
            runs: all(
                db,
                "SELECT r.event, r.status, \
                    (SELECT count(*) FROM steps s WHERE s.run = r.id AND s.generation = r.generation \
                        AND json_extract(s.data, '$.step') = 'reply' AND NOT json_extract(s.data, '$.by_rules')) AS turns, \
                    (SELECT COALESCE(sum(length(s.data)), 0) FROM steps s WHERE s.run = r.id) AS bytes FROM runs r",
            )
            .await,
            state: all(db, "SELECT kind, id, customer, data FROM objects").await,
            strange_changes: strange.into_iter().map(|(what,)| what).collect(),
            mails,
            notices,
        }
    }
}
