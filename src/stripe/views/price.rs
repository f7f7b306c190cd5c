//! The view of a price.

use super::{Reading, currency, flag, id, int, text};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(id, &["product"]);
    reading.fields(
        text,
        &["nickname", "lookup_key", "type", "unit_amount_decimal"],
    );
    reading.fields(currency, &["currency"]);
    reading.fields(flag, &["active"]);
    reading.field_of("interval", text, "recurring", "interval");
    reading.field_of("interval_count", int, "recurring", "interval_count");
    reading.fields(int, &["unit_amount", "created"]);
}
