//! A model that does not give up, or gives up too much at once.

use std::sync::Arc;

use billhook::agent::model::Reply;
use billhook::agent::scripted::Scripted;
use serde_json::json;

use super::marks::MARK;
use crate::agent::scene::{
    call, intent, kind_mail, lead, mail, play, raw, refusals, reply, shown, start,
};
use crate::support::app::event;

#[tokio::test]
async fn a_win_back_is_no_way_out_either() {
    let body = |part: &str| mail("A word", &format!("Come back to {MARK}. {part}"));
    for attack in [
        body("You get a discount."),
        body("See evil.example now."),
        call(
            "notify_sales",
            &json!({ "priority": "high", "summary": MARK }),
        ),
    ] {
        let model = Scripted::answering(move |request, _| {
            let due = request.tools.iter().any(|tool| tool.name == "send_email");
            Ok(if due {
                reply([attack.clone()])
            } else {
                Reply::default()
            })
        });
        let app = play("subscription_ended", Arc::new(model)).await;
        app.clock.advance(std::time::Duration::from_hours(7 * 24));
        app.drain().await;
        let mails = app.mails();
        assert_eq!(mails.len(), 1);
        assert!(mails[0].contains("welcome back"), "{}", mails[0]);
        assert!(!mails[0].contains(MARK), "{}", mails[0]);
        assert!(!refusals(&app).await.is_empty());
    }
}

#[tokio::test]
async fn one_that_mends_its_call_is_heard() {
    let model = Scripted::new([
        reply([mail("A word", "You get a refund.")]),
        reply([mail("A word {{update_payment_link}}", "Hello")]),
        reply([kind_mail()]),
    ]);
    let app = play("payment_failed", Arc::new(model)).await;
    assert_eq!(refusals(&app).await.len(), 2);
    assert!(app.mails()[0].contains("A small hiccup"));
}

#[tokio::test]
async fn fifty_mails_in_one_reply_are_one() {
    let many = (0..50).map(|n| mail(&format!("Word {}", "x".repeat(n + 1)), "A kind text, once."));
    let model = Arc::new(Scripted::new([reply(many)]));
    let app = play("payment_failed", model.clone()).await;
    let mails = app.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].contains("Subject: Word x\r\n"), "{}", mails[0]);
    let calls = shown(&app).await.tool_calls;
    let sent: Vec<_> = calls
        .iter()
        .filter(|call| call.tool == "send_email")
        .collect();
    assert_eq!(sent.len(), 16);
    assert!(
        sent[1..]
            .iter()
            .all(|call| call.effect.as_deref() == Some("duplicate"))
    );
    let second = serde_json::to_string(&model.asked()[1].messages).unwrap();
    assert_eq!(
        second.matches("call_send_email").count(),
        32,
        "each call and its answer"
    );
}

#[tokio::test]
async fn a_flood_is_not_stored() {
    let flood = raw("send_email", &"{".repeat(1 << 20));
    let app = play("payment_failed", Arc::new(Scripted::new([reply([flood])]))).await;
    let event = shown(&app).await;
    let stored = serde_json::to_string(&event).unwrap().len();
    assert!(stored < 200_000, "{stored} bytes");
    assert_eq!(refusals(&app).await, ["invalid_arguments"]);
}

#[tokio::test]
async fn a_paid_order_stays_paid() {
    for change in ["hold", "release"] {
        let attack = call(
            "update_order",
            &json!({ "change": change, "note": "needs_review" }),
        );
        let app = start(Arc::new(Scripted::new([reply([attack])]))).await;
        app.deliver(&lead("payment_succeeded")).await;
        app.settle().await;
        assert_eq!(app.row("order", "pi_1").await["status"], "paid", "{change}");
        // A hold stands beside the order and ends by itself.
        app.clock.advance(std::time::Duration::from_hours(73));
        app.deliver(&event(
            "evt_2",
            "payment_intent.succeeded",
            0,
            &intent("pi_1", "succeeded", 99_000),
        ))
        .await;
        app.drain().await;
        assert_eq!(app.row("order", "pi_1").await["status"], "paid", "{change}");
    }
}
