//! What is left for the business's own application, and when it may be sent.

mod moved;

use std::sync::Arc;
use std::time::Duration;

use billhook::store::{
    About, Action, Channel, ClaimedMessage, Clearance, MessageFilter, MessageRecord, NewEffect,
    Page, Policy, SendOutcome, SqlStore, Store, TOLD,
};
use billhook_tools::Proposal;

use super::queued::done;
use super::{LONG, claim_events, failed_payment, ingest};
use crate::support::bench::{Bench, START, policy};
use crate::support::fixture::{Intent, Subscription, Told};

on_both!(
    nothing_is_left_where_nobody_is_told,
    a_change_waits_once_and_moves_on,
    a_change_while_it_is_being_sent_leaves_another,
    what_was_given_back_is_superseded_by_a_newer_one,
    what_changes_nothing_is_not_told,
    the_end_of_a_grace_is_told,
    a_grace_that_ended_otherwise_is_not_told_twice,
    a_longer_grace_is_waited_for,
    a_hold_is_told_and_so_is_its_end,
    an_order_that_goes_is_told_and_counts_on_when_it_comes_back,
    everything_can_be_told_again,
    what_expires_or_is_refused_is_counted,
);

/// A process that tells an application, beside the bench's own, which does not.
async fn telling(bench: &Bench) -> Arc<SqlStore> {
    let policy = Policy {
        tells_application: true,
        ..policy()
    };
    bench.process_with(policy).await
}

/// Takes events in, and applies them by this process.
async fn apply(bench: &Bench, store: &SqlStore, events: &[Told]) {
    ingest(bench, events).await;
    for event in claim_events(bench).await {
        store.apply_event(&event).await.unwrap();
    }
}

fn subscription(status: &'static str, at: i64) -> Told {
    let object = Subscription {
        id: "sub_1".into(),
        customer: "cus_1".into(),
        status,
        latest_invoice: None,
        period_start: START,
        created: START,
        ..Subscription::default()
    };
    let id = format!("evt_sub_{status}_{at}");
    Told::new(id, "customer.subscription.updated", START + at, object)
}

fn bought(order: &str, at: i64) -> Told {
    paid(order, at, 4900)
}

fn paid(order: &str, at: i64, received: i64) -> Told {
    let object = Intent {
        id: "pi_1".into(),
        customer: None,
        invoice: None,
        order: Some(order.into()),
        status: "succeeded",
        amount: 4900,
        received,
        charge: Some("ch_1".into()),
        declined: false,
        created: START,
        ..Intent::default()
    };
    Told::new(
        format!("evt_{order}_{at}"),
        "payment_intent.succeeded",
        START + at,
        object,
    )
}

/// Every message to the application, oldest first.
async fn messages(bench: &Bench) -> Vec<MessageRecord> {
    let page = Page {
        limit: 100,
        starting_after: None,
    };
    let every = MessageFilter::default();
    let mut all = bench.store.messages(&every, &page).await.unwrap().data;
    all.retain(|message| message.channel == "app");
    all.reverse();
    all
}

/// The same about one object: status and version.
async fn about(bench: &Bench, object: &str) -> Vec<(String, Option<i64>)> {
    let all = messages(bench).await.into_iter();
    all.filter(|message| message.about.as_deref() == Some(object))
        .map(|message| (message.status, message.version))
        .collect()
}

async fn claim(store: &SqlStore) -> Vec<ClaimedMessage> {
    let mut claimed = store.claim_messages(Channel::App, 100, LONG).await.unwrap();
    claimed.sort_by_key(|message| message.about.as_ref().map(About::webhook_id));
    claimed
}

/// Sends what is due and may go, and says what was told: object and version.
async fn go(store: &SqlStore) -> Vec<(String, i64)> {
    let mut told = Vec::new();
    for message in claim(store).await {
        let cleared = store.begin_sending(&message, LONG).await.unwrap();
        if let Clearance::Go(Some(about)) = cleared {
            let row = store.current_row(&about).await.unwrap();
            let version = row.map_or(about.version, |row| row.version);
            told.push((format!("{}/{}", about.kind, about.id), version));
            let settled = store.settle_message(&message, &SendOutcome::Sent).await;
            settled.unwrap();
        }
    }
    told.sort();
    told
}

fn waiting(version: i64) -> (String, Option<i64>) {
    ("pending".to_owned(), Some(version))
}

fn named(object: &str, version: i64) -> (String, i64) {
    (object.to_owned(), version)
}

async fn nothing_is_left_where_nobody_is_told(bench: Bench) {
    apply(&bench, &bench.store, &[subscription("past_due", 0)]).await;
    assert!(messages(&bench).await.is_empty());
}

async fn a_change_waits_once_and_moves_on(bench: Bench) {
    let store = telling(&bench).await;
    apply(&bench, &store, &[bought("A-1", 0)]).await;
    let first = messages(&bench).await.remove(0);
    // The receiver is away, so the next try is in the future.
    let message = claim(&store).await.remove(0);
    store.begin_sending(&message, LONG).await.unwrap();
    let at = bench.now().plus(Duration::from_mins(5));
    let reason = "the application cannot be reached".to_owned();
    let retry = SendOutcome::Retry { at, reason };
    store.settle_message(&message, &retry).await.unwrap();
    bench.clock.advance(Duration::from_secs(30));
    for at in 1..=3 {
        // Too little, all of it, too little.
        let received = if at % 2 == 1 { 100 } else { 4900 };
        apply(&bench, &store, &[paid("A-1", at, received)]).await;
    }
    let all = messages(&bench).await;
    assert_eq!(all.len(), 1, "one message an object: {all:?}");
    let last = &all[0];
    assert_eq!((last.status.as_str(), last.version), ("pending", Some(4)));
    assert_eq!(last.event.as_deref(), Some("evt_A-1_3"));
    assert_ne!(first.message_id, last.message_id, "another version");
    let due = last.not_before.clone();
    assert_eq!(due, Some(at.iso()), "a change is no reason to hurry");
    let expires = bench.now().plus(policy().expire);
    assert_eq!(last.expires_at, Some(expires.iso()));
    bench.clock.advance(Duration::from_mins(5));
    assert_eq!(go(&store).await, [named("order/A-1", 4)]);
    assert!(go(&store).await.is_empty());
}

async fn a_change_while_it_is_being_sent_leaves_another(bench: Bench) {
    let store = telling(&bench).await;
    apply(&bench, &store, &[bought("A-1", 0)]).await;
    let sending = claim(&store).await.remove(0);
    let cleared = store.begin_sending(&sending, LONG).await.unwrap();
    assert_eq!(cleared, Clearance::Go(sending.about.clone()));
    apply(&bench, &store, &[paid("A-1", 1, 100)]).await;
    let sent = store.settle_message(&sending, &SendOutcome::Sent).await;
    sent.unwrap();
    assert_eq!(
        about(&bench, "order/A-1").await,
        [("sent".to_owned(), Some(1)), waiting(2)]
    );
    assert_eq!(go(&store).await, [named("order/A-1", 2)]);
}

async fn what_was_given_back_is_superseded_by_a_newer_one(bench: Bench) {
    let store = telling(&bench).await;
    apply(&bench, &store, &[bought("A-1", 0)]).await;
    let sending = claim(&store).await.remove(0);
    store.begin_sending(&sending, LONG).await.unwrap();
    apply(&bench, &store, &[paid("A-1", 1, 100)]).await;
    let again = SendOutcome::Retry {
        at: bench.now(),
        reason: "the application answered 500".to_owned(),
    };
    store.settle_message(&sending, &again).await.unwrap();
    assert_eq!(go(&store).await, [named("order/A-1", 2)]);
    assert_eq!(
        about(&bench, "order/A-1").await,
        [
            ("suppressed".to_owned(), Some(1)),
            ("sent".to_owned(), Some(2))
        ]
    );
}

async fn what_changes_nothing_is_not_told(bench: Bench) {
    let store = telling(&bench).await;
    apply(&bench, &store, &[bought("A-1", 0)]).await;
    assert_eq!(go(&store).await, [named("order/A-1", 1)]);
    let mut same = bought("A-1", 0);
    same.id = "evt_same".to_owned();
    apply(&bench, &store, &[same]).await;
    assert!(go(&store).await.is_empty());
}

async fn the_end_of_a_grace_is_told(bench: Bench) {
    let store = telling(&bench).await;
    apply(&bench, &store, &[subscription("past_due", 0)]).await;
    let told = go(&store).await;
    assert!(told.contains(&named("access/cus_1", 1)), "{told:?}");
    bench.clock.advance(policy().access.past_due_grace / 2);
    assert!(go(&store).await.is_empty());
    bench.clock.advance(policy().access.past_due_grace / 2);
    assert_eq!(go(&store).await, [named("access/cus_1", 2)]);
    assert_eq!(
        about(&bench, "access/cus_1").await,
        [("sent".to_owned(), Some(1)), ("sent".to_owned(), Some(2))]
    );
    // The version is the row's, and what changes it next comes after it.
    apply(&bench, &store, &[subscription("active", 60)]).await;
    let told = go(&store).await;
    assert!(told.contains(&named("access/cus_1", 3)), "{told:?}");
}

async fn a_grace_that_ended_otherwise_is_not_told_twice(bench: Bench) {
    let store = telling(&bench).await;
    apply(&bench, &store, &[subscription("past_due", 0)]).await;
    apply(&bench, &store, &[subscription("active", 60)]).await;
    let told = go(&store).await;
    assert!(told.contains(&named("access/cus_1", 2)), "{told:?}");
    bench.clock.advance(policy().access.past_due_grace);
    assert!(go(&store).await.is_empty());
    let in_time = messages(&bench).await.into_iter();
    let in_time: Vec<_> = in_time
        .filter(|message| message.version.is_none())
        .collect();
    assert_eq!(in_time.len(), 1);
    assert_eq!(in_time[0].status, "suppressed");
}

async fn a_longer_grace_is_waited_for(bench: Bench) {
    let store = telling(&bench).await;
    apply(&bench, &store, &[subscription("past_due", 0)]).await;
    go(&store).await;
    let grace = policy().access.past_due_grace;
    let mut patient = Policy {
        tells_application: true,
        ..policy()
    };
    patient.access.past_due_grace += Duration::from_hours(24);
    let patient = bench.process_with(patient).await;
    bench.clock.advance(grace);
    assert!(go(&patient).await.is_empty());
    bench.clock.advance(Duration::from_hours(24));
    assert_eq!(go(&patient).await, [named("access/cus_1", 2)]);
}

async fn a_hold_is_told_and_so_is_its_end(bench: Bench) {
    let store = telling(&bench).await;
    apply(&bench, &store, &[failed_payment("cus_1", "pi_1")]).await;
    assert_eq!(go(&store).await, [named("order/pi_1", 1)]);
    bench.clock.advance(Duration::from_secs(10));
    let run = store.claim_run(LONG).await.unwrap().unwrap();
    let ends_at = bench.now().plus(Duration::from_hours(72));
    let hold = NewEffect {
        key: "hold".to_owned(),
        proposal: Proposal::NotifySales {
            priority: billhook_tools::Priority::Normal,
            summary: "Held".to_owned(),
        },
        action: Action::Hold {
            order: "pi_1".to_owned(),
            reason: "address_unclear".to_owned(),
            ends_at,
        },
    };
    store.finish_run(&run, &done(vec![hold])).await.unwrap();
    assert_eq!(go(&store).await, [named("order/pi_1", 2)]);
    bench.clock.advance(Duration::from_hours(72));
    assert_eq!(go(&store).await, [named("order/pi_1", 3)]);
    let order = store.object("order", "pi_1").await.unwrap().remove(0);
    assert_eq!(order.beside, serde_json::json!([]), "it has ended");
}

async fn an_order_that_goes_is_told_and_counts_on_when_it_comes_back(bench: Bench) {
    let store = telling(&bench).await;
    apply(&bench, &store, &[bought("A-1", 0)]).await;
    assert_eq!(go(&store).await, [named("order/A-1", 1)]);
    apply(&bench, &store, &[bought("B-1", 1)]).await;
    assert_eq!(
        go(&store).await,
        [named("order/A-1", 2), named("order/B-1", 1)]
    );
    apply(&bench, &store, &[bought("A-1", 2)]).await;
    assert_eq!(
        go(&store).await,
        [named("order/A-1", 3), named("order/B-1", 2)]
    );
}

/// Everything, in portions of one.
async fn resend(store: &SqlStore) -> usize {
    let mut told = 0;
    for (kind, _) in TOLD {
        let mut after = None;
        loop {
            let page = store.tell_again(kind, after.as_ref(), 1).await.unwrap();
            let Some(last) = page.into_iter().next_back() else {
                break;
            };
            told += 1;
            after = Some(last);
        }
    }
    told
}

async fn everything_can_be_told_again(bench: Bench) {
    // Nobody was told yet when all this happened; another account has an order of the same name.
    let mut other = bought("A-1", 0);
    (other.id, other.account) = ("evt_other".to_owned(), Some("acct_2".to_owned()));
    let events = [subscription("past_due", 0), bought("A-1", 0), other];
    apply(&bench, &bench.store, &events).await;
    let store = telling(&bench).await;
    assert_eq!(store.count_objects("order").await.unwrap(), 2);
    assert_eq!(resend(&store).await, 4);
    let all = [
        named("access/cus_1", 1),
        named("order/A-1", 1),
        named("order/A-1", 1),
        named("subscription/sub_1", 1),
    ];
    // What waits already is not told twice.
    assert_eq!(resend(&store).await, 4);
    assert_eq!(go(&store).await, all);
    let ids = |messages: Vec<MessageRecord>| -> Vec<String> {
        let sent = messages
            .into_iter()
            .filter(|message| message.status == "sent");
        sent.map(|message| message.message_id).collect()
    };
    let before = ids(messages(&bench).await);
    assert_eq!(resend(&store).await, 4);
    assert_eq!(go(&store).await, all);
    assert_eq!(ids(messages(&bench).await), before, "under the same ids");
    // Nobody was there when the grace ended, nor for long after.
    bench
        .clock
        .advance(policy().access.past_due_grace + policy().expire);
    store.expire_messages(100).await.unwrap();
    assert!(go(&store).await.is_empty());
    resend(&store).await;
    let told = go(&store).await;
    assert!(told.contains(&named("access/cus_1", 2)), "{told:?}");
    assert_eq!(store.examine().await.unwrap().untold, 0);
}

async fn what_expires_or_is_refused_is_counted(bench: Bench) {
    let store = telling(&bench).await;
    let untold = async || bench.store.examine().await.unwrap().untold;
    apply(&bench, &store, &[bought("A-1", 0)]).await;
    let message = claim(&store).await.remove(0);
    store.begin_sending(&message, LONG).await.unwrap();
    let gone = SendOutcome::Failed {
        reason: "the application answered 410".to_owned(),
    };
    store.settle_message(&message, &gone).await.unwrap();
    assert_eq!(untold().await, 1);
    apply(&bench, &store, &[bought("B-1", 1)]).await;
    bench.clock.advance(policy().expire);
    store.expire_messages(100).await.unwrap();
    assert_eq!(untold().await, 2, "both orders, each of them once");
    resend(&store).await;
    assert_eq!(store.tell_gone_again(100).await.unwrap(), 1);
    let told = go(&store).await;
    assert_eq!(told, [named("order/A-1", 2), named("order/B-1", 1)]);
    assert_eq!(untold().await, 0);
}
