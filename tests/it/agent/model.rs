//! A model that does its work, one that repeats itself, and one that is away.

use std::sync::Arc;
use std::time::Duration;

use billhook::agent::model::{Message, ModelError, Reply};
use billhook::agent::scripted::Scripted;
use serde_json::{Value, json};

use super::scene::{call, kind_mail, lead, mail, play, refusals, reply, shown, start};

fn good_conduct() -> [Reply; 3] {
    [
        reply([call("get_payment_history", &json!({ "limit": 10 }))]),
        reply([
            kind_mail(),
            call(
                "notify_sales",
                &json!({ "priority": "high", "summary": "A loyal customer; a call may help." }),
            ),
        ]),
        Reply::default(),
    ]
}

#[tokio::test]
async fn its_own_words_leave_with_our_facts() {
    let model = Arc::new(Scripted::new(good_conduct()));
    let app = play("payment_failed", model.clone()).await;
    let mails = app.mails();
    assert_eq!(mails.len(), 1, "{:#?}", shown(&app).await);
    let messages = app.messages().await;
    let email = messages.iter().find(|m| m.channel == "email").unwrap();
    let text = app.store_text(&email.id).await;
    assert!(mails[0].contains("Subject: A small hiccup with your payment"));
    for part in [
        "Hello Ada Lovelace",
        "Thank you for your many payments with Acme.",
        "https://acme.example/card",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("{{"), "{text}");
    let notice = messages.iter().find(|m| m.channel == "sales").unwrap();
    let notice = app.store_text(&notice.id).await;
    assert!(notice.contains("A loyal customer; a call may help."));
    assert!(notice.contains("990.00"), "{notice}");

    let event = shown(&app).await;
    let run = event.run.unwrap();
    assert_eq!(
        (run.status.as_str(), run.model.as_deref()),
        ("done", Some("scripted"))
    );
    let calls: Vec<_> = event
        .tool_calls
        .iter()
        .map(|call| {
            (
                call.tool.as_str(),
                call.by.as_str(),
                call.verdict.as_str(),
                call.effect.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        calls,
        [
            ("get_payment_history", "model", "allowed", None),
            ("send_email", "model", "allowed", Some("done")),
            ("notify_sales", "model", "allowed", Some("intended")),
        ]
    );
    assert_eq!(
        event.tool_calls[0].result["payments"][0]["id"], "pi_old",
        "{}",
        event.tool_calls[0].result
    );

    // Each answer answers a call, and nothing personal was told.
    let asked = model.asked();
    assert_eq!(asked.len(), 3);
    let text = serde_json::to_string(&asked[2].messages).unwrap();
    for personal in ["ada@example.com", "Ada", "Lovelace"] {
        assert!(!text.contains(personal), "{personal} in {text}");
    }
    let roles: Vec<&str> = asked[2]
        .messages
        .iter()
        .map(|message| match message {
            Message::System { .. } => "system",
            Message::User { .. } => "user",
            Message::Assistant { .. } => "assistant",
            Message::Tool { .. } => "tool",
        })
        .collect();
    assert_eq!(
        roles,
        [
            "system",
            "user",
            "assistant",
            "tool",
            "assistant",
            "tool",
            "tool"
        ]
    );
}

#[tokio::test]
async fn a_second_mail_changes_nothing_whatever_it_says() {
    for (second, conflict) in [
        (kind_mail(), false),
        (mail("Another word", "Another text, just as kind."), true),
    ] {
        let model = Scripted::new([reply([kind_mail()]), reply([second]), Reply::default()]);
        let app = play("payment_failed", Arc::new(model)).await;
        let mails = app.mails();
        assert_eq!(mails.len(), 1);
        assert!(mails[0].contains("A small hiccup"), "{}", mails[0]);
        assert!(!mails[0].contains("Another"), "{}", mails[0]);
        let event = shown(&app).await;
        let sent: Vec<_> = event
            .tool_calls
            .iter()
            .filter(|call| call.tool == "send_email")
            .collect();
        assert_eq!(sent.len(), 2);
        assert_eq!(
            sent[1].result,
            json!({ "status": "duplicate", "conflict": conflict })
        );
        assert_eq!(sent[0].effect.as_deref(), Some("done"));
        assert_eq!(sent[1].effect.as_deref(), Some("duplicate"));
        assert_eq!(sent[0].effect_key, sent[1].effect_key);
    }
}

#[tokio::test]
async fn what_it_forgets_the_rules_do() {
    let app = play("payment_failed", Arc::new(Scripted::new([]))).await;
    assert_eq!(app.mails().len(), 1);
    let by: Vec<_> = shown(&app)
        .await
        .tool_calls
        .into_iter()
        .map(|call| (call.tool, call.by))
        .collect();
    let rules = |tool: &str| (tool.to_owned(), "rules".to_owned());
    assert_eq!(by, [rules("send_email"), rules("notify_sales")]);
}

#[tokio::test]
async fn one_that_will_never_answer_is_replaced_at_once() {
    let refusal = Reply {
        refusal: Some("I would rather not.".to_owned()),
        ..Reply::default()
    };
    let answers: [fn() -> Result<Reply, ModelError>; 2] = [
        || {
            Err(ModelError::Rejected {
                reason: "content filter".to_owned(),
            })
        },
        || {
            Ok(Reply {
                content: Some("There is nothing to do.".to_owned()),
                ..Reply::default()
            })
        },
    ];
    let mut models: Vec<Scripted> = answers
        .into_iter()
        .map(|answer| Scripted::answering(move |_, _| answer()))
        .collect();
    models.push(Scripted::new([refusal]));
    for model in models {
        let model = Arc::new(model);
        let app = play("payment_failed", model.clone()).await;
        assert_eq!(app.mails().len(), 1);
        assert_eq!(model.asked().len(), 1);
        assert_eq!(shown(&app).await.run.unwrap().status, "done");
        assert!(!app.mails()[0].contains("rather not"));
    }
}

fn away() -> ModelError {
    ModelError::Unavailable {
        reason: "the endpoint answers 503".to_owned(),
        retry_after: None,
    }
}

#[tokio::test]
async fn one_that_comes_back_is_asked_again() {
    let replies = good_conduct();
    let model = Arc::new(Scripted::answering(move |_, before| match before {
        0..3 => Err(away()),
        _ => Ok(replies.get(before - 3).cloned().unwrap_or_default()),
    }));
    let app = start(model.clone()).await;
    app.deliver(&lead("payment_failed")).await;
    app.settle().await;
    let run = shown(&app).await.run.unwrap();
    assert_eq!(run.status, "deferred");
    assert!(run.reason.unwrap().contains("503"));
    assert_eq!(app.mails().len(), 0);
    for _ in 0..10 {
        app.clock.advance(Duration::from_secs(10));
        app.drain().await;
    }
    assert_eq!(model.asked().len(), 6);
    let mails = app.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].contains("A small hiccup"), "{}", mails[0]);
}

#[tokio::test]
async fn one_that_stays_away_is_replaced_when_its_time_is_up() {
    let model = Arc::new(Scripted::answering(|_, _| Err(away())));
    let app = start(model.clone()).await;
    app.deliver(&lead("payment_failed")).await;
    app.settle().await;
    for _ in 0..57 {
        app.clock.advance(Duration::from_mins(1));
        app.drain().await;
    }
    assert_eq!(app.mails().len(), 0, "still inside the hour");
    assert_eq!(shown(&app).await.run.unwrap().status, "deferred");
    let asked = model.asked().len();
    assert!((5..40).contains(&asked), "asked {asked} times");
    for _ in 0..10 {
        app.clock.advance(Duration::from_mins(1));
        app.drain().await;
    }
    assert_eq!(app.mails().len(), 1);
    let event = shown(&app).await;
    assert_eq!(event.run.unwrap().status, "done");
    assert!(event.tool_calls.iter().all(|call| call.by == "rules"));
    assert_eq!(event.status, "done");
}

#[tokio::test]
async fn one_that_leaves_in_the_middle_keeps_what_it_proposed() {
    let model = Arc::new(Scripted::answering(|_, before| match before {
        0 => Ok(reply([kind_mail()])),
        _ => Err(away()),
    }));
    let app = start(model.clone()).await;
    app.deliver(&lead("payment_failed")).await;
    app.settle().await;
    for _ in 0..70 {
        app.clock.advance(Duration::from_mins(1));
        app.drain().await;
    }
    // Old journals are thrown away with their proposals, so the words may be the template's; the mail is one.
    assert_eq!(app.mails().len(), 1);
    assert_eq!(app.messages().await.len(), 2);
    assert_eq!(shown(&app).await.status, "done");
}

#[tokio::test]
async fn its_arguments_are_kept_as_they_came() {
    let wrong = call(
        "get_payment_history",
        &json!({ "limit": 10, "customer": "cus_2" }),
    );
    let app = play(
        "payment_failed",
        Arc::new(Scripted::new([
            reply([wrong]),
            reply([kind_mail()]),
            Reply::default(),
        ])),
    )
    .await;
    assert_eq!(refusals(&app).await, ["invalid_arguments"]);
    let calls = shown(&app).await.tool_calls;
    assert_eq!(calls[0].arguments["customer"], "cus_2");
    assert_eq!(calls[0].result["error"], Value::from("invalid_arguments"));
    assert!(app.mails()[0].contains("A small hiccup"));
}
