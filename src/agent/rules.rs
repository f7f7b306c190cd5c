//! Rules as a model: they call what the playbook owes, and nothing else. This is what runs without a language model.

use async_trait::async_trait;

use crate::agent::model::{Call, Message, Model, ModelError, Reply, Request};

/// The name under which runs that the rules decided are stored.
pub const NAME: &str = "rules";

/// Plays what is owed as tool calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules;

#[async_trait]
impl Model for Rules {
    fn name(&self) -> &str {
        NAME
    }

    fn is_rules(&self) -> bool {
        true
    }

    async fn reply(&self, request: &Request) -> Result<Reply, ModelError> {
        let begun = request
            .messages
            .iter()
            .any(|message| matches!(message, Message::Assistant { .. }));
        let owed = if begun { &[] } else { request.owed.as_slice() };
        let calls = owed
            .iter()
            .enumerate()
            .map(|(at, call)| Call {
                id: format!("rule{at}"),
                name: call.tool.clone(),
                arguments: call.args.to_string(),
            })
            .collect();
        Ok(Reply {
            calls,
            finish: "stop".to_owned(),
            ..Reply::default()
        })
    }
}
