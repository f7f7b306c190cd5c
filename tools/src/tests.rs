//! Tests of all tools together: their contracts, and what calls come to.

mod calls;
mod contracts;
mod keys;
