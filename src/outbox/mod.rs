//! The way out: messages are rendered, and handed to a mail server, a folder, a chat webhook or the application.
//!
//! This module owns what a message looks like and what is known after an attempt to send it. It must never choose a
//! recipient, never scan a filled-in value for placeholders again, and never put an address, a text or a secret into a
//! log line or an error.

mod application;
mod attempt;
pub mod chat;
pub mod dispatch;
pub mod eml;
mod message;
pub mod notice;
mod permit;
pub mod render;
pub mod send;
pub mod smtp;
mod way;

pub use application::{AppWebhook, Application, ApplicationError, Shape, Telling};
pub use chat::{ChatWebhook, Notifier};
pub use dispatch::Dispatcher;
pub use eml::EmlFolder;
pub use message::message_id;
pub use notice::{Notice, RenderedNotice, render_notice};
pub use permit::Permit;
pub use render::{MailFacts, Prose, RenderError, RenderedMail, render_mail};
pub use send::{Mailer, OutgoingMail, SendError, Sent};
pub use smtp::SmtpMailer;
pub use way::Way;
