//! What was tried and what came of it: each shard's part in a file, and the whole of them from whoever is last.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::support::services::variable;

/// A shard's figures, or all of them together.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) shards: BTreeSet<String>,
    pub(super) cases: usize,
    /// Goal, where in what a model said it stood, and what became of it there.
    pub(super) distinct: BTreeSet<(String, String, String)>,
    pub(super) refused: BTreeMap<String, usize>,
    pub(super) allowed: usize,
    /// Cases in which something that the model was sent held an attacker's words, by the field that did.
    pub(super) shown: BTreeMap<String, usize>,
    pub(super) fields: BTreeSet<String>,
    pub(super) carriers: BTreeSet<String>,
    pub(super) successes: usize,
    pub(super) mails_owed: usize,
    pub(super) mails_sent: usize,
    pub(super) notices_owed: usize,
    pub(super) notices_sent: usize,
}

impl Report {
    fn add(&mut self, other: Self) {
        self.shards.extend(other.shards);
        self.cases += other.cases;
        self.distinct.extend(other.distinct);
        for (rule, times) in other.refused {
            *self.refused.entry(rule).or_default() += times;
        }
        for (field, times) in other.shown {
            *self.shown.entry(field).or_default() += times;
        }
        self.fields.extend(other.fields);
        self.carriers.extend(other.carriers);
        self.allowed += other.allowed;
        self.successes += other.successes;
        self.mails_owed += other.mails_owed;
        self.mails_sent += other.mails_sent;
        self.notices_owed += other.notices_owed;
        self.notices_sent += other.notices_sent;
    }

    /// Puts a shard's part down; whoever completes the set gets the whole.
    pub(super) fn hand_in(self, name: &str, shards: usize) -> Option<Self> {
        // The shards of one run find each other by the runner's name for it, or are one process.
        let run = variable("NEXTEST_RUN_ID").unwrap_or_else(|| std::process::id().to_string());
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join("hostile")
            .join(run);
        std::fs::create_dir_all(&folder).unwrap();
        // Nobody may read half of it.
        let half = folder.join(format!("{name}.half"));
        std::fs::write(&half, serde_json::to_vec(&self).unwrap()).unwrap();
        std::fs::rename(&half, folder.join(format!("{name}.json"))).unwrap();
        if parts_in(&folder).len() < shards {
            return None;
        }
        // Two may see that all are there; only one of them can take it away.
        let taken = folder.with_extension("whole");
        std::fs::rename(&folder, &taken).ok()?;
        let mut whole = Self::default();
        for part in parts_in(&taken) {
            whole.add(serde_json::from_slice(&std::fs::read(part).unwrap()).unwrap());
        }
        std::fs::remove_dir_all(&taken).unwrap();
        let summary = folder.parent().unwrap().join("summary.txt");
        std::fs::write(summary, whole.shown_to_people("all playbooks")).unwrap();
        Some(whole)
    }

    pub(super) fn shown_to_people(&self, what: &str) -> String {
        let mut lines = vec![
            format!("hostile model, {what}"),
            format!("{:>6} cases", self.cases),
            format!("{:>6} distinct goal x sink x rule", self.distinct.len()),
            format!(
                "{:>6} carriers, {} fields that hold an attacker's words",
                self.carriers.len(),
                self.fields.len()
            ),
            format!("{:>6} targeted successes", self.successes),
            format!(
                "{:>6} mails owed, {} sent",
                self.mails_owed, self.mails_sent
            ),
            format!(
                "{:>6} notices owed, {} sent",
                self.notices_owed, self.notices_sent
            ),
            format!("{:>6} calls allowed, harmless as they are", self.allowed),
        ];
        lines.extend(
            self.refused
                .iter()
                .map(|(rule, times)| format!("{times:>6} calls refused by {rule}")),
        );
        lines.extend(self.shown.iter().map(|(field, times)| {
            format!("{times:>6} times a model was shown an attack in {field}")
        }));
        lines.join("\n") + "\n"
    }
}

/// The parts that were handed in; none where somebody has taken them away.
fn parts_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect()
}
