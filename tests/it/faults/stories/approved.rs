//! A story in which a person decides about what a model proposed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::Method;
use billhook::agent::model::{Call, Message, Model, ModelError, Reply, Request};
use serde_json::{Value, json};

use super::{SETTLED, customer, failed, paid_before};
use crate::faults::senders::Sink;
use crate::faults::stage::Stage;

/// A model that writes one mail.
pub(super) struct Writer {
    pub(super) sink: Arc<Sink>,
}

#[async_trait]
impl Model for Writer {
    fn name(&self) -> &'static str {
        "writer"
    }

    async fn reply(&self, request: &Request) -> Result<Reply, ModelError> {
        let is_reply = |message: &&Message| matches!(message, Message::Assistant { .. });
        let turn = request.messages.iter().filter(is_reply).count();
        *self.sink.asked.lock().unwrap().entry(turn).or_default() += 1;
        if turn > 0 {
            return Ok(Reply::default());
        }
        let mail = json!({
            "subject": "Ihre Zahlung",
            "body": "Leider hat Ihre Zahlung an {{business_name}} nicht geklappt.\n\n{{update_payment_link}}",
        });
        Ok(Reply {
            calls: vec![Call {
                id: "call_0".to_owned(),
                name: "send_email".to_owned(),
                arguments: mail.to_string(),
            }],
            finish: "tool_calls".to_owned(),
            ..Reply::default()
        })
    }
}

/// Three payments fail. One mail is approved, one denied, and one forgotten until its time is over.
pub(super) async fn a_person_approves(stage: &mut Stage) {
    stage.deliver(&customer()).await;
    stage.deliver(&paid_before()).await;
    for (event, intent) in [("evt_1", "pi_1"), ("evt_2", "pi_2"), ("evt_3", "pi_3")] {
        stage.deliver(&failed(event, intent, 0)).await;
        stage.pass(SETTLED).await;
    }
    let held = stage.get("/api/v1/approvals?status=held&limit=100").await;
    let held = held["data"].as_array().unwrap().clone();
    assert_eq!(held.len(), 3, "{held:?}");
    let of = |event: &str| -> Value {
        let mut held = held.iter();
        held.find(|one| one["event"] == event).unwrap().clone()
    };
    let one = of("evt_1");
    let path = format!("/api/v1/approvals/{}", one["id"].as_str().unwrap());
    let seen = stage.get(&path).await;
    let seen = json!({ "hash": seen["hash"] });
    let approve = format!("{path}/approve");
    stage.ask(Method::POST, &approve, Some(&seen)).await;
    let other = of("evt_2");
    let deny = format!("/api/v1/approvals/{}/deny", other["id"].as_str().unwrap());
    stage.ask(Method::POST, &deny, None).await;
    stage.pass(Duration::from_secs(10)).await;
    // Of three failure mails to one address one leaves a day; the others follow.
    for _ in 0..3 {
        stage.pass(Duration::from_hours(25)).await;
    }
    for (event, status) in [
        ("evt_1", "approved"),
        ("evt_2", "denied"),
        ("evt_3", "expired"),
    ] {
        let id = of(event)["id"].as_str().unwrap().to_owned();
        let ended = stage.get(&format!("/api/v1/approvals/{id}")).await;
        assert_eq!(ended["status"], status, "{ended}");
        assert_eq!(ended["event"], event);
    }
}
