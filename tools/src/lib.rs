//! The tools a language model may call, and nothing that could touch the world.
//!
//! This crate owns the arguments, the contracts that a model sees, and what a call comes to: an answer read through
//! [`Facts`], or a [`Proposal`] that somebody else checks and carries out. It must never gain a dependency that does
//! I/O: code that a model can reach cannot reach the network, the database or the mailer, and the manifest proves it.
//!
//! A new tool is one file here (copy the smallest, `notify_sales.rs`), one line in [`all`], and
//! `billhook tools export`, which writes its contract to `tools/NAME.json`.

pub mod facts;
pub mod money;
pub mod proposal;
pub mod schema;
pub mod tool;

pub use facts::{Facts, FactsError, Payment};
pub use money::{Currency, Money};
pub use proposal::{Campaign, OrderChange, Priority, Proposal};
pub use tool::{Context, Contract, Effect, Outcome, Tool, ToolError};
