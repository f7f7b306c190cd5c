//! The arguments of a call as text, whatever a server made of them. Pure.
//!
//! A wrapping is taken off once where one JSON object is inside, because a server put it there and no meaning is lost.
//! Nothing is ever repaired: what is still no object stays as it came, and is answered instead of run.

use serde_json::Value;

/// Longer texts are left as they are; they are refused for their length.
const LONGEST: usize = 64 * 1024;

/// What servers wrap arguments in: code fences, and tags of models that write calls as text.
const WRAPPINGS: [(&str, &str); 5] = [
    ("```json", "```"),
    ("```", "```"),
    ("<arguments>", "</arguments>"),
    ("<parameters>", "</parameters>"),
    ("<tool_call>", "</tool_call>"),
];

/// The text of `arguments`, which the protocol wants to be a string that holds one JSON object.
pub(super) fn text(arguments: &Value) -> String {
    match arguments {
        Value::Null => String::new(),
        Value::String(text) => unwrapped(text).unwrap_or_else(|| text.clone()),
        other => other.to_string(),
    }
}

/// Whether a text is one JSON object.
pub(super) fn is_object(text: &str) -> bool {
    matches!(serde_json::from_str(text), Ok(Value::Object(_)))
}

fn unwrapped(text: &str) -> Option<String> {
    if text.len() > LONGEST || is_object(text) {
        return None;
    }
    let inner = match serde_json::from_str(text) {
        Ok(Value::String(encoded)) => encoded,
        Ok(_) => return None,
        Err(_) => {
            let text = text.trim();
            WRAPPINGS
                .iter()
                .find_map(|(open, close)| text.strip_prefix(open)?.strip_suffix(close))?
                .trim()
                .to_owned()
        }
    };
    is_object(&inner).then_some(inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_wrapping_is_taken_off() {
        for wrapped in [
            json!({"limit": 5}),
            json!(r#"{"limit":5}"#),
            json!(r#""{\"limit\":5}""#),
            json!("```json\n{\"limit\":5}\n```"),
            json!("```\n{\"limit\":5}```"),
            json!("<arguments>{\"limit\":5}</arguments>"),
            json!(" <tool_call>\n{\"limit\":5}\n</tool_call>\n"),
        ] {
            assert_eq!(text(&wrapped), r#"{"limit":5}"#, "{wrapped}");
        }
    }

    #[test]
    fn nothing_is_repaired() {
        for broken in [
            "",
            "{",
            "{\"limit\":5",
            "{'limit': 5}",
            "{\"limit\":5},",
            "[{\"limit\":5}]",
            "5",
            "null",
            r#""5""#,
            r#""\"{}\"""#,
            "```json\n```json\n{}\n```\n```",
            "Sure! {\"limit\":5}",
        ] {
            assert_eq!(text(&json!(broken)), broken);
            assert!(!is_object(&text(&json!(broken))), "{broken}");
        }
        assert_eq!(text(&Value::Null), "", "and nothing is no empty object");
        assert_eq!(text(&json!([1])), "[1]");
    }
}
