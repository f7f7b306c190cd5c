//! The view of a discount that a customer has. The clover versions moved its coupon to `source`.

use super::{Reading, id, int};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(id, &["customer", "subscription", "promotion_code"]);
    reading.field("coupon", id, &["coupon", "source.coupon"]);
    reading.fields(int, &["start", "end"]);
}
