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
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.cached_tokens += other.cached_tokens;
        self.reasoning_tokens += other.reasoning_tokens;
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
