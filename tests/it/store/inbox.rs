//! Deliveries in, events out to be applied, and what becomes of those that fail.
//!
//! Over 400 lines because the inbox is one story in many small cases.

use std::collections::BTreeSet;
use std::time::Duration;

use billhook::clock::Timestamp;
use billhook::store::{Accepted, Failure, Retried, Store, StoreError};
use serde_json::json;

use super::{LONG, apply, claim_events, claim_one, failed_payment, ingest, paid, status};
use crate::support::bench::{Bench, START};
use crate::support::fixture::{Shape, Told, arrival, delivery};

on_both![
    the_first_is_accepted_and_the_rest_are_duplicates,
    one_batch_may_hold_an_event_twice,
    another_version_is_one_more_snapshot,
    a_body_that_arrives_while_its_event_is_applied_is_not_lost,
    the_same_version_again_changes_nothing,
    text_may_hold_nul,
    a_body_may_have_a_mebibyte,
    an_ignored_event_is_kept_and_left_alone,
    a_claim_keeps_to_its_limit,
    a_claim_takes_only_so_many_bytes_into_memory,
    two_processes_never_claim_the_same,
    an_ended_lease_is_taken_over_and_the_old_claim_is_refused,
    what_failed_is_tried_again_and_then_dead,
    an_event_that_says_nothing_is_final,
    an_old_failure_is_applied_and_not_written_about,
    an_empty_batch_is_nothing,
];

async fn the_first_is_accepted_and_the_rest_are_duplicates(bench: Bench) {
    let told = failed_payment("cus_1", "pi_1");
    let batch = [told.delivery(Shape::Clover, bench.now())];
    assert_eq!(
        bench.store.ingest(&batch).await.unwrap(),
        [Accepted::Accepted]
    );
    assert_eq!(
        bench.store.ingest(&batch).await.unwrap(),
        [Accepted::Duplicate]
    );
    let event = bench.store.event(&told.id).await.unwrap().unwrap();
    assert_eq!(
        (event.status.as_str(), event.deliveries.len()),
        ("pending", 2)
    );
    assert_eq!(event.payload, told.json(Shape::Clover));
    assert_eq!(bench.store.backlog(10).await.unwrap(), 1);
    apply(&bench, &[]).await;
    assert_eq!(
        bench.store.ingest(&batch).await.unwrap(),
        [Accepted::Duplicate]
    );
    assert_eq!(bench.store.backlog(10).await.unwrap(), 0);
}

async fn one_batch_may_hold_an_event_twice(bench: Bench) {
    let (one, other) = (
        failed_payment("cus_1", "pi_1"),
        failed_payment("cus_1", "pi_2"),
    );
    let batch = [&other, &one, &other, &one].map(|told| told.delivery(Shape::Old, bench.now()));
    let accepted = bench.store.ingest(&batch).await.unwrap();
    assert_eq!(
        accepted,
        [
            Accepted::Accepted,
            Accepted::Accepted,
            Accepted::Duplicate,
            Accepted::Duplicate
        ]
    );
    let shapes = Shape::BOTH.map(|shape| paid("cus_1", "pi_3", 0).delivery(shape, bench.now()));
    assert_eq!(
        bench.store.ingest(&shapes).await.unwrap(),
        [Accepted::Accepted, Accepted::Duplicate]
    );
    let claimed = claim_events(&bench).await;
    assert_eq!(claimed.len(), 3);
    let both = claimed
        .iter()
        .find(|event| event.id == "evt_pi_3_paid")
        .unwrap();
    assert_eq!(both.bodies.len(), 2);
}

async fn another_version_is_one_more_snapshot(bench: Bench) {
    // Only the old shape says which invoice a payment belongs to.
    let mut told = failed_payment("cus_1", "pi_1");
    if let crate::support::fixture::Object::Intent(intent) = &mut told.object {
        intent.invoice = Some("in_1".into());
    }
    bench
        .store
        .ingest(&[told.delivery(Shape::Clover, bench.now())])
        .await
        .unwrap();
    bench
        .store
        .apply_event(&claim_one(&bench).await)
        .await
        .unwrap();
    let row = |rows: Vec<billhook::store::ObjectRow>| rows[0].data["invoice"].clone();
    assert_eq!(
        row(bench.store.object("payment_intent", "pi_1").await.unwrap()),
        json!(null)
    );
    let again = [told.delivery(Shape::Old, bench.now())];
    assert_eq!(
        bench.store.ingest(&again).await.unwrap(),
        [Accepted::Duplicate]
    );
    let claimed = claim_one(&bench).await;
    let versions: Vec<&str> = claimed
        .bodies
        .iter()
        .map(|(version, _)| version.as_str())
        .collect();
    assert_eq!(versions, [Shape::Old.version()]);
    bench.store.apply_event(&claimed).await.unwrap();
    assert_eq!(
        row(bench.store.object("payment_intent", "pi_1").await.unwrap()),
        json!("in_1")
    );
    assert_eq!(bench.store.backlog(10).await.unwrap(), 0);
}

async fn a_body_that_arrives_while_its_event_is_applied_is_not_lost(bench: Bench) {
    let told = failed_payment("cus_1", "pi_1");
    bench
        .store
        .ingest(&[told.delivery(Shape::Clover, bench.now())])
        .await
        .unwrap();
    let claimed = claim_one(&bench).await;
    bench
        .store
        .ingest(&[told.delivery(Shape::Old, bench.now())])
        .await
        .unwrap();
    bench.store.apply_event(&claimed).await.unwrap();
    let rest = claim_one(&bench).await;
    assert_eq!(rest.bodies[0].0, Shape::Old.version());
    bench.store.apply_event(&rest).await.unwrap();
    assert_eq!(bench.store.backlog(10).await.unwrap(), 0);
    assert_eq!(status(&bench, &told.id).await, "applied");
}

async fn the_same_version_again_changes_nothing(bench: Bench) {
    let told = failed_payment("cus_1", "pi_1");
    apply(&bench, std::slice::from_ref(&told)).await;
    let mut other = told.json(Shape::Clover);
    other["pending_webhooks"] = json!(0);
    bench
        .store
        .ingest(&[delivery(&other, bench.now())])
        .await
        .unwrap();
    assert_eq!(bench.store.backlog(10).await.unwrap(), 0);
    let event = bench.store.event(&told.id).await.unwrap().unwrap();
    assert_eq!(event.payload["pending_webhooks"], 1);
    assert_ne!(
        event.deliveries[0]["body_sha256"],
        event.deliveries[1]["body_sha256"]
    );
}

async fn text_may_hold_nul(bench: Bench) {
    let mut event = failed_payment("cus_1", "pi_1").json(Shape::Clover);
    event["data"]["object"]["metadata"] = json!({ "order_id": "10\u{0}01", "a\u{0}b": "\u{0}" });
    event["type"] = json!("payment_intent.pay\u{0}ment_failed");
    let taken = delivery(&event, bench.now());
    let bytes = taken.body.clone();
    let mut ignored = delivery(&paid("cus_1", "pi_2", 0).json(Shape::Old), bench.now());
    ignored.ignored = Some("for\u{0}eign".to_owned());
    bench.store.ingest(&[taken, ignored]).await.unwrap();
    let claimed = claim_one(&bench).await;
    assert_eq!(claimed.bodies[0].1, bytes);
    bench.store.apply_event(&claimed).await.unwrap();
    let order = bench.store.object("order", "1001").await.unwrap();
    assert_eq!(order.len(), 1);
    // What a driver or a server says may hold it as well.
    ingest(&bench, &[paid("cus_1", "pi_3", 0)]).await;
    let claimed = claim_one(&bench).await;
    bench
        .store
        .fail_event(&claimed, "a\u{0}b", Failure::Dead)
        .await
        .unwrap();
    let failed = bench.store.event(&claimed.id).await.unwrap().unwrap();
    assert_eq!(failed.last_error.as_deref(), Some("ab"));
}

async fn a_body_may_have_a_mebibyte(bench: Bench) {
    let mut event = paid("cus_1", "pi_1", 0).json(Shape::Clover);
    event["data"]["object"]["description"] = json!("é".repeat(512 * 1024));
    let small = failed_payment("cus_1", "pi_2");
    let batch = [
        small.delivery(Shape::Old, bench.now()),
        delivery(&event, bench.now()),
        paid("cus_1", "pi_3", 0).delivery(Shape::Old, bench.now()),
    ];
    assert!(batch[1].body.len() > 1 << 20);
    bench.store.ingest(&batch).await.unwrap();
    let claimed = claim_events(&bench).await;
    for (sent, found) in batch.iter().map(|sent| {
        (
            sent,
            claimed
                .iter()
                .find(|event| event.id == sent.event.id)
                .unwrap(),
        )
    }) {
        assert!(found.bodies[0].1 == sent.body, "{}", found.id);
        bench.store.apply_event(found).await.unwrap();
    }
    assert_eq!(
        bench.store.object("payment_intent", "pi_1").await.unwrap()[0].data["status"],
        "succeeded"
    );
}

async fn a_claim_takes_only_so_many_bytes_into_memory(bench: Bench) {
    let mut seen = BTreeSet::new();
    let large: Vec<_> = (0..10)
        .map(|number| {
            let mut event = paid("cus_1", &format!("pi_{number}"), 0).json(Shape::Clover);
            event["data"]["object"]["description"] = json!("x".repeat(1 << 20));
            delivery(&event, bench.now())
        })
        .collect();
    bench.store.ingest(&large).await.unwrap();
    for expected in [7, 3] {
        let claimed = claim_events(&bench).await;
        assert_eq!(claimed.len(), expected, "what was left is free at once");
        for event in claimed {
            assert_eq!(event.bodies.len(), 1);
            assert!(seen.insert(event.id), "claimed twice");
        }
    }
    assert!(claim_events(&bench).await.is_empty());
}

async fn an_ignored_event_is_kept_and_left_alone(bench: Bench) {
    let mut delivery = paid("cus_1", "pi_1", 0).delivery(Shape::Old, bench.now());
    delivery.ignored = Some("no rule handles it".to_owned());
    bench.store.ingest(&[delivery]).await.unwrap();
    assert!(claim_events(&bench).await.is_empty());
    let event = bench.store.event("evt_pi_1_paid").await.unwrap().unwrap();
    assert_eq!(
        (event.status.as_str(), event.last_error.as_deref()),
        ("ignored", Some("no rule handles it"))
    );
    assert_eq!(
        bench.store.retry_event("evt_pi_1_paid").await.unwrap(),
        Retried::NotDead
    );
}

async fn a_claim_keeps_to_its_limit(bench: Bench) {
    let events: Vec<Told> = (0..7)
        .map(|n| failed_payment("cus_1", &format!("pi_{n}")))
        .collect();
    ingest(&bench, &events).await;
    for expected in [3, 3, 1, 0] {
        assert_eq!(
            bench.store.claim_events(3, LONG).await.unwrap().len(),
            expected
        );
    }
    assert_eq!(bench.store.backlog(5).await.unwrap(), 5);
    assert_eq!(bench.store.backlog(50).await.unwrap(), 7);
}

async fn two_processes_never_claim_the_same(bench: Bench) {
    let other = bench.another_process().await;
    let events: Vec<Told> = (0..40)
        .map(|n| failed_payment("cus_1", &format!("pi_{n}")))
        .collect();
    ingest(&bench, &events).await;
    let mut claimed = Vec::new();
    for _ in 0..10 {
        let (mine, theirs) = tokio::join!(
            bench.store.claim_events(3, LONG),
            other.claim_events(3, LONG)
        );
        claimed.extend(
            mine.unwrap()
                .into_iter()
                .chain(theirs.unwrap())
                .map(|event| event.id),
        );
    }
    let distinct: BTreeSet<&String> = claimed.iter().collect();
    assert_eq!((claimed.len(), distinct.len()), (40, 40));
}

async fn an_ended_lease_is_taken_over_and_the_old_claim_is_refused(bench: Bench) {
    let told = failed_payment("cus_1", "pi_1");
    ingest(&bench, std::slice::from_ref(&told)).await;
    let old = bench
        .store
        .claim_events(10, bench.short_lease())
        .await
        .unwrap()
        .remove(0);
    assert!(claim_events(&bench).await.is_empty());
    let new = bench
        .after_lease(async || claim_events(&bench).await.pop())
        .await;
    assert!(new.epoch > old.epoch);
    let refused = bench.store.apply_event(&old).await;
    assert!(matches!(refused, Err(StoreError::Fenced)), "{refused:?}");
    let refused = bench.store.fail_event(&old, "late", Failure::Dead).await;
    assert!(matches!(refused, Err(StoreError::Fenced)), "{refused:?}");
    assert!(
        bench
            .store
            .object("payment_intent", "pi_1")
            .await
            .unwrap()
            .is_empty(),
        "what was refused wrote something"
    );
    bench.store.apply_event(&new).await.unwrap();
    let again = bench.store.apply_event(&old).await;
    assert!(matches!(again, Err(StoreError::Fenced)), "{again:?}");
    let event = bench.store.event(&told.id).await.unwrap().unwrap();
    let statuses = event
        .changes
        .iter()
        .filter(|change| change["entity"] == "payment_intent" && change["field"] == "status");
    assert_eq!(statuses.count(), 1);
}

async fn what_failed_is_tried_again_and_then_dead(bench: Bench) {
    let told = failed_payment("cus_1", "pi_1");
    ingest(&bench, std::slice::from_ref(&told)).await;
    let claimed = claim_one(&bench).await;
    let soon = bench.now().plus(Duration::from_secs(30));
    bench
        .store
        .fail_event(&claimed, "the network was away", Failure::Retry(soon))
        .await
        .unwrap();
    assert!(claim_events(&bench).await.is_empty());
    let event = bench.store.event(&told.id).await.unwrap().unwrap();
    assert_eq!((event.status.as_str(), event.attempts), ("retrying", 1));
    assert_eq!(event.last_error.as_deref(), Some("the network was away"));
    bench.clock.advance(Duration::from_secs(30));
    let claimed = claim_one(&bench).await;
    let soon = bench.now().plus(Duration::from_secs(2));
    bench
        .store
        .fail_event(&claimed, "a locked table", Failure::Postpone(soon))
        .await
        .unwrap();
    assert!(claim_events(&bench).await.is_empty());
    bench.clock.advance(Duration::from_secs(2));
    let claimed = claim_one(&bench).await;
    assert_eq!(claimed.attempts, 1, "what was put off was not counted");
    bench
        .store
        .fail_event(&claimed, "still away", Failure::Dead)
        .await
        .unwrap();
    assert_eq!(status(&bench, &told.id).await, "dead");
    assert!(claim_events(&bench).await.is_empty());
    assert_eq!(bench.store.backlog(10).await.unwrap(), 0);

    assert_eq!(
        bench.store.retry_event("evt_nobody").await.unwrap(),
        Retried::Missing
    );
    assert_eq!(
        bench.store.retry_event(&told.id).await.unwrap(),
        Retried::Retrying
    );
    assert_eq!(
        bench.store.retry_event(&told.id).await.unwrap(),
        Retried::NotDead
    );
    let claimed = claim_one(&bench).await;
    assert_eq!(claimed.attempts, 0);
    bench.store.apply_event(&claimed).await.unwrap();
    let event = bench.store.event(&told.id).await.unwrap().unwrap();
    assert_eq!((event.status.as_str(), event.last_error), ("applied", None));
    assert_eq!(
        bench.store.retry_event(&told.id).await.unwrap(),
        Retried::NotDead
    );
}

async fn an_event_that_says_nothing_is_final(bench: Bench) {
    let mut event = paid("cus_1", "pi_1", 0).json(Shape::Clover);
    event["data"]["object"] = json!({ "object": "payment_intent" });
    bench
        .store
        .ingest(&[delivery(&event, bench.now())])
        .await
        .unwrap();
    let error = bench
        .store
        .apply_event(&claim_one(&bench).await)
        .await
        .unwrap_err();
    assert!(error.is_final(), "{error:?}");

    // A body that no longer parses: only a damaged disk makes one, and it must not be tried for ever.
    let mut broken = paid("cus_1", "pi_2", 0).delivery(Shape::Old, bench.now());
    broken.body = b"{".to_vec();
    bench.store.ingest(&[broken]).await.unwrap();
    let error = bench
        .store
        .apply_event(&claim_one(&bench).await)
        .await
        .unwrap_err();
    assert!(error.is_final(), "{error:?}");
}

async fn an_old_failure_is_applied_and_not_written_about(bench: Bench) {
    let mut old = failed_payment("cus_1", "pi_1");
    old.created = START - 86_400 - 1;
    let mut young = failed_payment("cus_2", "pi_2");
    young.created = START - 86_400 + 1;
    apply(&bench, &[old, young]).await;
    assert_eq!(status(&bench, "evt_pi_1_failed").await, "done");
    assert_eq!(status(&bench, "evt_pi_2_failed").await, "applied");
    assert_eq!(
        bench
            .store
            .object("payment_intent", "pi_1")
            .await
            .unwrap()
            .len(),
        1
    );
}

async fn an_empty_batch_is_nothing(bench: Bench) {
    assert!(bench.store.ingest(&[]).await.unwrap().is_empty());
    let mut delivery = arrival(
        paid("cus_1", "pi_1", 0)
            .json(Shape::Old)
            .to_string()
            .into_bytes(),
        Timestamp(1),
    );
    delivery.event.api_version = None;
    bench.store.ingest(&[delivery]).await.unwrap();
    assert_eq!(claim_one(&bench).await.bodies.len(), 1);
}
