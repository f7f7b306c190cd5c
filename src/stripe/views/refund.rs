//! The view of a refund.

use super::{Reading, currency, id, int, text};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(
        id,
        &[
            "customer",
            "charge",
            "payment_intent",
            "balance_transaction",
            "failure_balance_transaction",
        ],
    );
    reading.fields(text, &["status", "reason", "failure_reason"]);
    reading.fields(currency, &["currency"]);
    reading.fields(int, &["amount", "created"]);
}
