//! One follow-up from its claim to its finishing transaction: read, test, run the agent, prepare what its proposals
//! write, finish.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::budget::StoreBudget;
use super::journal::StoreJournal;
use crate::agent::brief::{Brief, Settings, Subject};
use crate::agent::budget::{Budget, Budgets};
use crate::agent::journal::{Decided, Entry, JournalError};
use crate::agent::model::Model;
use crate::agent::prompts::{Prompts, PromptsError};
use crate::agent::rules::Rules;
use crate::agent::run::{Run, RunError};
use crate::clock::Clock;
use crate::facts::StoreFacts;
use crate::guardrails::precondition::{Purpose, fallen};
use crate::store::{Channel, ClaimedRun, Finish, NewEffect, RunInput, Store, StoreError};

/// Everything that decisions are made with.
pub struct Deciding {
    /// The model, or the rules.
    pub model: Arc<dyn Model>,
    /// What the model may cost.
    pub budgets: Budgets,
    /// Playbooks and templates.
    pub prompts: Arc<Prompts>,
    /// What the configuration says.
    pub settings: Settings,
    /// What tools read.
    pub facts: Arc<StoreFacts>,
    /// The sender's address: its domain is every Message-ID's.
    pub from: String,
    /// Why notices of a channel cannot leave, where no way is configured.
    pub no_way: BTreeMap<Channel, String>,
}

/// Why a run was not finished.
#[derive(Debug)]
pub(super) enum Undecided {
    /// Another worker has it.
    Fenced,
    /// The process is about to end.
    Stopped,
    /// The prompts are not those its journal was written with.
    Outdated,
    /// The model is away.
    Deferred {
        /// Why.
        reason: String,
        /// When it asked to be tried again.
        retry_after: Option<Duration>,
    },
    /// Something failed.
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl From<StoreError> for Undecided {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Fenced => Self::Fenced,
            other => Self::Failed(Box::new(other)),
        }
    }
}

impl From<PromptsError> for Undecided {
    fn from(error: PromptsError) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl Deciding {
    /// Decides a claimed run and finishes it; says in which status.
    pub(super) async fn decide(
        &self,
        store: &dyn Store,
        clock: &dyn Clock,
        run: &ClaimedRun,
        deadline: Instant,
    ) -> Result<&'static str, Undecided> {
        let purpose = Purpose::of_playbook(&run.playbook).ok_or_else(|| {
            Undecided::Failed(format!("no playbook is named {}", run.playbook).into())
        })?;
        let input = store.load_run(run).await?;
        if !input.steps.is_empty()
            && run
                .prompt_hash
                .as_ref()
                .is_some_and(|hash| *hash != self.prompts.hash)
        {
            return Err(Undecided::Outdated);
        }
        if let Some(reason) = fallen(purpose, &input.standing) {
            let finish = Finish {
                status: "skipped",
                reason: Some(reason),
                effects: Vec::new(),
                usage: json!({}),
                purpose,
            };
            store.finish_run(run, &finish).await?;
            return Ok("skipped");
        }
        let subject = Subject {
            occurrence: &input.occurrence,
            standing: &input.standing,
            event_type: if run.stage == "winback" {
                "schedule"
            } else {
                &input.event_type
            },
            account: &run.account,
            livemode: run.livemode,
            playbook: &run.playbook,
            stage: &run.stage,
            purpose,
        };
        let brief = Brief::new(subject, &self.settings, &self.prompts);
        let decided = self
            .ask(store, clock, (run, deadline), &input, &brief)
            .await?;
        let now = clock.now();
        let mut effects = Vec::with_capacity(decided.proposals.len());
        for (key, proposal) in &decided.proposals {
            let action = self.prepare(key, proposal, &brief, purpose, now)?;
            effects.push(NewEffect {
                key: key.clone(),
                proposal: proposal.clone(),
                action,
            });
        }
        let usage = json!({ "turns": decided.turns, "tokens": decided.usage });
        store
            .finish_run(
                run,
                &Finish {
                    status: "done",
                    reason: decided.cut_short,
                    effects,
                    usage,
                    purpose,
                },
            )
            .await?;
        Ok("done")
    }

    async fn ask(
        &self,
        store: &dyn Store,
        clock: &dyn Clock,
        (run, deadline): (&ClaimedRun, Instant),
        input: &RunInput,
        brief: &Brief,
    ) -> Result<Decided, Undecided> {
        let rules = Rules;
        // After this moment nobody waits for a model any more.
        let model: &dyn Model = if clock.now() >= run.decide_by {
            &rules
        } else {
            self.model.as_ref()
        };
        let entries: Vec<Entry> = input
            .steps
            .iter()
            .map(|step| serde_json::from_value(step.data.clone()))
            .collect::<Result<_, _>>()
            .map_err(|error| Undecided::Failed(Box::new(error)))?;
        let rendered = self.prompts.render(&run.playbook, &brief.context)?;
        let owed = self.prompts.owed_calls(&run.playbook, &brief.context)?;
        let journal = StoreJournal {
            store,
            run,
            model: model.name(),
            prompt_hash: &self.prompts.hash,
            budgets: &self.budgets,
        };
        let budget = StoreBudget {
            store,
            clock,
            run,
            budgets: &self.budgets,
        };
        let running = Run {
            playbook: self.prompts.playbook(&run.playbook)?,
            rendered: &rendered,
            brief,
            owed: &owed,
            model,
            budget: (!model.is_rules()).then_some(&budget as &dyn Budget),
            journal: &journal,
            deadline: Some(deadline),
            facts: self.facts.as_ref(),
            rehearse: &|proposal| self.rehearse(proposal, brief),
        };
        running.decide(entries).await.map_err(|error| match error {
            RunError::Deferred {
                reason,
                retry_after,
            } => Undecided::Deferred {
                reason,
                retry_after,
            },
            RunError::Retry(source) => match source.downcast::<JournalError>() {
                Ok(journal) if matches!(journal.0.downcast_ref(), Some(StoreError::Fenced)) => {
                    Undecided::Fenced
                }
                Ok(journal) => Undecided::Failed(journal),
                Err(other) => Undecided::Failed(other),
            },
        })
    }
}
