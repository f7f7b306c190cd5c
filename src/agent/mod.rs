//! The agent: what a model is told, what it may call, and what happens without it.
//!
//! It knows the guardrails and ports, and must never touch the store or a mailer: what it decides becomes rows that
//! somebody else checks, commits and sends.

pub mod brief;
pub mod budget;
pub mod conversation;
pub mod journal;
pub mod model;
pub mod openai;
pub mod playbook;
pub mod prompts;
pub mod rules;
pub mod run;
pub mod scripted;
pub mod spans;
