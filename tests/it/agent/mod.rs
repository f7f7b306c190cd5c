//! What a model may and may not bring about, judged by what leaves: outbox rows, bytes of mails, tables.

mod budget;
mod canaries;
mod generations;
mod journal;
mod lanes;
mod model;
mod modes;
mod observed;
mod prompts;
mod quirks;
pub(crate) mod scene;
mod trouble;
mod wired;
