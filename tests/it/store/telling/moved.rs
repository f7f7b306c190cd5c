//! A message that moves on between its claim and the moment at which it leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use billhook::store::{Channel, Clearance, Store};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio_util::task::TaskTracker;

use super::{apply, bought, claim, telling};
use crate::store::LONG;
use crate::support::bench::Bench;

on_both!(what_goes_is_about_the_version_that_it_has_then);

async fn what_goes_is_about_the_version_that_it_has_then(bench: Bench) {
    let store = telling(&bench).await;
    apply(&bench, &store, &[bought("A-1", 0)]).await;
    let message = claim(&store).await.remove(0);
    // The order goes. Told as gone under the version that was claimed, it would be an old story to who knows that one.
    apply(&bench, &store, &[bought("B-1", 1)]).await;
    let cleared = store.begin_sending(&message, LONG).await.unwrap();
    let Clearance::Go(Some(about)) = cleared else {
        panic!("{cleared:?}");
    };
    assert_eq!((about.id.as_str(), about.version), ("A-1", 2));
    assert!(store.current_row(&about).await.unwrap().is_none());
}

/// Between two looks at the same message it must not become newer than itself. Without a lock a third of them does.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn on_postgres_what_moves_on_meanwhile_is_not_superseded_by_itself() {
    let Some(bench) = Bench::postgres().await else {
        return;
    };
    let store = telling(&bench).await;
    apply(&bench, &store, &[bought("A-1", 0)]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (url, stopped) = (bench.url.clone(), stop.clone());
    let moving = TaskTracker::new().spawn(async move {
        let mut db = PgConnection::connect(&url).await.unwrap();
        let mut moves = 0;
        while !stopped.load(Ordering::SeqCst) {
            // As the commit of a change moves it on.
            let moved = "UPDATE messages SET version = version + 1 WHERE channel = 'app' AND status = 'pending'";
            moves += db.execute(moved).await.unwrap().rows_affected();
        }
        moves
    });
    let mut db = PgConnection::connect(&bench.url).await.unwrap();
    let mut lost = 0;
    for _ in 0..150 {
        for message in store.claim_messages(Channel::App, 1, LONG).await.unwrap() {
            let cleared = store.begin_sending(&message, LONG).await.unwrap();
            lost += u32::from(cleared == Clearance::Stop);
        }
        let again = "UPDATE messages SET status = 'pending', reason = NULL, lease_until = 0 WHERE channel = 'app'";
        db.execute(again).await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    assert!(moving.await.unwrap() > 0);
    assert_eq!(lost, 0, "suppressed, though nothing newer is on its way");
}
