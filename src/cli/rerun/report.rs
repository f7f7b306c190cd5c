//! What was done beside what would be done: compared, and shown to people and programs. Pure but for the printing.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::words::Marks;
use crate::agent::journal::Judged;
use crate::cli::output::{Output, clean, clean_lines};
use crate::cli::timeline::short_hash;
use crate::store::{Action, RunRecord};
use crate::worker::Rerun;

/// What stands in a cell of whom there is nothing of.
const NONE: &str = "-";

/// A message as it left, or would leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Letter {
    pub(super) channel: String,
    pub(super) to: Option<String>,
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) status: String,
}

/// A call as it was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Call {
    tool: String,
    by: &'static str,
    verdict: &'static str,
    rule: Option<String>,
    reason: Option<String>,
    arguments: Value,
}

/// One of the two that are compared.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Side {
    status: String,
    model: Option<String>,
    prompt_hash: Option<String>,
    tools_hash: Option<String>,
    turns: Value,
    tokens: Value,
    /// Money, where it is known.
    cost: Option<Value>,
    calls: Vec<Call>,
    messages: Vec<Letter>,
    /// What else would be written: schedules and holds, as they were proposed.
    effects: Vec<Value>,
}

impl Side {
    /// What was done.
    pub(super) fn of_the_past(run: &RunRecord, calls: Vec<Judged>, messages: Vec<Letter>) -> Self {
        let usage = |field: &str| run.usage.get(field).cloned().unwrap_or_default();
        Self {
            status: run.status.clone(),
            model: run.model.clone(),
            prompt_hash: run.prompt_hash.clone(),
            tools_hash: run.tools_hash.clone(),
            turns: usage("turns"),
            tokens: usage("tokens"),
            cost: run.cost.clone(),
            messages,
            effects: effects(&calls),
            calls: calls.into_iter().map(Call::from).collect(),
        }
    }

    /// What would be done.
    pub(super) fn of_today(decided: Rerun) -> Self {
        let letter = |action: &Action| match action {
            Action::Send(message) => Some(Letter {
                channel: message.channel.as_str().to_owned(),
                to: message.recipient.clone(),
                subject: message.subject.clone(),
                text: message.text.clone(),
                status: "not written".to_owned(),
            }),
            Action::Schedule { .. }
            | Action::Hold { .. }
            | Action::Release { .. }
            | Action::Await(_) => None,
        };
        let used = decided.usage.input_tokens + decided.usage.output_tokens;
        Self {
            status: "done".to_owned(),
            model: Some(decided.model),
            prompt_hash: Some(decided.print.prompts),
            tools_hash: Some(decided.print.tools),
            turns: decided.turns.into(),
            tokens: json!(decided.usage),
            cost: decided.cost.filter(|_| used > 0).map(|(cost, currency)| {
                json!({ "micros": cost.0, "currency": currency, "estimated": decided.usage.estimated })
            }),
            messages: decided
                .effects
                .iter()
                .filter_map(|effect| letter(&effect.action))
                .collect(),
            effects: effects(&decided.calls),
            calls: decided.calls.into_iter().map(Call::from).collect(),
        }
    }
}

impl From<Judged> for Call {
    fn from(judged: Judged) -> Self {
        let (rule, reason) = judged.refused.unzip();
        Self {
            by: if judged.by_rules { "rules" } else { "model" },
            verdict: if rule.is_some() { "refused" } else { "allowed" },
            tool: judged.call.name,
            rule,
            reason,
            // As the tool calls of the API: what is no JSON is shown as the text that it is.
            arguments: serde_json::from_str(&judged.call.arguments)
                .unwrap_or(Value::String(judged.call.arguments)),
        }
    }
}

/// Proposals that become no message, each once.
fn effects(calls: &[Judged]) -> Vec<Value> {
    let mut seen = BTreeMap::new();
    for (key, proposal) in calls.iter().filter_map(|judged| judged.proposal.as_ref()) {
        let is_message =
            ["send_email", "notify_sales", "notify_finance"].contains(&proposal.tool());
        if !is_message && !seen.contains_key(key) {
            seen.insert(key.clone(), (seen.len(), json!(proposal)));
        }
    }
    let mut effects: Vec<(usize, Value)> = seen.into_values().collect();
    effects.sort_by_key(|(at, _)| *at);
    effects.into_iter().map(|(_, effect)| effect).collect()
}

/// Both, and what they are about.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) event: String,
    pub(super) run: String,
    pub(super) playbook: String,
    pub(super) occurrence: String,
    /// Why nobody would be asked today.
    pub(super) fallen: Option<String>,
    pub(super) then: Side,
    pub(super) now: Side,
}

impl Report {
    /// What differs in what is done, in words for programs: `calls`, `messages`, `effects`.
    fn differences(&self) -> Vec<&'static str> {
        let (then, now) = (&self.then, &self.now);
        let bare = |side: &Side| -> Vec<(String, Option<String>, String, String)> {
            let letters = side.messages.iter().cloned();
            letters
                .map(|l| (l.channel, l.to, l.subject, l.text))
                .collect()
        };
        let mut differences = Vec::new();
        if then.calls != now.calls {
            differences.push("calls");
        }
        if bare(then) != bare(now) {
            differences.push("messages");
        }
        if then.effects != now.effects {
            differences.push("effects");
        }
        differences
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "object": "rerun",
            "event": self.event,
            "run": self.run,
            "playbook": self.playbook,
            "occurrence": self.occurrence,
            "would_be_skipped": self.fallen,
            "differences": self.differences(),
            "then": self.then,
            "now": self.now,
        })
    }

    /// For people.
    pub(super) fn print(&self, output: &mut Output) -> anyhow::Result<()> {
        let marks = Marks::new(output.has_colours());
        let (then, now) = (&self.then, &self.now);
        output.line(format!(
            "{} of {} by playbook {}: what was done, and what would be done on what is known today",
            clean(&self.run),
            clean(&self.event),
            clean(&self.playbook)
        ))?;
        if let Some(reason) = &self.fallen {
            output.line(format!(
                "today `serve` would skip it: {}. It is decided all the same",
                clean(reason)
            ))?;
        }
        output.line("")?;
        output.table(&["", "then", "now"], self.heads())?;
        output.line("")?;
        let calls = pairs(&then.calls, &now.calls, |call| call.tool.clone());
        let rows = calls.into_iter().map(|(tool, then, now)| {
            let cell = |call: Option<&Call>| call.map_or_else(|| NONE.to_owned(), Call::in_words);
            vec![clean(&tool), cell(then), cell(now)]
        });
        output.table(&["call", "then", "now"], rows)?;
        for (channel, then, now) in pairs(&then.messages, &now.messages, |l| l.channel.clone()) {
            output.line(format!("\n{}", about(&channel, then, now)))?;
            let part = |letter: Option<&Letter>, part: fn(&Letter) -> &String| {
                letter.map_or_else(String::new, |letter| clean_lines(part(letter)))
            };
            let to = |letter: &Letter| letter.to.clone().unwrap_or_default();
            let (was, is) = (then.map(to), now.map(to));
            if was != is && (was.is_some() && is.is_some()) {
                let was = clean(&was.unwrap_or_default());
                let is = clean(&is.unwrap_or_default());
                output.line(format!("  to {}", marks.difference(&was, &is)))?;
            }
            let difference = |of: fn(&Letter) -> &String| {
                marks.difference(part(then, of).trim_end(), part(now, of).trim_end())
            };
            output.line(indented(&difference(|letter| &letter.subject)))?;
            output.line("")?;
            output.line(indented(&difference(|letter| &letter.text)))?;
        }
        for (_, then, now) in pairs(&then.effects, &now.effects, kind) {
            let text = |effect: Option<&Value>| effect.map_or_else(String::new, in_words);
            output.line(format!("\n{}", marks.difference(&text(then), &text(now))))?;
        }
        let differences = self.differences();
        output.line(if differences.is_empty() {
            "\nthe same would be done; nothing was written".to_owned()
        } else {
            format!(
                "\nnot the same: {}; nothing was written",
                differences.join(", ")
            )
        })
    }

    fn heads(&self) -> Vec<Vec<String>> {
        let row = |name: &str, of: &dyn Fn(&Side) -> String| {
            vec![name.to_owned(), of(&self.then), of(&self.now)]
        };
        let word = |text: Option<&String>| text.map_or_else(|| NONE.to_owned(), |text| clean(text));
        let mut rows = vec![
            row("status", &|side| clean(&side.status)),
            row("decided by", &|side| word(side.model.as_ref())),
            row("prompts", &|side| short_hash(side.prompt_hash.as_deref())),
            row("tools", &|side| short_hash(side.tools_hash.as_deref())),
            row("turns", &|side| plain(&side.turns)),
            row("tokens", &|side| tokens(&side.tokens)),
        ];
        if self.then.cost.is_some() || self.now.cost.is_some() {
            rows.push(row("cost", &|side| {
                side.cost.as_ref().map_or_else(|| NONE.to_owned(), plain)
            }));
        }
        rows
    }
}

impl Call {
    fn in_words(&self) -> String {
        let by = format!("{}, by the {}", self.verdict, self.by);
        let why = [self.rule.as_deref(), self.reason.as_deref()];
        let why: Vec<String> = why.into_iter().flatten().map(clean).collect();
        if why.is_empty() {
            by
        } else {
            format!("{by}: {}", why.join(": "))
        }
    }
}

/// What is of one kind on both sides, side by side: the first beside the first, and so on, in the order of the left.
fn pairs<'a, T>(
    then: &'a [T],
    now: &'a [T],
    kind: impl Fn(&T) -> String,
) -> Vec<(String, Option<&'a T>, Option<&'a T>)> {
    let mut rest: Vec<Option<&T>> = now.iter().map(Some).collect();
    let mut pairs = Vec::new();
    for one in then {
        let of = kind(one);
        let other = rest
            .iter_mut()
            .find(|other| other.is_some_and(|other| kind(other) == of))
            .and_then(Option::take);
        pairs.push((of, Some(one), other));
    }
    pairs.extend(
        rest.into_iter()
            .flatten()
            .map(|one| (kind(one), None, Some(one))),
    );
    pairs
}

/// What a message is, and whether there was or would be one.
fn about(channel: &str, then: Option<&Letter>, now: Option<&Letter>) -> String {
    let what = match channel {
        "email" => "mail to the customer".to_owned(),
        other => format!("notice to {}", clean(other)),
    };
    match (then, now) {
        (Some(letter), None) => format!("{what} ({}), which would not be written:", letter.status),
        (None, Some(_)) => format!("{what}, which was not written then:"),
        (Some(then), Some(now)) if (&then.subject, &then.text) == (&now.subject, &now.text) => {
            format!("{what} ({}), word for word the same:", then.status)
        }
        (Some(then), _) => format!("{what} ({}), in other words:", then.status),
        (None, None) => what,
    }
}

fn kind(effect: &Value) -> String {
    effect.get("kind").map(plain).unwrap_or_default()
}

/// A proposal as `kind field=value …`.
fn in_words(effect: &Value) -> String {
    let fields = effect.as_object().into_iter().flatten();
    let fields = fields
        .filter(|(name, _)| *name != "kind")
        .map(|(name, value)| format!(" {name}={}", plain(value)));
    format!("{}{}", kind(effect), fields.collect::<String>())
}

fn tokens(tokens: &Value) -> String {
    let count = |field: &str| tokens.get(field).and_then(Value::as_u64);
    match (count("input_tokens"), count("output_tokens")) {
        (Some(read), Some(written)) => format!("{read} read, {written} written"),
        _ => NONE.to_owned(),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => NONE.to_owned(),
        other => crate::cli::timeline::plain(other),
    }
}

fn indented(text: &str) -> String {
    let lines = text.lines().map(|line| format!("  {line}"));
    let lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests;
