//! What Stripe sends, read without ever asking for more: signatures, event envelopes, objects of every API version.
//!
//! Parsing here is pure: bytes and JSON in, values out. Nothing in these modules opens a connection, reads a clock or
//! writes a row, but for `api`, which asks Stripe and is used by nobody here. A field that is missing or a value that
//! nobody has seen before is never an error.

pub mod api;
pub mod event;
pub mod links;
pub mod order_reference;
pub mod reference;
pub mod signature;
pub mod text;
pub mod view;
mod views;
