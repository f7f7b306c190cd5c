//! Prose with placeholders becomes a mail: placeholders are filled in one pass, then everything is framed and escaped.
//!
//! Pure. A value is put in place and never looked at again: a customer named `{{update_payment_link}}` gets no link,
//! and a plan named `<b>` is four characters. Filters on prose are not here; they run before.

use std::collections::BTreeMap;

use minijinja::context;
use serde::{Deserialize, Serialize};

use super::message::clean;
use crate::agent::playbook::environment;
pub use crate::agent::prompts::Prose;
use crate::agent::prompts::{LINK_PLACEHOLDER, Prompts, primary_language};
use crate::guardrails::limits::values::PersonalName;
use crate::guardrails::provenance::Fact;

/// The most characters of one filled-in value; longer ones are cut.
const MAX_VALUE: usize = 200;

/// The facts that go into one mail. None of them is from a model, and none is a text that a customer chose but the name in
/// the greeting: their types see to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailFacts {
    /// The name to greet, when there is one that may be shown.
    pub greeting_name: Option<PersonalName>,
    /// The language that the prose is written in, for example `de`; the frame's own words are English where it does not
    /// speak that language.
    pub language: String,
    /// The customer's locale, for example `de-AT`; stated as the HTML part's `lang` where it fits the language.
    pub locale: String,
    /// The name of the business: the signature.
    pub business_name: String,
    /// Where a person can be reached, shown under the signature.
    pub support_email: Option<String>,
    /// Plain text by placeholder, formatted for the locale. `business_name` need not be repeated.
    pub values: BTreeMap<String, Fact>,
    /// The one link that a mail may have.
    pub update_payment_link: Option<Fact>,
}

impl MailFacts {
    /// The placeholders that can be filled in, sorted: what to offer to a model and to a template.
    pub fn placeholders(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.values.keys().map(String::as_str).collect();
        names.push("business_name");
        names.extend(
            self.update_payment_link
                .is_some()
                .then_some(LINK_PLACEHOLDER),
        );
        names.sort_unstable();
        names.dedup();
        names
    }

    fn value(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(value) => Some(value.as_str()),
            None if name == "business_name" => Some(&self.business_name),
            None => None,
        }
    }
}

/// A mail as it will be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderedMail {
    /// One line.
    pub subject: String,
    /// The text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
}

/// A mail that cannot be rendered. None of these holds a value.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A placeholder without a value.
    #[error("the {part} names `{name}`, which is not offered here")]
    UnknownPlaceholder {
        /// `subject` or `body`.
        part: &'static str,
        /// The placeholder.
        name: String,
    },
    /// Braces that open or close nothing.
    #[error("the {part} has braces that do not match")]
    Braces {
        /// `subject` or `body`.
        part: &'static str,
    },
    /// The subject is empty, has several lines or a control character, or names the link.
    #[error("the subject {what}")]
    Subject {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Nothing to say.
    #[error("the body is empty")]
    EmptyBody,
    /// The link is no https address.
    #[error("the link to update the payment is no https address: mend `links.update_payment`")]
    Link,
    /// The frame cannot be rendered.
    #[error("{file} cannot be rendered: {source}")]
    Frame {
        /// The file.
        file: &'static str,
        /// The engine's words.
        #[source]
        source: minijinja::Error,
    },
}

/// A piece of a paragraph.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Link(String),
}

/// One paragraph as the frames see it. All fields are always there, because the frames are strict.
#[derive(Debug, Serialize)]
struct Paragraph {
    /// The link, when the paragraph is nothing else.
    button: Option<String>,
    parts: Vec<Part>,
}

#[derive(Debug, Serialize)]
struct Part {
    text: String,
    link: Option<String>,
}

/// Renders a mail. The text part shows the bare link, the HTML part a button where the link stands alone.
pub fn render_mail(
    prose: &Prose,
    facts: &MailFacts,
    prompts: &Prompts,
) -> Result<RenderedMail, RenderError> {
    if facts
        .update_payment_link
        .as_ref()
        .is_some_and(|link| !is_https(link.as_str()))
    {
        return Err(RenderError::Link);
    }
    let subject = subject(&prose.subject, facts)?;
    let paragraphs: Vec<Paragraph> = paragraphs(&prose.body)
        .iter()
        .map(|paragraph| fill("body", paragraph, facts).map(Paragraph::new))
        .collect::<Result<_, _>>()?;
    if paragraphs.is_empty() {
        return Err(RenderError::EmptyBody);
    }
    let language = primary_language(&facts.language);
    let greeting_name = facts
        .greeting_name
        .as_ref()
        .map(|name| clean(name.as_str(), MAX_VALUE));
    let locale_fits = primary_language(&facts.locale) == language
        && facts
            .locale
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let frame = context! {
        lang => if locale_fits { &facts.locale } else { &language },
        language => language.as_str(),
        subject => subject.as_str(),
        greeting_name => greeting_name.filter(|name| !name.is_empty()),
        paragraphs => minijinja::value::Value::from(minijinja::value::Serde(&paragraphs)),
        business_name => clean(&facts.business_name, MAX_VALUE),
        support_email => facts.support_email.as_deref().map(|address| clean(address, MAX_VALUE)),
    };
    let environment = environment();
    let render = |file: &'static str, source: &str| {
        environment
            .render_named_str(file, source, frame.clone())
            .map(|text| format!("{}\n", text.trim()))
            .map_err(|source| RenderError::Frame { file, source })
    };
    Ok(RenderedMail {
        text: render("emails/layout.txt", &prompts.layout_text)?,
        html: render("emails/layout.html", &prompts.layout_html)?,
        subject,
    })
}

impl Paragraph {
    fn new(pieces: Vec<Piece>) -> Self {
        let links = pieces
            .iter()
            .filter(|piece| matches!(piece, Piece::Link(_)))
            .count();
        let words = pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Text(text) if !text.trim().is_empty()));
        let mut button = None;
        let parts = pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => Part { text, link: None },
                Piece::Link(link) => {
                    if links == 1 && !words {
                        button = Some(link.clone());
                    }
                    Part {
                        text: String::new(),
                        link: Some(link),
                    }
                }
            })
            .collect();
        Self { button, parts }
    }
}

fn subject(source: &str, facts: &MailFacts) -> Result<String, RenderError> {
    let source = source.trim();
    if source.chars().any(char::is_control) {
        return Err(RenderError::Subject {
            what: "has several lines or a control character",
        });
    }
    let mut subject = String::new();
    for piece in fill("subject", source, facts)? {
        match piece {
            Piece::Text(text) => subject.push_str(&text),
            Piece::Link(_) => {
                return Err(RenderError::Subject {
                    what: "names a link",
                });
            }
        }
    }
    let subject = clean(&subject, usize::MAX);
    if subject.is_empty() {
        return Err(RenderError::Subject { what: "is empty" });
    }
    Ok(subject)
}

/// Puts the facts in place, from left to right and once.
fn fill(part: &'static str, source: &str, facts: &MailFacts) -> Result<Vec<Piece>, RenderError> {
    let unknown = |name: &str| RenderError::UnknownPlaceholder {
        part,
        name: clean(name, 40),
    };
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, tail) = after.split_once("}}").ok_or(RenderError::Braces { part })?;
        if before.contains("}}") || name.contains("{{") {
            return Err(RenderError::Braces { part });
        }
        text.push_str(before);
        let name = name.trim();
        if name == LINK_PLACEHOLDER {
            let link = facts
                .update_payment_link
                .as_ref()
                .ok_or_else(|| unknown(name))?;
            pieces.push(Piece::Text(std::mem::take(&mut text)));
            pieces.push(Piece::Link(link.as_str().to_owned()));
        } else {
            let value = facts.value(name).ok_or_else(|| unknown(name))?;
            text.push_str(&clean(value, MAX_VALUE));
        }
        rest = tail;
    }
    if rest.contains("}}") {
        return Err(RenderError::Braces { part });
    }
    text.push_str(rest);
    pieces.push(Piece::Text(text));
    pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
    Ok(pieces)
}

/// Parts a body at its empty lines. Single line breaks stay.
fn paragraphs(body: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut paragraph = String::new();
    for line in body.lines().map(str::trim) {
        if line.is_empty() {
            found.push(std::mem::take(&mut paragraph));
            continue;
        }
        if !paragraph.is_empty() {
            paragraph.push('\n');
        }
        paragraph.push_str(line);
    }
    found.push(paragraph);
    found.retain(|paragraph| !paragraph.is_empty());
    found
}

/// Whether a link is an https address with a host and nothing that could end an attribute or a line.
fn is_https(link: &str) -> bool {
    let plain = !link
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || matches!(c, '"' | '<' | '>' | '\\'));
    plain
        && reqwest::Url::parse(link).is_ok_and(|url| {
            url.scheme() == "https"
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
        })
}

#[cfg(test)]
mod tests;
