//! The whole service in one process, driven step by step: events go in through the real router, time stands still until
//! it is moved, mails are files in a folder.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use billhook::agent::model::Model;
use billhook::agent::rules::Rules;
use billhook::app::{App, Role, open_store};
use billhook::clock::{Clock, ManualClock, Timestamp};
use billhook::config::Config;
use billhook::shutdown::Shutdown;
use billhook::store::{
    EventRecord, MessageFilter, MessageRecord, ObjectFilter, ObjectRow, Page, SqlStore, Store,
};
use billhook::stripe::signature::sign;
use secrecy::SecretString;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// Where every test's clock starts: 2027-01-15T08:00:00Z.
pub(crate) const START: i64 = 1_800_000_000;

const SECRET: &str = "whsec_test_secret_of_this_suite";

/// One service under test.
pub(crate) struct TestApp {
    pub(crate) app: App,
    store: Arc<SqlStore>,
    pub(crate) clock: Arc<ManualClock>,
    router: axum::Router,
    mail: tempfile::TempDir,
}

impl TestApp {
    /// On an in-memory SQLite, decided by the rules.
    pub(crate) async fn start() -> Self {
        Self::with(&[], Arc::new(Rules)).await
    }

    /// With settings of the environment and a model.
    pub(crate) async fn with(settings: &[(&str, &str)], model: Arc<dyn Model>) -> Self {
        let mail = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(START)));
        let mut env = environment(settings);
        env.insert(
            "BILLHOOK__EMAIL__FOLDER".to_owned(),
            mail.path().display().to_string(),
        );
        let config = Config::from_layers(None, &env).unwrap();
        let shared: Arc<dyn Clock> = clock.clone();
        let store = open_store(&config, shared.clone()).await.unwrap();
        let mut app = App::with(&config, shared, store.clone(), model).unwrap();
        let (inbox, hints) = (app.take_inbox().unwrap(), app.take_hints().unwrap());
        // Both end with the runtime of the test.
        let running = Shutdown::manual();
        running.tasks().spawn(inbox.run(running.hard().clone()));
        running
            .tasks()
            .spawn(hints.run(true, running.hard().clone()));
        std::mem::forget(running);
        let router = app.router(Role::All);
        Self {
            app,
            store,
            clock,
            router,
            mail,
        }
    }

    pub(crate) fn store(&self) -> &Arc<SqlStore> {
        &self.store
    }

    /// Signs and posts a body, and answers what the service did.
    pub(crate) async fn post(&self, body: Vec<u8>) -> (StatusCode, Value) {
        self.ask(webhook(body, self.clock.now())).await
    }

    /// Sends any request to the routes.
    pub(crate) async fn ask(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20)
            .await
            .unwrap();
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        )
    }

    /// Delivers an event that must be taken.
    pub(crate) async fn deliver(&self, event: &Value) {
        let (status, answer) = self.post(event.to_string().into_bytes()).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }

    /// Works off what is due now, until nothing is.
    pub(crate) async fn drain(&self) {
        loop {
            let done = self.app.worker.apply_due().await.unwrap()
                + self.app.worker.fetch_due().await.unwrap()
                + self.app.worker.promote_due().await.unwrap()
                + self.app.worker.decide_due().await.unwrap()
                + self.app.dispatcher.send_due().await.unwrap();
            if done == 0 {
                return;
            }
        }
    }

    /// Lets the settle window pass and works off what became due.
    pub(crate) async fn settle(&self) {
        self.drain().await;
        self.clock.advance(Duration::from_secs(61));
        self.drain().await;
    }

    /// Every mail written, as text.
    pub(crate) fn mails(&self) -> Vec<String> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(self.mail.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "eml"))
            .collect();
        paths.sort();
        paths
            .iter()
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect()
    }

    /// Every message in the outbox, newest first.
    pub(crate) async fn messages(&self) -> Vec<MessageRecord> {
        self.store()
            .messages(
                &MessageFilter::default(),
                &Page {
                    limit: 100,
                    starting_after: None,
                },
            )
            .await
            .unwrap()
            .data
    }

    pub(crate) async fn event(&self, id: &str) -> EventRecord {
        self.store().event(id).await.unwrap().unwrap()
    }

    /// A message's text part.
    pub(crate) async fn store_text(&self, id: &str) -> String {
        self.store()
            .message(id)
            .await
            .unwrap()
            .unwrap()
            .text
            .unwrap()
    }

    /// Every row of a kind.
    pub(crate) async fn store_rows(&self, kind: &str) -> Vec<ObjectRow> {
        let filter = ObjectFilter {
            kind: kind.to_owned(),
            ..ObjectFilter::default()
        };
        let page = Page {
            limit: 100,
            starting_after: None,
        };
        self.store().objects(&filter, &page).await.unwrap().data
    }

    /// One object's row; it must exist.
    pub(crate) async fn row(&self, kind: &str, id: &str) -> Value {
        let rows = self.store().object(kind, id).await.unwrap();
        assert_eq!(rows.len(), 1, "{kind} {id}");
        rows.into_iter().next().unwrap().data
    }
}

/// What a service is configured by: a business of ours, in memory, and `settings` over that.
pub(crate) fn environment<'a>(
    settings: impl IntoIterator<Item = &'a (&'a str, &'a str)>,
) -> BTreeMap<String, String> {
    [
        ("STRIPE_WEBHOOK_SECRET", SECRET),
        ("DATABASE_URL", "sqlite::memory:"),
        ("EMAIL_FROM", "Acme Billing <billing@acme.example>"),
        ("BILLHOOK__BUSINESS__NAME", "Acme"),
    ]
    .iter()
    .chain(settings)
    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
    .collect()
}

/// A delivery as Stripe signs and posts it.
pub(crate) fn webhook(body: Vec<u8>, now: Timestamp) -> Request<Body> {
    let header = sign(&SecretString::from(SECRET), now, &body);
    Request::post("/stripe/webhook")
        .header("Stripe-Signature", header)
        .body(Body::from(body))
        .unwrap()
}

/// An event of ours, `at` seconds after the start.
pub(crate) fn event(id: &str, kind: &str, at: i64, object: &Value) -> Value {
    json!({
        "id": id, "object": "event", "api_version": "2020-08-27", "created": START + at, "livemode": true,
        "pending_webhooks": 1, "request": { "id": null, "idempotency_key": null }, "type": kind,
        "data": { "object": object },
    })
}
