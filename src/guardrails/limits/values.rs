//! Values that customers chose themselves and that a message may repeat: their names, and the references of their orders.
//!
//! A name is shown to nobody but the person it belongs to, yet it is the one place where a stranger's words could ride
//! in a mail of ours. Whatever looks like more than a name is left out, and the greeting is neutral.

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use super::{characters, wording};

/// The most characters a name may have to be used in a greeting.
const LONGEST: usize = 40;

/// The most words of a name.
const MOST_WORDS: usize = 4;

/// The most marks in a row; more are there to spill over the lines around them.
const MOST_MARKS: usize = 3;

/// The most characters of a reference that a notice repeats.
const LONGEST_REFERENCE: usize = 40;

/// The most words of letters in a reference; with more of them it is a sentence.
const MOST_REFERENCE_WORDS: usize = 2;

/// A name as it may stand in a greeting, and nowhere else; only [`personal_name`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalName(String);

impl PersonalName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a reference is nothing but one: letters of English and digits with `-`, `_`, `/` and `#` between them, no more
/// words than a shop's own references have, and none that a mail could not have either.
pub fn is_plain_reference(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | '#');
    let starts = |c: char| c.is_ascii_alphanumeric() || c == '#';
    let parts = text.split(|c: char| !c.is_ascii_alphabetic());
    let words = parts.filter(|part| part.len() > 2).count();
    let spaced = text.replace(|c: char| !c.is_ascii_alphanumeric(), " ");
    (1..=LONGEST_REFERENCE).contains(&text.len())
        && text.chars().all(plain)
        && text.starts_with(starts)
        && !text.contains("//")
        && words <= MOST_REFERENCE_WORDS
        && wording::check_promises(&spaced).is_ok()
}

/// The name as it may stand in a greeting, or nothing, and then the greeting is neutral.
pub fn personal_name(raw: &str) -> Option<PersonalName> {
    // Compatibility forms (wide, bold, circled letters) are no spelling of a name; they are read as what they hide,
    // but for figures, which would turn into letters.
    let name: String = raw.trim_matches(' ').nfkc().collect();
    if name.chars().count() > LONGEST || raw.contains(characters::is_digit) {
        return None;
    }
    let mut marks = 0;
    for c in name.chars() {
        let group = c.general_category_group();
        let mark = group == GeneralCategoryGroup::Mark
            && c.general_category() != GeneralCategory::EnclosingMark;
        marks = if mark { marks + 1 } else { 0 };
        let allowed =
            group == GeneralCategoryGroup::Letter || mark || matches!(c, ' ' | '\'' | '’' | '-');
        if !allowed || marks > MOST_MARKS || characters::is_invisible(c) {
            return None;
        }
    }
    let words: Vec<&str> = name.split(' ').filter(|word| !word.is_empty()).collect();
    let starts_well = words.iter().all(|word| {
        word.chars()
            .any(|c| c.general_category_group() == GeneralCategoryGroup::Letter)
            && word
                .chars()
                .next()
                .is_some_and(|c| c.general_category_group() != GeneralCategoryGroup::Mark)
    });
    if words.is_empty() || words.len() > MOST_WORDS || !starts_well {
        return None;
    }
    let name = words.join(" ");
    // A "name" that promises money or asks for a password is a message to somebody else. Losing a real surname such
    // as Bonus to this costs a greeting.
    let says_more = wording::check_amounts(&name)
        .and_then(|()| wording::check_promises(&name))
        .is_err();
    (!says_more).then_some(PersonalName(name))
}
