//! The view of a setup intent: one attempt to get a payment method for later.

use super::{Reading, id, int, text};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(id, &["customer", "payment_method", "mandate"]);
    reading.fields(text, &["status", "usage", "cancellation_reason"]);
    reading.field_of("error_code", text, "last_setup_error", "code");
    reading.field_of(
        "error_decline_code",
        text,
        "last_setup_error",
        "decline_code",
    );
    reading.fields(int, &["created"]);
}
