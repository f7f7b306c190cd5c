//! The view of a coupon.

use super::{Reading, currency, flag, int, text};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(text, &["name", "duration"]);
    reading.fields(currency, &["currency"]);
    reading.fields(flag, &["valid"]);
    reading.fields(
        int,
        &["amount_off", "duration_in_months", "redeem_by", "created"],
    );
}
