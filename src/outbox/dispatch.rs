//! The dispatch loops, one for each channel: they claim what is due as hands become free, and never more than that.
//!
//! Channels share nothing but the store, so a mail server that stalls holds up no chat webhook, and a message that takes
//! long holds up its own hand only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio_util::sync::CancellationToken;

use super::Way;
use super::way::Letterhead;
use crate::clock::Clock;
use crate::hints::{Bell, Doorbell};
use crate::retry::RetryPolicy;
use crate::store::{Channel, ClaimedMessage, Store, StoreError};

/// How the loops work.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long a message is ours without a sign of life.
    pub lease: Duration,
    /// The pause when nothing is due and nobody rings.
    pub poll: Duration,
    /// The pauses between attempts. Their number has no bound but the time a message has.
    pub retry: RetryPolicy,
}

/// Messages of one channel that are sent side by side.
const HANDS: usize = 8;

/// The longest pause after a look that failed.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// The pause between two looks for what was left for too long: idle connections, and messages that have expired.
const TIDY: Duration = Duration::from_secs(10);

/// Messages that expire in one transaction. While it lasts, on SQLite nobody else writes.
const EXPIRED_AT_ONCE: u32 = 500;

/// Sends what is due.
pub struct Dispatcher {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) letterhead: Letterhead,
    pub(super) pace: Pace,
    ways: BTreeMap<Channel, Way>,
    doorbell: Doorbell,
    /// Messages whose fate is known here, and whose lease may be over because the database is away.
    pub(super) in_limbo: AtomicUsize,
}

/// What tells the loops to end.
pub(super) struct Stop {
    /// No more is to be claimed.
    pub(super) soft: CancellationToken,
    /// What has not been handed over is to be given back.
    pub(super) cut: CancellationToken,
    /// What became of a message is to be left to its lease, when the database does not take it.
    pub(super) leave: CancellationToken,
}

impl Dispatcher {
    /// A dispatcher for the channels that have a way; messages of others stay where they are.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        ways: BTreeMap<Channel, Way>,
        (from, reply_to): (String, Option<String>),
        pace: Pace,
        doorbell: Doorbell,
    ) -> Self {
        Self {
            store,
            clock,
            letterhead: Letterhead { from, reply_to },
            pace,
            ways,
            doorbell,
            in_limbo: AtomicUsize::new(0),
        }
    }

    /// Sends until `soft`, then finishes what it has begun; at `cut` it gives back what has not been handed over, and
    /// waits only for the answers to what has.
    pub async fn work(&self, soft: CancellationToken, cut: CancellationToken) {
        let leave = cut.clone();
        let stop = Stop { soft, cut, leave };
        let loops = self
            .ways
            .iter()
            .map(|(channel, way)| self.work_channel(channel, way, &stop));
        tokio::select! {
            _ended = join_all(loops) => {}
            () = self.tidy() => {}
            () = self.expire_again_and_again() => {}
        }
        self.rest(true).await;
    }

    async fn tidy(&self) {
        loop {
            tokio::time::sleep(TIDY).await;
            self.rest(false).await;
        }
    }

    async fn expire_again_and_again(&self) {
        loop {
            if let Err(error) = self.expire().await {
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, "what has expired could not be marked; trying again");
            }
            tokio::time::sleep(TIDY).await;
        }
    }

    /// Ends what waited for too long, as much of it as there is, in transactions that are short.
    async fn expire(&self) -> Result<(), StoreError> {
        while self.store.expire_messages(EXPIRED_AT_ONCE).await? == u64::from(EXPIRED_AT_ONCE) {}
        Ok(())
    }

    async fn rest(&self, for_good: bool) {
        let mailers = self.ways.values().filter_map(Way::mailer);
        join_all(mailers.map(|mailer| mailer.rest(for_good))).await;
    }

    async fn work_channel(&self, channel: &Channel, way: &Way, stop: &Stop) {
        let mut bell = self.doorbell.listen(Bell::Outbox);
        let mut hands = FuturesUnordered::new();
        let mut claim = None;
        // Whether more may be due than was claimed.
        let mut more = true;
        let mut pause = self.pace.poll;
        loop {
            let free = HANDS.saturating_sub(hands.len());
            let may_claim = !stop.soft.is_cancelled() && self.in_limbo.load(Ordering::SeqCst) == 0;
            if more && free > 0 && claim.is_none() && may_claim {
                more = false;
                claim = Some((free, self.claim(channel, free)));
            }
            if stop.soft.is_cancelled() && claim.is_none() && hands.is_empty() {
                return;
            }
            // Hands go on while more is claimed: one of them may hold the connection that the claim waits for. A claim is
            // not dropped halfway, or its messages would stay leased to nobody; unless a stop cannot wait any longer for
            // a database that does not answer.
            tokio::select! {
                Some((asked, found)) = async { let (asked, claim) = claim.as_mut()?; Some((*asked, claim.await)) } => {
                    claim = None;
                    match found {
                        Ok(messages) => {
                            pause = self.pace.poll;
                            more |= messages.len() == asked;
                            hands.extend(messages.into_iter().map(|message| self.handle(way, message, stop)));
                        }
                        Err(error) => {
                            let error: &dyn std::error::Error = &error;
                            tracing::error!(channel = channel.as_str(), error, "the outbox cannot be read; trying again");
                            // What rang before was not looked for, and nobody rings again for it.
                            pause = self.pace.poll.min(AFTER_ERROR);
                        }
                    }
                }
                Some(()) = hands.next() => {}
                () = bell.rung() => more = true,
                () = tokio::time::sleep(pause) => more = true,
                () = stop.soft.cancelled(), if !stop.soft.is_cancelled() => {}
                () = stop.cut.cancelled(), if claim.is_some() => claim = None,
            }
        }
    }

    /// Ends what has expired and tries once what is due now, on all channels; says how many messages were claimed.
    pub async fn send_due(&self) -> Result<u64, StoreError> {
        self.expire().await?;
        // Nothing is claimed a second time, and no database is waited for; but permits hold.
        let stop = Stop {
            soft: CancellationToken::new(),
            cut: CancellationToken::new(),
            leave: CancellationToken::new(),
        };
        stop.soft.cancel();
        stop.leave.cancel();
        let stop = &stop;
        let channels = self.ways.iter().map(|(channel, way)| async move {
            let messages = self.claim(channel, HANDS).await?;
            let count = messages.len() as u64;
            join_all(
                messages
                    .into_iter()
                    .map(|message| self.handle(way, message, stop)),
            )
            .await;
            Ok(count)
        });
        let counts: Result<Vec<u64>, StoreError> = join_all(channels).await.into_iter().collect();
        Ok(counts?.into_iter().sum())
    }

    fn claim<'a>(
        &'a self,
        channel: &'a Channel,
        free: usize,
    ) -> impl Future<Output = Result<Vec<ClaimedMessage>, StoreError>> + Unpin + 'a {
        let limit = u32::try_from(free).unwrap_or(u32::MAX);
        self.store.claim_messages(*channel, limit, self.pace.lease)
    }
}
