//! What waited for too long ends, a little at a time, and never leaves; what is claimed is found by an index.

use std::time::Duration;

use billhook::store::{Channel, SqlStore, Store};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

use super::LONG;
use super::queued::{Wanted, queue, shown};
use crate::support::bench::{Bench, policy};

on_both!(
    what_waited_for_too_long_ends_a_few_at_a_time,
    what_expired_does_not_leave_before_it_is_marked,
    a_claim_goes_by_the_index,
);

/// Runs a statement behind the store's back.
async fn tamper(bench: &Bench, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    if bench.is_postgres() {
        let mut db = PgConnection::connect(&bench.url).await.unwrap();
        db.execute(sql).await.unwrap();
    } else {
        let mut db = SqliteConnection::connect(&bench.url).await.unwrap();
        db.execute(sql).await.unwrap();
    }
}

/// How many effects have this status.
async fn effects(bench: &Bench, status: &str) -> i64 {
    let sql = "SELECT count(*) FROM effects WHERE status = $1";
    let (count,): (i64,) = if bench.is_postgres() {
        let mut db = PgConnection::connect(&bench.url).await.unwrap();
        let query = sqlx::query_as(sql).bind(status);
        query.fetch_one(&mut db).await.unwrap()
    } else {
        let mut db = SqliteConnection::connect(&bench.url).await.unwrap();
        let query = sqlx::query_as(sql).bind(status);
        query.fetch_one(&mut db).await.unwrap()
    };
    count
}

async fn status(store: &SqlStore, intent: &str) -> String {
    shown(store, intent).await.status
}

const MAILS: [(&str, &str); 3] = [("cus_1", "pi_1"), ("cus_2", "pi_2"), ("cus_3", "pi_3")];

async fn what_waited_for_too_long_ends_a_few_at_a_time(bench: Bench) {
    for (customer, intent) in MAILS {
        queue(&bench, &Wanted::mail(customer, intent)).await;
    }
    assert_eq!(bench.store.expire_messages(2).await.unwrap(), 0);
    bench.clock.advance(policy().expire);
    for (marked, in_all) in [(2, 2), (1, 3), (0, 3)] {
        assert_eq!(bench.store.expire_messages(2).await.unwrap(), marked);
        assert_eq!(effects(&bench, "expired").await, in_all);
    }
    for (_, intent) in MAILS {
        let ended = shown(&bench.store, intent).await;
        assert_eq!(
            (ended.status.as_str(), ended.reason.as_deref()),
            ("expired", Some("not sent in time"))
        );
    }
}

async fn what_expired_does_not_leave_before_it_is_marked(bench: Bench) {
    queue(&bench, &Wanted::mail("cus_1", "pi_1")).await;
    queue(&bench, &Wanted::mail("cus_2", "pi_2")).await;
    let lease = bench.short_lease();
    let claimed = bench.store.claim_messages(Channel::Email, 1, lease);
    let interrupted = claimed.await.unwrap().remove(0);
    let begun = bench.store.begin_sending(&interrupted, lease).await;
    begun.unwrap();
    bench.clock.advance(policy().expire);
    // What may have left is still somebody's: its fate is to be written down.
    let claimed = bench
        .after_lease(async || {
            let claimed = bench.store.claim_messages(Channel::Email, 10, LONG).await;
            Some(claimed.unwrap()).filter(|claimed| !claimed.is_empty())
        })
        .await;
    let ids: Vec<_> = claimed.iter().map(|message| &message.id).collect();
    assert_eq!(ids, [&interrupted.id]);
    assert_eq!(bench.store.expire_messages(10).await.unwrap(), 1);
    assert_eq!(status(&bench.store, "pi_1").await, "sending");
    assert_eq!(status(&bench.store, "pi_2").await, "expired");
}

#[tokio::test]
async fn nobody_waits_for_what_another_has_locked() {
    let Some(bench) = Bench::postgres().await else {
        return;
    };
    for (customer, intent) in MAILS {
        queue(&bench, &Wanted::mail(customer, intent)).await;
    }
    bench.clock.advance(policy().expire);
    let mut other = PgConnection::connect(&bench.url).await.unwrap();
    let mut holds = other.begin().await.unwrap();
    holds
        .execute("SELECT 1 FROM messages WHERE effect_key = 'key_pi_2' FOR UPDATE")
        .await
        .unwrap();
    assert_eq!(bench.store.expire_messages(10).await.unwrap(), 2);
    holds.rollback().await.unwrap();
    assert_eq!(bench.store.expire_messages(10).await.unwrap(), 1);
}

async fn a_claim_goes_by_the_index(bench: Bench) {
    queue(&bench, &Wanted::mail("cus_1", "pi_1")).await;
    bench.clock.advance(Duration::from_mins(1));
    let columns = "account, livemode, event, run, occurrence, playbook, purpose, channel, message_id, subject, text, \
         status, not_before, expires_at, created_at";
    let many = format!(
        "INSERT INTO messages (id, effect_key, {columns}) \
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) \
         SELECT id || i, effect_key || i, {columns} FROM messages, n WHERE status = 'pending'"
    );
    tamper(&bench, &many).await;
    tamper(&bench, "ANALYZE messages").await;
    let plan = bench.store.plan_of_claim(Channel::Email).await.unwrap();
    assert!(plan.contains("messages_due"), "{plan}");
    for word in ["Seq Scan", "Sort", "SCAN", "TEMP B-TREE"] {
        assert!(!plan.contains(word), "{word}: {plan}");
    }
    let claimed = bench.store.claim_messages(Channel::Email, 8, LONG);
    assert_eq!(claimed.await.unwrap().len(), 8);
}
