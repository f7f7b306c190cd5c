//! The inbox: the only way in for deliveries, one writer that commits many of them per transaction.
//!
//! Owns when a delivery counts as accepted: [`Inbox::accept`] answers only after the transaction that holds it was
//! committed. Never looks into an event beyond its envelope, and never works on one: that is for whoever hears the
//! doorbell.

mod admission;
#[cfg(test)]
pub(crate) mod fake_store;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, histogram};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use admission::Admission;

use crate::clock::{Clock, Timestamp};
use crate::hints::{Bell, Doorbell, Lookup, Recent};
use crate::store::{Accepted, Delivery, Store, StoreError};

/// The most deliveries of one transaction.
const BATCH: usize = 256;
/// How many may wait for the writer; more wait for room, and time out where they came from.
const QUEUE: usize = 1024;
/// Counting the backlog costs a query, so its answer is good for a while.
const BACKLOG_CHECK: Duration = Duration::from_secs(1);

/// Why a delivery was not taken. Nothing of it was stored, so the sender must try again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InboxError {
    /// The database did not commit it.
    #[error("the delivery could not be stored; send it again")]
    Unavailable(#[source] Arc<StoreError>),
    /// More events wait to be applied than the configuration allows.
    #[error("too many events wait to be applied; send the delivery again later")]
    Backlog,
    /// The process is about to end.
    #[error("the inbox is closed; send the delivery again")]
    Closed,
}

/// A delivery, and who waits for it to be stored.
struct Request {
    delivery: Delivery,
    reply: Reply,
}

type Reply = oneshot::Sender<Result<Accepted, InboxError>>;

/// The sending side: cheap to clone, one for each connection.
#[derive(Clone)]
pub struct Inbox {
    requests: mpsc::Sender<Request>,
    doorbell: Doorbell,
    recent: Recent,
    max_backlog: u64,
}

/// The one writer behind an [`Inbox`].
pub struct InboxTask {
    requests: mpsc::Receiver<Request>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    doorbell: Doorbell,
    max_backlog: u64,
    /// When the backlog was counted last, and whether it was over its bound.
    counted: Option<(Timestamp, bool)>,
}

impl Inbox {
    /// An inbox and its writer; `doorbell` is rung after each commit, so that the worker need not wait for its poll.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        max_backlog: u64,
        doorbell: Doorbell,
    ) -> (Self, InboxTask) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let inbox = Self {
            requests: sender,
            doorbell: doorbell.clone(),
            recent: Recent::default(),
            max_backlog,
        };
        let task = InboxTask {
            requests: receiver,
            store,
            clock,
            doorbell,
            max_backlog,
            counted: None,
        };
        (inbox, task)
    }

    /// The same inbox, which answers for what is known to be committed without asking the database.
    #[must_use]
    pub fn remembering(self, recent: Recent) -> Self {
        Self { recent, ..self }
    }

    /// Stores a delivery; returns only after it was committed, or refused.
    pub async fn accept(&self, delivery: Delivery) -> Result<Accepted, InboxError> {
        let looked_up = self
            .recent
            .look_up(&delivery.event.id, &delivery.body)
            .await;
        let Lookup::Unknown(note) = looked_up else {
            count("remembered", 1);
            return Ok(Accepted::Duplicate);
        };
        let accepted = self.store(delivery).await?;
        note.keep();
        Ok(accepted)
    }

    async fn store(&self, delivery: Delivery) -> Result<Accepted, InboxError> {
        let (reply, answer) = oneshot::channel();
        if self
            .requests
            .send(Request { delivery, reply })
            .await
            .is_err()
        {
            return Err(InboxError::Closed);
        }
        // Without an answer nobody can say that it was stored, so the sender must try again.
        answer.await.unwrap_or(Err(InboxError::Closed))
    }

    /// Wakes the worker: something became due without a delivery.
    pub fn ring(&self) {
        self.doorbell.ring(Bell::Inbox);
    }

    /// How many events may wait to be applied.
    pub fn max_backlog(&self) -> u64 {
        self.max_backlog
    }
}

impl InboxTask {
    /// Writes until `stop`, then what is still queued, and ends.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut requests = Vec::with_capacity(BATCH);
        loop {
            // Writing stands outside of the `select!`: a stop must not drop a transaction halfway.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                taken = self.requests.recv_many(&mut requests, BATCH) => {
                    if taken == 0 {
                        return;
                    }
                }
            }
            self.write(std::mem::take(&mut requests)).await;
        }
        self.requests.close();
        while self.requests.recv_many(&mut requests, BATCH).await > 0 {
            self.write(std::mem::take(&mut requests)).await;
        }
    }

    async fn write(&mut self, requests: Vec<Request>) {
        let (deliveries, replies): (Vec<Delivery>, Vec<Reply>) = requests
            .into_iter()
            .map(|request| (request.delivery, request.reply))
            .unzip();
        histogram!("billhook_inbox_batch_size").record(size(deliveries.len()));
        if self.is_full().await {
            refuse(replies, "backlog", &InboxError::Backlog);
            return;
        }
        let mut parts = vec![(deliveries, replies)];
        while let Some((mut deliveries, mut replies)) = parts.pop() {
            let error = match self.store.ingest(&deliveries).await {
                Ok(results) => {
                    self.doorbell.ring(Bell::Inbox);
                    for (reply, accepted) in replies.into_iter().zip(results) {
                        count(word(accepted), 1);
                        answer(reply, Ok(accepted));
                    }
                    continue;
                }
                Err(error) => error,
            };
            if error.is_final() && deliveries.len() > 1 {
                // One of them is what fails, whenever it is tried: its neighbours must not be refused with it. The
                // earlier half goes first, so that the first delivery of an event stays the accepted one.
                let middle = deliveries.len() / 2;
                let later = (deliveries.split_off(middle), replies.split_off(middle));
                parts.push(later);
                parts.push((deliveries, replies));
            } else if matches!(error, StoreError::Backlog(_)) {
                refuse(replies, "backlog", &InboxError::Backlog);
            } else {
                refuse(
                    replies,
                    "unavailable",
                    &InboxError::Unavailable(Arc::new(error)),
                );
            }
        }
    }

    async fn is_full(&mut self) -> bool {
        let now = self.clock.now();
        let (at, full) = self.counted.unwrap_or_default();
        // A clock that was set back must not keep an old answer alive.
        let fresh = self.counted.is_some() && now >= at && now.since(at) < BACKLOG_CHECK;
        if fresh {
            return full;
        }
        let full = match self.store.backlog(self.max_backlog.saturating_add(1)).await {
            Ok(backlog) => backlog > self.max_backlog,
            Err(error) => {
                // The bound only protects the disk; whether the database takes anything in is its own word to say.
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the backlog cannot be counted"
                );
                full
            }
        };
        self.counted = Some((now, full));
        full
    }
}

fn refuse(replies: Vec<Reply>, result: &'static str, error: &InboxError) {
    count(result, replies.len());
    for reply in replies {
        answer(reply, Err(error.clone()));
    }
}

fn answer(reply: Reply, result: Result<Accepted, InboxError>) {
    if reply.send(result).is_err() {
        tracing::debug!("nobody waits for this delivery any more; the sender will send it again");
    }
}

fn word(accepted: Accepted) -> &'static str {
    match accepted {
        Accepted::Accepted => "accepted",
        Accepted::Duplicate => "duplicate",
    }
}

fn count(result: &'static str, deliveries: usize) {
    counter!("billhook_inbox_deliveries_total", "result" => result)
        .increment(u64::try_from(deliveries).unwrap_or(u64::MAX));
}

fn size(deliveries: usize) -> f64 {
    u32::try_from(deliveries).map_or(f64::from(u32::MAX), f64::from)
}
