//! The view of one payment towards an invoice: what links the two since the basil versions.

use super::{Reading, currency, flag, id, int, text};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(id, &["invoice"]);
    reading.field("payment_intent", id, &["payment.payment_intent"]);
    reading.field("charge", id, &["payment.charge"]);
    reading.fields(text, &["status"]);
    reading.fields(currency, &["currency"]);
    reading.fields(flag, &["is_default"]);
    reading.fields(int, &["amount_paid", "amount_requested", "created"]);
}
