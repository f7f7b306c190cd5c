//! `billhook prompts`: the prompts in use, checked, and rendered for one event.

use std::path::PathBuf;

use billhook_tools::{Currency, Exponents, Flow, Money};
use clap::Subcommand;
use serde_json::{Value, json};

use super::failure::Failure;
use super::output::{Output, clean, clean_lines};
use super::send::recorded;
use super::{Answer, Surroundings};
use crate::agent::brief::{Dispute, trial};
use crate::agent::playbook::Playbook;
use crate::agent::prompts::{Prompts as Files, primary_language, sample_context};
use crate::config::Config;
use crate::guardrails::mandatory::rule_of;
use crate::stripe::event::Event;
use crate::stripe::view::{Family, View, view};

#[derive(Debug, Subcommand)]
pub(super) enum Prompts {
    /// List the playbooks in use
    List,
    /// Check every prompt file as `serve` does before it uses them; fail and name what is wrong
    Check {
        /// A folder of prompts, instead of the one that is configured
        folder: Option<PathBuf>,
    },
    /// Print what a model would be told about an event
    Render {
        /// The playbook
        playbook: String,
        /// A file with one recorded event
        #[arg(long, value_name = "FILE")]
        event: PathBuf,
    },
}

impl Prompts {
    pub(super) fn run(self, around: &Surroundings, output: &mut Output) -> anyhow::Result<Answer> {
        let config = around.config()?;
        let own = match &self {
            Self::Check { folder } => folder.as_deref(),
            Self::List | Self::Render { .. } => None,
        };
        let files = Files::open(own.or(config.prompts.folder.as_deref()))?;
        match self {
            Self::List => list(&files, output),
            Self::Check { .. } => check(&files, output),
            Self::Render { playbook, event } => {
                let bytes = std::fs::read(&event).map_err(|error| {
                    Failure::Usage(format!("cannot read {}: {error}", event.display()))
                })?;
                let name = event.display().to_string();
                let recorded = recorded::parse(&name, &bytes)?;
                let [recorded] = recorded.as_slice() else {
                    return Err(Failure::Usage(format!(
                        "{name} holds {} events; a prompt is rendered for one",
                        recorded.len()
                    ))
                    .into());
                };
                let event = Event::parse(&recorded.body, around.clock.now())?;
                render(&files, &playbook, &event, &config, output)
            }
        }
    }
}

fn list(files: &Files, output: &mut Output) -> anyhow::Result<Answer> {
    if output.is_json() {
        let data: Vec<_> = files
            .playbooks
            .values()
            .map(|Playbook { name, leads, stage, tools, template, .. }| {
                let print = files.prints.get(name);
                json!({
                    "name": name, "leads": leads, "stage": stage, "tools": tools, "template": template,
                    "prompt_hash": print.map(|print| &print.prompts), "tools_hash": print.map(|print| &print.tools),
                })
            })
            .collect();
        output.json(
            &json!({"object": "list", "data": data, "has_more": false, "hash": files.hash}),
        )?;
        return Ok(Answer::Yes);
    }
    let rows = files.playbooks.values().map(|playbook| {
        let leads = if playbook.leads.is_empty() {
            "a schedule".to_owned()
        } else {
            playbook.leads.join("\n")
        };
        vec![
            playbook.name.clone(),
            leads,
            playbook.tools.join("\n"),
            playbook.template.clone().unwrap_or_default(),
        ]
    });
    output.table(&["playbook", "led by", "tools", "mail template"], rows)?;
    output.line(format!("hash of all files: {}", files.hash))?;
    Ok(Answer::Yes)
}

fn check(files: &Files, output: &mut Output) -> anyhow::Result<Answer> {
    let tools = billhook_tools::all();
    let names: Vec<&str> = tools.iter().map(|tool| tool.name()).collect();
    let problems = files.check(&names);
    if output.is_json() {
        let data: Vec<_> = problems
            .iter()
            .map(|problem| json!({"file": problem.file, "what": problem.what}))
            .collect();
        output.json(&json!({"object": "prompts_check", "problems": data, "hash": files.hash}))?;
    } else if problems.is_empty() {
        output.line(format!(
            "{} playbooks and {} mail templates are in order",
            files.playbooks.len(),
            files.templates.len()
        ))?;
    } else {
        for problem in &problems {
            output.line(clean(&problem.to_string()))?;
        }
    }
    Ok(if problems.is_empty() {
        Answer::Yes
    } else {
        Answer::No
    })
}

fn render(
    files: &Files,
    playbook: &str,
    event: &Event,
    config: &Config,
    output: &mut Output,
) -> anyhow::Result<Answer> {
    files.playbook(playbook).map_err(|_unknown| {
        let names: Vec<&str> = files.playbooks.keys().map(String::as_str).collect();
        Failure::Usage(format!(
            "there is no playbook `{playbook}`; there are {}",
            names.join(", ")
        ))
    })?;
    let known = known(event, config);
    let mut context = sample_context();
    let mut samples = Vec::new();
    if let Value::Object(fields) = &mut context {
        samples.extend(
            fields
                .keys()
                .filter(|name| {
                    name.as_str() != "words" && !known.iter().any(|(known, _)| known == name)
                })
                .cloned(),
        );
        fields.extend(
            known
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
    }
    let rendered = files.render(playbook, &context)?;
    if output.is_json() {
        output.json(&json!({
            "object": "rendered_prompt",
            "playbook": playbook,
            "event": event.id,
            "prompt_hash": files.print(playbook)?.prompts,
            "samples": samples,
            "messages": [
                {"role": "system", "content": rendered.system},
                {"role": "user", "content": rendered.instructions},
            ],
        }))?;
        return Ok(Answer::Yes);
    }
    output.line(format!("from {}:", clean(&event.id)))?;
    for (name, value) in &known {
        output.line(format!("  {name} = {}", clean(&value.to_string())))?;
    }
    output.line(format!(
        "samples, because only the database could tell: {}",
        samples.join(", ")
    ))?;
    output.line(format!(
        "\n--- system ---\n{}",
        clean_lines(&rendered.system).trim_end()
    ))?;
    output.line(format!(
        "\n--- user ---\n{}",
        clean_lines(&rendered.instructions).trim_end()
    ))?;
    Ok(Answer::Yes)
}

/// What the event itself tells of a prompt's context.
fn known(event: &Event, config: &Config) -> Vec<(&'static str, Value)> {
    let mut known = vec![("event_type", json!(event.kind))];
    let family = rule_of(&event.kind).map(|rule| rule.family);
    let fields = family.map_or_else(View::default, |family| view(family, &event.object));
    let amount_field = match family {
        Some(Family::Invoice) if event.kind == "invoice.overpaid" => "amount_overpaid",
        Some(Family::Invoice) => "amount_due",
        _ => "amount",
    };
    let flow = if family == Some(Family::Payout) {
        Flow::Payout
    } else {
        Flow::Charge
    };
    if family == Some(Family::Dispute) {
        known.push(("dispute", json!(Dispute::word(&fields))));
    }
    if family == Some(Family::Subscription) {
        known.push(("trial", json!(trial::word(&fields, None))));
    }
    let locale = config.business.locale.clone();
    let amount = fields
        .int(amount_field)
        .zip(
            fields
                .text("currency")
                .and_then(|code| Currency::new(code).ok()),
        )
        .map(|(minor, currency)| Money::new(minor, currency));
    if let Some(amount) = amount {
        let exponents = exponents(config);
        let code = amount.currency.as_str().to_owned();
        let threshold = i64::try_from(config.sales.high_value.threshold(&code)).unwrap_or(i64::MAX);
        known.push(("amount", json!(amount.display(flow, &locale, &exponents))));
        known.push((
            "high_value",
            json!(amount.exceeds_major(threshold, &exponents)),
        ));
        if let Some(exponent) = exponents.of(amount.currency) {
            known.push(("amount_major", json!(major(amount.amount, exponent))));
        }
        known.push(("currency", json!(code)));
    }
    if let Some(attempts) = fields.int("attempt_count") {
        known.push(("attempt_count", json!(attempts)));
    }
    if fields.is_present("next_payment_attempt") {
        let again = fields.int("next_payment_attempt").is_some();
        known.push(("next_payment_attempt", json!(again)));
    }
    if !config.business.name.is_empty() {
        known.push(("business_name", json!(config.business.name)));
    }
    known.push(("language", json!(primary_language(&locale))));
    known.push(("locale", json!(locale)));
    known.push((
        "winback_days",
        json!((config.winback.delay.as_secs() / 86_400).clamp(1, 90)),
    ));
    known
}

fn exponents(config: &Config) -> Exponents {
    config
        .money
        .exponents
        .iter()
        .fold(Exponents::stripe(), |exponents, (code, exponent)| {
            // The configuration was checked when it was read; a code that is none changes nothing.
            exponents
                .clone()
                .with_override(code, u32::from(*exponent))
                .unwrap_or(exponents)
        })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "shown to a model and in conditions of a prompt; thresholds are compared exactly"
)]
fn major(minor: i64, exponent: u32) -> f64 {
    minor as f64 / 10_f64.powi(i32::try_from(exponent).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn what_the_event_tells_takes_the_place_of_samples() {
        let body = json!({
            "id": "evt_1", "type": "invoice.payment_failed", "created": 1,
            "data": {"object": {"id": "in_1", "object": "invoice", "amount_due": 120_000, "currency": "jpy",
                "attempt_count": 2, "next_payment_attempt": null}}
        });
        let event = Event::parse(body.to_string().as_bytes(), Timestamp(0)).unwrap();
        let known = known(&event, &Config::defaults().unwrap());
        let get = |name: &str| {
            known
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.clone())
        };
        assert_eq!(get("amount_major"), Some(json!(120_000.0)));
        assert_eq!(get("high_value"), Some(json!(true)));
        assert_eq!(get("attempt_count"), Some(json!(2)));
        assert_eq!(get("next_payment_attempt"), Some(json!(false)));
        assert_eq!(get("recipient"), None);
    }
}
