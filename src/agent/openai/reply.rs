//! A chat completion as servers really answer it, read into a [`Reply`]. Pure.
//!
//! Every field may be missing, null or of another type: whether there are calls is asked of the calls, never of
//! `finish_reason`, and what is not known is left out. Text that looks like a call is text.

use std::collections::BTreeSet;

use serde_json::Value;

use super::arguments;
use super::error::Failure;
use crate::agent::model::{Call, Message, Reply, Request, Usage};

/// Calls beyond this are not even read.
pub(super) const MOST_CALLS: usize = 64;

/// Bytes of an average token, on the careful side: an estimate is for budgets.
const BYTES_PER_TOKEN: usize = 3;

/// Reads `body`, the answer to `request`; `fields` are those of the request that a server may not know.
pub(super) fn read(
    body: &Value,
    request: &Request,
    fields: &[&'static str],
) -> Result<Reply, Failure> {
    if let Some(error) = body.get("error").filter(|error| !error.is_null()) {
        return Err(Failure::of_body(error, fields));
    }
    let Some(choices) = body.get("choices").and_then(Value::as_array) else {
        return Err(Failure::again(
            "answered something that is no chat completion",
        ));
    };
    let choice = choices.first().unwrap_or(&Value::Null);
    let message = choice.get("message").unwrap_or(&Value::Null);
    let finish = choice.get("finish_reason").and_then(Value::as_str);
    let content = text(message.get("content"));
    let refusal = text(message.get("refusal")).or_else(|| {
        // A filter's cut is no answer, whatever of it got through (learn.microsoft.com/azure/ai-services/openai).
        (finish == Some("content_filter")).then(|| "content_filter".to_owned())
    });
    let calls = if refusal.is_some() {
        Vec::new()
    } else {
        calls(message, request)
    };
    let mut reply = Reply {
        content,
        refusal,
        calls,
        finish: finish.unwrap_or_default().to_owned(),
        ..Reply::default()
    };
    reply.usage = usage(body).unwrap_or_else(|| estimate(request, &reply));
    Ok(reply)
}

/// A text, or the texts of a list of parts; nothing where there is no word.
fn text(value: Option<&Value>) -> Option<String> {
    let text = match value? {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part.get("text").unwrap_or(part).as_str())
            .collect(),
        _ => return None,
    };
    (!text.trim().is_empty()).then_some(text)
}

fn calls(message: &Value, request: &Request) -> Vec<Call> {
    let Some(calls) = message.get("tool_calls").and_then(Value::as_array) else {
        return Vec::new();
    };
    let mut ids = Ids::of(request);
    calls
        .iter()
        .take(MOST_CALLS)
        .map(|call| {
            let function = call.get("function").unwrap_or(call);
            let name = function.get("name").and_then(Value::as_str);
            Call {
                id: ids.next(call.get("id").and_then(Value::as_str)),
                name: offered(name.unwrap_or_default(), request),
                arguments: arguments::text(function.get("arguments").unwrap_or(&Value::Null)),
            }
        })
        .collect()
}

/// The name of a tool on offer that was written behind a prefix (`functions.send_email`), else the name as it is.
fn offered(name: &str, request: &Request) -> String {
    let is_offered = |name: &str| request.tools.iter().any(|tool| tool.name == name);
    match name.rsplit_once('.') {
        Some((_, last)) if !is_offered(name) && is_offered(last) => last,
        _ => name,
    }
    .to_owned()
}

/// Hands out ids of calls: the server's own where it is one and new, else one of ours.
struct Ids {
    turn: usize,
    count: usize,
    used: BTreeSet<String>,
}

impl Ids {
    fn of(request: &Request) -> Self {
        let turns = request.messages.iter().filter_map(|message| match message {
            Message::Assistant { calls, .. } => Some(calls),
            _ => None,
        });
        Self {
            turn: turns.clone().count() + 1,
            count: 0,
            used: turns.flatten().map(|call| call.id.clone()).collect(),
        }
    }

    fn next(&mut self, given: Option<&str>) -> String {
        let minted = format!("c{}_{}", self.turn, self.count);
        self.count += 1;
        let mut id = given
            .filter(|id| !id.trim().is_empty() && !self.used.contains(*id))
            .map_or(minted, str::to_owned);
        while !self.used.insert(id.clone()) {
            id.push('_');
        }
        id
    }
}

fn usage(body: &Value) -> Option<Usage> {
    let usage = body.get("usage")?;
    let count = |path: &str| usage.pointer(path).and_then(Value::as_u64);
    let input_tokens = count("/prompt_tokens").filter(|tokens| *tokens > 0)?;
    Some(Usage {
        input_tokens,
        output_tokens: count("/completion_tokens")
            .or_else(|| count("/total_tokens").map(|total| total.saturating_sub(input_tokens)))
            .unwrap_or_default(),
        cached_tokens: count("/prompt_tokens_details/cached_tokens").unwrap_or_default(),
        reasoning_tokens: count("/completion_tokens_details/reasoning_tokens").unwrap_or_default(),
        estimated: false,
    })
}

fn estimate(request: &Request, reply: &Reply) -> Usage {
    let tokens = |bytes: usize| (bytes.div_ceil(BYTES_PER_TOKEN)) as u64;
    let tools: usize = request
        .tools
        .iter()
        .map(|tool| tool.name.len() + tool.description.len() + tool.parameters.to_string().len())
        .sum();
    let read: usize = request.messages.iter().map(length).sum();
    let written = reply.content.as_deref().map_or(0, str::len) + of_calls(&reply.calls);
    Usage {
        input_tokens: tokens(read + tools),
        output_tokens: tokens(written),
        estimated: true,
        ..Usage::default()
    }
}

fn length(message: &Message) -> usize {
    match message {
        Message::System { content } | Message::User { content } | Message::Tool { content, .. } => {
            content.len()
        }
        Message::Assistant { content, calls } => content.len() + of_calls(calls),
    }
}

fn of_calls(calls: &[Call]) -> usize {
    calls
        .iter()
        .map(|call| call.name.len() + call.arguments.len())
        .sum()
}

#[cfg(test)]
mod tests;
