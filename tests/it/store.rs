//! The store's verbs, on SQLite and on PostgreSQL: the same cases, word for word.

mod conformance;
mod schema;
