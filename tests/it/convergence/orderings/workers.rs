//! Two processes at once, on either database.

use std::sync::Arc;
use std::time::Duration;

use billhook::store::{ClaimedEvent, SqlStore, Store};
use futures::future::join_all;

use super::{customer, intent, invoice, subscription, told};
use crate::support::bench::Bench;
use crate::support::fixture::{Object, Shape, Told};

/// Applies `events` by two processes that each claim every second one.
async fn apply_at_once(bench: &Bench, stores: &[Arc<SqlStore>; 2], events: &[Told]) {
    let deliveries: Vec<_> = events
        .iter()
        .enumerate()
        .map(|(at, told)| told.delivery(Shape::ALL[at % Shape::ALL.len()], bench.now()))
        .collect();
    bench.store.ingest(&deliveries).await.unwrap();
    let mut work: Vec<(&Arc<SqlStore>, ClaimedEvent)> = Vec::new();
    let limit = u32::try_from(events.len().div_ceil(2)).unwrap();
    for store in stores {
        for event in store
            .claim_events(limit, Duration::from_mins(10))
            .await
            .unwrap()
        {
            work.push((store, event));
        }
    }
    assert_eq!(work.len(), events.len());
    let applying = work.iter().map(|(store, event)| store.apply_event(event));
    for applied in join_all(applying).await {
        applied.unwrap();
    }
}

async fn benches() -> Vec<Bench> {
    let mut benches = vec![Bench::sqlite().await];
    benches.extend(Bench::postgres().await);
    benches
}

async fn rows(bench: &Bench, kind: &str, id: &str) -> usize {
    bench.store.object(kind, id).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_created_and_an_updated_at_once_are_one_row() {
    for bench in benches().await {
        let stores = [bench.store.clone(), bench.another_process().await];
        for round in 0..20 {
            let mut ada = customer();
            ada.id = format!("cus_{round}");
            let at = |kind| told(&format!("evt_{round}_{kind}"), kind, round, ada.clone());
            let events = [at("customer.created"), at("customer.updated")];
            apply_at_once(&bench, &stores, &events).await;
            assert_eq!(rows(&bench, "customer", &ada.id).await, 1);
        }
    }
}

/// Each object's events are met by the other's, and no two orders of locking may wait for each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_on_one_customer_never_wait_for_each_other() {
    for bench in benches().await {
        let stores = [bench.store.clone(), bench.another_process().await];
        for round in 0..20 {
            let at = |name: &str, kind, object: Object| {
                Told::new(
                    format!("evt_{round}_{name}"),
                    kind,
                    super::START + round,
                    object,
                )
            };
            let declined = intent("pi_1", "requires_payment_method", true);
            let mut events: Vec<Told> = vec![
                at("cus_a", "customer.created", customer().into()),
                at("in_a", "invoice.created", invoice("draft", 0).into()),
                at("cus_b", "customer.updated", customer().into()),
                at("in_b", "invoice.payment_failed", invoice("open", 1).into()),
                at("pi", "payment_intent.payment_failed", declined.into()),
            ];
            for (id, status) in [("sub_1", "active"), ("sub_2", "past_due")] {
                let (a, b) = (format!("{id}_a"), format!("{id}_b"));
                let subscription = subscription(id, status);
                events.insert(
                    0,
                    at(
                        &a,
                        "customer.subscription.created",
                        subscription.clone().into(),
                    ),
                );
                events.push(at(&b, "customer.subscription.updated", subscription.into()));
            }
            apply_at_once(&bench, &stores, &events).await;
        }
        for (kind, id) in [
            ("customer", "cus_1"),
            ("subscription", "sub_1"),
            ("subscription", "sub_2"),
            ("invoice", "in_1"),
            ("payment_intent", "pi_1"),
            ("access", "cus_1"),
        ] {
            assert_eq!(rows(&bench, kind, id).await, 1, "{kind} {id}");
        }
    }
}
