//! The model of one story.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use billhook::agent::model::{Call, Message, Model, ModelError, Reply, Request};
use serde_json::{Value, json};

use crate::faults::point::Faults;
use crate::faults::senders::Sink;

/// A model that is away at first, then looks up the history, then writes.
pub(super) struct Conduct {
    pub(super) faults: Arc<Faults>,
    pub(super) sink: Arc<Sink>,
    pub(super) was_away: AtomicBool,
}

#[async_trait]
impl Model for Conduct {
    fn name(&self) -> &'static str {
        "conduct"
    }

    async fn reply(&self, request: &Request) -> Result<Reply, ModelError> {
        let is_reply = |message: &&Message| matches!(message, Message::Assistant { .. });
        let turn = request.messages.iter().filter(is_reply).count();
        if !self.was_away.swap(true, Ordering::SeqCst) {
            return Err(ModelError::Unavailable {
                reason: "closed".to_owned(),
                retry_after: Some(Duration::from_secs(5)),
            });
        }
        *self.sink.asked.lock().unwrap().entry(turn).or_default() += 1;
        let call = |name: &str, arguments: Value| Reply {
            calls: vec![Call {
                id: format!("call_{turn}"),
                name: name.to_owned(),
                arguments: arguments.to_string(),
            }],
            finish: "tool_calls".to_owned(),
            ..Reply::default()
        };
        Ok(match turn {
            0 => call("get_payment_history", json!({ "limit": 10 })),
            1 => {
                self.faults.wait_for("renew_run").await;
                call(
                    "send_email",
                    json!({
                        "subject": "Ihre Zahlung",
                        "body": "Leider hat Ihre Zahlung an {{business_name}} nicht geklappt.\n\n{{update_payment_link}}",
                    }),
                )
            }
            _ => Reply::default(),
        })
    }
}
