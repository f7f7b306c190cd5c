//! What a playbook owes: what a run left undone, and what cannot be done though it must. Pure.

use std::collections::BTreeSet;

use super::Run;
use crate::agent::journal::{Entry, Judged};
use crate::agent::playbook::OwedCall;

impl Run<'_> {
    /// What is owed for sure and was not proposed; what the rules tried already is not tried again.
    pub(super) fn missing(&self, entries: &[Entry]) -> Vec<OwedCall> {
        let settled: BTreeSet<&str> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Result(judged) if judged.refused.is_none() || judged.by_rules => {
                    Some(judged.call.name.as_str())
                }
                _ => None,
            })
            .collect();
        self.owed
            .iter()
            .filter(|call| call.must && !settled.contains(call.tool.as_str()))
            .cloned()
            .collect()
    }

    /// Why something owed for sure will not happen although the rules called it. That there is nobody to do it for is no
    /// fault; that a template does not pass its own filters is one, and must not end as if all were done.
    pub(super) fn broken_duty(&self, entries: &[Entry]) -> Option<String> {
        entries.iter().find_map(|entry| match entry {
            Entry::Result(Judged {
                call,
                by_rules: true,
                refused: Some((rule, reason)),
                ..
            }) => {
                let must = self
                    .owed
                    .iter()
                    .any(|owed| owed.must && owed.tool == call.name);
                (must && !rule.starts_with("no_")).then(|| {
                    format!(
                        "the rules' own {} was refused by {rule}: {reason}",
                        call.name
                    )
                })
            }
            _ => None,
        })
    }
}
