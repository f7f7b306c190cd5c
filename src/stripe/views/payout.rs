//! The view of a payout: money on its way from Stripe to the business's bank.

use super::{Reading, currency, flag, id, int, text};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(
        id,
        &[
            "balance_transaction",
            "failure_balance_transaction",
            "original_payout",
            "reversed_by",
        ],
    );
    reading.fields(
        text,
        &[
            "status",
            "failure_code",
            "method",
            "type",
            "reconciliation_status",
        ],
    );
    reading.fields(currency, &["currency"]);
    reading.fields(flag, &["automatic"]);
    reading.fields(int, &["amount", "arrival_date", "created"]);
}
