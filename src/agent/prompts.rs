//! The prompt files: embedded in the binary, replaceable by a folder, checked as a whole, and hashed.
//!
//! This module owns what is in `prompts/`. It must never fill in a fact about a customer that is not in the documented
//! context, and never use a file that it has not read completely.

mod check;
mod context;
mod error;
mod files;
mod print;
mod template;

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::value::Serde;
use serde_json::{Map, Value};

pub use self::check::Problem;
pub use self::context::{CONTEXT, LINK_PLACEHOLDER, PLACEHOLDERS, sample_context};
pub use self::error::PromptsError;
pub use self::files::PromptFiles;
use self::files::{Kind, playbook_file, template_file};
pub use self::print::Print;
pub use self::template::{Prose, Template, placeholders_in};
use super::playbook::{OwedCall, Playbook, environment};

/// The language that every template exists in.
pub const FALLBACK_LANGUAGE: &str = "en";

const LAYOUT_TEXT: &str = "emails/layout.txt";
const LAYOUT_HTML: &str = "emails/layout.html";
const SYSTEM: &str = "system.md";
const TERMS: &str = "terms.md";

macro_rules! embed {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../prompts/", $name)))),*]
    };
}

/// Every file in `prompts/`. A test fails when one is missing here.
const EMBEDDED: &[(&str, &str)] = embed![
    "emails/invoice_payment_failed.de.md",
    "emails/invoice_payment_failed.md",
    "emails/layout.html",
    "emails/layout.txt",
    "emails/payment_failed.de.md",
    "emails/payment_failed.md",
    "emails/subscription_past_due.de.md",
    "emails/subscription_past_due.md",
    "emails/trial_ending.de.md",
    "emails/trial_ending.md",
    "emails/trial_lapsing.de.md",
    "emails/trial_lapsing.md",
    "emails/winback_due.de.md",
    "emails/winback_due.md",
    "playbooks/dispute_opened.md",
    "playbooks/invoice_finalization_failed.md",
    "playbooks/invoice_overpaid.md",
    "playbooks/invoice_payment_failed.md",
    "playbooks/payment_failed.md",
    "playbooks/payment_succeeded.md",
    "playbooks/payout_failed.md",
    "playbooks/subscription_ended.md",
    "playbooks/subscription_past_due.md",
    "playbooks/trial_ending.md",
    "playbooks/winback_due.md",
    "system.md",
    "terms.md",
];

/// All prompts of one set.
#[derive(Debug, Clone)]
pub struct Prompts {
    /// The system prompt. It names nothing, so that it is the same for every run and a provider can cache it.
    pub system: String,
    /// What differs from run to run whatever the playbook, as a template over the documented context.
    pub terms: String,
    /// The playbooks by name.
    pub playbooks: BTreeMap<String, Playbook>,
    /// The mails by name and language.
    pub templates: BTreeMap<(String, String), Template>,
    /// The frame of a mail's text part.
    pub layout_text: String,
    /// The frame of a mail's HTML part.
    pub layout_html: String,
    /// What each playbook's runs are decided with, as hashes.
    pub prints: BTreeMap<String, Print>,
    /// SHA-256 over all files, names sorted: which set it is.
    pub hash: String,
}

/// What a model is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The system prompt.
    pub system: String,
    /// The playbook's instructions, and the terms of this run behind them.
    pub instructions: String,
}

impl Prompts {
    /// The prompts that are built in.
    pub fn embedded() -> Result<Self, PromptsError> {
        Self::assemble(&PromptFiles::embedded())
    }

    /// The prompts of `folder`, when there is one, else those built in.
    pub fn open(folder: Option<&Path>) -> Result<Self, PromptsError> {
        Self::assemble(&PromptFiles::open(folder)?)
    }

    /// The same, refused where anything is wrong with them: what whoever decides with them begins by.
    pub fn checked(folder: Option<&Path>) -> Result<Self, PromptsError> {
        match folder {
            // A test knows that nothing is wrong with these.
            None => Self::embedded(),
            Some(_) => Self::open(folder)?.in_order(),
        }
    }

    /// These prompts, if nothing is wrong with them.
    pub fn in_order(self) -> Result<Self, PromptsError> {
        let tools = billhook_tools::all();
        let names: Vec<&str> = tools.iter().map(|tool| tool.name()).collect();
        let problems = self.check(&names);
        if problems.is_empty() {
            Ok(self)
        } else {
            Err(PromptsError::Problems(problems))
        }
    }

    /// Reads what the files say.
    pub fn assemble(files: &PromptFiles) -> Result<Self, PromptsError> {
        let mut playbooks = BTreeMap::new();
        let mut templates = BTreeMap::new();
        for (file, text) in files.texts() {
            match Kind::of(file) {
                Some(Kind::Playbook(name)) => {
                    playbooks.insert(name.to_owned(), Playbook::parse(name, text)?);
                }
                Some(Kind::Template(name, language)) => {
                    let template =
                        Template::parse(text).map_err(|what| PromptsError::Template {
                            file: file.clone(),
                            what,
                        })?;
                    templates.insert((name.to_owned(), language.to_owned()), template);
                }
                Some(Kind::Whole) => {}
                None => return Err(PromptsError::UnknownFile { file: file.clone() }),
            }
        }
        if let Some((name, language)) = templates.keys().find(|(name, _)| {
            !playbooks
                .values()
                .any(|p: &Playbook| p.templates().any(|used| used == name))
        }) {
            return Err(PromptsError::Unused {
                file: template_file(name, language),
            });
        }
        let whole = |file: &str| {
            files
                .text(file)
                .map(str::to_owned)
                .ok_or_else(|| PromptsError::Missing {
                    file: file.to_owned(),
                })
        };
        Ok(Self {
            system: whole(SYSTEM)?,
            terms: whole(TERMS)?,
            layout_text: whole(LAYOUT_TEXT)?,
            layout_html: whole(LAYOUT_HTML)?,
            prints: playbooks
                .values()
                .map(|playbook| (playbook.name.clone(), Print::of(playbook, files)))
                .collect(),
            playbooks,
            templates,
            hash: files.hash(),
        })
    }

    /// What a run of that playbook is decided with, as hashes.
    pub fn print(&self, playbook: &str) -> Result<&Print, PromptsError> {
        self.prints
            .get(playbook)
            .ok_or_else(|| PromptsError::NoPlaybook {
                name: playbook.to_owned(),
            })
    }

    /// The playbook of that name.
    pub fn playbook(&self, name: &str) -> Result<&Playbook, PromptsError> {
        self.playbooks
            .get(name)
            .ok_or_else(|| PromptsError::NoPlaybook {
                name: name.to_owned(),
            })
    }

    /// The playbook that an event type leads to.
    pub fn led_by(&self, event_type: &str) -> Option<&Playbook> {
        self.playbooks
            .values()
            .find(|p| p.leads.iter().any(|lead| lead == event_type))
    }

    /// The mail of that name in the language of `language` (a tag such as `de-AT`), else in English.
    pub fn template(&self, name: &str, language: &str) -> Option<&Template> {
        [primary_language(language).as_str(), FALLBACK_LANGUAGE]
            .iter()
            .find_map(|language| {
                self.templates
                    .get(&(name.to_owned(), (*language).to_owned()))
            })
    }

    /// Renders what a model is told. `words` is set from the playbook's limits, so that text and filter agree.
    pub fn render(&self, playbook: &str, context: &Value) -> Result<Rendered, PromptsError> {
        let playbook = self.playbook(playbook)?;
        let mut context = context.clone();
        if let Value::Object(fields) = &mut context {
            fields.insert("words".to_owned(), playbook.limits.words.into());
        }
        let file = playbook_file(&playbook.name);
        Ok(Rendered {
            system: render_text(SYSTEM, &self.system, &Value::Object(Map::new()))?,
            instructions: format!(
                "{}\n{}",
                render_text(&file, &playbook.body, &context)?,
                render_text(TERMS, &self.terms, &context)?
            ),
        })
    }

    /// What is owed, ready to be called by the rules: a mail's subject and body come from the playbook's template, in the
    /// context's `language` and for its `placeholders`.
    pub fn owed_calls(
        &self,
        playbook: &str,
        context: &Value,
    ) -> Result<Vec<OwedCall>, PromptsError> {
        let playbook = self.playbook(playbook)?;
        let mut calls = playbook.owed_calls(context)?;
        for call in calls.iter_mut().filter(|call| call.tool == "send_email") {
            let language = context
                .get("language")
                .and_then(Value::as_str)
                .unwrap_or(FALLBACK_LANGUAGE);
            let template = call
                .template
                .as_deref()
                .and_then(|name| self.template(name, language))
                .ok_or_else(|| PromptsError::Template {
                    file: playbook_file(&playbook.name),
                    what: "owes a mail and has no `template`".to_owned(),
                })?;
            let offered: Vec<&str> = context
                .get("placeholders")
                .and_then(Value::as_array)
                .map(|names| names.iter().filter_map(Value::as_str).collect())
                .unwrap_or_default();
            let Prose { subject, body } = template.prose(&offered);
            if let Value::Object(args) = &mut call.args {
                args.insert("subject".to_owned(), subject.into());
                args.insert("body".to_owned(), body.into());
            }
        }
        Ok(calls)
    }
}

/// The language of a tag: `de` of `de-AT` and `de_AT`, in lower case.
pub fn primary_language(tag: &str) -> String {
    tag.split(['-', '_'])
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

fn render_text(file: &str, source: &str, context: &Value) -> Result<String, PromptsError> {
    environment()
        .render_named_str(file, source, Serde(context))
        .map(|text| tidy(&text))
        .map_err(|source| PromptsError::Render {
            file: file.to_owned(),
            source,
        })
}

/// Folds the runs of empty lines that conditions and comments leave behind.
fn tidy(text: &str) -> String {
    let mut tidied = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.trim().lines() {
        empty = if line.trim().is_empty() { empty + 1 } else { 0 };
        if empty <= 1 {
            tidied.push_str(line.trim_end());
            tidied.push('\n');
        }
    }
    tidied
}

#[cfg(test)]
mod tests;
