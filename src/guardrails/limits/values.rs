//! Values that customers chose themselves and that a mail may repeat: their names.
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

/// The name as it may stand in a greeting, or nothing, and then the greeting is neutral.
pub fn personal_name(raw: &str) -> Option<String> {
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
    (!says_more).then_some(name)
}
