//! One server of one model: how it is reached, what it takes, and how it has fared lately.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_openai::Client;
use async_openai::config::Config;
use async_openai::error::OpenAIError;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::breaker::Breaker;
use super::error::{Failure, Then};
use super::observed::Observer;
use super::profile::{OPTIONAL, Profile};
use super::request::Body;
use super::{SetupError, reply, transport};
use crate::agent::model::{Reply, Request};
use crate::clock::Timestamp;
use crate::config::{ModelConfig, ModelEndpoint};
use crate::tls;

/// `OpenAI`'s own server.
const OPENAI: &str = "https://api.openai.com/v1";

/// One server of one model.
pub(super) struct Endpoint {
    pub(super) name: String,
    pub(super) model: String,
    client: Client<Server>,
    /// The same connections, for what the library has no words for.
    http: reqwest::Client,
    profile: Profile,
    breaker: Mutex<Breaker>,
    observer: Observer,
    pub(super) attempt_timeout: Duration,
}

impl Endpoint {
    pub(super) fn new(endpoint: &ModelEndpoint, config: &ModelConfig) -> Result<Self, SetupError> {
        tls::use_ring();
        let http = reqwest::Client::builder()
            .user_agent(concat!("billhook/", env!("CARGO_PKG_VERSION")))
            // A redirect would take the key, and what is asked, to an address that nobody configured.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(SetupError::Client)?;
        let first_byte = config.first_byte_timeout;
        let service = tower::service_fn({
            let http = http.clone();
            move |factory| transport::exchange(http.clone(), factory, first_byte)
        });
        let server = Server::new(endpoint)?;
        let observer = Observer::new(&endpoint.name, &endpoint.model, &server.base);
        // An alert on it needs a series before the first request, which may be days away.
        observer.breaker(false);
        Ok(Self {
            name: endpoint.name.clone(),
            model: endpoint.model.clone(),
            observer,
            http: http.clone(),
            client: Client::build(http, server).with_http_service(service),
            profile: Profile::new(endpoint.profile),
            breaker: Mutex::default(),
            attempt_timeout: config.attempt_timeout,
        })
    }

    /// Whether a request may go, and if not, from when on.
    pub(super) fn admit(&self, now: Timestamp) -> Result<(), Timestamp> {
        self.breaker().admit(now)
    }

    /// How long it is being left alone.
    pub(super) fn rest_of_pause(&self, now: Timestamp) -> Duration {
        self.breaker().rest_of_pause(now)
    }

    /// A request for something beside completions, with the key.
    pub(super) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        let server = self.client.config();
        self.http.get(server.url(path)).headers(server.headers())
    }

    /// Asks once; once more for each field that it turns out not to know.
    pub(super) async fn ask(&self, request: &Request) -> Result<Reply, Failure> {
        let mut without = BTreeSet::new();
        loop {
            let answer = self.attempt(request).await;
            if let Err(Failure {
                then: Then::Without(field),
                ..
            }) = &answer
                && without.insert(*field)
            {
                if self.profile.leave_out(field) {
                    tracing::info!(endpoint = %self.name, field, "the model's server does not know a field; it is left out from now on");
                }
                continue;
            }
            return answer;
        }
    }

    /// Remembers how it fared.
    pub(super) fn note(&self, answer: &Result<Reply, Failure>, now: Timestamp) {
        let mut breaker = self.breaker();
        match answer {
            Ok(_) => breaker.succeeded(),
            Err(failure) => {
                match failure.then {
                    Then::Again => breaker.failed(now),
                    Then::Leave => breaker.gave_up(now),
                    // It is there, and does not like what it was asked.
                    Then::Without(_) | Then::Never => {}
                }
                if let Some(wait) = failure.retry_after {
                    breaker.rest(now, wait);
                }
            }
        }
        self.observer.breaker(breaker.is_open());
    }

    async fn attempt(&self, request: &Request) -> Result<Reply, Failure> {
        let body = Body::new(request, &self.model, &self.profile);
        let begun = Instant::now();
        let limit = request.deadline.map_or(self.attempt_timeout, |deadline| {
            self.attempt_timeout.min(deadline - begun)
        });
        let is_probe = self.breaker().is_open();
        let mut seen = self.observer.begin(request, &self.profile, is_probe);
        let chat = self.client.chat();
        let answer = seen.watch(timeout(limit, chat.create_byot::<_, Value>(&body)));
        let reply = match answer.await {
            Err(_elapsed) => Err(Failure::timeout(format!(
                "no whole answer within {limit:?}"
            ))),
            Ok(Err(error)) => Err(failure(error)),
            Ok(Ok(answer)) => {
                seen.answered(&answer);
                reply::read(&answer, request, &OPTIONAL)
            }
        };
        seen.end(&reply);
        reply.map(|reply| Reply {
            model: self.model.clone(),
            ..reply
        })
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failure(error: OpenAIError) -> Failure {
    match error {
        OpenAIError::Boxed(error) => match error.downcast::<Failure>() {
            Ok(failure) => *failure,
            Err(_other) => Failure::again("the request could not be made"),
        },
        // None of the library's own words: they may repeat the answer.
        _ => Failure::again("the answer could not be read"),
    }
}

/// Where a server is and how it knows us. The library's own reads the environment, and panics on a key that is no header.
#[derive(Debug, Clone)]
struct Server {
    base: String,
    key: SecretString,
    headers: HeaderMap,
}

impl Server {
    fn new(endpoint: &ModelEndpoint) -> Result<Self, SetupError> {
        let mut headers = HeaderMap::new();
        let key = endpoint.api_key.clone().unwrap_or_default();
        if endpoint.api_key.is_some() {
            let bearer = format!("Bearer {}", key.expose_secret());
            // The library's error would repeat the key.
            let mut bearer = HeaderValue::try_from(bearer)
                .map_err(|_invalid| SetupError::Key(endpoint.name.clone()))?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let base = endpoint
            .base_url
            .as_ref()
            .map_or(OPENAI, |url| url.expose());
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            key,
            headers,
        })
    }
}

impl Config for Server {
    fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    fn api_base(&self) -> &str {
        &self.base
    }

    fn api_key(&self) -> &SecretString {
        &self.key
    }
}
