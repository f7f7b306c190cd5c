//! Follow-ups from the event to the mail, decided by the rules.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::support::app::{START, TestApp, event};

fn customer(id: &str, email: Option<&str>) -> Value {
    json!({ "id": id, "object": "customer", "email": email, "name": "Ada Lovelace", "created": START - 1000, "preferred_locales": ["en"] })
}

fn intent(id: &str, customer: Option<&str>, status: &str, amount: i64, currency: &str) -> Value {
    json!({
        "id": id, "object": "payment_intent", "customer": customer, "status": status, "amount": amount, "currency": currency,
        "amount_received": if status == "succeeded" { amount } else { 0 }, "created": START - 500, "metadata": {},
        "latest_charge": format!("ch_{id}"),
    })
}

async fn with_paying_customer() -> TestApp {
    let app = TestApp::start().await;
    app.deliver(&event(
        "evt_cus",
        "customer.created",
        -100,
        &customer("cus_1", Some("ada@example.com")),
    ))
    .await;
    app.deliver(&event(
        "evt_old",
        "payment_intent.succeeded",
        -90,
        &intent("pi_old", Some("cus_1"), "succeeded", 1000, "eur"),
    ))
    .await;
    app.settle().await;
    app
}

#[tokio::test]
async fn a_failed_payment_is_written_about_once() {
    let app = with_paying_customer().await;
    let failed = event(
        "evt_f",
        "payment_intent.payment_failed",
        0,
        &intent(
            "pi_1",
            Some("cus_1"),
            "requires_payment_method",
            4900,
            "eur",
        ),
    );
    app.deliver(&failed).await;
    app.deliver(&failed).await;
    app.settle().await;
    let mails = app.mails();
    assert_eq!(mails.len(), 1, "{:#?}", app.event("evt_f").await);
    let mail = &mails[0];
    assert!(mail.contains("To: ada@example.com"), "{mail}");
    assert!(mail.contains("49.00"), "{mail}");
    assert!(mail.contains("Ada Lovelace"), "{mail}");
    let shown = app.event("evt_f").await;
    assert_eq!(shown.status, "done");
    assert_eq!(shown.messages[0].status, "sent");
    assert_eq!(app.row("order", "pi_1").await["status"], "pending");
}

#[tokio::test]
async fn a_large_payment_is_told_to_sales_and_kept_without_a_channel() {
    let app = with_paying_customer().await;
    app.deliver(&event(
        "evt_big",
        "payment_intent.succeeded",
        0,
        &intent("pi_big", Some("cus_1"), "succeeded", 120_000, "jpy"),
    ))
    .await;
    app.settle().await;
    let messages = app.messages().await;
    assert_eq!(messages.len(), 1);
    assert_eq!(
        (messages[0].channel.as_str(), messages[0].status.as_str()),
        ("sales", "pending")
    );
    assert!(
        messages[0]
            .reason
            .as_deref()
            .unwrap()
            .contains("SALES_WEBHOOK_URL")
    );
    let text = app.store_text(&messages[0].id).await;
    assert!(text.contains("JPY\u{a0}120,000"), "{text}");
    assert_eq!(app.mails().len(), 0);
}

#[tokio::test]
async fn a_customer_without_an_address_is_said_so_and_sales_are_told() {
    let app = TestApp::start().await;
    app.deliver(&event(
        "evt_cus",
        "customer.created",
        -100,
        &customer("cus_2", None),
    ))
    .await;
    app.deliver(&event(
        "evt_f",
        "payment_intent.payment_failed",
        0,
        &intent(
            "pi_2",
            Some("cus_2"),
            "requires_payment_method",
            4900,
            "eur",
        ),
    ))
    .await;
    app.settle().await;
    let shown = app.event("evt_f").await;
    let refused: Vec<_> = shown
        .tool_calls
        .iter()
        .filter_map(|call| call.rule.as_deref())
        .collect();
    assert_eq!(refused, ["no_recipient"]);
    let channels: Vec<_> = shown
        .messages
        .iter()
        .map(|message| message.channel.as_str())
        .collect();
    assert_eq!(channels, ["sales"]);
}

#[tokio::test]
async fn an_ended_subscription_is_invited_back_after_seven_days() {
    let app = with_paying_customer().await;
    let ended = json!({ "id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "canceled", "created": START - 5000, "ended_at": START });
    app.deliver(&event(
        "evt_end",
        "customer.subscription.deleted",
        0,
        &ended,
    ))
    .await;
    app.settle().await;
    assert_eq!(app.mails().len(), 0);
    app.clock.advance(std::time::Duration::from_hours(7 * 24));
    app.drain().await;
    assert_eq!(app.mails().len(), 1);
    assert!(app.mails()[0].contains("welcome back"));
}

#[tokio::test]
async fn a_customer_who_is_back_is_not_invited() {
    let app = with_paying_customer().await;
    let subscription = |id: &str, status: &str| json!({ "id": id, "object": "subscription", "customer": "cus_1", "status": status, "created": START });
    app.deliver(&event(
        "evt_end",
        "customer.subscription.deleted",
        0,
        &subscription("sub_1", "canceled"),
    ))
    .await;
    app.settle().await;
    app.deliver(&event(
        "evt_new",
        "customer.subscription.created",
        50,
        &subscription("sub_2", "active"),
    ))
    .await;
    app.clock.advance(std::time::Duration::from_hours(8 * 24));
    app.drain().await;
    assert_eq!(app.mails().len(), 0);
}

#[tokio::test]
async fn a_payment_that_went_through_in_time_is_not_written_about() {
    let app = with_paying_customer().await;
    app.deliver(&event(
        "evt_f",
        "payment_intent.payment_failed",
        0,
        &intent(
            "pi_1",
            Some("cus_1"),
            "requires_payment_method",
            4900,
            "eur",
        ),
    ))
    .await;
    app.drain().await;
    app.deliver(&event(
        "evt_s",
        "payment_intent.succeeded",
        5,
        &intent("pi_1", Some("cus_1"), "succeeded", 4900, "eur"),
    ))
    .await;
    app.settle().await;
    assert_eq!(app.mails().len(), 0);
    assert_eq!(app.event("evt_f").await.run.unwrap().status, "skipped");
    assert_eq!(app.row("order", "pi_1").await["status"], "paid");
}

#[tokio::test]
async fn the_first_failure_mail_to_an_address_that_never_paid_waits() {
    let app = TestApp::start().await;
    app.deliver(&event(
        "evt_cus",
        "customer.created",
        -100,
        &customer("cus_3", Some("eve@example.com")),
    ))
    .await;
    app.deliver(&event(
        "evt_f",
        "payment_intent.payment_failed",
        0,
        &intent(
            "pi_3",
            Some("cus_3"),
            "requires_payment_method",
            4900,
            "eur",
        ),
    ))
    .await;
    app.settle().await;
    assert_eq!(app.mails().len(), 0);
    assert!(
        app.messages().await[0]
            .reason
            .as_deref()
            .unwrap()
            .starts_with("first_contact")
    );
    app.clock.advance(std::time::Duration::from_mins(10));
    app.drain().await;
    let mails = app.mails();
    assert_eq!(mails.len(), 1);
    // Nothing that a stranger typed into a checkout reaches an address that may not be theirs.
    assert!(!mails[0].contains("Ada"), "{}", mails[0]);
}

/// Asks the API about the list of mailboxes that are never written to.
async fn suppressions(app: &TestApp, method: &str, body: &Value) -> (StatusCode, Value) {
    let token = app.app.admin_token().expose_secret();
    let body = if body.is_null() {
        Body::empty()
    } else {
        Body::from(body.to_string())
    };
    let request = Request::builder()
        .method(method)
        .uri("/api/v1/suppressions")
        .header("Host", "localhost")
        .header("Authorization", format!("Bearer {token}"))
        .body(body)
        .unwrap();
    app.ask(request).await
}

#[tokio::test]
async fn sales_are_told_where_a_mailbox_must_not_be_written_to() {
    let app = with_paying_customer().await;
    let mailbox = json!({ "address": "ADA+new@example.com", "reason": "asked for it" });
    let (status, answer) = suppressions(&app, "POST", &mailbox).await;
    assert_eq!((status, &answer["added"]), (StatusCode::OK, &json!(true)));
    assert_eq!(suppressions(&app, "POST", &mailbox).await.1["added"], false);
    let (_, list) = suppressions(&app, "GET", &Value::Null).await;
    assert_eq!(list["data"][0]["address"], "ada@example.com");
    assert_eq!(list["data"][0]["reason"], "asked for it");
    let failed = |id: &str, payment: &str| {
        let status = "requires_payment_method";
        let object = intent(payment, Some("cus_1"), status, 4900, "eur");
        event(id, "payment_intent.payment_failed", 0, &object)
    };
    app.deliver(&failed("evt_f", "pi_1")).await;
    app.settle().await;
    assert_eq!(app.mails(), [""; 0]);
    let shown = app.event("evt_f").await;
    let told: Vec<&str> = shown.messages.iter().map(|m| m.channel.as_str()).collect();
    assert_eq!((shown.status.as_str(), told), ("done", vec!["sales"]));

    let mailbox = json!({ "address": "ada@example.com" });
    let (status, answer) = suppressions(&app, "DELETE", &mailbox).await;
    assert_eq!((status, &answer["deleted"]), (StatusCode::OK, &json!(true)));
    app.deliver(&failed("evt_g", "pi_2")).await;
    app.settle().await;
    assert_eq!(app.mails().len(), 1);
    for wrong in [
        json!({}),
        json!({ "address": "no address" }),
        json!({ "address": "a@b.example", "until": 1 }),
    ] {
        let (status, answer) = suppressions(&app, "POST", &wrong).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    }
}
