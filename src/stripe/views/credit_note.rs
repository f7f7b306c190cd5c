//! The view of a credit note: what was taken off an invoice.

use super::{Reading, currency, id, int, text};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(id, &["customer", "invoice"]);
    // The basil versions made a list of it.
    reading.field("refund", id, &["refund", "refunds[].refund"]);
    reading.fields(text, &["status", "number", "reason", "type"]);
    reading.fields(currency, &["currency"]);
    reading.fields(
        int,
        &[
            "amount",
            "total",
            "pre_payment_amount",
            "post_payment_amount",
            "voided_at",
            "created",
        ],
    );
}
