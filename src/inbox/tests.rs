//! What the inbox promises whoever waits for its answer.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fake_store::FakeStore;
use super::{Inbox, InboxError, InboxTask, QUEUE};
use crate::clock::{ManualClock, Timestamp};
use crate::hints::{Bell, Doorbell, Listener};
use crate::store::{Accepted, Delivery};
use crate::stripe::event::Event;

fn delivery(id: &str) -> Delivery {
    let body = format!(r#"{{"id":"{id}","type":"invoice.paid"}}"#).into_bytes();
    Delivery {
        event: Event::parse(&body, Timestamp::default()).unwrap(),
        account: "self".to_owned(),
        endpoint: "default".to_owned(),
        received_at: Timestamp::default(),
        body,
        ignored: None,
    }
}

struct Desk {
    store: Arc<FakeStore>,
    clock: Arc<ManualClock>,
    bell: Listener,
    inbox: Inbox,
    task: InboxTask,
}

fn desk(max_backlog: u64) -> Desk {
    let store = Arc::new(FakeStore::default());
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_000)));
    let doorbell = Doorbell::default();
    let bell = doorbell.listen(Bell::Inbox);
    let (inbox, task) = Inbox::new(store.clone(), clock.clone(), max_backlog, doorbell);
    Desk {
        store,
        clock,
        bell,
        inbox,
        task,
    }
}

/// Runs the writer beside `work`, and ends it orderly.
async fn beside<T>(task: InboxTask, work: impl Future<Output = T>) -> T {
    let stop = CancellationToken::new();
    let working = async {
        let result = work.await;
        stop.cancel();
        result
    };
    tokio::join!(task.run(stop.clone()), working).1
}

#[tokio::test]
async fn of_fifty_concurrent_deliveries_of_one_event_one_is_accepted() {
    let desk = desk(10);
    let answers = beside(
        desk.task,
        join_all((0..50).map(|_| desk.inbox.accept(delivery("evt_1")))),
    )
    .await;
    let accepted = answers
        .iter()
        .filter(|a| matches!(a, Ok(Accepted::Accepted)))
        .count();
    let duplicates = answers
        .iter()
        .filter(|a| matches!(a, Ok(Accepted::Duplicate)))
        .count();
    assert_eq!((accepted, duplicates), (1, 49));
    let held = desk.store.held();
    assert_eq!(held.deliveries.len(), 50);
    assert!(
        held.batches.len() < 50,
        "requests that wait share a transaction: {:?}",
        held.batches
    );
}

#[tokio::test]
async fn a_poison_delivery_refuses_only_itself() {
    let desk = desk(10);
    desk.store.held().poison.insert("evt_13".to_owned());
    let answers = beside(
        desk.task,
        join_all((0..40).map(|n| desk.inbox.accept(delivery(&format!("evt_{n}"))))),
    )
    .await;
    for (n, answer) in answers.iter().enumerate() {
        match answer {
            Ok(Accepted::Accepted) => assert_ne!(n, 13),
            Err(InboxError::Unavailable(_)) => assert_eq!(n, 13),
            other => panic!("evt_{n}: {other:?}"),
        }
    }
    assert_eq!(desk.store.held().deliveries.len(), 39);
}

#[tokio::test]
async fn a_broken_database_refuses_all_without_bisecting() {
    let desk = desk(10);
    desk.store.held().broken = true;
    let answers = beside(
        desk.task,
        join_all((0..5).map(|n| desk.inbox.accept(delivery(&format!("evt_{n}"))))),
    )
    .await;
    assert!(
        answers
            .iter()
            .all(|a| matches!(a, Err(InboxError::Unavailable(_)))),
        "{answers:?}"
    );
    assert!(desk.store.held().deliveries.is_empty());
}

#[tokio::test]
async fn a_full_backlog_refuses_and_is_counted_once_a_second() {
    let desk = desk(10);
    desk.store.held().backlog = 10;
    let (store, clock, inbox) = (&desk.store, &desk.clock, &desk.inbox);
    beside(desk.task, async {
        assert_eq!(
            inbox.accept(delivery("evt_1")).await.unwrap(),
            Accepted::Accepted
        );
        store.held().backlog = 11;
        assert_eq!(
            inbox.accept(delivery("evt_2")).await.unwrap(),
            Accepted::Accepted
        );
        assert_eq!(store.held().backlog_checks, 1);
        clock.advance(Duration::from_secs(1));
        assert!(matches!(
            inbox.accept(delivery("evt_3")).await,
            Err(InboxError::Backlog)
        ));
        store.held().backlog = 0;
        assert!(matches!(
            inbox.accept(delivery("evt_3")).await,
            Err(InboxError::Backlog)
        ));
        assert_eq!(store.held().backlog_checks, 2);
        clock.advance(Duration::from_secs(1));
        assert_eq!(
            inbox.accept(delivery("evt_3")).await.unwrap(),
            Accepted::Accepted
        );
    })
    .await;
    assert_eq!(store.held().deliveries.len(), 3);
}

#[tokio::test]
async fn the_doorbell_rings_after_a_commit_and_only_then() {
    let mut desk = desk(10);
    desk.store.held().broken = true;
    let (store, inbox, bell) = (&desk.store, &desk.inbox, &mut desk.bell);
    beside(desk.task, async {
        inbox.accept(delivery("evt_1")).await.unwrap_err();
        let rung = tokio::time::timeout(Duration::from_millis(20), bell.rung()).await;
        assert!(rung.is_err(), "rung without a commit");
        store.held().broken = false;
        inbox.accept(delivery("evt_1")).await.unwrap();
        tokio::time::timeout(Duration::from_secs(5), bell.rung())
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_stop_writes_what_is_queued_and_then_takes_nothing_more() {
    let desk = desk(10);
    let stop = CancellationToken::new();
    let senders = TaskTracker::new();
    let waiting: Vec<_> = (0..300)
        .map(|n| {
            let inbox = desk.inbox.clone();
            senders.spawn(async move { inbox.accept(delivery(&format!("evt_{n}"))).await.unwrap() })
        })
        .collect();
    // All stand in the queue before the writer starts.
    while desk.inbox.requests.capacity() > QUEUE - 300 {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    desk.task.run(stop).await;
    let answers = join_all(waiting).await;
    assert!(answers.iter().all(|a| matches!(a, Ok(Accepted::Accepted))));
    assert_eq!(desk.store.held().deliveries.len(), 300);
    assert!(matches!(
        desk.inbox.accept(delivery("evt_x")).await,
        Err(InboxError::Closed)
    ));
}
