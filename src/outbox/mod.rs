//! The way out: messages are rendered, and handed to a mail server, a folder or a chat webhook.
//!
//! This module owns what a message looks like and what is known after an attempt to send it. It must never choose a
//! recipient, never scan a filled-in value for placeholders again, and never put an address, a text or a secret into a
//! log line or an error.

pub mod chat;
pub mod dispatch;
pub mod eml;
mod message;
pub mod notice;
pub mod render;
pub mod send;
pub mod smtp;

pub use chat::{ChatWebhook, Notifier};
pub use dispatch::{Dispatcher, Way};
pub use eml::EmlFolder;
pub use message::message_id;
pub use notice::{Notice, RenderedNotice, render_notice};
pub use render::{MailFacts, Prose, RenderError, RenderedMail, render_mail};
pub use send::{Mailer, OutgoingMail, SendError, Sent};
pub use smtp::SmtpMailer;
