//! What a playbook's mode makes of a model's run: in `shadow` it is watched while the rules act, in `approve` what it
//! proposes waits for a person, with what is owed made ready beside it.
//!
//! A shadow must never delay what is owed beyond the time of one run, nor fail it, nor write anything but its journal.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::instrument::WithSubscriber as _;

use super::Panicked;
use super::decide::{Deciding, Undecided};
use super::journal::{StoreJournal, Voice};
use crate::agent::brief::Brief;
use crate::agent::journal::{Decided, Entry, Journal, JournalError, decided};
use crate::agent::model::{Model, Usage};
use crate::agent::playbook::OwedCall;
use crate::agent::rules::Rules;
use crate::agent::run::{Run, RunError};
use crate::clock::Timestamp;
use crate::guardrails::precondition::Purpose;
use crate::store::{Action, Awaited, ClaimedRun, Fallback, NewEffect, Store, StoreError};
use crate::telemetry::in_one_line;

/// What is left to the rules of the time that a run has when their shadow takes long; half of it where that is less.
const LEFT_TO_RULES: Duration = Duration::from_secs(10);

/// What a model came to that was only watched.
pub(super) struct Watched {
    model: String,
    /// The keys of what it would have done; or why it came to no end.
    proposed: Result<BTreeSet<String>, String>,
    /// What it cost.
    pub(super) usage: Usage,
}

impl Watched {
    fn of(model: &dyn Model, decided: &Decided) -> Self {
        let keys = decided.proposals.iter().map(|(key, _)| key.clone());
        Self {
            model: model.name().to_owned(),
            proposed: match &decided.cut_short {
                None => Ok(keys.collect()),
                Some(reason) => Err(reason.clone()),
            },
            usage: decided.usage,
        }
    }

    /// How it compares with what the rules did: in kind, since it words everything otherwise.
    fn outcome(&self, acted: &Decided) -> &'static str {
        let did: BTreeSet<&String> = acted.proposals.iter().map(|(key, _)| key).collect();
        match &self.proposed {
            Err(_) => "no_answer",
            Ok(proposed) if proposed.iter().collect::<BTreeSet<_>>() == did => "same",
            Ok(_) => "differs",
        }
    }

    /// For the run's record.
    pub(super) fn told(&self, run: &ClaimedRun, acted: &Decided) -> Value {
        let outcome = self.outcome(acted);
        metrics::counter!("billhook_shadow_runs_total", "playbook" => run.playbook.clone(), "outcome" => outcome)
            .increment(1);
        let reason = self.proposed.as_ref().err();
        json!({ "model": self.model, "outcome": outcome, "reason": reason, "tokens": self.usage })
    }
}

impl Deciding {
    /// Lets the model decide and be journaled, and nothing more. `run` is the run as a model that acts would have it.
    pub(super) async fn watch(
        &self,
        store: &dyn Store,
        claimed: &ClaimedRun,
        run: Run<'_>,
        deadline: Instant,
    ) -> Result<Watched, Undecided> {
        let now = Instant::now();
        let left = deadline.saturating_duration_since(now);
        let until = now + left.saturating_sub(LEFT_TO_RULES.min(left / 2));
        let journal = Remembering {
            over: StoreJournal {
                store,
                run: claimed,
                model: self.model.name(),
                print: self.prompts.print(&claimed.playbook)?,
                voice: Voice::Shadow,
                budgets: &self.budgets,
            },
            entries: Mutex::default(),
        };
        let run = Run {
            // It is asked what it would do by itself: what it forgets, the rules do anyway.
            owed: &[],
            model: self.model.as_ref(),
            journal: &journal,
            deadline: Some(until),
            ..run
        };
        let watched = AssertUnwindSafe(run.decide(Vec::new())).catch_unwind();
        let why = match tokio::time::timeout_at(until, watched).await {
            Ok(Ok(Ok(decided))) => return Ok(Watched::of(self.model.as_ref(), &decided)),
            Ok(Ok(Err(error))) if is_fenced(&error) => return Err(Undecided::Fenced),
            Ok(Ok(Err(error))) => in_one_line(&error),
            Ok(Err(_)) => in_one_line(&Panicked),
            Err(_) => "it took longer than `model.run_timeout` leaves it".to_owned(),
        };
        Ok(Watched {
            model: self.model.name().to_owned(),
            proposed: Err(why),
            usage: decided(&journal.entries()).usage,
        })
    }

    /// What a model that was watched came to, from its journal alone: this process did not see it end.
    pub(super) fn watched(&self, entries: &[Entry]) -> Watched {
        let decided = decided(entries);
        let ended =
            matches!(entries.last(), Some(Entry::Reply { reply, .. }) if reply.calls.is_empty());
        if ended {
            return Watched::of(self.model.as_ref(), &decided);
        }
        Watched {
            model: self.model.name().to_owned(),
            proposed: Err("nobody saw how it ended".to_owned()),
            usage: decided.usage,
        }
    }

    /// The effects of a run under a playbook of mode `approve`: what the model proposed waits, and beside it stands what
    /// the rules owe under the same key. What the rules proposed themselves does not wait.
    pub(super) async fn held(
        &self,
        (run, owed): (Run<'_>, &[OwedCall]),
        decided: &Decided,
        effects: Vec<NewEffect>,
        (brief, purpose, now): (&Brief, Purpose, Timestamp),
    ) -> Result<Vec<NewEffect>, Undecided> {
        if decided.by_model.is_empty() {
            return Ok(effects);
        }
        let musts: Vec<OwedCall> = owed.iter().filter(|call| call.must).cloned().collect();
        let rules = Run {
            owed: &musts,
            model: &Rules,
            budget: None,
            journal: &Unwritten,
            ..run
        };
        // Nobody makes these calls, and nothing is told of them.
        let nobody = tracing::subscriber::NoSubscriber::default();
        let by_rules = rules.decide(Vec::new()).with_subscriber(nobody).await;
        let by_rules = by_rules.map_err(Undecided::from)?;
        let mut held = Vec::with_capacity(effects.len());
        for effect in effects {
            if !decided.by_model.contains(&effect.key) {
                held.push(effect);
                continue;
            }
            let mut proposals = by_rules.proposals.iter();
            let fallback = match proposals.find(|(key, _)| *key == effect.key) {
                Some((key, proposal)) => Some(Fallback {
                    arguments: arguments(&musts, proposal.tool()),
                    action: self.prepare(key, proposal, brief, purpose, now)?,
                    proposal: proposal.clone(),
                }),
                None => None,
            };
            let action = effect.action;
            held.push(NewEffect {
                action: Action::Await(Box::new(Awaited { action, fallback })),
                ..effect
            });
        }
        Ok(held)
    }
}

fn arguments(owed: &[OwedCall], tool: &str) -> Value {
    let call = owed.iter().find(|call| call.tool == tool);
    call.map_or_else(|| json!({}), |call| call.args.clone())
}

fn is_fenced(error: &RunError) -> bool {
    let RunError::Retry(source) = error else {
        return false;
    };
    let journal = source.downcast_ref::<JournalError>();
    journal.is_some_and(|error| matches!(error.0.downcast_ref(), Some(StoreError::Fenced)))
}

/// The journal of a shadow, which is asked what it cost when it came to no end.
struct Remembering<'a> {
    over: StoreJournal<'a>,
    entries: Mutex<Vec<Entry>>,
}

impl Remembering<'_> {
    fn entries(&self) -> Vec<Entry> {
        self.entries
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }
}

#[async_trait]
impl Journal for Remembering<'_> {
    async fn commit(&self, seq: usize, entry: &Entry) -> Result<(), JournalError> {
        self.over.commit(seq, entry).await?;
        self.entries
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(entry.clone());
        Ok(())
    }
}

/// The journal of what nobody did: the rules are asked what they would do, so that it is ready.
struct Unwritten;

#[async_trait]
impl Journal for Unwritten {
    async fn commit(&self, _: usize, _: &Entry) -> Result<(), JournalError> {
        Ok(())
    }
}
