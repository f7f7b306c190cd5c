//! A world that counts what reaches it, and senders whose every call may fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use billhook::outbox::send::MayFinish;
use billhook::outbox::{Mailer, Notifier, OutgoingMail, SendError, Sent};
use serde_json::Value;

use super::point::Faults;

/// What reached the world.
#[derive(Default)]
pub(super) struct Sink {
    /// The Message-ID of every mail.
    pub(super) mails: Mutex<Vec<String>>,
    /// The effect key of every notice.
    pub(super) notices: Mutex<Vec<String>>,
    /// How often a model was asked for each turn of its run.
    pub(super) asked: Mutex<BTreeMap<usize, usize>>,
}

/// The way of mails and notices into a sink.
pub(super) struct FaultySender {
    pub(super) sink: Arc<Sink>,
    pub(super) faults: Arc<Faults>,
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
    async fn send_while(
        &self,
        mail: &OutgoingMail,
        may_finish: MayFinish<'_>,
    ) -> Result<Sent, SendError> {
        let hand_over = || async {
            if !may_finish() {
                return Err(transient());
            }
            self.sink
                .mails
                .lock()
                .unwrap()
                .push(mail.message_id.clone());
            Ok(sent())
        };
        let lost = |done| {
            if done {
                SendError::Unknown {
                    reason: "handed over, and no answer".to_owned(),
                }
            } else {
                transient()
            }
        };
        self.faults.around("send_while", hand_over, lost).await
    }

    fn repeats_safely(&self) -> bool {
        false
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
