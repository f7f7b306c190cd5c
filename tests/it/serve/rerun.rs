//! What would be done today, beside what was done: `billhook rerun` over what a service left behind.

use std::path::Path;

use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _, SqliteConnection};

use super::{customer, intent, on_both};
use crate::support::model_server::{Answer, ModelServer, completion};
use crate::support::place::Place;
use crate::support::process::{PATIENCE, fresh_event};

on_both!(
    a_run_is_decided_anew_and_nothing_is_written,
    what_cannot_be_rerun_says_what_to_do,
);

/// Runs `rerun` to its end: exit code, what it answered, and what it complained of.
async fn rerun(place: &Place, arguments: &[&str]) -> (i32, String, String) {
    let arguments: Vec<&str> = [&["rerun"], arguments].concat();
    let mut command = place.command(&arguments);
    let ran = tokio::task::spawn_blocking(move || command.output().unwrap());
    let ran = ran.await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        ran.status.code().unwrap(),
        text(ran.stdout),
        text(ran.stderr),
    )
}

async fn rerun_json(place: &Place, arguments: &[&str]) -> Value {
    let arguments: Vec<&str> = [arguments, &["--json"]].concat();
    let (code, told, error) = rerun(place, &arguments).await;
    assert_eq!(code, 0, "{error}");
    serde_json::from_str(&told).unwrap()
}

/// Has the database refuse whatever writes to it, or take it again.
async fn lock(place: &Place, locked: bool) {
    let url = place.url();
    if url.starts_with("postgres") {
        let mut database = PgConnection::connect(&url).await.unwrap();
        let setting = if locked { "on" } else { "off" };
        let statement = format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = {setting}', current_database()); END $$"
        );
        // The session itself may be one that cannot write.
        database
            .execute("SET default_transaction_read_only = off")
            .await
            .unwrap();
        database
            .execute(sqlx::AssertSqlSafe(statement))
            .await
            .unwrap();
        return;
    }
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    let tables = database
        .fetch_all(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
        )
        .await
        .unwrap();
    assert!(tables.len() > 10);
    for table in tables {
        let table: String = table.get(0);
        for verb in ["INSERT", "UPDATE", "DELETE"] {
            let name = format!("test_{verb}_{table}");
            let statement = if locked {
                format!(
                    "CREATE TRIGGER {name} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, 'locked by a test'); END"
                )
            } else {
                format!("DROP TRIGGER {name}")
            };
            database
                .execute(sqlx::AssertSqlSafe(statement))
                .await
                .unwrap();
        }
    }
}

/// What a service leaves behind after these events, once the last one is done; nobody may write to it until the next.
async fn leave(place: &Place, events: &[Value]) {
    let mut process = place.serve().await;
    for event in events {
        process.deliver(event).await;
    }
    let last = events.last().unwrap()["id"].as_str().unwrap();
    process.event_when(last, "done").await;
    process.signal("TERM");
    assert!(process.ends_within(PATIENCE).await.success());
    lock(place, true).await;
}

fn failed(number: u32) -> [Value; 2] {
    let person = format!("cus_{number}");
    let payment = intent(
        &format!("pi_{number}"),
        Some(&person),
        "requires_payment_method",
    );
    [
        fresh_event(
            &format!("evt_cus_{number}"),
            "customer.created",
            &customer(&person),
        ),
        fresh_event(
            &format!("evt_{number}"),
            "payment_intent.payment_failed",
            &payment,
        ),
    ]
}

/// A folder in which the mail about a failed payment says that it takes a moment.
fn other_words(place: &Place) -> String {
    let file = "emails/payment_failed.md";
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("prompts")
        .join(file);
    let text = std::fs::read_to_string(built_in).unwrap();
    let words = text.replace("usually quick to fix", "usually fixed in a moment");
    assert_ne!(words, text);
    let folder = place.home().join("other");
    std::fs::create_dir_all(folder.join("emails")).unwrap();
    std::fs::write(folder.join(file), words).unwrap();
    folder.to_str().unwrap().to_owned()
}

/// A model that promises a refund, is refused, and then writes a mail that may leave.
fn hasty(body: &Value, _before: usize) -> Answer {
    let messages = body["messages"].as_array().unwrap();
    let tried = messages.iter().filter(|m| m["role"] == "tool").count();
    let words = match tried {
        0 => "We will refund you twice.",
        1 => "Your payment did not go through. By the model.",
        _ => return Answer::Json(completion(&json!({"content": "Done."}), &json!("stop"))),
    };
    let arguments = json!({"subject": "About your payment", "body": words}).to_string();
    let function = json!({"name": "send_email", "arguments": arguments});
    let call = json!({"id": "call_1", "type": "function", "function": function});
    Answer::Json(completion(
        &json!({"content": null, "tool_calls": [call]}),
        &json!("tool_calls"),
    ))
}

async fn a_run_is_decided_anew_and_nothing_is_written(mut place: Place) {
    leave(&place, &failed(1)).await;
    // The same prompts, the same rules: the same.
    let same = rerun_json(&place, &["evt_1"]).await;
    assert_eq!(same["differences"], json!([]), "{same:#}");
    assert_eq!(same["would_be_skipped"], Value::Null);
    assert_eq!(same["then"]["prompt_hash"], same["now"]["prompt_hash"]);
    assert_eq!(same["then"]["tools_hash"], same["now"]["tools_hash"]);
    let mail = &same["now"]["messages"][0];
    assert_eq!(mail["to"], "cus_1@example.com");
    assert!(mail["text"].as_str().unwrap().contains("49.00"), "{mail}");
    assert_eq!(same["now"]["messages"].as_array().unwrap().len(), 1);
    let by_run = rerun_json(&place, &[same["run"].as_str().unwrap()]).await;
    assert_eq!(by_run["now"], same["now"]);

    // Other prompts: other words, marked where they differ.
    let folder = other_words(&place);
    let other = rerun_json(&place, &["evt_1", "--prompts", &folder]).await;
    assert_eq!(other["differences"], json!(["calls", "messages"]));
    assert_ne!(other["then"]["prompt_hash"], other["now"]["prompt_hash"]);
    let (code, told, _) = rerun(&place, &["evt_1", "--prompts", &folder]).await;
    assert_eq!(code, 0);
    for part in [
        "usually [-quick to fix:-]{+fixed in a moment:+} the bank",
        "nothing was written",
        "allowed, by the rules",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert!(!told.contains('\u{1b}'), "colours in a pipe: {told}");

    // A model, the one that is configured or another: what it was refused stands there, and by which rule.
    let server = ModelServer::start(hasty).await;
    place.set("OPENAI_BASE_URL", server.url());
    place.set("OPENAI_MODEL", "usual-model");
    for (model, name) in [(None, "usual-model"), (Some("other-model"), "other-model")] {
        let model = model.map(|model| ["--model", model]);
        let arguments: Vec<&str> = std::iter::once("evt_1")
            .chain(model.into_iter().flatten())
            .collect();
        let asked = server.asked().len();
        let told = rerun_json(&place, &arguments).await;
        assert!(
            server.asked()[asked..]
                .iter()
                .all(|body| body["model"] == name)
        );
        let calls = told["now"]["calls"].as_array().unwrap();
        assert_eq!(calls.len(), 2, "{calls:#?}");
        assert_eq!(
            (&calls[0]["by"], &calls[0]["verdict"]),
            (&json!("model"), &json!("refused"))
        );
        assert!(calls[0]["rule"].is_string(), "{calls:#?}");
        assert_eq!(told["now"]["turns"], 3);
        assert_eq!(told["now"]["tokens"]["input_tokens"], 2700);
        let text = told["now"]["messages"][0]["text"].as_str().unwrap();
        assert!(text.contains("By the model."), "{text}");
    }
    let rules = rerun_json(&place, &["evt_1", "--model", "rules"]).await;
    assert_eq!(rules["now"], same["now"]);

    // The money came in since: nobody would be asked, and what the prompts would say is shown all the same.
    lock(&place, false).await;
    let succeeded = intent("pi_1", Some("cus_1"), "succeeded");
    leave(
        &place,
        &[fresh_event(
            "evt_paid",
            "payment_intent.succeeded",
            &succeeded,
        )],
    )
    .await;
    let late = rerun_json(&place, &["evt_1", "--model", "rules"]).await;
    let why = late["would_be_skipped"].as_str().unwrap();
    assert!(why.contains("succeeded"), "{why}");
    assert_eq!(late["now"]["messages"].as_array().unwrap().len(), 1);
    let (_, told, _) = rerun(&place, &["evt_1", "--model", "rules"]).await;
    assert!(told.contains("today `serve` would skip it"), "{told}");
    assert_eq!(place.mails().len(), 1);
}

async fn what_cannot_be_rerun_says_what_to_do(mut place: Place) {
    leave(&place, &failed(1)).await;
    let nothing = rerun_json(&place, &["evt_cus_1"]).await;
    assert_eq!(nothing["run"], Value::Null);
    let why = nothing["reason"].as_str().unwrap();
    assert!(why.contains("no follow-up"), "{why}");

    let broken = place.home().join("broken");
    std::fs::create_dir(&broken).unwrap();
    std::fs::write(broken.join("system.md"), "{{ nobody_knows }}").unwrap();
    let broken = broken.to_str().unwrap().to_owned();
    for (arguments, code, says) in [
        (vec!["evt_nobody"], 1, "`billhook events list` names"),
        (vec!["evt_1", "--prompts", &broken], 2, "nobody_knows"),
        (vec!["evt_1", "--prompts", "nowhere"], 2, "nowhere"),
        (
            vec!["evt_1", "--model", "gpt"],
            2,
            "set OPENAI_API_KEY or OPENAI_BASE_URL",
        ),
        (vec![], 2, "Usage"),
    ] {
        let (got, _, error) = rerun(&place, &arguments).await;
        assert_eq!(got, code, "{arguments:?}: {error}");
        assert!(error.contains(says), "{arguments:?}: {error}");
    }
    // Nobody listens on port 1 of this machine.
    place.set("OPENAI_BASE_URL", "http://127.0.0.1:1/v1");
    let (code, _, error) = rerun(&place, &["evt_1"]).await;
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("--model rules"), "{error}");
    // Nothing is made where nothing is.
    place.set("DATABASE_URL", "sqlite://missing.db");
    let (code, _, error) = rerun(&place, &["evt_1"]).await;
    assert_eq!(code, 3, "{error}");
    assert!(!place.home().join("missing.db").exists());
}
