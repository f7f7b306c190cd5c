//! billhook stands between Stripe and a business: it keeps every webhook, brings orders, subscriptions and access up
//! to date by fixed rules, and lets a language model propose the follow-ups that need judgement.
//!
//! ARCHITECTURE.md is the map: which room may use which, and the way of an event through them.

pub mod agent;
pub mod app;
pub mod backfill;
pub mod cli;
pub mod clock;
pub mod config;
pub mod facts;
pub mod guardrails;
pub mod hints;
pub mod http;
pub mod ids;
pub mod inbox;
pub mod outbox;
pub mod retry;
pub mod shutdown;
pub mod store;
pub mod stripe;
pub mod telemetry;
pub mod tls;
pub mod worker;
