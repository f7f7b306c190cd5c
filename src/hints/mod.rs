//! Hints: what processes tell each other and may lose. Wake-ups, recently committed deliveries, shared counts.
//!
//! Nothing here is the truth: every hint may come late, twice or never, and only latency changes. Nothing here may make
//! anybody wait who serves a request (see `redis.rs` for the limit), and nothing is said of a row before its commit.
//! Wake-ups travel by Redis where it is configured, else by PostgreSQL; the rest needs Redis.

mod counts;
mod doorbell;
mod recent;
mod redis;
mod relay;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

pub use self::counts::SharedCounts;
pub use self::doorbell::{Bell, Doorbell, Listener};
pub use self::recent::{Lookup, Note, Recent};
pub use self::redis::{RedisUnusable, RedisUrlError, try_out};

use self::recent::Writer;
use self::redis::Redis;
use self::relay::{Line, Relay};
use crate::config::RedisConfig;
use crate::store::SqlStore;

/// Until the database says who it is.
const PAUSE: Duration = Duration::from_secs(1);

/// Everything that gives or takes a hint, for those who do; cheap to clone. The default knows no other process.
#[derive(Clone, Default)]
pub struct Hints {
    /// Wakes those who look for work.
    pub doorbell: Doorbell,
    /// What was committed a short while ago.
    pub recent: Recent,
    /// What all processes have counted.
    pub counts: SharedCounts,
    redis: Option<Arc<Redis>>,
}

/// What keeps hints going between processes.
pub struct HintTask {
    doorbell: Doorbell,
    redis: Option<(Arc<Redis>, Writer)>,
    process: String,
    database: Arc<SqlStore>,
}

impl Hints {
    /// Hints about the rows of `database` in the process that is called `process`, and the task that carries them. Until
    /// that runs, and while Redis is away, everything here answers as if there were no Redis.
    pub fn new(
        config: &RedisConfig,
        process: String,
        database: Arc<SqlStore>,
    ) -> Result<(Self, HintTask), RedisUrlError> {
        let mut hints = Self::default();
        let mut writer = None;
        if let Some(url) = &config.url {
            let redis = Arc::new(Redis::new(url, config.timeout)?);
            let (recent, writes) = Recent::new(Arc::clone(&redis), config.remember);
            hints.recent = recent;
            hints.counts = SharedCounts(Some(Arc::clone(&redis)));
            writer = Some((Arc::clone(&redis), writes));
            hints.redis = Some(redis);
        }
        let task = HintTask {
            doorbell: hints.doorbell.clone(),
            redis: writer,
            process,
            database,
        };
        Ok((hints, task))
    }

    /// Whether Redis answers; nothing where none is configured.
    pub fn redis_answers(&self) -> Option<bool> {
        self.redis.as_ref().map(|redis| redis.is_there())
    }
}

impl HintTask {
    /// Carries hints until `stop`. Only a process that works needs to hear bells.
    pub fn run(self, hears: bool, stop: CancellationToken) -> BoxFuture<'static, ()> {
        let relay = |line: Arc<dyn Line>| Relay {
            doorbell: self.doorbell.clone(),
            line,
            ringer: self.process.clone(),
        };
        let store = self.database;
        match (self.redis, store.notices()) {
            (Some((redis, writer)), _) => {
                let relay = relay(redis.clone());
                Box::pin(async move {
                    if let Some(database) = identity(&store, &stop).await {
                        let working = relay_bells(&relay, hears, &stop);
                        let keeping = redis.keep(database, &stop);
                        tokio::join!(keeping, writer.run(&stop), working);
                    }
                })
            }
            (None, Some(notices)) => {
                let relay = relay(Arc::new(notices));
                Box::pin(async move { relay_bells(&relay, hears, &stop).await })
            }
            // One process on SQLite tells itself everything.
            (None, None) => Box::pin(stop.cancelled_owned()),
        }
    }
}

async fn relay_bells(relay: &Relay, hears: bool, stop: &CancellationToken) {
    if hears {
        tokio::join!(relay.carry(stop), relay.hear(stop));
    } else {
        relay.carry(stop).await;
    }
}

/// Who the database is; asked until it answers, because without it no hint can be told from another database's.
async fn identity(store: &SqlStore, stop: &CancellationToken) -> Option<String> {
    loop {
        match stop.run_until_cancelled(store.identity()).await? {
            Ok(identity) => return Some(identity),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "Redis is not used before the database answers");
            }
        }
        stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await?;
    }
}
