//! The store's verbs, on SQLite and on PostgreSQL: the same cases, word for word.

use std::time::Duration;

use billhook::store::{ClaimedEvent, Store};

use crate::support::bench::{Bench, START};
use crate::support::fixture::{Intent, Shape, Told};

/// Makes each case two tests: on a SQLite file and on PostgreSQL.
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $case() {
                super::$case($crate::support::bench::Bench::sqlite().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $case() {
                if let Some(bench) = $crate::support::bench::Bench::postgres().await {
                    super::$case(bench).await;
                }
            })*
        }
    };
}

mod approvals;
mod backfill;
mod belongings;
mod caps;
mod conformance;
mod connect;
mod dead;
mod examination;
mod expiry;
mod fetches;
mod inbox;
mod lanes;
mod money;
mod observe;
mod pages;
mod plans;
mod queued;
mod references;
mod resolve;
mod schema;
mod settling;
mod spending;
mod stops;
mod suppressions;
mod telling;
mod views;
mod waiting;
mod waits;
mod why;

const LONG: Duration = Duration::from_mins(1);

/// A payment without an invoice that failed at the start of the clock.
fn failed_payment(customer: &str, intent: &str) -> Told {
    let object = Intent {
        id: intent.into(),
        customer: Some(customer.into()),
        invoice: None,
        order: None,
        status: "requires_payment_method",
        amount: 4900,
        received: 0,
        charge: Some(format!("ch_{intent}")),
        declined: true,
        created: START,
        ..Intent::default()
    };
    Told::new(
        format!("evt_{intent}_failed"),
        "payment_intent.payment_failed",
        START,
        object,
    )
}

/// The same payment, gone through some time later.
fn paid(customer: &str, intent: &str, after: i64) -> Told {
    let object = Intent {
        id: intent.into(),
        customer: Some(customer.into()),
        invoice: None,
        order: None,
        status: "succeeded",
        amount: 4900,
        received: 4900,
        charge: Some(format!("ch_{intent}_again")),
        declined: false,
        created: START,
        ..Intent::default()
    };
    Told::new(
        format!("evt_{intent}_paid"),
        "payment_intent.succeeded",
        START + after,
        object,
    )
}

async fn ingest(bench: &Bench, events: &[Told]) {
    let deliveries: Vec<_> = events
        .iter()
        .map(|told| told.delivery(Shape::Clover, bench.now()))
        .collect();
    bench.store.ingest(&deliveries).await.unwrap();
}

async fn claim_events(bench: &Bench) -> Vec<ClaimedEvent> {
    bench.store.claim_events(100, LONG).await.unwrap()
}

async fn claim_one(bench: &Bench) -> ClaimedEvent {
    let mut claimed = claim_events(bench).await;
    assert_eq!(claimed.len(), 1, "{claimed:?}");
    claimed.remove(0)
}

/// Takes events in and applies them.
async fn apply(bench: &Bench, events: &[Told]) {
    ingest(bench, events).await;
    for event in claim_events(bench).await {
        bench.store.apply_event(&event).await.unwrap();
    }
}

async fn status(bench: &Bench, event: &str) -> String {
    bench.store.event(event).await.unwrap().unwrap().status
}
