//! One agent run: ask, journal, judge, journal, until the model is done; then what is owed and missing is added.
//!
//! Nothing here takes effect. Each reply is committed before any call in it is looked at, and results in the order of
//! their calls: a run that dies is taken up from its journal and never asks again for what is in it. The loop knows no
//! store and no mailer, only the ports it is given.

mod answer;
mod arguments;
mod duties;
mod judge;

use billhook_tools::{Facts, Proposal, find};

use self::answer::corrections;
use self::arguments::MOST_ARGUMENT_BYTES;
use crate::agent::brief::Brief;
use crate::agent::budget::{Budget, spent};
use crate::agent::conversation::{self, Opening, is_speechless};
use crate::agent::journal::{Decided, Entry, Journal, decided};
use crate::agent::model::{Call, Model, ModelError, Reply, Request};
use crate::agent::playbook::{OwedCall, Playbook};
use crate::agent::prompts::Rendered;
use crate::guardrails::limits::prose::Refusal;

/// Calls in one reply beyond this are not looked at.
const MOST_CALLS: usize = 16;

/// Wrong calls that are answered; after these the rules take over.
const MOST_CORRECTIONS: usize = 2;

/// Why a run did not come to its end, and what follows.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The model is away: tried again until the rules decide.
    #[error("deferred: {reason}")]
    Deferred {
        /// Why.
        reason: String,
        /// When the model asked to be tried again.
        retry_after: Option<std::time::Duration>,
    },
    /// Something below failed: tried again with backoff.
    #[error("the run could not go on")]
    Retry(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a run is made of.
pub struct Run<'a> {
    /// Its playbook.
    pub playbook: &'a Playbook,
    /// What the model is told.
    pub rendered: &'a Rendered,
    /// The line around the data it is told.
    pub boundary: &'a str,
    /// What it is decided on.
    pub brief: &'a Brief,
    /// What is owed.
    pub owed: &'a [OwedCall],
    /// Who decides.
    pub model: &'a dyn Model,
    /// Where it asks whether the model may be asked; none where it costs nothing.
    pub budget: Option<&'a dyn Budget>,
    /// Where steps go.
    pub journal: &'a dyn Journal,
    /// When nobody waits for the run any more.
    pub deadline: Option<tokio::time::Instant>,
    /// Where tools read.
    pub facts: &'a dyn Facts,
    /// Renders what a model proposes as it would leave, and refuses what could not.
    pub rehearse: &'a (dyn Fn(&Proposal) -> Result<(), Refusal> + Send + Sync),
}

impl Run<'_> {
    /// Runs from `entries`, which a crashed predecessor may have left, to the end.
    pub async fn decide(&self, mut entries: Vec<Entry>) -> Result<Decided, RunError> {
        let mut cut_short = None;
        loop {
            self.answer(&mut entries).await?;
            if self.is_over(&entries) {
                break;
            }
            cut_short = spent(self.budget).await?;
            if cut_short.is_some() {
                break;
            }
            let reply = match self.model.reply(&self.request(&entries)).await {
                Ok(reply) => reply,
                Err(ModelError::Unavailable {
                    reason,
                    retry_after,
                }) => {
                    return Err(RunError::Deferred {
                        reason,
                        retry_after,
                    });
                }
                // An answer that will never come is an empty one: the rules add what is owed.
                Err(ModelError::Rejected { reason }) => Reply {
                    refusal: Some(reason),
                    ..Reply::default()
                },
            };
            self.commit(
                &mut entries,
                Entry::Reply {
                    reply: reply.clipped(MOST_CALLS, MOST_ARGUMENT_BYTES),
                    by_rules: self.model.is_rules(),
                },
            )
            .await?;
        }
        for (at, call) in self.missing(&entries).into_iter().enumerate() {
            let call = Call {
                id: format!("owed{at}"),
                name: call.tool.clone(),
                arguments: call.args.to_string(),
            };
            let weighed = self.weigh(&call, true, entries.len()).await?;
            let judged = self.judge(call, true, weighed, &entries);
            self.commit(&mut entries, Entry::Result(judged)).await?;
        }
        match self.broken_duty(&entries) {
            Some(reason) => Err(RunError::Retry(reason.into())),
            None => Ok(Decided {
                cut_short,
                ..decided(&entries)
            }),
        }
    }

    async fn commit(&self, entries: &mut Vec<Entry>, entry: Entry) -> Result<(), RunError> {
        self.journal
            .commit(entries.len(), &entry)
            .await
            .map_err(|error| RunError::Retry(Box::new(error)))?;
        entries.push(entry);
        Ok(())
    }

    fn is_over(&self, entries: &[Entry]) -> bool {
        let turns = entries
            .iter()
            .filter(|entry| matches!(entry, Entry::Reply { .. }))
            .count();
        let last = entries.iter().rev().find_map(|entry| match entry {
            Entry::Reply { reply, .. } => Some(reply),
            Entry::Result(_) => None,
        });
        let quiet = last.is_some_and(|reply| reply.calls.is_empty()) && !is_speechless(entries);
        quiet
            || corrections(entries) > MOST_CORRECTIONS
            || turns >= usize::try_from(self.playbook.limits.turns).unwrap_or(1)
    }

    fn request(&self, entries: &[Entry]) -> Request {
        let opening = Opening {
            rendered: self.rendered,
            context: &self.brief.context,
            written: &self.brief.written,
            boundary: self.boundary,
        };
        let messages = conversation::messages(&opening, entries, MOST_CALLS);
        let tools = self
            .playbook
            .tools
            .iter()
            .filter_map(|name| find(name))
            .map(|tool| tool.contract())
            .collect();
        Request {
            messages,
            tools,
            owed: self.owed.to_vec(),
            deadline: self.deadline,
        }
    }
}

#[cfg(test)]
mod tests;
