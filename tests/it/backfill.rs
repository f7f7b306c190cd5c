//! Missed events, found in the list of a Stripe of our own and taken in.

mod accounts;
mod command;
mod gaps;
mod traps;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use billhook::agent::rules::Rules;
use billhook::backfill::{AccountReport, Look, Report};
use billhook::store::{BackfillRecord, Store as _};
use tokio_util::sync::CancellationToken;

use crate::support::app::{START, TestApp};
use crate::support::fixture::{Intent, Shape, Told};
use crate::support::stripe_api::StripeServer;

/// Enough that events of a page, or of two, are not all of them.
const MANY: usize = 250;

/// A service with a key, and the Stripe that the key is for.
struct Scene {
    stripe: StripeServer,
    app: TestApp,
}

impl Scene {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    async fn with(settings: &[(&str, &str)]) -> Self {
        let stripe = StripeServer::start(START).await;
        let app = service(&stripe, settings).await;
        Self { stripe, app }
    }

    async fn look(&self, look: Look) -> Report {
        look_with(&self.app, look).await
    }

    /// A look as the schedule does it, at the key's own account.
    async fn look_now(&self) -> AccountReport {
        self.look(Look::default()).await.accounts.remove(0)
    }

    /// Time passes, here and at Stripe.
    fn pass(&self, time: Duration) {
        self.app.clock.advance(time);
        self.stripe.shelf().now += i64::try_from(time.as_secs()).unwrap();
    }

    async fn mark(&self) -> Option<i64> {
        let own = self
            .records()
            .await
            .into_iter()
            .find(|record| record.account == "self");
        Some(own?.progress.mark?.seconds())
    }

    async fn records(&self) -> Vec<BackfillRecord> {
        self.app.store().backfills().await.unwrap()
    }

    /// Whether an event is stored, and how often it arrived.
    async fn arrivals(&self, id: &str) -> usize {
        let event = self.app.store().event(id).await.unwrap();
        event.map_or(0, |event| event.deliveries.len())
    }

    /// How many of these are stored.
    async fn stored(&self, ids: &[String]) -> usize {
        self.app.store().known_events(ids).await.unwrap().len()
    }
}

/// A service with a key for `stripe`.
async fn service(stripe: &StripeServer, settings: &[(&str, &str)]) -> TestApp {
    let url = stripe.url();
    let own = [
        ("STRIPE_API_BASE", url.as_str()),
        ("STRIPE_SECRET_KEY", "rk_live_1"),
        // Whoever is asked to wait for an hour ends at once.
        ("BILLHOOK__STRIPE__API_DEADLINE", "30s"),
    ];
    let all: Vec<(&str, &str)> = own.iter().chain(settings).copied().collect();
    TestApp::with(&all, Arc::new(Rules)).await
}

async fn look_with(app: &TestApp, look: Look) -> Report {
    let backfill = app.app.backfill.as_ref().unwrap();
    let never = CancellationToken::new();
    backfill.look(look, &|_| {}, &never).await.unwrap()
}

/// A payment that failed, `at` seconds after the start.
fn failed(id: &str, at: i64) -> Told {
    let intent = Intent {
        id: format!("pi_{id}"),
        customer: Some(format!("cus_{id}")),
        invoice: None,
        order: None,
        status: "requires_payment_method",
        amount: 4900,
        received: 0,
        charge: Some(format!("ch_{id}")),
        declined: true,
        created: START + at,
        ..Intent::default()
    };
    Told::new(id, "payment_intent.payment_failed", START + at, intent)
}

/// What Stripe has of an event.
fn listed(told: &Told) -> serde_json::Value {
    told.json(Shape::Clover)
}

/// Puts many events into the last hours before the start, and says which.
fn stock(stripe: &StripeServer) -> Vec<String> {
    let mut shelf = stripe.shelf();
    (0..MANY)
        .map(|n| {
            let id = format!("evt_{n:03}");
            // Oldest first; several share a second.
            let at = -1800 + i64::try_from(n / 3).unwrap();
            shelf.add_event(None, listed(&failed(&id, at)));
            id
        })
        .collect()
}
