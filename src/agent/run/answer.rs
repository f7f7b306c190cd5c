//! The calls of one reply: what only reads runs side by side, calls that are the same run once, and everything is judged
//! and journaled in the reply's order.
//!
//! The reads are over before the first result is journaled: one that is left waiting may hold the connection that the
//! journal waits for. A run that dies between two results makes the reads again that were not journaled, and those only.

use std::collections::BTreeMap;

use billhook_tools::{Effect, find};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use super::arguments::parse;
use super::judge::Weighed;
use super::{MOST_CALLS, Run, RunError};
use crate::agent::journal::{Entry, Judged};
use crate::agent::model::Call;

/// Reads of one run at once: each may take a connection to the database.
const READS_AT_ONCE: usize = 4;

/// Marks an answer that was given before, to a call of the same reply that was the same.
const REPEATED: &str = "duplicate";

impl Run<'_> {
    /// Answers the calls of the last reply that have no result yet.
    pub(super) async fn answer(&self, entries: &mut Vec<Entry>) -> Result<(), RunError> {
        let Some(open) = Open::of(entries) else {
            return Ok(());
        };
        let mut read = self.read(&open).await?;
        for (at, call) in open.unanswered() {
            let judged = if let Some(first) = open.first(at, entries) {
                repeated(first, call.clone())
            } else {
                let weighed = match read.remove(&at) {
                    Some(weighed) => weighed,
                    None => self.weigh(call, open.by_rules, open.step_of(at)).await?,
                };
                self.judge(call.clone(), open.by_rules, weighed, entries)
            };
            self.commit(entries, Entry::Result(judged)).await?;
        }
        Ok(())
    }

    /// Makes the reads that have no result yet, some at once, and says by position what each came to.
    async fn read(&self, open: &Open) -> Result<BTreeMap<usize, Weighed>, RunError> {
        let reads: Vec<_> = open
            .unanswered()
            .filter(|(at, call)| open.same_as(*at).is_none() && only_reads(&call.name))
            .map(|(at, call)| async move {
                let weighed = self.weigh(call, open.by_rules, open.step_of(at)).await?;
                Ok((at, weighed))
            })
            .collect();
        stream::iter(reads)
            .buffer_unordered(READS_AT_ONCE)
            .try_collect()
            .await
    }
}

/// The last reply, and how far its calls are answered.
struct Open {
    /// Where the answer of its first call stands in the journal, or will.
    first_result: usize,
    calls: Vec<Call>,
    /// For each call the first one before it that is the same.
    same: Vec<Option<usize>>,
    by_rules: bool,
    answered: usize,
}

impl Open {
    /// Nothing where no reply was given yet.
    fn of(entries: &[Entry]) -> Option<Self> {
        let (at, reply, by_rules) =
            entries
                .iter()
                .enumerate()
                .rev()
                .find_map(|(at, entry)| match entry {
                    Entry::Reply { reply, by_rules } => Some((at, reply, *by_rules)),
                    Entry::Result(_) => None,
                })?;
        let calls: Vec<Call> = reply.calls.iter().take(MOST_CALLS).cloned().collect();
        Some(Self {
            first_result: at + 1,
            same: same(&calls),
            calls,
            by_rules,
            answered: entries.len() - at - 1,
        })
    }

    /// The calls that have no result yet, by their position in the reply.
    fn unanswered(&self) -> impl Iterator<Item = (usize, &Call)> {
        self.calls.iter().enumerate().skip(self.answered)
    }

    /// Where the answer of a call stands in the journal, or will.
    fn step_of(&self, at: usize) -> usize {
        self.first_result + at
    }

    fn same_as(&self, at: usize) -> Option<usize> {
        self.same.get(at).copied().flatten()
    }

    /// What the same call came to that stands before this one.
    fn first<'e>(&self, at: usize, entries: &'e [Entry]) -> Option<&'e Judged> {
        match entries.get(self.step_of(self.same_as(at)?))? {
            Entry::Result(judged) => Some(judged),
            Entry::Reply { .. } => None,
        }
    }
}

fn only_reads(name: &str) -> bool {
    find(name).is_some_and(|tool| tool.effect() == Effect::Read)
}

/// For each call the first one before it with the same tool and arguments that mean the same. What cannot be read means
/// the same where it is written the same.
fn same(calls: &[Call]) -> Vec<Option<usize>> {
    let meant: Vec<_> = calls
        .iter()
        .map(|call| {
            let arguments = parse(&call.arguments).ok();
            let text = arguments.is_none().then_some(&call.arguments);
            (&call.name, arguments, text)
        })
        .collect();
    let before = |at: usize| meant.iter().take(at);
    meant
        .iter()
        .enumerate()
        .map(|(at, one)| before(at).position(|other| other == one))
        .collect()
}

/// The first one's answer, for a call that is the same. A proposal stands as it was made.
fn repeated(first: &Judged, call: Call) -> Judged {
    let mut result = first.result.clone();
    if first.proposal.is_some() {
        let conflict = result.get("conflict") == Some(&Value::Bool(true));
        result = json!({ "status": "duplicate", "conflict": conflict });
    } else if let Value::Object(answer) = &mut result {
        answer.insert(REPEATED.to_owned(), true.into());
    }
    Judged {
        call,
        by_rules: first.by_rules,
        refused: first.refused.clone(),
        result,
        proposal: first.proposal.clone(),
    }
}

/// How often a model was told that a call was wrong. One that is repeated in the same reply was wrong once: nobody could
/// mend it yet.
pub(super) fn corrections(entries: &[Entry]) -> usize {
    let wrong = entries.iter().filter(|entry| match entry {
        Entry::Result(judged) => {
            judged.refused.is_some() && !judged.by_rules && judged.result.get(REPEATED).is_none()
        }
        Entry::Reply { .. } => false,
    });
    wrong.count()
}
