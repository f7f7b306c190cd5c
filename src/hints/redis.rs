//! The connection to Redis: it is there or it is absent, and no caller waits to find out which.
//!
//! Owns the time limits. Whoever asks has a connection that answered a moment ago, or none; the first failure takes it
//! away from everybody, and only one task, in the background, tries to get it back. So a Redis that hangs costs each
//! request that is under way at most one time limit, and those that come after it nothing.

use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, Pipeline, RedisError};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::relay::{Broken, Heard, Line};
use crate::config::{RedisConfig, ServiceUrl};
use crate::retry::jitter;

/// What work in the background may lose to Redis, where a request may not lose more.
const IN_BACKGROUND: Duration = Duration::from_millis(500);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(1);
/// Between two tries to get a connection back.
const PAUSE: Duration = Duration::from_secs(1);
/// A connection or a subscription that brings nothing for so long is asked whether it still stands.
const QUIET: Duration = Duration::from_secs(10);

/// `REDIS_URL` is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "`redis.url` (REDIS_URL) cannot be used: write redis://HOST:PORT/NUMBER or rediss://USER:PASSWORD@HOST:PORT"
)]
pub struct RedisUrlError(#[source] RedisError);

/// Whether the configured Redis could be used now: connects, logs in and writes, and leaves nothing behind.
pub async fn try_out(config: &RedisConfig) -> Result<(), RedisUnusable> {
    let Some(url) = &config.url else {
        return Ok(());
    };
    let connected = Redis::new(url, config.timeout)?.connect().await;
    connected.map(drop).map_err(RedisUnusable::Away)
}

/// Why a Redis cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RedisUnusable {
    /// It is no address.
    #[error(transparent)]
    Url(#[from] RedisUrlError),
    /// It is not there, does not let us in or write, or is too slow.
    #[error("{0}")]
    Away(String),
}

/// A connection, and which one it is: who lost an earlier one must not take this one away.
#[derive(Clone)]
struct Connection {
    number: u64,
    link: MultiplexedConnection,
}

/// One Redis, used by one database.
pub(super) struct Redis {
    client: Client,
    /// As it may be shown.
    shown: String,
    /// What all keys begin with; known once the database has said who it is.
    namespace: OnceLock<String>,
    connection: watch::Sender<Option<Connection>>,
    timeout: Duration,
}

impl Redis {
    /// A Redis that nobody who serves a request waits for longer than `timeout`.
    pub(super) fn new(url: &ServiceUrl, timeout: Duration) -> Result<Self, RedisUrlError> {
        Ok(Self {
            client: Client::open(url.expose()).map_err(RedisUrlError)?,
            shown: url.to_string(),
            namespace: OnceLock::new(),
            connection: watch::Sender::new(None),
            timeout,
        })
    }

    /// Whether it answered when it was asked last.
    pub(super) fn is_there(&self) -> bool {
        self.connection.borrow().is_some()
    }

    /// A key of this database. Before the database is known there is no connection either, so nobody uses it.
    pub(super) fn key(&self, kind: &str, rest: &str) -> String {
        let namespace = self.namespace.get().map_or("", String::as_str);
        format!("billhook:{namespace}:{kind}:{rest}")
    }

    /// Asks while somebody waits; `None` is the answer of a Redis that is not there.
    pub(super) async fn ask<T: FromRedisValue>(&self, question: &Pipeline) -> Option<T> {
        self.ask_within(self.timeout, question).await
    }

    /// Asks while nobody waits.
    pub(super) async fn ask_in_background<T: FromRedisValue>(
        &self,
        question: &Pipeline,
    ) -> Option<T> {
        let limit = self.timeout.max(IN_BACKGROUND);
        self.ask_within(limit, question).await
    }

    async fn ask_within<T: FromRedisValue>(
        &self,
        limit: Duration,
        question: &Pipeline,
    ) -> Option<T> {
        let mut connection = self.connection.borrow().clone()?;
        let why = match timeout(limit, question.query_async(&mut connection.link)).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => too_slow(limit),
        };
        let taken = self.connection.send_if_modified(|current| {
            let is_it = current
                .as_ref()
                .is_some_and(|current| current.number == connection.number);
            if is_it {
                *current = None;
            }
            is_it
        });
        if taken {
            self.warn(&why);
        }
        None
    }

    /// Keeps the connection for a database until `stop`: opens it, and opens it again when somebody has lost it.
    pub(super) async fn keep(&self, namespace: String, stop: &CancellationToken) {
        self.namespace.get_or_init(|| namespace);
        metrics::gauge!("billhook_redis_up").set(0.0);
        let mut warned = false;
        let mut number = 0;
        while !stop.is_cancelled() {
            match self.connect().await {
                Ok(link) => {
                    number += 1;
                    metrics::gauge!("billhook_redis_up").set(1.0);
                    tracing::info!(redis = %self.shown, "Redis answers");
                    self.connection
                        .send_replace(Some(Connection { number, link }));
                    stop.run_until_cancelled(self.lost()).await;
                    // Whoever has lost it has said so.
                    warned = true;
                }
                Err(why) if !warned => {
                    self.warn(&why);
                    warned = true;
                }
                Err(why) => tracing::debug!(%why, "Redis is still away"),
            }
            stop.run_until_cancelled(tokio::time::sleep(jitter(PAUSE)))
                .await;
        }
    }

    /// Waits until somebody has lost the connection; when nobody asks for a while, this does.
    async fn lost(&self) {
        let mut connection = self.connection.subscribe();
        let probe = self.probe();
        while timeout(QUIET, connection.wait_for(Option::is_none))
            .await
            .is_err()
        {
            let _answer: Option<()> = self.ask_in_background(&probe).await;
        }
    }

    fn warn(&self, why: &str) {
        metrics::gauge!("billhook_redis_up").set(0.0);
        metrics::counter!("billhook_redis_losses_total").increment(1);
        tracing::warn!(
            redis = %self.shown, %why,
            "Redis is away; billhook goes on without it, only slower: check that it runs and that REDIS_URL is right"
        );
    }

    /// A connection that has just taken a write as quickly as it will have to: a Redis that only reads, or is slow, is
    /// no use.
    async fn connect(&self) -> Result<MultiplexedConnection, String> {
        // Every question has a limit of its own, and so has connecting: the library's do not cover the greeting.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let connecting = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        let mut link = in_time(CONNECT, connecting).await?;
        in_time(self.timeout, self.probe().query_async::<()>(&mut link)).await?;
        Ok(link)
    }

    /// A write, because one that is only read from is not to be relied on.
    fn probe(&self) -> Pipeline {
        let mut probe = redis::pipe();
        let key = self.key("probe", "");
        probe.set_options(key, 1, expires(PAUSE)).ignore();
        probe
    }
}

#[async_trait]
impl Line for Redis {
    async fn send(&self, text: &str) -> Result<(), Broken> {
        let mut publish = redis::pipe();
        publish.publish(self.key("bells", ""), text).ignore();
        let sent: Option<()> = self.ask_in_background(&publish).await;
        sent.ok_or_else(|| Broken("Redis is away".to_owned()))
    }

    async fn listen(&self, hear: &(dyn Fn(Heard) + Send + Sync)) -> Broken {
        let subscribing = async {
            let mut subscription = self.client.get_async_pubsub().await?;
            subscription.subscribe(self.key("bells", "")).await?;
            Ok(subscription)
        };
        let (mut asking, mut rings) = match in_time(CONNECT, subscribing).await {
            Ok(subscription) => subscription.split(),
            Err(why) => return Broken(why),
        };
        hear(Heard::Standing);
        loop {
            match timeout(QUIET, rings.next()).await {
                Ok(Some(ring)) => {
                    if let Ok(text) = ring.get_payload::<String>() {
                        hear(Heard::Ring(text));
                    }
                }
                Ok(None) => return Broken("Redis closed the subscription".to_owned()),
                Err(_quiet) => {
                    if let Err(why) = in_time(CONNECT, asking.ping::<redis::Value>()).await {
                        return Broken(why);
                    }
                }
            }
        }
    }
}

/// The option that makes a key vanish by itself.
pub(super) fn expires(after: Duration) -> redis::SetOptions {
    let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    redis::SetOptions::default().with_expiration(redis::SetExpiry::PX(millis))
}

async fn in_time<T>(
    limit: Duration,
    asking: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, String> {
    match timeout(limit, asking).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_elapsed) => Err(too_slow(limit)),
    }
}

fn too_slow(limit: Duration) -> String {
    format!("no answer within {} ms", limit.as_millis())
}
