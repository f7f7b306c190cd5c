//! Notices by Slack-compatible webhook.
//!
//! Only for the business's own people: a notice may arrive twice, so whatever is in doubt is `Transient`. The address
//! of such a webhook is a secret and never appears in an error.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, StatusCode, Url, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::send::{SendError, Sent};
use crate::retry::retry_after;
use crate::tls;

/// The longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest wait that another side may ask for.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// How a reason goes on where the webhook and not the notice is refused; `doctor` counts what waits for it.
const REFUSED: &str = ": is its address still right?";

/// Hands notices over to where the business reads them.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Posts `body`, which [`render_notice`](super::render_notice) made; `effect` lets the receiver recognize a repeat.
    async fn notify(&self, effect: &str, body: &Value) -> Result<Sent, SendError>;
}

/// Posts notices to one webhook.
#[derive(Debug)]
pub struct ChatWebhook {
    url: SecretString,
    client: Client,
}

/// A webhook that cannot be used. The address is not shown, because it is a secret.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// No address that could be posted to.
    #[error("the chat webhook is no http or https address")]
    Url,
    /// The client cannot be made.
    #[error("the http client for the chat webhook cannot be made")]
    Client(#[source] reqwest::Error),
}

impl ChatWebhook {
    /// A webhook at `url`.
    pub fn new(url: SecretString) -> Result<Self, ChatError> {
        Self::with_timeout(url, TIMEOUT)
    }

    /// A webhook at `url` that is given `timeout` to answer.
    pub fn with_timeout(url: SecretString, timeout: Duration) -> Result<Self, ChatError> {
        let client = client(&url, timeout)?;
        Ok(Self { url, client })
    }
}

/// A client that posts to `url` and to nothing else.
pub(super) fn client(url: &SecretString, timeout: Duration) -> Result<Client, ChatError> {
    let parsed = Url::parse(url.expose_secret()).map_err(|_error| ChatError::Url)?;
    if !matches!(parsed.scheme(), "https" | "http") || !parsed.has_host() {
        return Err(ChatError::Url);
    }
    tls::use_ring();
    Client::builder()
        .timeout(timeout)
        // A redirect would send the notice to an address that nobody configured.
        .redirect(redirect::Policy::none())
        .build()
        .map_err(ChatError::Client)
}

#[async_trait]
impl Notifier for ChatWebhook {
    async fn notify(&self, effect: &str, body: &Value) -> Result<Sent, SendError> {
        let response = self
            .client
            .post(self.url.expose_secret())
            .header("X-Billhook-Effect", effect)
            .json(body)
            .send()
            .await
            .map_err(|error| SendError::transient(reason("the chat webhook", &error)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Sent {
                receipt: format!("http {}", status.as_u16()),
            });
        }
        let mut reason = format!("the chat webhook answered {}", status.as_u16());
        // Only these two speak of the notice. All else is about the webhook, which somebody may put right.
        if matches!(
            status,
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE
        ) {
            return Err(SendError::rejected(reason));
        }
        if is_refusal(status) {
            reason.push_str(REFUSED);
        }
        Err(SendError::Transient {
            reason,
            retry_after: retry_after(response.headers(), MAX_RETRY_AFTER),
        })
    }
}

/// Whether waiting alone will hardly help: the webhook is gone, moved, or wants another secret.
fn is_refusal(status: StatusCode) -> bool {
    let passes = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_EARLY,
    ];
    !status.is_server_error() && !passes.contains(&status)
}

/// What happened to a request to `whom`, in our words: the library's contain the address.
pub(super) fn reason(whom: &str, error: &reqwest::Error) -> String {
    if error.is_timeout() {
        format!("{whom} did not answer in time")
    } else if error.is_connect() {
        format!("{whom} cannot be reached")
    } else {
        format!("the connection to {whom} broke")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::extract::State;
    use axum::http::HeaderMap;
    use axum::response::IntoResponse;
    use axum::routing::post;
    use serde_json::json;
    use tokio_util::task::TaskTracker;

    use super::*;

    type Seen = Arc<Mutex<Vec<(String, Value)>>>;

    async fn server<R: IntoResponse + Clone + Send + Sync + 'static>(
        answer: R,
    ) -> (SecretString, Seen) {
        let seen = Seen::default();
        let handler = move |State(seen): State<Seen>,
                            headers: HeaderMap,
                            body: axum::Json<Value>| async move {
            let effect = headers["x-billhook-effect"].to_str().unwrap().to_owned();
            seen.lock().unwrap().push((effect, body.0));
            answer.clone()
        };
        let app = Router::new()
            .route("/{*path}", post(handler))
            .with_state(Arc::clone(&seen));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/services/s3cret", listener.local_addr().unwrap());
        TaskTracker::new().spawn(async move { axum::serve(listener, app).await.unwrap() });
        (url.into(), seen)
    }

    async fn outcome(status: u16) -> Result<Sent, SendError> {
        let (url, _seen) = server(StatusCode::from_u16(status).unwrap()).await;
        ChatWebhook::new(url)
            .unwrap()
            .notify("effect-1", &json!({"text": "x"}))
            .await
    }

    #[tokio::test]
    async fn a_notice_is_posted_once_with_its_effect() {
        let (url, seen) = server("ok").await;
        let sent = ChatWebhook::new(url)
            .unwrap()
            .notify("effect-1", &json!({"text": "x"}))
            .await
            .unwrap();
        assert_eq!(sent.receipt, "http 200");
        assert_eq!(
            *seen.lock().unwrap(),
            [("effect-1".to_owned(), json!({"text": "x"}))]
        );
    }

    #[tokio::test]
    async fn answers_are_told_apart() {
        let passing = [408, 425, 429, 500, 503].map(|status| (status, ""));
        // The address may be put right while the notice waits.
        let about_the_webhook = [302, 307, 401, 403, 404, 410, 422]
            .map(|status| (status, ": is its address still right?"));
        for (status, question) in passing.into_iter().chain(about_the_webhook) {
            let error = outcome(status).await.unwrap_err();
            assert!(
                matches!(error, SendError::Transient { .. }),
                "{status}: {error}"
            );
            assert_eq!(
                error.to_string(),
                format!("the chat webhook answered {status}{question}")
            );
        }
        for status in [400, 413] {
            let error = outcome(status).await.unwrap_err();
            assert!(
                matches!(error, SendError::Rejected { .. }),
                "{status}: {error}"
            );
            assert_eq!(
                error.to_string(),
                format!("the chat webhook answered {status}")
            );
        }
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let (target, seen) = server("ok").await;
        let location = [("location", target.expose_secret().to_owned())];
        let (url, _seen) = server((StatusCode::TEMPORARY_REDIRECT, location)).await;
        let error = ChatWebhook::new(url)
            .unwrap()
            .notify("e", &json!({}))
            .await
            .unwrap_err();
        assert!(matches!(error, SendError::Transient { .. }));
        assert!(seen.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_wish_to_wait_is_heard_and_bounded() {
        for (wish, heard) in [("30", Some(30)), ("999999", Some(3600)), ("soon", None)] {
            let (url, _seen) =
                server((StatusCode::TOO_MANY_REQUESTS, [("retry-after", wish)])).await;
            let error = ChatWebhook::new(url)
                .unwrap()
                .notify("e", &json!({}))
                .await
                .unwrap_err();
            let SendError::Transient { retry_after, .. } = error else {
                panic!("{error}")
            };
            assert_eq!(retry_after, heard.map(Duration::from_secs), "{wish}");
        }
    }

    #[tokio::test]
    async fn silence_and_refusal_are_transient_and_name_no_address() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/services/s3cret", listener.local_addr().unwrap());
        let silent =
            ChatWebhook::with_timeout(url.clone().into(), Duration::from_millis(100)).unwrap();
        let error = silent.notify("e", &json!({})).await.unwrap_err();
        assert_eq!(error.to_string(), "the chat webhook did not answer in time");
        drop(listener);
        let error = silent.notify("e", &json!({})).await.unwrap_err();
        assert!(matches!(error, SendError::Transient { .. }));
        assert!(!error.to_string().contains("127.0.0.1"));
        assert!(!format!("{silent:?}").contains("s3cret"));
    }

    #[test]
    fn only_web_addresses_are_taken() {
        for url in ["", "slack", "file:///etc/passwd", "ftp://x/y"] {
            assert!(ChatWebhook::new(url.into()).is_err(), "{url}");
        }
    }
}
