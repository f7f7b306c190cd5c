//! A model whose playbook waits for a person, and that person: over HTTP and on the command line.

use std::process::Command;

use serde_json::{Value, json};

use super::{customer, intent, on_both};
use crate::support::model_server::{Answer, ModelServer, completion};
use crate::support::place::Place;
use crate::support::process::{Process, fresh_event};

on_both!(a_person_decides_about_what_a_model_wrote);

const WORDS: &str = "this one is by the model";

/// A model that writes one mail.
fn writing(body: &Value, _before: usize) -> Answer {
    let messages = body["messages"].as_array().unwrap();
    let has_called = messages.iter().any(|message| message["role"] == "tool");
    Answer::Json(if has_called {
        completion(&json!({ "content": "Done." }), &json!("stop"))
    } else {
        let words =
            json!({ "subject": "About your payment", "body": format!("Good day, {WORDS}.") });
        let function = json!({ "name": "send_email", "arguments": words.to_string() });
        let call = json!({ "id": "call_1", "type": "function", "function": function });
        let message = json!({ "content": null, "tool_calls": [call] });
        completion(&message, &json!("tool_calls"))
    })
}

/// A failed payment whose mail waits; its approval.
async fn held(process: &Process, number: u32) -> Value {
    let (person, payment) = (format!("cus_{number}"), format!("pi_{number}"));
    let known = format!("evt_cus_{number}");
    let known = fresh_event(&known, "customer.created", &customer(&person));
    process.deliver(&known).await;
    let failed = intent(&payment, Some(&person), "requires_payment_method");
    let id = format!("evt_failed_{number}");
    let failed = fresh_event(&id, "payment_intent.payment_failed", &failed);
    process.deliver(&failed).await;
    process
        .wait_until("it waits for a person", async |process| {
            process.all("/approvals?status=held").await.len() == 1
        })
        .await;
    process.all("/approvals?status=held").await.remove(0)
}

/// What a command prints, and its exit code.
async fn said(mut command: Command) -> (Option<i32>, String) {
    // So wide that no cell of a table is wrapped.
    command.env("COLUMNS", "400");
    let ran = tokio::task::spawn_blocking(move || command.output().unwrap());
    let ran = ran.await.unwrap();
    let told = [ran.stdout, ran.stderr].concat();
    (ran.status.code(), String::from_utf8(told).unwrap())
}

async fn a_person_decides_about_what_a_model_wrote(mut place: Place) {
    let model = ModelServer::start(writing).await;
    place.set("OPENAI_BASE_URL", model.url());
    place.set("OPENAI_MODEL", "test-model");
    place.set(
        "BILLHOOK__PROMPTS__FOLDER",
        concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/prompts/approve"
        ),
    );
    let process = place.serve().await;

    // Over HTTP: only what was seen leaves.
    let approval = held(&process, 1).await;
    let id = approval["id"].as_str().unwrap();
    assert_eq!(process.metric("billhook_approvals_held").await, 1);
    let one = process.get(&format!("/approvals/{id}")).await.unwrap();
    let text = one["message"]["text"].as_str().unwrap();
    assert!(text.contains(WORDS), "{one}");
    let approve = format!("/approvals/{id}/approve");
    let (status, _) = process.change(&approve, &json!({ "hash": "0" })).await;
    assert_eq!(status, 409);
    assert!(place.mails().is_empty());
    let seen = json!({ "hash": one["hash"] });
    let (status, approved) = process.change(&approve, &seen).await;
    assert_eq!((status, &approved["status"]), (200, &json!("approved")));
    process
        .wait_until("the mail is written", async |_| place.mails().len() == 1)
        .await;
    let (status, problem) = process.change(&approve, &seen).await;
    assert_eq!(
        (status, &problem["approval_status"]),
        (409, &json!("approved"))
    );

    on_the_command_line(&place, &process).await;

    // A script that trusts what is held says so.
    let approval = held(&process, 3).await;
    let id = approval["id"].as_str().unwrap();
    let yes = ["--json", "approvals", "approve", id, "--yes"];
    let (code, told) = said(place.command(&yes)).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &told["decided_by"]), (Some(0), &json!("cli")));
    process
        .wait_until("the third mail is written", async |_| {
            place.mails().len() == 3
        })
        .await;
    let sent = process.all("/outbox?status=sent").await;
    assert_eq!(sent.len(), 3);
    let denied = process.all("/outbox?status=denied").await;
    assert_eq!(denied.len(), 1);
}

/// A second mail is looked at and denied, and every wrong way to decide about it is refused.
async fn on_the_command_line(place: &Place, process: &Process) {
    let approval = held(process, 2).await;
    let id = approval["id"].as_str().unwrap().to_owned();
    let hash = approval["hash"].as_str().unwrap().to_owned();
    let zero = "0".repeat(64);
    let none = "appr_none";
    // What it exits with hangs on the machine.
    let (_, told) = said(place.command(&["doctor"])).await;
    assert!(told.contains("billhook approvals list"), "{told}");
    let denies = ["approvals", "deny", &id, "--reason", "too terse"];
    for (arguments, code, says) in [
        (
            vec!["approvals", "list", "--status", "held"],
            Some(0),
            id.as_str(),
        ),
        (vec!["approvals", "show", &id], Some(0), WORDS),
        (vec!["approvals", "show", &id], Some(0), &hash),
        (vec!["approvals", "show", none], Some(1), "approvals list"),
        (
            vec!["events", "show", "evt_failed_2"],
            Some(0),
            "waits for a person until",
        ),
        (
            vec!["outbox", "list", "--status", "held"],
            Some(0),
            "approvals list",
        ),
        // Nobody sits at a terminal, and nothing says what was seen.
        (vec!["approvals", "approve", &id], Some(2), "--hash HASH"),
        (
            vec!["approvals", "approve", &id, "--hash", &zero],
            Some(1),
            "not the hash of what is held",
        ),
        (
            vec!["approvals", "approve", none, "--yes"],
            Some(1),
            "approvals list",
        ),
        (denies.to_vec(), Some(0), "in its place the rules have"),
        (
            vec!["approvals", "approve", &id, "--yes"],
            Some(1),
            "is denied, and is decided once",
        ),
        (
            vec!["approvals", "approve", &id, "--hash", &hash],
            Some(1),
            "is denied",
        ),
        (vec!["events", "show", "evt_failed_2"], Some(0), "too terse"),
    ] {
        let (ended, told) = said(place.command(&arguments)).await;
        assert!(told.contains(says), "{arguments:?}: {told}");
        assert_eq!(ended, code, "{arguments:?}: {told}");
    }
    process
        .wait_until("the rules' mail is written", async |_| {
            place.mails().len() == 2
        })
        .await;
}
