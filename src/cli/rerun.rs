//! `billhook rerun`: what would be done about an event today, beside what was done.
//!
//! It only reads: the run is decided on the rows as they are now, under today's prompts, and what it comes to is shown
//! and forgotten.

mod report;
mod words;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tokio::time::Instant;

use self::report::{Letter, Report, Side};
use super::failure::Failure;
use super::output::{Output, clean};
use super::serve::of_configuration;
use super::{Answer, Surroundings, timeline};
use crate::agent::journal::{Entry, Judged};
use crate::app::rerunning;
use crate::store::{Channel, EventRecord, RunRecord, SqlStore, Store as _};

#[derive(Debug, Args)]
pub(super) struct Rerun {
    /// The event, or one of its runs
    id: String,
    /// A folder of prompts, instead of the one that is configured
    #[arg(long, value_name = "DIR")]
    prompts: Option<PathBuf>,
    /// Who decides, instead of the model that is configured: `rules`, an endpoint of `model.endpoints`, or a model at the
    /// configured server
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
}

impl Rerun {
    pub(super) async fn run(
        self,
        around: &Surroundings,
        output: &mut Output,
    ) -> anyhow::Result<Answer> {
        let mut config = around.config()?;
        config.prompts.folder = self.prompts.or(config.prompts.folder);
        let (store, deciding) = rerunning(&config, around.clock.clone(), self.model.as_deref())
            .await
            .map_err(of_configuration)?;
        let (event, run) = find(&store, &self.id).await?;
        let Some(run) = run else {
            store.close().await;
            return nothing(&event, output);
        };
        let then = past(&store, &event, &run).await?;
        let Some((past, input)) = store.past_run(&run.id).await? else {
            return Err(missing(&self.id).into());
        };
        let deadline = Instant::now() + config.model.run_timeout;
        let clock = around.clock.as_ref();
        let decided = tokio::time::timeout_at(
            deadline,
            deciding.rerun(clock, &past, &input, deadline),
        )
        .await
        .map_err(|_elapsed| {
            Failure::Outside(
                "no model decided within `model.run_timeout`; try again later, or with `--model rules`"
                    .to_owned(),
            )
        })??;
        store.close().await;
        let report = Report {
            event: event.id,
            run: run.id,
            playbook: past.playbook,
            occurrence: run.occurrence,
            fallen: decided.fallen.clone(),
            then,
            now: Side::of_today(decided),
        };
        if output.is_json() {
            output.json(&report.json())?;
        } else {
            report.print(output)?;
        }
        Ok(Answer::Yes)
    }
}

/// The event of this id with its run, or the run of this id with its event.
async fn find(store: &Arc<SqlStore>, id: &str) -> anyhow::Result<(EventRecord, Option<RunRecord>)> {
    if let Some(event) = store.event(id).await? {
        let run = match &event.run {
            // With its journal.
            Some(run) => store.run(&run.id).await?,
            None => None,
        };
        return Ok((event, run));
    }
    let run = store.run(id).await?.ok_or_else(|| missing(id))?;
    let event = store.event(&run.event).await?;
    Ok((event.ok_or_else(|| missing(id))?, Some(run)))
}

fn missing(id: &str) -> Failure {
    Failure::No(format!(
        "there is neither an event nor a run `{id}`; `billhook events list` names the events, and `billhook events show` the run of each"
    ))
}

/// What is said of an event that nothing follows from.
fn nothing(event: &EventRecord, output: &mut Output) -> anyhow::Result<Answer> {
    let why = timeline::none(event);
    if output.is_json() {
        output
            .json(&json!({ "object": "rerun", "event": event.id, "run": null, "reason": why }))?;
    } else {
        output.line(format!("{}: {why}", clean(&event.id)))?;
    }
    Ok(Answer::Yes)
}

/// What was done.
async fn past(store: &SqlStore, event: &EventRecord, run: &RunRecord) -> anyhow::Result<Side> {
    let mut letters = Vec::new();
    // The application is told of rows, whoever decides what; and no two runs of an occurrence have one playbook.
    let own = event.messages.iter().filter(|message| {
        message.playbook.as_ref() == Some(&run.playbook) && message.channel != Channel::App.as_str()
    });
    for message in own {
        let text = store.message(&message.id).await?.and_then(|m| m.text);
        letters.push(Letter {
            channel: message.channel.clone(),
            to: message.to.clone(),
            subject: message.subject.clone(),
            text: text.unwrap_or_default(),
            status: message.status.clone(),
        });
    }
    Ok(Side::of_the_past(run, calls(run), letters))
}

/// The calls of the journal that stands, as they were judged; a step of an older version that nobody can read is left out.
fn calls(run: &RunRecord) -> Vec<Judged> {
    let stands = |step: &&serde_json::Value| {
        step.get("generation").and_then(serde_json::Value::as_i64) == Some(run.generation)
    };
    let entries = run.steps.iter().filter(stands).filter_map(|step| {
        let data = step.get("data")?.clone();
        serde_json::from_value(data).ok()
    });
    entries
        .filter_map(|entry| match entry {
            Entry::Result(judged) => Some(judged),
            Entry::Reply { .. } => None,
        })
        .collect()
}
