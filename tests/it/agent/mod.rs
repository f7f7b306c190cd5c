//! What a model may and may not bring about, judged by what leaves: outbox rows, bytes of mails, tables.

mod budget;
mod hostile;
mod journal;
mod lanes;
mod model;
mod quirks;
mod scene;
mod trouble;
mod wired;
