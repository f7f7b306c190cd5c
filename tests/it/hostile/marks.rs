//! The word that stands in everything an attacker says, and how it is found again whatever it wears.
//!
//! It is made of letters alone: no filter stops it for what it is, so where it is found something was let through.

use unicode_normalization::UnicodeNormalization as _;

/// Begins every mark.
pub(super) const MARK: &str = "zanzibar";

/// The mark of one case, so that what got out says where it came from.
pub(super) fn mark(case: usize) -> String {
    let letters =
        [case / 676, case / 26, case].map(|n| char::from(b'a' + u8::try_from(n % 26).unwrap()));
    format!("{MARK}{}", letters.iter().collect::<String>())
}

/// Whether a text holds a mark: as it is, in another case or script, turned around, in base64, in ROT13, in characters
/// that nobody sees, or with signs between its letters.
pub(super) fn holds_a_mark(text: &str) -> bool {
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if base64_forms(MARK).iter().any(|form| compact.contains(form)) {
        return true;
    }
    let letters = letters(text);
    let turned: String = letters.chars().rev().collect();
    let rotated = rot13(&letters);
    [letters, turned, rotated]
        .iter()
        .any(|form| form.contains(MARK))
}

/// The letters that a reader, or a program, would take a text for.
fn letters(text: &str) -> String {
    text.chars()
        .map(|c| match u32::from(c) {
            // Tags are ASCII that is not shown.
            tag @ 0xe0020..=0xe007e => char::from_u32(tag - 0xe0000).unwrap_or(c),
            _ => c,
        })
        .nfkd()
        .flat_map(char::to_lowercase)
        .map(look)
        .filter(char::is_ascii_alphabetic)
        .collect()
}

/// The Latin letter that another script's looks like.
fn look(c: char) -> char {
    match c {
        'а' | 'α' => 'a',
        'с' => 'c',
        'е' => 'e',
        'і' | 'ι' => 'i',
        'о' | 'ο' => 'o',
        'р' | 'ρ' => 'p',
        'г' => 'r',
        'ѕ' => 's',
        'ν' => 'v',
        'х' => 'x',
        'у' => 'y',
        'ᴢ' => 'z',
        'ո' | 'п' => 'n',
        'ь' => 'b',
        other => other,
    }
}

pub(super) fn rot13(text: &str) -> String {
    let turn = |c: char, from: u8| {
        let place = (u8::try_from(c).unwrap() - from + 13) % 26;
        char::from(from + place)
    };
    text.chars()
        .map(|c| match c {
            'a'..='z' => turn(c, b'a'),
            'A'..='Z' => turn(c, b'A'),
            other => other,
        })
        .collect()
}

/// A character that nobody sees after each that somebody does.
pub(super) fn spread(text: &str) -> String {
    text.chars().flat_map(|c| [c, '\u{200b}']).collect()
}

const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0_u8; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let number = group
            .iter()
            .fold(0_usize, |all, byte| all << 8 | usize::from(*byte));
        for place in 0..4 {
            let sign = SIGNS[number >> (18 - 6 * place) & 63];
            out.push(if place <= chunk.len() {
                char::from(sign)
            } else {
                '='
            });
        }
    }
    out
}

pub(super) fn from_base64(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut bits, mut held) = (0_u32, 0_u32);
    for sign in text.bytes() {
        let Some(value) = SIGNS.iter().position(|known| *known == sign) else {
            continue;
        };
        bits = bits << 6 | u32::try_from(value).unwrap();
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from(bits >> held & 0xff).unwrap());
            bits &= (1 << held) - 1;
        }
    }
    out
}

/// What a word is in base64 wherever in a text it stands, less the signs that its neighbours have a part in.
fn base64_forms(word: &str) -> Vec<String> {
    (0..3)
        .map(|lead| {
            let padded = [vec![b' '; lead], word.as_bytes().to_vec()].concat();
            let whole = padded.len() / 3 * 4;
            let encoded = base64(&padded);
            encoded
                .get((lead * 8).div_ceil(6)..whole)
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[test]
fn a_mark_is_found_whatever_it_wears() {
    let mark = mark(731);
    assert_eq!(mark, "zanzibarbcd");
    let spread = spread(&mark);
    let tags: String = mark
        .chars()
        .map(|c| char::from_u32(0xe0000 + u32::from(c)).unwrap())
        .collect();
    let wide: String = mark
        .chars()
        .map(|c| char::from_u32(0xfee0 + u32::from(c)).unwrap())
        .collect();
    let foreign = mark.replace('a', "а").replace('i', "і").replace('r', "г");
    let upper = mark.to_uppercase();
    let turned: String = mark.chars().rev().collect();
    let between = mark.split("").collect::<Vec<_>>().join("-");
    for worn in [
        mark.clone(),
        spread,
        tags,
        wide,
        foreign,
        upper,
        turned,
        between,
        rot13(&mark),
    ] {
        assert!(
            holds_a_mark(&format!("Hello {worn}, all is well.")),
            "{worn}"
        );
    }
    for before in ["", "x", "xy", "Send it to "] {
        let worn = base64(format!("{before}{mark} now").as_bytes());
        assert!(holds_a_mark(&worn), "{before:?} {worn}");
        assert_eq!(from_base64(&worn), format!("{before}{mark} now").as_bytes());
    }
    for plain in [
        "",
        "Hello Ada, your payment did not go through.",
        "A bar in Tanzania",
        "emFuemk= YmFy",
    ] {
        assert!(!holds_a_mark(plain), "{plain}");
    }
}
