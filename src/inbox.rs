//! The inbox: the only way in for deliveries, one writer that commits many of them per transaction.
//!
//! Owns when a delivery counts as accepted: [`Inbox::accept`] answers only after the transaction that holds it was
//! committed. Never looks into an event beyond its envelope, and never works on one: that is for whoever hears the
//! doorbell.

mod admission;
mod backlog;
#[cfg(test)]
pub(crate) mod fake_store;
mod room;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{counter, histogram};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

pub use admission::{Admission, OWN_ACCOUNT, Receiver};
pub use room::{NoRoom, Room, Share};

use self::backlog::Backlog;
use crate::hints::{Bell, Doorbell, Lookup, Recent};
use crate::store::{Accepted, Delivery, Store, StoreError};

/// The most deliveries of one transaction.
const BATCH: usize = 256;
/// The most bytes of one transaction, unless a single delivery has more: they are copied once more on their way into
/// the database.
const BATCH_BYTES: usize = 8 << 20;
/// How many may wait for the writer; more wait for room, and time out where they came from.
const QUEUE: usize = 1024;

/// How long a failed transaction speaks for the next one.
const RECENT: Duration = Duration::from_secs(10);

/// How much the inbox takes on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many events may wait to be applied.
    pub max_backlog: u64,
    /// The shortest pause between two looks at how many wait.
    pub backlog_pause: Duration,
    /// How long a transaction may take before those who wait for it are told that it failed. Less than half of what a
    /// request may take: a delivery may have to wait for the transaction before its own, too.
    pub commit: Duration,
}

/// Why a delivery was not taken. The sender must try again; what was committed too late is then a duplicate.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InboxError {
    /// The database did not commit it.
    #[error("the delivery could not be stored; send it again")]
    Unavailable(#[source] Arc<StoreError>),
    /// The database did not say in time whether it committed it.
    #[error("the database did not commit the delivery in time; send it again")]
    Late,
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
    waiter: Waiter,
}

/// Whom to answer. The delivery's bytes have their place in memory until that is done, also when nobody waits any more.
struct Waiter {
    reply: oneshot::Sender<Result<Accepted, InboxError>>,
    _share: Share,
}

/// The sending side: cheap to clone, one for each connection.
#[derive(Clone)]
pub struct Inbox {
    requests: mpsc::Sender<Request>,
    doorbell: Doorbell,
    recent: Recent,
    backlog: Arc<Backlog>,
    failure: Arc<Failure>,
}

/// The last transaction that failed, until one is committed.
type Failure = Mutex<Option<(Instant, InboxError)>>;

/// The one writer behind an [`Inbox`].
pub struct InboxTask {
    requests: mpsc::Receiver<Request>,
    store: Arc<dyn Store>,
    doorbell: Doorbell,
    backlog: Arc<Backlog>,
    failure: Arc<Failure>,
    commit: Duration,
}

impl Inbox {
    /// An inbox and its writer; `doorbell` is rung after each commit, so that the worker need not wait for its poll.
    pub fn new(store: Arc<dyn Store>, limits: Limits, doorbell: Doorbell) -> (Self, InboxTask) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let backlog = Arc::new(Backlog::new(
            Arc::clone(&store),
            limits.max_backlog,
            limits.backlog_pause,
        ));
        let failure = Arc::<Failure>::default();
        let inbox = Self {
            requests: sender,
            doorbell: doorbell.clone(),
            recent: Recent::default(),
            backlog: Arc::clone(&backlog),
            failure: Arc::clone(&failure),
        };
        let task = InboxTask {
            requests: receiver,
            store,
            doorbell,
            backlog,
            failure,
            commit: limits.commit,
        };
        (inbox, task)
    }

    /// The same inbox, which answers for what is known to be committed without asking the database.
    #[must_use]
    pub fn remembering(self, recent: Recent) -> Self {
        Self { recent, ..self }
    }

    /// Stores a delivery, whose bytes `share` covers; returns only after it was committed, or refused.
    pub async fn accept(&self, delivery: Delivery, share: Share) -> Result<Accepted, InboxError> {
        let looked_up = self
            .recent
            .look_up(&delivery.endpoint, &delivery.event.id, &delivery.body)
            .await;
        let Lookup::Unknown(note) = looked_up else {
            count("remembered", 1);
            return Ok(Accepted::Duplicate);
        };
        let accepted = self.store(delivery, share).await?;
        note.keep();
        Ok(accepted)
    }

    async fn store(&self, delivery: Delivery, share: Share) -> Result<Accepted, InboxError> {
        let (reply, answer) = oneshot::channel();
        let waiter = Waiter {
            reply,
            _share: share,
        };
        if self
            .requests
            .send(Request { delivery, waiter })
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

    /// Why nothing was committed a moment ago. A database may answer and yet take nothing: locked, full, read-only. After
    /// a while it is tried again by whoever comes.
    pub fn recent_failure(&self) -> Option<InboxError> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure
            .as_ref()
            .filter(|(at, _)| at.elapsed() < RECENT)
            .map(|(_, error)| error.clone())
    }

    /// Whether more events wait to be applied than may, as it was counted last.
    pub async fn is_full(&self) -> bool {
        self.backlog.is_full().await
    }
}

impl InboxTask {
    /// Writes until `stop`, then what is still queued, and ends.
    pub async fn run(self, stop: CancellationToken) {
        let backlog = Arc::clone(&self.backlog);
        tokio::select! {
            // It never ends first, so no transaction is ever dropped halfway.
            never = backlog.watch() => match never {},
            () = self.write_until(stop) => {}
        }
    }

    async fn write_until(mut self, stop: CancellationToken) {
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

    async fn write(&self, mut requests: Vec<Request>) {
        // Whoever went away was promised nothing, and will send it again.
        let queued = requests.len();
        requests.retain(|request| !request.waiter.reply.is_closed());
        count("abandoned", queued - requests.len());
        let full = timeout(self.commit, self.backlog.is_full()).await;
        if full.unwrap_or(false) {
            let waiters = requests.into_iter().map(|request| request.waiter);
            refuse(waiters, "backlog", &InboxError::Backlog);
            return;
        }
        let mut parts = parts(requests);
        while let Some(mut part) = parts.pop() {
            let deliveries = &part.deliveries;
            histogram!("billhook_inbox_batch_size").record(size(deliveries.len()));
            let error = match timeout(self.commit, self.store.ingest(deliveries)).await {
                Ok(Ok(results)) => {
                    self.note(None);
                    self.doorbell.ring(Bell::Inbox);
                    for (waiter, accepted) in part.waiters.into_iter().zip(results) {
                        count(word(accepted), 1);
                        answer(waiter, Ok(accepted));
                    }
                    continue;
                }
                Ok(Err(error)) => error,
                Err(_elapsed) => {
                    self.note(Some(InboxError::Late));
                    // The rest would wait as long again, and for the same database.
                    let waiters = parts.drain(..).flat_map(|part| part.waiters);
                    refuse(
                        part.waiters.into_iter().chain(waiters),
                        "late",
                        &InboxError::Late,
                    );
                    return;
                }
            };
            if error.is_final() && part.deliveries.len() > 1 {
                // One of them is what fails, whenever it is tried: its neighbours must not be refused with it. The
                // earlier half goes first, so that the first delivery of an event stays the accepted one.
                let later = part.split_off(part.deliveries.len() / 2);
                parts.push(later);
                parts.push(part);
            } else if matches!(error, StoreError::Backlog(_)) {
                refuse(part.waiters, "backlog", &InboxError::Backlog);
            } else {
                let is_about_the_data = error.is_final();
                let error = InboxError::Unavailable(Arc::new(error));
                if !is_about_the_data {
                    self.note(Some(error.clone()));
                }
                refuse(part.waiters, "unavailable", &error);
            }
        }
    }

    fn note(&self, failure: Option<InboxError>) {
        let mut noted = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        *noted = failure.map(|error| (Instant::now(), error));
    }
}

/// What goes into one transaction.
#[derive(Default)]
struct Part {
    deliveries: Vec<Delivery>,
    waiters: Vec<Waiter>,
}

impl Part {
    fn split_off(&mut self, at: usize) -> Self {
        Self {
            deliveries: self.deliveries.split_off(at),
            waiters: self.waiters.split_off(at),
        }
    }
}

/// Transactions of at most [`BATCH_BYTES`], the first of them last: they are taken from the end.
fn parts(requests: Vec<Request>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut room = 0;
    for Request { delivery, waiter } in requests {
        let length = delivery.body.len();
        if parts.is_empty() || length > room {
            parts.push(Part::default());
            room = BATCH_BYTES;
        }
        room = room.saturating_sub(length);
        if let Some(part) = parts.last_mut() {
            part.deliveries.push(delivery);
            part.waiters.push(waiter);
        }
    }
    parts.reverse();
    parts
}

fn refuse(waiters: impl IntoIterator<Item = Waiter>, result: &'static str, error: &InboxError) {
    for waiter in waiters {
        count(result, 1);
        answer(waiter, Err(error.clone()));
    }
}

fn answer(waiter: Waiter, result: Result<Accepted, InboxError>) {
    if waiter.reply.send(result).is_err() {
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
