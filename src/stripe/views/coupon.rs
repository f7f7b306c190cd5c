//! The view of a coupon.

use serde_json::Value;

use super::{Reading, currency, flag, int, text};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(text, &["name", "duration"]);
    reading.fields(currency, &["currency"]);
    reading.fields(flag, &["valid"]);
    // A share of a price may have a fraction; `25` and `25.0` are one.
    reading.fields(|value| value.as_f64().map(Value::from), &["percent_off"]);
    reading.fields(
        int,
        &["amount_off", "duration_in_months", "redeem_by", "created"],
    );
}
