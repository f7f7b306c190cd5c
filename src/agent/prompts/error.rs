//! What can be wrong with a set of prompts.

use std::path::PathBuf;

use super::Problem;
use crate::agent::playbook::PlaybookError;

/// Prompts that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PromptsError {
    /// A file or folder cannot be read.
    #[error("{path} cannot be read: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file whose name means nothing.
    #[error(
        "{file} is no prompt file: expected system.md, playbooks/NAME.md, emails/NAME.md, emails/NAME.LANGUAGE.md, emails/layout.txt or emails/layout.html"
    )]
    UnknownFile {
        /// The file, relative to the folder.
        file: String,
    },
    /// A template that no playbook names: most likely a typo in the file's name.
    #[error("{file} is used by no playbook: rename it, or name it in a playbook's `template`")]
    Unused {
        /// The file, relative to the folder.
        file: String,
    },
    /// A file that is needed and missing.
    #[error("{file} is missing")]
    Missing {
        /// The file, relative to the folder.
        file: String,
    },
    /// A template that cannot be read.
    #[error("{file} {what}")]
    Template {
        /// The file, relative to the folder.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// A playbook that cannot be read.
    #[error(transparent)]
    Playbook(#[from] PlaybookError),
    /// A playbook that does not exist.
    #[error("there is no playbook `{name}`")]
    NoPlaybook {
        /// The name asked for.
        name: String,
    },
    /// Files that can be read and say what cannot be meant.
    #[error("{}; `billhook prompts check` shows them all", told(.0))]
    Problems(Vec<Problem>),
    /// Reading or checking them panicked.
    #[error("billhook panicked on them, which is a bug; its standard error output says where")]
    Panicked,
    /// Rendering failed.
    #[error("{file} cannot be rendered: {source}")]
    Render {
        /// The file, relative to the folder.
        file: String,
        /// The engine's words.
        #[source]
        source: minijinja::Error,
    },
}

/// How many there are, and the first.
fn told(problems: &[Problem]) -> String {
    let first = problems
        .first()
        .map(ToString::to_string)
        .unwrap_or_default();
    match problems.len() {
        0 | 1 => first,
        more => format!("{more} problems, the first: {first}"),
    }
}
