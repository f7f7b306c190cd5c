//! What a person wants to know of a database before relying on it. Only looks: nothing it does outlasts it.

use super::database::{args, statements};
use super::error::StoreError;
use super::sql_store::SqlStore;
use crate::clock::Timestamp;

statements! {
    VERSION: "SELECT sqlite_version() AS version", postgres: "SELECT current_setting('server_version') AS version";
    /// What decides whether a commit outlives a power cut: the journal and how it is synced; on PostgreSQL `fsync` and
    /// whether a commit waits for it.
    DURABILITY: "SELECT (SELECT journal_mode FROM pragma_journal_mode) AS journal, CAST((SELECT synchronous FROM pragma_synchronous) AS TEXT) AS sync",
        postgres: "SELECT current_setting('fsync') AS journal, current_setting('synchronous_commit') AS sync";
    /// Touches no row, and is refused where no row may be written.
    WRITE: "UPDATE lanes SET lease_until = lease_until WHERE lane = ''";
    /// With the lists of partial indexes word for word, as in the census.
    DEAD: "SELECT count(*) AS n FROM events WHERE status IN ('dead', 'retrying', 'applied', 'ignored') AND status = 'dead'";
    UNKNOWN: "SELECT count(*) AS n FROM messages WHERE status IN ('unknown', 'failed', 'suppressed', 'expired', 'held', 'denied') AND status = 'unknown'";
    NO_CHANNEL: "SELECT count(*) AS n FROM messages WHERE status = 'pending' AND reason LIKE 'no_channel%'";
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
}

impl SqlStore {
    /// Looks at the database, its settings, and what in it waits for a person.
    pub async fn examine(&self) -> Result<Examination, StoreError> {
        super::migrations::check(&self.db).await?;
        let mut tx = self.db.begin().await?;
        tx.run(&WRITE, args![]).await?;
        let missing = || StoreError::Inconsistent {
            column: "version",
            what: "no row",
        };
        let version = tx.row(&VERSION, args![]).await?.ok_or_else(missing)?;
        let durability = tx.row(&DURABILITY, args![]).await?.ok_or_else(missing)?;
        let (journal, sync) = (durability.text("journal")?, durability.text("sync")?);
        let (time, loses_commits) = if tx.is_sqlite() {
            (None, lost_by_sqlite(&journal, &sync))
        } else {
            let time = tx.lease_clock(self.clock.as_ref()).await?;
            (Some(time), lost_by_postgres(&journal, &sync))
        };
        let mut counts = [0; 3];
        for (count, sql) in counts.iter_mut().zip([&DEAD, &UNKNOWN, &NO_CHANNEL]) {
            let counted = tx.row(sql, args![]).await?;
            let counted = counted.map_or(Ok(0), |row| row.int("n"))?;
            *count = u64::try_from(counted).unwrap_or(0);
        }
        let [dead, unknown, no_channel] = counts;
        Ok(Examination {
            version: version.text("version")?,
            time,
            loses_commits,
            dead,
            unknown,
            no_channel,
        })
    }
}

fn lost_by_sqlite(journal: &str, sync: &str) -> Option<String> {
    // `synchronous` is 2 for FULL and 3 for EXTRA. A file system that cannot do WAL keeps another journal.
    if journal != "wal" {
        return Some(format!("journal_mode is {journal}"));
    }
    (!matches!(sync, "2" | "3")).then(|| format!("synchronous is {sync}"))
}

fn lost_by_postgres(fsync: &str, commit: &str) -> Option<String> {
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
        assert_eq!(lost_by_sqlite("wal", "2"), None);
        assert_eq!(
            lost_by_sqlite("delete", "2").unwrap(),
            "journal_mode is delete"
        );
        assert_eq!(lost_by_sqlite("wal", "1").unwrap(), "synchronous is 1");
        assert_eq!(lost_by_postgres("on", "remote_apply"), None);
        assert_eq!(lost_by_postgres("off", "on").unwrap(), "fsync is off");
        assert_eq!(
            lost_by_postgres("on", "off").unwrap(),
            "synchronous_commit is off"
        );
    }
}
