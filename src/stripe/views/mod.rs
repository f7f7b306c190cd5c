//! One file per family: which fields its view has, and in which places of the JSON they are found.
//!
//! A new field is one line in its family's file; the first place that holds a value wins, so older places come first.
//! A place is a path of keys; `data[]` means every item of that list, in order. A path that meets null on its way
//! says null. An empty list says nothing. Nothing here fails, and nothing here looks at an API version: the JSON
//! itself shows its shape, and mixtures of shapes are real.

use serde_json::Value;

use crate::stripe::reference::reference;
use crate::stripe::text::{clip, without_nul};
use crate::stripe::view::View;

pub(super) mod account;
pub(super) mod capability;
pub(super) mod charge;
pub(super) mod checkout_session;
pub(super) mod coupon;
pub(super) mod credit_note;
pub(super) mod customer;
pub(super) mod discount;
pub(super) mod dispute;
pub(super) mod early_fraud_warning;
pub(super) mod entitlements;
pub(super) mod invoice;
pub(super) mod invoice_payment;
pub(super) mod mandate;
pub(super) mod payment_intent;
pub(super) mod payment_method;
pub(super) mod payout;
pub(super) mod price;
pub(super) mod product;
pub(super) mod refund;
pub(super) mod review;
pub(super) mod setup_intent;
pub(super) mod subscription;
pub(super) mod subscription_schedule;

/// The longest text that a view keeps, in characters; a hosted page's address has some 300.
const MAX_TEXT_CHARS: usize = 5000;

/// What one or more places say about a field.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// No place holds anything that could be understood.
    Absent,
    /// Some place says that there is none, and no place says otherwise.
    Null,
    /// The first value.
    Value(Value),
}

impl Found {
    /// This, unless it is no value and `other` says more.
    pub(super) fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Value(value) => Self::Value(value),
            Self::Null => match other() {
                Self::Absent => Self::Null,
                other => other,
            },
            Self::Absent => other(),
        }
    }
}

/// Reads a value as what a field must be; `None` is a value of the wrong type.
pub(super) type Read = fn(&Value) -> Option<Value>;

pub(super) fn text(value: &Value) -> Option<Value> {
    Some(Value::from(clip(
        &without_nul(value.as_str()?),
        MAX_TEXT_CHARS,
    )))
}

pub(super) fn int(value: &Value) -> Option<Value> {
    value.as_i64().map(Value::from)
}

pub(super) fn flag(value: &Value) -> Option<Value> {
    value.as_bool().map(Value::from)
}

/// The id of a reference, whether it is expanded, deleted or neither.
pub(super) fn id(value: &Value) -> Option<Value> {
    reference(Some(value)).id().map(Value::from)
}

/// Stripe writes currencies in lowercase; what others wrote is lowered.
pub(super) fn currency(value: &Value) -> Option<Value> {
    Some(Value::from(
        clip(&without_nul(value.as_str()?), MAX_TEXT_CHARS).to_lowercase(),
    ))
}

/// An object that is being read, and the fields found so far.
pub(super) struct Reading<'a> {
    object: &'a Value,
    view: View,
}

impl<'a> Reading<'a> {
    pub(super) fn of(object: &'a Value) -> Self {
        Self {
            object,
            view: View::default(),
        }
    }

    pub(super) fn into_view(self) -> View {
        self.view
    }

    pub(super) fn object(&self) -> &'a Value {
        self.object
    }

    /// A field that some of `places` may hold.
    pub(super) fn field(&mut self, name: &str, read: Read, places: &[&str]) {
        self.set(name, self.find(read, places));
    }

    /// Fields that stand under their own names, whatever the version.
    pub(super) fn fields(&mut self, read: Read, names: &[&str]) {
        for name in names {
            self.field(name, read, &[name]);
        }
    }

    /// A field of `whole`, which Stripe replaces as a whole and writes without the keys that do not apply.
    ///
    /// A key that is missing in it is therefore null: a second error without a decline code must not keep the first
    /// one's.
    pub(super) fn field_of(&mut self, name: &str, read: Read, whole: &str, key: &str) {
        let found = match self.object.get(whole) {
            Some(Value::Null) => Found::Null,
            Some(Value::Object(fields)) => match fields.get(key) {
                None | Some(Value::Null) => Found::Null,
                Some(value) => read(value).map_or(Found::Absent, Found::Value),
            },
            _ => Found::Absent,
        };
        self.set(name, found);
    }

    pub(super) fn set(&mut self, name: &str, found: Found) {
        match found {
            Found::Absent => {}
            Found::Null => drop(self.view.insert(name, Value::Null)),
            Found::Value(value) => drop(self.view.insert(name, value)),
        }
    }

    pub(super) fn find(&self, read: Read, places: &[&str]) -> Found {
        places
            .iter()
            .flat_map(|place| values_at(self.object, place))
            .fold(Found::Absent, |found, value| {
                found.or_else(|| {
                    if value.is_null() {
                        Found::Null
                    } else {
                        read(value).map_or(Found::Absent, Found::Value)
                    }
                })
            })
    }
}

/// Every value that stands at `path` below `value`, in the order of the document.
pub(super) fn values_at<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut found = Vec::new();
    // A whole object that is null, as of a thin event, says nothing about its fields.
    if !value.is_null() {
        collect(value, path, &mut found);
    }
    found
}

fn collect<'a>(value: &'a Value, path: &str, found: &mut Vec<&'a Value>) {
    if path.is_empty() || value.is_null() {
        found.push(value);
        return;
    }
    let (key, rest) = path.split_once('.').unwrap_or((path, ""));
    let (key, every_item) = match key.strip_suffix("[]") {
        Some(key) => (key, true),
        None => (key, false),
    };
    match value.get(key) {
        Some(Value::Array(items)) if every_item => {
            for item in items {
                collect(item, rest, found);
            }
        }
        Some(Value::Null) => found.push(&Value::Null),
        Some(_) if every_item => {}
        Some(value) => collect(value, rest, found),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_value_wins_then_null_then_nothing() {
        let object = json!({"null": null, "a": "first", "b": "second", "number": 1});
        let reading = Reading::of(&object);
        for (places, expected) in [
            (vec!["a", "b"], Found::Value(json!("first"))),
            (
                vec!["missing", "null", "number", "b"],
                Found::Value(json!("second")),
            ),
            (vec!["missing", "null", "number"], Found::Null),
            (vec!["null", "missing"], Found::Null),
            (vec!["missing", "number"], Found::Absent),
            (vec![], Found::Absent),
        ] {
            assert_eq!(reading.find(text, &places), expected, "{places:?}");
        }
    }

    #[test]
    fn a_path_goes_through_objects_lists_and_null() {
        let object = json!({
            "list": {"data": [{"x": {"y": 1}}, {"x": null}, {}, {"x": {"y": null}}, {"x": 5}]},
            "none": {"data": []}, "gone": null, "text": "abc"
        });
        for (path, expected) in [
            ("list.data[].x.y", vec![json!(1), json!(null), json!(null)]),
            ("none.data[].x", vec![]),
            ("gone.data[].x", vec![json!(null)]),
            ("text.length", vec![]),
            ("list[].x", vec![]),
            ("text", vec![json!("abc")]),
        ] {
            let found: Vec<Value> = values_at(&object, path).into_iter().cloned().collect();
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn texts_are_clipped_and_hold_no_nul() {
        assert_eq!(text(&json!("a\u{0}b")), Some(json!("ab")));
        assert_eq!(
            text(&json!("é".repeat(5001))),
            Some(json!("é".repeat(5000)))
        );
        assert_eq!(currency(&json!("EUR")), Some(json!("eur")));
    }
}
