//! What a model may and may not bring about, judged by what leaves: outbox rows, bytes of mails, tables.

mod hostile;
mod journal;
mod lanes;
mod model;
mod observed;
mod quirks;
mod scene;
mod trouble;
mod wired;
