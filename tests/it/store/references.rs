//! What stands on an order reference that a payer chose: it may be more than belongs together.

use std::time::{Duration, Instant};

use billhook::store::Store;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

use super::apply;
use crate::support::bench::{Bench, START};
use crate::support::fixture::{Intent, Told};
use crate::support::process::PATIENCE;

on_both!(
    a_reference_that_too_much_stands_on_is_no_order,
    a_reference_that_very_much_stands_on_locks_little,
);

fn sold(intent: &str, reference: &str, after: i64) -> Told {
    let object = Intent {
        id: intent.into(),
        order: Some(reference.into()),
        status: "succeeded",
        ..Intent::default()
    };
    let id = format!("evt_{intent}_{after}");
    Told::new(id, "payment_intent.succeeded", START + after, object)
}

/// Links a reference to payments that nothing else is known of.
async fn link(bench: &Bench, reference: &str, payments: usize) {
    for ends in ["'ref', 'pay' || n", "'pay' || n, 'ref'"] {
        let ends = ends.replace("ref", &format!("order_reference/{reference}"));
        let ends = ends.replace("pay", &format!("payment_intent/pi_{reference}_"));
        let sql = AssertSqlSafe(format!(
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {payments}) \
                INSERT INTO links (account, livemode, a, b) SELECT 'self', 1, {ends} FROM n"
        ));
        if bench.is_postgres() {
            let mut db = PgConnection::connect(&bench.url).await.unwrap();
            db.execute(sql).await.unwrap();
        } else {
            let mut db = SqliteConnection::connect(&bench.url).await.unwrap();
            db.execute(sql).await.unwrap();
        }
    }
}

async fn orders(bench: &Bench, id: &str) -> usize {
    bench.store.object("order", id).await.unwrap().len()
}

async fn a_reference_that_too_much_stands_on_is_no_order(bench: Bench) {
    // The second names no order, so that the order goes by a payment.
    for (reference, id) in [("A-1", "A-1"), ("pi_odd", "a_pi_odd")] {
        let [first, second, third] = ["a", "b", "c"].map(|part| format!("{part}_{reference}"));
        apply(&bench, &[sold(&first, reference, 0)]).await;
        link(&bench, reference, 497).await;
        // With the reference, as many as can belong together.
        apply(&bench, &[sold(&second, reference, 0)]).await;
        assert_eq!(orders(&bench, id).await, 1, "{reference}");
        apply(&bench, &[sold(&third, reference, 0)]).await;
        assert_eq!(orders(&bench, id).await, 0, "{reference}");
        apply(&bench, &[sold(&first, reference, 9)]).await;
        assert_eq!(orders(&bench, id).await, 0, "{reference}");
    }
    link(&bench, "B-1", 500).await;
    apply(&bench, &[sold("pi_last", "B-1", 0)]).await;
    assert_eq!(orders(&bench, "B-1").await, 0);
}

async fn a_reference_that_very_much_stands_on_locks_little(bench: Bench) {
    link(&bench, "C-1", 5000).await;
    if !bench.is_postgres() {
        // One writer, which locks everything.
        apply(&bench, &[sold("pi_1", "C-1", 0)]).await;
        assert_eq!(orders(&bench, "C-1").await, 0);
        return;
    }
    let mut other = PgConnection::connect(&bench.url).await.unwrap();
    let mut held = other.begin().await.unwrap();
    held.execute("LOCK TABLE snapshots IN EXCLUSIVE MODE")
        .await
        .unwrap();
    let count = "SELECT count(*) FILTER (WHERE locktype = 'advisory'), count(*) FILTER (WHERE NOT granted) FROM pg_locks \
        WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let begun = Instant::now();
    let looks = async {
        loop {
            let (locks, waits): (i64, i64) =
                sqlx::query_as(count).fetch_one(&mut *held).await.unwrap();
            if waits > 0 {
                held.rollback().await.unwrap();
                break locks;
            }
            assert!(begun.elapsed() < PATIENCE, "nobody waits for the table");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let event = [sold("pi_1", "C-1", 0)];
    let ((), locks) = tokio::join!(apply(&bench, &event), looks);
    assert!((1..20).contains(&locks), "{locks}");
}
