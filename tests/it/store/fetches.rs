//! Questions to Stripe as the store keeps them: claimed once, fenced, taken up again.

use std::sync::Arc;
use std::time::Duration;

use billhook::store::{ClaimedFetch, FetchEnd, Policy, Reach, Reason, SqlStore, Store, StoreError};
use serde_json::{Value, json};

use super::LONG;
use crate::support::bench::{Bench, START, policy};
use crate::support::fixture::{Object, Shape, Told};

on_both!(
    a_question_is_claimed_once_and_by_whoever_outlives_a_lease,
    what_is_asked_again_fences_whoever_asks,
    a_key_claims_questions_of_its_mode,
    what_may_not_be_asked_waits_as_a_kind,
    an_answer_to_one_of_a_kind_releases_the_others,
    what_can_be_asked_now_keeps_from_being_idle,
    without_a_key_nothing_is_put_down,
    a_question_says_what_it_waits_for,
);

async fn a_question_says_what_it_waits_for(bench: Bench) {
    let store = process(&bench, Reach::Either).await;
    apply(&store, &bench, &cut_short("evt_1", "sub_1", 0)).await;
    let waits = async |store: &SqlStore| {
        let event = store.event("evt_1").await.unwrap().unwrap();
        event.fetches[0].waits_for.clone()
    };
    let due = waits(&store).await.unwrap();
    assert!(due.starts_with("is due since "), "{due}");
    let without = waits(&*process(&bench, Reach::Nothing).await).await;
    assert_eq!(
        without.as_deref(),
        Some("waits for a key of its mode: set STRIPE_SECRET_KEY")
    );
    let claimed = claim(&store).await.remove(0);
    let asked = waits(&store).await.unwrap();
    assert!(
        asked.starts_with("is being asked, under a lease until "),
        "{asked}"
    );
    let again = FetchEnd::Again {
        at: bench.now().plus(LONG),
        error: "Stripe answered 503".to_owned(),
    };
    store.end_fetch(&claimed, &again).await.unwrap();
    let later = waits(&store).await.unwrap();
    let expected = "has no answer yet (Stripe answered 503); it is asked again at ";
    assert!(later.starts_with(expected), "{later}");
    bench.clock.advance(LONG);
    let due = waits(&store).await.unwrap();
    assert!(
        due.ends_with("it waits for a free worker to ask again"),
        "{due}"
    );
    let claimed = claim(&store).await.remove(0);
    store.end_fetch(&claimed, &FetchEnd::Gone).await.unwrap();
    assert_eq!(waits(&store).await, None);
}

/// A process whose key reaches `reach`.
async fn process(bench: &Bench, reach: Reach) -> Arc<SqlStore> {
    let policy = Policy { reach, ..policy() };
    bench.process_with(policy).await
}

fn cut_short(event: &str, id: &str, at: i64) -> Told {
    let object: Value = json!({
        "id": id, "object": "subscription", "customer": "cus_1", "status": "active", "created": START - 60,
        "items": { "object": "list", "has_more": true, "data": [{ "id": "si_1", "price": { "id": "price_1" } }] },
    });
    Told::new(
        event,
        "customer.subscription.updated",
        START + at,
        Object::Other(object),
    )
}

async fn apply(store: &SqlStore, bench: &Bench, told: &Told) {
    let delivery = told.delivery(Shape::Clover, bench.now());
    store.ingest(&[delivery]).await.unwrap();
    for event in store.claim_events(10, LONG).await.unwrap() {
        store.apply_event(&event).await.unwrap();
    }
}

async fn claim(store: &SqlStore) -> Vec<ClaimedFetch> {
    store.claim_fetches(None, 10, LONG).await.unwrap()
}

async fn statuses(store: &SqlStore, event: &str) -> Vec<String> {
    let event = store.event(event).await.unwrap().unwrap();
    event
        .fetches
        .into_iter()
        .map(|fetch| fetch.status)
        .collect()
}

async fn a_question_is_claimed_once_and_by_whoever_outlives_a_lease(bench: Bench) {
    let one = process(&bench, Reach::Either).await;
    let other = process(&bench, Reach::Either).await;
    for n in 0..6 {
        let told = cut_short(&format!("evt_{n}"), &format!("sub_{n}"), 0);
        apply(&one, &bench, &told).await;
    }
    let lease = bench.short_lease();
    let (first, second) = tokio::join!(
        one.claim_fetches(None, 3, lease),
        other.claim_fetches(None, 3, lease)
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    let mut ids: Vec<_> = first.iter().chain(&second).map(|fetch| &fetch.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6);
    let late = first[0].clone();
    assert_eq!(
        (late.reason, late.kind.as_str()),
        (Reason::List, "subscription")
    );
    let again = bench
        .after_lease(async || {
            let claimed = claim(&other).await;
            claimed.into_iter().find(|fetch| fetch.id == late.id)
        })
        .await;
    let refused = one.end_fetch(&late, &FetchEnd::Gone).await;
    assert!(matches!(refused, Err(StoreError::Fenced)), "{refused:?}");
    other.end_fetch(&again, &FetchEnd::Gone).await.unwrap();
    // The end of a claim spends its epoch: an answer that was lost is not written twice.
    let twice = other.end_fetch(&again, &FetchEnd::Gone).await;
    assert!(matches!(twice, Err(StoreError::Fenced)), "{twice:?}");
    assert_eq!(statuses(&one, &late.event).await, ["gone"]);
}

async fn what_is_asked_again_fences_whoever_asks(bench: Bench) {
    let store = process(&bench, Reach::Either).await;
    apply(&store, &bench, &cut_short("evt_1", "sub_1", 0)).await;
    let old = claim(&store).await.remove(0);
    apply(&store, &bench, &cut_short("evt_2", "sub_1", 1)).await;
    let refused = store.end_fetch(&old, &FetchEnd::Gone).await;
    assert!(matches!(refused, Err(StoreError::Fenced)), "{refused:?}");
    let new = claim(&store).await.remove(0);
    assert_eq!(
        (new.id.as_str(), new.event.as_str()),
        (old.id.as_str(), "evt_2")
    );
    store
        .end_fetch(&new, &FetchEnd::GivenUp("why".to_owned()))
        .await
        .unwrap();
    assert_eq!(statuses(&store, "evt_1").await, ["given_up"]);
    // What is over is taken up when it comes up again, as if it were new.
    bench.clock.advance(Duration::from_mins(1));
    apply(&store, &bench, &cut_short("evt_3", "sub_1", 2)).await;
    let third = claim(&store).await.remove(0);
    assert_eq!(
        (third.attempts, third.asked_at),
        (0, bench.now()),
        "{third:?}"
    );
    // An answer that leaves it open is asked for again, and not for ever.
    let mut ended = third;
    for attempt in 1..policy().attempts {
        store.end_fetch(&ended, &FetchEnd::Done).await.unwrap();
        bench.clock.advance(Duration::from_mins(1));
        ended = claim(&store).await.remove(0);
        assert_eq!(ended.attempts, attempt);
    }
    store.end_fetch(&ended, &FetchEnd::Done).await.unwrap();
    assert_eq!(statuses(&store, "evt_3").await, ["given_up"]);
}

async fn a_key_claims_questions_of_its_mode(bench: Bench) {
    let store = process(&bench, Reach::Either).await;
    let mut test = cut_short("evt_test", "sub_1", 0);
    test.livemode = false;
    apply(&store, &bench, &test).await;
    apply(&store, &bench, &cut_short("evt_live", "sub_1", 0)).await;
    for (mode, event) in [(true, "evt_live"), (false, "evt_test")] {
        let claimed = store.claim_fetches(Some(mode), 10, LONG).await.unwrap();
        let events: Vec<_> = claimed.iter().map(|fetch| fetch.event.as_str()).collect();
        assert_eq!(events, [event]);
    }
}

async fn what_may_not_be_asked_waits_as_a_kind(bench: Bench) {
    let store = process(&bench, Reach::Either).await;
    for n in 0..3 {
        let told = cut_short(&format!("evt_{n}"), &format!("sub_{n}"), 0);
        apply(&store, &bench, &told).await;
    }
    let claimed = claim(&store).await;
    let until = bench.now().plus(Duration::from_hours(1));
    let denied = FetchEnd::Denied {
        until,
        error: "the key may not".to_owned(),
    };
    store.end_fetch(&claimed[0], &denied).await.unwrap();
    // The others of the kind were put back under the hands of whoever asks them, too.
    let refused = store.end_fetch(&claimed[1], &denied).await;
    assert!(matches!(refused, Err(StoreError::Fenced)), "{refused:?}");
    apply(&store, &bench, &cut_short("evt_9", "sub_9", 0)).await;
    assert_eq!(statuses(&store, "evt_9").await, ["denied"]);
    assert!(claim(&store).await.is_empty());
    // Whoever starts with a key of the mode asks one at once.
    for (mode, hurried) in [(false, 0), (true, 1), (true, 0)] {
        assert_eq!(store.hurry_fetches(Some(mode)).await.unwrap(), hurried);
    }
    let due = claim(&store).await;
    assert_eq!(due.len(), 1);
    let later = FetchEnd::Denied {
        until: until.plus(Duration::from_hours(1)),
        error: "the key may not".to_owned(),
    };
    store.end_fetch(&due[0], &later).await.unwrap();
    assert!(claim(&store).await.is_empty());
    // What waited already was not written again.
    bench.clock.advance(Duration::from_hours(1));
    let due = claim(&store).await;
    assert_eq!(due.len(), 3);
    for fetch in &due {
        store.end_fetch(fetch, &FetchEnd::Gone).await.unwrap();
    }
    apply(&store, &bench, &cut_short("evt_10", "sub_10", 0)).await;
    assert_eq!(statuses(&store, "evt_10").await, ["pending"]);
}

async fn an_answer_to_one_of_a_kind_releases_the_others(bench: Bench) {
    let store = process(&bench, Reach::Either).await;
    for n in 0..3 {
        let told = cut_short(&format!("evt_{n}"), &format!("sub_{n}"), 0);
        apply(&store, &bench, &told).await;
    }
    let denied = FetchEnd::Denied {
        until: bench.now().plus(Duration::from_hours(1)),
        error: "the key may not".to_owned(),
    };
    let claimed = claim(&store).await;
    store.end_fetch(&claimed[0], &denied).await.unwrap();
    assert_eq!(store.hurry_fetches(None).await.unwrap(), 1);
    let first = claim(&store).await;
    assert_eq!(first.len(), 1);
    store.end_fetch(&first[0], &FetchEnd::Gone).await.unwrap();
    let others = claim(&store).await;
    assert_eq!(others.len(), 2);
    assert_eq!(statuses(&store, &others[0].event).await, ["pending"]);
}

async fn what_can_be_asked_now_keeps_from_being_idle(bench: Bench) {
    let store = process(&bench, Reach::Mode(true)).await;
    let other = process(&bench, Reach::Mode(false)).await;
    apply(&store, &bench, &cut_short("evt_1", "sub_1", 0)).await;
    let idle = async || {
        let (mine, theirs) = (store.census().await.unwrap(), other.census().await.unwrap());
        (mine.idle, theirs.idle)
    };
    assert_eq!(idle().await, (false, true));
    let asked = claim(&store).await.remove(0);
    assert_eq!(idle().await, (false, true), "it is being asked");
    let again = FetchEnd::Again {
        at: bench.now().plus(Duration::from_mins(1)),
        error: "Stripe is away".to_owned(),
    };
    store.end_fetch(&asked, &again).await.unwrap();
    assert_eq!(idle().await, (true, true));
    bench.clock.advance(Duration::from_mins(1));
    assert_eq!(idle().await, (false, true));
}

async fn without_a_key_nothing_is_put_down(bench: Bench) {
    for reach in [Reach::Nothing, Reach::Mode(false)] {
        let store = process(&bench, reach).await;
        let event = format!("evt_{reach:?}");
        apply(&store, &bench, &cut_short(&event, "sub_1", 0)).await;
        assert!(claim(&store).await.is_empty());
        assert!(statuses(&store, &event).await.is_empty());
    }
}
