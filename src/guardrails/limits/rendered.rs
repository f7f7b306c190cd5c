//! The finished text of a message, looked at once more: nothing may be in it that was not put there on purpose.
//!
//! It must never trust the steps before it. Facts are masked where they stand by themselves, and whatever is left is
//! held to the same rules as prose, except for wording, which templates answer for.

use unicode_normalization::UnicodeNormalization;

use super::characters::{self, MASK};
use super::patterns;
use super::prose::Refusal;

/// Checks a rendered text. `facts` are the values that were filled in (amounts, dates, names, links) and the fixed
/// lines around them, each exactly as it stands in the text.
pub fn check_rendered(text: &str, facts: &[&str], locale: &str) -> Result<(), Refusal> {
    // Facts are not spared from this: a character that cannot be seen is harmful wherever it comes from.
    characters::check_visible(text, true, locale)?;
    let masked = mask_facts(text, facts);
    let normal: String = masked.nfkc().collect();
    for text in [&masked, &normal] {
        patterns::check_leads(&patterns::plain_signs(text))?;
    }
    characters::check_digits(&masked)?;
    characters::check_digits(&normal)
}

fn mask_facts(text: &str, facts: &[&str]) -> String {
    let mut facts: Vec<&str> = facts
        .iter()
        .copied()
        .filter(|fact| !fact.trim().is_empty())
        .collect();
    // The longest first, so that a fact inside another does not tear it apart.
    facts.sort_by_key(|fact| std::cmp::Reverse(fact.len()));
    let mut text = text.to_owned();
    for fact in facts {
        text = mask_one(&text, fact);
    }
    text
}

fn mask_one(text: &str, fact: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(fact) {
        out.push_str(before);
        let starts = out.chars().next_back().is_none_or(may_precede);
        if starts && ends_here(after) {
            out.push(MASK);
        } else {
            // Glued to something else it is no longer the fact: `https://pay.example/x` may go on as `xevil`.
            out.push_str(fact);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// A sign or digit before a fact would change it: a minus, another figure, the start of a longer address.
fn may_precede(c: char) -> bool {
    let leads_on = matches!(
        c,
        '-' | '\u{2212}' | '+' | '/' | '.' | ',' | '@' | '#' | '='
    );
    !(c.is_alphanumeric() || characters::is_mask(c) || characters::is_money_sign(c) || leads_on)
}

/// Whether a fact ends where `after` begins; a full stop ends it only at the end of a word.
fn ends_here(after: &str) -> bool {
    let mut next = after.chars();
    match next.next() {
        None => true,
        Some('.' | ',' | ':' | '?' | '!' | ';' | '-') => {
            next.next().is_none_or(|c| !c.is_alphanumeric() && c != '/')
        }
        // Japanese goes on without a space after its full stop.
        Some('。') => next.next().is_none_or(|c| !c.is_ascii_alphanumeric()),
        Some(c) => {
            let goes_on = matches!(c, '/' | '@' | '#' | '&' | '=' | '_' | '~' | '+' | '\\');
            let figure = characters::is_digit(c) || characters::is_money_sign(c);
            !(c.is_alphanumeric() || characters::is_mask(c) || figure || goes_on)
        }
    }
}
