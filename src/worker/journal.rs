//! The agent's journal over the store: each step is committed under the run's fence, with the tool call it records.

use async_trait::async_trait;

use super::budget::{count, spending};
use crate::agent::budget::Budgets;
use crate::agent::journal::{Entry, Journal, JournalError};
use crate::agent::model::Model as _;
use crate::agent::rules::Rules;
use crate::store::{ClaimedRun, NewStep, NewToolCall, Store};

/// Commits steps under the run's fence.
pub(super) struct StoreJournal<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) run: &'a ClaimedRun,
    pub(super) model: &'a str,
    pub(super) prompt_hash: &'a str,
    pub(super) budgets: &'a Budgets,
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
                verdict: if judged.refused.is_some() {
                    "refused"
                } else {
                    "allowed"
                },
                rule: judged.refused.as_ref().map(|(rule, _)| rule.clone()),
                reason: judged.refused.as_ref().map(|(_, reason)| storable(reason)),
                effect_key: judged.proposal.as_ref().map(|(key, _)| key.clone()),
                result: judged.result.clone(),
            }),
        };
        let spending = spending(entry, self.budgets);
        let step = NewStep {
            seq: i64::try_from(seq).unwrap_or(i64::MAX),
            data,
            prompt_hash: self.prompt_hash.to_owned(),
            model: self.decider(seq, entry),
            call,
            spending,
        };
        self.store
            .journal(self.run, &step)
            .await
            .map_err(|error| JournalError(Box::new(error)))?;
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
