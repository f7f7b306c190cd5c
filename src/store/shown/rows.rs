//! From rows of the database to what is shown of them. What belongs to a row and stands in other tables is added by the
//! reader.

use serde_json::{Value, json};

use super::{EventRecord, MessageRecord, RunRecord, ToolCallRecord};
use crate::clock::Timestamp;
use crate::store::database::Row;
use crate::store::error::StoreError;
use crate::store::records::SHADOW_FROM;
use crate::store::waits::{self, Moment};

pub(in crate::store) fn count(row: &Row, column: &'static str) -> Result<u32, StoreError> {
    Ok(u32::try_from(row.int(column)?).unwrap_or(u32::MAX))
}

fn iso(time: Option<Timestamp>) -> Option<String> {
    time.map(Timestamp::iso)
}

/// JSON that billhook wrote, shown as text should it not parse.
pub(in crate::store) fn parsed(text: Option<String>) -> Value {
    text.map_or(Value::Null, |text| {
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    })
}

pub(in crate::store) fn event(row: &Row) -> Result<EventRecord, StoreError> {
    Ok(EventRecord {
        object: "event_record",
        id: row.text("id")?,
        r#type: row.text("type")?,
        account: row.text("account")?,
        livemode: row.flag("livemode")?,
        api_version: row.opt_text("api_version")?,
        created: row.time("created")?.iso(),
        received_at: row.time("received_at")?.iso(),
        status: row.text("status")?,
        attempts: count(row, "attempts")?,
        last_error: row.opt_text("last_error")?,
        stale: row.flag("stale")?,
        superseded_by: Vec::new(),
        occurrence: row.opt_text("occurrence")?,
        customer: row.opt_text("customer")?,
        waits_for: None,
        deliveries: Vec::new(),
        changes: Vec::new(),
        fetches: Vec::new(),
        run: None,
        tool_calls: Vec::new(),
        messages: Vec::new(),
        approvals: Vec::new(),
        payload: Value::Null,
    })
}

pub(in crate::store) fn run(row: &Row) -> Result<RunRecord, StoreError> {
    Ok(RunRecord {
        object: "run",
        id: row.text("id")?,
        event: row.text("event")?,
        occurrence: row.text("occurrence")?,
        playbook: row.text("playbook")?,
        status: row.text("status")?,
        reason: row.opt_text("reason")?,
        attempts: count(row, "attempts")?,
        waits_for: None,
        due_at: row.time("due_at")?.iso(),
        model: row.opt_text("model")?,
        prompt_hash: row.opt_text("prompt_hash")?,
        tools_hash: row.opt_text("tools_hash")?,
        generation: row.int("generation")?,
        steps: Vec::new(),
        usage: usage(row)?,
        cost: cost(row)?,
        started_at: iso(row.opt_time("started_at")?),
        ended_at: iso(row.opt_time("ended_at")?),
    })
}

/// What a run used so far. One that no model ever answered used what it wrote down when it ended.
fn usage(row: &Row) -> Result<Value, StoreError> {
    let replies = row.int("replies")?;
    let written = parsed(row.opt_text("usage")?);
    if replies == 0 {
        return Ok(written);
    }
    let mut usage = json!({
        "turns": replies,
        "calls": row.int("calls")?,
        "tokens": {
            "input_tokens": row.int("input_tokens")?,
            "output_tokens": row.int("output_tokens")?,
            "cached_tokens": row.int("cached_tokens")?,
            "reasoning_tokens": row.int("reasoning_tokens")?,
            "estimated": row.int("estimated")? > 0,
        },
    });
    // What a model came to that was only watched stands nowhere else.
    if let (Some(usage), Some(shadow)) = (usage.as_object_mut(), written.get("shadow")) {
        usage.insert("shadow".to_owned(), shadow.clone());
    }
    Ok(usage)
}

/// What a run cost so far; null where a price was not known, and never a part of it; null also where nothing was used.
fn cost(row: &Row) -> Result<Option<Value>, StoreError> {
    let tokens = row.int("input_tokens")? + row.int("output_tokens")?;
    if tokens == 0 || row.int("unpriced")? > 0 {
        return Ok(None);
    }
    Ok(Some(json!({
        "micros": row.int("cost")?,
        "currency": row.opt_text("cost_currency")?,
        "estimated": row.int("estimated")? > 0,
    })))
}

pub(in crate::store) fn tool_call(row: &Row) -> Result<ToolCallRecord, StoreError> {
    let shadow = row.int("seq")? >= SHADOW_FROM;
    let refused = row.text("verdict")? == "refused";
    let acts = !shadow && !refused && row.opt_text("effect_key")?.is_some();
    Ok(ToolCallRecord {
        object: "tool_call",
        id: row.text("id")?,
        run: row.text("run")?,
        event: row.text("event")?,
        tool: row.text("tool")?,
        arguments: parsed(row.opt_text("arguments")?),
        by: row.text("by")?,
        shadow,
        verdict: row.text("verdict")?,
        rule: row.opt_text("rule")?,
        reason: row.opt_text("reason")?,
        effect: if acts {
            row.opt_text("became")?
                .or_else(|| Some("intended".to_owned()))
        } else {
            None
        },
        effect_key: row.opt_text("effect_key")?,
        result: parsed(row.opt_text("result")?),
        at: row.time("at")?.iso(),
    })
}

pub(in crate::store) fn message(row: &Row, moment: Moment) -> Result<MessageRecord, StoreError> {
    let status = row.text("status")?;
    Ok(MessageRecord {
        object: "message",
        id: row.text("id")?,
        event: row.opt_text("event")?,
        occurrence: row.opt_text("occurrence")?,
        playbook: row.opt_text("playbook")?,
        channel: row.text("channel")?,
        about: row.opt_text("object")?,
        version: row.opt_int("version")?,
        to: row.opt_text("recipient")?,
        subject: row.text("subject")?,
        reason: row.opt_text("reason")?,
        message_id: row.text("message_id")?,
        attempts: count(row, "attempts")?,
        not_before: (status == "pending")
            .then(|| row.time("not_before").map(Timestamp::iso))
            .transpose()?,
        expires_at: (status == "pending")
            .then(|| row.time("expires_at").map(Timestamp::iso))
            .transpose()?,
        waits_for: waits::message(row, moment)?,
        sent_at: iso(row.opt_time("sent_at")?),
        text: None,
        status,
    })
}
