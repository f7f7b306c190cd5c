//! Playbooks: one file for each kind of follow-up, with its prompt, the tools it allows, what is owed, and its limits.
//!
//! This module reads such a file and evaluates its conditions. It must never decide whether a follow-up is due, and a
//! mistake in a file must surface when the file is read, not when a customer's payment has failed at night.
//!
//! A new follow-up is one new file in `prompts/playbooks/` and one line in the table of `prompts.rs`.

mod error;

use minijinja::value::{Serde, Value as Expression, ValueKind};
use minijinja::{Environment, UndefinedBehavior};
use serde::Deserialize;
use serde_json::Value;

pub use self::error::PlaybookError;

/// The most turns a playbook may grant: beyond it a run is lost, not careful.
const MAX_TURNS: u32 = 20;
/// The most words a playbook may grant to one text.
const MAX_WORDS: u32 = 300;

/// Whether the model's proposals take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The model's proposals take effect.
    #[default]
    Live,
    /// The model decides and is logged, the rules act.
    Shadow,
    /// What the model proposes is held until a person approves.
    Approve,
}

/// How much a run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Model replies in one run.
    pub turns: u32,
    /// Words in the body of one text.
    pub words: u32,
}

/// A call that is owed to the follow-up, whoever makes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owed {
    /// The tool's name.
    pub tool: String,
    /// Added by rule when a model's run did not propose it.
    pub must: bool,
    /// An expression over the context; owed always when absent.
    #[serde(default)]
    pub when: Option<String>,
    /// The arguments when the rules make the call. A string that starts with `=` is an expression over the context.
    #[serde(default)]
    pub args: Value,
    /// The mail that is sent in this case, where it is not the playbook's own.
    #[serde(default)]
    pub template: Option<String>,
}

/// An owed call with its condition met and its arguments worked out.
#[derive(Debug, Clone, PartialEq)]
pub struct OwedCall {
    /// The tool's name.
    pub tool: String,
    /// Added by rule when a model's run did not propose it.
    pub must: bool,
    /// The arguments, as an object.
    pub args: Value,
    /// The mail that the rules send.
    pub template: Option<String>,
}

/// One follow-up: prompt, tools, what is owed, limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Playbook {
    /// The name; also the file's stem.
    pub name: String,
    /// The event types that create this follow-up; none when a schedule does.
    pub leads: Vec<String>,
    /// A word that tells two mails about one occurrence apart; part of the effect key of a mail.
    pub stage: String,
    /// The tools a model may call.
    pub tools: Vec<String>,
    /// What is owed.
    pub owed: Vec<Owed>,
    /// How much a run may take.
    pub limits: Limits,
    /// Whether the model's proposals take effect.
    pub mode: Mode,
    /// The mail that is sent when no model writes one: a name in `prompts/emails/`.
    pub template: Option<String>,
    /// The instructions to the model, as a template over the documented context.
    pub body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrontMatter {
    name: String,
    leads: Vec<String>,
    stage: String,
    tools: Vec<String>,
    owed: Vec<Owed>,
    limits: Limits,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    template: Option<String>,
}

impl Playbook {
    /// Reads a playbook; `name` is the file's stem, which the front matter must repeat.
    pub fn parse(name: &str, text: &str) -> Result<Self, PlaybookError> {
        let file = file_of(name);
        let (front, body) =
            front_matter(text).ok_or_else(|| PlaybookError::FrontMatter { file: file.clone() })?;
        let front: FrontMatter =
            serde_saphyr::from_str(front).map_err(|e| PlaybookError::Yaml {
                file,
                what: e.without_snippet().to_string(),
            })?;
        let FrontMatter {
            name: stated,
            leads,
            stage,
            tools,
            owed,
            limits,
            mode,
            template,
        } = front;
        let playbook = Self {
            name: stated,
            leads,
            stage,
            tools,
            owed,
            limits,
            mode,
            template,
            body: body.to_owned(),
        };
        playbook.validate(name)?;
        Ok(playbook)
    }

    /// What is owed under `context`, with arguments worked out. A name that the context lacks is an error.
    pub fn owed_calls(&self, context: &Value) -> Result<Vec<OwedCall>, PlaybookError> {
        let environment = environment();
        let root = Expression::from(Serde(context));
        let mut calls = Vec::new();
        for (index, owed) in self.owed.iter().enumerate() {
            if let Some(when) = &owed.when {
                let key = format!("owed[{index}].when");
                let holds = self.evaluate(&environment, &root, &key, when)?;
                if holds.kind() != ValueKind::Bool {
                    return Err(self.key(key, format!("is a {}: write a condition", holds.kind())));
                }
                if !holds.is_true() {
                    continue;
                }
            }
            let args = match &owed.args {
                Value::Null => Value::Object(serde_json::Map::new()),
                args => self.work_out(&environment, &root, &format!("owed[{index}].args"), args)?,
            };
            calls.push(OwedCall {
                tool: owed.tool.clone(),
                must: owed.must,
                args,
                template: owed.template.clone().or_else(|| self.template.clone()),
            });
        }
        Ok(calls)
    }

    /// The names of its mails.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &str> {
        let owed = self.owed.iter().filter_map(|owed| owed.template.as_deref());
        self.template.as_deref().into_iter().chain(owed)
    }

    /// Every expression in the front matter, with its key: for checks that read but do not run them.
    pub(crate) fn expressions(&self) -> Vec<(String, &str)> {
        let mut found = Vec::new();
        for (index, owed) in self.owed.iter().enumerate() {
            if let Some(when) = &owed.when {
                found.push((format!("owed[{index}].when"), when.as_str()));
            }
            collect(&format!("owed[{index}].args"), &owed.args, &mut found);
        }
        found
    }

    fn validate(&self, file_stem: &str) -> Result<(), PlaybookError> {
        let word = |key: &str, value: &str| {
            let fine = !value.is_empty()
                && value
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            if fine {
                return Ok(());
            }
            Err(self.key_in(
                file_stem,
                key,
                "must be a word of lower-case letters, digits and _".to_owned(),
            ))
        };
        word("name", &self.name)?;
        word("stage", &self.stage)?;
        if self.name != file_stem {
            let what = format!("is `{}`: rename it or the file", self.name);
            return Err(self.key_in(file_stem, "name", what));
        }
        for template in self.templates() {
            word("template", template)?;
        }
        let within = |key: &str, value: u32, most: u32| {
            if (1..=most).contains(&value) {
                return Ok(());
            }
            Err(self.key_in(
                file_stem,
                key,
                format!("is {value}: it must be between 1 and {most}"),
            ))
        };
        within("limits.turns", self.limits.turns, MAX_TURNS)?;
        within("limits.words", self.limits.words, MAX_WORDS)?;
        for (index, owed) in self.owed.iter().enumerate() {
            if !matches!(owed.args, Value::Object(_) | Value::Null) {
                let key = format!("owed[{index}].args");
                return Err(self.key(key, "must be a map of arguments".to_owned()));
            }
        }
        let environment = environment();
        for (key, expression) in self.expressions() {
            environment
                .compile_expression(expression)
                .map_err(|source| PlaybookError::Expression {
                    file: file_of(file_stem),
                    key,
                    source,
                })?;
        }
        Ok(())
    }

    fn work_out(
        &self,
        environment: &Environment<'_>,
        root: &Expression,
        key: &str,
        value: &Value,
    ) -> Result<Value, PlaybookError> {
        match value {
            Value::String(text) => match text.strip_prefix('=') {
                None => Ok(value.clone()),
                Some(expression) => {
                    let found = self.evaluate(environment, root, key, expression)?;
                    serde_json::to_value(&found).map_err(|_source| {
                        self.key(key.to_owned(), "comes to no plain value".to_owned())
                    })
                }
            },
            Value::Array(items) => items
                .iter()
                .map(|item| self.work_out(environment, root, key, item))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, field)| {
                    let inner = format!("{key}.{name}");
                    Ok((
                        name.clone(),
                        self.work_out(environment, root, &inner, field)?,
                    ))
                })
                .collect::<Result<_, _>>()
                .map(Value::Object),
            _ => Ok(value.clone()),
        }
    }

    fn evaluate(
        &self,
        environment: &Environment<'_>,
        root: &Expression,
        key: &str,
        expression: &str,
    ) -> Result<Expression, PlaybookError> {
        let failed = |source| PlaybookError::Expression {
            file: file_of(&self.name),
            key: key.to_owned(),
            source,
        };
        let value = environment
            .compile_expression(expression)
            .and_then(|compiled| compiled.eval(root.clone()))
            .map_err(failed)?;
        // Strictness refuses to compute with an unknown name, but a name that stands alone would pass as undefined.
        if value.is_undefined() {
            return Err(failed(minijinja::Error::new(
                minijinja::ErrorKind::UndefinedError,
                "the context has no such name",
            )));
        }
        Ok(value)
    }

    fn key(&self, key: String, what: String) -> PlaybookError {
        PlaybookError::Key {
            file: file_of(&self.name),
            key,
            what,
        }
    }

    #[expect(
        clippy::unused_self,
        reason = "stands beside `key`, for a name that is not trusted yet"
    )]
    fn key_in(&self, file_stem: &str, key: &str, what: String) -> PlaybookError {
        PlaybookError::Key {
            file: file_of(file_stem),
            key: key.to_owned(),
            what,
        }
    }
}

/// The engine for everything in `prompts/`: an unknown name is an error, HTML is escaped by the file's extension, and
/// errors carry no values, since those are facts about customers.
pub(crate) fn environment<'source>() -> Environment<'source> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_debug(false);
    environment
}

/// Parts a file into its front matter and the rest.
pub(crate) fn front_matter(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let rest = text
        .strip_prefix("---\n")
        .or_else(|| text.strip_prefix("---\r\n"))?;
    let mut offset = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return Some((rest.get(..offset)?, rest.get(offset + line.len()..)?));
        }
        offset += line.len();
    }
    None
}

fn file_of(name: &str) -> String {
    format!("playbooks/{name}.md")
}

fn collect<'a>(key: &str, value: &'a Value, found: &mut Vec<(String, &'a str)>) {
    match value {
        Value::String(text) => {
            if let Some(expression) = text.strip_prefix('=') {
                found.push((key.to_owned(), expression));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(key, item, found)),
        Value::Object(fields) => {
            fields
                .iter()
                .for_each(|(name, field)| collect(&format!("{key}.{name}"), field, found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests;
