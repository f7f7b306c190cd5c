//! What the inbox promises whoever waits for its answer.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fake_store::FakeStore;
use super::{BATCH_BYTES, Inbox, InboxError, InboxTask, Limits, QUEUE, Room};
use crate::clock::Timestamp;
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

async fn accept(inbox: &Inbox, id: impl AsRef<str>) -> Result<Accepted, InboxError> {
    let share = Room::new(0).share();
    inbox.accept(delivery(id.as_ref()), share).await
}

struct Desk {
    store: Arc<FakeStore>,
    bell: Listener,
    inbox: Inbox,
    task: InboxTask,
}

fn desk(max_backlog: u64) -> Desk {
    let store = Arc::new(FakeStore::default());
    let limits = Limits {
        max_backlog,
        backlog_pause: Duration::from_millis(1),
        commit: Duration::from_millis(200),
    };
    let doorbell = Doorbell::default();
    let bell = doorbell.listen(Bell::Inbox);
    let (inbox, task) = Inbox::new(store.clone(), limits, doorbell);
    Desk {
        store,
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
        join_all((0..50).map(|_| accept(&desk.inbox, "evt_1"))),
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
        join_all((0..40).map(|n| accept(&desk.inbox, format!("evt_{n}")))),
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
        join_all((0..5).map(|n| accept(&desk.inbox, format!("evt_{n}")))),
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
async fn a_full_backlog_refuses_until_it_is_worked_off() {
    let desk = desk(10);
    desk.store.held().backlog = 10;
    let (store, inbox) = (&desk.store, &desk.inbox);
    beside(desk.task, async {
        let until = async |full: bool| {
            while matches!(accept(inbox, "evt_1").await, Err(InboxError::Backlog)) != full {
                tokio::task::yield_now().await;
            }
        };
        assert_eq!(accept(inbox, "evt_1").await.unwrap(), Accepted::Accepted);
        store.held().backlog = 11;
        until(true).await;
        let stored = store.held().deliveries.len();
        accept(inbox, "evt_2").await.unwrap_err();
        assert_eq!(
            store.held().deliveries.len(),
            stored,
            "the refused is not stored"
        );
        store.held().backlog = 10;
        until(false).await;
        assert_eq!(accept(inbox, "evt_2").await.unwrap(), Accepted::Accepted);
        assert_eq!(accept(inbox, "evt_1").await.unwrap(), Accepted::Duplicate);
    })
    .await;
}

#[tokio::test]
async fn a_stalled_database_refuses_in_time_and_then_goes_on_by_itself() {
    let desk = desk(10);
    let (store, inbox) = (&desk.store, &desk.inbox);
    beside(desk.task, async {
        store.held().slow = Some(Duration::from_mins(10));
        let answers = join_all(["evt_1", "evt_2"].map(|id| accept(inbox, id))).await;
        assert!(
            answers.iter().all(|a| matches!(a, Err(InboxError::Late))),
            "{answers:?}"
        );
        store.held().slow = None;
        assert_eq!(accept(inbox, "evt_1").await.unwrap(), Accepted::Accepted);
    })
    .await;
    assert_eq!(desk.store.held().deliveries.len(), 1);
}

#[tokio::test]
async fn whoever_went_away_is_not_written_for() {
    let desk = desk(10);
    let gone = accept(&desk.inbox, "evt_1");
    // It stands in the queue, and its request runs out of time.
    assert!(gone.now_or_never().is_none());
    beside(desk.task, async {
        accept(&desk.inbox, "evt_2").await.unwrap();
    })
    .await;
    let held = desk.store.held();
    assert_eq!(held.deliveries.len(), 1);
    assert_eq!(held.deliveries[0].event.id, "evt_2");
}

#[tokio::test]
async fn a_transaction_is_bounded_by_bytes_too_and_order_is_kept() {
    let desk = desk(10);
    let room = Room::new(usize::MAX);
    let large = |id: &str, bytes: usize| {
        let mut large = delivery(id);
        large.body.resize(bytes, b' ');
        let mut share = room.share();
        share.cover(bytes).unwrap();
        desk.inbox.accept(large, share)
    };
    let waiting = join_all([
        large("evt_1", BATCH_BYTES / 2),
        large("evt_1", BATCH_BYTES / 2),
        large("evt_2", BATCH_BYTES + 1),
        large("evt_3", 100),
    ]);
    let answers = beside(desk.task, waiting).await;
    let words: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    let (accepted, duplicate) = (Accepted::Accepted, Accepted::Duplicate);
    assert_eq!(words, [accepted, duplicate, accepted, accepted]);
    assert_eq!(desk.store.held().batches, [2, 1, 1]);
    assert_eq!(room.taken(), 0, "every byte gave its place back");
}

#[tokio::test]
async fn the_doorbell_rings_after_a_commit_and_only_then() {
    let mut desk = desk(10);
    desk.store.held().broken = true;
    let (store, inbox, bell) = (&desk.store, &desk.inbox, &mut desk.bell);
    beside(desk.task, async {
        accept(inbox, "evt_1").await.unwrap_err();
        let rung = tokio::time::timeout(Duration::from_millis(20), bell.rung()).await;
        assert!(rung.is_err(), "rung without a commit");
        store.held().broken = false;
        accept(inbox, "evt_1").await.unwrap();
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
            senders.spawn(async move { accept(&inbox, format!("evt_{n}")).await.unwrap() })
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
        accept(&desk.inbox, "evt_x").await,
        Err(InboxError::Closed)
    ));
}
