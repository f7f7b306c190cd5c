//! What a run was decided with, as hashes.

use sha2::{Digest, Sha256};

use super::files::{Kind, PromptFiles, hash, playbook_file};
use crate::agent::playbook::Playbook;

/// Stored with every run. While both are the same a run goes on from its journal; otherwise it starts over with fresh
/// reads, since what it was told is not what it would be told now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Print {
    /// SHA-256 over the files that a run of the playbook is made of: the system prompt, the playbook, its mails and their
    /// frame. A change to another playbook is none to this one's runs.
    pub prompts: String,
    /// SHA-256 over the contracts of its tools, as canonical JSON, in the order in which they are offered.
    pub tools: String,
}

impl Print {
    pub(super) fn of(playbook: &Playbook, files: &PromptFiles) -> Self {
        let own = playbook_file(&playbook.name);
        let is_part = |file: &str| match Kind::of(file) {
            Some(Kind::Whole) => true,
            Some(Kind::Playbook(_)) => file == own,
            Some(Kind::Template(name, _)) => playbook.templates().any(|used| used == name),
            None => false,
        };
        Self {
            prompts: hash(files.texts().filter(|(file, _)| is_part(file))),
            tools: tools(&playbook.tools),
        }
    }

    /// Whether a journal that notes these hashes was written with something else. One that notes none is believed.
    pub fn differs(&self, prompts: Option<&str>, tools: Option<&str>) -> bool {
        prompts.is_some_and(|prompts| prompts != self.prompts)
            || tools.is_some_and(|tools| tools != self.tools)
    }
}

fn tools(names: &[String]) -> String {
    let mut hash = Sha256::new();
    for tool in names.iter().filter_map(|name| billhook_tools::find(name)) {
        // A contract is plain data; one that could not be written down would not reach a model either.
        let mut contract = serde_json::to_value(tool.contract()).unwrap_or_default();
        contract.sort_all_objects();
        hash.update(contract.to_string());
        hash.update([0]);
    }
    hex::encode(hash.finalize())
}
