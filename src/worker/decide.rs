//! One follow-up from its claim to its finishing transaction: read, test, run the agent, prepare what its proposals
//! write, finish.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use billhook_tools::Proposal;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::journal::{StoreJournal, Voice};
use crate::agent::brief::{Brief, Settings, Subject};
use crate::agent::journal::{Entry, JournalError};
use crate::agent::model::{Model, Usage};
use crate::agent::playbook::Mode;
use crate::agent::prompts::{Prompts, PromptsError};
use crate::agent::rules::Rules;
use crate::agent::run::{Run, RunError};
use crate::clock::Clock;
use crate::facts::StoreFacts;
use crate::guardrails::precondition::{Purpose, fallen};
use crate::store::{
    Channel, ClaimedRun, Finish, NewEffect, RunInput, SHADOW_FROM, Step, Store, StoreError,
};

/// Everything that decisions are made with.
pub struct Deciding {
    /// The model, or the rules.
    pub model: Arc<dyn Model>,
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

impl From<RunError> for Undecided {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Deferred {
                reason,
                retry_after,
            } => Self::Deferred {
                reason,
                retry_after,
            },
            RunError::Retry(source) => match source.downcast::<JournalError>() {
                Ok(journal) if matches!(journal.0.downcast_ref(), Some(StoreError::Fenced)) => {
                    Self::Fenced
                }
                Ok(journal) => Self::Failed(journal),
                Err(other) => Self::Failed(other),
            },
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
        let (effects, usage) = self
            .ask(store, clock, (run, deadline), &input, (&brief, purpose))
            .await?;
        store
            .finish_run(
                run,
                &Finish {
                    status: "done",
                    reason: None,
                    effects,
                    usage,
                    purpose,
                },
            )
            .await?;
        Ok("done")
    }

    /// Has a run decided as its playbook's mode says: what it writes, and what it cost.
    async fn ask(
        &self,
        store: &dyn Store,
        clock: &dyn Clock,
        (run, deadline): (&ClaimedRun, Instant),
        input: &RunInput,
        (brief, purpose): (&Brief, Purpose),
    ) -> Result<(Vec<NewEffect>, Value), Undecided> {
        let playbook = self.prompts.playbook(&run.playbook)?;
        // After this moment nobody waits for a model any more.
        let asks = !self.model.is_rules() && clock.now() < run.decide_by;
        let mode = if asks { playbook.mode } else { Mode::Live };
        let rules = Rules;
        let model: &dyn Model = if asks && mode != Mode::Shadow {
            self.model.as_ref()
        } else {
            &rules
        };
        let (shadow, entries) = entries(&input.steps)?;
        let rendered = self.prompts.render(&run.playbook, &brief.context)?;
        let owed = self.prompts.owed_calls(&run.playbook, &brief.context)?;
        let journal = StoreJournal {
            store,
            run,
            model: model.name(),
            prompt_hash: &self.prompts.hash,
            voice: if mode == Mode::Approve {
                Voice::Held
            } else {
                Voice::Acts
            },
        };
        let rehearse = |proposal: &Proposal| self.rehearse(proposal, brief);
        let running = || Run {
            playbook,
            rendered: &rendered,
            brief,
            owed: &owed,
            model,
            journal: &journal,
            deadline: Some(deadline),
            facts: self.facts.as_ref(),
            rehearse: &rehearse,
        };
        let watched = match mode {
            Mode::Shadow if entries.is_empty() => {
                let until = (shadow, deadline);
                Some(self.watch(store, run, running(), until).await?)
            }
            Mode::Shadow => Some(self.watched(&shadow)),
            Mode::Live | Mode::Approve => None,
        };
        let decided = running().decide(entries).await?;
        let now = clock.now();
        let mut effects = Vec::with_capacity(decided.proposals.len());
        for (key, proposal) in &decided.proposals {
            let action = self.prepare(key, proposal, brief, purpose, now)?;
            effects.push(NewEffect {
                key: key.clone(),
                proposal: proposal.clone(),
                action,
            });
        }
        if mode == Mode::Approve {
            let rules = (running(), owed.as_slice());
            let made = (brief, purpose, now);
            effects = self.held(rules, &decided, effects, made).await?;
        }
        let mut tokens = decided.usage;
        tokens.add(watched.as_ref().map_or_else(Usage::default, |w| w.usage));
        let mut usage = json!({ "turns": decided.turns, "tokens": tokens });
        if let Some(watched) = watched {
            let told = watched.told(run, &decided);
            if let Some(usage) = usage.as_object_mut() {
                usage.insert("shadow".to_owned(), told);
            }
        }
        Ok((effects, usage))
    }
}

/// The journal of a shadow, and that of whoever acts.
fn entries(steps: &[Step]) -> Result<(Vec<Entry>, Vec<Entry>), Undecided> {
    let (mut shadow, mut acts) = (Vec::new(), Vec::new());
    for step in steps {
        let entry = serde_json::from_value(step.data.clone());
        let entry = entry.map_err(|error| Undecided::Failed(Box::new(error)))?;
        let journal = if step.seq < SHADOW_FROM {
            &mut acts
        } else {
            &mut shadow
        };
        journal.push(entry);
    }
    Ok((shadow, acts))
}
