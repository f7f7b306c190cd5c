//! What it means to send: a mail that is ready, and what is known after trying.
//!
//! The ways to fail are the point of this module. `Transient` promises that nothing was handed over, `Rejected`
//! that it never will be, and `Unknown` admits that nobody can tell; whoever is in doubt must say `Unknown`, because a
//! repeat of it may reach a customer twice. Reasons are written by us: they never quote a server, whose answers tend to
//! hold the address.

use std::time::Duration;

use async_trait::async_trait;

use super::Permit;

/// A mail that is ready to go, exactly as it stands in the outbox.
#[derive(Clone, PartialEq, Eq)]
pub struct OutgoingMail {
    /// The Message-ID, the same on every attempt; see [`message_id`](super::message_id).
    pub message_id: String,
    /// The effect key, for the header `X-Billhook-Effect`.
    pub effect: String,
    /// The sender: an address, with or without a name.
    pub from: String,
    /// The recipient: one address.
    pub to: String,
    /// Where a reply goes, when not to the sender.
    pub reply_to: Option<String>,
    /// One line.
    pub subject: String,
    /// The text part.
    pub text: String,
    /// The HTML part, when there is one.
    pub html: Option<String>,
}

/// Addresses and texts stay out of logs, so this shows what identifies the mail and nothing else.
impl std::fmt::Debug for OutgoingMail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutgoingMail")
            .field("message_id", &self.message_id)
            .field("effect", &self.effect)
            .finish_non_exhaustive()
    }
}

/// It is out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// What was answered, for the timeline: `smtp 250`, `http 200`, `file NAME.eml`.
    pub receipt: String,
}

/// It is not out, or nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Nothing was handed over; another attempt is safe.
    #[error("{reason}")]
    Transient {
        /// What happened, without addresses and texts.
        reason: String,
        /// How long the other side asked us to wait.
        retry_after: Option<Duration>,
    },
    /// It was refused for good; another attempt is useless.
    #[error("{reason}")]
    Rejected {
        /// What happened, without addresses and texts.
        reason: String,
    },
    /// It may or may not have been taken.
    #[error("{reason}")]
    Unknown {
        /// What happened, without addresses and texts.
        reason: String,
    },
    /// The permit ended first, so another attempt is as safe as after `Transient`; nothing failed.
    #[error("the leave to send ended before the message was handed over")]
    Withdrawn,
}

impl SendError {
    /// What it is called where failures are counted.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Transient { .. } => "transient",
            Self::Rejected { .. } => "rejected",
            Self::Unknown { .. } => "unknown",
            Self::Withdrawn => "withdrawn",
        }
    }

    pub(super) fn transient(reason: impl Into<String>) -> Self {
        Self::Transient {
            reason: reason.into(),
            retry_after: None,
        }
    }

    pub(super) fn rejected(reason: impl Into<String>) -> Self {
        Self::Rejected {
            reason: reason.into(),
        }
    }

    pub(super) fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown {
            reason: reason.into(),
        }
    }
}

/// Hands mails over.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Sends a mail while `permit` allows it: it is asked immediately before the mail is handed over, and the mail is
    /// handed over within what is left of it. When it is taken back before that, nothing is.
    async fn send(&self, mail: &OutgoingMail, permit: &Permit) -> Result<Sent, SendError>;

    /// Lets go of what is only kept for the next mail and was kept for long; of all of it when there will be none.
    async fn rest(&self, _for_good: bool) {}
}

#[cfg(test)]
pub(super) mod tests {
    use super::OutgoingMail;

    pub(crate) fn mail() -> OutgoingMail {
        OutgoingMail {
            message_id: "<abc123@acme.example>".into(),
            effect: "effect-1".into(),
            from: "Acme <billing@acme.example>".into(),
            to: "Ada <ada@customer.example>".into(),
            reply_to: Some("help@acme.example".into()),
            subject: "About your payment".into(),
            text: "Hello,\n\n.a line that starts with a dot\n\nKind regards\n".into(),
            html: Some("<p>Hello, it is 3 €</p>".into()),
        }
    }

    #[test]
    fn a_mail_is_not_shown_in_full_by_debug() {
        let shown = format!("{:?}", mail());
        assert!(shown.contains("effect-1"));
        for secret in ["ada", "customer.example", "payment", "dot"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
