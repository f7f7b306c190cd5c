//! The view of one capability of a connected account. Its id is a word, unique within the account.

use super::{Reading, flag, id, int, text};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(id, &["account"]);
    reading.fields(text, &["status"]);
    reading.fields(flag, &["requested"]);
    reading.fields(int, &["requested_at"]);
    reading.field_of("disabled_reason", text, "requirements", "disabled_reason");
}
