//! What words may leave the house: the filters over prose that a model wrote and over values that customers chose.
//!
//! This module owns the hard filters. They refuse, they never repair: a text that was mended by a program says
//! something nobody wrote. A refusal costs one more try and then a template, so in doubt a filter refuses.
//!
//! A new filter is one function that returns a [`prose::Refusal`], one line in [`prose::check_prose`], and attack and
//! benign strings in `tests/`.

pub mod call;
mod characters;
mod language;
pub mod lexicon;
mod patterns;
pub mod prose;
pub mod rendered;
pub mod untrusted;
pub mod values;
mod wording;

#[cfg(test)]
mod tests;
