//! Mail templates: what is sent when no model writes, as prose with placeholders.
//!
//! A template is exactly what a model would hand in, and passes the same filters. It must never hold a greeting, a
//! signature or markup: those belong to the frame.

use serde::{Deserialize, Serialize};

use super::context::{ALWAYS, LINK_PLACEHOLDER};
use crate::agent::playbook::front_matter;

/// The line between the body with a link and the one without.
const WITHOUT_LINK: &str = "--- without link ---";

/// A mail's subject and body: plain text with placeholders in double braces, paragraphs parted by an empty line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prose {
    /// One line.
    pub subject: String,
    /// Paragraphs, without greeting and signature.
    pub body: String,
}

/// One mail in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The subject.
    pub subject: String,
    /// The body.
    pub body: String,
    /// The body where no link can be offered, when it differs.
    pub body_without_link: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrontMatter {
    subject: String,
}

impl Template {
    /// Reads a template; the error says what is wrong, without the file's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (front, rest) = front_matter(text)
            .ok_or("has no front matter: begin it with `---`, `subject: …` and `---`")?;
        let FrontMatter { subject } = serde_saphyr::from_str(front).map_err(|e| {
            format!(
                "has a front matter that cannot be read: {}",
                e.without_snippet()
            )
        })?;
        let mut bodies: Vec<String> = vec![String::new()];
        for line in rest.lines() {
            if line.trim_end() == WITHOUT_LINK {
                bodies.push(String::new());
            } else if let Some(body) = bodies.last_mut() {
                body.push_str(line.trim_end());
                body.push('\n');
            }
        }
        let mut bodies = bodies.into_iter().map(|body| body.trim().to_owned());
        let body = bodies.next().unwrap_or_default();
        let body_without_link = bodies.next();
        if bodies.next().is_some() {
            return Err(format!("has more than one line `{WITHOUT_LINK}`"));
        }
        if subject.trim().is_empty() || body.is_empty() || body_without_link.as_deref() == Some("")
        {
            return Err("has an empty subject or body".to_owned());
        }
        Ok(Self {
            subject: subject.trim().to_owned(),
            body,
            body_without_link,
        })
    }

    /// The prose for the placeholders that are offered: the body with or without a link, less the paragraphs that name
    /// a placeholder without a value.
    pub fn prose<S: AsRef<str>>(&self, offered: &[S]) -> Prose {
        let is_offered = |name: &str| offered.iter().any(|o| o.as_ref() == name);
        let body = match &self.body_without_link {
            Some(body) if !is_offered(LINK_PLACEHOLDER) => body,
            _ => &self.body,
        };
        let kept: Vec<&str> = body
            .split("\n\n")
            .filter(|paragraph| {
                placeholders_in(paragraph)
                    .iter()
                    .all(|name| is_offered(name))
            })
            .collect();
        Prose {
            subject: self.subject.clone(),
            body: kept.join("\n\n"),
        }
    }

    /// Both bodies, with a word that tells them apart.
    pub(super) fn bodies(&self) -> impl Iterator<Item = (&'static str, &str)> {
        std::iter::once(("the body", self.body.as_str())).chain(
            self.body_without_link
                .as_deref()
                .map(|body| ("the body without link", body)),
        )
    }

    /// Whether the subject and each body's first paragraph say something where only what every mail has is offered.
    pub(super) fn opens_without_extras(&self) -> bool {
        let first = |body: &str| body.split("\n\n").next().unwrap_or_default().to_owned();
        self.bodies()
            .map(|(_, body)| first(body))
            .chain(std::iter::once(self.subject.clone()))
            .all(|text| {
                placeholders_in(&text)
                    .iter()
                    .all(|name| ALWAYS.contains(name))
            })
    }
}

/// The names between double braces, in order.
pub fn placeholders_in(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("{{") {
        let Some((name, tail)) = after.split_once("}}") else {
            break;
        };
        names.push(name.trim());
        rest = tail;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "---\nsubject: About {{amount}}\n---\nIt failed.\n\nAgain on {{next_attempt_date}}.\n\n{{update_payment_link}}\n--- without link ---\nIt failed.\n\nPlease reply.\n";

    #[test]
    fn a_template_reads_what_is_offered() {
        let template = Template::parse(TEXT).unwrap();
        let all = template.prose(&["amount", "next_attempt_date", "update_payment_link"]);
        assert_eq!(all.subject, "About {{amount}}");
        assert_eq!(
            all.body,
            "It failed.\n\nAgain on {{next_attempt_date}}.\n\n{{update_payment_link}}"
        );
        let no_date = template.prose(&["amount", "update_payment_link"]);
        assert_eq!(no_date.body, "It failed.\n\n{{update_payment_link}}");
        let no_link = template.prose(&["amount", "next_attempt_date"]);
        assert_eq!(no_link.body, "It failed.\n\nPlease reply.");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |text: &str| Template::parse(text).unwrap_err();
        assert!(error("Hello").contains("front matter"));
        assert!(error(&TEXT.replace("subject", "title")).contains("title"));
        assert!(error("---\nsubject: x\n---\n\n").contains("empty"));
        assert!(error(&format!("{TEXT}\n--- without link ---\nx")).contains("more than one"));
    }
}
