//! Rows derived from object rows and links: pure functions, recomputed whenever an input changes.

pub mod access;
pub mod contest;
pub mod hold;
pub mod ledger;
pub mod order;
pub mod refund;
