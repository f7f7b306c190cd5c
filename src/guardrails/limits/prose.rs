//! Prose that a model wrote: subjects and bodies of mails, summaries for people in the business.
//!
//! This module owns the order of the filters and what each refusal is called. It must never change a text.

use unicode_normalization::UnicodeNormalization;

use super::characters::{self, AMOUNT_MASK, MASK};
use super::{language, patterns, wording};

/// Which text it is; each has its own bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The subject of a mail: one line.
    Subject,
    /// The body of a mail.
    Body,
    /// The word to sales: one line.
    Summary,
}

impl Part {
    fn longest(self) -> usize {
        match self {
            Self::Subject => 120,
            Self::Body => 4000,
            Self::Summary => 400,
        }
    }
}

/// What the playbook and the customer allow.
#[derive(Debug, Clone, Copy)]
pub struct ProseRules<'a> {
    /// The names of the placeholders that will be filled.
    pub placeholders: &'a [&'a str],
    /// The most words; a placeholder is one word.
    pub words: usize,
    /// The reader's locale, such as `de-AT`.
    pub locale: &'a str,
}

/// Why a text was refused: a rule's name for the log, and a reason that tells the writer what to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {reason}")]
pub struct Refusal {
    /// The name of the rule.
    pub rule: &'static str,
    /// What broke it.
    pub reason: String,
}

impl Refusal {
    pub(super) fn new(rule: &'static str, reason: impl Into<String>) -> Self {
        Self {
            rule,
            reason: reason.into(),
        }
    }
}

/// Languages that the lexicon knows; mail in any other is written by templates.
const LANGUAGES: [&str; 2] = ["en", "de"];

/// Runs all hard filters over a text; the first that it breaks is the answer.
///
/// What can be read as written is looked at before normalization, and everything again after it (NFKC), because a
/// mail program, a browser and a reader each normalize in their own way.
pub fn check_prose(text: &str, part: Part, rules: &ProseRules<'_>) -> Result<(), Refusal> {
    if text.trim().is_empty() {
        return Err(Refusal::new("empty", "write at least one word"));
    }
    let length = text.chars().count();
    if length > part.longest() {
        return Err(Refusal::new(
            "too_long",
            format!("{length} characters, at most {}", part.longest()),
        ));
    }
    if !LANGUAGES.contains(&characters::language(rules.locale).as_str()) {
        return Err(Refusal::new(
            "locale",
            "the customer's language is served by templates only",
        ));
    }
    if part == Part::Subject && text.contains(characters::is_line_break) {
        return Err(Refusal::new(
            "line_break_in_subject",
            "a subject is a single line",
        ));
    }
    characters::check_visible(text, part == Part::Body, rules.locale)?;

    let raw = mask_placeholders(text, rules.placeholders)?;
    let normal: String = raw.nfkc().collect();
    if normal.contains(['{', '}']) {
        return Err(Refusal::new(
            "template_syntax",
            "braces are allowed only around a placeholder, as in `{{name}}`",
        ));
    }
    for text in [&raw, &normal] {
        patterns::check_leads(&patterns::plain_signs(text))?;
    }
    // Some digits are letters after normalization, and some signs are digits only then.
    characters::check_digits(&raw)?;
    characters::check_digits(&normal)?;
    characters::check_latin(&normal)?;
    patterns::check_letter_dot_letter(&patterns::plain_signs(&normal))?;
    wording::check_amounts(&normal)?;
    wording::check_spelled_phone(&normal)?;
    wording::check_promises(&normal)?;

    let words = normal
        .split_whitespace()
        .filter(|word| word.contains(is_word))
        .count();
    if words > rules.words {
        return Err(Refusal::new(
            "too_long",
            format!("{words} words, at most {}", rules.words),
        ));
    }
    // Last, because it is the one that tells least of what is wrong.
    language::check_language(&normal, part, rules.locale)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || characters::is_mask(c)
}

/// Takes the placeholders out; what looks like one and is not exactly `{{name}}` or `{{ name }}` is refused.
fn mask_placeholders(text: &str, known: &[&str]) -> Result<String, Refusal> {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        masked.push_str(before);
        let Some((inside, next)) = after.split_once("}}") else {
            return Err(Refusal::new(
                "template_syntax",
                "a placeholder is opened and not closed",
            ));
        };
        let name = inside
            .strip_prefix(' ')
            .and_then(|inner| inner.strip_suffix(' '))
            .unwrap_or(inside);
        let well_formed = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !well_formed {
            return Err(Refusal::new(
                "template_syntax",
                "a placeholder is written exactly `{{name}}`, without filters",
            ));
        }
        if !known.contains(&name) {
            let name: String = name.chars().take(40).collect();
            let reason = format!(
                "`{name}` is not among the placeholders: {}",
                known.join(", ")
            );
            return Err(Refusal::new("unknown_placeholder", reason));
        }
        masked.push(if name.contains("amount") || name.contains("total") {
            AMOUNT_MASK
        } else {
            MASK
        });
        rest = next;
    }
    masked.push_str(rest);
    Ok(masked)
}
