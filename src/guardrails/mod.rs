//! The rules: what must be written for an event, what is derived from it, what is owed, and what a model may say.
//!
//! Everything here is pure. It reads no clock, no database and no network, so that order, duplicates and restarts
//! cannot change what it answers.

pub mod derive;
pub mod limits;
pub mod mandatory;
pub mod occurrence;
pub mod precondition;
pub mod provenance;
pub mod recipient;
