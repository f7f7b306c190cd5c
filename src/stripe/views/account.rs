//! The view of a connected account: what it may do.

use super::{Reading, currency, flag, int, text};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(text, &["country", "type"]);
    reading.fields(currency, &["default_currency"]);
    reading.fields(
        flag,
        &["charges_enabled", "payouts_enabled", "details_submitted"],
    );
    reading.field_of("disabled_reason", text, "requirements", "disabled_reason");
    reading.field_of("current_deadline", int, "requirements", "current_deadline");
    reading.fields(int, &["created"]);
}
