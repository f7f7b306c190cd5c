//! What `doctor` asks of a database that others work with.

use std::pin::pin;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, SqliteConnection};

use crate::support::bench::Bench;

/// Counting them takes about a second.
const MANY: u64 = 2_000_000;

/// Whether somebody else could write now.
async fn may_write(db: &mut SqliteConnection) -> bool {
    if db.execute("BEGIN IMMEDIATE").await.is_err() {
        return false;
    }
    db.execute("ROLLBACK").await.unwrap();
    true
}

#[tokio::test]
async fn who_counts_keeps_nobody_from_writing() {
    let bench = Bench::sqlite().await;
    let mut writer = bench
        .url
        .parse::<SqliteConnectOptions>()
        .unwrap()
        .busy_timeout(Duration::ZERO)
        .connect()
        .await
        .unwrap();
    for sql in [
        "ALTER TABLE events RENAME TO events_kept",
        "CREATE VIEW events AS WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2000000) SELECT 'dead' AS status FROM n",
    ] {
        writer.execute(sql).await.unwrap();
    }
    let mut examining = pin!(bench.store.examine());
    let mut may = false;
    let examined = loop {
        let pause = tokio::time::sleep(Duration::from_millis(10));
        tokio::select! {
            biased;
            examined = &mut examining => break examined.unwrap(),
            () = pause => may = may_write(&mut writer).await,
        }
    };
    assert_eq!(examined.dead, MANY);
    assert!(may, "the lock was held to the end of the count");
    writer.close().await.unwrap();
}
