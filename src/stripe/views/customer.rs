//! The view of a customer: who they are, and how to address them.

use super::{Found, Reading, currency, flag, id, int, text};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(text, &["email", "name"]);
    reading.fields(id, &["default_source"]);
    reading.field(
        "default_payment_method",
        id,
        &["invoice_settings.default_payment_method"],
    );
    reading.fields(currency, &["currency"]);
    reading.fields(flag, &["delinquent", "deleted"]);
    reading.fields(int, &["created"]);
    let locale = match reading.object().get("preferred_locales") {
        None => Found::Absent,
        // An empty list clears what was preferred before.
        Some(serde_json::Value::Array(locales)) if locales.is_empty() => Found::Null,
        Some(_) => reading.find(text, &["preferred_locales[]"]),
    };
    reading.set("preferred_locale", locale);
}
