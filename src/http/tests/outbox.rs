//! The outbox: one message, and the word of a person on a message whose fate nobody knows.

use insta::assert_json_snapshot;
use serde_json::json;

use super::*;
use crate::store::MessageRecord;

fn message(id: &str, status: &str) -> MessageRecord {
    MessageRecord {
        object: "message",
        id: id.to_owned(),
        about: None,
        version: None,
        event: Some("evt_1".to_owned()),
        occurrence: Some("occ_1".to_owned()),
        playbook: Some("payment_failed".to_owned()),
        channel: "email".to_owned(),
        to: Some("ada@example.com".to_owned()),
        subject: "A subject".to_owned(),
        status: status.to_owned(),
        reason: None,
        message_id: "<1@acme.example>".to_owned(),
        attempts: 1,
        not_before: None,
        expires_at: None,
        waits_for: None,
        sent_at: None,
        text: None,
    }
}

fn with(statuses: &[&str]) -> Server {
    let server = Server::new();
    for status in statuses {
        let id = format!("msg_{status}");
        let message = message(&id, status);
        server.store.held().messages.insert(id, message);
    }
    server
}

async fn resolve(server: &Server, id: &str, body: impl Into<Body>) -> Answer {
    let mut request = admin("POST", &format!("/api/v1/outbox/{id}/resolve"));
    *request.body_mut() = body.into();
    server.ask(request).await
}

#[tokio::test]
async fn an_unknown_message_is_resolved_once() {
    for (word, status) in [("sent", "sent"), ("resend", "pending")] {
        let server = with(&["unknown"]);
        let body = json!({ "resolution": word }).to_string();
        let answer = resolve(&server, "msg_unknown", body.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{word}");
        assert_eq!(answer.json()["object"], "message");
        assert_eq!(answer.json()["status"], status);
        let again = resolve(&server, "msg_unknown", body).await;
        assert_eq!(again.status, StatusCode::CONFLICT);
        assert_eq!(again.json()["message_status"], status);
    }
}

#[tokio::test]
async fn what_is_not_unknown_is_left_alone() {
    let server = with(&["sending"]);
    let answer = resolve(&server, "msg_sending", r#"{"resolution":"sent"}"#).await;
    assert_json_snapshot!(answer.redacted(), @r#"
    {
      "type": "urn:billhook:problem:not-unknown",
      "title": "Nothing to resolve",
      "status": 409,
      "detail": "the message is sending, and only an unknown one can be resolved, or a failed or expired notice to sales or finance sent again; GET /api/v1/outbox/msg_sending shows it",
      "request_id": "[id]",
      "message_status": "sending"
    }
    "#);
    let missing = resolve(&server, "msg_none", r#"{"resolution":"sent"}"#).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_bad_word_is_refused_and_nothing_happens() {
    let server = with(&["unknown"]);
    for body in [
        r#"{"resolution":"lost"}"#,
        r#"{"resolution":"SENT"}"#,
        r#"{"resolution":null}"#,
        r#"{"resolution":"sent","by":"ada"}"#,
        "{}",
        r#""sent""#,
        "resolution=sent",
        "",
    ] {
        let answer = resolve(&server, "msg_unknown", body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answer.json()["parameter"], "resolution", "{body}");
    }
    let asked = admin("POST", "/api/v1/outbox/msg_unknown/resolve?force=true");
    assert_eq!(server.ask(asked).await.json()["parameter"], "force");
    let shown = server.get("/api/v1/outbox/msg_unknown").await;
    assert_eq!(shown.json()["status"], "unknown");
    let get = server.get("/api/v1/outbox/msg_unknown/resolve").await;
    assert_eq!(get.status, StatusCode::METHOD_NOT_ALLOWED);
}
