//! What leads a reader somewhere: links, domains, mail addresses and phone numbers.
//!
//! It works on text in which placeholders and facts are masked; a mask counts as a letter, so that a word glued to a
//! placeholder is seen as the domain it becomes.

use super::characters::{is_digit, is_mask};
use super::prose::Refusal;

/// Digits in one number from which on it is taken for a phone number.
const PHONE_DIGITS: usize = 6;

/// Words before a colon that programs turn into links.
const SCHEMES: [&str; 18] = [
    "http",
    "https",
    "hxxp",
    "hxxps",
    "ftp",
    "ftps",
    "mailto",
    "tel",
    "sms",
    "callto",
    "javascript",
    "vbscript",
    "data",
    "file",
    "whatsapp",
    "tg",
    "bitcoin",
    "ethereum",
];

/// Top-level domains that mail programs link without a scheme, and some that are abused. Letters around a full stop
/// are refused in prose whatever they are; this list is for naming the rule, and for rendered text.
const TOP_LEVEL: &str = "\
    ac ai app at au bank be biz br bz ca cc ch cl click cloud club cn co com de dev dk edu es eu exe fi fm fr fun gg \
    gl gov html hu icu ie il im in info int io is it jp kr la li life link live ltd lu ly me mil mobi money mx name \
    net news nl no nu nz one online org page pay pdf php pl pro pt pub pw ru se sh shop site so store support tech tk \
    to today top tr tv ua uk us vip website wiki work world ws xxx xyz za zip zone";

/// Words in brackets that stand for the signs of an address.
const SPELLED_SIGNS: [&str; 6] = ["dot", "punkt", ".", "at", "ät", "@"];

/// Writes look-alikes of the signs that make up an address as the signs themselves, and letters small.
pub(super) fn plain_signs(text: &str) -> String {
    let signs = text.chars().map(|c| match c {
        '\u{2236}' | '\u{a789}' | '\u{2d0}' => ':',
        '\u{2044}' | '\u{2215}' | '\u{29f8}' | '\u{ff0f}' | '\\' => '/',
        // The last ones stand at half height; a reader takes them for the dots of an address.
        '\u{3002}' | '\u{ff0e}' | '\u{ff61}' | '\u{2024}' | '\u{b7}' | '\u{2027}' | '\u{2219}'
        | '\u{22c5}' | '\u{30fb}' => '.',
        '\u{ff20}' | '\u{fe6b}' => '@',
        other => other,
    });
    signs.flat_map(char::to_lowercase).collect()
}

/// Refuses links, domains, addresses and phone numbers; `text` went through [`plain_signs`].
pub(super) fn check_leads(text: &str) -> Result<(), Refusal> {
    check_url(text)?;
    check_markup(text)?;
    if text.contains('@') {
        return Err(Refusal::new(
            "address",
            "`@` is not allowed, recipients and contacts are fixed",
        ));
    }
    check_domain(text)?;
    check_phone(text)
}

fn check_url(text: &str) -> Result<(), Refusal> {
    let refuse = |what: &str| {
        Err(Refusal::new(
            "url",
            format!("`{what}` makes a link, use a link placeholder"),
        ))
    };
    for sign in ["//", "]("] {
        if text.contains(sign) {
            return refuse(sign);
        }
    }
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(':') {
        let word = last_word(before);
        // "The data: …" is a sentence, "data:text" is a link.
        if SCHEMES.contains(&word) && after.chars().next().is_some_and(|c| !c.is_whitespace()) {
            return refuse(&format!("{word}:"));
        }
        rest = after;
    }
    let words = text.split(|c: char| !c.is_alphanumeric());
    for word in words {
        if matches!(word, "www" | "http" | "https" | "hxxp" | "hxxps") {
            return refuse(word);
        }
    }
    Ok(())
}

fn check_markup(text: &str) -> Result<(), Refusal> {
    let tag = |(_, after): (usize, &str)| {
        after
            .chars()
            .nth(1)
            .is_some_and(|c| c.is_alphabetic() || matches!(c, '/' | '!' | '?') || is_mask(c))
    };
    let tags = text
        .match_indices('<')
        .filter_map(|(at, _)| Some((at, text.get(at..)?)));
    if tags.into_iter().any(tag) {
        return Err(Refusal::new(
            "markup",
            "tags are not allowed, write plain text",
        ));
    }
    Ok(())
}

fn check_domain(text: &str) -> Result<(), Refusal> {
    let refuse = |what: &str| {
        Err(Refusal::new(
            "domain",
            format!("`{what}` reads like a web address"),
        ))
    };
    let mut rest = text;
    let mut all_before = ' ';
    while let Some((before, after)) = rest.split_once('.') {
        let left = before.chars().next_back().unwrap_or(all_before);
        let label = first_label(after);
        let known = TOP_LEVEL
            .split_ascii_whitespace()
            .any(|known| known == label);
        let next = after.chars().next().unwrap_or(' ');
        // A dot at the start of a word: " .com". Dots in a row are a pause and no address.
        let opens_a_word = !is_name(left) && left != '.' && is_plain_name(next);
        // Elsewhere than in plain Latin the sentence may go on without a space, as Japanese does.
        let masked =
            (is_mask(left) && is_plain_name(next)) || (is_plain_name(left) && is_mask(next));
        let joins = is_name(left) && is_name(next);
        if (joins && (known || label.starts_with("xn--"))) || masked || opens_a_word {
            return refuse(&format!("{}.{label}", last_word(before)));
        }
        all_before = '.';
        rest = after;
    }
    for (open, close) in [('(', ')'), ('[', ']'), ('<', '>')] {
        let inside = text
            .split(open)
            .skip(1)
            .filter_map(|part| Some(part.split_once(close)?.0.trim()));
        if let Some(sign) = inside
            .into_iter()
            .find(|inside| SPELLED_SIGNS.contains(inside))
        {
            return refuse(&format!("{open}{sign}{close}"));
        }
    }
    Ok(())
}

/// So many letters by themselves in a row spell something.
const SPELLED: usize = 3;

/// Refuses a full stop, of any script, between two letters, and a word that is spelled letter by letter.
pub(super) fn check_letter_dot_letter(text: &str) -> Result<(), Refusal> {
    let mut alone = 0;
    for word in text.split(|c: char| c.is_whitespace() || matches!(c, '.' | '-' | '_' | ',')) {
        let mut letters = word.chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) if letter.is_alphabetic() => alone += 1,
            (None, _) => {}
            _ => alone = 0,
        }
        if alone >= SPELLED {
            return Err(Refusal::new(
                "letter_dot_letter",
                "letters one by one: write words",
            ));
        }
    }
    let mut window = [' ', ' '];
    for c in text.chars() {
        let [first, second] = window;
        if is_name(first) && second == '.' && is_name(c) {
            let reason = format!(
                "`{first}.{c}`: write a space after a full stop, and no abbreviations with full stops"
            );
            return Err(Refusal::new("letter_dot_letter", reason));
        }
        window = [second, c];
    }
    Ok(())
}

fn check_phone(text: &str) -> Result<(), Refusal> {
    let mut digits = 0;
    let mut plus = false;
    for c in text.chars() {
        if is_digit(c) {
            digits += 1;
            if digits >= PHONE_DIGITS || (plus && digits >= 2) {
                return Err(Refusal::new(
                    "phone",
                    "a phone number is not allowed, contacts are fixed",
                ));
            }
        } else if c == '+' {
            (plus, digits) = (true, 0);
        } else if !matches!(
            c,
            ' ' | '\u{a0}' | '(' | ')' | '-' | '/' | '.' | '\u{2010}'..='\u{2013}'
        ) {
            (plus, digits) = (false, 0);
        }
    }
    Ok(())
}

/// Whether a character can be part of a name in an address.
fn is_name(c: char) -> bool {
    c.is_alphanumeric() || is_mask(c)
}

fn is_plain_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || is_mask(c)
}

fn last_word(text: &str) -> &str {
    text.rsplit(|c: char| !is_name(c))
        .next()
        .unwrap_or_default()
}

fn first_label(text: &str) -> &str {
    text.split(|c: char| !(c.is_alphanumeric() || c == '-'))
        .next()
        .unwrap_or_default()
}
