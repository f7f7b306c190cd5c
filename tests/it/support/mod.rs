//! What tests share: the whole service, databases of their own, and Stripe events that the project wrote itself.

pub(crate) mod app;
pub(crate) mod bench;
pub(crate) mod business;
pub(crate) mod chat;
pub(crate) mod fixture;
pub(crate) mod line;
pub(crate) mod listen;
pub(crate) mod log;
pub(crate) mod model_server;
pub(crate) mod otlp;
pub(crate) mod place;
pub(crate) mod postgres_server;
pub(crate) mod process;
pub(crate) mod receiver;
pub(crate) mod redis;
pub(crate) mod services;
pub(crate) mod smtp;
pub(crate) mod stripe_api;
pub(crate) mod tables;
