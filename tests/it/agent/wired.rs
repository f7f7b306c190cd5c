//! The model that is configured is the one that is asked.

use std::path::Path;
use std::sync::Arc;

use assert_cmd::Command;
use billhook::agent::openai::OpenAi;
use billhook::clock::SystemClock;
use billhook::config::Config;
use serde_json::{Value, json};

use super::scene::{lead, shown};
use crate::support::app::{TestApp, environment};
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

/// The first endpoint is down: its stand-in answers, and is named and priced.
#[tokio::test]
async fn a_run_names_and_prices_the_endpoint_that_answered() {
    let down =
        ModelServer::start(|_: &Value, _| Answer::Raw(503, Vec::new(), "down for now".to_owned()))
            .await;
    let stand_in = ModelServer::start(|_: &Value, _| {
        let mut answer = completion(&json!({ "content": "Done." }), &json!("stop"));
        answer["usage"] = json!({
            "prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100,
            "prompt_tokens_details": { "cached_tokens": 400 }, "completion_tokens_details": { "reasoning_tokens": 60 },
        });
        Answer::Json(answer)
    })
    .await;
    let settings = [
        ("OPENAI_BASE_URL", down.url()),
        ("OPENAI_MODEL", "large"),
        (
            "BILLHOOK__MODEL__ENDPOINTS__SPARE__BASE_URL",
            stand_in.url(),
        ),
        ("BILLHOOK__MODEL__ENDPOINTS__SPARE__NAME", "small-2025"),
        ("BILLHOOK__MODEL__FALLBACKS", "spare"),
        ("BILLHOOK__MODEL__PRICES__LARGE__INPUT", "100"),
        ("BILLHOOK__MODEL__PRICES__LARGE__OUTPUT", "100"),
        ("BILLHOOK__MODEL__PRICES__SMALL__INPUT", "0.40"),
        ("BILLHOOK__MODEL__PRICES__SMALL__CACHED_INPUT", "0.10"),
        ("BILLHOOK__MODEL__PRICES__SMALL__OUTPUT", "1.60"),
        // Met by each model's price, or nothing would start.
        ("BILLHOOK__MODEL__BUDGETS__COST_PER_DAY", "20"),
    ];
    let config = Config::from_layers(None, &environment(&settings)).unwrap();
    let model = OpenAi::new(&config.model, Arc::new(SystemClock))
        .unwrap()
        .unwrap();
    let app = TestApp::with(&settings, Arc::new(model)).await;
    app.deliver(&lead("payment_failed")).await;
    app.settle().await;
    let run = shown(&app).await.run.unwrap();
    assert_eq!(
        (run.status.as_str(), run.model.as_deref()),
        ("done", Some("small-2025"))
    );
    assert_eq!(run.usage["tokens"]["reasoning_tokens"], json!(60));
    // 600 at 0.40, 400 at 0.10 and 100 at 1.60.
    let cost = json!({ "micros": 440, "currency": "usd", "estimated": false });
    assert_eq!(run.cost.unwrap(), cost);
}
