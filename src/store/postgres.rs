//! Connections to PostgreSQL: none is waited for without end.
//!
//! A server that is frozen, or that vanished together with its machine, neither answers nor hangs up. Whoever waits for it
//! would wait until the system gives up the line, a quarter of an hour or never. So every answer has a time limit here, and
//! a connection that comes back must prove in time that it still works, or it is given up. What the overdue statement did
//! in the end nobody knows; epochs and keys are what makes it safe to try again.

use std::future::Future;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tokio::time::timeout;

use super::error::StoreError;

/// At once in one process.
const CONNECTIONS: u32 = 24;
/// How long a free connection is waited for, a new one included.
const ACQUIRE: Duration = Duration::from_secs(5);
/// A connection that was used so recently is not asked whether it still works: that costs each transaction a round trip.
const RECENT: Duration = Duration::from_secs(1);

/// A pool whose server may take `limit` for one statement.
pub(super) async fn open(options: PgConnectOptions, limit: Duration) -> sqlx::Result<PgPool> {
    // The server itself ends what takes too long, and what was begun and is not gone on with: else a process that froze in
    // the middle of a transaction would keep its locks from everybody.
    let millis = limit.as_millis();
    let limits = format!(
        "SET statement_timeout = {millis}; SET idle_in_transaction_session_timeout = {millis}"
    );
    PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        .after_connect(move |connection, _| {
            let limits = AssertSqlSafe(limits.clone());
            Box::pin(async move { connection.execute(limits).await.map(drop) })
        })
        .test_before_acquire(false)
        .before_acquire(|connection, known| {
            Box::pin(async move {
                if known.idle_for > RECENT {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        // sqlx asks the same, but without a limit, and until then the connection counts as one of the pool's.
        .after_release(|connection, _| {
            Box::pin(async move {
                timeout(ACQUIRE, connection.ping())
                    .await
                    .map_err(|elapsed| sqlx::Error::Io(elapsed.into()))??;
                Ok(true)
            })
        })
        .connect_with(options)
        .await
}

/// Waits for an answer a little longer than the server may take: while it can, it says no by itself.
pub(super) async fn in_time<T>(
    limit: Duration,
    answer: impl Future<Output = sqlx::Result<T>>,
) -> Result<T, StoreError> {
    timeout(limit + limit / 4, answer)
        .await
        .map_err(|_elapsed| StoreError::Silent)?
        .map_err(StoreError::Database)
}
