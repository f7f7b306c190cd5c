//! Signing and posting one body, and what came back.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use secrecy::SecretString;
use serde_json::Value;

use crate::cli::failure::Failure;
use crate::cli::output::clean;
use crate::clock::Timestamp;
use crate::stripe::signature::sign;
use crate::stripe::text::clip;

/// Stripe gives up about then; a slower answer is none.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most of an answer's explanation that is worth showing.
const MAX_DETAIL_CHARS: usize = 200;

/// What became of one post.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Answered {
    /// The status, or why there is none.
    pub(in crate::cli) status: Result<u16, String>,
    /// What the answer says: `accepted`, `duplicate`, or the detail of a problem.
    pub(in crate::cli) detail: String,
    /// From the first byte sent to the last byte received.
    pub(in crate::cli) latency: Duration,
}

/// Posts to one address.
pub(in crate::cli) struct Poster {
    client: Client,
    url: Url,
}

impl Poster {
    /// Posts go to `url`.
    pub(in crate::cli) fn new(url: &str) -> anyhow::Result<Self> {
        let url = Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                Failure::Usage(
                    "the address is no http:// or https:// URL: write http://HOST:PORT/stripe/webhook"
                        .to_owned(),
                )
            })?;
        let mut client = Client::builder()
            .timeout(PATIENCE)
            // Stripe follows no redirect either; an answer that is one is shown as it is.
            .redirect(Policy::none())
            .user_agent(concat!("billhook/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&url) {
            client = client.no_proxy();
        }
        Ok(Self {
            client: client.build()?,
            url,
        })
    }

    /// Signs `body` as of `now` and posts it.
    pub(in crate::cli) async fn post(
        &self,
        body: &[u8],
        secret: &SecretString,
        now: Timestamp,
    ) -> Answered {
        let started = tokio::time::Instant::now();
        let sent = self
            .client
            .post(self.url.clone())
            .header(
                CONTENT_TYPE,
                HeaderValue::from_static("application/json; charset=utf-8"),
            )
            .header("Stripe-Signature", sign(secret, now, body))
            .body(body.to_vec())
            .send()
            .await;
        let (status, detail) = match sent {
            Ok(answer) => {
                let status = answer.status().as_u16();
                (
                    Ok(status),
                    answer.text().await.map(|t| detail(&t)).unwrap_or_default(),
                )
            }
            Err(error) => (Err(reason(&error)), String::new()),
        };
        Answered {
            status,
            detail,
            latency: started.elapsed(),
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// The word or sentence of an answer that is worth showing.
fn detail(body: &str) -> String {
    let json: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let named = ["detail", "status", "title"]
        .iter()
        .find_map(|field| json.get(field).and_then(Value::as_str));
    clean(clip(named.unwrap_or(body).trim(), MAX_DETAIL_CHARS))
}

/// The innermost cause: the outer ones only repeat the address.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    clean(&cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_shown_by_its_most_telling_word() {
        assert_eq!(detail(r#"{"status":"duplicate"}"#), "duplicate");
        assert_eq!(
            detail(r#"{"title":"Unauthorized","status":401,"detail":"no v1 signature matches"}"#),
            "no v1 signature matches"
        );
        assert_eq!(detail("<html>\u{1b}[2J"), "<html>[2J");
    }

    #[test]
    fn only_addresses_of_this_machine_go_past_a_proxy() {
        for (url, expected) in [
            ("http://127.0.0.1:8080/x", true),
            ("http://[::1]/x", true),
            ("http://localhost/x", true),
            ("https://example.com/x", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
