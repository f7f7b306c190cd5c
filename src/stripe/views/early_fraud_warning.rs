//! The view of a card issuer's warning that a charge may be fraud.

use super::{Reading, flag, id, int, text};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(id, &["charge", "payment_intent"]);
    reading.field("customer", id, &["charge.customer"]);
    reading.fields(text, &["fraud_type"]);
    reading.fields(flag, &["actionable"]);
    reading.fields(int, &["created"]);
}
