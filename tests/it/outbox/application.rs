//! The business's own application as a receiver that misbehaves: it ends with the newest version of every object, and
//! what it has heard verifies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use billhook::clock::{SystemClock, Timestamp};
use billhook::http::shapes;
use billhook::outbox::{AppWebhook, Telling, Way};
use billhook::store::{Channel, ObjectFilter, ObjectRow, Page, Policy, SqlStore, Store, TOLD};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{PACE, dispatcher, messages};
use crate::support::bench::{Bench, START, policy};
use crate::support::fixture::{Shape, Subscription, Told, delivery};
use crate::support::process::PATIENCE;
use crate::support::receiver::{APP_SECRET, Known, Receiver, Takes, known};

const CUSTOMERS: usize = 12;

async fn telling_store(bench: &Bench) -> Arc<SqlStore> {
    let policy = Policy {
        tells_application: true,
        ..policy()
    };
    bench.process_with(policy).await
}

fn shape(row: &ObjectRow, now: Timestamp) -> Value {
    shapes::object(row, now, &policy().access)
}

/// The way to a receiver. It verifies by the real time, so the real time is signed.
fn way(receiver: &Receiver, bench: &Bench, store: &Arc<SqlStore>) -> BTreeMap<Channel, Way> {
    let webhook = AppWebhook::with_timeout(
        receiver.url().into(),
        &[APP_SECRET.into()],
        Arc::new(SystemClock),
        Duration::from_secs(2),
    );
    let telling = Telling::new(
        store.clone(),
        bench.clock.clone(),
        Arc::new(shape),
        Arc::new(webhook.unwrap()),
    );
    BTreeMap::from([(Channel::App, Way::App(telling))])
}

/// The subscription of a customer, as it is after so many changes.
fn subscription(customer: usize, change: usize) -> Told {
    let status = ["trialing", "active", "past_due", "unpaid"][change % 4];
    let object = Subscription {
        id: format!("sub_{customer}"),
        customer: format!("cus_{customer}"),
        status,
        latest_invoice: None,
        period_start: START,
        cancel_at_period_end: false,
        canceled_at: None,
        created: START,
        ..Subscription::default()
    };
    let at = START + i64::try_from(change).unwrap();
    let id = format!("evt_{customer}_{change}");
    Told::new(id, "customer.subscription.updated", at, object)
}

async fn change_all(bench: &Bench, store: &SqlStore, change: usize) {
    let deliveries: Vec<_> = (0..CUSTOMERS)
        .map(|customer| subscription(customer, change).delivery(Shape::Clover, bench.now()))
        .collect();
    store.ingest(&deliveries).await.unwrap();
    for event in store.claim_events(1000, PACE.lease).await.unwrap() {
        store.apply_event(&event).await.unwrap();
    }
}

/// What the application is to know in the end.
async fn truth(bench: &Bench, store: &SqlStore) -> Known {
    let page = Page {
        limit: 100,
        starting_after: None,
    };
    let mut truth = Known::new();
    for (kind, _) in TOLD {
        let filter = ObjectFilter {
            kind: kind.to_owned(),
            ..ObjectFilter::default()
        };
        for row in store.objects(&filter, &page).await.unwrap().data {
            let data = shape(&row, bench.now());
            truth.insert(format!("{kind}/{}", row.id), (row.version, data));
        }
    }
    truth
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_receiver_does_it_ends_with_the_newest_of_every_object() {
    ends_with_the_newest(Bench::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_too_where_rows_change_while_others_are_sent() {
    if let Some(bench) = Bench::postgres().await {
        ends_with_the_newest(bench).await;
    }
}

async fn ends_with_the_newest(bench: Bench) {
    let store = telling_store(&bench).await;
    let receiver = Receiver::start().await;
    let trouble = [
        Takes::Answers(StatusCode::INTERNAL_SERVER_ERROR),
        Takes::HangsUp,
        Takes::Well,
        Takes::Answers(StatusCode::NOT_FOUND),
        Takes::Silent,
        Takes::Redirects,
        Takes::Answers(StatusCode::TOO_MANY_REQUESTS),
        Takes::HangsUp,
    ];
    receiver.next(trouble.into_iter().cycle().take(80));
    let soft = CancellationToken::new();
    let dispatcher = dispatcher(&store, &bench, way(&receiver, &bench, &store), PACE);
    let working = dispatcher.work(soft.clone(), CancellationToken::new());
    let changing = async {
        for change in 0..8 {
            change_all(&bench, &store, change).await;
            // Something must be on its way, so that old and new meet there.
            let (start, before) = (Instant::now(), receiver.heard());
            while receiver.heard() == before {
                assert!(start.elapsed() < PATIENCE, "nothing is sent");
                // Past the pauses after what went wrong.
                bench.clock.advance(Duration::from_secs(10));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        let start = Instant::now();
        loop {
            bench.clock.advance(Duration::from_mins(1));
            let open = messages(&bench, Channel::App).await;
            let is_over = |status: &str| matches!(status, "sent" | "suppressed");
            let open = open.iter().filter(|message| message.version.is_some());
            if open.clone().all(|message| is_over(&message.status)) {
                break;
            }
            assert!(start.elapsed() < PATIENCE, "{:?}", open.collect::<Vec<_>>());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        soft.cancel();
    };
    tokio::join!(working, changing);
    let truth = truth(&bench, &store).await;
    assert_eq!(truth.len(), 2 * CUSTOMERS);
    assert_eq!(receiver.known(), truth);
    assert_eq!(receiver.followed(), 0, "a redirect was followed");
    // In any other order, and with everything twice, it would know the same.
    let taken = receiver.taken();
    for seed in 0..20 {
        let mut shuffled = [taken.clone(), taken.clone()].concat();
        shuffled.shuffle(&mut StdRng::seed_from_u64(seed));
        assert_eq!(known(&shuffled), truth);
    }
    // One id is one version of one object, and nothing else.
    let mut versions = BTreeMap::new();
    for (id, body) in &taken {
        let version = (
            body["data"]["id"].clone(),
            body["type"].clone(),
            body["version"].clone(),
        );
        assert_eq!(
            versions.entry(id.clone()).or_insert(version.clone()),
            &version
        );
    }
    let distinct: BTreeSet<String> = versions
        .values()
        .map(|version| format!("{version:?}"))
        .collect();
    assert_eq!(distinct.len(), versions.len(), "one version has two ids");
    assert!(taken.len() > versions.len(), "something was told twice");
}

#[tokio::test]
async fn an_application_that_was_away_is_told_the_newest_and_nothing_in_between() {
    let bench = Bench::sqlite().await;
    let store = telling_store(&bench).await;
    let receiver = Receiver::start().await;
    receiver.always(Takes::Answers(StatusCode::SERVICE_UNAVAILABLE));
    let dispatcher = dispatcher(&store, &bench, way(&receiver, &bench, &store), PACE);
    for change in 0..6 {
        change_all(&bench, &store, change).await;
        while dispatcher.send_due().await.unwrap() > 0 {}
        bench.clock.advance(Duration::from_mins(5));
    }
    let waiting = messages(&bench, Channel::App).await;
    let waiting: Vec<_> = waiting
        .iter()
        .filter(|message| message.version.is_some())
        .collect();
    assert_eq!(waiting.len(), 2 * CUSTOMERS, "one message an object");
    for message in waiting {
        let reason = message.reason.as_deref();
        assert_eq!(reason, Some("the application answered 503"));
    }
    receiver.always(Takes::Well);
    bench.clock.advance(Duration::from_hours(2));
    while dispatcher.send_due().await.unwrap() > 0 {}
    assert_eq!(receiver.taken().len(), 2 * CUSTOMERS);
    assert_eq!(receiver.known(), truth(&bench, &store).await);
}

#[tokio::test]
async fn what_is_told_has_the_shape_of_the_api_and_no_address() {
    let bench = Bench::sqlite().await;
    let store = telling_store(&bench).await;
    let receiver = Receiver::start().await;
    let dispatcher = dispatcher(&store, &bench, way(&receiver, &bench, &store), PACE);
    let intent = json!({
        "id": "pi_1", "object": "payment_intent", "customer": "cus_0", "amount": 900, "amount_received": 900,
        "status": "succeeded", "currency": "eur", "created": START, "receipt_email": "ada@shopper.example",
        "latest_charge": "ch_1", "metadata": { "order_id": "A-1" },
    });
    let event = json!({
        "id": "evt_1", "object": "event", "api_version": "2020-08-27", "created": START,
        "livemode": true, "type": "payment_intent.succeeded", "data": { "object": intent },
    });
    store
        .ingest(&[delivery(&event, bench.now())])
        .await
        .unwrap();
    for event in store.claim_events(10, PACE.lease).await.unwrap() {
        store.apply_event(&event).await.unwrap();
    }
    while dispatcher.send_due().await.unwrap() > 0 {}
    let [(id, body)] = receiver.taken().try_into().unwrap();
    assert!(id.starts_with("msg_"), "{id}");
    assert!(!body.to_string().contains("shopper.example"));
    insta::assert_json_snapshot!(body, @r#"
    {
      "type": "order.updated",
      "timestamp": "2026-02-03T04:05:06Z",
      "account": "self",
      "livemode": true,
      "version": 1,
      "data": {
        "object": "order",
        "id": "A-1",
        "account": "self",
        "livemode": true,
        "aliases": [
          "pi_1"
        ],
        "customer": "cus_0",
        "status": "paid",
        "amount": 900,
        "amount_refunded": 0,
        "currency": "eur",
        "capture_before": null,
        "payment_intents": [
          "pi_1"
        ],
        "holds": []
      }
    }
    "#);
}

#[tokio::test]
async fn a_subscription_is_told_with_what_is_not_known_of_it() {
    let bench = Bench::sqlite().await;
    let store = telling_store(&bench).await;
    let receiver = Receiver::start().await;
    let dispatcher = dispatcher(&store, &bench, way(&receiver, &bench, &store), PACE);
    let events = [("evt_1", "active"), ("evt_2", "unpaid")].map(|(id, status)| {
        let object = json!({
            "id": "sub_1", "object": "subscription", "customer": "cus_0", "status": status, "created": START - 900,
            "items": { "object": "list", "has_more": true, "data": [{ "id": "si_1", "price": { "id": "price_1" } }] },
        });
        json!({
            "id": id, "object": "event", "api_version": "2020-08-27", "created": START,
            "livemode": true, "type": "customer.subscription.updated", "data": { "object": object },
        })
    });
    let deliveries = events.map(|event| delivery(&event, bench.now()));
    store.ingest(&deliveries).await.unwrap();
    for event in store.claim_events(10, PACE.lease).await.unwrap() {
        store.apply_event(&event).await.unwrap();
    }
    while dispatcher.send_due().await.unwrap() > 0 {}
    let taken = receiver.taken();
    let (_, body) = taken
        .iter()
        .rfind(|(_, body)| body["type"] == "subscription.updated")
        .unwrap();
    assert_eq!(body["data"]["tie"], true, "{body}");
    assert_eq!(body["data"]["incomplete"], json!(["items"]), "{body}");
}

#[tokio::test]
async fn an_application_that_wants_no_more_is_not_asked_again() {
    let bench = Bench::sqlite().await;
    let store = telling_store(&bench).await;
    let receiver = Receiver::start().await;
    receiver.always(Takes::Answers(StatusCode::GONE));
    let dispatcher = dispatcher(&store, &bench, way(&receiver, &bench, &store), PACE);
    change_all(&bench, &store, 1).await;
    while dispatcher.send_due().await.unwrap() > 0 {}
    bench.clock.advance(Duration::from_hours(1));
    assert_eq!(dispatcher.send_due().await.unwrap(), 0);
    let refused = messages(&bench, Channel::App).await;
    assert_eq!(refused.len(), 2 * CUSTOMERS);
    for message in refused {
        assert_eq!(message.status, "failed");
        assert_eq!(
            message.reason.as_deref(),
            Some("the application answered 410")
        );
    }
    let untold = store.examine().await.unwrap().untold;
    assert_eq!(untold, 2 * CUSTOMERS as u64);
}
