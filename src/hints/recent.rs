//! Deliveries that were committed a short while ago, so that a repetition is answered without a write.
//!
//! Stripe repeats a delivery whose answer came late, byte for byte. Only such a repetition is recognized: the key is
//! made of the endpoint, the event's id and the whole body (at another endpoint the same bytes may be for another account,
//! or wanted where they were not). It is noted after the commit and never before, and under the name of
//! the database that has it: what is remembered here must be true for as long as it is remembered.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::redis::{Redis, expires};

/// Notes that may wait to be written; more are dropped, which costs a write of a later repetition.
const QUEUE: usize = 4096;
/// Notes written at once.
const BATCH: usize = 256;

type Key = [u8; 32];

/// The deliveries that this database committed a short while ago; without Redis none is known.
#[derive(Clone, Default)]
pub struct Recent(Option<Memory>);

#[derive(Clone)]
struct Memory {
    redis: Arc<Redis>,
    notes: mpsc::Sender<Key>,
}

/// What is remembered of a delivery.
pub enum Lookup {
    /// These very bytes are committed.
    Committed,
    /// Nothing. The note is to be kept once they are.
    Unknown(Note),
}

/// Says that a delivery was committed, as soon as it is.
#[must_use]
pub struct Note(Option<(mpsc::Sender<Key>, Key)>);

impl Note {
    /// Keeps it, in the background. Call it after the commit: from then on a repetition is answered unseen.
    pub fn keep(self) {
        if let Some((notes, key)) = self.0
            && notes.try_send(key).is_err()
        {
            tracing::debug!("too many notes wait; this delivery is not remembered");
        }
    }
}

/// Writes down what is to be remembered.
pub(super) struct Writer {
    redis: Arc<Redis>,
    notes: mpsc::Receiver<Key>,
    remember: Duration,
}

impl Recent {
    /// The memory and its writer.
    pub(super) fn new(redis: Arc<Redis>, remember: Duration) -> (Self, Writer) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let writer = Writer {
            redis: Arc::clone(&redis),
            notes: receiver,
            remember,
        };
        let memory = Memory {
            redis,
            notes: sender,
        };
        // Nothing is noted that would be forgotten at once.
        let recent = Self((!remember.is_zero()).then_some(memory));
        (recent, writer)
    }

    /// Looks a delivery up; costs at most one short time limit.
    pub async fn look_up(&self, endpoint: &str, event: &str, body: &[u8]) -> Lookup {
        let Some(memory) = &self.0 else {
            return Lookup::Unknown(Note(None));
        };
        let key = key(endpoint, event, body);
        let mut question = redis::pipe();
        question.exists(memory.redis.key("seen", &hex::encode(key)));
        match memory.redis.ask(&question).await {
            Some((true,)) => Lookup::Committed,
            Some((false,)) | None => Lookup::Unknown(Note(Some((memory.notes.clone(), key)))),
        }
    }
}

impl Writer {
    /// Writes until `stop`; what is not written then is not remembered.
    pub(super) async fn run(mut self, stop: &CancellationToken) {
        let mut keys = Vec::with_capacity(BATCH);
        loop {
            let taken = stop.run_until_cancelled(self.notes.recv_many(&mut keys, BATCH));
            // No more senders: nothing was to be remembered in the first place, or nobody is left.
            if taken.await.unwrap_or(0) == 0 {
                return;
            }
            let mut writes = redis::pipe();
            for key in keys.drain(..) {
                let key = self.redis.key("seen", &hex::encode(key));
                writes.set_options(key, 1, expires(self.remember)).ignore();
            }
            // Unwritten is unremembered; the connection has said why.
            let _written: Option<()> = self.redis.ask_in_background(&writes).await;
        }
    }
}

fn key(endpoint: &str, event: &str, body: &[u8]) -> Key {
    // Hashes have one length, so no name can run into an id, and no id into the body.
    Sha256::new()
        .chain_update(Sha256::digest(endpoint))
        .chain_update(event)
        .chain_update(Sha256::digest(body))
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn a_key_is_made_of_endpoint_id_and_every_byte() {
        let one = key("eu", "evt_1", b"{\"id\":\"evt_1\"}");
        assert_eq!(one, key("eu", "evt_1", b"{\"id\":\"evt_1\"}"));
        assert_ne!(one, key("us", "evt_1", b"{\"id\":\"evt_1\"}"));
        assert_ne!(one, key("eu", "evt_2", b"{\"id\":\"evt_1\"}"));
        assert_ne!(one, key("eu", "evt_1", b"{\"id\":\"evt_1\"} "));
        assert_ne!(key("a", "b", b""), key("", "ab", b""));
    }
}
