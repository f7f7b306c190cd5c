//! How a channel's messages leave: by mail to a customer, by mail to the business's own people, to a chat webhook, or to
//! the business's own application.

use std::sync::Arc;

use super::{Mailer, Notifier, OutgoingMail, Permit, SendError, Telling};
use crate::store::ClaimedMessage;

/// How a channel's messages leave.
pub enum Way {
    /// To the address in the message, by SMTP or into a folder.
    Mail {
        /// The sender of mails.
        mailer: Arc<dyn Mailer>,
        /// A repeat overwrites itself (a folder), so an interrupted message may simply go again.
        repeatable: bool,
    },
    /// To one address of the business.
    InternalMail {
        /// The sender of mails.
        mailer: Arc<dyn Mailer>,
        /// The address.
        to: String,
    },
    /// To a chat webhook.
    Chat(Arc<dyn Notifier>),
    /// To the business's own application.
    App(Telling),
}

/// Who mails come from.
#[derive(Debug, Clone)]
pub(super) struct Letterhead {
    pub(super) from: String,
    pub(super) reply_to: Option<String>,
}

impl Way {
    /// Whether the same message may go twice: a customer's mail may not, and all else may.
    pub(super) fn may_repeat(&self) -> bool {
        match self {
            Self::Mail { repeatable, .. } => *repeatable,
            Self::InternalMail { .. } | Self::Chat(_) | Self::App(_) => true,
        }
    }

    /// What sends its mails, where it sends mails.
    pub(super) fn mailer(&self) -> Option<&dyn Mailer> {
        match self {
            Self::Mail { mailer, .. } | Self::InternalMail { mailer, .. } => Some(mailer.as_ref()),
            Self::Chat(_) | Self::App(_) => None,
        }
    }

    /// Tries once to send a message.
    pub(super) async fn send(
        &self,
        letterhead: &Letterhead,
        message: &ClaimedMessage,
        permit: &Permit,
    ) -> Result<(), SendError> {
        let (mailer, to) = match self {
            Self::App(telling) => return telling.send(message, permit).await,
            Self::Chat(webhook) => return post(webhook.as_ref(), message, permit).await,
            Self::Mail { mailer, .. } => (mailer, message.recipient.clone()),
            Self::InternalMail { mailer, to } => (mailer, Some(to.clone())),
        };
        let Some(to) = to else {
            return Err(SendError::Rejected {
                reason: "the message has no recipient".to_owned(),
            });
        };
        let mail = OutgoingMail {
            message_id: message.message_id.clone(),
            effect: message.effect_key.clone(),
            from: letterhead.from.clone(),
            to,
            reply_to: letterhead.reply_to.clone(),
            subject: message.subject.clone(),
            text: message.text.clone(),
            html: message.html.clone(),
        };
        mailer.send(&mail, permit).await.map(drop)
    }
}

/// A notice may arrive twice, so a request on its way can be dropped at any time.
async fn post(
    webhook: &dyn Notifier,
    message: &ClaimedMessage,
    permit: &Permit,
) -> Result<(), SendError> {
    let body = message
        .notice
        .clone()
        .unwrap_or_else(|| serde_json::json!({ "text": message.text }));
    tokio::select! {
        biased;
        () = permit.withdrawn() => Err(SendError::Withdrawn),
        sent = webhook.notify(&message.effect_key, &body) => sent.map(drop),
    }
}
