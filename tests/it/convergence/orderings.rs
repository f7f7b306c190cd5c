//! Orders of arrival that have broken other people's integrations, one test each, and the moves backwards that are legal.
//! Every one is tried in every order and in every shape.

mod customers;
mod invoices;
mod payments;
mod payouts;
mod reversals;
mod subscriptions;
mod workers;

use billhook::store::Store;
use serde_json::Value;

use super::burst::{Manner, apply_all, kinds, permutations, tell};
use crate::support::bench::{Bench, START};
use crate::support::fixture::{Customer, Intent, Invoice, Object, Shape, Subscription, Told};

/// Tells `events` in every order and shape, and asks for a field of a row each time.
async fn always(events: &[Told], of: (&str, &str), field: &str, expected: Value) {
    always_on(&Bench::in_memory().await, events, of, field, expected).await;
}

/// The same on PostgreSQL as well, which sorts and locks by itself.
async fn always_on_both(events: &[Told], of: (&str, &str), field: &str, expected: Value) {
    always(events, of, field, expected.clone()).await;
    if let Some(bench) = Bench::postgres().await {
        always_on(&bench, events, of, field, expected).await;
    }
}

async fn always_on(
    bench: &Bench,
    events: &[Told],
    (kind, id): (&str, &str),
    field: &str,
    expected: Value,
) {
    let orders = permutations(events);
    let manners: Vec<Manner> = Shape::ALL
        .map(|shape| Manner::Plain(shape, false))
        .into_iter()
        .chain([Manner::Mixed])
        .collect();
    for (at, manner) in manners.into_iter().enumerate() {
        // Each manner has accounts of its own, after those before it.
        let mut stories = vec![Vec::new(); at * orders.len()];
        stories.extend(orders.iter().cloned());
        tell(bench, &stories, manner).await;
        let rows = bench.store.object(kind, id).await.unwrap();
        for (story, order) in stories.iter().enumerate().skip(at * orders.len()) {
            let row = rows.iter().find(|row| row.account == format!("o{story}"));
            let found = row.map_or(Value::Null, |row| row.data[field].clone());
            assert_eq!(found, expected, "{manner:?} {:?}\n{row:#?}", kinds(order));
        }
    }
}

fn subscription(id: &str, status: &'static str) -> Subscription {
    Subscription {
        id: id.into(),
        customer: "cus_1".into(),
        status,
        period_start: START,
        canceled_at: (status == "canceled").then_some(START),
        created: START,
        ..Subscription::default()
    }
}

fn invoice(status: &'static str, attempts: i64) -> Invoice {
    Invoice {
        id: "in_1".into(),
        customer: "cus_1".into(),
        subscription: Some("sub_1".into()),
        status,
        attempts,
        created: START,
        ..Invoice::default()
    }
}

fn intent(id: &str, status: &'static str, declined: bool) -> Intent {
    Intent {
        id: id.into(),
        customer: Some("cus_1".into()),
        order: Some("1001".into()),
        status,
        received: if status == "succeeded" { 4900 } else { 0 },
        charge: Some(format!("ch_{id}")),
        declined,
        created: START,
        ..Intent::default()
    }
}

fn customer() -> Customer {
    Customer {
        id: "cus_1".into(),
        created: START,
        ..Customer::default()
    }
}

fn told(id: &str, kind: &'static str, after: i64, object: impl Into<Object>) -> Told {
    Told::new(id, kind, START + after, object)
}
