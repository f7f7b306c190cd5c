//! The two databases behind one face: connections, transactions, rows. Knows nothing of what the tables mean.
//!
//! Statements are static text. Most serve both databases as they stand (`$1`, `ON CONFLICT`, `RETURNING`, and
//! `json_each`, which the PostgreSQL migration defines); where they cannot, a [`Sql`] has two texts.

use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgPool, SqlitePool};

use super::error::StoreError;
use super::postgres::{self, in_time};
pub(crate) use super::values::{Arg, Row, args, list};
use super::values::{bind, decode_postgres, decode_sqlite, storable};
use crate::clock::{Clock, Timestamp};

/// One statement, as each database is asked.
#[derive(Debug)]
pub(crate) struct Sql {
    /// For SQLite.
    pub sqlite: &'static str,
    /// For PostgreSQL.
    pub postgres: &'static str,
}

/// Declares statements, and `ALL`, from which a test prepares every one on both databases.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident: $sqlite:literal $(, postgres: $postgres:literal)?;)*) => {
        $($(#[$doc])* pub(crate) const $name: $crate::store::database::Sql = $crate::store::database::statements!(@one $sqlite $(, $postgres)?);)*
        /// Every statement of this file, by name.
        pub(crate) const ALL: &[(&str, &$crate::store::database::Sql)] = &[$((stringify!($name), &$name)),*];
    };
    (@one $both:literal) => { $crate::store::database::Sql { sqlite: $both, postgres: $both } };
    (@one $sqlite:literal, $postgres:literal) => { $crate::store::database::Sql { sqlite: $sqlite, postgres: $postgres } };
}
pub(crate) use statements;

/// Which database it is, and its connections.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    /// One writing connection, so that writers queue here instead of meeting `SQLITE_BUSY`, and several that read.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres {
        pool: PgPool,
        /// How long the server may take for one statement.
        limit: Duration,
    },
}

/// What opening may do to a SQLite file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum File {
    /// Make it, and keep its journal as billhook needs it.
    Ours,
    /// Nothing.
    AsFound,
}

/// A transaction, which writes unless it was begun to read. Dropped without [`Transaction::commit`] it rolls back.
pub(crate) enum Transaction {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>, Duration),
}

impl Database {
    /// Opens what `url` names. A server may take `limit` for one statement.
    pub(crate) async fn open(url: &str, limit: Duration, file: File) -> Result<Self, StoreError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            Self::open_sqlite(path.trim_start_matches("//"), file).await
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url)
                .map_err(StoreError::Unreachable)?
                .disable_statement_logging();
            let pool = postgres::open(options, limit)
                .await
                .map_err(StoreError::Unreachable)?;
            Ok(Self::Postgres { pool, limit })
        } else {
            Err(StoreError::UnknownUrl)
        }
    }

    async fn open_sqlite(path: &str, file: File) -> Result<Self, StoreError> {
        let in_memory = path.is_empty() || path == ":memory:";
        let mut options = SqliteConnectOptions::new()
            .filename(if in_memory {
                Path::new(":memory:")
            } else {
                Path::new(path)
            })
            .create_if_missing(file == File::Ours)
            // A 200 is only true if a power cut cannot take the commit back.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .foreign_keys(true)
            .disable_statement_logging();
        if file == File::Ours {
            // The file itself remembers this.
            options = options.journal_mode(SqliteJournalMode::Wal);
        }
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            // An in-memory database lives in this one connection, so it must not be given up.
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(Duration::from_secs(30))
            // SQLite rolls back by itself when the disk is full, and sqlx, which then cannot roll back, takes the connection
            // for one within a transaction for ever: it could not begin another.
            .after_release(|connection, _| {
                Box::pin(async move {
                    connection.ping().await?;
                    Ok(!connection.is_in_transaction())
                })
            })
            .connect_with(options.clone())
            .await
            .map_err(StoreError::Unreachable)?;
        let readers = if in_memory {
            writer.clone()
        } else {
            SqlitePoolOptions::new()
                .max_connections(4)
                .acquire_timeout(Duration::from_secs(10))
                .connect_lazy_with(options.read_only(true).create_if_missing(false))
        };
        Ok(Self::Sqlite { writer, readers })
    }

    /// Starts a transaction that writes.
    pub(crate) async fn begin(&self) -> Result<Transaction, StoreError> {
        Ok(match self {
            // A deferred transaction that turns to writing fails at once with SQLITE_BUSY, whatever the timeout.
            Self::Sqlite { writer, .. } => {
                Transaction::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?)
            }
            Self::Postgres { pool, limit } => {
                Transaction::Postgres(in_time(*limit, pool.begin()).await?, *limit)
            }
        })
    }

    /// Starts a transaction that sees one moment and cannot write. On SQLite its connection is one that only reads; an
    /// in-memory database has no other than that which writes.
    pub(crate) async fn begin_reading(&self) -> Result<Transaction, StoreError> {
        const ONE_MOMENT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        Ok(match self {
            Self::Sqlite { readers, .. } => Transaction::Sqlite(readers.begin().await?),
            Self::Postgres { pool, limit } => {
                let begun = in_time(*limit, pool.begin_with(ONE_MOMENT)).await?;
                Transaction::Postgres(begun, *limit)
            }
        })
    }

    /// Reads outside of a transaction.
    pub(crate) async fn rows(&self, sql: &Sql, args: &[Arg<'_>]) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Sqlite { readers, .. } => decode_sqlite(
                &bind!(sqlx::query(sql.sqlite), args, sqlite)
                    .fetch_all(readers)
                    .await?,
            ),
            Self::Postgres { pool, limit } => {
                let query = bind!(sqlx::query(sql.postgres), args, postgres);
                decode_postgres(&in_time(*limit, query.fetch_all(pool)).await?)
            }
        }
    }

    /// Reads at most one row.
    pub(crate) async fn row(&self, sql: &Sql, args: &[Arg<'_>]) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// The time that leases are measured by, as [`Transaction::lease_clock`] has it.
    pub(crate) async fn lease_clock(&self, clock: &dyn Clock) -> Result<Timestamp, StoreError> {
        match self {
            Self::Sqlite { .. } => Ok(clock.now()),
            Self::Postgres { .. } => database_time(self.row(&DATABASE_TIME, &[]).await?),
        }
    }

    /// Whether it is SQLite.
    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite { .. })
    }

    /// Closes every connection; later calls fail.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres { pool, .. } => pool.close().await,
        }
    }

    /// How the database would run a statement, step by step.
    pub(crate) async fn plan(&self, sql: &Sql, args: &[Arg<'_>]) -> Result<String, StoreError> {
        let (rows, column) = match self {
            Self::Sqlite { writer, .. } => {
                let sql = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", sql.sqlite));
                let rows = bind!(sqlx::query(sql), args, sqlite).fetch_all(writer);
                (decode_sqlite(&rows.await?)?, "detail")
            }
            Self::Postgres { pool, limit } => {
                let sql = AssertSqlSafe(format!("EXPLAIN {}", sql.postgres));
                let rows = bind!(sqlx::query(sql), args, postgres).fetch_all(pool);
                (
                    decode_postgres(&in_time(*limit, rows).await?)?,
                    "QUERY PLAN",
                )
            }
        };
        let steps = rows.iter().map(|row| row.text(column));
        Ok(steps.collect::<Result<Vec<_>, _>>()?.join("\n"))
    }

    /// Asks the database to plan a statement without running it.
    pub(crate) async fn prepare(&self, sql: &Sql) -> Result<(), StoreError> {
        use sqlx::{Executor, SqlSafeStr};
        match self {
            Self::Sqlite { writer, .. } => {
                writer.prepare(sql.sqlite.into_sql_str()).await.map(drop)?;
            }
            Self::Postgres { pool, .. } => {
                pool.prepare(sql.postgres.into_sql_str()).await.map(drop)?;
            }
        }
        Ok(())
    }
}

impl Transaction {
    /// Runs a statement and says how many rows it touched.
    pub(crate) async fn run(&mut self, sql: &Sql, args: &[Arg<'_>]) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Sqlite(tx) => bind!(sqlx::query(sql.sqlite), args, sqlite)
                .execute(&mut **tx)
                .await?
                .rows_affected(),
            Self::Postgres(tx, limit) => {
                let query = bind!(sqlx::query(sql.postgres), args, postgres);
                in_time(*limit, query.execute(&mut **tx))
                    .await?
                    .rows_affected()
            }
        })
    }

    /// Runs a statement and reads what it returns.
    pub(crate) async fn rows(
        &mut self,
        sql: &Sql,
        args: &[Arg<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Sqlite(tx) => decode_sqlite(
                &bind!(sqlx::query(sql.sqlite), args, sqlite)
                    .fetch_all(&mut **tx)
                    .await?,
            ),
            Self::Postgres(tx, limit) => {
                let query = bind!(sqlx::query(sql.postgres), args, postgres);
                decode_postgres(&in_time(*limit, query.fetch_all(&mut **tx)).await?)
            }
        }
    }

    /// Runs a statement and reads at most one row.
    pub(crate) async fn row(
        &mut self,
        sql: &Sql,
        args: &[Arg<'_>],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// Holds `roots` until the end of the transaction, in one order for everybody, so that two workers cannot deadlock.
    ///
    /// SQLite has one writer, which holds everything already.
    pub(crate) async fn lock(&mut self, roots: &BTreeSet<String>) -> Result<(), StoreError> {
        let Self::Postgres(..) = self else {
            return Ok(());
        };
        let mut keys: Vec<i64> = roots.iter().map(|root| lock_key(root)).collect();
        keys.sort_unstable();
        keys.dedup();
        self.rows(&LOCK, &[Arg::Ints(keys)]).await.map(drop)
    }

    /// The time that leases are measured by: the database's where several processes share it, else the process's.
    pub(crate) async fn lease_clock(&mut self, clock: &dyn Clock) -> Result<Timestamp, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(clock.now()),
            Self::Postgres(..) => database_time(self.row(&DATABASE_TIME, &[]).await?),
        }
    }

    /// Whether it is SQLite.
    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// Undoes everything.
    pub(crate) async fn roll_back(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.rollback().await?,
            Self::Postgres(tx, limit) => in_time(limit, tx.rollback()).await?,
        }
        Ok(())
    }

    /// Commits. Until this has returned, nothing happened.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx, limit) => in_time(limit, tx.commit()).await?,
        }
        Ok(())
    }
}

// Advisory locks need no row to exist; that two roots share a key costs waiting, never correctness.
const LOCK: Sql = Sql {
    sqlite: "SELECT 1",
    postgres: "SELECT count(pg_advisory_xact_lock(key)) AS n FROM (SELECT key FROM unnest($1::BIGINT[]) AS key ORDER BY key) AS sorted",
};
const DATABASE_TIME: Sql = Sql {
    sqlite: "SELECT 1 AS now",
    postgres: "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT AS now",
};

fn database_time(row: Option<Row>) -> Result<Timestamp, StoreError> {
    row.ok_or(StoreError::Inconsistent {
        column: "now",
        what: "no row",
    })?
    .time("now")
}

fn lock_key(root: &str) -> i64 {
    let digest = Sha256::digest(root.as_bytes());
    digest
        .iter()
        .take(8)
        .fold(0_i64, |key, byte| (key << 8) | i64::from(*byte))
}
