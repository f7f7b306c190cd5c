//! The view of a mandate: the leave to debit an account.

use super::{Reading, id, text};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(id, &["payment_method"]);
    reading.fields(text, &["status", "type"]);
}
