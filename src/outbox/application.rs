//! Telling the business's own application, as Standard Webhooks (<https://www.standardwebhooks.com>).
//!
//! A message may arrive twice and late, in any order: the receiver knows a repeat by its id, and what is older than what
//! it has by the version. So whatever is in doubt goes again. An address is told nothing by a redirect: nobody configured
//! where that leads.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use standardwebhooks::{
    HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook,
};

use super::Permit;
use super::chat::{self, ChatError};
use super::send::{SendError, Sent};
use crate::clock::{Clock, Timestamp};
use crate::retry::retry_after;
use crate::store::{About, ClaimedMessage, ObjectRow, Store};

/// The longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Of an answer's body so much is read, to have the connection free for the next message; then it is given up.
const MOST_ANSWER: usize = 16 * 1024;

/// Hands messages over to the application.
#[async_trait]
pub trait Application: Send + Sync {
    /// Posts `body` under a message id that is the same on every attempt.
    async fn tell(&self, id: &str, body: &str) -> Result<Sent, SendError>;
}

/// How a row looks from outside at a moment.
pub type Shape = Arc<dyn Fn(&ObjectRow, Timestamp) -> Value + Send + Sync>;

/// Reads what a message is about when it leaves, and has it handed over.
pub struct Telling {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    shape: Shape,
    application: Arc<dyn Application>,
}

impl Telling {
    /// Tells `application` of the rows of `store`, in the shape that the API shows them in.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        shape: Shape,
        application: Arc<dyn Application>,
    ) -> Self {
        Self {
            store,
            clock,
            shape,
            application,
        }
    }

    /// Tells what a message is about, as it is now. It may arrive twice, so a request on its way can be dropped.
    pub(super) async fn send(
        &self,
        message: &ClaimedMessage,
        permit: &Permit,
    ) -> Result<(), SendError> {
        let Some(about) = &message.about else {
            return Err(SendError::rejected("the message is about no object"));
        };
        let row = self.store.current_row(about).await.map_err(|error| {
            let error: &dyn std::error::Error = &error;
            tracing::error!(message.id = %message.id, error, "what the application is to be told cannot be read");
            SendError::transient("the database did not answer")
        })?;
        let (told, data) = self.data(about, row.as_ref());
        let body = json!({
            "type": message.subject,
            "timestamp": self.clock.now().iso(),
            "account": told.account,
            "livemode": told.livemode,
            "version": told.version,
            "data": data,
        });
        let (id, body) = (told.webhook_id(), body.to_string());
        tokio::select! {
            biased;
            () = permit.withdrawn() => Err(SendError::Withdrawn),
            sent = self.application.tell(&id, &body) => sent.map(drop),
        }
    }

    /// Which version is told, and what is told of it. A row may have moved on since the message was marked; what is gone
    /// has nothing but its name.
    fn data(&self, about: &About, row: Option<&ObjectRow>) -> (About, Value) {
        let mut told = about.clone();
        let Some(row) = row else {
            let gone = json!({
                "object": about.kind,
                "id": about.id,
                "account": about.account,
                "livemode": about.livemode,
                "deleted": true,
            });
            return (told, gone);
        };
        told.version = row.version;
        (told, (self.shape)(row, self.clock.now()))
    }
}

/// Posts to the application's webhook.
pub struct AppWebhook {
    url: SecretString,
    signers: Vec<Webhook>,
    client: Client,
    clock: Arc<dyn Clock>,
}

/// An application that cannot be told anything. Neither the address nor a secret is shown.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationError {
    /// There is no secret, or one that is no base64.
    #[error("a secret for the application is not whsec_ and base64")]
    Secret,
    /// No client for the address.
    #[error("the application's webhook cannot be used")]
    Client(#[source] ChatError),
}

impl AppWebhook {
    /// A webhook at `url`, where every message is signed with each of `secrets`.
    pub fn new(
        url: SecretString,
        secrets: &[SecretString],
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ApplicationError> {
        Self::with_timeout(url, secrets, clock, TIMEOUT)
    }

    /// The same with `timeout` for an answer.
    pub fn with_timeout(
        url: SecretString,
        secrets: &[SecretString],
        clock: Arc<dyn Clock>,
        timeout: Duration,
    ) -> Result<Self, ApplicationError> {
        let signers: Vec<Webhook> = secrets
            .iter()
            .map(|secret| Webhook::new(secret.expose_secret()))
            .collect::<Result<_, _>>()
            .map_err(|_error| ApplicationError::Secret)?;
        if signers.is_empty() {
            return Err(ApplicationError::Secret);
        }
        Ok(Self {
            client: chat::client(&url, timeout).map_err(ApplicationError::Client)?,
            url,
            signers,
            clock,
        })
    }

    /// One signature for each secret, so that the receiver may change its own at any moment of a roll.
    fn signatures(&self, id: &str, seconds: i64, body: &str) -> Result<String, SendError> {
        let signed = self
            .signers
            .iter()
            .map(|signer| signer.sign(id, seconds, body.as_bytes()));
        let signed: Vec<String> = signed
            .collect::<Result<_, _>>()
            .map_err(|_error| SendError::rejected("the message cannot be signed"))?;
        Ok(signed.join(" "))
    }
}

#[async_trait]
impl Application for AppWebhook {
    async fn tell(&self, id: &str, body: &str) -> Result<Sent, SendError> {
        let seconds = self.clock.now().seconds();
        let response = self
            .client
            .post(self.url.expose_secret())
            .header(HEADER_WEBHOOK_ID, id)
            .header(HEADER_WEBHOOK_TIMESTAMP, seconds)
            .header(
                HEADER_WEBHOOK_SIGNATURE,
                self.signatures(id, seconds, body)?,
            )
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_owned())
            .send()
            .await
            .map_err(|error| SendError::transient(chat::reason("the application", &error)))?;
        let status = response.status();
        if status.is_success() {
            read_away(response).await;
            return Ok(Sent {
                receipt: format!("http {}", status.as_u16()),
            });
        }
        // The receiver wants no more, in the words of Standard Webhooks; all else may be mended on its side.
        if status == StatusCode::GONE {
            return Err(SendError::rejected("the application answered 410"));
        }
        Err(SendError::Transient {
            reason: format!("the application answered {}", status.as_u16()),
            retry_after: retry_after(response.headers(), chat::MAX_RETRY_AFTER),
        })
    }
}

/// Reads what little there should be of an answer, which says nothing more than its status.
async fn read_away(mut response: Response) {
    let mut read = 0;
    while let Ok(Some(part)) = response.chunk().await {
        read += part.len();
        if read > MOST_ANSWER {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn webhook(secrets: &[&str]) -> AppWebhook {
        let secrets: Vec<SecretString> = secrets.iter().map(|secret| (*secret).into()).collect();
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)));
        AppWebhook::new("https://app.example/hook".into(), &secrets, clock).unwrap()
    }

    /// The vector that Standard Webhooks publishes with its libraries.
    #[test]
    fn a_message_is_signed_as_the_standard_has_it() {
        let webhook = webhook(&["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]);
        let signature = webhook.signatures(
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1_649_367_553,
            r#"{"email":"test@example.com","username":"test_user"}"#,
        );
        assert_eq!(
            signature.unwrap(),
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="
        );
    }

    #[test]
    fn while_a_secret_is_rolled_both_sign() {
        let (old, new) = (
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        );
        let both = webhook(&[old, new]).signatures("msg_1", 1, "{}").unwrap();
        let one = |secret| webhook(&[secret]).signatures("msg_1", 1, "{}").unwrap();
        assert_eq!(both, format!("{} {}", one(old), one(new)));
    }

    #[test]
    fn what_cannot_sign_is_refused() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_seconds(0)));
        let url = || SecretString::from("https://app.example");
        for secrets in [vec![], vec![SecretString::from("whsec_not base64")]] {
            let refused = AppWebhook::new(url(), &secrets, clock.clone());
            assert!(matches!(refused, Err(ApplicationError::Secret)));
        }
    }
}
