//! Carries rings from process to process, over whatever line there is.
//!
//! Owns what happens when the line breaks: rings wait and are carried later, and whoever could not listen for a while
//! rings everything once, because it cannot know what it missed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::doorbell::{Bells, Doorbell};
use crate::retry::jitter;
use crate::store::Notices;

/// Between two rings: what is rung meanwhile is one ring. Under load nobody sleeps, so nobody needs more.
const REST: Duration = Duration::from_millis(20);
/// After a line broke.
const PAUSE: Duration = Duration::from_secs(1);

/// Why a line does not work, in words for the log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(pub(super) String);

/// What a line brings.
pub(super) enum Heard {
    /// The line stands now: whatever was rung before was missed.
    Standing,
    /// Somebody rang.
    Ring(String),
}

/// A way from process to process.
#[async_trait]
pub(super) trait Line: Send + Sync {
    /// Sends to everybody who listens now.
    async fn send(&self, text: &str) -> Result<(), Broken>;
    /// Listens until the line breaks, and says why.
    async fn listen(&self, hear: &(dyn Fn(Heard) + Send + Sync)) -> Broken;
}

#[async_trait]
impl Line for Notices {
    async fn send(&self, text: &str) -> Result<(), Broken> {
        Self::send(self, text).await.map_err(|error| broken(&error))
    }

    async fn listen(&self, hear: &(dyn Fn(Heard) + Send + Sync)) -> Broken {
        let mut line = match Self::listen(self).await {
            Ok(line) => line,
            Err(error) => return broken(&error),
        };
        hear(Heard::Standing);
        loop {
            match line.next().await {
                Ok(text) => hear(Heard::Ring(text)),
                Err(error) => return broken(&error),
            }
        }
    }
}

fn broken(error: &dyn std::error::Error) -> Broken {
    let cause = error.source().map(|cause| format!(": {cause}"));
    Broken(format!("{error}{}", cause.unwrap_or_default()))
}

/// One process's end of the line.
pub(super) struct Relay {
    pub(super) doorbell: Doorbell,
    pub(super) line: Arc<dyn Line>,
    /// Who rings: its own rings are not heard a second time.
    pub(super) ringer: String,
}

impl Relay {
    /// Carries what is rung here to the others, until `stop`.
    pub(super) async fn carry(&self, stop: &CancellationToken) {
        while let Some(bells) = stop.run_until_cancelled(self.doorbell.take_outward()).await {
            let sent = self.line.send(&bells.write(&self.ringer)).await;
            let rest = match sent {
                Ok(()) => {
                    count("rung");
                    REST
                }
                Err(error) => {
                    count("failed");
                    tracing::debug!(%error, "a ring could not be carried; it is tried again");
                    self.doorbell.ring_away(bells);
                    jitter(PAUSE)
                }
            };
            stop.run_until_cancelled(tokio::time::sleep(rest)).await;
        }
    }

    /// Hears what others ring, until `stop`. A line that broke is opened again.
    pub(super) async fn hear(&self, stop: &CancellationToken) {
        let hear = |heard: Heard| {
            let bells = match heard {
                Heard::Standing => Bells::ALL,
                Heard::Ring(text) => Bells::read(&text, &self.ringer),
            };
            for bell in bells.each() {
                count("heard");
                self.doorbell.ring_here(bell);
            }
        };
        while let Some(error) = stop.run_until_cancelled(self.line.listen(&hear)).await {
            tracing::debug!(%error, "nobody can be heard until the line stands again; polling goes on");
            stop.run_until_cancelled(tokio::time::sleep(jitter(PAUSE)))
                .await;
        }
    }
}

fn count(what: &'static str) {
    metrics::counter!("billhook_bells_total", "what" => what).increment(1);
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Instant;

    use futures::FutureExt as _;
    use tokio::sync::Notify;

    use super::*;
    use crate::hints::doorbell::Bell;

    /// A line that says what it was given, and breaks when it is told to.
    #[derive(Default)]
    struct Wire {
        sent: Mutex<Vec<String>>,
        refuses: Mutex<u32>,
        brings: Mutex<Vec<&'static str>>,
        opened: Notify,
    }

    #[async_trait]
    impl Line for Wire {
        async fn send(&self, text: &str) -> Result<(), Broken> {
            let mut refuses = self.refuses.lock().unwrap();
            if *refuses > 0 {
                *refuses -= 1;
                return Err(Broken("cut".to_owned()));
            }
            self.sent.lock().unwrap().push(text.to_owned());
            Ok(())
        }

        async fn listen(&self, hear: &(dyn Fn(Heard) + Send + Sync)) -> Broken {
            self.opened.notify_one();
            hear(Heard::Standing);
            for text in self.brings.lock().unwrap().drain(..) {
                hear(Heard::Ring(text.to_owned()));
            }
            Broken("cut".to_owned())
        }
    }

    fn relay(wire: &Arc<Wire>) -> Relay {
        Relay {
            doorbell: Doorbell::default(),
            line: wire.clone(),
            ringer: "process_1".to_owned(),
        }
    }

    #[tokio::test]
    async fn many_rings_are_carried_as_few_and_the_last_is_among_them() {
        let wire = Arc::new(Wire::default());
        let relay = relay(&wire);
        let stop = CancellationToken::new();
        let begun = Instant::now();
        let ringing = async {
            for _ in 0..1000 {
                relay.doorbell.ring(Bell::Inbox);
                tokio::task::yield_now().await;
            }
            relay.doorbell.ring(Bell::Outbox);
            let last = || wire.sent.lock().unwrap().last().cloned();
            while !last().is_some_and(|text| text.ends_with("outbox")) {
                tokio::time::sleep(REST).await;
            }
            stop.cancel();
        };
        tokio::join!(relay.carry(&stop), ringing);
        let most = begun.elapsed().as_millis() / REST.as_millis() + 1;
        let sent = wire.sent.lock().unwrap();
        assert!(sent.len() as u128 <= most, "{sent:?}");
    }

    #[tokio::test]
    async fn a_ring_that_could_not_be_carried_is_carried_later() {
        let wire = Arc::new(Wire::default());
        *wire.refuses.lock().unwrap() = 1;
        let relay = relay(&wire);
        let stop = CancellationToken::new();
        relay.doorbell.ring(Bell::Outbox);
        let waiting = async {
            while wire.sent.lock().unwrap().is_empty() {
                tokio::time::sleep(REST).await;
            }
            stop.cancel();
        };
        tokio::join!(relay.carry(&stop), waiting);
        assert_eq!(*wire.sent.lock().unwrap(), ["process_1 outbox"]);
    }

    #[tokio::test]
    async fn a_line_that_stands_again_rings_everything_once() {
        let wire = Arc::new(Wire::default());
        let relay = relay(&wire);
        let stop = CancellationToken::new();
        let mut inbox = relay.doorbell.listen(Bell::Inbox);
        let mut outbox = relay.doorbell.listen(Bell::Outbox);
        let watching = async {
            wire.opened.notified().await;
            inbox.rung().await;
            outbox.rung().await;
            assert_eq!(inbox.rung().now_or_never(), None);
            // What it rang itself it hears from nobody.
            *wire.brings.lock().unwrap() = vec!["process_1 inbox", "process_2 outbox"];
            wire.opened.notified().await;
            inbox.rung().await;
            outbox.rung().await;
            stop.cancel();
        };
        tokio::join!(relay.hear(&stop), watching);
        assert!(relay.doorbell.take_outward().now_or_never().is_none());
    }
}
