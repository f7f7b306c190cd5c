//! One attempt: a claimed message is asked about once more, sent under its lease, and what became of it is committed.
//!
//! The order is the point. `sending` is committed before anything leaves, so that whoever finds a message in that state
//! knows that it may be out. What is known afterwards is committed under the epoch of the claim, so that whoever was
//! taken for dead writes nothing over what its heir wrote.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::dispatch::{Dispatcher, Stop};
use super::{Permit, SendError, Way};
use crate::clock::Timestamp;
use crate::retry::jitter;
use crate::store::{ClaimedMessage, Clearance, SendOutcome, StoreError};
use crate::telemetry::spans;

/// While one is held, this process claims nothing: it could only take over what it knows the fate of.
struct Limbo<'a>(&'a AtomicUsize);

impl<'a> Limbo<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Limbo<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Dispatcher {
    /// Handles a message; a panic on the way ends this message and nothing else.
    pub(super) async fn handle(&self, way: &Way, mut message: ClaimedMessage, stop: &Stop) {
        let handled = AssertUnwindSafe(self.attempt(way, &mut message, stop));
        if handled.catch_unwind().await.is_err() {
            // Nothing has left: what could crash while it left is caught there. Its lease ends by itself.
            tracing::error!(message.id = %message.id, "handling a message crashed");
        }
    }

    async fn attempt(&self, way: &Way, message: &mut ClaimedMessage, stop: &Stop) {
        if message.interrupted && !way.may_repeat() {
            let reason = "interrupted while sending: the mail server may have taken it".to_owned();
            return self
                .settle(message, SendOutcome::Unknown { reason }, stop)
                .await;
        }
        let asked = Instant::now();
        let sent = match self.store.begin_sending(message, self.pace.lease).await {
            Ok(Clearance::Go(about)) => {
                message.about = about;
                let permit = Permit::of_lease(asked, self.pace.lease, stop.cut.child_token());
                let span = spans::send(&message.id, message.channel.as_str(), &message.effect_key);
                let sent = self.send(way, message, &permit);
                let sent = sent.instrument(span.clone()).await;
                match &sent {
                    Ok(()) => {
                        span.record("billhook.effect.status", "sent");
                    }
                    // Given back in time: nothing failed.
                    Err(SendError::Withdrawn) => {}
                    Err(error) => spans::failed(&span, error.word()),
                }
                sent
            }
            Ok(Clearance::Stop) | Err(StoreError::Fenced) => return,
            // Whether or not `sending` was committed, nothing has left: said now, it will not pass for `unknown`.
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(message.id = %message.id, error, "the store does not say whether a message may go");
                Err(SendError::transient("the database did not answer"))
            }
        };
        let outcome = self.outcome(way, message, sent);
        self.settle(message, outcome, stop).await;
    }

    /// Sends, and keeps the message's lease for as long as that takes.
    async fn send(
        &self,
        way: &Way,
        message: &ClaimedMessage,
        permit: &Permit,
    ) -> Result<(), SendError> {
        let sending = AssertUnwindSafe(way.send(&self.letterhead, message, permit));
        tokio::select! {
            biased;
            sent = sending.catch_unwind() => sent.unwrap_or_else(|_panic| {
                Err(SendError::unknown("sending crashed: the message may have been taken"))
            }),
            never = self.keep(message, permit) => match never {},
        }
    }

    /// Renews a message's lease again and again. When another worker has the message, the permit is taken back: before
    /// the message is handed over that ends the attempt, afterwards the answer is still waited for.
    async fn keep(&self, message: &ClaimedMessage, permit: &Permit) -> Infallible {
        let lease = self.pace.lease;
        loop {
            tokio::time::sleep(lease / 3).await;
            let asked = Instant::now();
            match self.store.renew_message(message, lease).await {
                Ok(()) => permit.renewed(asked, lease),
                Err(StoreError::Fenced) => {
                    permit.withdraw();
                    return std::future::pending().await;
                }
                // The lease may still hold; when it does not, the permit has ended by itself.
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(message.id = %message.id, error, "the lease of a message could not be renewed");
                }
            }
        }
    }

    fn outcome(
        &self,
        way: &Way,
        message: &ClaimedMessage,
        sent: Result<(), SendError>,
    ) -> SendOutcome {
        match sent {
            Ok(()) => SendOutcome::Sent,
            Err(SendError::Transient {
                reason,
                retry_after,
            }) => SendOutcome::Retry {
                at: self.again(message, retry_after),
                reason,
            },
            Err(SendError::Withdrawn) => SendOutcome::Retry {
                at: self.clock.now(),
                reason: "given back before it was handed over".to_owned(),
            },
            Err(SendError::Rejected { reason }) => SendOutcome::Failed { reason },
            Err(SendError::Unknown { reason }) if way.may_repeat() => SendOutcome::Retry {
                at: self.again(message, None),
                reason,
            },
            Err(SendError::Unknown { reason }) => SendOutcome::Unknown { reason },
        }
    }

    /// When to try again: as the other side asked, else after a pause that grows.
    fn again(&self, message: &ClaimedMessage, asked: Option<Duration>) -> Timestamp {
        let retry = &self.pace.retry;
        let pause = asked.map_or_else(
            || jitter(retry.pause(message.attempts.saturating_add(1))),
            |asked| asked.min(retry.max),
        );
        self.clock.now().plus(pause)
    }

    /// Commits what became of a message. A database that is away is waited for: what is known must not become `unknown`
    /// because nobody could write it down. Meanwhile the message's lease is renewed, and while not even that is possible,
    /// nothing is claimed.
    async fn settle(&self, message: &ClaimedMessage, outcome: SendOutcome, stop: &Stop) {
        let (word, reason) = match &outcome {
            SendOutcome::Sent => ("sent", None),
            SendOutcome::Retry { reason, .. } => ("retry", Some(reason)),
            SendOutcome::Failed { reason } => ("failed", Some(reason)),
            SendOutcome::Unknown { reason } => ("unknown", Some(reason)),
        };
        metrics::counter!("billhook_messages_total", "channel" => message.channel.as_str(), "outcome" => word).increment(1);
        if let Some(reason) = reason {
            // In our words, without addresses and texts.
            tracing::warn!(message.id = %message.id, outcome = word, attempt = message.attempts + 1, %reason, "a message did not go out");
        }
        let mut limbo = None;
        loop {
            match self.store.settle_message(message, &outcome).await {
                Ok(()) => return,
                Err(StoreError::Fenced) => {
                    tracing::warn!(message.id = %message.id, outcome = word, "the message was taken over, or has ended: what became of it here is not stored");
                    return;
                }
                Err(error) => {
                    limbo.get_or_insert_with(|| Limbo::enter(&self.in_limbo));
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(message.id = %message.id, outcome = word, error, "what became of a message could not be stored");
                }
            }
            let held = async {
                match self.store.renew_message(message, self.pace.lease).await {
                    // Ours for another lease, or another's.
                    Ok(()) | Err(StoreError::Fenced) => limbo = None,
                    Err(_away) => {}
                }
                tokio::time::sleep(self.pace.poll).await;
            };
            tokio::select! {
                biased;
                // A stop that gives back does not wait for a database; the lease ends by itself.
                () = stop.leave.cancelled() => return,
                () = held => {}
            }
        }
    }
}
