//! What the benches share: the sender, its events and its figures.

pub(crate) mod connection;
pub(crate) mod event;
pub(crate) mod percentile;
