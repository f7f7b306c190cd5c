//! Attack strings by the rule that must stop them, and benign ones that must pass.

mod attacks;
mod benign;
mod kind;
mod rendered;

use super::prose::{Part, ProseRules, check_prose};

const RULES: ProseRules<'_> = ProseRules {
    placeholders: &["amount", "name", "update_payment_link", "product"],
    words: 150,
    locale: "en",
};

/// The rule that refuses a body in English, or `passes`.
fn english(text: &str) -> &'static str {
    verdict(text, Part::Body, "en")
}

/// The rule that refuses a body in German, or `passes`.
fn german(text: &str) -> &'static str {
    verdict(text, Part::Body, "de-AT")
}

fn verdict(text: &str, part: Part, locale: &str) -> &'static str {
    match check_prose(text, part, &ProseRules { locale, ..RULES }) {
        Ok(()) => "passes",
        Err(refusal) => {
            assert!(!refusal.reason.is_empty());
            refusal.rule
        }
    }
}
