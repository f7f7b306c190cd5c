//! The check of a whole set of prompts: everything that would otherwise surface while a customer waits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Value, json};

use super::context::{CONTEXT, LAYOUT, LINK_PLACEHOLDER, PLACEHOLDERS, sample_context};
use super::template::{Template, placeholders_in};
use super::{
    FALLBACK_LANGUAGE, LAYOUT_HTML, LAYOUT_TEXT, Prompts, PromptsError, SYSTEM, TERMS,
    playbook_file, template_file,
};
use crate::agent::playbook::{Playbook, environment};
use crate::guardrails::limits::prose::{Part, ProseRules, check_prose};

/// The most words of a template's body, as for a model's.
const TEMPLATE_WORDS: usize = 100;

/// Something wrong in a prompt file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, relative to the folder of prompts.
    pub file: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.what)
    }
}

impl Prompts {
    /// Everything wrong with this set, given the names of the tools that exist. Empty when it can be used.
    pub fn check(&self, tools: &[&str]) -> Vec<Problem> {
        let mut problems = Vec::new();
        let documented: BTreeSet<&str> = CONTEXT.iter().map(|(name, _)| *name).collect();
        let frame: BTreeSet<&str> = LAYOUT.iter().copied().collect();
        // Nothing that differs from run to run: a prompt that begins in another way each time is cached by nobody.
        self.names(SYSTEM, &self.system, &BTreeSet::new(), &mut problems);
        self.names(TERMS, &self.terms, &documented, &mut problems);
        self.names(LAYOUT_TEXT, &self.layout_text, &frame, &mut problems);
        self.names(LAYOUT_HTML, &self.layout_html, &frame, &mut problems);
        // A test knows that the built-in ones can be read.
        let built_in = Self::embedded().map_or_else(|_| BTreeMap::new(), |set| set.playbooks);
        let mut leads: BTreeMap<&str, &str> = BTreeMap::new();
        for playbook in self.playbooks.values() {
            let file = playbook_file(&playbook.name);
            self.names(&file, &playbook.body, &documented, &mut problems);
            self.expressions(playbook, &documented, &mut problems);
            self.tools(playbook, tools, &mut problems);
            self.renders(playbook, &mut problems);
            problems.extend(
                unfollowed(playbook, built_in.get(&playbook.name)).map(|what| Problem {
                    file: file.clone(),
                    what,
                }),
            );
            for lead in &playbook.leads {
                if let Some(other) = leads.insert(lead, &playbook.name) {
                    let what = format!("`{lead}` already leads to the playbook `{other}`");
                    problems.push(Problem {
                        file: file.clone(),
                        what,
                    });
                }
            }
        }
        for ((name, language), template) in &self.templates {
            let file = template_file(name, language);
            problems.extend(prose(template, language).into_iter().map(|what| Problem {
                file: file.clone(),
                what,
            }));
        }
        problems
    }

    #[expect(clippy::unused_self, reason = "one of the parts of `check`")]
    fn names(&self, file: &str, source: &str, known: &BTreeSet<&str>, problems: &mut Vec<Problem>) {
        let environment = environment();
        let template = match environment.template_from_named_str(file, source) {
            Ok(template) => template,
            Err(error) => {
                problems.push(Problem {
                    file: file.to_owned(),
                    what: format!("cannot be parsed: {error}"),
                });
                return;
            }
        };
        let globals: BTreeSet<&str> = environment.globals().map(|(name, _)| name).collect();
        let used: BTreeSet<String> = template.undeclared_variables(false).into_iter().collect();
        for name in used
            .iter()
            .filter(|n| !known.contains(n.as_str()) && !globals.contains(n.as_str()))
        {
            problems.push(Problem {
                file: file.to_owned(),
                what: format!("names the unknown `{name}`"),
            });
        }
    }

    #[expect(clippy::unused_self, reason = "one of the parts of `check`")]
    fn expressions(
        &self,
        playbook: &Playbook,
        known: &BTreeSet<&str>,
        problems: &mut Vec<Problem>,
    ) {
        let environment = environment();
        for (key, expression) in playbook.expressions() {
            let what = match environment.compile_expression(expression) {
                Err(error) => format!("`{key}` cannot be parsed: {error}"),
                Ok(compiled) => {
                    let used: BTreeSet<String> =
                        compiled.undeclared_variables(false).into_iter().collect();
                    let unknown: Vec<String> = used
                        .into_iter()
                        .filter(|name| !known.contains(name.as_str()))
                        .collect();
                    if unknown.is_empty() {
                        continue;
                    }
                    format!("`{key}` names the unknown `{}`", unknown.join("`, `"))
                }
            };
            problems.push(Problem {
                file: playbook_file(&playbook.name),
                what,
            });
        }
    }

    fn tools(&self, playbook: &Playbook, tools: &[&str], problems: &mut Vec<Problem>) {
        let mut add = |what: String| {
            problems.push(Problem {
                file: playbook_file(&playbook.name),
                what,
            });
        };
        for tool in &playbook.tools {
            if !tools.contains(&tool.as_str()) {
                add(format!("`tools` names the unknown tool `{tool}`"));
            }
        }
        for owed in &playbook.owed {
            if !playbook.tools.contains(&owed.tool) {
                add(format!(
                    "`owed` names `{}`, which is not among its `tools`",
                    owed.tool
                ));
            }
        }
        let owes_mail = playbook
            .owed
            .iter()
            .any(|owed| owed.must && owed.tool == "send_email");
        if owes_mail && playbook.template.is_none() {
            add("owes a mail and has no `template`".to_owned());
        }
        for name in playbook.templates() {
            if !self
                .templates
                .contains_key(&(name.to_owned(), FALLBACK_LANGUAGE.to_owned()))
            {
                add(format!(
                    "`template` names `{name}`, and emails/{name}.md does not exist"
                ));
            }
            let most = usize::try_from(playbook.limits.words).unwrap_or(usize::MAX);
            for ((_, language), template) in self.templates.iter().filter(|((n, _), _)| n == name) {
                if template.bodies().any(|(_, body)| words(body) > most) {
                    add(format!(
                        "`limits.words` is {most}, and {} has more words",
                        template_file(name, language)
                    ));
                }
            }
        }
    }

    /// Renders the playbook under every combination of the context's flags: an unknown filter or a name that is
    /// only reached in one branch shows up nowhere else.
    fn renders(&self, playbook: &Playbook, problems: &mut Vec<Problem>) {
        let mut seen = BTreeSet::new();
        for context in variations() {
            let failed = self
                .render(&playbook.name, &context)
                .map(drop)
                .and_then(|()| {
                    playbook
                        .owed_calls(&context)
                        .map(drop)
                        .map_err(PromptsError::from)
                });
            if let Err(error) = failed {
                seen.insert(error.to_string());
            }
        }
        problems.extend(seen.into_iter().map(|what| Problem {
            file: playbook_file(&playbook.name),
            what,
        }));
    }
}

/// Why a playbook would not be followed as it says. Which event leads to which is decided with the mandatory updates, where
/// no model and no file is asked, so a file can say it and not change it.
fn unfollowed(playbook: &Playbook, built_in: Option<&Playbook>) -> Option<String> {
    let Some(built_in) = built_in else {
        return Some(
            "would never run: no event leads to it and no schedule starts it. A new follow-up needs code as well, see CONTRIBUTING.md"
                .to_owned(),
        );
    };
    if playbook.leads != built_in.leads {
        return Some(format!(
            "`leads` would change nothing: write [{}], as it is built in",
            built_in.leads.join(", ")
        ));
    }
    (playbook.stage != built_in.stage).then(|| {
        format!(
            "`stage` would change nothing: write {}, as it is built in",
            built_in.stage
        )
    })
}

fn variations() -> impl Iterator<Item = Value> {
    const FLAGS: [&str; 5] = [
        "high_value",
        "recipient",
        "has_paid",
        "next_payment_attempt",
        "update_link",
    ];
    const CATEGORIES: [&str; 5] = [
        "generic",
        "expired_card",
        "insufficient_funds",
        "authentication_required",
        "other",
    ];
    const DISPUTES: [&str; 4] = ["none", "inquiry", "open", "lost"];
    const TRIALS: [&str; 3] = ["none", "goes_on", "lapses"];
    let words = CATEGORIES.iter().cycle().zip(DISPUTES.iter().cycle());
    (0..1_u32 << FLAGS.len())
        .zip(words.zip(TRIALS.iter().cycle()))
        .map(|(bits, ((category, dispute), trial))| {
            let mut context = sample_context();
            if let Value::Object(fields) = &mut context {
                for (index, flag) in FLAGS.iter().enumerate() {
                    fields.insert((*flag).to_owned(), json!(bits >> index & 1 == 1));
                }
                fields.insert("decline_category".to_owned(), json!(category));
                fields.insert("dispute".to_owned(), json!(dispute));
                fields.insert("trial".to_owned(), json!(trial));
                // What is often unknown is unknown in half of the variations.
                if bits % 2 == 0 {
                    fields.insert("plan".to_owned(), Value::Null);
                    fields.insert(
                        "placeholders".to_owned(),
                        json!(["amount", "business_name"]),
                    );
                    fields.insert("attempt_count".to_owned(), json!(0));
                }
            }
            context
        })
}

/// What keeps a template from passing the filters that a model's text passes.
fn prose(template: &Template, language: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let parts =
        std::iter::once(("the subject", template.subject.as_str())).chain(template.bodies());
    let placeholders: Vec<&str> = PLACEHOLDERS.iter().map(|(name, _)| *name).collect();
    let rules = ProseRules {
        placeholders: &placeholders,
        words: TEMPLATE_WORDS,
        locale: language,
    };
    for (part, text) in parts {
        let kind = if part == "the subject" {
            Part::Subject
        } else {
            Part::Body
        };
        match check_prose(text, kind, &rules) {
            // A language that the filters do not know is served by templates only; what follows still holds for it.
            Err(refusal) if refusal.rule != "locale" => {
                wrong.push(format!("{part} would be refused: {refusal}"));
            }
            _ => {}
        }
        if text.matches("{{").count() != text.matches("}}").count() {
            wrong.push(format!("{part} has braces that do not match"));
        }
        for name in placeholders_in(text) {
            if !PLACEHOLDERS.iter().any(|(known, _)| *known == name) {
                wrong.push(format!("{part} names the unknown placeholder `{name}`"));
            }
        }
        let plain = without_placeholders(text);
        if plain.chars().any(char::is_numeric) {
            wrong.push(format!(
                "{part} has a digit: amounts and dates are placeholders"
            ));
        }
        if plain.contains("://") || plain.contains('@') || letter_dot_letter(&plain) {
            wrong.push(format!(
                "{part} has an address or something that reads like one"
            ));
        }
        if plain.chars().any(|c| c.is_control() && c != '\n') {
            wrong.push(format!("{part} has a control character"));
        }
        if plain.contains(['<', '>']) {
            wrong.push(format!("{part} has markup: mails are plain prose"));
        }
        if words(text) > TEMPLATE_WORDS {
            wrong.push(format!("{part} has more than {TEMPLATE_WORDS} words"));
        }
    }
    if template.subject.contains(LINK_PLACEHOLDER) {
        wrong.push("the subject has a link".to_owned());
    }
    let links_first = placeholders_in(&template.body).contains(&LINK_PLACEHOLDER);
    match &template.body_without_link {
        Some(body) if placeholders_in(body).contains(&LINK_PLACEHOLDER) => {
            wrong.push("the body without link has a link".to_owned());
        }
        Some(_) if !links_first => {
            wrong.push("the first body has no link, so the second is never needed".to_owned());
        }
        None if links_first => {
            wrong.push("the body has a link and there is none for the case without: add `--- without link ---`".to_owned());
        }
        _ => {}
    }
    if !template.opens_without_extras() {
        wrong.push(
            "the subject or a first paragraph needs more than the amount and the business's name: keep other placeholders in later paragraphs"
                .to_owned(),
        );
    }
    wrong
}

fn without_placeholders(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        plain.push_str(before);
        plain.push(' ');
        rest = after.split_once("}}").map_or("", |(_, tail)| tail);
    }
    plain.push_str(rest);
    plain
}

fn letter_dot_letter(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    chars.windows(3).any(|three| {
        matches!(three, [a, dot, b] if a.is_alphabetic() && matches!(dot, '.' | '。' | '．' | '｡') && b.is_alphabetic())
    })
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}
