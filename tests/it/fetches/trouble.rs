//! Stripe does not answer, or may not be asked, or is asked on somebody's behalf.

use std::sync::Arc;
use std::time::Duration;

use billhook::agent::rules::Rules;
use billhook::store::Store as _;
use serde_json::{Value, json};

use super::{KEY, asking, items, only_question, questions, subscription, tied, with_key};
use crate::support::app::{START, TestApp, event};
use crate::support::stripe_api::{StripeServer, Trouble};

/// A Stripe that knows the subscription and does not let the key read it.
async fn forbidding() -> StripeServer {
    let stripe = StripeServer::start(START + 5).await;
    stripe
        .shelf()
        .put(None, subscription("active", &items(&["si_1"], false)));
    stripe
        .shelf()
        .forbid("/v1/subscriptions", "rak_subscription_read");
    stripe
}

async fn metrics(app: &TestApp) -> String {
    let census = app.store().census().await.unwrap();
    format!("{:?}", census.fetches)
}

#[tokio::test]
async fn a_permission_that_is_missing_stops_its_kind_until_it_is_there() {
    let stripe = forbidding().await;
    let app = asking(&stripe, None).await;
    for event in tied() {
        app.deliver(&event).await;
    }
    app.settle().await;
    let denied = only_question(&app, "evt_1").await;
    assert_eq!(denied.status, "denied");
    let waits = denied.waits_for.unwrap();
    assert!(waits.starts_with("has no answer yet ("), "{waits}");
    assert!(waits.contains("it is asked again at 20"), "{waits}");
    let error = denied.last_error.unwrap();
    assert!(error.contains("rak_subscription_read"), "{error}");
    assert_eq!(metrics(&app).await, "{\"denied\": 1}");
    let examined = app.store().examine().await.unwrap();
    assert_eq!(examined.denied, [error.as_str()]);
    assert!(error.contains("\"Subscriptions: Read\""), "{error}");

    // Another object of the kind waits with it, unasked.
    for (id, status) in [("evt_3", "active"), ("evt_4", "unpaid")] {
        let mut other = subscription(status, &items(&["si_1"], false));
        other["id"] = json!("sub_2");
        app.deliver(&event(id, "customer.subscription.updated", 0, &other))
            .await;
    }
    app.settle().await;
    let beside = only_question(&app, "evt_3").await;
    assert_eq!(beside.status, "denied");
    let waits = beside.waits_for.unwrap();
    assert!(waits.contains("the key may not ask"), "{waits}");
    assert_eq!(stripe.asked().len(), 1);

    // The permission is given, and the hour passes.
    stripe.shelf().allow("/v1/subscriptions");
    app.clock.advance(Duration::from_hours(1));
    app.drain().await;
    assert_eq!(only_question(&app, "evt_1").await.status, "done");
    assert_eq!(only_question(&app, "evt_3").await.status, "gone");
    assert_eq!(metrics(&app).await, "{}");
}

#[tokio::test]
async fn whoever_starts_anew_asks_at_once_what_waited_for_a_permission() {
    let stripe = forbidding().await;
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("billhook.db").display());
    let base = stripe.url();
    let start = async || {
        let settings = [
            ("STRIPE_SECRET_KEY", KEY),
            ("STRIPE_API_BASE", base.as_str()),
            ("DATABASE_URL", database.as_str()),
        ];
        TestApp::with(&settings, Arc::new(Rules)).await
    };
    let app = start().await;
    for event in tied() {
        app.deliver(&event).await;
    }
    app.settle().await;
    let other = |(id, status)| {
        let mut other = subscription(status, &items(&["si_1"], false));
        other["id"] = json!("sub_2");
        event(id, "customer.subscription.updated", 0, &other)
    };
    for told in [("evt_3", "active"), ("evt_4", "unpaid")].map(other) {
        app.deliver(&told).await;
    }
    app.settle().await;
    stripe.shelf().allow("/v1/subscriptions");
    app.clock.advance(Duration::from_mins(30));
    app.drain().await;
    assert_eq!(only_question(&app, "evt_1").await.status, "denied");
    assert_eq!(stripe.asked().len(), 1);
    let again = start().await;
    again.drain().await;
    assert_eq!(only_question(&again, "evt_1").await.status, "done");
    assert_eq!(only_question(&again, "evt_3").await.status, "gone");
}

#[tokio::test]
async fn about_an_account_that_left_nothing_is_asked_until_it_is_back() {
    let stripe = StripeServer::start(START + 5).await;
    let app = asking(&stripe, None).await;
    let of_account = |mut told: Value| {
        told["account"] = json!("acct_1");
        told
    };
    let leave = |id: &str, word: &str, at: i64| {
        let application = json!({ "id": "ca_1", "object": "application", "name": "Acme" });
        let kind = format!("account.application.{word}");
        of_account(event(id, &kind, at, &application))
    };
    app.deliver(&leave("evt_left", "deauthorized", 0)).await;
    for event in tied() {
        app.deliver(&of_account(event)).await;
    }
    app.settle().await;
    let waits = only_question(&app, "evt_1").await;
    assert_eq!(waits.status, "pending");
    let why = waits.last_error.as_deref();
    assert_eq!(why, Some("account acct_1 has disconnected"));
    let waits = waits.waits_for.unwrap();
    assert!(
        waits.contains("disconnected); it is asked again at 20"),
        "{waits}"
    );
    assert!(stripe.asked().is_empty());

    app.deliver(&leave("evt_back", "authorized", 1)).await;
    app.clock.advance(Duration::from_hours(1));
    app.drain().await;
    assert_eq!(only_question(&app, "evt_1").await.status, "gone");
    assert_eq!(stripe.asked().len(), 1);
}

#[tokio::test]
async fn while_stripe_fails_it_is_asked_again_and_after_a_day_no_more() {
    let stripe = StripeServer::start(START + 5).await;
    stripe
        .shelf()
        .put(None, subscription("active", &items(&["si_1"], false)));
    let fails = || {
        Some(Trouble::Fails {
            status: 503,
            again: false,
        })
    };
    let app = asking(&stripe, None).await;
    stripe.troubles([fails(), Some(Trouble::Garbage)]);
    for event in tied() {
        app.deliver(&event).await;
    }
    app.settle().await;
    let waits = only_question(&app, "evt_1").await;
    assert_eq!((waits.status.as_str(), waits.attempts), ("pending", 1));
    app.settle().await;
    app.settle().await;
    assert_eq!(only_question(&app, "evt_1").await.status, "done");
    assert_eq!(stripe.asked().len(), 3);

    for (id, status) in [("evt_3", "active"), ("evt_4", "unpaid")] {
        let object = subscription(status, &items(&["si_1"], false));
        app.deliver(&event(id, "customer.subscription.updated", 300, &object))
            .await;
    }
    stripe.troubles(std::iter::repeat_with(fails).take(500));
    app.settle().await;
    for _ in 0..30 {
        app.clock.advance(Duration::from_hours(1));
        app.drain().await;
    }
    let ended = only_question(&app, "evt_3").await;
    assert_eq!(ended.status, "given_up", "{ended:?}");
    let asked = stripe.asked().len();
    assert!((20..50).contains(&asked), "{asked}");
    app.clock.advance(Duration::from_hours(48));
    app.drain().await;
    assert_eq!(stripe.asked().len(), asked);
    assert_eq!(metrics(&app).await, "{\"given_up\": 1}");
}

#[tokio::test]
async fn a_key_of_the_other_mode_asks_nothing() {
    let stripe = StripeServer::start(START + 5).await;
    let app = with_key(&stripe, None, "rk_test_of_this_suite").await;
    for event in tied() {
        app.deliver(&event).await;
    }
    app.settle().await;
    assert_eq!(questions(&app, "evt_1").await.len(), 0);
    assert!(stripe.asked().is_empty());
}

#[tokio::test]
async fn a_connected_account_is_asked_about_under_its_own_name() {
    let stripe = StripeServer::start(START + 5).await;
    let truth = subscription("active", &items(&["si_1"], false));
    stripe.shelf().put(Some("acct_1"), truth.clone());
    stripe.shelf().put(Some("acct_0/acct_2"), truth);
    let app = asking(&stripe, None).await;
    for (account, context) in [(Some("acct_1"), None), (None, Some("acct_0/acct_2"))] {
        for mut event in tied() {
            let id = format!("{}_{}", event["id"].as_str().unwrap(), context.is_some());
            event["id"] = json!(id);
            event["account"] = json!(account);
            event["context"] = json!(context);
            app.deliver(&event).await;
        }
    }
    app.settle().await;
    let mut scopes: Vec<_> = stripe
        .asked()
        .iter()
        .map(|asked| {
            let header = |name: &str| asked.header(name).map(str::to_owned);
            (header("stripe-account"), header("stripe-context"))
        })
        .collect();
    scopes.sort();
    assert_eq!(
        scopes,
        [
            (None, Some("acct_0/acct_2".to_owned())),
            (Some("acct_1".to_owned()), None)
        ]
    );
    let rows = app.store().object("subscription", "sub_1").await.unwrap();
    let accounts: Vec<_> = rows
        .iter()
        .map(|row| (row.account.as_str(), row.data["status"].as_str().unwrap()))
        .collect();
    assert_eq!(accounts, [("acct_1", "active"), ("acct_2", "active")]);
}
