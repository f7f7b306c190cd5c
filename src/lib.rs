//! billhook stands between Stripe and a business: it keeps every webhook, brings orders, subscriptions and access up
//! to date by fixed rules, and lets a language model propose the follow-ups that need judgement.
//!
//! ARCHITECTURE.md is the map. Imports go one way, from the bottom of this list to its top.

pub mod agent;
pub mod clock;
pub mod config;
pub mod guardrails;
pub mod http;
pub mod ids;
pub mod inbox;
pub mod shutdown;
pub mod store;
pub mod stripe;
pub mod telemetry;
