//! A world that counts what reaches it, and senders whose every call may fail.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use billhook::outbox::{Application, Mailer, Notifier, OutgoingMail, Permit, SendError, Sent};
use serde_json::Value;

use super::point::{Answer, Faults};

/// How the mail server of a story takes mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MailServer {
    /// At once.
    Prompt,
    /// Slowly: not before the lease of a mail was renewed.
    Slow,
    /// It hangs up after it has read the first one, and never answers for that.
    HangsUp,
}

/// What reached the world.
#[derive(Default)]
pub(super) struct Sink {
    /// The Message-ID of every mail.
    pub(super) mails: Mutex<Vec<String>>,
    /// The effect key of every notice.
    pub(super) notices: Mutex<Vec<String>>,
    /// The id and the body of everything the application was told.
    pub(super) told: Mutex<Vec<(String, Value)>>,
    /// The mail server has hung up once.
    hung_up: AtomicBool,
    /// How often a model was asked for each turn of its run.
    pub(super) asked: Mutex<BTreeMap<usize, usize>>,
}

/// The way of mails and notices into a sink.
pub(super) struct FaultySender {
    pub(super) sink: Arc<Sink>,
    pub(super) faults: Arc<Faults>,
    pub(super) server: MailServer,
}

impl Answer for Sent {}

fn unknown() -> SendError {
    SendError::Unknown {
        reason: "handed over, and no answer".to_owned(),
    }
}

fn sent() -> Sent {
    Sent {
        receipt: "sink".to_owned(),
    }
}

fn transient() -> SendError {
    SendError::Transient {
        reason: "not handed over".to_owned(),
        retry_after: None,
    }
}

#[async_trait]
impl Mailer for FaultySender {
    async fn send(&self, mail: &OutgoingMail, permit: &Permit) -> Result<Sent, SendError> {
        let hand_over = || async {
            if self.server == MailServer::Slow {
                self.faults.wait_for("renew_message").await;
            }
            // A busy machine renews late, and the permit comes back; unless another process has the message.
            loop {
                let mut next = std::pin::pin!(self.faults.next_call());
                next.as_mut().enable();
                if !permit.left().is_zero() {
                    break;
                }
                tokio::select! {
                    biased;
                    () = permit.withdrawn() => return Err(transient()),
                    () = next => {}
                }
            }
            self.sink
                .mails
                .lock()
                .unwrap()
                .push(mail.message_id.clone());
            if self.server == MailServer::HangsUp && !self.sink.hung_up.swap(true, Ordering::SeqCst)
            {
                return Err(unknown());
            }
            Ok(sent())
        };
        let lost = |done| if done { unknown() } else { transient() };
        self.faults.around("send", hand_over, lost).await
    }
}

#[async_trait]
impl Notifier for FaultySender {
    async fn notify(&self, effect: &str, _: &Value) -> Result<Sent, SendError> {
        let post = || async {
            self.sink.notices.lock().unwrap().push(effect.to_owned());
            Ok(sent())
        };
        // A notice may arrive twice, so a webhook that did not answer is asked again.
        self.faults.around("notify", post, |_| transient()).await
    }
}

#[async_trait]
impl Application for FaultySender {
    async fn tell(&self, id: &str, body: &str) -> Result<Sent, SendError> {
        let post = || async {
            let body = serde_json::from_str(body).unwrap();
            self.sink.told.lock().unwrap().push((id.to_owned(), body));
            Ok(sent())
        };
        // An application that did not answer is told again.
        self.faults.around("tell", post, |_| transient()).await
    }
}
