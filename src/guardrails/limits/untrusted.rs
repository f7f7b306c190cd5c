//! Text that strangers wrote, on its way to a model: made visible, cut, without what tells who somebody is, and never
//! anything but a JSON string.
//!
//! A model may be told to do anything by such a text, and every other filter holds when it obeys. This one keeps the text
//! from looking like something else than a text, and persons out of what leaves the house.
//!
//! Over 400 lines because the tests, tables of texts, stand beside the filter.

use std::collections::BTreeSet;
use std::io;

use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};
use unicode_script::{Script, UnicodeScript as _};

use super::characters;

/// The most marks on one letter; more are there to spill over the lines around them.
const MOST_MARKS: usize = 3;

/// Digits from which on a number may be that of a card, an account, a phone or a house.
const TELLING_DIGITS: usize = 4;

/// Parts of a name or an address that are shorter are in too many words to be looked for inside of them.
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
/// the customer's `own`, such as the name and the address of the mailbox. Rather a word too many than a name too few.
pub fn without_persons(text: &str, own: &[&str]) -> String {
    let own = Own::of(own);
    let words: Vec<String> = text
        .split(' ')
        .map(|word| without_person(word, &own))
        .collect();
    without_numbers(&own.without_pairs(&words.join(" ")))
}

/// What a customer is called by, in the forms that it is looked for.
#[derive(Default)]
struct Own {
    /// Found inside a word, too: joined with others, or with an ending.
    inside: BTreeSet<String>,
    /// Too short, or in too many words: found as a word only.
    whole: BTreeSet<String>,
    /// Two characters in a row, in writing that has no spaces.
    pairs: BTreeSet<(String, String)>,
}

impl Own {
    fn of(values: &[&str]) -> Self {
        let mut own = Self::default();
        for value in values {
            let (value, ending) = match value.rsplit_once('.') {
                // The end of an address is everybody's: `com` is in every second complaint, and `de` a word.
                Some((value, ending)) if value.contains('@') && !ending.contains('@') => {
                    (value, ending)
                }
                _ => (*value, ""),
            };
            if ending.chars().count() >= SHORTEST_PART {
                own.whole.extend(forms(ending));
            }
            for part in value.split(|c: char| !c.is_alphanumeric()) {
                own.add(part);
                for letters in part.split(|c: char| !c.is_alphabetic()) {
                    own.add(letters);
                }
            }
            let letters: Vec<char> = value.nfkc().collect();
            let letters = unspaced(&letters);
            for pair in letters.windows(2) {
                if let [(_, one), (_, other)] = pair {
                    own.pairs.insert((one.clone(), other.clone()));
                }
            }
        }
        own
    }

    /// A part of a name: what its writing leaves no spaces in is found by pairs.
    fn add(&mut self, part: &str) {
        if part.chars().all(is_unspaced) {
            return;
        }
        for form in forms(part) {
            match form.chars().count() {
                0 | 1 => {}
                count if count < SHORTEST_PART || !form.contains(char::is_alphabetic) => {
                    self.whole.insert(form);
                }
                _ => {
                    self.inside.insert(form);
                }
            }
        }
    }

    fn is_in(&self, word: &str) -> bool {
        let is_whole = |part: &str| forms(part).iter().any(|form| self.whole.contains(form));
        // `love-lace` is a name as well.
        let joined: String = word.chars().filter(|c| c.is_alphanumeric()).collect();
        let is_inside = |form: &String| self.inside.iter().any(|own| form.contains(own));
        word.split(|c: char| !c.is_alphanumeric()).any(is_whole)
            || forms(&joined).iter().any(is_inside)
    }

    /// The text without the pairs, and without what stands between the two.
    fn without_pairs(&self, text: &str) -> String {
        let chars: Vec<char> = text.chars().collect();
        let mut own = BTreeSet::new();
        for pair in unspaced(&chars).windows(2) {
            if let [(from, one), (to, other)] = pair
                && self.pairs.contains(&(one.clone(), other.clone()))
                && !chars.get(from + 1..*to).is_some_and(holds_words)
            {
                own.extend(*from..=*to);
            }
        }
        let mut kept = String::with_capacity(text.len());
        for (at, c) in chars.iter().enumerate() {
            if !own.contains(&at) {
                kept.push(*c);
            } else if at == 0 || !own.contains(&(at - 1)) {
                kept.push_str("[name]");
            }
        }
        kept
    }
}

/// Whether words of another writing stand there.
fn holds_words(chars: &[char]) -> bool {
    chars
        .iter()
        .any(|c| c.is_alphanumeric() && !is_unspaced(*c))
}

/// A text as it is compared: with `ue` for `ü` and the like, and letter by letter, since an `e` may as well begin a name.
fn forms(text: &str) -> [String; 2] {
    let letters = text.chars().map(|c| folded(&c.to_string()));
    [folded(text), letters.collect()]
}

/// The letters of writing without spaces, folded, and where each stands; marks that are not compared are none.
fn unspaced(chars: &[char]) -> Vec<(usize, String)> {
    let letters = chars.iter().enumerate().filter(|(_, c)| is_unspaced(**c));
    letters
        .map(|(at, c)| (at, folded(&c.to_string())))
        .filter(|(_, letter)| !letter.is_empty())
        .collect()
}

/// Whether a character is of a script in which words, or a name and what belongs to it, stand without spaces.
fn is_unspaced(c: char) -> bool {
    matches!(
        c.script(),
        Script::Han
            | Script::Hiragana
            | Script::Katakana
            | Script::Bopomofo
            | Script::Hangul
            | Script::Thai
            | Script::Lao
            | Script::Khmer
            | Script::Myanmar
            | Script::Tibetan
            | Script::Javanese
            | Script::Yi
    )
}

fn without_person(word: &str, own: &Own) -> String {
    if word.contains('@') {
        return "[email]".to_owned();
    }
    let inner = word.trim_matches(|c: char| !c.is_alphanumeric());
    let lowered = inner.to_lowercase();
    if word.contains("://") || lowered.starts_with("www.") || is_host(inner) {
        return "[link]".to_owned();
    }
    if own.is_in(word) {
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
        let joins = !c.is_alphabetic();
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
            ("3 of 5 stars. Went well", "3 of 5 stars. Went well"),
            ("come and compare", "come and compare"),
            ("too expensive...really", "too expensive...really"),
        ] {
            assert_eq!(without_persons(&clean(text, 200), &own), kept, "{text}");
        }
    }

    #[test]
    fn a_name_is_found_in_whatever_form() {
        for (own, text, kept) in [
            ("山田太郎", "山田太郎です。高すぎる", "[name]です。高すぎる"),
            ("山田 太郎", "山田です、高すぎる", "[name]です、高すぎる"),
            ("王伟", "我是王伟，太贵了", "我是[name],太贵了"),
            ("王 伟", "我是王 伟", "我是[name]"),
            ("김민수", "민수는 떠납니다", "[name]는 떠납니다"),
            ("ガンダ", "私はカンダ", "私は[name]"),
            ("สมชาย", "ผมสมชายครับ", "ผม[name]ครับ"),
            ("王伟", "王 and 伟", "王 and 伟"),
            ("Ada Lovelace", "adalovelace was here", "[name] was here"),
            (
                "Ada Lovelace",
                "the Lovelaces love-lace",
                "the [name] [name]",
            ),
            ("Ada Lovelace", "iamada_x left", "[name] left"),
            ("Ada Lovelace", "我叫Ada", "[name]"),
            ("Иван Петров", "от Петрова", "от [name]"),
            ("Joshua Evans", "ask noaevans", "ask [name]"),
            ("Ng Li", "Ng's, a thing of li", "[name] a thing of [name]"),
            ("J. Doe", "J. is a letter", "J. is a letter"),
            ("ada42@web.de", "Ada von de Web", "[name] von de [name]"),
        ] {
            assert_eq!(
                without_persons(&clean(text, 200), &[own]),
                kept,
                "{own}: {text}"
            );
        }
    }

    #[test]
    fn whatever_stands_between_digits_joins_them() {
        for text in [
            "424,242,424,242",
            "4242_4242_4242_4242",
            "42:42:42:42",
            "4*2*4*2",
            "42 | 42 # 42",
            "4;2=4~2",
            "4…2”4’2",
            "4🎉2🎉4🎉2",
        ] {
            let cleaned = clean(&format!("card {text}, yes"), 200);
            assert_eq!(
                without_persons(&cleaned, &[]),
                "card [number], yes",
                "{text}"
            );
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
