//! The demo as a person reads it: one row per event, then what went out and what is still to come.

use super::play::{Played, Scene};
use crate::cli::output::{Output, clean};
use crate::cli::timeline::plain;
use crate::store::EventRecord;

/// Fields that say what happened to a row better than all others.
const TELLING: [&str; 3] = ["status", "state", "deleted"];

pub(super) fn print(played: &Played, output: &mut Output) -> anyhow::Result<()> {
    output.table(
        &[
            "time",
            "event",
            "HTTP",
            "what changed",
            "follow-up",
            "refused",
        ],
        played.scenes.iter().map(row),
    )?;
    let deciders: Vec<&str> = played.deciders().into_iter().collect();
    let hint = if deciders == ["rules"] {
        " (the built-in ones: no model was asked)"
    } else {
        ""
    };
    output.line(format!(
        "\nfollow-ups were decided by: {}{hint}",
        clean(&deciders.join(", "))
    ))?;
    output.line("\nmails written:")?;
    for mail in &played.mails {
        output.line(format!("  {}", clean(&mail.file)))?;
        if let Some(message) = &mail.message {
            output.line(format!(
                "    to {}: {}",
                clean(message.to.as_deref().unwrap_or_default()),
                clean(&message.subject)
            ))?;
        }
    }
    output.line("\nfor sales and finance, kept in the outbox because no channel is configured:")?;
    for notice in &played.notices {
        let text = notice.text.as_deref().unwrap_or_default();
        let lines: Vec<String> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(clean)
            .collect();
        let team = clean(&notice.channel);
        output.line(format!("  {team}: {}", lines.join(" | ")))?;
    }
    output.line("\nscheduled:")?;
    for schedule in &played.schedules {
        output.line(format!(
            "  in {} days: a win-back mail to {}, unless the customer is back by then",
            schedule.days,
            clean(&schedule.customer)
        ))?;
    }
    Ok(())
}

fn row(scene: &Scene) -> Vec<String> {
    let time = scene
        .at
        .split_once('T')
        .map_or(scene.at.as_str(), |(_, time)| time);
    let time = time.split('.').next().unwrap_or_default();
    let answer = if scene.http == 200 {
        scene.answer.as_str()
    } else {
        ""
    };
    let (changed, follow_up, refused) = match scene.own_record() {
        Some(record) => (changed(record), follow_up(record), refused(record)),
        None if scene.http == 200 => (
            "nothing: this event was known".to_owned(),
            "nothing is done twice".to_owned(),
            String::new(),
        ),
        None => (
            "nothing: not stored".to_owned(),
            String::new(),
            scene.answer.clone(),
        ),
    };
    vec![
        time.trim_end_matches('Z').to_owned(),
        format!("{}\n{}", scene.r#type, scene.id),
        format!("{}\n{answer}", scene.http),
        changed,
        follow_up,
        refused,
    ]
}

fn changed(record: &EventRecord) -> String {
    if record.status == "ignored" {
        return "nothing: stored and ignored".to_owned();
    }
    if record.stale {
        return "nothing: older than what is known".to_owned();
    }
    let field =
        |change: &serde_json::Value, name: &str| change.get(name).map(plain).unwrap_or_default();
    let mut rows: Vec<(String, String)> = Vec::new();
    for change in &record.changes {
        let name = format!("{} {}", field(change, "entity"), field(change, "id"));
        let telling = TELLING.contains(&field(change, "field").as_str());
        let (from, to) = (field(change, "from"), field(change, "to"));
        let words = match (telling, from.as_str()) {
            (false, _) => String::new(),
            (true, "null") => to,
            (true, _) => format!("{from} -> {to}"),
        };
        match rows.iter_mut().find(|(known, _)| *known == name) {
            Some((_, said)) if said.is_empty() => *said = words,
            Some(_) => {}
            None => rows.push((name, words)),
        }
    }
    if rows.is_empty() {
        return "nothing".to_owned();
    }
    let lines: Vec<String> = rows
        .into_iter()
        .map(|(name, words)| {
            if words.is_empty() {
                name
            } else {
                format!("{name}: {words}")
            }
        })
        .collect();
    lines.join("\n")
}

fn follow_up(record: &EventRecord) -> String {
    let Some(run) = &record.run else {
        return String::new();
    };
    if run.event != record.id {
        return format!("with {}", run.event);
    }
    let mut lines = vec![match run.status.as_str() {
        "done" => run.playbook.clone(),
        status => format!("{}: {status}", run.playbook),
    }];
    for call in record
        .tool_calls
        .iter()
        .filter(|call| call.verdict != "refused")
    {
        lines.push(format!("{} {}", call.tool, call.verdict));
    }
    if record.tool_calls.is_empty() && run.status == "done" {
        lines.push("nothing owed".to_owned());
    }
    lines.join("\n")
}

fn refused(record: &EventRecord) -> String {
    if record.run.as_ref().is_none_or(|run| run.event != record.id) {
        return String::new();
    }
    let lines: Vec<String> = record
        .tool_calls
        .iter()
        .filter(|call| call.verdict == "refused")
        .map(|call| {
            // The reason names its rule; the rest of it is advice to a model.
            let reason = call.reason.as_deref().unwrap_or_default();
            let short = reason.split([';', ',']).next().unwrap_or_default();
            match call.rule.as_deref() {
                Some(rule) if !short.starts_with(rule) => {
                    format!("{}: {rule}, {short}", call.tool)
                }
                _ => format!("{}: {short}", call.tool),
            }
        })
        .collect();
    lines.join("\n")
}
