//! Orders of arrival that have broken other people's integrations, one test each. Every one is tried in every order.
//!
//! Over 400 lines because each order that has broken others is one test.

use std::time::Duration;

use billhook::guardrails::precondition::{Purpose, fallen};
use billhook::store::Store;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::bench::{Bench, START};
use crate::support::fixture::{
    Charge, Customer, Intent, Invoice, Session, Shape, Subscription, Told,
};

/// Every order of `items`.
pub(super) fn permutations<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let mut orders = Vec::new();
    for (at, first) in items.iter().enumerate() {
        let mut rest = items.to_vec();
        rest.remove(at);
        for mut order in permutations(&rest) {
            order.insert(0, first.clone());
            orders.push(order);
        }
    }
    orders
}

/// Tells `events` in every order and both shapes, and asks for a field of a row each time.
async fn always(events: &[Told], (kind, id): (&str, &str), field: &str, expected: Value) {
    let bench = Bench::in_memory().await;
    for shape in Shape::BOTH {
        for (at, order) in permutations(events).iter().enumerate() {
            let account = format!("acct_{shape:?}_{at}");
            for told in order {
                let mut delivery = Told {
                    id: format!("{account}_{}", told.id),
                    ..told.clone()
                }
                .delivery(shape, bench.now());
                delivery.account.clone_from(&account);
                bench.store.ingest(&[delivery]).await.unwrap();
                apply_all(&bench).await;
            }
            let rows = bench.store.object(kind, id).await.unwrap();
            let row = rows.iter().find(|row| row.account == account);
            let found = row.map_or(Value::Null, |row| row.data[field].clone());
            assert_eq!(found, expected, "{shape:?} {order:#?}\n{row:#?}");
        }
    }
}

async fn apply_all(bench: &Bench) {
    for event in bench
        .store
        .claim_events(100, Duration::from_mins(1))
        .await
        .unwrap()
    {
        bench.store.apply_event(&event).await.unwrap();
    }
}

fn subscription(id: &str, status: &'static str) -> Subscription {
    Subscription {
        id: id.into(),
        customer: "cus_1".into(),
        status,
        latest_invoice: None,
        period_start: START,
        cancel_at_period_end: false,
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
        intent: None,
        charge: None,
        status,
        amount: 4900,
        attempts,
        shows_payments: false,
        created: START,
        ..Invoice::default()
    }
}

fn intent(id: &str, status: &'static str, declined: bool) -> Intent {
    Intent {
        id: id.into(),
        customer: Some("cus_1".into()),
        invoice: None,
        order: Some("1001".into()),
        status,
        amount: 4900,
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
        email: Some("ada.blum@shopper.example".into()),
        name: Some("Ada Blum".into()),
        delinquent: false,
        created: START,
    }
}

fn told(
    id: &str,
    kind: &'static str,
    after: i64,
    object: impl Into<crate::support::fixture::Object>,
) -> Told {
    Told::new(id, kind, START + after, object)
}

#[tokio::test]
async fn a_subscription_created_and_activated_in_one_second_is_active() {
    let events = [
        told(
            "9",
            "customer.subscription.created",
            0,
            subscription("sub_1", "incomplete"),
        ),
        told(
            "1",
            "customer.subscription.updated",
            0,
            subscription("sub_1", "active"),
        )
        .was(json!({ "status": "incomplete" })),
    ];
    always(
        &events,
        ("subscription", "sub_1"),
        "status",
        json!("active"),
    )
    .await;
}

#[tokio::test]
async fn a_deleted_subscription_stays_canceled() {
    let events = [
        told(
            "1",
            "customer.subscription.deleted",
            0,
            subscription("sub_1", "canceled"),
        ),
        // Written later by Stripe, and yet about the time before.
        told(
            "2",
            "customer.subscription.updated",
            5,
            subscription("sub_1", "active"),
        ),
    ];
    always(
        &events,
        ("subscription", "sub_1"),
        "status",
        json!("canceled"),
    )
    .await;
}

#[tokio::test]
async fn the_end_of_an_old_subscription_leaves_the_new_ones_access() {
    let events = [
        told(
            "1",
            "customer.subscription.created",
            0,
            subscription("sub_old", "active"),
        ),
        told(
            "2",
            "customer.subscription.created",
            5,
            subscription("sub_new", "active"),
        ),
        told(
            "3",
            "customer.subscription.deleted",
            9,
            subscription("sub_old", "canceled"),
        ),
    ];
    always(
        &events,
        ("access", "cus_1"),
        "subscription",
        json!("sub_new"),
    )
    .await;
}

#[tokio::test]
async fn an_invoice_paid_before_it_was_created_is_paid() {
    let events = [
        told("3", "invoice.created", 0, invoice("draft", 0)),
        told("2", "invoice.finalized", 0, invoice("open", 0)),
        told("1", "invoice.paid", 0, invoice("paid", 1)),
    ];
    always(&events, ("invoice", "in_1"), "status", json!("paid")).await;
}

#[tokio::test]
async fn an_invoice_paid_and_updated_in_one_second_is_paid() {
    let events = [
        told("1", "invoice.paid", 0, invoice("paid", 1)),
        told("2", "invoice.updated", 0, invoice("open", 1)).was(json!({ "attempt_count": 0 })),
    ];
    always(&events, ("invoice", "in_1"), "status", json!("paid")).await;
}

#[tokio::test]
async fn a_failure_told_after_the_payment_is_not_written_about() {
    let events = [
        told("1", "invoice.payment_failed", 0, invoice("open", 1)),
        told("2", "invoice.paid", 60, invoice("paid", 2)),
    ];
    always(&events, ("invoice", "in_1"), "status", json!("paid")).await;
    for order in permutations(&events) {
        let bench = Bench::in_memory().await;
        for told in &order {
            bench
                .store
                .ingest(&[told.delivery(Shape::Clover, bench.now())])
                .await
                .unwrap();
            apply_all(&bench).await;
        }
        bench.clock.advance(Duration::from_secs(61));
        let run = bench
            .store
            .claim_run(Duration::from_mins(1))
            .await
            .unwrap()
            .unwrap();
        let input = bench.store.load_run(&run).await.unwrap();
        assert_eq!(
            fallen(Purpose::InvoicePaymentFailed, &input.standing).as_deref(),
            Some("the invoice is paid now")
        );
    }
}

#[tokio::test]
async fn an_uncollectible_invoice_may_still_be_paid() {
    let events = [
        told("1", "invoice.finalized", 0, invoice("open", 0)),
        told("2", "invoice.updated", 5, invoice("uncollectible", 3)),
        told("3", "invoice.paid", 9, invoice("paid", 4)),
    ];
    always(&events, ("invoice", "in_1"), "status", json!("paid")).await;
}

#[tokio::test]
async fn an_order_stays_paid_when_its_first_payment_is_told_to_have_failed() {
    let declined = Charge {
        id: "ch_pi_1".into(),
        intent: "pi_1".into(),
        customer: Some("cus_1".into()),
        invoice: None,
        amount: 4900,
        created: START,
        ..Charge::default()
    };
    let events = [
        told(
            "1",
            "payment_intent.payment_failed",
            0,
            intent("pi_1", "requires_payment_method", true),
        ),
        told(
            "2",
            "payment_intent.succeeded",
            30,
            intent("pi_2", "succeeded", false),
        ),
        told("3", "charge.failed", 40, declined),
    ];
    always(&events, ("order", "1001"), "status", json!("paid")).await;
}

#[tokio::test]
async fn a_payment_that_failed_and_then_succeeded_has_succeeded() {
    let events = [
        told(
            "2",
            "payment_intent.payment_failed",
            0,
            intent("pi_1", "requires_payment_method", true),
        ),
        told(
            "1",
            "payment_intent.succeeded",
            0,
            intent("pi_1", "succeeded", false),
        ),
    ];
    always(
        &events,
        ("payment_intent", "pi_1"),
        "status",
        json!("succeeded"),
    )
    .await;
    always(&events, ("order", "1001"), "status", json!("paid")).await;
}

#[tokio::test]
async fn a_deleted_customer_stays_deleted_and_has_no_access() {
    let events = [
        told(
            "1",
            "customer.subscription.created",
            0,
            subscription("sub_1", "active"),
        ),
        told("2", "customer.deleted", 9, customer()),
        told(
            "3",
            "customer.subscription.deleted",
            9,
            subscription("sub_1", "canceled"),
        ),
        told("4", "customer.updated", 9, customer()),
    ];
    always(&events, ("customer", "cus_1"), "deleted", json!(true)).await;
    always(
        &events,
        ("access", "cus_1"),
        "reason",
        json!("the customer was deleted"),
    )
    .await;
}

#[tokio::test]
async fn a_checkout_told_before_its_subscription_is_no_order() {
    let session = Session {
        id: "cs_1".into(),
        mode: "subscription",
        customer: Some("cus_1".into()),
        intent: None,
        subscription: Some("sub_1".into()),
        invoice: Some("in_1".into()),
        order: None,
        reference: Some("seat-12".into()),
        amount: 4900,
        payment_status: "paid",
        created: START,
        ..Session::default()
    };
    let events = [
        told("1", "checkout.session.completed", 5, session),
        told(
            "2",
            "customer.subscription.created",
            5,
            subscription("sub_1", "active"),
        ),
        told("3", "invoice.paid", 5, invoice("paid", 1)),
    ];
    always(&events, ("order", "seat-12"), "status", Value::Null).await;
    always(&events, ("access", "cus_1"), "state", json!("granted")).await;
}

/// Somebody opens a payment link with another order's payment intent as its reference.
#[tokio::test]
async fn nobody_takes_the_name_of_another_order() {
    let mut lone = intent("pi_1", "succeeded", false);
    lone.order = None;
    let session = Session {
        id: "cs_2".into(),
        mode: "payment",
        customer: Some("cus_2".into()),
        intent: Some("pi_2".into()),
        subscription: None,
        invoice: None,
        order: None,
        reference: Some("pi_1".into()),
        amount: 1,
        payment_status: "unpaid",
        created: START,
        ..Session::default()
    };
    let events = [
        told("1", "payment_intent.succeeded", 0, lone),
        told("2", "checkout.session.completed", 5, session),
    ];
    always(&events, ("order", "pi_1"), "status", json!("paid")).await;
    always(&events, ("order", "pi_1"), "customer", json!("cus_1")).await;
    always(&events, ("order", "pi_2"), "customer", json!("cus_2")).await;
}

/// Many events of one customer's objects, applied by two processes at once: no deadlock, no unique violation, one row
/// each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_on_one_customer_do_not_meet_badly() {
    let Some(bench) = Bench::postgres().await else {
        return;
    };
    let stores = [bench.store.clone(), bench.another_process().await];
    for round in 0..20 {
        let at = |kind| -> Told { told(&format!("evt_{round}_{kind}"), kind, round, customer()) };
        let mut events = vec![at("customer.created"), at("customer.updated")];
        for (id, status) in [("sub_1", "active"), ("sub_2", "past_due")] {
            events.push(told(
                &format!("evt_{round}_{id}_a"),
                "customer.subscription.created",
                round,
                subscription(id, status),
            ));
            events.push(told(
                &format!("evt_{round}_{id}_b"),
                "customer.subscription.updated",
                round,
                subscription(id, status),
            ));
        }
        events.push(told(
            &format!("evt_{round}_in_a"),
            "invoice.created",
            round,
            invoice("draft", 0),
        ));
        events.push(told(
            &format!("evt_{round}_in_b"),
            "invoice.payment_failed",
            round,
            invoice("open", 1),
        ));
        events.push(told(
            &format!("evt_{round}_pi"),
            "payment_intent.payment_failed",
            round,
            intent("pi_1", "requires_payment_method", true),
        ));
        let deliveries: Vec<_> = events
            .iter()
            .map(|told| told.delivery(Shape::Old, bench.now()))
            .collect();
        bench.store.ingest(&deliveries).await.unwrap();
        let mut work = Vec::new();
        for store in &stores {
            for event in store.claim_events(5, Duration::from_mins(1)).await.unwrap() {
                work.push((store.clone(), event));
            }
        }
        assert_eq!(work.len(), events.len());
        join_all(
            work.iter()
                .map(|(store, event)| async move { store.apply_event(event).await.unwrap() }),
        )
        .await;
    }
    for (kind, id) in [
        ("customer", "cus_1"),
        ("subscription", "sub_1"),
        ("subscription", "sub_2"),
        ("invoice", "in_1"),
        ("access", "cus_1"),
    ] {
        assert_eq!(
            bench.store.object(kind, id).await.unwrap().len(),
            1,
            "{kind} {id}"
        );
    }
}
