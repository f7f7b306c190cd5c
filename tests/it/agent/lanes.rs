//! The follow-up stage while one of its runs takes long, loses its lane, or cannot be claimed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use billhook::agent::model::{Model, ModelError, Reply, Request};
use billhook::store::{Page, Store as _};
use serde_json::json;
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::scene::{done, intent, introduce, lead};
use crate::support::app::{START, TestApp, event};
use crate::support::process::PATIENCE;

/// The lease is longer than a test moves its clock beside a run that goes on.
const QUICK: [(&str, &str); 2] = [
    ("BILLHOOK__WORKER__POLL", "10ms"),
    ("BILLHOOK__WORKER__LEASE", "10m"),
];

/// A model that never answers one of the questions, counted from 0.
#[derive(Default)]
struct Stalls {
    at: usize,
    asked: AtomicUsize,
    stalled: Notify,
}

#[async_trait]
impl Model for Stalls {
    fn name(&self) -> &'static str {
        "stalls"
    }

    async fn reply(&self, _: &Request) -> Result<Reply, ModelError> {
        if self.asked.fetch_add(1, Ordering::SeqCst) == self.at {
            self.stalled.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(done())
    }
}

async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::task::yield_now().await;
    }
}

/// A service on a file, so that a test can reach into its tables.
struct Scene {
    app: TestApp,
    model: Arc<Stalls>,
    url: String,
    _folder: TempDir,
}

impl Scene {
    async fn new(model: Stalls, settings: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite://{}", folder.path().join("b.db").display());
        let model = Arc::new(model);
        let own = [("DATABASE_URL", url.as_str())];
        let settings = [&own, settings].concat();
        let app = TestApp::with(&settings, model.clone()).await;
        Self {
            app,
            model,
            url,
            _folder: folder,
        }
    }

    async fn change(&self, sql: &'static str) {
        let mut database = SqliteConnection::connect(&self.url).await.unwrap();
        database.execute(sql).await.unwrap();
    }

    /// Delivers a payment of a customer that nobody knows yet.
    async fn pays(&self, id: &str, customer: &str) {
        let mut object = intent(&format!("pi_{customer}"), "succeeded", 99_000);
        object["customer"] = customer.into();
        let paid = event(id, "payment_intent.succeeded", 1, &object);
        self.app.deliver(&paid).await;
    }

    async fn is(&self, id: &str, status: &str) -> bool {
        self.app.event(id).await.status == status
    }

    /// Works while `scene` goes on.
    async fn works_while(&self, scene: impl Future<Output = ()>) {
        let (soft, cut) = (CancellationToken::new(), CancellationToken::new());
        let watched = async {
            scene.await;
            soft.cancel();
            cut.cancel();
        };
        let worker = self.app.app.worker.clone();
        let dispatcher = self.app.app.dispatcher.clone();
        tokio::join!(
            worker.work(soft.clone(), cut.clone()),
            dispatcher.work(soft.clone(), cut.clone()),
            watched
        );
    }
}

#[tokio::test]
async fn a_slow_run_holds_up_nobody_else() {
    let scene = Scene::new(Stalls::default(), &QUICK).await;
    scene.pays("evt_slow", "cus_slow").await;
    scene.app.drain().await;
    scene.app.clock.advance(Duration::from_secs(61));
    let watch = async {
        scene.model.stalled.notified().await;
        scene.pays("evt_2", "cus_2").await;
        until("it is applied", async || scene.is("evt_2", "applied").await).await;
        scene.app.clock.advance(Duration::from_secs(61));
        until("it is decided", async || scene.is("evt_2", "done").await).await;
        assert!(scene.is("evt_slow", "applied").await);
    };
    scene.works_while(watch).await;
}

#[tokio::test]
async fn a_claim_that_failed_is_tried_again_beside_a_slow_run() {
    let scene = Scene::new(Stalls::default(), &QUICK).await;
    scene.pays("evt_slow", "cus_slow").await;
    scene.app.drain().await;
    scene.app.clock.advance(Duration::from_secs(61));
    let watch = async {
        scene.model.stalled.notified().await;
        scene.pays("evt_2", "cus_2").await;
        until("it is applied", async || scene.is("evt_2", "applied").await).await;
        scene.change("ALTER TABLE lanes RENAME TO lanes_away").await;
        scene.app.clock.advance(Duration::from_secs(61));
        let failed = "billhook_worker_errors_total{stage=\"follow_up\"}";
        let metrics = billhook::telemetry::metrics().unwrap();
        until("a claim failed", async || metrics.render().contains(failed)).await;
        scene.change("ALTER TABLE lanes_away RENAME TO lanes").await;
        until("it is decided", async || scene.is("evt_2", "done").await).await;
        assert!(scene.is("evt_slow", "applied").await);
    };
    scene.works_while(watch).await;
}

#[tokio::test]
async fn a_schedule_becomes_a_follow_up_beside_a_slow_run() {
    let scene = Scene::new(
        Stalls {
            at: 1,
            ..Stalls::default()
        },
        &QUICK,
    )
    .await;
    introduce(&scene.app).await;
    scene.app.deliver(&lead("subscription_ended")).await;
    scene.app.settle().await;
    assert!(scene.is("evt_1", "done").await);
    scene.pays("evt_slow", "cus_slow").await;
    scene.app.drain().await;
    scene.app.clock.advance(Duration::from_secs(61));
    let decided = async || {
        let page = Page {
            limit: 10,
            starting_after: None,
        };
        let runs = scene.app.store().runs(&page).await.unwrap().data;
        let mut winbacks = runs.iter().filter(|run| run.playbook == "winback_due");
        winbacks.any(|run| run.ended_at.is_some())
    };
    let watch = async {
        scene.model.stalled.notified().await;
        scene.app.clock.advance(Duration::from_hours(24 * 60));
        until("the win-back is decided", decided).await;
    };
    scene.works_while(watch).await;
}

/// The renewal of a run whose end is just being committed is refused as one is whose lane is lost.
#[tokio::test]
async fn a_run_whose_renewal_is_refused_may_have_put_mails_into_the_outbox() {
    let stalls = Stalls {
        at: 1,
        ..Stalls::default()
    };
    // Nobody polls while somebody waits, and it is renewed after 4 s.
    let settings = [
        ("BILLHOOK__WORKER__POLL", "11900ms"),
        ("BILLHOOK__WORKER__LEASE", "12s"),
    ];
    let scene = Scene::new(stalls, &settings).await;
    let customer = json!({
        "id": "cus_1", "object": "customer", "email": "ada@example.com", "name": "Ada Lovelace", "created": START - 1000,
    });
    let known = event("evt_cus", "customer.created", -100, &customer);
    scene.app.deliver(&known).await;
    scene.app.deliver(&lead("payment_failed")).await;
    scene.app.settle().await;
    // It waits for ten minutes, since she has never paid, and when they are over nobody rings for it.
    assert!(scene.app.mails().is_empty());
    scene.pays("evt_slow", "cus_slow").await;
    scene.app.drain().await;
    scene.app.clock.advance(Duration::from_secs(61));
    let watch = async {
        scene.model.stalled.notified().await;
        scene.app.clock.advance(Duration::from_mins(10));
        scene
            .change("UPDATE lanes SET epoch = epoch + 1, lease_until = 9000000000000000000")
            .await;
        until("the outbox hears of it", async || {
            !scene.app.mails().is_empty()
        })
        .await;
    };
    scene.works_while(watch).await;
}
