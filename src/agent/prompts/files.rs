//! The files of a set of prompts: read as a whole, told apart by their names, and hashed. What they say is read elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{EMBEDDED, FALLBACK_LANGUAGE, LAYOUT_HTML, LAYOUT_TEXT, PromptsError, SYSTEM, TERMS};

/// The largest prompt file: beyond it somebody has put the wrong file there.
const MAX_FILE: u64 = 256 * 1024;

/// Every file of a set, by its name relative to the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptFiles(BTreeMap<String, String>);

impl PromptFiles {
    /// Those that are built in.
    pub fn embedded() -> Self {
        let files = EMBEDDED.iter();
        Self(
            files
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect(),
        )
    }

    /// Those of `folder`, when there is one, else those built in.
    pub fn open(folder: Option<&Path>) -> Result<Self, PromptsError> {
        folder.map_or_else(|| Ok(Self::embedded()), Self::read)
    }

    /// Those built in, with the files of `folder` in their place or beside them. A file whose name means nothing is an
    /// error, since a misspelled override would silently do nothing; what editors and Kubernetes leave behind is passed
    /// over.
    pub fn read(folder: &Path) -> Result<Self, PromptsError> {
        let Self(mut files) = Self::embedded();
        for (inner, prefix) in [
            (folder.to_path_buf(), ""),
            (folder.join("playbooks"), "playbooks/"),
            (folder.join("emails"), "emails/"),
        ] {
            if !prefix.is_empty() && !inner.exists() {
                continue;
            }
            for (name, path) in entries(&inner)? {
                if prefix.is_empty() && path.is_dir() && (name == "playbooks" || name == "emails") {
                    continue;
                }
                let file = format!("{prefix}{name}");
                if path.is_dir() || Kind::of(&file).is_none() {
                    return Err(PromptsError::UnknownFile { file });
                }
                files.insert(file, read(&path)?);
            }
        }
        Ok(Self(files))
    }

    /// The text of one.
    pub(super) fn text(&self, file: &str) -> Option<&str> {
        self.0.get(file).map(String::as_str)
    }

    /// Names and texts, in the order of the names.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }

    /// SHA-256 over all of them.
    pub fn hash(&self) -> String {
        hash(self.texts())
    }
}

/// What a file's name says about it.
pub(super) enum Kind<'a> {
    /// A playbook of that name.
    Playbook(&'a str),
    /// A mail of that name, in that language.
    Template(&'a str, &'a str),
    /// One of those that there is one of.
    Whole,
}

impl<'a> Kind<'a> {
    pub(super) fn of(file: &'a str) -> Option<Self> {
        if [SYSTEM, TERMS, LAYOUT_TEXT, LAYOUT_HTML].contains(&file) {
            return Some(Self::Whole);
        }
        let (folder, name) = file.split_once('/')?;
        let stem = name.strip_suffix(".md")?;
        match (folder, stem.split_once('.')) {
            ("playbooks", None) => is_word(stem).then_some(Self::Playbook(stem)),
            ("emails", None) => is_word(stem).then_some(Self::Template(stem, FALLBACK_LANGUAGE)),
            ("emails", Some((name, language))) => {
                let is_language = (2..=3).contains(&language.len())
                    && language.bytes().all(|b| b.is_ascii_lowercase())
                    && language != FALLBACK_LANGUAGE;
                (is_word(name) && is_language).then_some(Self::Template(name, language))
            }
            _ => None,
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// The file of a playbook.
pub(super) fn playbook_file(name: &str) -> String {
    format!("playbooks/{name}.md")
}

/// The file of a mail in a language.
pub(super) fn template_file(name: &str, language: &str) -> String {
    if language == FALLBACK_LANGUAGE {
        format!("emails/{name}.md")
    } else {
        format!("emails/{name}.{language}.md")
    }
}

/// The names are hashed with the texts, and both with their lengths, so that no two sets share a hash.
pub(super) fn hash<'a>(files: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let mut hash = Sha256::new();
    for part in files.flat_map(|(name, text)| [name, text]) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(hash.finalize())
}

/// Hidden files, as the links are by which Kubernetes swaps a folder, and what editors keep beside a file.
fn is_passed_over(name: &str) -> bool {
    name.starts_with(['.', '#']) || name.ends_with('~')
}

pub(super) fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, PromptsError> {
    let failed = |source| PromptsError::Io {
        path: folder.to_path_buf(),
        source,
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !is_passed_over(&name) {
            found.push((name, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String, PromptsError> {
    let failed = |source| PromptsError::Io {
        path: path.to_path_buf(),
        source,
    };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    // A pipe would be waited for without end, and a device read without end.
    if !metadata.is_file() {
        return Err(failed(std::io::Error::other("it is no ordinary file")));
    }
    if metadata.len() > MAX_FILE {
        return Err(failed(std::io::Error::other(
            "the file is larger than 256 KiB",
        )));
    }
    std::fs::read_to_string(path).map_err(failed)
}
