//! The rules that hold whatever a model does. Pure: no store, no clock, no network.

pub mod limits;
