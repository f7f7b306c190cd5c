//! Words: folding them to a comparable form, numbers and amounts written out, and matching against the lexicon.

use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::characters::{self, AMOUNT_MASK, MASK, is_mask};
use super::lexicon;
use super::prose::Refusal;

/// How far a number may stand from what it counts and still be an amount: "fifty or so euros".
const REACH: usize = 3;

/// Number words in a row from which on they spell a phone number or a code.
const SPELLED_DIGITS: usize = 4;

/// Stands between two clauses: a phrase does not reach over it.
pub(super) const PAUSE: &str = ",";

/// No number is longer; what is longer is not searched.
const LONGEST_NUMBER: usize = 80;

/// The lists that every word is compared with, folded once.
static NUMBERS: LazyLock<Vec<String>> =
    LazyLock::new(|| lexicon::NUMBERS.iter().map(|stem| fold(stem)).collect());
static UNITS: LazyLock<Vec<Part>> =
    LazyLock::new(|| lexicon::UNITS.iter().map(|unit| Part::new(unit)).collect());
static ARTICLES: LazyLock<Vec<Part>> = LazyLock::new(|| {
    lexicon::ARTICLES
        .iter()
        .map(|word| Part::new(word))
        .collect()
});
static REQUESTS: LazyLock<Vec<Entry>> = LazyLock::new(|| entries(lexicon::REQUESTS));
static SECRETS: LazyLock<Vec<Entry>> = LazyLock::new(|| entries(lexicon::SECRETS));
static HARMLESS: LazyLock<Vec<Entry>> = LazyLock::new(|| entries(lexicon::HARMLESS));
static REFUSED: LazyLock<Vec<(&str, Vec<Entry>)>> = LazyLock::new(|| {
    let topics = lexicon::REFUSED.iter();
    topics
        .map(|(topic, listed)| (*topic, entries(listed)))
        .collect()
});

/// Brings spellings together: case, accents, `ß` and `ss`, `ü` and `ue`. Lexicon and text go through the same fold.
pub(super) fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text
        .nfkd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
    {
        match c {
            'ß' => out.push_str("ss"),
            'æ' => out.push('a'),
            'œ' | 'ø' => out.push('o'),
            'ı' => out.push('i'),
            'ł' => out.push('l'),
            'đ' | 'ð' => out.push('d'),
            // `ae`, `oe` and `ue` are how an umlaut is written without one.
            'e' if out.ends_with(['a', 'o', 'u']) => {}
            other => out.push(other),
        }
    }
    out
}

/// The words of a text, folded. Masks and signs of money are words of their own.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        if c.is_alphabetic() || is_combining_mark(c) {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            words.push(fold(&std::mem::take(&mut word)));
        }
        if is_mask(c) || characters::is_money_sign(c) {
            words.push(c.to_string());
        } else if matches!(c, '.' | '!' | '?' | '\n' | ';') {
            // A sentence ends, and a phrase does not reach over its end.
            words.push(".".to_owned());
        } else if matches!(c, ',' | ':' | '–' | '—') {
            // A clause ends: "to pay, you can" pays nobody.
            words.push(PAUSE.to_owned());
        }
    }
    if !word.is_empty() {
        words.push(fold(&word));
    }
    words
}

/// The text without the signs that split a word without ending it: `re-fund`, `pass*word`.
fn joined(text: &str) -> String {
    text.chars()
        .filter(|c| {
            !matches!(
                c,
                '-' | '\u{2010}'..='\u{2012}' | '\'' | '’' | '_' | '*' | '~' | '|' | '`'
            )
        })
        .collect()
}

/// Refuses amounts written out and signs of money outside placeholders.
pub(super) fn check_amounts(text: &str) -> Result<(), Refusal> {
    if let Some(sign) = text.chars().find(|c| characters::is_money_sign(*c)) {
        let reason = format!("`{sign}` outside a placeholder, amounts come from placeholders only");
        return Err(Refusal::new("amount_in_words", reason));
    }
    for mut words in [words(text), words(&joined(text))] {
        // A comma between a number and its unit does not make them two things.
        words.retain(|word| word != PAUSE);
        for (at, word) in words.iter().enumerate() {
            let Some(reach) = number_reach(word) else {
                continue;
            };
            let from = at.saturating_sub(reach);
            let around = words
                .iter()
                .enumerate()
                .skip(from)
                .take(at - from + reach + 1);
            let unit = around
                .into_iter()
                .find(|(other, unit)| *other != at && is_unit(unit));
            if let Some((_, unit)) = unit {
                let reason =
                    format!("a number beside `{unit}`, amounts come from placeholders only");
                return Err(Refusal::new("amount_in_words", reason));
            }
        }
        if let Some(word) = words.iter().find(|word| is_number_with_unit(word)) {
            let reason = format!("`{word}` is an amount, amounts come from placeholders only");
            return Err(Refusal::new("amount_in_words", reason));
        }
    }
    Ok(())
}

/// Refuses numbers spelled out one after the other.
pub(super) fn check_spelled_phone(text: &str) -> Result<(), Refusal> {
    let mut row = 0;
    for word in words(text) {
        // Full stops and commas between the figures do not make them a sentence each.
        if word != "." && word != PAUSE {
            row = if is_number(&word) { row + 1 } else { 0 };
        }
        if row >= SPELLED_DIGITS {
            return Err(Refusal::new(
                "phone",
                "a number is spelled out, contacts and codes are not allowed",
            ));
        }
    }
    Ok(())
}

/// Refuses promises of money, words of law and requests for secrets.
pub(super) fn check_promises(text: &str) -> Result<(), Refusal> {
    for mut words in [words(text), words(&joined(text))] {
        // Before the harmless phrases go: a credit card is harmless until somebody asks for one.
        for sentence in words.split(|word| word == ".") {
            let asks = REQUESTS.iter().find(|entry| entry.is_in(sentence));
            let secret = SECRETS.iter().find(|entry| entry.is_in(sentence));
            if let (Some(asks), Some(secret)) = (asks, secret) {
                let reason = format!(
                    "`{}` with `{}` asks for secrets",
                    asks.written,
                    secret.written.replace('*', "")
                );
                return Err(Refusal::new("promise", reason));
            }
        }
        for harmless in &*HARMLESS {
            harmless.blank_out(&mut words);
        }
        for (topic, entries) in &*REFUSED {
            if let Some(entry) = entries.iter().find(|entry| entry.is_in(&words)) {
                let reason = format!(
                    "`{}` is about {topic}, leave it out",
                    entry.written.replace('*', "")
                );
                return Err(Refusal::new("promise", reason));
            }
        }
    }
    Ok(())
}

/// One word of an entry: exact, `start*`, `*end` or `*part*`.
struct Part {
    text: String,
    open_start: bool,
    open_end: bool,
}

impl Part {
    fn new(part: &str) -> Self {
        Self {
            text: fold(part.trim_matches('*')),
            open_start: part.starts_with('*'),
            open_end: part.ends_with('*'),
        }
    }

    fn matches(&self, word: &str) -> bool {
        match (self.open_start, self.open_end) {
            (true, true) => word.contains(&self.text),
            (true, false) => word.ends_with(&self.text),
            (false, true) => word.starts_with(&self.text),
            (false, false) => word == self.text,
        }
    }
}

/// An entry of the lexicon: words in a row.
struct Entry {
    written: &'static str,
    parts: Vec<Part>,
}

fn entries(listed: &[&'static str]) -> Vec<Entry> {
    let entry = |written: &&'static str| Entry {
        written,
        parts: written.split(' ').map(Part::new).collect(),
    };
    listed.iter().map(entry).collect()
}

impl Entry {
    /// Where it stands in a text.
    fn find(&self, words: &[String]) -> Option<usize> {
        words.windows(self.parts.len()).position(|window| {
            window
                .iter()
                .zip(&self.parts)
                .all(|(word, part)| part.matches(word))
        })
    }

    fn is_in(&self, words: &[String]) -> bool {
        self.find(words).is_some()
    }

    fn blank_out(&self, words: &mut [String]) {
        while let Some(at) = self.find(words) {
            for word in words.iter_mut().skip(at).take(self.parts.len()) {
                // A mask is no word of any lexicon, and the words around it do not move together.
                *word = MASK.to_string();
            }
        }
    }
}

/// How far around a number a unit makes it an amount; nothing for what is no number.
fn number_reach(word: &str) -> Option<usize> {
    if word.starts_with(AMOUNT_MASK) || ARTICLES.iter().any(|article| article.matches(word)) {
        // "a" and "one" are in every sentence, and an amount placeholder says its own currency.
        return Some(1);
    }
    is_number(word).then_some(REACH)
}

fn is_unit(word: &str) -> bool {
    UNITS.iter().any(|unit| unit.matches(word))
}

fn is_number(word: &str) -> bool {
    if word.is_empty() || word.len() > LONGEST_NUMBER {
        return false;
    }
    // Which beginnings of the word are made of stems only: numbers grow by gluing, in German without end.
    let mut reached = vec![false; word.len() + 1];
    if let Some(start) = reached.first_mut() {
        *start = true;
    }
    for at in 0..word.len() {
        if reached.get(at) != Some(&true) {
            continue;
        }
        let Some(rest) = word.get(at..) else { continue };
        let glue = (at > 0).then_some("und");
        for stem in NUMBERS.iter().map(String::as_str).chain(glue) {
            if rest.starts_with(stem)
                && let Some(end) = reached.get_mut(at + stem.len())
            {
                *end = true;
            }
        }
    }
    reached.last() == Some(&true) && !word.ends_with("und")
}

/// Whether one word is both, as in `zwanzigprozentig`.
fn is_number_with_unit(word: &str) -> bool {
    word.char_indices().skip(1).any(|(at, _)| {
        let (number, unit) = word.split_at(at);
        is_number(number) && is_unit(unit)
    })
}
