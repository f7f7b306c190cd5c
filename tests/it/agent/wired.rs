//! The model that is configured is the one that is asked.

use std::path::Path;

use assert_cmd::Command;
use serde_json::{Value, json};

use crate::support::model_server::{Answer, ModelServer, completion};

/// A model that writes to whom it may, and then has nothing more to say.
fn writing(body: &Value, _before: usize) -> Answer {
    let messages = body["messages"].as_array().unwrap();
    let has_called = messages.iter().any(|message| message["role"] == "tool");
    let tools = body["tools"].as_array().unwrap();
    let may_write = tools
        .iter()
        .any(|tool| tool["function"]["name"] == "send_email");
    let words =
        json!({"subject": "About your payment", "body": "Good day, this one is by the model."});
    Answer::Json(if may_write && !has_called {
        let function = json!({"name": "send_email", "arguments": words.to_string()});
        let call = json!({"id": "call_1", "type": "function", "function": function});
        completion(
            &json!({"content": null, "tool_calls": [call]}),
            &json!("tool_calls"),
        )
    } else {
        completion(&json!({"content": "Done."}), &json!("stop"))
    })
}

#[tokio::test]
async fn the_demo_is_decided_by_the_model_that_is_configured() {
    let server = ModelServer::start(writing).await;
    let home = tempfile::tempdir().unwrap();
    let mut demo = Command::cargo_bin("billhook").unwrap();
    demo.current_dir(home.path())
        .args(["demo", "--json"])
        .env_clear()
        .env("TMPDIR", home.path())
        .env("OPENAI_BASE_URL", server.url())
        .env("OPENAI_MODEL", "test-model");
    let ran = tokio::task::spawn_blocking(move || demo.output().unwrap());
    let ran = ran.await.unwrap();
    let told: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert!(ran.status.success(), "{:#}", told["differences"]);
    let mails = Path::new(told["folder"].as_str().unwrap()).join("mail");
    for mail in std::fs::read_dir(mails).unwrap() {
        let mail = std::fs::read_to_string(mail.unwrap().path()).unwrap();
        assert!(mail.contains("this one is by the model"), "{mail}");
    }
    let asked = server.asked();
    assert!(asked.len() >= 2 && asked.iter().all(|body| body["model"] == "test-model"));
}
