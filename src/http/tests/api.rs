//! The API: who may use it, how lists are asked for, and which object is meant.

use insta::assert_json_snapshot;
use serde_json::json;

use super::*;
use crate::store::{EventRecord, ObjectRow};

const CUSTOMERS: &str = "/api/v1/customers";

fn event(id: &str, status: &str) -> EventRecord {
    EventRecord {
        object: "event_record",
        id: id.to_owned(),
        r#type: "invoice.paid".to_owned(),
        account: "self".to_owned(),
        livemode: false,
        api_version: None,
        created: "2026-01-01T00:00:00Z".to_owned(),
        received_at: "2026-01-01T00:00:00Z".to_owned(),
        status: status.to_owned(),
        attempts: 0,
        last_error: None,
        stale: false,
        superseded_by: Vec::new(),
        occurrence: None,
        customer: None,
        waits_for: None,
        deliveries: Vec::new(),
        changes: Vec::new(),
        fetches: Vec::new(),
        run: None,
        tool_calls: Vec::new(),
        messages: Vec::new(),
        approvals: Vec::new(),
        payload: Value::Null,
    }
}

fn row(kind: &str, id: &str, account: &str, livemode: bool) -> ObjectRow {
    ObjectRow {
        account: account.to_owned(),
        livemode,
        kind: kind.to_owned(),
        id: id.to_owned(),
        data: json!({"email": format!("{account}@example.com")}),
        version: 1,
        tie: false,
        beside: Value::Null,
    }
}

fn with_header(name: &'static str, value: &str) -> Request<Body> {
    let mut request = admin("GET", CUSTOMERS);
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

#[tokio::test]
async fn nobody_reads_without_the_token() {
    let server = Server::new();
    for path in [
        "customers",
        "orders/1",
        "subscriptions",
        "invoices",
        "events",
        "events/1",
        "runs",
        "runs/1",
        "tool_calls",
        "outbox",
        "outbox/1",
    ] {
        let mut request = admin("GET", &format!("/api/v1/{path}"));
        request.headers_mut().remove("authorization");
        let answer = server.ask(request).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer realm=\"billhook\"")
        );
    }
    let long = format!("Bearer {TOKEN}x");
    let basic = format!("Basic {TOKEN}");
    for wrong in ["Bearer wrong", "Bearer ", "Bearer", TOKEN, &long, &basic] {
        let answer = server.ask(with_header("authorization", wrong)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{wrong}");
    }
    let retry = Request::post("/api/v1/events/evt_1/retry")
        .header("Host", "localhost")
        .body(Body::empty())
        .unwrap();
    assert_eq!(server.ask(retry).await.status, StatusCode::UNAUTHORIZED);
    let resolve = Request::post("/api/v1/outbox/msg_1/resolve")
        .header("Host", "localhost")
        .body(Body::from(r#"{"resolution":"sent"}"#))
        .unwrap();
    assert_eq!(server.ask(resolve).await.status, StatusCode::UNAUTHORIZED);
    assert!(server.store.held().asked.is_empty());
    let lower = format!("bearer {TOKEN}");
    assert_eq!(
        server
            .ask(with_header("authorization", &lower))
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn an_empty_token_lets_nobody_in() {
    let server = Server::with(|state| state.admin_token = SecretString::from(""));
    for given in ["Bearer ", "Bearer  "] {
        assert_eq!(
            server.ask(with_header("authorization", given)).await.status,
            StatusCode::UNAUTHORIZED
        );
    }
}

#[tokio::test]
async fn on_loopback_only_local_names_are_answered() {
    let server = Server::new();
    for local in [
        "localhost",
        "LOCALHOST:8080",
        "127.0.0.1:8080",
        "[::1]:8080",
        "[::1]",
    ] {
        assert_eq!(
            server.ask(with_header("host", local)).await.status,
            StatusCode::OK,
            "{local}"
        );
    }
    for foreign in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:8080",
        "203.0.113.7",
        "",
    ] {
        let answer = server.ask(with_header("host", foreign)).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::FORBIDDEN, "foreign-host"),
            "{foreign}"
        );
    }
    let mut two = with_header("host", "localhost");
    two.headers_mut()
        .append("host", "evil.example".parse().unwrap());
    assert_eq!(server.ask(two).await.status, StatusCode::FORBIDDEN);

    let open = Server::with(|state| state.listens_on_loopback = false);
    assert_eq!(
        open.ask(with_header("host", "billing.example"))
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_foreign_origin_is_refused_everywhere() {
    let server = Server::with(|state| state.listens_on_loopback = false);
    for own in ["http://localhost:8080", "https://localhost:8080"] {
        assert_eq!(
            server.ask(with_header("origin", own)).await.status,
            StatusCode::OK,
            "{own}"
        );
    }
    for foreign in [
        "https://evil.example",
        "null",
        "",
        "http://localhost:9090",
        "http://localhost",
        "localhost:8080",
    ] {
        let answer = server.ask(with_header("origin", foreign)).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::FORBIDDEN, "foreign-origin"),
            "{foreign}"
        );
    }
}

#[tokio::test]
async fn lists_are_asked_for_page_by_page() {
    let server = Server::new();
    let answer = server.get(CUSTOMERS).await;
    assert_eq!(
        answer.text,
        r#"{"object":"list","data":[],"has_more":false}"#
    );
    server
        .get("/api/v1/runs?limit=100&starting_after=run_7")
        .await;
    server.get("/api/v1/outbox?status=unknown&limit=1").await;
    server.get("/api/v1/orders").await;
    assert_eq!(
        server.store.held().asked,
        [
            "objects customer limit=10 after=-",
            "runs limit=100 after=run_7",
            "messages MessageFilter { status: Some(\"unknown\"), channel: None } limit=1 after=-",
            "objects order limit=10 after=-",
        ]
    );
    server.store.held().objects = vec![
        row("customer", "cus_1", "a", true),
        row("customer", "cus_2", "a", true),
    ];
    let page = server.get("/api/v1/customers?limit=1").await.json();
    assert_eq!(
        (page["data"][0]["id"].as_str(), &page["has_more"]),
        (Some("cus_1"), &json!(true))
    );
}

#[tokio::test]
async fn events_are_filtered() {
    let server = Server::new();
    let both = ["1767225600", "2026-01-01T00:00:00Z"];
    for created in both {
        let path = format!(
            "/api/v1/events?type=invoice.paid&status=dead&customer=cus_1&created%5Bgte%5D={created}"
        );
        assert_eq!(server.get(&path).await.status, StatusCode::OK);
    }
    let asked = server.store.held().asked.clone();
    assert_eq!(asked[0], asked[1]);
    for part in [
        "Some(\"invoice.paid\")",
        "Some(\"dead\")",
        "Some(\"cus_1\")",
        "Some(2026-01-01T00:00:00Z)",
    ] {
        assert!(asked[0].contains(part), "{part} in {}", asked[0]);
    }
}

#[tokio::test]
async fn a_bad_parameter_is_named() {
    let server = Server::new();
    for (path, name) in [
        ("customers?limit=0", "limit"),
        ("customers?limit=101", "limit"),
        ("customers?limit=ten", "limit"),
        ("customers?limit=-1", "limit"),
        ("customers?limit=", "limit"),
        ("runs?limit=1&limit=2", "limit"),
        ("runs?starting_after=", "starting_after"),
        ("runs?starting_after=a%00b", "starting_after"),
        ("runs?status=done", "status"),
        ("tool_calls?run=run_1", "run"),
        ("events?status=paid", "status"),
        ("events?created[gte]=yesterday", "created[gte]"),
        ("events?created[lt]=1", "created[lt]"),
        ("events?staus=dead", "staus"),
        ("events/evt_1?expand=run", "expand"),
        ("outbox?status=lost", "status"),
        ("customers/cus_1?livemode=yes", "livemode"),
    ] {
        let answer = server.get(&format!("/api/v1/{path}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(answer.json()["parameter"], name, "{path}");
    }
    assert!(server.store.held().asked.is_empty());
    let answer = server.get("/api/v1/customers?limit=101").await;
    assert_json_snapshot!(answer.redacted(), @r#"
    {
      "type": "urn:billhook:problem:invalid-parameter",
      "title": "Invalid parameter",
      "status": 400,
      "detail": "`limit` must be a whole number from 1 to 100",
      "request_id": "[id]",
      "parameter": "limit"
    }
    "#);
}

#[tokio::test]
async fn an_ambiguous_id_names_its_candidates() {
    let server = Server::new();
    server.store.held().objects = vec![
        row("customer", "cus_1", "acct_a", true),
        row("customer", "cus_1", "acct_b", true),
        row("customer", "cus_1", "acct_b", false),
    ];
    let answer = server.get("/api/v1/customers/cus_1?livemode=true").await;
    assert_json_snapshot!(answer.redacted(), @r#"
    {
      "type": "urn:billhook:problem:ambiguous-id",
      "title": "The id is ambiguous",
      "status": 409,
      "detail": "several accounts or modes have this id; say which with `account` and `livemode`",
      "request_id": "[id]",
      "candidates": [
        {
          "id": "cus_1",
          "account": "acct_a",
          "livemode": true
        },
        {
          "id": "cus_1",
          "account": "acct_b",
          "livemode": true
        }
      ]
    }
    "#);
    let answer = server
        .get("/api/v1/customers/cus_1?account=acct_b&livemode=false")
        .await;
    assert_eq!(answer.json()["email"], "acct_b@example.com");
    assert_eq!(
        answer.json()["access"],
        json!({"granted": false, "reason": "no subscription", "subscriptions": []})
    );
    for missing in [
        "customers/cus_1?account=acct_c",
        "customers/cus_2",
        "orders/cus_1",
        "customers/a%00b",
        "customers/%FF",
    ] {
        let answer = server.get(&format!("/api/v1/{missing}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{missing}");
    }
}

#[tokio::test]
async fn only_what_is_dead_or_retrying_is_tried_again() {
    let server = Server::new();
    for (id, status) in [
        ("evt_done", "done"),
        ("evt_dead", "dead"),
        ("evt_retrying", "retrying"),
    ] {
        server
            .store
            .held()
            .events
            .insert(id.to_owned(), event(id, status));
    }
    for (id, status) in [
        ("evt_dead", StatusCode::OK),
        ("evt_retrying", StatusCode::OK),
        ("evt_done", StatusCode::CONFLICT),
        ("evt_none", StatusCode::NOT_FOUND),
    ] {
        let answer = server
            .ask(admin("POST", &format!("/api/v1/events/{id}/retry")))
            .await;
        assert_eq!(answer.status, status, "{id}");
        if status == StatusCode::OK {
            assert_eq!(answer.json()["status"], "pending");
        }
    }
    let get = server.get("/api/v1/events/evt_dead/retry").await;
    assert_eq!(get.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(
        server.get("/api/v1/events/evt_done").await.json()["object"],
        "event_record"
    );
}

#[tokio::test]
async fn a_broken_database_is_unavailable_and_says_no_more() {
    let server = Server::new();
    server.store.held().broken = true;
    for path in [
        "events",
        "events/1",
        "runs",
        "runs/1",
        "tool_calls",
        "outbox",
        "outbox/1",
        "invoices",
        "invoices/1",
    ] {
        let answer = server.get(&format!("/api/v1/{path}")).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            "{path}"
        );
        assert!(!answer.text.contains("kept changing"), "{answer:?}");
    }
}
