//! Every span that may be exported: its name, its attributes, and what never stands in one.
//!
//! Names are those of the OpenTelemetry `GenAI` conventions in one version, and `billhook.*` where these have none. A span
//! holds ids, numbers and our own words; never an address, and of what a model is asked and answers nothing, unless
//! `telemetry.capture_content` is on. Nobody who wants no spans pays for one: without an exporter each is disabled.

use opentelemetry::{Array, StringValue, Value};
use tracing::field::Empty;
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The version of the semantic conventions that all names here and of the `gen_ai` metrics are taken from.
pub const SEMCONV_VERSION: &str = "1.41.1";

/// The target of all spans here: it tells them from what is logged.
pub(super) const SPANS: &str = "billhook::spans";

/// Enabled where the content of messages is wanted in spans.
pub const CONTENT: &str = "billhook::content";

/// The workflow that every follow-up is one run of.
pub const WORKFLOW: &str = "billhook.event";

/// The longest text, in bytes, that is shown of a message, an argument or a result.
pub const LONGEST_CONTENT: usize = 8 * 1024;

/// The longest word of a server that is shown: an id, the name of a model, why it stopped.
const LONGEST_WORD: usize = 100;

/// Whether somebody wants the content of messages. Ask before it is put together.
pub fn wants_content() -> bool {
    !info_span!(target: CONTENT, "content").is_disabled()
}

/// A delivery of Stripe's, from its headers to the answer.
pub fn request(method: &str, route: &str) -> Span {
    info_span!(
        target: SPANS,
        parent: None,
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        error.type = Empty,
    )
}

/// What a request was answered. Only what is our fault is an error.
pub fn answered(span: &Span, status: u16) {
    span.record("http.response.status_code", i64::from(status));
    if status >= 500 {
        failed(span, &status.to_string());
    }
}

/// A delivery's way through the inbox, from the queue to the commit.
pub fn accept(event: &str, event_type: &str) -> Span {
    info_span!(
        target: SPANS,
        "accept",
        otel.kind = "internal",
        otel.status_code = Empty,
        billhook.event.id = event,
        billhook.event.type = event_type,
        error.type = Empty,
    )
}

/// The mandatory updates of one event.
pub fn apply(event: &str, event_type: &str) -> Span {
    info_span!(
        target: SPANS,
        parent: None,
        "apply",
        otel.kind = "internal",
        otel.status_code = Empty,
        billhook.event.id = event,
        billhook.event.type = event_type,
        error.type = Empty,
    )
}

/// One message on its way out.
pub fn send(message: &str, channel: &str, effect_key: &str) -> Span {
    info_span!(
        target: SPANS,
        parent: None,
        "send",
        otel.name = format!("send {channel}"),
        otel.kind = "client",
        otel.status_code = Empty,
        billhook.message.id = message,
        billhook.message.channel = channel,
        billhook.effect.key = effect_key,
        billhook.effect.status = Empty,
        error.type = Empty,
    )
}

/// One follow-up from its claim to its end. Its event is a link by id: the event's own spans are other traces.
pub fn workflow(event: &str, run: &str) -> Span {
    info_span!(
        target: SPANS,
        parent: None,
        "invoke_workflow",
        otel.name = format!("invoke_workflow {WORKFLOW}"),
        otel.kind = "internal",
        otel.status_code = Empty,
        gen_ai.operation.name = "invoke_workflow",
        gen_ai.workflow.name = WORKFLOW,
        billhook.event.id = event,
        billhook.run.id = run,
        billhook.run.status = Empty,
        error.type = Empty,
    )
}

/// What a run is told apart by.
#[derive(Debug, Clone, Copy)]
pub struct Agent<'a> {
    /// Its playbook.
    pub playbook: &'a str,
    /// Its id.
    pub run: &'a str,
    /// The event that leads it.
    pub event: &'a str,
    /// That event's type.
    pub event_type: &'a str,
    /// The prompts that it is decided by.
    pub prompt_hash: &'a str,
    /// It goes on from a journal.
    pub is_replay: bool,
}

/// One agent deciding one run.
pub fn agent(agent: Agent<'_>) -> Span {
    info_span!(
        target: SPANS,
        "invoke_agent",
        otel.name = format!("invoke_agent {}", agent.playbook),
        otel.kind = "internal",
        otel.status_code = Empty,
        gen_ai.operation.name = "invoke_agent",
        gen_ai.agent.name = agent.playbook,
        gen_ai.conversation.id = agent.run,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        billhook.event.id = agent.event,
        billhook.event.type = agent.event_type,
        billhook.run.id = agent.run,
        billhook.prompt.name = agent.playbook,
        billhook.prompt.sha256 = agent.prompt_hash,
        billhook.replay = agent.is_replay,
        error.type = Empty,
    )
}

/// Who is asked for a reply, and how.
#[derive(Debug, Clone, Copy)]
pub struct Chat<'a> {
    /// The provider, by the name that the conventions have for it.
    pub provider: &'a str,
    /// The model's name at its endpoint.
    pub model: &'a str,
    /// The longest answer.
    pub max_tokens: u32,
    /// Whether it comes in pieces.
    pub stream: bool,
    /// The endpoint's host.
    pub address: &'a str,
    /// The endpoint's port.
    pub port: u16,
    /// Whether the endpoint is being tried out after failures.
    pub breaker: &'static str,
}

/// One attempt to get a reply from one server.
pub fn chat(chat: Chat<'_>) -> Span {
    info_span!(
        target: SPANS,
        "chat",
        otel.name = format!("chat {}", chat.model),
        otel.kind = "client",
        otel.status_code = Empty,
        gen_ai.operation.name = "chat",
        gen_ai.provider.name = chat.provider,
        gen_ai.request.model = chat.model,
        gen_ai.request.max_tokens = i64::from(chat.max_tokens),
        gen_ai.request.stream = chat.stream,
        gen_ai.response.id = Empty,
        gen_ai.response.model = Empty,
        gen_ai.response.time_to_first_chunk = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        gen_ai.usage.cache_read.input_tokens = Empty,
        gen_ai.usage.reasoning.output_tokens = Empty,
        gen_ai.system_instructions = Empty,
        gen_ai.input.messages = Empty,
        gen_ai.output.messages = Empty,
        gen_ai.tool.definitions = Empty,
        server.address = chat.address,
        server.port = i64::from(chat.port),
        billhook.breaker.state = chat.breaker,
        error.type = Empty,
    )
}

/// One call of a tool: its checks and what it reads. `tool` must be one of ours, or `unknown`.
pub fn tool(tool: &str, call: &str, step: usize) -> Span {
    info_span!(
        target: SPANS,
        "execute_tool",
        otel.name = format!("execute_tool {tool}"),
        otel.kind = "internal",
        otel.status_code = Empty,
        gen_ai.operation.name = "execute_tool",
        gen_ai.tool.name = tool,
        gen_ai.tool.type = "function",
        gen_ai.tool.call.id = word(call),
        gen_ai.tool.call.arguments = Empty,
        gen_ai.tool.call.result = Empty,
        billhook.step.seq = count(step),
        billhook.guard.decision = Empty,
        billhook.guard.rule = Empty,
        billhook.effect.key = Empty,
        billhook.effect.status = Empty,
        billhook.effect.duplicate = Empty,
        error.type = Empty,
    )
}

/// Marks a span as one that failed, and with what: a word of ours, or a status.
pub fn failed(span: &Span, error_type: &str) {
    span.record("error.type", error_type);
    span.record("otel.status_code", "error");
}

/// Notes why a model stopped: a list, which `tracing` has no type for.
pub fn finished_for(span: &Span, reason: &str) {
    if let Some(reason) = word(reason)
        && !span.is_disabled()
    {
        let reasons = vec![StringValue::from(reason.to_owned())];
        let reasons = Value::Array(Array::String(reasons));
        span.set_attribute("gen_ai.response.finish_reasons", reasons);
    }
}

/// A word that a server chose, where it is one: an id, a model's name. What has spaces or no end is content.
pub fn word(text: &str) -> Option<&str> {
    let is_word = (1..=LONGEST_WORD).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte));
    is_word.then_some(text)
}

/// A number as spans know them: the bridge makes a text of one without a sign.
pub fn count<N: TryInto<i64>>(number: N) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_calls_an_id_is_shown_only_where_it_is_a_word() {
        for shown in [
            "call_9",
            "chatcmpl-9Z",
            "qwen2.5:7b",
            "meta/llama-3",
            "tool_calls",
        ] {
            assert_eq!(word(shown), Some(shown));
        }
        let long = "x".repeat(101);
        for hidden in ["", "Dear Ada", "ada@example.com", "{\"a\":1}", &long, "ä"] {
            assert_eq!(word(hidden), None);
        }
    }

    #[test]
    fn a_span_that_nobody_wants_is_none() {
        tracing::subscriber::with_default(tracing_subscriber::registry(), || {
            assert!(!workflow("evt_1", "run_1").is_disabled(), "no filter");
        });
        tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), || {
            assert!(workflow("evt_1", "run_1").is_disabled());
            assert!(!wants_content());
        });
    }
}
