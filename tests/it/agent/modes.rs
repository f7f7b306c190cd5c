//! The modes of a playbook: what a model does under each of them, from the event to what leaves.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use billhook::agent::model::{Model, ModelError, Reply};
use billhook::agent::scripted::Scripted;
use billhook::store::{ApprovalRecord, EventRecord};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::scene::{CARD_PAGE, call, introduce, kind_mail, lead, mail, reply, shown};
use crate::support::app::TestApp;

const TOKEN: &str = "token_of_the_modes";

/// A service whose playbook has this mode, and the folder of its prompts.
struct Scene {
    app: TestApp,
    _folder: TempDir,
}

impl Scene {
    async fn of(playbook: &str, mode: &str, model: Arc<dyn Model>, more: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let from = format!(
            "{}/prompts/playbooks/{playbook}.md",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = fs::read_to_string(from).unwrap();
        assert!(text.contains("\nmode: live\n"));
        let text = text.replace("\nmode: live\n", &format!("\nmode: {mode}\n"));
        fs::create_dir(folder.path().join("playbooks")).unwrap();
        fs::write(folder.path().join(format!("playbooks/{playbook}.md")), text).unwrap();
        let prompts = folder.path().display().to_string();
        let settings = [
            ("BILLHOOK__LINKS__UPDATE_PAYMENT", CARD_PAGE),
            ("BILLHOOK__PROMPTS__FOLDER", prompts.as_str()),
            ("BILLHOOK_ADMIN_TOKEN", TOKEN),
        ];
        let app = TestApp::with(&[&settings, more].concat(), model).await;
        introduce(&app).await;
        app.deliver(&lead(playbook)).await;
        Self {
            app,
            _folder: folder,
        }
    }

    async fn played(playbook: &str, mode: &str, model: Arc<dyn Model>) -> Self {
        let scene = Self::of(playbook, mode, model, &[]).await;
        scene.app.settle().await;
        scene
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/{path}"))
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .body(body)
            .unwrap();
        self.app.ask(request).await
    }

    /// The texts of the messages of a channel, and where they are.
    async fn messages(&self, channel: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for message in self.app.messages().await {
            if message.channel == channel {
                let text = self.app.store_text(&message.id).await;
                found.push((text, message.status));
            }
        }
        found
    }
}

/// Tool, by whom, in shadow, verdict, effect.
fn calls(event: &EventRecord) -> Vec<(&str, &str, bool, &str, Option<&str>)> {
    let calls = event.tool_calls.iter();
    calls
        .map(|call| {
            (
                call.tool.as_str(),
                call.by.as_str(),
                call.shadow,
                call.verdict.as_str(),
                call.effect.as_deref(),
            )
        })
        .collect()
}

/// A mail with the model's own words, and nothing else.
fn writes() -> Arc<Scripted> {
    Arc::new(Scripted::new([reply([kind_mail()]), Reply::default()]))
}

const ITS_WORDS: &str = "Thank you for your many payments";
const TO_FINANCE: &str = "A dispute came in; the delivery note should be found first.";

fn tells_finance() -> Arc<Scripted> {
    let notice = json!({ "priority": "high", "summary": TO_FINANCE });
    Arc::new(Scripted::new([
        reply([call("notify_finance", &notice)]),
        Reply::default(),
    ]))
}

#[tokio::test]
async fn a_shadow_is_logged_and_the_rules_act() {
    let model = writes();
    let scene = Scene::played("payment_failed", "shadow", model.clone()).await;
    assert_eq!(model.asked().len(), 2, "it was asked");
    let mails = scene.app.mails();
    assert_eq!(mails.len(), 1);
    assert!(!mails[0].contains(ITS_WORDS), "{}", mails[0]);
    let event = shown(&scene.app).await;
    assert_eq!(
        calls(&event),
        [
            ("get_payment_history", "rules", false, "allowed", None),
            ("send_email", "rules", false, "allowed", Some("done")),
            ("notify_sales", "rules", false, "allowed", Some("intended")),
            // All in one moment of this test's clock; what was only watched stands last then.
            ("send_email", "model", true, "allowed", None),
        ]
    );
    let key = |at: usize| event.tool_calls[at].effect_key.clone().unwrap();
    assert_eq!(key(3), format!("shadow:{}", key(1)));
    let run = event.run.unwrap();
    assert_eq!(
        (run.status.as_str(), run.model.as_deref()),
        ("done", Some("rules"))
    );
    assert_eq!(run.usage["shadow"]["model"], "scripted");
    // It would not have told sales; by itself, for it is not told what is owed.
    assert_eq!(run.usage["shadow"]["outcome"], "differs");
    assert!(event.approvals.is_empty());

    let (status, listed) = scene
        .ask(Method::GET, "tool_calls?limit=100", &Value::Null)
        .await;
    assert_eq!(status, StatusCode::OK);
    let shadows = listed["data"].as_array().unwrap().iter();
    let shadows: Vec<_> = shadows.filter(|call| call["shadow"] == true).collect();
    assert_eq!(shadows.len(), 1);
    assert_eq!(shadows[0]["effect"], Value::Null);
}

#[tokio::test]
async fn a_shadow_that_does_the_same_is_said_to() {
    let scene = Scene::played("dispute_opened", "shadow", tells_finance()).await;
    let run = shown(&scene.app).await.run.unwrap();
    assert_eq!(run.usage["shadow"]["outcome"], "same");
    let notices = scene.messages("finance").await;
    assert_eq!(notices.len(), 1);
    assert!(!notices[0].0.contains(TO_FINANCE), "{}", notices[0].0);
}

#[tokio::test]
async fn a_shadow_that_is_away_or_refuses_or_panics_delays_nothing() {
    let away = || ModelError::Unavailable {
        reason: "the endpoint answers 503".to_owned(),
        retry_after: Some(Duration::from_hours(1)),
    };
    let rejects = || ModelError::Rejected {
        reason: "content filter".to_owned(),
    };
    let models: [(Scripted, &str); 4] = [
        (Scripted::answering(move |_, _| Err(away())), "no_answer"),
        // It read, and then it was gone.
        (
            Scripted::answering(move |_, before| match before {
                0 => Ok(reply([call("get_payment_history", &json!({ "limit": 1 }))])),
                _ => Err(away()),
            }),
            "no_answer",
        ),
        (Scripted::answering(move |_, _| Err(rejects())), "differs"),
        (
            Scripted::answering(|_, _| panic!("a model that panics")),
            "no_answer",
        ),
    ];
    for (model, outcome) in models {
        let scene = Scene::played("payment_failed", "shadow", Arc::new(model)).await;
        let run = shown(&scene.app).await.run.unwrap();
        assert_eq!((run.status.as_str(), run.attempts), ("done", 0));
        assert_eq!(run.usage["shadow"]["outcome"], outcome, "{}", run.usage);
        assert_eq!(scene.app.mails().len(), 1);
    }
}

#[tokio::test]
async fn a_shadow_takes_no_longer_than_one_run() {
    struct Never;

    #[async_trait::async_trait]
    impl Model for Never {
        fn name(&self) -> &'static str {
            "never"
        }

        async fn reply(&self, _: &billhook::agent::model::Request) -> Result<Reply, ModelError> {
            std::future::pending().await
        }
    }

    let more = [
        ("BILLHOOK__MODEL__RUN_TIMEOUT", "6s"),
        ("BILLHOOK__MODEL__ATTEMPT_TIMEOUT", "6s"),
        ("BILLHOOK__MODEL__FIRST_BYTE_TIMEOUT", "6s"),
    ];
    let scene = Scene::of("payment_failed", "shadow", Arc::new(Never), &more).await;
    scene.app.settle().await;
    let run = shown(&scene.app).await.run.unwrap();
    assert_eq!(run.status, "done", "{:?}", run.reason);
    assert_eq!(run.usage["shadow"]["outcome"], "no_answer");
    assert_eq!(scene.app.mails().len(), 1);
}

async fn held(scene: &Scene) -> ApprovalRecord {
    let event = shown(&scene.app).await;
    assert_eq!(event.status, "done", "the run is over");
    let mut held = event.approvals;
    assert_eq!(held.len(), 1, "{held:?}");
    held.remove(0)
}

#[tokio::test]
async fn what_a_model_proposes_waits_and_what_the_rules_add_does_not() {
    let scene = Scene::played("payment_failed", "approve", writes()).await;
    let approval = held(&scene).await;
    assert!(scene.app.mails().is_empty());
    let event = shown(&scene.app).await;
    assert_eq!(
        calls(&event),
        [
            ("send_email", "model", false, "held", Some("held")),
            // The payment is large, and the model did not say so.
            ("notify_sales", "rules", false, "allowed", Some("intended")),
        ]
    );
    let mails = scene.messages("email").await;
    assert_eq!(mails.len(), 1);
    assert!(mails[0].0.contains(ITS_WORDS) && mails[0].1 == "held");
    assert_eq!(scene.messages("sales").await[0].1, "pending");

    let path = format!("approvals/{}", approval.id);
    let (status, one) = scene.ask(Method::GET, &path, &Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    let text = one["message"]["text"].as_str().unwrap();
    assert!(text.contains(ITS_WORDS), "{one}");
    let seen = json!({ "hash": one["hash"] });
    let approve = format!("{path}/approve");
    let wrong = json!({ "hash": "0".repeat(64) });
    let (status, problem) = scene.ask(Method::POST, &approve, &wrong).await;
    assert_eq!(
        (status, &problem["hash"]),
        (StatusCode::CONFLICT, &one["hash"])
    );
    let (status, approved) = scene.ask(Method::POST, &approve, &seen).await;
    assert_eq!(
        (status, &approved["status"]),
        (StatusCode::OK, &json!("approved"))
    );
    assert_eq!(approved["decided_by"], "api");
    scene.app.drain().await;
    let sent = scene.app.mails();
    assert_eq!(sent.len(), 1);
    assert!(sent[0].contains(ITS_WORDS), "{}", sent[0]);
    let (status, problem) = scene.ask(Method::POST, &approve, &seen).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(problem["approval_status"], "approved");
    scene.app.clock.advance(Duration::from_hours(48));
    scene.app.drain().await;
    assert_eq!(scene.app.mails().len(), 1);
}

#[tokio::test]
async fn what_is_denied_or_forgotten_is_done_by_the_rules() {
    for (playbook, denies) in [
        ("payment_failed", true),
        ("payment_failed", false),
        ("dispute_opened", true),
        ("dispute_opened", false),
    ] {
        let mails = playbook == "payment_failed";
        let model = if mails { writes() } else { tells_finance() };
        let scene = Scene::played(playbook, "approve", model).await;
        let approval = held(&scene).await;
        if denies {
            let path = format!("approvals/{}/deny", approval.id);
            let reason = json!({ "reason": "too warm" });
            let (status, denied) = scene.ask(Method::POST, &path, &reason).await;
            assert_eq!(status, StatusCode::OK, "{denied}");
            assert_eq!(denied["status"], "denied");
            let (status, _) = scene.ask(Method::POST, &path, &Value::Null).await;
            assert_eq!(status, StatusCode::CONFLICT);
        } else {
            scene.app.clock.advance(Duration::from_hours(24));
        }
        scene.app.drain().await;
        let (channel, words) = if mails {
            ("email", ITS_WORDS)
        } else {
            ("finance", TO_FINANCE)
        };
        let ended = if denies { "denied" } else { "expired" };
        let messages = scene.messages(channel).await;
        let of = |theirs: bool| -> Vec<&str> {
            let those = messages
                .iter()
                .filter(|(text, _)| text.contains(words) == theirs);
            those.map(|(_, status)| status.as_str()).collect()
        };
        assert_eq!(of(true), [ended], "{messages:#?}");
        let rules = if mails { "sent" } else { "pending" };
        assert_eq!(of(false), [rules], "{messages:#?}");
        if mails {
            let sent = scene.app.mails();
            assert_eq!(sent.len(), 1);
            assert!(!sent[0].contains(words), "{}", sent[0]);
        }
        let event = shown(&scene.app).await;
        let by_rules = event.tool_calls.iter().find(|call| {
            call.by == "rules" && call.effect_key.as_deref() == Some(&approval.effect_key)
        });
        assert_eq!(by_rules.unwrap().verdict, "allowed");
    }
}

#[tokio::test]
async fn what_the_rules_decide_alone_never_waits() {
    // Refused until the rules take over, or with nothing to say at all.
    let refused = || mail("Win", "Click https://evil.example now");
    let models = [
        Scripted::new([
            reply([refused()]),
            reply([refused()]),
            reply([refused()]),
            Reply::default(),
        ]),
        Scripted::new([]),
    ];
    for model in models {
        let scene = Scene::played("payment_failed", "approve", Arc::new(model)).await;
        assert_eq!(scene.app.mails().len(), 1);
        assert!(shown(&scene.app).await.approvals.is_empty());
    }
}

#[tokio::test]
async fn a_payment_that_comes_meanwhile_ends_the_wait() {
    let scene = Scene::played("payment_failed", "approve", writes()).await;
    let approval = held(&scene).await;
    let paid = super::scene::intent("pi_1", "succeeded", 99_000);
    let paid = crate::support::app::event("evt_paid", "payment_intent.succeeded", 90, &paid);
    scene.app.deliver(&paid).await;
    scene.app.drain().await;
    let path = format!("approvals/{}/approve", approval.id);
    let seen = json!({ "hash": approval.hash });
    let (status, problem) = scene.ask(Method::POST, &path, &seen).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(problem["approval_status"], "suppressed");
    scene.app.clock.advance(Duration::from_hours(48));
    scene.app.drain().await;
    assert!(scene.app.mails().is_empty());
    assert_eq!(scene.messages("email").await[0].1, "suppressed");
}
