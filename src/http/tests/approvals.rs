//! Approvals over HTTP: what is asked for, and each way in which a decision is refused.

use insta::assert_json_snapshot;
use serde_json::json;

use super::*;
use crate::store::ApprovalRecord;

fn approval(id: &str, status: &str) -> ApprovalRecord {
    ApprovalRecord {
        object: "approval",
        id: id.to_owned(),
        status: status.to_owned(),
        event: "evt_1".to_owned(),
        run: "run_1".to_owned(),
        occurrence: "occ_1".to_owned(),
        account: "self".to_owned(),
        livemode: true,
        customer: Some("cus_1".to_owned()),
        playbook: "payment_failed".to_owned(),
        tool: "send_email".to_owned(),
        effect_key: "key_1".to_owned(),
        hash: "0".repeat(64),
        what: "send \"A subject\" to ada@example.com".to_owned(),
        message: None,
        fallback: None,
        reason: None,
        waits_for: None,
        created_at: "2026-01-01T00:00:00Z".to_owned(),
        expires_at: "2026-01-02T00:00:00Z".to_owned(),
        decided_at: None,
        decided_by: None,
    }
}

fn with(statuses: &[&str]) -> Server {
    let server = Server::new();
    for status in statuses {
        let id = format!("appr_{status}");
        let approval = approval(&id, status);
        server.store.held().approvals.insert(id, approval);
    }
    server
}

async fn post(server: &Server, path: &str, body: impl Into<Body>) -> Answer {
    let mut request = admin("POST", &format!("/api/v1/approvals/{path}"));
    *request.body_mut() = body.into();
    server.ask(request).await
}

#[tokio::test]
async fn what_was_seen_is_approved_once() {
    let server = with(&["held"]);
    let other = json!({ "hash": "1" }).to_string();
    let answer = post(&server, "appr_held/approve", other).await;
    assert_json_snapshot!(answer.redacted(), @r#"
    {
      "type": "urn:billhook:problem:approval-mismatch",
      "title": "Not what is held",
      "status": 409,
      "detail": "`hash` is not that of what is held; look at GET /api/v1/approvals/appr_held again and approve what it shows",
      "request_id": "[id]",
      "hash": "0000000000000000000000000000000000000000000000000000000000000000"
    }
    "#);
    let seen = json!({ "hash": "0".repeat(64) }).to_string();
    let answer = post(&server, "appr_held/approve", seen.clone()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["object"], "approval");
    assert_eq!(answer.json()["status"], "approved");
    let again = post(&server, "appr_held/approve", seen).await;
    assert_json_snapshot!(again.redacted(), @r#"
    {
      "type": "urn:billhook:problem:approval-over",
      "title": "Nothing to decide",
      "status": 409,
      "detail": "the approval is approved, and is decided once; GET /api/v1/approvals/appr_held says what became of it",
      "request_id": "[id]",
      "approval_status": "approved"
    }
    "#);
    let denied = post(&server, "appr_held/deny", "").await;
    assert_eq!(denied.status, StatusCode::CONFLICT);
    let missing = post(&server, "appr_none/deny", "").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_denial_may_say_why() {
    for (body, reason) in [
        (String::new(), json!(null)),
        ("{}".to_owned(), json!(null)),
        (json!({ "reason": "  " }).to_string(), json!(null)),
        (
            json!({ "reason": "too cold" }).to_string(),
            json!("too cold"),
        ),
    ] {
        let server = with(&["held"]);
        let answer = post(&server, "appr_held/deny", body).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.json()["status"], "denied");
        assert_eq!(answer.json()["reason"], reason);
    }
}

#[tokio::test]
async fn a_body_that_says_something_else_changes_nothing() {
    let server = with(&["held"]);
    for (verb, parameter, body) in [
        ("approve", "hash", ""),
        ("approve", "hash", "{}"),
        ("approve", "hash", r#"{"hash":null}"#),
        ("approve", "hash", r#"{"hash":"0","yes":true}"#),
        ("deny", "reason", r#"{"reason":1}"#),
        ("deny", "reason", r#"{"why":"because"}"#),
        ("deny", "reason", "no"),
    ] {
        let answer = post(&server, &format!("appr_held/{verb}"), body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{verb} {body}");
        assert_eq!(answer.json()["parameter"], parameter, "{verb} {body}");
    }
    let shown = server.get("/api/v1/approvals/appr_held").await;
    assert_eq!(shown.json()["status"], "held");
    let listed = server.get("/api/v1/approvals?status=lost").await;
    assert_eq!(listed.json()["parameter"], "status");
    let listed = server.get("/api/v1/approvals?status=held&limit=3").await;
    assert_eq!(listed.status, StatusCode::OK);
}
