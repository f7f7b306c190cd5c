//! The view of a checkout session. Its subscription is made only after the payment since the basil versions, so null
//! may become an id later.

use serde_json::Value;

use super::{Reading, currency, id, int, text};
use crate::stripe::order_reference;

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(
        id,
        &[
            "customer",
            "payment_intent",
            "setup_intent",
            "invoice",
            "subscription",
        ],
    );
    reading.fields(text, &["mode", "status", "payment_status"]);
    reading.fields(currency, &["currency"]);
    reading.fields(int, &["amount_total", "created", "expires_at"]);
    // What was typed in at the checkout is newer than what the session was opened with.
    reading.field(
        "customer_email",
        text,
        &["customer_details.email", "customer_email"],
    );
    for (name, place) in [
        ("client_reference_id", "client_reference_id"),
        ("order_id", "metadata.order_id"),
    ] {
        reading.field(
            name,
            |value| order_reference::name(value).map(Value::from),
            &[place],
        );
    }
}
