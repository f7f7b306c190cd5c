//! The view of a payment method: what a person may be told about it, and never a number.

use super::{Reading, id, int, text};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    // Null once it is detached.
    reading.fields(id, &["customer"]);
    reading.fields(text, &["type"]);
    reading.field("brand", text, &["card.display_brand", "card.brand"]);
    reading.field(
        "last4",
        text,
        &[
            "card.last4",
            "sepa_debit.last4",
            "us_bank_account.last4",
            "bacs_debit.last4",
            "au_becs_debit.last4",
            "acss_debit.last4",
        ],
    );
    reading.field("exp_month", int, &["card.exp_month"]);
    reading.field("exp_year", int, &["card.exp_year"]);
    reading.fields(int, &["created"]);
}
