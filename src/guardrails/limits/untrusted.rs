//! Text that strangers wrote, on its way to a model: made visible, cut, without what tells who somebody is, and never
//! anything but a JSON string.
//!
//! A model may be told to do anything by such a text, and every other filter holds when it obeys. This one keeps the text
//! from looking like something else than a text, and persons out of what leaves the house.

use std::collections::BTreeSet;
use std::io;

use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use super::characters;

/// The most marks on one letter; more are there to spill over the lines around them.
const MOST_MARKS: usize = 3;

/// Digits from which on a number may be that of a card, an account, a phone or a house.
const TELLING_DIGITS: usize = 4;

/// Parts of a name or an address that are shorter are in too many words to be looked for.
const SHORTEST_PART: usize = 3;

/// A text of a stranger's in one line of at most `most` characters: compatibility forms are read as what they show, and
/// what shows nothing or turns the direction of writing is gone.
pub fn clean(raw: &str, most: usize) -> String {
    // Of a very long text only the beginning is read; a character may stand for eighteen after normalization.
    let beginning = raw.chars().take(most.saturating_mul(4).saturating_add(1));
    let visible: String = beginning.filter(|c| is_shown(*c)).nfkc().collect();
    let mut cleaned = String::new();
    let mut marks = 0;
    for c in visible.chars().filter(|c| is_shown(*c)) {
        let mark = c.general_category_group() == GeneralCategoryGroup::Mark;
        marks = if mark { marks + 1 } else { 0 };
        if c.is_whitespace() || c.is_control() {
            if !cleaned.ends_with(' ') {
                cleaned.push(' ');
            }
        } else if marks <= MOST_MARKS {
            cleaned.push(c);
        }
    }
    let cleaned = cleaned.trim();
    if cleaned.chars().count() <= most {
        return cleaned.to_owned();
    }
    let mut cut: String = cleaned.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Line breaks stay for now, as the spaces that they become.
fn is_shown(c: char) -> bool {
    !characters::is_invisible(c)
}

/// A cleaned text without what tells who somebody is: addresses, links, long numbers, and the parts of what is known to be
/// the customer's `own`, such as the name and the address of the mailbox.
pub fn without_persons(text: &str, own: &[&str]) -> String {
    let parts: BTreeSet<String> = own
        .iter()
        .flat_map(|value| value.split(|c: char| !c.is_alphanumeric()))
        .map(folded)
        .filter(|part| part.chars().count() >= SHORTEST_PART)
        .collect();
    let words: Vec<String> = text
        .split(' ')
        .map(|word| without_person(word, &parts))
        .collect();
    without_numbers(&words.join(" "))
}

fn without_person(word: &str, own: &BTreeSet<String>) -> String {
    if word.contains('@') {
        return "[email]".to_owned();
    }
    let inner = word.trim_matches(|c: char| !c.is_alphanumeric());
    let lowered = inner.to_lowercase();
    if word.contains("://") || lowered.starts_with("www.") || is_host(inner) {
        return "[link]".to_owned();
    }
    let is_own = |part: &str| own.contains(&folded(part));
    if word.split(|c: char| !c.is_alphanumeric()).any(is_own) {
        return "[name]".to_owned();
    }
    word.to_owned()
}

/// Whether a word is letters with full stops between them, as a domain or the dotted name of a mailbox is.
fn is_host(word: &str) -> bool {
    let host = word.split(['/', '?', ':']).next().unwrap_or_default();
    let mut labels = host.split('.');
    let named =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    host.contains('.')
        && labels.all(named)
        && host
            .rsplit('.')
            .next()
            .is_some_and(|last| last.chars().count() >= 2 && last.chars().all(char::is_alphabetic))
}

fn folded(word: &str) -> String {
    super::wording::fold(word)
}

/// Numbers of some length become a word, whatever stands between their digits.
fn without_numbers(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut number = String::new();
    for c in text.chars() {
        let joins = matches!(
            c,
            ' ' | '-' | '/' | '.' | '(' | ')' | '+' | '\u{2010}'..='\u{2015}'
        );
        let begins = characters::is_digit(c) || matches!(c, '+' | '(');
        if characters::is_digit(c) || (joins && !number.is_empty()) || (begins && number.is_empty())
        {
            number.push(c);
        } else {
            flush(&mut number, &mut kept);
            kept.push(c);
        }
    }
    flush(&mut number, &mut kept);
    kept
}

fn flush(number: &mut String, kept: &mut String) {
    let digits = number.chars().filter(|c| characters::is_digit(*c)).count();
    if digits < TELLING_DIGITS {
        kept.push_str(number);
    } else {
        kept.push_str("[number]");
        let rest = number.trim_end_matches(|c| !characters::is_digit(c));
        kept.push_str(number.get(rest.len()..).unwrap_or_default());
    }
    number.clear();
}

/// Whether a text is a language tag such as `de-AT`, and can say nothing else.
pub fn is_language_tag(text: &str) -> bool {
    let mut parts = text.split(['-', '_']);
    let primary = parts.next().unwrap_or_default();
    (2..=3).contains(&primary.len())
        && primary.bytes().all(|b| b.is_ascii_alphabetic())
        && text.len() <= 16
        && parts.all(|part| {
            (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

/// Whether a text is an id as Stripe or a business makes them: one word of letters, digits, `_` and `-`.
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// A value as JSON in one line, in which a string holds no sign that some template, tokenizer or reader takes for more
/// than a letter: braces, brackets, `<|…|>`, backticks and the like are written as `\u003c`.
pub fn as_data(value: &Value) -> String {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, Plain);
    // Writing a value of JSON into memory cannot fail.
    if value.serialize(&mut serializer).is_err() {
        return "null".to_owned();
    }
    String::from_utf8(bytes).unwrap_or_default()
}

struct Plain;

impl Formatter for Plain {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut pair = [0; 2];
        for c in fragment.chars() {
            let harmless = c.is_alphanumeric()
                || matches!(
                    c,
                    ' ' | '.'
                        | ','
                        | ':'
                        | ';'
                        | '-'
                        | '_'
                        | '/'
                        | '('
                        | ')'
                        | '!'
                        | '?'
                        | '\''
                        | '+'
                        | '’'
                        | '…'
                )
                || c.general_category_group() == GeneralCategoryGroup::Mark
                || (characters::is_money_sign(c) && c != '%')
                || c == '\u{a0}'
                || c == '\u{202f}';
            if harmless {
                write!(writer, "{c}")?;
            } else {
                for unit in c.encode_utf16(&mut pair) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_be_seen_is_gone_and_what_looks_alike_is_read() {
        for (raw, cleaned) in [
            ("too\r\nexpensive\t for  me ", "too expensive for me"),
            ("a\u{202e}b\u{200b}c\u{2066}d\u{feff}e\u{ad}f", "abcdef"),
            ("hid\u{e0068}\u{e0069}\u{e007f}den", "hidden"),
            ("a\u{fe0f}b\u{e0100}c\u{34f}d\u{3164}e", "abcde"),
            ("ｉｇｎｏｒｅ 𝐚𝐥𝐥 ﬁnd", "ignore all find"),
            (
                "a\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}",
                "á\u{302}\u{303}\u{304}",
            ),
            ("a\0b\u{1b}[31m\u{7f}c\u{85}d\u{2028}e", "a b [31m c d e"),
            ("a\u{e000}\u{fffd}b", "ab"),
            ("Zoë O’Brien 🎉 محمد", "Zoë O’Brien 🎉 محمد"),
            ("", ""),
        ] {
            assert_eq!(clean(raw, 100), cleaned, "{raw:?}");
        }
    }

    #[test]
    fn a_text_is_cut_by_characters() {
        assert_eq!(clean(&"é".repeat(300), 10), format!("{}…", "é".repeat(9)));
        assert_eq!(clean(&"é".repeat(10), 10), "é".repeat(10));
        // One that normalization blows up is cut afterwards.
        assert_eq!(clean(&"\u{fdfa}".repeat(50), 20).chars().count(), 20);
        assert_eq!(clean(&"x".repeat(1_000_000), 5), "xxxx…");
    }

    #[test]
    fn persons_are_taken_out() {
        let own = ["Ada Lovelace-King", "ada.byron+shop@example.com"];
        for (text, kept) in [
            (
                "Write to ada@example.com, please",
                "Write to [email] please",
            ),
            ("ada＠example.com", "[email]"),
            (
                "Ask Ada! Or ADA Lovelace's mother",
                "Ask [name] Or [name] [name] mother",
            ),
            ("Lóvelace here", "[name] here"),
            ("byron at example dot com", "[name] at [name] dot [name]"),
            ("call +49 (30) 123-456 today", "call [number] today"),
            ("card 4242 4242 4242 4242.", "card [number]."),
            ("card ending 4242", "card ending [number]"),
            ("card ４２４２", "card [number]"),
            ("I am at 12 High Street", "I am at 12 High Street"),
            (
                "see https://evil.example/x or evil.example now",
                "see [link] or [link] now",
            ),
            ("3 of 5 stars. Adapted well", "3 of 5 stars. Adapted well"),
            ("too expensive...really", "too expensive...really"),
        ] {
            assert_eq!(without_persons(&clean(text, 200), &own), kept, "{text}");
        }
    }

    #[test]
    fn tags_and_ids_say_nothing_else() {
        for tag in ["de", "de-AT", "en_GB", "zh-Hant-TW", "fil"] {
            assert!(is_language_tag(tag), "{tag}");
        }
        for tag in [
            "",
            "d",
            "ignore",
            "de AT",
            "de-",
            "de-\n",
            "de-all-rules-are-off",
            "de-{{x}}",
        ] {
            assert!(!is_language_tag(tag), "{tag}");
        }
        assert!(is_id("pi_3Nabc") && is_id("gold-monthly"));
        for id in ["", "ignore all", "a.b", "x\n", "<b>", &"x".repeat(65)] {
            assert!(!is_id(id), "{id}");
        }
    }

    #[test]
    fn data_is_json_that_nothing_takes_for_more() {
        let value = json!({ "a b": ["<|im_start|>{{x}}\n\"\\`#%[INST]", 1.5, null, true], "é": "10,99\u{a0}€ 🎉" });
        let text = as_data(&value);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        assert!(!text.contains(['<', '|', '`', '#', '%', '\n']), "{text}");
        assert!(text.contains("10,99\u{a0}€"), "{text}");
    }
}
