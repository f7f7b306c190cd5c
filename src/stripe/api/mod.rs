//! Stripe's API, for reading: the one place that asks Stripe for anything, and only by GET.
//!
//! Owns the key, the waiting (429 and 5xx are tried again, within a deadline), and that no path leads anywhere but into
//! `/v1/` and `/v2/` of the configured base. Never follows a redirect, never reads an answer without bound, and never
//! shows the key. What an answer means is for whoever asked; the parsing beside this folder stays pure, and must not
//! use it.

mod answer;
mod error;
mod pages;
mod path;
mod permission;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, histogram};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::{Client, Url, redirect};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

pub use error::{ApiError, SetupError};
pub use pages::{Page, Pages};

use self::answer::Failed;
use crate::clock::Timestamp;
use crate::config::StripeConfig;
use crate::retry::{RetryPolicy, jitter};
use crate::tls;

/// How often one question is asked, and the pauses between.
const TRIES: RetryPolicy = RetryPolicy {
    attempts: 5,
    base: Duration::from_millis(500),
    max: Duration::from_secs(20),
};

/// Requests to `/v2/` must name a version; those to `/v1/` get the account's own, whose shapes the views know as well
/// as this one's (docs.stripe.com/api-v2-overview).
const V2_VERSION: &str = "2026-03-25.dahlia";

/// A client of Stripe's API with one key. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StripeApi {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    base: Url,
    /// Marked as sensitive, so that nobody prints it.
    authorization: HeaderValue,
    livemode: Option<bool>,
    deadline: Duration,
    tries: RetryPolicy,
}

/// On whose behalf something is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The connected account, for `Stripe-Account` (docs.stripe.com/connect/authentication).
    pub account: Option<&'a str>,
    /// What a thin event names as its `context`, for `Stripe-Context`.
    pub context: Option<&'a str>,
    /// The id of the event that is the reason to ask, for `Stripe-Request-Trigger`.
    pub trigger: Option<&'a str>,
}

impl<'a> Scope<'a> {
    /// The account that the key belongs to, or a connected one.
    pub fn of_account(account: Option<&'a str>) -> Self {
        Self {
            account,
            ..Self::default()
        }
    }
}

/// What Stripe answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Fetched {
    /// The answer.
    pub body: Value,
    /// When it was given, by Stripe's clock: the whole second of its `Date`.
    pub date: Option<Timestamp>,
    /// The API version that shaped it.
    pub version: Option<String>,
}

impl StripeApi {
    /// The client that the configuration describes; none without a key.
    pub fn new(config: &StripeConfig) -> Result<Option<Self>, SetupError> {
        Self::with_tries(config, TRIES)
    }

    fn with_tries(config: &StripeConfig, tries: RetryPolicy) -> Result<Option<Self>, SetupError> {
        let Some(key) = &config.secret_key else {
            return Ok(None);
        };
        let key = key.expose_secret();
        // The library's error would repeat the key.
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_invalid| SetupError::Key)?;
        authorization.set_sensitive(true);
        let base = Url::parse(config.api_base.expose()).map_err(|_error| SetupError::Base)?;
        tls::use_ring();
        let client = Client::builder()
            .user_agent(concat!("billhook/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(config.api_connect_timeout)
            .timeout(config.api_timeout)
            // A redirect would take the key to an address that nobody configured.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(SetupError::Client)?;
        Ok(Some(Self {
            inner: Arc::new(Inner {
                client,
                base,
                authorization,
                livemode: mode_of_key(key),
                deadline: config.api_deadline,
                tries,
            }),
        }))
    }

    /// Whether the key is for live mode; none where it does not say so. A key of one mode sees nothing of the other.
    pub fn livemode(&self) -> Option<bool> {
        self.inner.livemode
    }

    /// Asks for `path`, which may come from an event, with `query`, as `scope` says.
    ///
    /// Waits and asks again while Stripe is busy or out of reach, until `stripe.api_deadline` has passed.
    pub async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        scope: &Scope<'_>,
    ) -> Result<Fetched, ApiError> {
        let url = path::url(&self.inner.base, path, query)?;
        let headers = headers(path, scope)?;
        let deadline = Instant::now() + self.inner.deadline;
        let mut failures = 0;
        loop {
            let failed = match timeout_at(deadline, self.attempt(&url, &headers)).await {
                Ok(Ok(fetched)) => return Ok(fetched),
                Ok(Err(failed)) => failed,
                Err(_elapsed) => Failed::for_good(ApiError::late()),
            };
            failures += 1;
            let pause = jitter(self.inner.tries.pause(failures)).max(failed.pause());
            if !failed.again
                || failures >= self.inner.tries.attempts
                || Instant::now() + pause > deadline
            {
                return Err(failed.error);
            }
            sleep(pause).await;
        }
    }

    async fn attempt(
        &self,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<Fetched, Failed> {
        let mut request = self
            .inner
            .client
            .get(url.clone())
            .header(AUTHORIZATION, self.inner.authorization.clone());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let began = Instant::now();
        let answer = match request.send().await {
            Ok(response) => answer::read(response).await,
            Err(error) => Err(Failed::once(ApiError::unreachable(error))),
        };
        let outcome = answer
            .as_ref()
            .map_or_else(|failed| failed.error.word(), |_| "ok");
        counter!("billhook_stripe_api_requests_total", "outcome" => outcome).increment(1);
        histogram!("billhook_stripe_api_request_seconds").record(began.elapsed());
        answer
    }

    /// Lists `path` from its first page on; `query` holds filters, and no cursor.
    pub fn pages<'a>(
        &'a self,
        path: &'a str,
        query: &'a [(&'a str, &'a str)],
        scope: Scope<'a>,
    ) -> Pages<'a> {
        Pages::new(self, path, query, scope)
    }
}

/// What a key's prefix says (docs.stripe.com/keys): `sk_test_`, `rk_live_`, `sk_org_live_`; a sandbox's is a test key.
pub fn mode_of_key(key: &str) -> Option<bool> {
    let rest = key
        .strip_prefix("sk_")
        .or_else(|| key.strip_prefix("rk_"))?;
    let rest = rest.strip_prefix("org_").unwrap_or(rest);
    if rest.starts_with("live_") {
        Some(true)
    } else if rest.starts_with("test_") {
        Some(false)
    } else {
        None
    }
}

fn headers(path: &str, scope: &Scope<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, ApiError> {
    let trigger = scope.trigger.map(|event| format!("event={event}"));
    let version = path.starts_with("/v2/").then_some(V2_VERSION);
    [
        ("stripe-account", scope.account),
        ("stripe-context", scope.context),
        ("stripe-request-trigger", trigger.as_deref()),
        ("stripe-version", version),
    ]
    .into_iter()
    .filter_map(|(name, value)| value.map(|value| (name, value)))
    .map(|(name, value)| {
        // These come from events: one that could end its line and begin another is refused, not cleaned.
        HeaderValue::from_str(value)
            .map(|value| (HeaderName::from_static(name), value))
            .map_err(|_invalid| ApiError::BadScope { header: name })
    })
    .collect()
}
