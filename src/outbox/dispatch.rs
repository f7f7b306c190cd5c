//! The dispatch loop: claims due messages, asks once more whether they may go, sends, and commits what became of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Mailer, Notifier, OutgoingMail, SendError};
use crate::clock::{Clock, Timestamp};
use crate::store::{Channel, ClaimedMessage, Clearance, SendOutcome, Store, StoreError};

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
}

impl Way {
    /// Whether the same message may go twice: internal notices may, a customer's mail may not.
    fn may_repeat(&self) -> bool {
        match self {
            Self::Mail { repeatable, .. } => *repeatable,
            Self::InternalMail { .. } | Self::Chat(_) => true,
        }
    }
}

/// How the loop works.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long a claimed message is ours.
    pub lease: Duration,
    /// How long a mail to a customer is ours once it is being sent: longer than the slowest answer to a dot.
    pub sending: Duration,
    /// The pause when nothing is due and nobody rings.
    pub poll: Duration,
    /// The first pause after a failure; it doubles.
    pub base: Duration,
    /// The longest pause.
    pub max: Duration,
}

/// Messages claimed at once.
const BATCH: u32 = 4;
/// Messages sent side by side.
const AT_ONCE: usize = 4;

/// Sends what is due.
pub struct Dispatcher {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ways: BTreeMap<Channel, Way>,
    from: String,
    reply_to: Option<String>,
    pace: Pace,
    bell: Arc<Notify>,
}

impl Dispatcher {
    /// A dispatcher for the channels that have a way; messages of others stay where they are.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        ways: BTreeMap<Channel, Way>,
        sender: (String, Option<String>),
        pace: Pace,
        bell: Arc<Notify>,
    ) -> Self {
        let (from, reply_to) = sender;
        Self {
            store,
            clock,
            ways,
            from,
            reply_to,
            pace,
            bell,
        }
    }

    /// Sends until `stop`; a message on its way is waited for.
    pub async fn work(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let mut rung = std::pin::pin!(self.bell.notified());
            rung.as_mut().enable();
            match self.send_due().await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(error, "the outbox cannot be read; trying again");
                }
            }
            tokio::select! {
                () = rung => {}
                () = tokio::time::sleep(self.pace.poll) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Sends what is due now; says how many messages were claimed.
    pub async fn send_due(&self) -> Result<u64, StoreError> {
        let channels: Vec<Channel> = self.ways.keys().copied().collect();
        let claimed = self
            .store
            .claim_messages(&channels, BATCH, self.pace.lease)
            .await?;
        let count = claimed.len() as u64;
        stream::iter(claimed)
            .for_each_concurrent(AT_ONCE, |message| async move {
                match self.handle(&message).await {
                    Ok(()) | Err(StoreError::Fenced) => {}
                    Err(error) => {
                        let error: &dyn std::error::Error = &error;
                        tracing::error!(message.id = %message.id, error, "the message's state could not be stored");
                    }
                }
            })
            .await;
        Ok(count)
    }

    async fn handle(&self, message: &ClaimedMessage) -> Result<(), StoreError> {
        let Some(way) = self.ways.get(&message.channel) else {
            return Ok(());
        };
        if message.interrupted && !way.may_repeat() {
            let reason = "interrupted while sending: the mail server may have taken it".to_owned();
            return self.settle(message, SendOutcome::Unknown { reason }).await;
        }
        let lease = if way.may_repeat() {
            self.pace.lease
        } else {
            self.pace.sending
        };
        if self.store.begin_sending(message, lease).await? == Clearance::Stop {
            return Ok(());
        }
        let outcome = match self.send(way, message).await {
            Ok(()) => SendOutcome::Sent,
            Err(SendError::Transient {
                reason,
                retry_after,
            }) => SendOutcome::Retry {
                at: self.next(message, retry_after),
                reason,
            },
            Err(SendError::Rejected { reason }) => SendOutcome::Failed { reason },
            Err(SendError::Unknown { reason }) if way.may_repeat() => SendOutcome::Retry {
                at: self.next(message, None),
                reason,
            },
            Err(SendError::Unknown { reason }) => SendOutcome::Unknown { reason },
        };
        self.settle(message, outcome).await
    }

    async fn settle(
        &self,
        message: &ClaimedMessage,
        outcome: SendOutcome,
    ) -> Result<(), StoreError> {
        let word = match &outcome {
            SendOutcome::Sent => "sent",
            SendOutcome::Retry { .. } => "retry",
            SendOutcome::Failed { .. } => "failed",
            SendOutcome::Unknown { .. } => "unknown",
        };
        metrics::counter!("billhook_messages_total", "channel" => message.channel.as_str(), "outcome" => word).increment(1);
        if word != "sent" {
            tracing::warn!(message.id = %message.id, outcome = word, attempt = message.attempts + 1, "a message did not go out");
        }
        self.store.settle_message(message, &outcome).await
    }

    fn next(&self, message: &ClaimedMessage, retry_after: Option<Duration>) -> Timestamp {
        let doubled = self
            .pace
            .base
            .saturating_mul(1_u32.checked_shl(message.attempts).unwrap_or(u32::MAX));
        self.clock
            .now()
            .plus(retry_after.unwrap_or(doubled).min(self.pace.max))
    }

    async fn send(&self, way: &Way, message: &ClaimedMessage) -> Result<(), SendError> {
        let (mailer, to) = match way {
            Way::Chat(webhook) => {
                let body = message
                    .notice
                    .clone()
                    .unwrap_or_else(|| serde_json::json!({ "text": message.text }));
                return webhook.notify(&message.effect_key, &body).await.map(drop);
            }
            Way::Mail { mailer, .. } => {
                let Some(to) = message.recipient.clone() else {
                    return Err(SendError::Rejected {
                        reason: "the message has no recipient".to_owned(),
                    });
                };
                (mailer, to)
            }
            Way::InternalMail { mailer, to } => (mailer, to.clone()),
        };
        let mail = OutgoingMail {
            message_id: message.message_id.clone(),
            effect: message.effect_key.clone(),
            from: self.from.clone(),
            to,
            reply_to: self.reply_to.clone(),
            subject: message.subject.clone(),
            text: message.text.clone(),
            html: message.html.clone(),
        };
        mailer.send(&mail).await.map(drop)
    }
}
