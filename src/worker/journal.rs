//! The agent's journal over the store: each step is committed under the run's fence, with the tool call it records.

use std::time::Instant;

use async_trait::async_trait;
use metrics::{counter, histogram};

use super::budget::{count, spending};
use crate::agent::budget::Budgets;
use crate::agent::journal::{Entry, Journal, JournalError, Judged};
use crate::agent::model::Model as _;
use crate::agent::prompts::Print;
use crate::agent::rules::Rules;
use crate::agent::spans::known_tool;
use crate::store::{ClaimedRun, NewStep, NewToolCall, SHADOW_FROM, Store};

/// What becomes of what the model of a journal proposes. What rules propose always acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    /// It takes effect.
    Acts,
    /// It waits for a person.
    Held,
    /// Nothing: it is only watched.
    Shadow,
}

impl Voice {
    /// Who made a call, for those who count: what was only watched is told apart.
    fn who(self, by: &'static str) -> &'static str {
        if self == Self::Shadow { "shadow" } else { by }
    }
}

/// Commits steps under the run's fence.
pub(super) struct StoreJournal<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) run: &'a ClaimedRun,
    pub(super) model: &'a str,
    pub(super) print: &'a Print,
    pub(super) voice: Voice,
    pub(super) budgets: &'a Budgets,
}

impl StoreJournal<'_> {
    fn verdict(&self, judged: &Judged) -> &'static str {
        let waits = self.voice == Voice::Held && !judged.by_rules && judged.proposal.is_some();
        match judged.refused {
            Some(_) => "refused",
            None if waits => "held",
            None => "allowed",
        }
    }
}

#[async_trait]
impl Journal for StoreJournal<'_> {
    async fn commit(&self, seq: usize, entry: &Entry) -> Result<(), JournalError> {
        let data = serde_json::to_value(entry).map_err(|error| JournalError(Box::new(error)))?;
        let call = match entry {
            Entry::Reply { .. } => None,
            Entry::Result(judged) => Some(NewToolCall {
                tool: storable(&judged.call.name),
                arguments: serde_json::from_str(&judged.call.arguments)
                    .unwrap_or_else(|_| serde_json::Value::String(judged.call.arguments.clone())),
                by: if judged.by_rules { "rules" } else { "model" },
                verdict: self.verdict(judged),
                rule: judged.refused.as_ref().map(|(rule, _)| rule.clone()),
                reason: judged.refused.as_ref().map(|(_, reason)| storable(reason)),
                effect_key: judged.proposal.as_ref().map(|(key, _)| match self.voice {
                    // Never the key of anything that happens.
                    Voice::Shadow => format!("shadow:{key}"),
                    Voice::Acts | Voice::Held => key.clone(),
                }),
                result: judged.result.clone(),
            }),
        };
        let from = match self.voice {
            Voice::Shadow => SHADOW_FROM,
            Voice::Acts | Voice::Held => 0,
        };
        let spending = spending(entry, self.budgets);
        let step = NewStep {
            seq: i64::try_from(seq).map_or(i64::MAX, |seq| seq.saturating_add(from)),
            data,
            prompt_hash: self.print.prompts.clone(),
            tools_hash: self.print.tools.clone(),
            model: self.decider(seq, entry),
            call,
            spending,
        };
        let begun = Instant::now();
        let written = self.store.journal(self.run, &step).await;
        histogram!("billhook_journal_write_seconds").record(begun.elapsed().as_secs_f64());
        written.map_err(|error| JournalError(Box::new(error)))?;
        if let Some(call) = &step.call {
            // Once for each that is in the journal; rules are named by us, and so are tools here.
            counter!("billhook_tool_calls_total", "tool" => known_tool(&call.tool).to_owned(), "by" => self.voice.who(call.by), "verdict" => call.verdict, "rule" => call.rule.clone().unwrap_or_default())
                .increment(1);
        }
        if let Some(spending) = &step.spending {
            count(spending);
        }
        Ok(())
    }
}

impl StoreJournal<'_> {
    /// Who decided by this step. A reply says which of a model's endpoints gave it, and one that came from none of them
    /// goes by the model's own name.
    fn decider(&self, seq: usize, entry: &Entry) -> Option<String> {
        match entry {
            // A refusal comes from nobody in particular, and whoever answered before stands.
            Entry::Reply { reply, by_rules } if reply.model.is_empty() => {
                (seq == 0 || *by_rules).then(|| self.model.to_owned())
            }
            Entry::Reply { reply, .. } => Some(storable(&reply.model)),
            // Nobody was asked at all: the first step is what the rules add.
            Entry::Result(_) if seq == 0 => Some(Rules.name().to_owned()),
            Entry::Result(_) => None,
        }
    }
}

/// A model's words as a database takes them: Postgres has no NUL in texts, and a call that cannot be stored would keep
/// what is owed from being done.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::storable;

    #[test]
    fn no_nul_reaches_the_database() {
        assert_eq!(storable("send\0email"), "send\u{fffd}email");
    }
}
