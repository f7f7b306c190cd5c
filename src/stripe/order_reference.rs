//! The names by which a business knows its own orders, as it hands them to Stripe.
//!
//! Views and links must read the same name from the same object, so both read it here. Whoever opens a payment link
//! may choose a `client_reference_id`: it is a name to look up, never a proof of anything.

use serde_json::Value;

use crate::stripe::text::{MAX_ID_CHARS, clip, without_nul};

/// `metadata.order_id`: text as Stripe keeps it, or a number as some fixtures write it.
pub fn metadata_order_id(object: &Value) -> Option<String> {
    name(object.get("metadata")?.get("order_id")?)
}

/// `client_reference_id` of a checkout session.
pub fn client_reference_id(object: &Value) -> Option<String> {
    name(object.get("client_reference_id")?)
}

/// Blank text names nothing: every order without a name would else become one order.
pub(super) fn name(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => without_nul(text),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.trim().is_empty()).then(|| clip(&text, MAX_ID_CHARS).to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_text_with_something_in_it_or_a_number() {
        let (fits, long) = ("é".repeat(255), "é".repeat(256));
        for (value, expected) in [
            (json!("1001"), Some("1001")),
            (json!(1001), Some("1001")),
            (json!("A/7 b"), Some("A/7 b")),
            (json!("1\u{0}2"), Some("12")),
            (json!(long), Some(fits.as_str())),
            (json!(""), None),
            (json!(" \t"), None),
            (json!("\u{0}"), None),
            (json!(null), None),
            (json!(true), None),
            (json!({"id": "1001"}), None),
        ] {
            let session = json!({"metadata": {"order_id": value}, "client_reference_id": value});
            assert_eq!(metadata_order_id(&session).as_deref(), expected, "{value}");
            assert_eq!(
                client_reference_id(&session).as_deref(),
                expected,
                "{value}"
            );
        }
        for object in [
            json!({}),
            json!({"metadata": null}),
            json!({"metadata": []}),
            json!(7),
        ] {
            assert_eq!(metadata_order_id(&object), None, "{object}");
            assert_eq!(client_reference_id(&object), None, "{object}");
        }
    }
}
