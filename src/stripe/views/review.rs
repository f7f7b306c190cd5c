//! The view of a review: somebody looks at a payment before it is trusted.

use super::{Reading, flag, id, int, text};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(id, &["charge", "payment_intent"]);
    reading.field(
        "customer",
        id,
        &["charge.customer", "payment_intent.customer"],
    );
    reading.fields(text, &["reason", "opened_reason", "closed_reason"]);
    reading.fields(flag, &["open"]);
    reading.fields(int, &["created"]);
}
