//! The Stripe of these tests answers as Stripe's documentation says.

use billhook::config::Config;
use billhook::stripe::api::{ApiError, Scope, StripeApi};
use serde_json::{Value, json};

use super::{OWN_ACCOUNT, StripeServer, Trouble, VERSION};
use crate::support::app::{START, environment};

const DAY: i64 = 86_400;

/// A client of it with this key.
pub(crate) fn client(server: &StripeServer, key: &str, settings: &[(&str, &str)]) -> StripeApi {
    let url = server.url();
    let own = [
        ("STRIPE_API_BASE", url.as_str()),
        ("STRIPE_SECRET_KEY", key),
    ];
    let env = environment(own.iter().chain(settings));
    let config = Config::from_layers(None, &env).unwrap();
    StripeApi::new(&config.stripe).unwrap().unwrap()
}

fn event(id: &str, kind: &str, at: i64) -> Value {
    json!({ "id": id, "object": "event", "type": kind, "created": START + at, "livemode": false, "pending_webhooks": 0 })
}

async fn stocked() -> (StripeServer, StripeApi) {
    let server = StripeServer::start(START).await;
    {
        let mut shelf = server.shelf();
        shelf.add_event(None, event("evt_old", "charge.failed", -31 * DAY));
        shelf.add_event(None, event("evt_1", "invoice.paid", -3));
        shelf.add_event(None, event("evt_2", "charge.failed", -2));
        shelf.add_event(None, event("evt_3", "charge.succeeded", -1));
        shelf.add_event(Some("acct_1"), event("evt_theirs", "invoice.paid", -1));
        let mut live = event("evt_live", "invoice.paid", -1);
        live["livemode"] = true.into();
        live["pending_webhooks"] = 1.into();
        shelf.add_event(None, live);
    }
    let client = client(&server, "sk_test_1", &[]);
    (server, client)
}

async fn ids(client: &StripeApi, path: &str, query: &[(&str, &str)], scope: Scope<'_>) -> String {
    match client.get(path, query, &scope).await {
        Ok(answer) => {
            let data = answer.body["data"].as_array().unwrap();
            let ids: Vec<&str> = data.iter().map(|row| row["id"].as_str().unwrap()).collect();
            let more = if answer.body["has_more"] == true {
                " …"
            } else {
                ""
            };
            format!("{}{more}", ids.join(" "))
        }
        Err(ApiError::Refused { param, .. }) => format!("refused {}", param.unwrap_or_default()),
        Err(error) => error.word().to_owned(),
    }
}

#[tokio::test]
async fn events_are_listed_newest_first_by_account_and_mode() {
    let (server, client) = stocked().await;
    let own = Scope::default();
    let after = (START - 2).to_string();
    let many: Vec<(&str, &str)> = [("types[]", "invoice.paid"); 1].into();
    let kinds: Vec<String> = (0..21).map(|n| format!("kind.{n}")).collect();
    let too_many: Vec<(&str, &str)> = kinds.iter().map(|k| ("types[]", k.as_str())).collect();
    for (query, expected) in [
        (vec![], "evt_3 evt_2 evt_1"),
        (vec![("limit", "2")], "evt_3 evt_2 …"),
        (vec![("limit", "0")], "refused limit"),
        (
            vec![("limit", "2"), ("starting_after", "evt_3")],
            "evt_2 evt_1",
        ),
        (vec![("limit", "1"), ("ending_before", "evt_1")], "evt_2 …"),
        (
            vec![("limit", "2"), ("ending_before", "evt_1")],
            "evt_3 evt_2",
        ),
        // Stripe has no event of more than thirty days ago, and takes none for a cursor.
        (vec![("ending_before", "evt_old")], "refused ending_before"),
        (
            vec![("starting_after", "evt_none")],
            "refused starting_after",
        ),
        (vec![("created[gte]", after.as_str())], "evt_3 evt_2"),
        (vec![("created[lt]", after.as_str())], "evt_1"),
        (many, "evt_1"),
        (vec![("type", "charge.*")], "evt_3 evt_2"),
        (
            vec![("type", "charge.*"), ("types[]", "x")],
            "refused types",
        ),
        (too_many, "refused types"),
        (vec![("delivery_success", "false")], ""),
    ] {
        assert_eq!(
            ids(&client, "/v1/events", &query, own).await,
            expected,
            "{query:?}"
        );
    }
    let theirs = Scope::of_account(Some("acct_1"));
    assert_eq!(ids(&client, "/v1/events", &[], theirs).await, "evt_theirs");
    let live = self::client(&server, "rk_live_1", &[]);
    assert_eq!(ids(&live, "/v1/events", &[], own).await, "evt_live");
    server.shelf().disconnect("acct_1");
    assert_eq!(ids(&client, "/v1/events", &[], theirs).await, "denied");
    assert_eq!(server.asked_for("/v1/events").len(), 18);
}

#[tokio::test]
async fn objects_are_found_by_id_and_listed() {
    let (server, client) = stocked().await;
    let subscription = |id: &str, status: &str| json!({ "id": id, "object": "subscription", "status": status, "created": START });
    {
        let mut shelf = server.shelf();
        shelf.put(None, subscription("sub_1", "active"));
        shelf.put(None, subscription("sub_2", "active"));
        shelf.put(None, subscription("sub_2", "canceled"));
        shelf.put_at(
            None,
            "/v1/invoices/in_1/lines/il_1",
            json!({ "id": "il_1" }),
        );
        shelf.put_at(
            Some("acct_1"),
            "/v2/core/events/evt_9",
            json!({ "id": "evt_9" }),
        );
    }
    let own = Scope::default();
    let list = "/v1/subscriptions";
    assert_eq!(ids(&client, list, &[], own).await, "sub_1");
    assert_eq!(
        ids(&client, list, &[("status", "all")], own).await,
        "sub_2 sub_1"
    );
    assert_eq!(
        ids(&client, "/v1/invoices/in_1/lines", &[], own).await,
        "il_1"
    );
    assert_eq!(ids(&client, "/v1/customers", &[], own).await, "");
    let one = client
        .get("/v1/subscriptions/sub_2", &[], &own)
        .await
        .unwrap();
    assert_eq!(one.body["status"], "canceled");
    assert_eq!(one.date.unwrap().seconds(), START);
    assert_eq!(one.version.as_deref(), Some(VERSION));
    server.shelf().remove("/v1/subscriptions/sub_2");
    let gone = client.get("/v1/subscriptions/sub_2", &[], &own).await;
    assert!(matches!(gone, Err(ApiError::Gone)), "{gone:?}");
    let thin = Scope {
        context: Some("acct_1"),
        ..own
    };
    let event = client
        .get("/v2/core/events/evt_9", &[], &thin)
        .await
        .unwrap();
    assert_eq!(event.body["id"], "evt_9");
    let me = client.get("/v1/account", &[], &own).await.unwrap();
    assert_eq!(me.body["id"], OWN_ACCOUNT);
    server
        .shelf()
        .forbid("/v1/subscriptions", "rak_subscription_read");
    let denied = client.get(list, &[], &own).await.unwrap_err();
    assert!(
        denied.to_string().contains("rak_subscription_read"),
        "{denied}"
    );
}

#[tokio::test]
async fn trouble_comes_in_the_order_it_was_asked_for() {
    let (server, _) = stocked().await;
    let hasty = client(
        &server,
        "sk_test_1",
        &[("BILLHOOK__STRIPE__API_DEADLINE", "30s")],
    );
    let no_more = Trouble::Fails {
        status: 503,
        again: false,
    };
    server.troubles([
        Some(Trouble::Limited(Some(3600))),
        None,
        Some(no_more),
        Some(Trouble::Garbage),
        Some(Trouble::Limited(None)),
        Some(Trouble::HangsUp),
    ]);
    let own = Scope::default();
    for expected in ["limited", "evt_3 …", "unavailable", "unreadable", "evt_3 …"] {
        assert_eq!(
            ids(&hasty, "/v1/events", &[("limit", "1")], own).await,
            expected
        );
    }
    assert_eq!(server.asked().len(), 7, "what may pass was asked for again");
    // Nothing comes, so it does not matter how long nobody waits for it.
    let short = [("BILLHOOK__STRIPE__API_DEADLINE", "200ms")];
    let impatient = client(&server, "sk_test_1", &short);
    server.troubles([Some(Trouble::IsSilent)]);
    assert_eq!(ids(&impatient, "/v1/events", &[], own).await, "unavailable");
    server.troubles([Some(Trouble::Trickles)]);
    assert_eq!(ids(&impatient, "/v1/events", &[], own).await, "unavailable");
    server.before(10, |shelf| shelf.events.clear());
    assert_eq!(ids(&hasty, "/v1/events", &[], own).await, "");
    let asked = server.asked();
    assert_eq!(asked[0].parameter("limit"), Some("1"));
    assert_eq!(asked[0].header("authorization"), Some("Bearer sk_test_1"));
}
