//! The `Model` port: one request in, one reply out. Everything that decides speaks it, the built-in rules included, so
//! that rules pass the same checks and leave the same logs as a language model.

use std::time::Duration;

use async_trait::async_trait;
use billhook_tools::Contract;
use serde::{Deserialize, Serialize};

use crate::agent::playbook::OwedCall;

/// One message of the conversation, in the shape that chat completions share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Message {
    /// The system prompt.
    System {
        /// Its text.
        content: String,
    },
    /// The instructions and the data of this run.
    User {
        /// Its text.
        content: String,
    },
    /// What the model said before.
    Assistant {
        /// Its text.
        content: String,
        /// The calls it made.
        calls: Vec<Call>,
    },
    /// The answer to one call.
    Tool {
        /// Which call.
        call_id: String,
        /// The answer, as JSON.
        content: String,
    },
}

/// A tool call as a model wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The model's id for it; only used to answer.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments as text, which may not be JSON.
    pub arguments: String,
}

/// What a model is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// The tools it may call.
    pub tools: Vec<Contract>,
    /// What the playbook owes. Only the rules look at it; it is never sent anywhere.
    pub owed: Vec<OwedCall>,
    /// When nobody waits for the answer any more.
    pub deadline: Option<tokio::time::Instant>,
}

/// What a model answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Its text.
    pub content: Option<String>,
    /// Its words for refusing to answer at all.
    pub refusal: Option<String>,
    /// The calls it wants.
    pub calls: Vec<Call>,
    /// Why it stopped, as the endpoint wrote it.
    pub finish: String,
    /// What it cost.
    pub usage: Usage,
    /// Which model it was, by the name that its endpoint has for it; empty for the rules.
    #[serde(default)]
    pub model: String,
}

impl Reply {
    /// The reply without what nobody will look at, so that a flood is neither stored nor sent back: at most `calls`
    /// calls, and texts cut soon after `bytes`. Arguments that were cut stay longer than `bytes`, and are refused.
    #[must_use]
    pub fn clipped(mut self, calls: usize, bytes: usize) -> Self {
        self.calls.truncate(calls);
        for call in &mut self.calls {
            clip(&mut call.id, LONGEST_NAME);
            clip(&mut call.name, LONGEST_NAME);
            clip(&mut call.arguments, bytes);
        }
        for text in [&mut self.content, &mut self.refusal].into_iter().flatten() {
            clip(text, bytes);
        }
        clip(&mut self.finish, LONGEST_NAME);
        self
    }
}

/// No id or name of an honest call is longer, in bytes.
const LONGEST_NAME: usize = 200;

/// Cuts a text at the end of the character that exceeds `bytes`.
fn clip(text: &mut String, bytes: usize) {
    let end = text
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .find(|end| *end > bytes);
    if let Some(end) = end {
        text.truncate(end);
    }
}

/// Tokens, as the endpoint counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Read by the model.
    pub input_tokens: u64,
    /// Written by the model.
    pub output_tokens: u64,
    /// Of those read, taken from the endpoint's cache.
    pub cached_tokens: u64,
    /// Of those written, spent on reasoning.
    pub reasoning_tokens: u64,
    /// The endpoint did not count; these are estimates.
    pub estimated: bool,
}

impl Usage {
    /// Adds another reply's tokens.
    pub fn add(&mut self, other: Self) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(other.cached_tokens);
        self.reasoning_tokens = self.reasoning_tokens.saturating_add(other.reasoning_tokens);
        self.estimated |= other.estimated;
    }
}

/// Why there is no reply, and what follows.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The model cannot be reached, is overloaded or out of budget: the run is deferred.
    #[error("the model cannot be reached: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
        /// When it asked to be tried again.
        retry_after: Option<Duration>,
    },
    /// It will never answer this: the rules do.
    #[error("the model does not answer: {reason}")]
    Rejected {
        /// Why.
        reason: String,
    },
}

/// Something that decides.
#[async_trait]
pub trait Model: Send + Sync {
    /// The name stored with each run.
    fn name(&self) -> &str;
    /// Whether its calls are the rules' own.
    fn is_rules(&self) -> bool {
        false
    }
    /// Answers one request.
    async fn reply(&self, request: &Request) -> Result<Reply, ModelError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_stays_too_long() {
        let call = Call {
            id: "1".repeat(1000),
            name: "ä".repeat(1000),
            arguments: "{".to_owned() + &"ü".repeat(1_000_000),
        };
        let reply = Reply {
            content: Some("x".repeat(1_000_000)),
            calls: vec![call; 50],
            ..Reply::default()
        }
        .clipped(16, 100);
        assert_eq!(reply.calls.len(), 16);
        assert_eq!(reply.calls[0].arguments.len(), 101);
        assert_eq!(reply.calls[0].name.len(), 202);
        assert_eq!(reply.content.unwrap().len(), 101);
    }

    #[test]
    fn an_ordinary_reply_is_left_alone() {
        let reply = Reply {
            content: Some("Ä".to_owned()),
            calls: vec![Call {
                id: "call_1".to_owned(),
                name: "send_email".to_owned(),
                arguments: "{}".to_owned(),
            }],
            ..Reply::default()
        };
        assert_eq!(reply.clone().clipped(16, 2), reply);
    }
}
