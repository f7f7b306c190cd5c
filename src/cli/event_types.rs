//! `billhook events types`: what is handled, and which state of an object may follow which.

use serde_json::{Value, json};

use super::output::Output;
use super::{Answer, Surroundings};
use crate::agent::prompts::Prompts;
use crate::guardrails::mandatory::lattice::{LATTICES, Lattice, Measure, State};
use crate::guardrails::mandatory::{RULES, Rule};

pub(super) fn print(around: &Surroundings, output: &mut Output) -> anyhow::Result<Answer> {
    let prompts = Prompts::open(around.config()?.prompts.folder.as_deref())?;
    let leads = |rule: &Rule| {
        prompts
            .led_by(rule.event_type)
            .map(|book| book.name.clone())
    };
    if output.is_json() {
        let data: Vec<Value> = RULES
            .iter()
            .map(|rule| {
                json!({
                    "type": rule.event_type,
                    "object": rule.family.as_str(),
                    "keeps_state": rule.keeps_row,
                    "playbook": leads(rule),
                })
            })
            .collect();
        let states: Vec<Value> = LATTICES.iter().map(lattice).collect();
        output.json(&json!({
            "object": "list", "data": data, "has_more": false, "states": states,
        }))?;
        return Ok(Answer::Yes);
    }
    let row = |rule: &Rule| {
        let kept = if rule.keeps_row {
            "its row and links"
        } else {
            "links only"
        };
        vec![
            rule.event_type.to_owned(),
            rule.family.to_string(),
            kept.to_owned(),
            leads(rule).unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = RULES.iter().map(row).collect();
    output.names(&["type", "object", "state kept", "may lead to"], &rows)?;
    output.line("")?;
    output.line("Which state may follow which:")?;
    for lattice in LATTICES {
        output.line("")?;
        output.line(heading(lattice))?;
        let row = |state: &State| vec![state.name.to_owned(), state.next.join(", "), remark(state)];
        let rows: Vec<_> = lattice.states.iter().map(row).collect();
        output.names(&["state", "next", ""], &rows)?;
    }
    Ok(Answer::Yes)
}

fn heading(lattice: &Lattice) -> String {
    if lattice.measures.is_empty() {
        return lattice.family.to_string();
    }
    let measures: Vec<String> = lattice.measures.iter().map(measure).collect();
    format!(
        "{} (within one second the later one has: {})",
        lattice.family,
        measures.join("; then ")
    )
}

fn measure(measure: &Measure) -> String {
    match measure {
        Measure::State => "the further state".to_owned(),
        Measure::Number(field) => format!("the greater {field}"),
        Measure::Flag(field) => (*field).to_owned(),
        Measure::Present(field) => format!("any {field}"),
        Measure::Not(field, value) => format!("a {field} other than {value}"),
    }
}

fn remark(state: &State) -> String {
    let mut remarks = Vec::new();
    if state.absorbs {
        remarks.push("final, whatever is told later".to_owned());
    }
    if !state.corrections.is_empty() {
        remarks.push(format!(
            "Stripe may correct itself: {}",
            state.corrections.join(", ")
        ));
    }
    remarks.join("; ")
}

fn lattice(lattice: &Lattice) -> Value {
    let states: Vec<Value> = lattice
        .states
        .iter()
        .map(|state| {
            json!({
                "state": state.name,
                "next": state.next,
                "corrections": state.corrections,
                "final": state.absorbs,
                "rank": state.rank,
            })
        })
        .collect();
    let measures: Vec<String> = lattice.measures.iter().map(measure).collect();
    json!({
        "object": lattice.family.as_str(),
        "states": states,
        "within_one_second": measures,
    })
}
