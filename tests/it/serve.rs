//! The service from outside, as Stripe, an operator and a supervisor meet it: once over SQLite, once over PostgreSQL.

mod answers;
mod application;
mod approvals;
mod crash;
mod crowd;
mod hints;
mod once;
mod outage;
mod overload;
mod recorded;
mod refusals;
mod reload;
mod rerun;
mod resolve;
mod resume;
mod stopping;
mod together;
mod traces;
mod ways;

use billhook::clock::{Clock, SystemClock};
use serde_json::{Value, json};

/// Each case on both databases, as two tests.
macro_rules! on_both {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(crate::support::place::Place::sqlite()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some(place) = crate::support::place::Place::postgres().await {
                    super::$case(place).await;
                }
            })+
        }
    };
}
use on_both;

fn customer(id: &str) -> Value {
    json!({
        "id": id, "object": "customer", "email": format!("{id}@example.com"), "name": "Ada Lovelace",
        "created": SystemClock.now().seconds() - 1000, "preferred_locales": ["en"],
    })
}

fn intent(id: &str, customer: Option<&str>, status: &str) -> Value {
    json!({
        "id": id, "object": "payment_intent", "customer": customer, "status": status, "amount": 4900, "currency": "eur",
        "amount_received": if status == "succeeded" { 4900 } else { 0 }, "metadata": {},
        "created": SystemClock.now().seconds() - 10, "latest_charge": format!("ch_{id}"),
    })
}
