//! Text as both databases can hold it.
//!
//! PostgreSQL refuses U+0000 in `text`, and a `JSON` string may hold it. It is taken out once, where bytes become
//! values, so that no query has to think of it. Raw bodies are kept as bytes and are never touched.

use serde_json::{Map, Value};

/// The longest id, type or reference that is believed, in characters.
///
/// Stripe promises ids of at most 255 characters, and an index of PostgreSQL takes a key of four bytes for each.
pub const MAX_ID_CHARS: usize = 255;

/// The longest of Stripe's codes that is believed; the longest that docs.stripe.com/error-codes lists has some fifty.
const MAX_CODE_CHARS: usize = 64;

/// `text` without U+0000.
pub fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}

/// The first `max` characters of `text`; never cuts one in two.
pub fn clip(text: &str, max: usize) -> &str {
    text.char_indices()
        .nth(max)
        .and_then(|(end, _)| text.get(..end))
        .unwrap_or(text)
}

/// Whether `text` can be an id: neither empty nor over [`MAX_ID_CHARS`], and without U+0000.
pub fn fits_an_id(text: &str) -> bool {
    !text.is_empty() && text.chars().nth(MAX_ID_CHARS).is_none() && !text.contains('\0')
}

/// Whether `text` reads as one of Stripe's own words, such as `account_closed`: what may stand in a notice and in a name.
pub fn is_a_code(text: &str) -> bool {
    (1..=MAX_CODE_CHARS).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// Takes U+0000 out of every string and every key below `value`.
///
/// Where a cleaned key meets a key that was clean from the start, the clean one stands: a name that only looks like
/// another one must not replace it.
pub fn remove_nul(value: &mut Value) {
    match value {
        Value::String(text) => {
            if text.contains('\0') {
                *text = without_nul(text);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(remove_nul),
        Value::Object(fields) => {
            fields.values_mut().for_each(remove_nul);
            if fields.keys().any(|key| key.contains('\0')) {
                *fields = with_clean_keys(std::mem::take(fields));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn with_clean_keys(fields: Map<String, Value>) -> Map<String, Value> {
    let (dirty, mut clean): (Vec<_>, Map<_, _>) = {
        let (dirty, clean): (Vec<_>, Vec<_>) =
            fields.into_iter().partition(|(key, _)| key.contains('\0'));
        (dirty, clean.into_iter().collect())
    };
    for (key, value) in dirty {
        clean.entry(without_nul(&key)).or_insert(value);
    }
    clean
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nul_leaves_strings_and_keys_at_every_depth() {
        let mut value = json!({"a\0b": ["x\0", {"\0": "\0\0"}], "n": 1, "z": null});
        remove_nul(&mut value);
        assert_eq!(value, json!({"n": 1, "z": null, "ab": ["x", {"": ""}]}));
    }

    #[test]
    fn a_cleaned_key_does_not_replace_a_clean_one() {
        let mut value = json!({"order\0_id": "forged", "order_id": "1001"});
        remove_nul(&mut value);
        assert_eq!(value, json!({"order_id": "1001"}));
    }

    #[test]
    fn clipping_counts_characters() {
        assert_eq!(clip("héllo", 2), "hé");
        assert_eq!(clip("héllo", 5), "héllo");
        assert_eq!(clip("", 0), "");
        assert_eq!(clip("é", 0), "");
    }

    #[test]
    fn an_id_has_1_to_255_characters() {
        assert!(!fits_an_id(""));
        assert!(fits_an_id(&"é".repeat(255)));
        assert!(!fits_an_id(&"é".repeat(256)));
        assert!(!fits_an_id("cus\0"));
    }
}
