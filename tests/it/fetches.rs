//! What events leave open and Stripe is asked about, through the whole service, against a Stripe of our own.

mod lists;
mod thin;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use billhook::agent::rules::Rules;
use billhook::store::FetchRecord;
use serde_json::{Value, json};

use crate::support::app::{START, TestApp, event};
use crate::support::services::PostgresDatabase;
use crate::support::stripe_api::StripeServer;

/// Makes each case two tests, over either database.
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $case() {
                super::$case(None).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $case() {
                if let Some(database) = $crate::support::services::PostgresDatabase::migrated().await {
                    super::$case(Some(database)).await;
                }
            })*
        }
    };
}
use on_both;

on_both!(
    a_tie_is_settled_by_asking_and_nothing_else_changes,
    a_list_that_was_cut_short_is_completed,
    a_link_that_nobody_told_joins_two_failures,
);

const KEY: &str = "rk_live_of_this_suite";

/// A service that may ask `stripe`.
async fn asking(stripe: &StripeServer, database: Option<&PostgresDatabase>) -> TestApp {
    with_key(stripe, database, KEY).await
}

async fn with_key(
    stripe: &StripeServer,
    database: Option<&PostgresDatabase>,
    key: &str,
) -> TestApp {
    let base = stripe.url();
    let url = database.map_or_else(|| "sqlite::memory:".to_owned(), PostgresDatabase::url);
    let settings = [
        ("STRIPE_SECRET_KEY", key),
        ("STRIPE_API_BASE", base.as_str()),
        ("DATABASE_URL", url.as_str()),
    ];
    TestApp::with(&settings, Arc::new(Rules)).await
}

fn subscription(status: &str, items: &Value) -> Value {
    json!({
        "id": "sub_1", "object": "subscription", "customer": "cus_1", "status": status, "created": START - 900, "livemode": true,
        "items": items,
    })
}

fn items(ids: &[&str], has_more: bool) -> Value {
    let data: Vec<_> = ids
        .iter()
        .map(|id| json!({ "id": id, "object": "subscription_item", "price": { "id": format!("price_{id}") }, "quantity": 1 }))
        .collect();
    json!({ "object": "list", "data": data, "has_more": has_more })
}

/// Two updates of one second that say different things, and do not say what was before.
fn tied() -> [Value; 2] {
    [("evt_1", "active"), ("evt_2", "unpaid")].map(|(id, status)| {
        let object = subscription(status, &items(&["si_1"], false));
        event(id, "customer.subscription.updated", 0, &object)
    })
}

async fn questions(app: &TestApp, event: &str) -> Vec<FetchRecord> {
    app.event(event).await.fetches
}

async fn only_question(app: &TestApp, event: &str) -> FetchRecord {
    let mut asked = questions(app, event).await;
    assert_eq!(asked.len(), 1, "{asked:?}");
    asked.remove(0)
}

/// What of the business state two services do not agree about.
async fn differences(one: &TestApp, other: &TestApp) -> Vec<String> {
    let lines = async |app: &TestApp| app.store().business_state().await.unwrap();
    let (one, other) = (lines(one).await, lines(other).await);
    let of = |line: &String| line.split(" of ").next().unwrap().to_owned();
    one.iter()
        .filter(|line| !other.contains(line))
        .map(of)
        .collect()
}

async fn a_tie_is_settled_by_asking_and_nothing_else_changes(database: Option<PostgresDatabase>) {
    let stripe = StripeServer::start(START + 5).await;
    let truth = subscription("active", &items(&["si_1"], false));
    stripe.shelf().put(None, truth);
    let without = TestApp::start().await;
    let with = asking(&stripe, database.as_ref()).await;
    for app in [&without, &with] {
        for event in tied() {
            app.deliver(&event).await;
        }
        app.settle().await;
    }
    assert_eq!(questions(&without, "evt_1").await.len(), 0);
    assert_eq!(
        without.row("subscription", "sub_1").await["status"],
        "unpaid"
    );
    let asked = only_question(&with, "evt_1").await;
    assert_eq!(
        (asked.reason.as_str(), asked.status.as_str()),
        ("tie", "done")
    );
    assert_eq!(with.row("subscription", "sub_1").await["status"], "active");
    assert_eq!(
        stripe.asked().len(),
        1,
        "one question for one object and reason"
    );
    // The answer differs in what the tie left open, and in what is derived from it.
    let open = ["self/1/access/cus_1", "self/1/subscription/sub_1"];
    assert_eq!(differences(&with, &without).await, open);
    let state = with.store().business_state().await.unwrap();
    assert!(
        state.iter().all(|line| !line.contains(" tie 1")),
        "{state:#?}"
    );
    // Both events are as stale or as good as before; that somebody was asked is no change of theirs.
    with.drain().await;
    assert_eq!(stripe.asked().len(), 1);
}

#[tokio::test]
async fn an_answer_of_the_very_second_of_a_tie_is_asked_for_once_more() {
    let stripe = StripeServer::start(START).await;
    let truth = subscription("active", &items(&["si_1"], false));
    stripe.shelf().put(None, truth);
    let app = asking(&stripe, None).await;
    for event in tied() {
        app.deliver(&event).await;
    }
    app.drain().await;
    assert_eq!(stripe.asked().len(), 0, "not within the second of the tie");
    let waits = only_question(&app, "evt_2").await.waits_for.unwrap();
    assert!(waits.starts_with("waits until 20"), "{waits}");
    app.clock.advance(Duration::from_secs(2));
    app.drain().await;
    let asked = only_question(&app, "evt_2").await;
    assert_eq!((asked.status.as_str(), asked.attempts), ("pending", 1));
    assert_eq!(
        asked.last_error.as_deref(),
        Some("the answer did not settle it")
    );
    stripe.shelf().now = START + 3;
    app.clock.advance(Duration::from_secs(2));
    app.drain().await;
    let over = only_question(&app, "evt_2").await;
    assert_eq!((over.status.as_str(), over.waits_for), ("done", None));
    assert_eq!(app.row("subscription", "sub_1").await["status"], "active");
}

#[tokio::test]
async fn an_object_that_is_gone_stores_nothing_and_is_not_asked_for_again() {
    let stripe = StripeServer::start(START + 5).await;
    let app = asking(&stripe, None).await;
    for event in tied() {
        app.deliver(&event).await;
    }
    app.settle().await;
    app.clock.advance(Duration::from_hours(48));
    app.drain().await;
    assert_eq!(only_question(&app, "evt_1").await.status, "gone");
    assert_eq!(stripe.asked().len(), 1);
    assert_eq!(app.row("subscription", "sub_1").await["status"], "unpaid");
    // What comes up again is asked again.
    let stripe_says = subscription("active", &items(&["si_1"], false));
    stripe.shelf().put(None, stripe_says);
    stripe.shelf().now = START + 200;
    for (id, status) in [("evt_3", "active"), ("evt_4", "unpaid")] {
        let object = subscription(status, &items(&["si_1"], false));
        app.deliver(&event(id, "customer.subscription.updated", 100, &object))
            .await;
    }
    app.settle().await;
    assert_eq!(only_question(&app, "evt_1").await.status, "done");
    assert_eq!(app.row("subscription", "sub_1").await["status"], "active");
}

async fn a_list_that_was_cut_short_is_completed(database: Option<PostgresDatabase>) {
    let stripe = StripeServer::start(START + 5).await;
    let cut = subscription("active", &items(&["si_1"], true));
    stripe.shelf().put(None, cut.clone());
    for number in 1..=120 {
        let id = format!("si_{number}");
        let item = items(&[&id], false)["data"][0].clone();
        let path = format!("/v1/subscription_items/{id}");
        stripe.shelf().put_at(None, &path, item);
    }
    let without = TestApp::start().await;
    let with = asking(&stripe, database.as_ref()).await;
    let created = event("evt_1", "customer.subscription.created", 0, &cut);
    without.deliver(&created).await;
    without.drain().await;
    let row = without.row("subscription", "sub_1").await;
    assert_eq!(row["items_incomplete"], true, "{row}");

    with.deliver(&created).await;
    with.drain().await;
    let row = with.row("subscription", "sub_1").await;
    assert_eq!(row["items_incomplete"], false, "{row}");
    assert_eq!(row["items"].as_array().unwrap().len(), 120);
    let asked = only_question(&with, "evt_1").await;
    assert_eq!(
        (asked.reason.as_str(), asked.status.as_str()),
        ("list", "done")
    );
    let pages = stripe.asked_for("/v1/subscription_items");
    assert_eq!(pages.len(), 2);
    assert!(
        pages
            .iter()
            .all(|page| page.parameter("subscription") == Some("sub_1"))
    );
}

/// A renewal as the basil versions tell it: payment and invoice do not know each other, and their amounts differ, because
/// a balance paid for some of it. So nothing but Stripe can say that they are one failure.
async fn a_link_that_nobody_told_joins_two_failures(database: Option<PostgresDatabase>) {
    let stripe = StripeServer::start(START + 5).await;
    let link = json!({
        "id": "inpay_1", "object": "invoice_payment", "invoice": "in_1", "status": "open", "created": START,
        "payment": { "type": "payment_intent", "payment_intent": "pi_1" },
    });
    stripe.shelf().put(None, link);
    let mut mails = Vec::new();
    let url = database.as_ref().map(PostgresDatabase::url);
    for key in [None, Some(KEY)] {
        let base = stripe.url();
        let mut settings = vec![("STRIPE_API_BASE", base.as_str())];
        settings.extend(key.map(|key| ("STRIPE_SECRET_KEY", key)));
        settings.extend(key.and(url.as_deref()).map(|url| ("DATABASE_URL", url)));
        let app = TestApp::with(&settings, Arc::new(Rules)).await;
        renewal(&app).await;
        mails.push(told_of_failures(&app).await);
    }
    assert_eq!(mails[0], ["invoice_payment_failed", "payment_failed"]);
    assert_eq!(mails[1], ["invoice_payment_failed"]);
    let asked = stripe.asked_for("/v1/invoice_payments");
    assert!(!asked.is_empty());
    for question in asked {
        let by_intent = question.parameter("payment[type]") == Some("payment_intent")
            && question.parameter("payment[payment_intent]") == Some("pi_1");
        let by_invoice = question.parameter("invoice") == Some("in_1");
        assert!(by_intent || by_invoice, "{question:?}");
    }
}

async fn renewal(app: &TestApp) {
    let customer = json!({ "id": "cus_1", "object": "customer", "email": "ada@example.com", "created": START - 1000 });
    let intent = json!({
        "id": "pi_1", "object": "payment_intent", "customer": "cus_1", "status": "requires_payment_method", "amount": 4000,
        "currency": "eur", "created": START - 1, "latest_charge": "ch_1", "last_payment_error": { "code": "card_declined", "charge": "ch_1" },
    });
    let invoice = json!({
        "id": "in_1", "object": "invoice", "customer": "cus_1", "status": "open", "amount_due": 4900, "currency": "eur",
        "attempt_count": 1, "attempted": true, "created": START - 60,
        "parent": { "type": "subscription_details", "subscription_details": { "subscription": "sub_1" } },
    });
    let active = subscription("active", &items(&["si_1"], false));
    for (id, kind, at, object) in [
        ("evt_cus", "customer.created", -100, &customer),
        ("evt_sub", "customer.subscription.created", -90, &active),
        ("evt_pi", "payment_intent.payment_failed", 0, &intent),
        ("evt_in", "invoice.payment_failed", 0, &invoice),
    ] {
        app.deliver(&event(id, kind, at, object)).await;
    }
    app.settle().await;
}

/// The playbooks whose runs wrote, or wait to write, about a failure.
async fn told_of_failures(app: &TestApp) -> Vec<String> {
    let messages = app.messages().await;
    let mails = messages.iter().filter(|message| message.channel == "email");
    let mut playbooks: Vec<_> = mails
        .filter_map(|message| message.playbook.clone())
        .collect();
    playbooks.sort();
    playbooks
}

/// Reads an answer of the API.
async fn get(app: &TestApp, path: &str) -> Value {
    use secrecy::ExposeSecret as _;
    let token = app.app.admin_token().expose_secret();
    let request = Request::get(format!("/api/v1/{path}"))
        .header("Host", "localhost")
        .header("Authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    app.ask(request).await.1
}
