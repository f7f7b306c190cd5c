//! What a run writes down before anything acts on it, and the port it writes through.

use std::collections::BTreeSet;

use async_trait::async_trait;
use billhook_tools::Proposal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agent::model::{Call, Reply, Usage};

/// One journaled step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Entry {
    /// The model answered.
    Reply {
        /// With this.
        reply: Reply,
        /// The rules answered, not a model.
        by_rules: bool,
    },
    /// A call was judged.
    Result(Judged),
}

/// A call, what was found about it, and what it proposes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The call as it was made.
    pub call: Call,
    /// Made by the rules, not by a model.
    pub by_rules: bool,
    /// Why it was refused.
    pub refused: Option<(String, String)>,
    /// What the caller is told.
    pub result: Value,
    /// What it proposes, and under which key.
    pub proposal: Option<(String, Proposal)>,
}

/// Where steps are committed before anything acts on them.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Commits step number `seq`.
    async fn commit(&self, seq: usize, entry: &Entry) -> Result<(), JournalError>;
}

/// A step could not be committed.
#[derive(Debug, thiserror::Error)]
#[error("the step could not be committed")]
pub struct JournalError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What a run comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// What should be done, in order, each with its key.
    pub proposals: Vec<(String, Proposal)>,
    /// The keys of those that a model proposed; the others are the rules'.
    pub by_model: BTreeSet<String>,
    /// What it cost.
    pub usage: Usage,
    /// How often the model was asked.
    pub turns: usize,
    /// The budget that kept the model from being asked on.
    pub cut_short: Option<String>,
}

pub(super) fn proposed(entries: &[Entry]) -> impl Iterator<Item = (&String, &Proposal)> {
    entries.iter().filter_map(|entry| match entry {
        Entry::Result(judged) => judged
            .proposal
            .as_ref()
            .map(|(key, proposal)| (key, proposal)),
        Entry::Reply { .. } => None,
    })
}

/// What the entries of a run come to.
pub fn decided(entries: &[Entry]) -> Decided {
    let (mut seen, mut by_model) = (BTreeSet::new(), BTreeSet::new());
    let mut proposals = Vec::new();
    let mut usage = Usage::default();
    let mut turns = 0;
    for entry in entries {
        match entry {
            Entry::Reply { reply, .. } => {
                usage.add(reply.usage);
                turns += 1;
            }
            Entry::Result(judged) => {
                let Some((key, proposal)) = &judged.proposal else {
                    continue;
                };
                if seen.insert(key.clone()) {
                    proposals.push((key.clone(), proposal.clone()));
                    by_model.extend((!judged.by_rules).then(|| key.clone()));
                }
            }
        }
    }
    Decided {
        proposals,
        by_model,
        usage,
        turns,
        cut_short: None,
    }
}
