//! The composition root: the only place that chooses implementations.

mod door;
mod missed;
mod reload;
mod rerun;
mod store;
mod stripe;
mod ways;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use billhook_tools::Exponents;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::door::{admission, inbox_limits};
use self::missed::backfill;
use self::reload::Reload;
pub use self::rerun::rerunning;
pub use self::store::{open_store, policy};
use self::stripe::endpoints;
pub use self::ways::shape;
use self::ways::ways;
use crate::agent::brief::Settings;
use crate::agent::budget::Budgets;
use crate::agent::model::Model;
use crate::agent::openai::OpenAi;
use crate::agent::prompts::Prompts;
use crate::agent::rules::Rules;
use crate::backfill::Backfill;
use crate::clock::Clock;
use crate::config::Config;
use crate::facts::StoreFacts;
use crate::hints::{HintTask, Hints};
use crate::http::serve::serve;
use crate::http::{HttpLimits, HttpState, router};
use crate::ids::{IdSource, TimeSortedIds};
use crate::inbox::{Inbox, InboxTask, Room};
use crate::outbox::{Dispatcher, Way, dispatch};
use crate::retry::RetryPolicy;
use crate::shutdown::{Ending, Hangups, Shutdown};
use crate::store::{Channel, SqlStore, Store};
use crate::stripe::api::StripeApi;
use crate::worker::{Deciding, Pace, Worker};

/// Which stages a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    All,
    /// Only what takes in.
    Ingest,
    /// Only what works off.
    Work,
}

/// How long a stop waits for what cannot be undone: a mail whose dot is written has ten minutes for its answer.
const LAST_PATIENCE: Duration = Duration::from_mins(11);

/// What an app is put together from: each of these has other implementations, in tests above all.
pub struct Parts {
    /// Everything that lasts.
    pub store: Arc<dyn Store>,
    /// The database below it: who it is, and how processes over it reach each other.
    pub database: Arc<SqlStore>,
    /// The model, or the rules.
    pub model: Arc<dyn Model>,
    /// How each channel's messages leave.
    pub ways: BTreeMap<Channel, Way>,
}

/// The whole service, built and not yet running.
pub struct App {
    /// Everything that lasts.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Applies and decides.
    pub worker: Arc<Worker>,
    /// Sends.
    pub dispatcher: Arc<Dispatcher>,
    /// Looks for missed events; none without an API key.
    pub backfill: Option<Backfill>,
    http: HttpState,
    hints: Option<HintTask>,
    inbox: Option<InboxTask>,
    prompts: Option<PathBuf>,
    hangups: Option<Hangups>,
    admin_token: SecretString,
    shutdown_timeout: Duration,
    max_connections: usize,
}

impl App {
    /// Opens the store and puts everything together, with the model that is configured, else the built-in rules.
    pub async fn build(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let store = open_store(config, clock.clone()).await?;
        let model = configured(config, &clock)?;
        Self::with(config, clock, store, model)
    }

    /// Puts everything together over a store and a model of the caller's choice, with the ways out that are configured.
    pub fn with(
        config: &Config,
        clock: Arc<dyn Clock>,
        store: Arc<SqlStore>,
        model: Arc<dyn Model>,
    ) -> anyhow::Result<Self> {
        let database = store.clone();
        let store: Arc<dyn Store> = store;
        let parts = Parts {
            ways: ways(config, &clock, &store)?,
            store,
            database,
            model,
        };
        Self::over(config, clock, parts)
    }

    /// Puts everything together over parts of the caller's choice.
    pub fn over(config: &Config, clock: Arc<dyn Clock>, parts: Parts) -> anyhow::Result<Self> {
        let Parts {
            store,
            database,
            model,
            ways,
        } = parts;
        let ids: Arc<dyn IdSource> = Arc::new(TimeSortedIds::new(clock.clone()));
        let (hints, hint_task) = Hints::new(&config.redis, ids.next("process"), database)?;
        let (inbox, task) = Inbox::new(store.clone(), inbox_limits(config), hints.doorbell.clone());
        let inbox = inbox.remembering(hints.recent.clone());
        let from = config.email.from.to_string();
        let budgets = (!model.is_rules()).then(|| Budgets::new(&config.model));
        let deciding = deciding(config, model, &store, ways::missing(&ways))?;
        let retry = RetryPolicy {
            attempts: config.retry.attempts,
            base: config.retry.base,
            max: config.retry.max,
        };
        let pace = Pace {
            lease: config.worker.lease,
            batch: u32::try_from(config.worker.batch).unwrap_or(u32::MAX),
            poll: config.worker.poll,
            concurrency: config.follow_up.concurrency,
            run_timeout: config.model.run_timeout,
            retry,
        };
        let worker = Worker::new(
            store.clone(),
            clock.clone(),
            deciding,
            pace,
            hints.doorbell.clone(),
        );
        // One for all who ask: they share its connections, and the machine's certificates are read once.
        let stripe = StripeApi::new(&config.stripe)?;
        let worker = Arc::new(worker.asking(stripe.clone()));
        let sending = dispatch::Pace {
            lease: config.worker.lease,
            poll: config.worker.poll,
            retry,
        };
        let reply_to = config
            .business
            .support_email
            .as_ref()
            .map(ToString::to_string);
        let dispatcher = Arc::new(Dispatcher::new(
            store.clone(),
            clock.clone(),
            ways,
            (from, reply_to),
            sending,
            hints.doorbell.clone(),
        ));
        let admission = Arc::new(admission(config));
        let backfill = stripe.map(|api| backfill(config, api, &store, &clock, &inbox, &admission));
        let admin_token = config
            .server
            .admin_token
            .clone()
            .unwrap_or_else(generated_token);
        let http = HttpState {
            store: store.clone(),
            inbox,
            hints,
            room: Room::new(config.server.max_bytes_in_flight),
            clock: clock.clone(),
            ids,
            endpoints: Arc::new(endpoints(config)?),
            admission,
            limits: HttpLimits {
                max_body: config.server.max_body,
                tolerance: config.stripe.tolerance,
                request_timeout: config.server.request_timeout,
                max_failed_verifications_per_minute: config
                    .stripe
                    .max_failed_verifications_per_minute,
            },
            admin_token: admin_token.clone(),
            access: config.access,
            budgets,
            metrics: Some(crate::telemetry::metrics()?),
            listens_on_loopback: config.server.listen.ip().is_loopback(),
        };
        Ok(Self {
            store,
            clock,
            worker,
            dispatcher,
            backfill,
            http,
            hints: Some(hint_task),
            inbox: Some(task),
            prompts: config.prompts.folder.clone(),
            hangups: None,
            admin_token,
            shutdown_timeout: config.server.shutdown_timeout,
            max_connections: config.server.max_connections,
        })
    }

    /// The same service, which reads its prompts again when they change, and at every hangup.
    #[must_use]
    pub fn reloading(self, hangups: Hangups) -> Self {
        Self {
            hangups: Some(hangups),
            ..self
        }
    }

    /// The token of the admin API: the configured one, or the one made for this process.
    pub fn admin_token(&self) -> &SecretString {
        &self.admin_token
    }

    /// The writer behind the inbox, for whoever runs it by hand instead of [`App::serve`].
    pub fn take_inbox(&mut self) -> Option<InboxTask> {
        self.inbox.take()
    }

    /// What carries hints between processes, for whoever runs it by hand instead of [`App::serve`].
    pub fn take_hints(&mut self) -> Option<HintTask> {
        self.hints.take()
    }

    /// The routes of a role: one that only works off takes nothing in.
    pub fn router(&self, role: Role) -> axum::Router {
        let mut http = self.http.clone();
        if role == Role::Work {
            http.endpoints = Arc::default();
        }
        router(http)
    }

    /// Runs until the shutdown begins; then finishes what it holds and closes the store.
    pub async fn serve(
        self,
        listener: TcpListener,
        role: Role,
        shutdown: &Shutdown,
    ) -> anyhow::Result<()> {
        let router = self.router(role);
        // The writer outlives the listener: requests that were taken before the stop still get their answer.
        let writing = CancellationToken::new();
        let (listening, stop) = (writing.clone(), shutdown.soft().clone());
        let max_connections = self.max_connections;
        if let Some(metrics) = self.http.metrics.clone() {
            let stop = shutdown.soft().clone();
            shutdown.spawn_vital("metrics", crate::telemetry::keep_up(metrics, stop));
        }
        if let Some(inbox) = self.inbox {
            shutdown.spawn_vital("inbox", inbox.run(writing));
        }
        shutdown.spawn_vital("http", async move {
            serve(listener, router, max_connections, stop).await;
            listening.cancel();
        });
        let works = role != Role::Ingest;
        if let Some(hangups) = self.hangups {
            let reload = Reload {
                folder: self.prompts,
                worker: works.then(|| self.worker.clone()),
                hangups,
            };
            shutdown.spawn_vital("prompts", reload.work(shutdown.soft().clone()));
        }
        if let Some(hints) = self.hints {
            shutdown.spawn_vital("hints", hints.run(works, shutdown.soft().clone()));
        }
        if works {
            shutdown.spawn_vital(
                "worker",
                self.worker
                    .work(shutdown.soft().clone(), shutdown.cut().clone()),
            );
            let (soft, cut) = (shutdown.soft().clone(), shutdown.cut().clone());
            let dispatcher = self.dispatcher;
            shutdown.spawn_vital("outbox", async move { dispatcher.work(soft, cut).await });
            if let Some(backfill) = self.backfill.filter(Backfill::is_scheduled) {
                let stop = shutdown.soft().clone();
                shutdown.spawn_vital("backfill", async move { backfill.work(stop).await });
            }
        }
        shutdown.soft().cancelled().await;
        let ending = shutdown.finish(self.shutdown_timeout, LAST_PATIENCE).await;
        self.store.close().await;
        if shutdown.has_failed() {
            anyhow::bail!("a part of the service stopped by itself; see the log above");
        }
        if ending == Ending::Forced {
            tracing::warn!(
                "stopped before everything was finished; leases end by themselves and the work is taken up again"
            );
        }
        Ok(())
    }
}

/// The model that is configured, else the built-in rules.
fn configured(config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<Arc<dyn Model>> {
    Ok(match OpenAi::new(&config.model, clock.clone())? {
        Some(model) => Arc::new(model),
        None => Arc::new(Rules),
    })
}

fn deciding(
    config: &Config,
    model: Arc<dyn Model>,
    store: &Arc<dyn Store>,
    no_way: BTreeMap<Channel, String>,
) -> anyhow::Result<Deciding> {
    let prompts =
        Prompts::checked(config.prompts.folder.as_deref()).context("the prompts cannot be used")?;
    Ok(Deciding {
        model,
        budgets: Budgets::new(&config.model),
        prompts: Arc::new(prompts),
        settings: settings(config)?,
        facts: Arc::new(StoreFacts::new(store.clone())),
        from: config.email.from.to_string(),
        no_way,
    })
}

fn settings(config: &Config) -> anyhow::Result<Settings> {
    let mut exponents = Exponents::stripe();
    for (currency, exponent) in &config.money.exponents {
        exponents = exponents
            .with_override(currency, u32::from(*exponent))
            .context("money.exponents")?;
    }
    Ok(Settings {
        business_name: config.business.name.clone(),
        support_email: config
            .business
            .support_email
            .as_ref()
            .map(ToString::to_string),
        locale: config.business.locale.clone(),
        update_payment: config.links.update_payment.clone(),
        allowed_hosts: config.links.allowed_hosts.clone(),
        high_value: config.sales.high_value.clone(),
        winback_delay: config.winback.delay,
        exponents,
        cancellation_comment: config.model.cancellation_comment,
    })
}

fn generated_token() -> SecretString {
    let bytes: [u8; 32] = rand::random();
    SecretString::from(hex::encode(bytes))
}
