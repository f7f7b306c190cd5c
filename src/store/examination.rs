//! What a person wants to know of a database before relying on it. Only looks: nothing it does outlasts it.

use std::time::Duration;

use super::backfill::BackfillRecord;
use super::database::{Arg, Sql, args, statements};
use super::error::StoreError;
use super::spending::Decisions;
use super::sql_store::SqlStore;
use crate::clock::Timestamp;

statements! {
    VERSION: "SELECT sqlite_version() AS version", postgres: "SELECT current_setting('server_version') AS version";
    /// Whether a commit outlives a power cut. Only PostgreSQL is ever asked: on SQLite each connection says so for itself,
    /// and those of `serve` do.
    DURABILITY: "SELECT 'on' AS fsync, 'on' AS waits",
        postgres: "SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS waits";
    /// Touches no row, and is refused where no row may be written.
    WRITE: "UPDATE lanes SET lease_until = lease_until WHERE lane = ''";
    /// With the lists of partial indexes word for word, as in the census.
    DEAD: "SELECT count(*) AS n FROM events WHERE status IN ('dead', 'retrying', 'applied', 'ignored') AND status = 'dead'";
    UNKNOWN: "SELECT count(*) AS n FROM messages WHERE status IN ('unknown', 'failed', 'suppressed', 'expired', 'held', 'denied') AND status = 'unknown'";
    /// `|| ''` keeps SQLite from walking all that the application was told.
    UNTOLD: "SELECT count(*) AS n FROM messages m WHERE m.status IN ('unknown', 'failed', 'suppressed', 'expired', 'held', 'denied') AND m.status IN ('failed', 'expired') \
        AND m.channel || '' = 'app' AND NOT EXISTS (SELECT 1 FROM messages n WHERE n.channel = 'app' AND n.account = m.account AND n.livemode = m.livemode AND n.object = m.object \
            AND n.version >= m.version AND n.id <> m.id)";
    NO_CHANNEL: "SELECT count(*) AS n FROM messages WHERE status = 'pending' AND reason LIKE 'no_channel%'";
    /// Which of the business's own people were not told of something lately.
    UNSENT: "SELECT channel, status, count(*) AS n FROM messages WHERE status IN ('unknown', 'failed', 'suppressed', 'expired', 'held', 'denied') AND status IN ('failed', 'expired') \
        AND channel IN ('sales', 'finance') AND created_at > $1 AND NOT EXISTS (SELECT 1 FROM approvals a WHERE a.message = messages.id AND a.status <> 'approved') GROUP BY channel, status ORDER BY channel, status";
    /// Of each there are few: what waits, and was refused by the webhook itself.
    REFUSED: "SELECT channel, status, count(*) AS n FROM messages WHERE status IN ('pending', 'sending') AND status = 'pending' AND channel IN ('sales', 'finance') AND not_before > 0 \
        AND reason LIKE 'the chat webhook answered %: is its address still right?' GROUP BY channel, status ORDER BY channel, status";
}

/// Who was not told something that is older will hardly want to be told now.
const LATELY: Duration = Duration::from_hours(30 * 24);

/// Whoever is to decide about something that waits for a person should hear of it so long before its time is over.
const SOON: Duration = Duration::from_hours(4);

/// Notices to the business's own people that are in one status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsentNotices {
    /// `sales` or `finance`.
    pub channel: String,
    /// `failed`, `expired`; or `pending`, where the webhook refuses them and they are tried again.
    pub status: String,
    /// How many.
    pub count: u64,
}

/// What was found in a database that has the schema of this program and takes writes.
#[derive(Debug)]
pub struct Examination {
    /// The database's own version.
    pub version: String,
    /// Its time, where leases are measured by it.
    pub time: Option<Timestamp>,
    /// Whether what was committed outlives a power cut; if not, the setting that is in the way.
    pub loses_commits: Option<String>,
    /// Events that were given up.
    pub dead: u64,
    /// Messages of which nobody knows whether they were sent.
    pub unknown: u64,
    /// Notices that have nowhere to go.
    pub no_channel: u64,
    /// Notices that were not sent within the last 30 days, and those that a webhook refuses.
    pub unsent_notices: Vec<UnsentNotices>,
    /// What the application was not told in time or refused, and has not been told since.
    pub untold: u64,
    /// How far the events of every account are complete.
    pub backfills: Vec<BackfillRecord>,
    /// What models did today, and which follow-ups wait for one.
    pub decisions: Decisions,
    /// Questions to Stripe that nobody asks any more.
    pub given_up: u64,
    /// What the key lacks that some question needs.
    pub denied: Vec<String>,
    /// What waits for a person's word.
    pub held: u64,
    /// Of that, what does not wait for it much longer.
    pub expiring: u64,
}

impl SqlStore {
    /// Looks at the database, its settings, and what in it waits for a person.
    pub async fn examine(&self) -> Result<Examination, StoreError> {
        super::migrations::check(&self.db).await?;
        // By itself: on SQLite it keeps everybody else from writing, and counting may take long.
        let mut tx = self.db.begin().await?;
        tx.run(&WRITE, args![]).await?;
        tx.roll_back().await?;
        let missing = || StoreError::Inconsistent {
            column: "version",
            what: "no row",
        };
        let version = self.db.row(&VERSION, args![]).await?.ok_or_else(missing)?;
        let (time, loses_commits) = if self.db.is_sqlite() {
            (None, None)
        } else {
            let durability = self.db.row(&DURABILITY, args![]).await?;
            let durability = durability.ok_or_else(missing)?;
            let lost = lost(&durability.text("fsync")?, &durability.text("waits")?);
            let time = self.db.lease_clock(self.clock.as_ref()).await?;
            (Some(time), lost)
        };
        let mut counts = [0; 4];
        for (count, sql) in counts
            .iter_mut()
            .zip([&DEAD, &UNKNOWN, &NO_CHANNEL, &UNTOLD])
        {
            let counted = self.db.row(sql, args![]).await?;
            let counted = counted.map_or(Ok(0), |row| row.int("n"))?;
            *count = u64::try_from(counted).unwrap_or(0);
        }
        let lately = self.clock.now().minus(LATELY);
        let mut unsent_notices = self.count_notices(&UNSENT, args![lately]).await?;
        unsent_notices.extend(self.count_notices(&REFUSED, args![]).await?);
        let [dead, unknown, no_channel, untold] = counts;
        Ok(Examination {
            version: version.text("version")?,
            time,
            loses_commits,
            dead,
            unknown,
            no_channel,
            unsent_notices,
            untold,
            backfills: self.list_backfills().await?,
            decisions: self.decisions().await?,
            given_up: self.open_questions().await?.remove("given_up").unwrap_or(0),
            denied: self.denials().await?,
            held: self.count_held(Timestamp(i64::MAX)).await?,
            expiring: self.count_held(self.clock.now().plus(SOON)).await?,
        })
    }

    async fn count_notices(
        &self,
        sql: &Sql,
        asked: &[Arg<'_>],
    ) -> Result<Vec<UnsentNotices>, StoreError> {
        let rows = self.db.rows(sql, asked).await?;
        rows.iter()
            .map(|row| {
                Ok(UnsentNotices {
                    channel: row.text("channel")?,
                    status: row.text("status")?,
                    count: u64::try_from(row.int("n")?).unwrap_or(0),
                })
            })
            .collect()
    }
}

fn lost(fsync: &str, commit: &str) -> Option<String> {
    if fsync != "on" {
        return Some(format!("fsync is {fsync}"));
    }
    (commit == "off").then(|| "synchronous_commit is off".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_lose_commits_are_named() {
        assert_eq!(lost("on", "remote_apply"), None);
        assert_eq!(lost("off", "on").unwrap(), "fsync is off");
        assert_eq!(lost("on", "off").unwrap(), "synchronous_commit is off");
    }
}
