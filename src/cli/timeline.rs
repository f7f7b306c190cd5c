//! An event's story for a person: received, applied, what follows, and what a follow-up still waits for.

mod modes;

use serde_json::Value;

use super::outbox::{recipient, why};
use super::output::{Output, clean};
use crate::clock::Timestamp;
use crate::config::Micros;
use crate::store::{EventRecord, FetchRecord, MessageRecord, RunRecord, ToolCallRecord};
use crate::stripe::text::clip;

/// The longest value that is shown on one line.
const MAX_VALUE_CHARS: usize = 120;

/// A stored time to the second, as people read it.
pub(super) fn short(iso: &str) -> String {
    parse(iso).map_or_else(
        || clean(iso),
        |time| {
            Timestamp::from_seconds(time.seconds())
                .iso()
                .replace('T', " ")
        },
    )
}

fn parse(iso: &str) -> Option<Timestamp> {
    let moment: jiff::Timestamp = iso.parse().ok()?;
    Some(Timestamp(moment.as_microsecond()))
}

/// As much of a hash as tells two apart.
pub(super) fn short_hash(hash: Option<&str>) -> String {
    clean(clip(hash.unwrap_or("unknown"), 12))
}

/// A JSON value without quotes where it is text.
pub(super) fn plain(value: &Value) -> String {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    clean(clip(&text, MAX_VALUE_CHARS))
}

/// Prints the whole story.
pub(super) fn print(event: &EventRecord, output: &mut Output) -> anyhow::Result<()> {
    let mode = if event.livemode { "live" } else { "test" };
    output.line(format!(
        "{}  {}  {}",
        clean(&event.id),
        clean(&event.r#type),
        event.status
    ))?;
    output.line(format!(
        "account {}, {mode} mode, customer {}, API version {}",
        clean(&event.account),
        clean(event.customer.as_deref().unwrap_or("none")),
        clean(event.api_version.as_deref().unwrap_or("unknown")),
    ))?;
    output.line("")?;
    output.line(format!("{}  created at Stripe", short(&event.created)))?;
    for (number, delivery) in event.deliveries.iter().enumerate() {
        let text = |field: &str| delivery.get(field).map(plain).unwrap_or_default();
        let again = if number == 0 {
            ""
        } else {
            " again, and answered as a duplicate"
        };
        output.line(format!(
            "{}  received{again}, at endpoint {}",
            short(&text("received_at")),
            text("endpoint")
        ))?;
    }
    applied(event, output)?;
    for fetch in &event.fetches {
        output.line(asked(fetch))?;
    }
    output.line("")?;
    match &event.run {
        Some(run) => follow_up(event, run, output),
        None => output.line(none(event)),
    }
}

fn applied(event: &EventRecord, output: &mut Output) -> anyhow::Result<()> {
    if event.status == "ignored" {
        let why = event.last_error.as_deref();
        return output.line(format!(
            "ignored: {}",
            clean(why.unwrap_or("nobody handles it"))
        ));
    }
    // Of an applied event it is the follow-up that waits; it says so below.
    if let Some(waits) = event
        .waits_for
        .as_deref()
        .filter(|_| event.status != "applied")
    {
        output.line(format!("{}: {}", event.status, clean(waits)))?;
    }
    if event.changes.is_empty() {
        if matches!(event.status.as_str(), "applied" | "done") {
            output.line(match &event.last_error {
                Some(remark) => format!("applied: {}", clean(remark)),
                None if event.stale => {
                    "applied: everything it says was known, or known better".to_owned()
                }
                None => "applied: no field changed".to_owned(),
            })?;
        }
        return superseded(event, output);
    }
    output.line("applied by rule:")?;
    for change in &event.changes {
        let text = |field: &str| change.get(field).map(plain).unwrap_or_default();
        output.line(format!(
            "  {} {}: {} {} -> {}  ({})",
            text("entity"),
            text("id"),
            text("field"),
            text("from"),
            text("to"),
            text("rule")
        ))?;
    }
    superseded(event, output)
}

/// Which events say better what this one says.
fn superseded(event: &EventRecord, output: &mut Output) -> anyhow::Result<()> {
    for better in &event.superseded_by {
        output.line(format!(
            "  {} stands: {} ({}) {}",
            clean(&better.fields.join(", ")),
            clean(&better.event),
            clean(&better.r#type),
            clean(&better.because)
        ))?;
    }
    Ok(())
}

/// What Stripe was asked, why, and what came of it.
fn asked(fetch: &FetchRecord) -> String {
    let why = match fetch.reason.as_str() {
        "tie" => "two events of one second say different things of it",
        "list" => "a list in it was cut short",
        "links" => "nothing links its invoice and its payment",
        "thin" => "a thin event only names its object",
        other => other,
    };
    let error = || clean(fetch.last_error.as_deref().unwrap_or("no reason is known"));
    let at = |time: &Option<String>| time.as_deref().map(short).unwrap_or_default();
    let about = format!("{} {}, because {why}", clean(&fetch.kind), clean(&fetch.id));
    if let Some(waits) = &fetch.waits_for {
        return format!("question to Stripe about {about}: {}", clean(waits));
    }
    let came = match fetch.status.as_str() {
        "done" => format!("answered at {}", at(&fetch.ended_at)),
        "gone" => "Stripe has no such object any more".to_owned(),
        "given_up" => format!("given up ({})", error()),
        other => other.to_owned(),
    };
    format!("asked Stripe about {about}: {came}")
}

/// Why nothing follows.
pub(super) fn none(event: &EventRecord) -> &'static str {
    match event.status.as_str() {
        "pending" | "retrying" => "what follows is decided when it is applied",
        "ignored" | "dead" => "nothing follows from it",
        _ if event.occurrence.is_some() => {
            "no follow-up: it only confirms what another event leads, or it was older than `follow_up.max_age` when it came"
        }
        _ => "no follow-up: it changes state and asks for nothing else",
    }
}

fn follow_up(event: &EventRecord, run: &RunRecord, output: &mut Output) -> anyhow::Result<()> {
    output.line(format!(
        "follow-up {} by playbook {}: {}",
        clean(&run.id),
        clean(&run.playbook),
        run.status
    ))?;
    output.line(format!("  about {}", clean(&run.occurrence)))?;
    if run.event != event.id {
        output.line(format!(
            "  led by {}, which tells the same fact",
            clean(&run.event)
        ))?;
    }
    if let Some(waits) = &run.waits_for {
        output.line(format!("  {}", clean(waits)))?;
    }
    // While it waits, what it waits for says why.
    if let Some(reason) = run.reason.as_ref().filter(|_| run.ended_at.is_some()) {
        output.line(format!("  because: {}", clean(reason)))?;
    }
    if let Some(model) = &run.model {
        output.line(format!(
            "  decided by {}, prompts {}, tools {}",
            clean(model),
            short_hash(run.prompt_hash.as_deref()),
            short_hash(run.tools_hash.as_deref()),
        ))?;
    }
    if let Some(used) = used(run) {
        output.line(format!("  {used}"))?;
    }
    if let (Some(started), Some(ended)) = (&run.started_at, &run.ended_at) {
        output.line(format!(
            "  {} to {}, {} steps",
            short(started),
            short(ended),
            run.steps.len()
        ))?;
    }
    for call in &event.tool_calls {
        output.line(format!("  {}", describe(call)))?;
    }
    for line in modes::shadow(&run.usage, &event.tool_calls) {
        output.line(format!("  {line}"))?;
    }
    for approval in &event.approvals {
        output.line(format!("  {}", modes::held(approval)))?;
    }
    if !event.tool_calls.is_empty() && nobody_to_write_to(&event.tool_calls) {
        output.line("  nobody could be written to: the customer has no address on file, or it is on the suppression list")?;
    }
    for message in &event.messages {
        output.line(format!("  {}", describe_message(message)))?;
    }
    if event.tool_calls.is_empty() && run.status == "done" {
        output.line("  nothing was owed and nothing was asked for")?;
    }
    Ok(())
}

/// What a run used of a model, where one answered.
fn used(run: &RunRecord) -> Option<String> {
    let tokens = run.usage.get("tokens")?;
    let count = |field: &str| tokens.get(field).and_then(Value::as_u64).unwrap_or(0);
    let (read, written) = (count("input_tokens"), count("output_tokens"));
    if read + written == 0 {
        return None;
    }
    let about = if tokens.get("estimated").and_then(Value::as_bool) == Some(true) {
        "about "
    } else {
        ""
    };
    let cost = run.cost.as_ref().and_then(|cost| {
        let micros = Micros(cost.get("micros")?.as_i64()?);
        Some(format!("{about}{micros} {}", plain(cost.get("currency")?)))
    });
    Some(format!(
        "used {about}{read} tokens read ({} cached) and {written} written ({} on reasoning), cost {}",
        count("cached_tokens"),
        count("reasoning_tokens"),
        cost.as_deref().unwrap_or("unknown: a price is missing"),
    ))
}

/// Whether a mail was refused for want of an address.
pub(super) fn nobody_to_write_to(calls: &[ToolCallRecord]) -> bool {
    calls
        .iter()
        .any(|call| call.rule.as_deref() == Some("no_recipient"))
}

fn describe(call: &ToolCallRecord) -> String {
    let whose = if call.shadow { " in shadow" } else { "" };
    let (tool, by) = (clean(&call.tool), &call.by);
    let mut verdict = format!("{tool} by {by}{whose}: {}", call.verdict);
    if let Some(rule) = &call.rule {
        verdict = format!("{verdict} by rule {}", clean(rule));
    }
    let parts = [
        Some(verdict),
        call.reason.as_deref().map(clean),
        call.effect
            .as_ref()
            .map(|effect| format!("effect {effect}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!("{}  {}", short(&call.at), parts.join(", "))
}

fn describe_message(message: &MessageRecord) -> String {
    let status = match &message.sent_at {
        Some(sent) => format!("{} at {}", message.status, short(sent)),
        None => message.status.clone(),
    };
    let parts = [Some(status), why(message)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!(
        "message {} to {} \"{}\": {}",
        clean(&message.id),
        recipient(message),
        clean(&message.subject),
        parts.join(", ")
    )
}

#[cfg(test)]
mod tests;
