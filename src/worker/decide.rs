//! One follow-up from its claim to its finishing transaction: read, test, run the agent, prepare what its proposals
//! write, finish.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use billhook_tools::Proposal;
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::budget::StoreBudget;
use super::journal::{StoreJournal, Voice};
use crate::agent::brief::{Brief, Settings, Subject};
use crate::agent::budget::{Budget, Budgets};
use crate::agent::conversation::boundary;
use crate::agent::journal::{Decided, Entry, JournalError};
use crate::agent::model::{Model, Usage};
use crate::agent::playbook::{Mode, OwedCall, Playbook};
use crate::agent::prompts::{Prompts, PromptsError, Rendered};
use crate::agent::rules::Rules;
use crate::agent::run::{Run, RunError};
use crate::agent::spans;
use crate::clock::{Clock, Timestamp};
use crate::facts::StoreFacts;
use crate::guardrails::precondition::{Purpose, fallen};
use crate::store::{
    Channel, ClaimedRun, Finish, NewEffect, RunInput, SHADOW_FROM, Step, Store, StoreError,
};
use crate::telemetry::spans::{Agent, agent};

/// Everything that decisions are made with. A run is decided with one of these from its beginning to its end.
#[derive(Clone)]
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

/// Which run it is, claimed or only looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whose<'a> {
    pub(super) account: &'a str,
    pub(super) livemode: bool,
    pub(super) playbook: &'a str,
    pub(super) stage: &'a str,
    pub(super) purpose: Purpose,
}

/// Why a run was not finished.
#[derive(Debug)]
pub(super) enum Undecided {
    /// Another worker has it.
    Fenced,
    /// The process is about to end.
    Stopped,
    /// The prompts or the tools are not those its journal was written with.
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
        let purpose = purpose_of(&run.playbook)?;
        let input = store.load_run(run).await?;
        let (prompts, tools) = (run.prompt_hash.as_deref(), run.tools_hash.as_deref());
        let print = self.prompts.print(&run.playbook)?;
        if !input.steps.is_empty() && print.differs(prompts, tools) {
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
        let whose = Whose {
            account: &run.account,
            livemode: run.livemode,
            playbook: &run.playbook,
            stage: &run.stage,
            purpose,
        };
        let brief = self.brief(whose, &input);
        let asked = self
            .ask(store, clock, (run, deadline), &input, (&brief, purpose))
            .await?;
        store
            .finish_run(
                run,
                &Finish {
                    status: "done",
                    reason: asked.cut_short,
                    effects: asked.effects,
                    usage: asked.usage,
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
    ) -> Result<Asked, Undecided> {
        let told = self.told(&run.playbook, brief)?;
        // After this moment nobody waits for a model any more.
        let asks = !self.model.is_rules() && clock.now() < run.decide_by;
        let mode = match told.playbook.mode {
            // Nobody is watched where nobody is asked. What a model proposed before stays held whoever ends the run.
            Mode::Shadow if !asks => Mode::Live,
            mode => mode,
        };
        let rules = Rules;
        let model: &dyn Model = if asks && mode != Mode::Shadow {
            self.model.as_ref()
        } else {
            &rules
        };
        let (shadow, entries) = entries(&input.steps)?;
        let print = self.prompts.print(&run.playbook)?;
        let span = agent(Agent {
            playbook: &run.playbook,
            run: &run.id,
            event: &run.event,
            event_type: &input.event_type,
            prompt_hash: &print.prompts,
            is_replay: !entries.is_empty(),
        });
        let journal = StoreJournal {
            store,
            run,
            model: model.name(),
            print,
            voice: if mode == Mode::Approve {
                Voice::Held
            } else {
                Voice::Acts
            },
            budgets: &self.budgets,
        };
        let budget = StoreBudget {
            store,
            clock,
            run,
            budgets: &self.budgets,
        };
        let rehearse = |proposal: &Proposal| self.rehearse(proposal, brief);
        let boundary = boundary(&run.id, run.generation);
        let running = || Run {
            playbook: told.playbook,
            rendered: &told.rendered,
            boundary: &boundary,
            brief,
            owed: &told.owed,
            model,
            budget: (!model.is_rules()).then_some(&budget as &dyn Budget),
            journal: &journal,
            deadline: Some(deadline),
            facts: self.facts.as_ref(),
            rehearse: &rehearse,
        };
        let watched = match mode {
            // Once: what is owed waits for a shadow no longer than one run.
            Mode::Shadow if entries.is_empty() && shadow.is_empty() => {
                let watching = Run {
                    budget: Some(&budget),
                    ..running()
                };
                let watched = self.watch(store, run, watching, deadline);
                Some(watched.instrument(span.clone()).await?)
            }
            Mode::Shadow => Some(self.watched(&shadow)),
            Mode::Live | Mode::Approve => None,
        };
        let decided = running().decide(entries).instrument(span.clone()).await;
        spans::decided(&span, &decided);
        let decided = decided?;
        let now = clock.now();
        let mut effects = self.effects(&decided, brief, purpose, now)?;
        if mode == Mode::Approve {
            let rules = (running(), told.owed.as_slice());
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
        Ok(Asked {
            effects,
            usage,
            cut_short: decided.cut_short,
        })
    }

    /// What a run is decided on, as far as it can be worked out before anybody decides.
    pub(super) fn brief(&self, whose: Whose<'_>, input: &RunInput) -> Brief {
        let subject = Subject {
            occurrence: &input.occurrence,
            standing: &input.standing,
            event_type: if whose.stage == "winback" {
                "schedule"
            } else {
                &input.event_type
            },
            account: whose.account,
            livemode: whose.livemode,
            playbook: whose.playbook,
            stage: whose.stage,
            purpose: whose.purpose,
        };
        Brief::new(subject, &self.settings, &self.prompts)
    }

    /// What whoever decides is told.
    pub(super) fn told(&self, playbook: &str, brief: &Brief) -> Result<Told<'_>, Undecided> {
        Ok(Told {
            playbook: self.prompts.playbook(playbook)?,
            rendered: self.prompts.render(playbook, &brief.context)?,
            owed: self.prompts.owed_calls(playbook, &brief.context)?,
        })
    }

    /// What was decided, as it is to take effect.
    pub(super) fn effects(
        &self,
        decided: &Decided,
        brief: &Brief,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Vec<NewEffect>, Undecided> {
        let mut effects = Vec::with_capacity(decided.proposals.len());
        for (key, proposal) in &decided.proposals {
            let action = self.prepare(key, proposal, brief, purpose, now)?;
            effects.push(NewEffect {
                key: key.clone(),
                proposal: proposal.clone(),
                action,
            });
        }
        Ok(effects)
    }
}

/// What a run came to.
struct Asked {
    effects: Vec<NewEffect>,
    usage: Value,
    /// Which budget kept the model from deciding on.
    cut_short: Option<String>,
}

/// What whoever decides is told.
pub(super) struct Told<'a> {
    pub(super) playbook: &'a Playbook,
    pub(super) rendered: Rendered,
    pub(super) owed: Vec<OwedCall>,
}

/// Why the runs of a playbook are made.
pub(super) fn purpose_of(playbook: &str) -> Result<Purpose, Undecided> {
    Purpose::of_playbook(playbook)
        .ok_or_else(|| Undecided::Failed(format!("no playbook is named {playbook}").into()))
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
