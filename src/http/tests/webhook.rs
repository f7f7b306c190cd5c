//! Each answer of the webhook, in the order in which they take precedence.

use insta::assert_json_snapshot;

use super::*;

fn unsigned(body: &str) -> Request<Body> {
    Request::post("/stripe/webhook")
        .body(Body::from(body.to_owned()))
        .unwrap()
}

#[tokio::test]
async fn an_event_is_accepted_and_its_repetition_a_duplicate() {
    let server = Server::new();
    let first = server.deliver(EVENT).await;
    assert_eq!(
        (first.status, first.text.as_str()),
        (StatusCode::OK, r#"{"status":"accepted"}"#)
    );
    let second = server.deliver(EVENT).await;
    assert_eq!(
        (second.status, second.text.as_str()),
        (StatusCode::OK, r#"{"status":"duplicate"}"#)
    );
    let held = server.store.held();
    let delivery = &held.deliveries[0];
    assert_eq!(delivery.body, EVENT.as_bytes());
    assert_eq!(
        (delivery.account.as_str(), delivery.endpoint.as_str()),
        ("self", "default")
    );
    assert_eq!(delivery.received_at, server.clock.now());
    assert_eq!(delivery.ignored, None);
}

#[tokio::test]
async fn a_named_endpoint_has_its_own_secret_and_account() {
    let server = Server::new();
    let wrong = server
        .ask(server.signed("/stripe/webhook/eu", SECRET, EVENT))
        .await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    let right = server
        .ask(server.signed("/stripe/webhook/eu", "whsec_eu", EVENT))
        .await;
    assert_eq!(right.status, StatusCode::OK);
    let held = server.store.held();
    assert_eq!(held.deliveries.len(), 1);
    assert_eq!(held.deliveries[0].account, "acct_eu");
    assert_eq!(held.deliveries[0].endpoint, "eu");
}

#[tokio::test]
async fn what_nobody_handles_is_stored_as_ignored() {
    let server = Server::new();
    let answer = server
        .deliver(r#"{"id":"evt_2","type":"topup.created"}"#)
        .await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (StatusCode::OK, r#"{"status":"accepted"}"#)
    );
    assert!(
        server.store.held().deliveries[0]
            .ignored
            .as_ref()
            .unwrap()
            .contains("topup.created")
    );
}

#[tokio::test]
async fn a_wrong_address_or_method_is_never_a_redirect() {
    let server = Server::new();
    for path in [
        "/stripe/webhook/",
        "/stripe/webhook/us",
        "/stripe/webhook/eu/",
        "/stripe/webhook/%FF",
    ] {
        let answer = server.ask(server.signed(path, SECRET, EVENT)).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    let answer = server
        .ask(Request::get("/stripe/webhook").body(Body::empty()).unwrap())
        .await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.header("allow"), Some("POST"));
    assert!(server.store.held().deliveries.is_empty());
}

#[tokio::test]
async fn a_body_that_is_too_large_comes_before_the_signature() {
    let server = Server::new();
    let large = " ".repeat(MAX_BODY + 1);
    let answer = server.ask(unsigned(&large)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let announced = Request::post("/stripe/webhook")
        .header("Content-Length", "99999999999")
        .body(Body::empty())
        .unwrap();
    assert_eq!(
        server.ask(announced).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 512]));
    let endless = Request::post("/stripe/webhook")
        .body(Body::from_stream(endless))
        .unwrap();
    assert_eq!(
        server.ask(endless).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );

    let padded = format!("{EVENT}{}", " ".repeat(MAX_BODY - EVENT.len()));
    assert_eq!(server.deliver(&padded).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_finds_no_room_in_memory_is_refused_at_once() {
    let mut others = None;
    let server = Server::with(|state| others = Some(state.room.share()));
    let mut others = others.unwrap();
    others.cover(4 * MAX_BODY - EVENT.len() + 1).unwrap();
    let answer = server.deliver(EVENT).await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "overloaded")
    );
    assert_eq!(answer.header("retry-after"), Some("5"));
    // What is only announced takes no room.
    let announced = Request::post("/stripe/webhook")
        .header("Content-Length", MAX_BODY)
        .body(Body::empty())
        .unwrap();
    assert_eq!(server.ask(announced).await.status, StatusCode::UNAUTHORIZED);
    assert!(server.store.held().deliveries.is_empty());
    others.cover(4 * MAX_BODY - EVENT.len()).unwrap();
    for _ in 0..3 {
        assert_eq!(server.deliver(EVENT).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn the_signature_comes_before_the_envelope() {
    let server = Server::new();
    let answer = server.ask(unsigned("no event")).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.headers.contains_key("www-authenticate"));
    assert_json_snapshot!(answer.redacted(), @r#"
    {
      "type": "urn:billhook:problem:invalid-signature",
      "title": "The signature is not valid",
      "status": 401,
      "detail": "no Stripe-Signature header: only Stripe posts here, or a proxy dropped it",
      "request_id": "[id]"
    }
    "#);

    let mut twice = server.signed("/stripe/webhook", SECRET, EVENT);
    let header = twice.headers()["stripe-signature"].clone();
    twice.headers_mut().append("stripe-signature", header);
    assert_eq!(server.ask(twice).await.status, StatusCode::UNAUTHORIZED);

    let old = server.signed("/stripe/webhook", SECRET, EVENT);
    server.clock.advance(Duration::from_secs(301));
    assert_eq!(server.ask(old).await.status, StatusCode::UNAUTHORIZED);
    assert!(server.store.held().deliveries.is_empty());
}

#[tokio::test]
async fn a_signed_body_that_is_no_event_is_a_bad_request_before_the_backlog() {
    let server = Server::new();
    server.store.held().backlog = 11;
    for body in [
        "",
        "no json",
        "[]",
        r#"{"id":"evt_1"}"#,
        r#"{"object":"customer","id":"cus_1"}"#,
    ] {
        let answer = server.deliver(body).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::BAD_REQUEST, "not-an-event"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_backlog_and_a_broken_database_say_when_to_try_again() {
    let server = Server::new();
    server.store.held().backlog = 11;
    let answer = server.deliver(EVENT).await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "backlog")
    );
    assert_eq!(answer.header("retry-after"), Some("30"));

    let server = Server::new();
    server.store.held().broken = true;
    let answer = server.deliver(EVENT).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_json_snapshot!(answer.redacted(), @r#"
    {
      "type": "urn:billhook:problem:unavailable",
      "title": "The delivery could not be stored",
      "status": 503,
      "detail": "the delivery was not stored; send it again",
      "request_id": "[id]"
    }
    "#);
}

#[tokio::test]
async fn a_commit_that_takes_too_long_is_unavailable() {
    let server = Server::with(|state| state.limits.request_timeout = Duration::from_millis(50));
    server.store.held().slow = Some(Duration::from_mins(1));
    let answer = server.deliver(EVENT).await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "timeout")
    );
    assert_eq!(answer.header("retry-after"), Some("5"));
}

#[tokio::test]
async fn only_failures_are_limited_and_only_their_own_address() {
    let server = Server::new();
    let (one, other) = ("203.0.113.7", "203.0.113.8");
    for _ in 0..2 {
        assert_eq!(
            server.ask(from(one, unsigned(EVENT))).await.status,
            StatusCode::UNAUTHORIZED
        );
    }
    let limited = server.ask(from(one, unsigned(EVENT))).await;
    assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(limited.header("retry-after"), Some("60"));
    assert_eq!(
        server.ask(from(other, unsigned(EVENT))).await.status,
        StatusCode::UNAUTHORIZED
    );
    // A valid signature is never limited, nor does it count.
    for _ in 0..5 {
        let valid = from(one, server.signed("/stripe/webhook", SECRET, EVENT));
        assert_eq!(server.ask(valid).await.status, StatusCode::OK);
    }
    for _ in 0..5 {
        assert_eq!(
            server.ask(from("127.0.0.1", unsigned(EVENT))).await.status,
            StatusCode::UNAUTHORIZED
        );
    }
    server.clock.advance(Duration::from_mins(1));
    assert_eq!(
        server.ask(from(one, unsigned(EVENT))).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn of_fifty_posts_at_once_one_is_accepted() {
    let server = Server::new();
    let answers = futures::future::join_all((0..50).map(|_| server.deliver(EVENT))).await;
    let accepted = answers
        .iter()
        .filter(|a| a.text == r#"{"status":"accepted"}"#)
        .count();
    let duplicates = answers
        .iter()
        .filter(|a| a.text == r#"{"status":"duplicate"}"#)
        .count();
    assert_eq!((accepted, duplicates), (1, 49));
}
