//! A database that fails while a message is on its way: what is known is written down once it can be.

use billhook::store::{Channel, Store};
use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection};
use tokio_util::sync::CancellationToken;

use super::{PACE, by_mail, dispatcher, mailer, messages, owe, statuses, until};
use crate::support::bench::Bench;
use crate::support::log::Log;
use crate::support::smtp::{Does, SmtpServer};

/// A table under another name makes every verb fail that needs it, and no other.
async fn rename(database: &mut SqliteConnection, from: &str, to: &str) {
    let sql = format!("ALTER TABLE {from} RENAME TO {to}");
    database.execute(AssertSqlSafe(sql)).await.unwrap();
}

#[tokio::test]
async fn what_became_of_a_message_is_stored_once_the_database_is_back() {
    let bench = Bench::sqlite().await;
    owe(&bench, 0..1, "Hello\n").await;
    let mut database = SqliteConnection::connect(&bench.url).await.unwrap();
    let server = SmtpServer::start().await;
    server.now(Does::Hangs("dot"));
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let sender = dispatcher(&bench.store, &bench, by_mail(mailer(&server, &bench)), PACE);
    let soft = CancellationToken::new();
    let scene = async {
        server
            .once("both are handed over", |seen| seen.messages.len() == 2)
            .await;
        rename(&mut database, "effects", "effects_away").await;
        server.now(None);
        log.says("what became of a message could not be stored")
            .await;
        assert_eq!(statuses(&bench, Channel::Email).await, ["sending"]);
        rename(&mut database, "effects_away", "effects").await;
        until(&bench, Channel::Email, &["sent"]).await;
        until(&bench, Channel::Sales, &["sent"]).await;
        soft.cancel();
    };
    tokio::join!(sender.work(soft.clone(), CancellationToken::new()), scene);
    assert_eq!(server.message_ids().len(), 2);
}

#[tokio::test]
async fn a_message_that_could_not_be_asked_about_is_tried_again_and_never_unknown() {
    let bench = Bench::sqlite().await;
    owe(&bench, 0..1, "Hello\n").await;
    let mut database = SqliteConnection::connect(&bench.url).await.unwrap();
    let server = SmtpServer::start().await;
    let sender = dispatcher(&bench.store, &bench, by_mail(mailer(&server, &bench)), PACE);
    rename(&mut database, "occurrences", "occurrences_away").await;
    assert_eq!(sender.send_due().await.unwrap(), 2);
    rename(&mut database, "occurrences_away", "occurrences").await;
    for channel in [Channel::Email, Channel::Sales] {
        let message = messages(&bench, channel).await.remove(0);
        assert_eq!(message.status, "pending");
        assert_eq!(
            message.reason.as_deref(),
            Some("the database did not answer")
        );
    }
    bench.clock.advance(PACE.retry.base);
    assert_eq!(sender.send_due().await.unwrap(), 2);
    for channel in [Channel::Email, Channel::Sales] {
        assert_eq!(statuses(&bench, channel).await, ["sent"]);
    }
    assert_eq!(server.message_ids().len(), 2);
}

/// What is logged each time that the fate of a message could not be written down, and when it is in doubt.
const UNSETTLED: &str = "what became of a message could not be stored";
const IN_DOUBT: &str = "a message did not go out";

/// Sends one mail, has its server take it while `table` is away, and tells `scene` when that has been noticed.
async fn sent_while_away(
    table: &str,
    scene: impl AsyncFnOnce(&Bench, &Log, &mut SqliteConnection, &CancellationToken, &CancellationToken),
) -> (Bench, Log) {
    let bench = Bench::sqlite().await;
    owe(&bench, 0..1, "Hello\n").await;
    let mut database = SqliteConnection::connect(&bench.url).await.unwrap();
    let server = SmtpServer::start().await;
    server.now(Does::Hangs("dot"));
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let mut ways = by_mail(mailer(&server, &bench));
    ways.remove(&Channel::Sales);
    let sender = dispatcher(&bench.store, &bench, ways, PACE);
    let (soft, cut) = (CancellationToken::new(), CancellationToken::new());
    let told = async {
        server
            .once("it is handed over", |seen| seen.messages.len() == 1)
            .await;
        rename(&mut database, table, "away").await;
        server.now(None);
        log.says(UNSETTLED).await;
        scene(&bench, &log, &mut database, &soft, &cut).await;
    };
    tokio::join!(sender.work(soft.clone(), cut.clone()), told);
    assert_eq!(server.message_ids().len(), 1);
    (bench, log)
}

#[tokio::test]
async fn an_outage_longer_than_a_lease_puts_nothing_in_doubt() {
    let (_bench, log) = sent_while_away("messages", async |bench, log, database, soft, _cut| {
        bench.clock.advance(PACE.lease * 2);
        log.says_again(UNSETTLED, 2).await;
        rename(database, "away", "messages").await;
        until(bench, Channel::Email, &["sent"]).await;
        soft.cancel();
    })
    .await;
    assert_eq!(log.count(IN_DOUBT), 0, "it took its own message over");
}

#[tokio::test]
async fn a_message_is_kept_for_as_long_as_its_fate_cannot_be_written_down() {
    let (_bench, log) = sent_while_away("effects", async |bench, log, database, soft, _cut| {
        let other = bench.another_process().await;
        for _ in 0..4 {
            bench.clock.advance(PACE.lease / 2);
            // Between the second and the third there was a renewal.
            log.says_again(UNSETTLED, 3).await;
            let taken = other.claim_messages(Channel::Email, 10, PACE.lease).await;
            assert!(taken.unwrap().is_empty(), "its lease was not renewed");
        }
        rename(database, "away", "effects").await;
        until(bench, Channel::Email, &["sent"]).await;
        soft.cancel();
    })
    .await;
    assert_eq!(log.count(IN_DOUBT), 0);
}

#[tokio::test]
async fn a_soft_stop_waits_for_the_database_and_a_cut_does_not() {
    let (bench, _log) = sent_while_away("messages", async |_bench, log, database, soft, _cut| {
        soft.cancel();
        log.says_again(UNSETTLED, 2).await;
        rename(database, "away", "messages").await;
    })
    .await;
    assert_eq!(statuses(&bench, Channel::Email).await, ["sent"]);
    let (bench, _log) = sent_while_away("effects", async |_bench, log, _database, soft, cut| {
        soft.cancel();
        log.says_again(UNSETTLED, 2).await;
        cut.cancel();
    })
    .await;
    assert_eq!(statuses(&bench, Channel::Email).await, ["sending"]);
}
