//! The view of a product.

use super::{Reading, flag, id, int, text};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(id, &["default_price"]);
    reading.fields(text, &["name"]);
    reading.fields(flag, &["active"]);
    reading.fields(int, &["created"]);
}
