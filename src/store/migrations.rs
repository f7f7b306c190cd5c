//! Bringing the schema up to date, and refusing one that is newer than this program.

use std::cmp::Ordering;

use sqlx::Executor;
use sqlx::migrate::Migrator;

use super::database::{Database, Sql, args, statements};
use super::error::StoreError;

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

statements! {
    /// Whether any migration ever ran.
    HAS_TABLE: "SELECT count(*) AS n FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'",
        postgres: "SELECT count(*) AS n FROM pg_tables WHERE tablename = '_sqlx_migrations' AND schemaname = ANY (current_schemas(false))";
}

/// The newest migration that ran. Not among the prepared statements: the table is sqlx's own.
const VERSION: Sql = Sql {
    sqlite: "SELECT max(version) AS version FROM _sqlx_migrations",
    postgres: "SELECT max(version) AS version FROM _sqlx_migrations",
};

fn newest(migrator: &Migrator) -> i64 {
    migrator
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0)
}

async fn found(db: &Database) -> Result<i64, StoreError> {
    let unreachable = |error| match error {
        StoreError::Database(source) => StoreError::Unreachable(source),
        other => other,
    };
    let exists = db
        .row(&HAS_TABLE, args![])
        .await
        .map_err(unreachable)?
        .map_or(Ok(0), |row| row.int("n"))?;
    if exists == 0 {
        return Ok(0);
    }
    Ok(db
        .row(&VERSION, args![])
        .await?
        .map_or(Ok(None), |row| row.opt_int("version"))?
        .unwrap_or(0))
}

/// Runs what is missing, under the database's own lock.
pub(super) async fn run(db: &Database) -> Result<(), StoreError> {
    let known = match db {
        Database::Sqlite { .. } => newest(&SQLITE),
        Database::Postgres { .. } => newest(&POSTGRES),
    };
    // SQLite's readers are opened lazily; asking through the writer creates a missing file first.
    let version = match db {
        Database::Sqlite { writer, .. } => {
            found(&Database::Sqlite {
                writer: writer.clone(),
                readers: writer.clone(),
            })
            .await?
        }
        Database::Postgres { .. } => found(db).await?,
    };
    if version > known {
        return Err(StoreError::SchemaTooNew {
            found: version,
            known,
        });
    }
    match db {
        Database::Sqlite { writer, .. } => SQLITE.run(writer).await,
        Database::Postgres { pool, .. } => {
            // An index over a large table takes its time, and so does the process that is first.
            let mut patient = pool.acquire().await?;
            patient.close_on_drop();
            let patience = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0";
            patient.execute(patience).await?;
            POSTGRES.run(&mut *patient).await
        }
    }
    .map_err(StoreError::Migrate)
}

/// Whether the schema is the one that this program knows.
pub(super) async fn check(db: &Database) -> Result<(), StoreError> {
    let known = if db.is_sqlite() {
        newest(&SQLITE)
    } else {
        newest(&POSTGRES)
    };
    let version = found(db).await?;
    match version.cmp(&known) {
        Ordering::Greater => Err(StoreError::SchemaTooNew {
            found: version,
            known,
        }),
        Ordering::Less => Err(StoreError::SchemaMissing),
        Ordering::Equal => Ok(()),
    }
}
