//! What spans say of a run: who decided, which calls were made and what the checks said.
//!
//! Words of a model stand in none, but for the content of messages where that is wanted. A tool's name is one of ours or
//! `unknown`: a model may call a tool anything.

use serde_json::{Value, json};
use tracing::Span;

use crate::agent::journal::{Decided, Judged};
use crate::agent::model::{Call, Message, Reply, Request};
use crate::agent::run::RunError;
use crate::telemetry::spans::{self, LONGEST_CONTENT, count, failed};

/// A tool's name where it is one of ours, for spans and metrics.
pub fn known_tool(name: &str) -> &str {
    let is_known = billhook_tools::find(name).is_some();
    if is_known { name } else { "unknown" }
}

/// The span of a call that is step number `step` of its run.
pub(super) fn tool(call: &Call, step: usize) -> Span {
    spans::tool(known_tool(&call.name), &call.id, step)
}

/// Notes what became of a call.
pub(super) fn judged(span: &Span, judged: &Judged) {
    if span.is_disabled() {
        return;
    }
    if let Some((rule, _)) = &judged.refused {
        span.record("billhook.guard.decision", "refused");
        span.record("billhook.guard.rule", rule.as_str());
        failed(span, rule);
    } else {
        span.record("billhook.guard.decision", "allowed");
    }
    if let Some((key, _)) = &judged.proposal {
        let is_duplicate = judged.result.get("status").and_then(Value::as_str) == Some("duplicate");
        span.record("billhook.effect.key", key.as_str());
        span.record("billhook.effect.status", "proposed");
        span.record("billhook.effect.duplicate", is_duplicate);
    }
    if spans::wants_content() {
        span.record("gen_ai.tool.call.arguments", clip(&judged.call.arguments));
        let result = judged.result.to_string();
        span.record("gen_ai.tool.call.result", clip(&result));
    }
}

/// Notes what a run came to.
pub fn decided(span: &Span, decided: &Result<Decided, RunError>) {
    match decided {
        Ok(decided) => {
            let usage = decided.usage;
            if !usage.estimated && decided.turns > 0 {
                span.record("gen_ai.usage.input_tokens", count(usage.input_tokens));
                span.record("gen_ai.usage.output_tokens", count(usage.output_tokens));
            }
        }
        Err(RunError::Deferred { .. }) => failed(span, "deferred"),
        Err(RunError::Retry(_)) => failed(span, "failed"),
    }
}

/// Puts what is asked into a span of a chat, where that is wanted.
pub(super) fn asked(span: &Span, request: &Request) {
    if span.is_disabled() || !spans::wants_content() {
        return;
    }
    let (mut system, mut messages) = (Vec::new(), Vec::new());
    for message in &request.messages {
        match message {
            Message::System { content } => system.push(text(content)),
            Message::User { content } => {
                messages.push(json!({ "role": "user", "parts": [text(content)] }));
            }
            Message::Assistant { content, calls } => {
                messages.push(json!({ "role": "assistant", "parts": parts(Some(content), calls) }));
            }
            Message::Tool { call_id, content } => {
                let part = json!({ "type": "tool_call_response", "id": call_id, "response": clip(content) });
                messages.push(json!({ "role": "tool", "parts": [part] }));
            }
        }
    }
    let tools: Vec<Value> = request
        .tools
        .iter()
        .map(|tool| {
            json!({
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            })
        })
        .collect();
    for (name, value) in [
        ("gen_ai.system_instructions", system),
        ("gen_ai.input.messages", messages),
        ("gen_ai.tool.definitions", tools),
    ] {
        span.record(name, Value::from(value).to_string());
    }
}

/// Puts what was answered into a span of a chat, where that is wanted.
pub(super) fn replied(span: &Span, reply: &Reply) {
    if span.is_disabled() || !spans::wants_content() {
        return;
    }
    let said = reply.content.as_ref().or(reply.refusal.as_ref());
    let message = json!([{
        "role": "assistant",
        "parts": parts(said, &reply.calls),
        "finish_reason": clip(&reply.finish),
    }]);
    span.record("gen_ai.output.messages", message.to_string());
}

fn parts(said: Option<&String>, calls: &[Call]) -> Vec<Value> {
    let said = said.filter(|said| !said.is_empty());
    let calls = calls.iter().map(|call| {
        json!({
            "type": "tool_call",
            "id": clip(&call.id),
            "name": clip(&call.name),
            "arguments": clip(&call.arguments),
        })
    });
    said.map(|said| text(said))
        .into_iter()
        .chain(calls)
        .collect()
}

fn text(content: &str) -> Value {
    json!({ "type": "text", "content": clip(content) })
}

fn clip(text: &str) -> &str {
    let end = text.floor_char_boundary(LONGEST_CONTENT);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_a_model_made_up_has_no_name() {
        assert_eq!(known_tool("send_email"), "send_email");
        assert_eq!(known_tool("Dear Ada, your invoice"), "unknown");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(clip("short"), "short");
        let long = format!("x{}", "ü".repeat(LONGEST_CONTENT));
        assert_eq!(clip(&long).len(), LONGEST_CONTENT - 1);
    }
}
