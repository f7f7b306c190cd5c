//! A request as it goes over the wire, in the shape that every server of chat completions takes.
//!
//! What was malformed is replayed as an empty object: templates of some servers fail on it for ever, and the answer that
//! follows says what was wrong. Never sent: `response_format` beside tools, which keeps some models from calling any.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::arguments::is_object;
use super::profile::{
    MAX_COMPLETION_TOKENS, MAX_TOKENS, PARALLEL, Profile, STREAM_OPTIONS, STRICT,
};
use crate::agent::model::{Call, Message, Request};
use crate::config::{ArgumentForm, CallIds, TokenLimit};

/// The body of `POST /chat/completions`.
#[derive(Debug, Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    messages: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<Value>,
}

impl<'a> Body<'a> {
    /// `request` for `model`, as `profile` wants it.
    pub(super) fn new(request: &Request, model: &'a str, profile: &Profile) -> Self {
        let configured = &profile.configured;
        let limit = Some(configured.max_tokens);
        // The newer name was refused: the older one means the same.
        let old_name = configured.token_limit == TokenLimit::MaxTokens
            || !profile.takes(MAX_COMPLETION_TOKENS);
        Self {
            model,
            messages: request
                .messages
                .iter()
                .map(|m| message(m, profile))
                .collect(),
            tools: request.tools.iter().map(|t| tool(t, profile)).collect(),
            parallel_tool_calls: (!request.tools.is_empty() && profile.takes(PARALLEL))
                .then_some(configured.parallel_tool_calls),
            max_completion_tokens: limit.filter(|_| !old_name),
            max_tokens: limit.filter(|_| old_name && profile.takes(MAX_TOKENS)),
            stream: configured.stream,
            stream_options: (configured.stream && profile.takes(STREAM_OPTIONS))
                .then(|| json!({ "include_usage": true })),
        }
    }
}

fn tool(contract: &billhook_tools::Contract, profile: &Profile) -> Value {
    let mut function = json!({
        "name": contract.name,
        "description": contract.description,
        "parameters": contract.parameters,
    });
    if let Value::Object(function) = &mut function
        && profile.configured.strict
        && profile.takes(STRICT)
    {
        function.insert(STRICT.to_owned(), contract.strict.into());
    }
    json!({ "type": "function", "function": function })
}

fn message(message: &Message, profile: &Profile) -> Value {
    match message {
        Message::System { content } => json!({ "role": "system", "content": content }),
        Message::User { content } => json!({ "role": "user", "content": content }),
        Message::Assistant { content, calls } if calls.is_empty() => {
            json!({ "role": "assistant", "content": content })
        }
        Message::Assistant { content, calls } => {
            let calls: Vec<Value> = calls.iter().map(|c| call(c, profile)).collect();
            json!({ "role": "assistant", "content": content, "tool_calls": calls })
        }
        Message::Tool { call_id, content } => json!({
            "role": "tool",
            "tool_call_id": id(call_id, profile),
            "content": content,
        }),
    }
}

fn call(call: &Call, profile: &Profile) -> Value {
    let text = Some(call.arguments.as_str()).filter(|text| is_object(text));
    let text = text.unwrap_or("{}");
    let arguments = if profile.configured.arguments == ArgumentForm::Object {
        serde_json::from_str(text).unwrap_or_default()
    } else {
        Value::from(text)
    };
    json!({
        "id": id(&call.id, profile),
        "type": "function",
        "function": { "name": call.name, "arguments": arguments },
    })
}

/// An id in the form that the endpoint takes; the same id has the same form wherever it stands.
fn id<'a>(id: &'a str, profile: &Profile) -> Cow<'a, str> {
    match profile.configured.call_ids {
        CallIds::Any => Cow::Borrowed(id),
        CallIds::Nine => {
            let mut nine = hex::encode(Sha256::digest(id));
            nine.truncate(9);
            Cow::Owned(nine)
        }
    }
}
