//! Whose is it: objects with the same ids in several accounts and modes at once, through the whole service.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use billhook::agent::rules::Rules;
use billhook::clock::Clock as _;
use billhook::store::Store as _;
use billhook::stripe::signature::sign;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::support::app::{START, TestApp, event};
use crate::support::services::PostgresDatabase;

/// One account in one mode. Everything that could be mixed up differs: address, amounts, whether money ever arrived.
struct World {
    account: Option<&'static str>,
    livemode: bool,
    subscription: &'static str,
    has_paid: bool,
}

const WORLDS: [World; 4] = [
    World {
        account: None,
        livemode: true,
        subscription: "active",
        has_paid: true,
    },
    World {
        account: Some("acct_1"),
        livemode: true,
        subscription: "unpaid",
        has_paid: true,
    },
    World {
        account: Some("acct_1"),
        livemode: false,
        subscription: "trialing",
        has_paid: true,
    },
    World {
        account: Some("acct_2"),
        livemode: false,
        subscription: "paused",
        has_paid: false,
    },
];

impl World {
    fn account(&self) -> &'static str {
        self.account.unwrap_or("self")
    }

    fn query(&self) -> String {
        format!("account={}&livemode={}", self.account(), self.livemode)
    }

    /// The same story everywhere: a customer, a subscription, a payment that fails.
    fn story(&self, number: i64) -> Vec<Value> {
        let intent = |id: &str, status: &str, amount: i64| {
            json!({
                "id": id, "object": "payment_intent", "customer": "cus_1", "status": status, "amount": amount + number * 100,
                "currency": "eur", "created": START - 500, "metadata": { "order_id": "1001" }, "latest_charge": format!("ch_{id}"),
            })
        };
        let customer = json!({
            "id": "cus_1", "object": "customer", "email": format!("ada{number}@example.com"), "name": "Ada Lovelace",
            "created": START - 1000, "preferred_locales": ["en"],
        });
        let subscription = json!({
            "id": "sub_1", "object": "subscription", "customer": "cus_1", "status": self.subscription, "created": START - 900,
        });
        let mut told = vec![
            ("customer.created", -100, customer),
            ("customer.subscription.created", -95, subscription),
            (
                "payment_intent.payment_failed",
                0,
                intent("pi_1", "requires_payment_method", 4900),
            ),
        ];
        if self.has_paid {
            let mut paid = intent("pi_old", "succeeded", 1000);
            paid["metadata"] = json!({});
            told.push(("payment_intent.succeeded", -90, paid));
        }
        told.into_iter()
            .map(|(kind, at, object)| {
                let mut event = event(&format!("evt_{number}_{kind}"), kind, at, &object);
                event["livemode"] = json!(self.livemode);
                if let Some(account) = self.account {
                    event["account"] = json!(account);
                }
                event
            })
            .collect()
    }
}

/// The stories of some worlds, told at once: the first event of each, the second of each, and so on.
async fn told(app: &TestApp, worlds: &[usize]) {
    let stories: Vec<Vec<Value>> = worlds
        .iter()
        .map(|n| WORLDS[*n].story(i64::try_from(*n).unwrap()))
        .collect();
    for at in 0..4 {
        for event in stories.iter().filter_map(|story| story.get(at)) {
            app.deliver(event).await;
        }
    }
    app.settle().await;
}

/// What the API answers.
pub(super) async fn get(app: &TestApp, path: &str) -> (StatusCode, Value) {
    let token = app.app.admin_token().expose_secret();
    let request = Request::get(format!("/api/v1/{path}"))
        .header("Host", "localhost")
        .header("Authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    app.ask(request).await
}

/// Posts to a named endpoint, signed with its secret.
async fn post_to(app: &TestApp, endpoint: &str, secret: &str, event: &Value) -> Value {
    let body = event.to_string().into_bytes();
    let header = sign(&SecretString::from(secret), app.clock.now(), &body);
    let request = Request::post(format!("/stripe/webhook/{endpoint}"))
        .header("Stripe-Signature", header)
        .body(Body::from(body))
        .unwrap();
    let (status, answer) = app.ask(request).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer["status"].clone()
}

async fn on_sqlite() -> TestApp {
    TestApp::start().await
}

#[tokio::test]
async fn on_sqlite_no_two_accounts_or_modes_mix() {
    nothing_mixes(&on_sqlite().await).await;
}

#[tokio::test]
async fn on_postgres_no_two_accounts_or_modes_mix() {
    if let Some(database) = PostgresDatabase::migrated().await {
        let app = TestApp::with(&[("DATABASE_URL", &database.url())], Arc::new(Rules)).await;
        nothing_mixes(&app).await;
        app.store().close().await;
    }
}

async fn nothing_mixes(app: &TestApp) {
    told(app, &[0, 1, 2, 3]).await;

    // Together they come to what each comes to alone.
    let mut alone = BTreeSet::new();
    for world in 0..4 {
        let single = on_sqlite().await;
        told(&single, &[world]).await;
        alone.extend(single.store().business_state().await.unwrap());
    }
    let together = app.store().business_state().await.unwrap();
    assert_eq!(BTreeSet::from_iter(together), alone);

    // Each failure is written about once, to its own customer, with its own amount. Who never paid in this very account
    // and mode is not written to yet, whatever they paid elsewhere.
    let mails = app.mails();
    assert_eq!(mails.len(), 3, "{mails:#?}");
    for (number, amount) in [(0, "49.00"), (1, "50.00"), (2, "51.00")] {
        let to = format!("To: ada{number}@example.com");
        let own: Vec<_> = mails.iter().filter(|mail| mail.contains(&to)).collect();
        assert_eq!(own.len(), 1, "{to}");
        assert!(own[0].contains(amount), "{}", own[0]);
    }
    let waiting = app.event("evt_3_payment_intent.payment_failed").await;
    assert!(
        waiting.messages[0]
            .reason
            .as_ref()
            .unwrap()
            .starts_with("first_contact"),
        "{waiting:?}"
    );

    for kind in ["customers/cus_1", "subscriptions/sub_1", "orders/1001"] {
        let (status, problem) = get(app, kind).await;
        assert_eq!(status, StatusCode::CONFLICT, "{kind}: {problem}");
        assert_eq!(
            problem["candidates"].as_array().unwrap().len(),
            4,
            "{problem}"
        );
    }
    for (number, world) in WORLDS.iter().enumerate() {
        let (_, customer) = get(app, &format!("customers/cus_1?{}", world.query())).await;
        assert_eq!(customer["email"], format!("ada{number}@example.com"));
        let granted = matches!(world.subscription, "active" | "trialing");
        assert_eq!(customer["access"]["granted"], granted, "{customer}");
        let (_, order) = get(app, &format!("orders/1001?{}", world.query())).await;
        assert_eq!(order["amount"], 4900 + number * 100, "{order}");
        let history = app
            .store()
            .payment_history(world.account(), world.livemode, "cus_1", 10)
            .await
            .unwrap();
        assert_eq!(history.len(), 1 + usize::from(world.has_paid));
    }
    lists_do_not_mix(app).await;
}

async fn lists_do_not_mix(app: &TestApp) {
    let (status, problem) = get(app, "events?customer=cus_1").await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    let (status, problem) = get(app, "customers?starting_after=cus_1").await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    let (_, all) = get(app, "customers").await;
    assert_eq!(all["data"].as_array().unwrap().len(), 4);
    for world in &WORLDS {
        let (_, events) = get(app, &format!("events?customer=cus_1&{}", world.query())).await;
        let events = events["data"].as_array().unwrap();
        assert_eq!(events.len(), 3 + usize::from(world.has_paid));
        assert!(events.iter().all(
            |event| event["account"] == world.account() && event["livemode"] == world.livemode
        ));
        let (_, page) = get(app, &format!("customers?{}", world.query())).await;
        assert_eq!(page["data"].as_array().unwrap().len(), 1);
        assert_eq!(page["data"][0]["account"], world.account());
        let next = format!("customers?starting_after=cus_1&{}", world.query());
        let (_, page) = get(app, &next).await;
        assert_eq!(page["data"], json!([]));
    }
    let (_, of_account) = get(app, "customers?account=acct_1").await;
    assert_eq!(of_account["data"].as_array().unwrap().len(), 2);
    let (_, of_mode) = get(app, "events?livemode=false&limit=100").await;
    assert_eq!(of_mode["data"].as_array().unwrap().len(), 7);
}

const ENDPOINTS: [(&str, &str); 5] = [
    (
        "BILLHOOK__STRIPE__ENDPOINTS__LIVE__SECRETS",
        "whsec_of_the_live_one",
    ),
    ("BILLHOOK__STRIPE__ENDPOINTS__LIVE__LIVEMODE", "true"),
    (
        "BILLHOOK__STRIPE__ENDPOINTS__TRY__SECRETS",
        "whsec_of_the_test_one",
    ),
    ("BILLHOOK__STRIPE__ENDPOINTS__TRY__LIVEMODE", "false"),
    ("BILLHOOK__STRIPE__ENDPOINTS__TRY__ACCOUNT", "acct_try"),
];

/// The failed payment of a customer, in test mode.
fn test_event() -> Value {
    let mut event = WORLDS[0].story(0).remove(2);
    event["livemode"] = json!(false);
    event
}

#[tokio::test]
async fn an_event_of_the_other_mode_is_ignored_until_it_comes_where_it_is_wanted() {
    let app = TestApp::with(&ENDPOINTS, Arc::new(Rules)).await;
    let event = test_event();
    let id = event["id"].as_str().unwrap().to_owned();
    let at_live = post_to(&app, "live", "whsec_of_the_live_one", &event).await;
    assert_eq!(at_live, "accepted");
    app.drain().await;
    let ignored = app.event(&id).await;
    assert_eq!(
        (ignored.status.as_str(), ignored.last_error.as_deref()),
        (
            "ignored",
            Some("a test event at an endpoint whose `livemode` is true")
        )
    );
    assert!(ignored.changes.is_empty());

    let at_test = post_to(&app, "try", "whsec_of_the_test_one", &event).await;
    assert_eq!(at_test, "duplicate");
    app.settle().await;
    let applied = app.event(&id).await;
    assert_eq!(
        (applied.status.as_str(), applied.account.as_str()),
        ("done", "acct_try"),
        "{applied:?}"
    );
    assert_eq!(applied.last_error, None);
    // And once more where it is not wanted: it stays as it is.
    post_to(&app, "live", "whsec_of_the_live_one", &event).await;
    assert_eq!(app.event(&id).await.status, "done");
    assert_eq!(app.row("payment_intent", "pi_1").await["amount"], 4900);
}

#[tokio::test]
async fn what_is_wanted_a_day_too_late_updates_state_and_is_not_written_about() {
    let app = TestApp::with(&ENDPOINTS, Arc::new(Rules)).await;
    let mut customer = WORLDS[0].story(0).remove(0);
    customer["livemode"] = json!(false);
    post_to(&app, "try", "whsec_of_the_test_one", &customer).await;
    let event = test_event();
    post_to(&app, "live", "whsec_of_the_live_one", &event).await;
    app.clock.advance(Duration::from_hours(25));
    post_to(&app, "try", "whsec_of_the_test_one", &event).await;
    app.settle().await;
    let applied = app.event(event["id"].as_str().unwrap()).await;
    assert_eq!(applied.status, "done");
    assert!(applied.run.is_none(), "{:?}", applied.run);
    assert!(!applied.changes.is_empty());
}

#[tokio::test]
async fn an_organizations_events_are_kept_apart_by_their_context() {
    let app = TestApp::start().await;
    for (number, context) in ["acct_1", "acct_1/acct_2", "acct_3/acct_2"]
        .iter()
        .enumerate()
    {
        let mut event = WORLDS[0].story(i64::try_from(number).unwrap()).remove(0);
        event["context"] = json!(context);
        app.deliver(&event).await;
    }
    app.drain().await;
    let rows = app.store().object("customer", "cus_1").await.unwrap();
    let accounts: Vec<_> = rows.iter().map(|row| row.account.as_str()).collect();
    assert_eq!(accounts, ["acct_1", "acct_2"]);
}

/// Failures of one person, who uses one address with two customers, in a mode.
async fn two_failures(app: &TestApp, livemode: bool) {
    let mode = if livemode { "live" } else { "test" };
    for customer in ["cus_1", "cus_2"] {
        let object = json!({
            "id": customer, "object": "customer", "email": "ada@example.com", "created": START - 1000, "preferred_locales": ["en"],
        });
        let intent = |status: &str| {
            json!({
                "id": format!("pi_{customer}_{status}"), "object": "payment_intent", "customer": customer, "status": status,
                "amount": 4900, "currency": "eur", "created": START - 500, "metadata": {},
                "latest_charge": format!("ch_{customer}_{status}"),
            })
        };
        for (kind, at, object) in [
            ("customer.created", -100, object),
            ("payment_intent.succeeded", -90, intent("succeeded")),
            (
                "payment_intent.payment_failed",
                0,
                intent("requires_payment_method"),
            ),
        ] {
            let mut event = event(&format!("evt_{mode}_{customer}_{kind}"), kind, at, &object);
            event["livemode"] = json!(livemode);
            app.deliver(&event).await;
        }
    }
    app.settle().await;
}

#[tokio::test]
async fn a_mail_of_test_mode_uses_up_no_cap_of_live_mode() {
    let app = on_sqlite().await;
    two_failures(&app, false).await;
    assert_eq!(app.mails().len(), 1, "one failure mail a day to an address");
    two_failures(&app, true).await;
    assert_eq!(app.mails().len(), 2, "and one in the other mode");
    let waiting: Vec<_> = app
        .messages()
        .await
        .into_iter()
        .filter(|m| m.status == "pending")
        .collect();
    assert_eq!(waiting.len(), 2);
    assert!(waiting.iter().all(|message| {
        let reason = message.reason.as_deref().unwrap();
        reason.starts_with("caps.failure_mails_per_recipient_per_day = 1")
    }));
}
