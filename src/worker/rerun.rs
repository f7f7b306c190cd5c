//! A run of the past, decided anew on what is known today. Nothing of it takes effect: it writes to a journal in memory,
//! and what its proposals would write is prepared and shown.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use tokio::time::Instant;

use super::decide::{Deciding, Undecided, Whose, purpose_of};
use crate::agent::conversation::boundary;
use crate::agent::journal::{Entry, Journal, JournalError, Judged};
use crate::agent::model::Usage;
use crate::agent::prompts::Print;
use crate::agent::run::Run;
use crate::clock::Clock;
use crate::config::Micros;
use crate::guardrails::precondition::fallen;
use crate::store::{NewEffect, PastRun, RunInput};

/// What a run comes to today.
#[derive(Debug)]
pub struct Rerun {
    /// Why it would be skipped today, and nobody be asked.
    pub fallen: Option<String>,
    /// Who decided, by the name that answered.
    pub model: String,
    /// What it was decided with.
    pub print: Print,
    /// Every call, in order, as it was judged.
    pub calls: Vec<Judged>,
    /// What would take effect, as it would leave.
    pub effects: Vec<NewEffect>,
    /// How often the model was asked.
    pub turns: usize,
    /// What it used.
    pub usage: Usage,
    /// What that cost, where the price of every reply is known, and in which currency.
    pub cost: Option<(Micros, String)>,
}

/// Why a run comes to nothing today.
#[derive(Debug, thiserror::Error)]
pub enum RerunError {
    /// The model is away.
    #[error("no model decided: {0}; try again later, or with `--model rules`")]
    Away(String),
    /// Something failed.
    #[error("the run cannot be decided today")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<Undecided> for RerunError {
    fn from(undecided: Undecided) -> Self {
        match undecided {
            Undecided::Deferred { reason, .. } => Self::Away(reason),
            Undecided::Failed(error) => Self::Failed(error),
            // These come of claims and of journals that last, and there are none.
            Undecided::Fenced | Undecided::Stopped | Undecided::Outdated => {
                Self::Failed("it was interrupted".into())
            }
        }
    }
}

impl Deciding {
    /// Decides a run anew, whatever became of it. Its precondition is asked, and keeps nothing from being decided: what
    /// the prompts would do is the question.
    pub async fn rerun(
        &self,
        clock: &dyn Clock,
        run: &PastRun,
        input: &RunInput,
        deadline: Instant,
    ) -> Result<Rerun, RerunError> {
        let purpose = purpose_of(&run.playbook)?;
        let whose = Whose {
            account: &run.account,
            livemode: run.livemode,
            playbook: &run.playbook,
            stage: &run.stage,
            purpose,
        };
        let print = self.prompts.print(&run.playbook).map_err(Undecided::from)?;
        let brief = self.brief(whose, input);
        let journal = Kept::default();
        let model = self.model.as_ref();
        let told = self.told(&run.playbook, &brief)?;
        let running = Run {
            playbook: told.playbook,
            rendered: &told.rendered,
            boundary: &boundary(&run.id, run.generation),
            brief: &brief,
            owed: &told.owed,
            model,
            // Whoever asks for it is there to say no.
            budget: None,
            journal: &journal,
            deadline: Some(deadline),
            facts: self.facts.as_ref(),
            rehearse: &|proposal| self.rehearse(proposal, &brief),
        };
        let decided = running.decide(Vec::new()).await.map_err(Undecided::from)?;
        let effects = self.effects(&decided, &brief, purpose, clock.now())?;
        let (mut answered, mut calls) = (model.name().to_owned(), Vec::new());
        let mut cost = Some(Micros(0));
        for entry in journal.entries() {
            match entry {
                Entry::Reply { reply, .. } => {
                    let priced = self.budgets.cost(&reply.model, &reply.usage);
                    let sum = cost.zip(priced);
                    cost = sum.map(|(sum, more)| Micros(sum.0.saturating_add(more.0)));
                    if !reply.model.is_empty() {
                        answered = reply.model;
                    }
                }
                Entry::Result(judged) => calls.push(judged),
            }
        }
        Ok(Rerun {
            fallen: fallen(purpose, &input.standing),
            model: answered,
            print: print.clone(),
            calls,
            effects,
            turns: decided.turns,
            usage: decided.usage,
            cost: cost.map(|cost| (cost, self.budgets.currency().to_owned())),
        })
    }
}

/// A journal that ends with its run.
#[derive(Debug, Default)]
struct Kept(Mutex<Vec<Entry>>);

impl Kept {
    fn entries(self) -> Vec<Entry> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Journal for Kept {
    async fn commit(&self, _seq: usize, entry: &Entry) -> Result<(), JournalError> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(entry.clone());
        Ok(())
    }
}
