//! Single characters: which of them no text of ours may hold, and which count as digits or as a foreign script.
//!
//! It must never look at words; a character is judged by itself and at most its neighbour.

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};
use unicode_script::{Script, UnicodeScript};

use super::prose::Refusal;

/// Stands for a placeholder or a fact that was taken out of a text. Private-use characters are refused in what comes
/// in, so it cannot be forged.
pub(super) const MASK: char = '\u{e000}';

/// The same for a placeholder that will become an amount.
pub(super) const AMOUNT_MASK: char = '\u{e001}';

pub(super) fn is_mask(c: char) -> bool {
    matches!(c, MASK | AMOUNT_MASK)
}

/// Ends a line for some program between here and the reader.
pub(super) fn is_line_break(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// Reorders what is shown, so that a reader sees another text than the one that was checked.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Shows nothing, or something nobody can foresee: formats, fillers, variation selectors, private and unassigned.
pub(super) fn is_invisible(c: char) -> bool {
    let filler = matches!(
        c,
        '\u{34f}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{ffa0}'
            | '\u{fffc}'
            | '\u{fffd}'
            | '\u{e0000}'..='\u{e0fff}'
    );
    let category = c.general_category();
    filler
        || matches!(
            category,
            GeneralCategory::Format
                | GeneralCategory::PrivateUse
                | GeneralCategory::Unassigned
                | GeneralCategory::Surrogate
        )
}

/// Languages whose spelling needs the two joiners.
fn needs_joiners(locale: &str) -> bool {
    let language = language(locale);
    [
        "ar", "bn", "fa", "gu", "hi", "kn", "ml", "mr", "ne", "or", "pa", "si", "ta", "te", "ur",
    ]
    .contains(&language.as_str())
}

/// The language of a locale such as `de-AT` or `en_GB`, in lower case.
pub(super) fn language(locale: &str) -> String {
    let end = locale.trim().split(['-', '_']).next().unwrap_or_default();
    end.to_ascii_lowercase()
}

/// Refuses control, bidi and invisible characters. Line breaks `\n` are kept where `lines` says so.
pub(super) fn check_visible(text: &str, lines: bool, locale: &str) -> Result<(), Refusal> {
    let joiners = needs_joiners(locale);
    let mut before = ' ';
    for c in text.chars() {
        if is_bidi(c) {
            return Err(Refusal::new(
                "bidi",
                format!("U+{:04X} changes the direction of the text", u32::from(c)),
            ));
        }
        // The selector that asks for the coloured form of a symbol, as in a heart, is part of ordinary writing.
        let emoji_form =
            c == '\u{fe0f}' && before.general_category() == GeneralCategory::OtherSymbol;
        let joiner = joiners && matches!(c, '\u{200c}' | '\u{200d}') && before.is_alphabetic();
        if is_invisible(c) && !emoji_form && !joiner {
            return Err(Refusal::new(
                "invisible",
                format!("U+{:04X} cannot be seen, leave it out", u32::from(c)),
            ));
        }
        let control = c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        if control && !(lines && c == '\n') {
            return Err(Refusal::new(
                "control",
                format!("U+{:04X} is a control character", u32::from(c)),
            ));
        }
        before = c;
    }
    Ok(())
}

/// Whether a character says a number: all of Unicode's category N, and the two symbols that are figures.
pub(super) fn is_digit(c: char) -> bool {
    c.general_category_group() == GeneralCategoryGroup::Number
        || matches!(c, '\u{1f51f}' | '\u{1f4af}')
}

/// A sign that makes a number an amount.
pub(super) fn is_money_sign(c: char) -> bool {
    c.general_category() == GeneralCategory::CurrencySymbol || matches!(c, '%' | '‰')
}

/// Refuses digits of any kind.
pub(super) fn check_digits(text: &str) -> Result<(), Refusal> {
    match text.chars().find(|c| is_digit(*c)) {
        Some(c) => Err(Refusal::new(
            "digit",
            format!("`{c}` is a digit, numbers come from placeholders only"),
        )),
        None => Ok(()),
    }
}

/// Refuses every letter that a reader of English or German would not expect, look-alikes above all.
pub(super) fn check_latin(text: &str) -> Result<(), Refusal> {
    let mut before = ' ';
    for c in text.chars() {
        let fine = match c.script() {
            // Phonetic and small capital letters are of the Latin script too, and good for nothing but disguise.
            Script::Latin => matches!(c, '\0'..='\u{24f}' | '\u{1e00}'..='\u{1eff}'),
            Script::Common => {
                // Letters in boxes and flags spell words that no other filter can read.
                let boxed = matches!(c, '\u{1f100}'..='\u{1f1ff}');
                !boxed && c.general_category_group() != GeneralCategoryGroup::Letter
            }
            // After composition no mark is left over from ordinary writing.
            Script::Inherited => {
                c == '\u{fe0f}' && before.general_category() == GeneralCategory::OtherSymbol
            }
            _ => is_mask(c),
        };
        if !fine {
            let reason = format!(
                "`{c}` (U+{:04X}) does not belong to the script of the customer's language",
                u32::from(c)
            );
            return Err(Refusal::new("script", reason));
        }
        before = c;
    }
    Ok(())
}
