//! References from one Stripe object to another, in each of the forms that Stripe sends.
//!
//! A field such as `customer` is absent, null, an id, a whole expanded object, or `{id, object, deleted: true}`, and
//! the form changes from one event to the next. Everything that reads a reference reads it through here.

use serde_json::Value;

use crate::stripe::text::fits_an_id;

/// What a reference field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference<'a> {
    /// The field is missing, or holds something that is no reference: nothing is known.
    Absent,
    /// The field says that there is no such object.
    Null,
    /// The id of the object, whether it was expanded, deleted or neither.
    Id(&'a str),
}

impl<'a> Reference<'a> {
    /// The id, where there is one.
    pub fn id(self) -> Option<&'a str> {
        match self {
            Self::Id(id) => Some(id),
            Self::Absent | Self::Null => None,
        }
    }
}

/// Reads a reference field; `None` is a field that is not there.
pub fn reference(value: Option<&Value>) -> Reference<'_> {
    let id = match value {
        Some(Value::Null) => return Reference::Null,
        Some(Value::String(id)) => Some(id),
        Some(Value::Object(object)) => match object.get("id") {
            Some(Value::String(id)) => Some(id),
            _ => None,
        },
        _ => None,
    };
    match id {
        Some(id) if fits_an_id(id) => Reference::Id(id),
        _ => Reference::Absent,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_form_of_a_reference_is_read() {
        let long = "x".repeat(256);
        for (value, expected) in [
            (json!(null), Reference::Null),
            (json!("cus_1"), Reference::Id("cus_1")),
            (
                json!({"id": "cus_1", "object": "customer", "email": null}),
                Reference::Id("cus_1"),
            ),
            (
                json!({"id": "cus_1", "object": "customer", "deleted": true}),
                Reference::Id("cus_1"),
            ),
            (json!({"object": "customer"}), Reference::Absent),
            (json!({"id": null}), Reference::Absent),
            (json!({"id": {"id": "cus_1"}}), Reference::Absent),
            (json!(""), Reference::Absent),
            (json!(long), Reference::Absent),
            (json!(7), Reference::Absent),
            (json!(true), Reference::Absent),
            (json!(["cus_1"]), Reference::Absent),
        ] {
            assert_eq!(reference(Some(&value)), expected, "{value}");
        }
        assert_eq!(reference(None), Reference::Absent);
    }

    #[test]
    fn only_an_id_has_an_id() {
        assert_eq!(Reference::Id("in_1").id(), Some("in_1"));
        assert_eq!(Reference::Null.id(), None);
        assert_eq!(Reference::Absent.id(), None);
    }
}
