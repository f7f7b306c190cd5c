//! The view of a payment intent. It listed its charges until 2022-11-15 and names only the latest one since.

use serde_json::Value;

use super::{Found, Reading, currency, id, int, text, values_at};
use crate::stripe::order_reference;

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(id, &["customer", "invoice", "review", "payment_method"]);
    reading.fields(
        text,
        &[
            "status",
            "capture_method",
            "cancellation_reason",
            "receipt_email",
        ],
    );
    reading.fields(currency, &["currency"]);
    reading.fields(
        int,
        &["amount", "amount_received", "amount_capturable", "created"],
    );
    reading.field(
        "order_id",
        |value| order_reference::name(value).map(Value::from),
        &["metadata.order_id"],
    );

    let object = reading.object();
    let latest = reading
        .find(id, &["latest_charge"])
        .or_else(|| newest_charge(object));
    reading.set("latest_charge", latest);

    reading.field_of("error_code", text, "last_payment_error", "code");
    reading.field_of(
        "error_decline_code",
        text,
        "last_payment_error",
        "decline_code",
    );
    reading.field_of(
        "error_advice_code",
        text,
        "last_payment_error",
        "advice_code",
    );
    reading.field_of("error_charge", id, "last_payment_error", "charge");
}

/// The newest charge of the list; of several in one second the first, because Stripe lists the newest first.
fn newest_charge(object: &Value) -> Found {
    let mut newest: Option<(i64, Value)> = None;
    for charge in values_at(object, "charges.data[]") {
        let Some(id) = id(charge) else { continue };
        let created = charge
            .get("created")
            .and_then(Value::as_i64)
            .unwrap_or(i64::MIN);
        if newest.as_ref().is_none_or(|(other, _)| created > *other) {
            newest = Some((created, id));
        }
    }
    newest.map_or(Found::Absent, |(_, id)| Found::Value(id))
}
