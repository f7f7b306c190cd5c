//! Thin events: verified and kept like others, fetched where a key reaches them, and never a way out of Stripe's API.

use serde_json::{Value, json};

use super::{asking, get, on_both, only_question, questions, with_key};
use crate::support::app::{START, TestApp};
use crate::support::services::PostgresDatabase;
use crate::support::stripe_api::StripeServer;

on_both!(a_thin_event_is_fetched_and_so_is_what_it_is_about);

fn notification(id: &str, kind: &str, context: Option<&str>) -> Value {
    json!({
        "id": id, "object": "v2.core.event", "type": kind, "livemode": true, "created": "2027-01-15T08:00:00.120Z",
        "context": context,
        "related_object": { "id": "cus_1", "type": "customer", "url": "/v1/customers/cus_1" },
        "reason": { "type": "request", "request": { "id": "req_1", "idempotency_key": "k1" } },
    })
}

/// What Stripe has at `/v2/core/events/ID`.
fn event(id: &str, related: &Value) -> Value {
    json!({
        "id": id, "object": "v2.core.event", "type": "v1.customer.updated", "livemode": true,
        "created": "2027-01-15T08:00:00.120Z", "related_object": related, "data": { "reason": "some" },
    })
}

fn related(kind: &str, url: &str) -> Value {
    json!({ "id": "cus_1", "type": kind, "url": url })
}

fn customer() -> Value {
    json!({ "id": "cus_1", "object": "customer", "email": "ada@example.com", "created": START - 9, "livemode": true })
}

async fn a_thin_event_is_fetched_and_so_is_what_it_is_about(database: Option<PostgresDatabase>) {
    let stripe = StripeServer::start(START + 5).await;
    let path = "acct_0/acct_1";
    let told = event("evt_1", &related("customer", "/v1/customers/cus_1"));
    stripe
        .shelf()
        .put_at(Some(path), "/v2/core/events/evt_1", told);
    stripe.shelf().put(Some(path), customer());
    let app = asking(&stripe, database.as_ref()).await;
    app.deliver(&notification("evt_1", "v1.customer.updated", Some(path)))
        .await;
    app.drain().await;
    let shown = app.event("evt_1").await;
    assert_eq!(
        (shown.status.as_str(), shown.account.as_str()),
        ("done", "acct_1")
    );
    assert_eq!(only_question(&app, "evt_1").await.status, "done");
    assert_eq!(
        app.row("customer", "cus_1").await["email"],
        "ada@example.com"
    );
    let asked = stripe.asked();
    let paths: Vec<_> = asked.iter().map(|asked| asked.path.as_str()).collect();
    assert_eq!(paths, ["/v2/core/events/evt_1", "/v1/customers/cus_1"]);
    for question in asked {
        assert_eq!(question.header("stripe-context"), Some(path));
        assert_eq!(
            question.header("stripe-request-trigger"),
            Some("event=evt_1")
        );
        assert_eq!(question.header("stripe-account"), None);
    }
    let answer = get(&app, "events/evt_1").await;
    assert_eq!(answer["fetches"][0]["reason"], "thin");
    // A second delivery asks nothing.
    app.deliver(&notification("evt_1", "v1.customer.updated", Some(path)))
        .await;
    app.drain().await;
    assert_eq!(stripe.asked().len(), 2);
}

#[tokio::test]
async fn without_a_key_it_is_kept_and_says_what_to_do() {
    let app = TestApp::start().await;
    app.deliver(&notification("evt_1", "v1.customer.updated", None))
        .await;
    app.deliver(&notification(
        "evt_2",
        "v2.core.event_destination.ping",
        None,
    ))
    .await;
    app.drain().await;
    let shown = app.event("evt_1").await;
    assert_eq!(shown.status, "ignored");
    assert!(shown.last_error.unwrap().contains("set STRIPE_SECRET_KEY"));
    let ping = app.event("evt_2").await;
    assert_eq!(ping.status, "ignored");
    assert!(ping.last_error.unwrap().starts_with("a ping"));
    assert_eq!(ping.payload["type"], "v2.core.event_destination.ping");
}

#[tokio::test]
async fn one_that_was_kept_is_fetched_when_it_comes_again_and_there_is_a_key() {
    let stripe = StripeServer::start(START + 5).await;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("test.db").display());
    let rules = std::sync::Arc::new(billhook::agent::rules::Rules);
    let told = notification("evt_1", "v1.customer.updated", None);
    let before = TestApp::with(&[("DATABASE_URL", url.as_str())], rules.clone()).await;
    before.deliver(&told).await;
    let answer = event("evt_1", &related("customer", "/v1/customers/cus_1"));
    stripe.shelf().put_at(None, "/v2/core/events/evt_1", answer);
    stripe.shelf().put(None, customer());
    let base = stripe.url();
    let settings = [
        ("DATABASE_URL", url.as_str()),
        ("STRIPE_SECRET_KEY", super::KEY),
        ("STRIPE_API_BASE", base.as_str()),
    ];
    let after = TestApp::with(&settings, rules).await;
    after.deliver(&told).await;
    after.drain().await;
    assert_eq!(
        after.row("customer", "cus_1").await["email"],
        "ada@example.com"
    );
}

#[tokio::test]
async fn no_event_leads_out_of_stripes_api() {
    let stripe = StripeServer::start(START + 5).await;
    let elsewhere = StripeServer::start(START + 5).await;
    let app = asking(&stripe, None).await;
    let other = elsewhere.url();
    let at_other = format!("{other}/v1/customers/cus_1");
    let without_scheme = at_other.replace("http:", "");
    let urls = [
        at_other.as_str(),
        without_scheme.as_str(),
        "https://evil.example/v1/customers/cus_1",
        "/\\evil.example/v1/x",
        "@evil.example/v1/x",
        "/v1/../oauth/token",
        "/v1/%2e%2e/oauth/token",
        "/v3/x",
        "/oauth/token",
        "/v1/customers/cus_1?expand[]=sources",
        "/v1/customers/cus_1\r\nHost: evil.example",
        "file:///etc/passwd",
        "",
    ];
    for (number, url) in urls.iter().enumerate() {
        let id = format!("evt_{number}");
        let path = format!("/v2/core/events/{id}");
        let told = event(&id, &related("customer", url));
        stripe.shelf().put_at(None, &path, told);
        app.deliver(&notification(&id, "v1.customer.updated", None))
            .await;
    }
    app.drain().await;
    for (number, url) in urls.iter().enumerate() {
        let ended = only_question(&app, &format!("evt_{number}")).await;
        assert_eq!(ended.status, "given_up", "{url:?}: {ended:?}");
        let error = ended.last_error.unwrap();
        assert!(error.contains("nothing was asked for"), "{url:?}: {error}");
    }
    // Each event was asked for, and nothing else by anybody.
    assert_eq!(stripe.asked().len(), urls.len());
    assert!(elsewhere.asked().is_empty());
    assert!(
        app.store_rows("customer").await.is_empty(),
        "nothing was taken in"
    );
}

#[tokio::test]
async fn an_answer_that_is_another_object_is_not_taken_in() {
    let stripe = StripeServer::start(START + 5).await;
    let app = asking(&stripe, None).await;
    let invoice = json!({ "id": "in_1", "object": "invoice", "livemode": true });
    stripe.shelf().put(None, invoice);
    let mut other = customer();
    other["id"] = json!("cus_2");
    stripe.shelf().put(None, other);
    for (id, kind, url) in [
        // Another kind, another id, and what there is no view of.
        ("evt_1", "customer", "/v1/invoices/in_1"),
        ("evt_2", "customer", "/v1/customers/cus_2"),
        ("evt_3", "billing.meter", "/v1/billing/meters/mtr_1"),
        ("evt_4", "customer", "/v1/customers/cus_gone"),
    ] {
        let path = format!("/v2/core/events/{id}");
        stripe
            .shelf()
            .put_at(None, &path, event(id, &related(kind, url)));
        app.deliver(&notification(id, "v1.customer.updated", None))
            .await;
    }
    // This one Stripe does not know at all.
    app.deliver(&notification("evt_5", "v1.customer.updated", None))
        .await;
    app.drain().await;
    for (id, status) in [
        ("evt_1", "given_up"),
        ("evt_2", "given_up"),
        ("evt_3", "done"),
        ("evt_4", "gone"),
        ("evt_5", "gone"),
    ] {
        assert_eq!(only_question(&app, id).await.status, status, "{id}");
        assert_eq!(app.event(id).await.status, "done", "{id}");
    }
    assert!(app.store_rows("customer").await.is_empty());
    assert!(app.store_rows("invoice").await.is_empty());
}

#[tokio::test]
async fn a_key_of_the_other_mode_fetches_nothing() {
    let stripe = StripeServer::start(START + 5).await;
    let app = with_key(&stripe, None, "sk_test_of_this_suite").await;
    app.deliver(&notification("evt_1", "v1.customer.updated", None))
        .await;
    app.drain().await;
    let shown = app.event("evt_1").await;
    assert_eq!(shown.status, "ignored");
    assert!(shown.last_error.unwrap().contains("a key of live mode"));
    assert!(questions(&app, "evt_1").await.is_empty());
    assert!(stripe.asked().is_empty());
}
