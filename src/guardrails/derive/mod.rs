//! Rows derived from object rows and links: pure functions, recomputed whenever an input changes.

pub mod access;
pub mod order;
