//! A database that does not let work through for some time, which is no failure of what is worked on.

use std::sync::Arc;
use std::time::Duration;

use billhook::agent::rules::Rules;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::scene::{introduce, lead, shown};
use crate::support::app::TestApp;
use crate::support::services::PostgresDatabase;

/// Nobody may write to the table until the connection is dropped.
async fn lock(url: &str, sql: &'static str) -> PgConnection {
    let mut holder = PgConnection::connect(url).await.unwrap();
    holder.execute("BEGIN").await.unwrap();
    holder.execute(sql).await.unwrap();
    holder
}

#[tokio::test]
async fn a_table_that_is_locked_for_long_makes_nothing_dead() {
    let Some(database) = PostgresDatabase::migrated().await else {
        return;
    };
    let url = database.url();
    let settings = [
        ("BILLHOOK__LINKS__UPDATE_PAYMENT", super::scene::CARD_PAGE),
        ("DATABASE_URL", url.as_str()),
        ("BILLHOOK__DATABASE__TIMEOUT", "1s"),
        // The first failure would be the last.
        ("BILLHOOK__RETRY__ATTEMPTS", "1"),
    ];
    let app = TestApp::with(&settings, Arc::new(Rules)).await;
    introduce(&app).await;
    app.deliver(&lead("payment_failed")).await;

    let holder = lock(&url, "LOCK TABLE snapshots IN EXCLUSIVE MODE").await;
    assert_eq!(app.app.worker.apply_due().await.unwrap(), 1);
    let event = shown(&app).await;
    assert_eq!((event.status.as_str(), event.attempts), ("retrying", 0));
    let waits = event.waits_for.unwrap();
    assert!(
        waits.starts_with("could not be applied (the database refused a statement")
            && waits.contains("; it is tried again at "),
        "{waits}"
    );
    holder.close().await.unwrap();
    app.clock.advance(Duration::from_secs(3));
    app.drain().await;
    assert_eq!(shown(&app).await.status, "applied");

    app.clock.advance(Duration::from_secs(61));
    let holder = lock(&url, "LOCK TABLE effects IN EXCLUSIVE MODE").await;
    assert_eq!(app.app.worker.decide_due().await.unwrap(), 1);
    let run = shown(&app).await.run.unwrap();
    assert_eq!((run.status.as_str(), run.attempts), ("waiting", 0));
    let waits = run.waits_for.unwrap();
    assert!(
        waits.starts_with("could not be decided (the database refused a statement")
            && waits.contains("; it is tried again at "),
        "{waits}"
    );
    holder.close().await.unwrap();
    app.clock.advance(Duration::from_secs(3));
    app.drain().await;
    assert_eq!(shown(&app).await.status, "done");
    assert_eq!(app.mails().len(), 1);
}
