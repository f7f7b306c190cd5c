//! The business's application, while rows change between the claim of a message and its leave to go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use billhook::hints::Doorbell;
use billhook::outbox::{Application, Dispatcher, SendError, Sent, Telling, Way, dispatch};
use billhook::retry::RetryPolicy;
use billhook::store::{Channel, ClaimedEvent, ObjectRow, Policy, Store};
use serde_json::{Value, json};

use super::point::{Fault, Faults, Point};
use super::store::FaultyStore;
use crate::support::bench::{Bench, START, policy};
use crate::support::fixture::{Intent, Shape, Told};

const PACE: dispatch::Pace = dispatch::Pace {
    lease: Duration::from_hours(1),
    poll: Duration::from_millis(20),
    retry: RetryPolicy {
        attempts: 8,
        base: Duration::from_secs(2),
        max: Duration::from_hours(1),
    },
};

/// Takes everything, and keeps it.
#[derive(Default)]
struct Heard(Mutex<Vec<Value>>);

#[async_trait]
impl Application for Heard {
    async fn tell(&self, _id: &str, body: &str) -> Result<Sent, SendError> {
        let body = serde_json::from_str(body).unwrap();
        self.0.lock().unwrap().push(body);
        Ok(Sent {
            receipt: "heard".to_owned(),
        })
    }
}

/// The payment of an order; told again under another name, the order goes by that.
async fn bought(bench: &Bench, order: &str, at: i64) -> Vec<ClaimedEvent> {
    let object = Intent {
        id: "pi_1".into(),
        order: Some(order.into()),
        status: "succeeded",
        amount: 4900,
        received: 4900,
        created: START,
        ..Intent::default()
    };
    let kind = "payment_intent.succeeded";
    let told = Told::new(format!("evt_{order}"), kind, START + at, object);
    let delivery = told.delivery(Shape::Clover, bench.now());
    bench.store.ingest(&[delivery]).await.unwrap();
    bench.store.claim_events(10, PACE.lease).await.unwrap()
}

#[tokio::test]
async fn an_order_that_goes_while_its_message_is_claimed_is_told_as_gone_under_a_new_version() {
    let bench = Bench::sqlite().await;
    let policy = Policy {
        tells_application: true,
        ..policy()
    };
    let store = bench.process_with(policy).await;
    for event in bought(&bench, "A-1", 0).await {
        store.apply_event(&event).await.unwrap();
    }
    let renamed = bought(&bench, "B-1", 1).await;
    let faults = Arc::new(Faults::at(Some(Point {
        verb: "begin_sending",
        nth: 1,
        fault: Fault::StallsBefore,
    })));
    let other = store.clone();
    faults.rescue_by(move || {
        let (other, renamed) = (other.clone(), renamed.clone());
        Box::pin(async move {
            for event in &renamed {
                other.apply_event(event).await.unwrap();
            }
        })
    });
    let faulty: Arc<dyn Store> = Arc::new(FaultyStore {
        inner: store.clone(),
        faults: faults.clone(),
    });
    let heard = Arc::new(Heard::default());
    let shape = Arc::new(|row: &ObjectRow, _| json!({ "id": row.id }));
    let telling = Telling::new(faulty.clone(), bench.clock.clone(), shape, heard.clone());
    let ways = BTreeMap::from([(Channel::App, Way::App(telling))]);
    let dispatcher = Dispatcher::new(
        faulty,
        bench.clock.clone(),
        ways,
        ("Acme <billing@acme.example>".to_owned(), None),
        PACE,
        Doorbell::default(),
    );
    while dispatcher.send_due().await.unwrap() > 0 {}
    assert!(faults.has_struck());
    let heard = heard.0.lock().unwrap();
    let said = heard.iter().map(|body| {
        let data = &body["data"];
        (&data["id"], &body["version"], data.get("deleted"))
    });
    assert_eq!(
        said.collect::<Vec<_>>(),
        [
            (&json!("A-1"), &json!(2), Some(&json!(true))),
            (&json!("B-1"), &json!(1), None)
        ]
    );
}
