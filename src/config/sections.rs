//! The sections of the configuration, one small struct per concern.
//!
//! Who needs one takes a reference to that one, never the whole configuration. No field has a default here: defaults
//! stand in `billhook.default.toml` alone.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lettre::Address;
use lettre::message::Mailbox;
use secrecy::SecretString;
use serde::Deserialize;

use super::values::{self, ServiceUrl};

/// Section `server`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Where to listen; port 0 takes a free one.
    #[serde(deserialize_with = "values::parsed")]
    pub listen: SocketAddr,
    /// The bearer token of the admin API; none means that one is generated at start.
    #[serde(deserialize_with = "values::secret")]
    pub admin_token: Option<SecretString>,
    /// How long a request may take.
    #[serde(deserialize_with = "values::duration")]
    pub request_timeout: Duration,
    /// How long work that has begun may take after the first signal.
    #[serde(deserialize_with = "values::duration")]
    pub shutdown_timeout: Duration,
    /// The largest body that is read, in bytes.
    pub max_body: usize,
    /// The bytes of all bodies that may be in memory at once.
    pub max_bytes_in_flight: usize,
    /// Connections open at once.
    pub max_connections: usize,
}

/// Section `database`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite://…` or `postgres://…`.
    #[serde(deserialize_with = "values::parsed")]
    pub url: ServiceUrl,
    /// Whether the schema is brought up to date at start.
    pub migrate: bool,
    /// How long PostgreSQL may take for one statement.
    #[serde(deserialize_with = "values::duration")]
    pub timeout: Duration,
}

/// Section `redis`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    /// Where Redis is; none means that billhook does without.
    #[serde(deserialize_with = "values::optional")]
    pub url: Option<ServiceUrl>,
    /// How long a request may wait for it.
    #[serde(deserialize_with = "values::duration")]
    pub timeout: Duration,
    /// How long a committed delivery is remembered; zero means not at all.
    #[serde(deserialize_with = "values::duration")]
    pub remember: Duration,
}

/// Section `email`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailConfig {
    /// The mail server; none means `.eml` files.
    #[serde(deserialize_with = "values::optional")]
    pub smtp_url: Option<ServiceUrl>,
    /// The sender; its domain is the domain of every Message-ID.
    #[serde(deserialize_with = "values::parsed")]
    pub from: Mailbox,
    /// Where `.eml` files are written.
    pub folder: PathBuf,
    /// Who hears of sales matters when there is no chat webhook.
    #[serde(deserialize_with = "values::optional")]
    pub sales: Option<Mailbox>,
    /// Who hears of finance matters when there is no chat webhook.
    #[serde(deserialize_with = "values::optional")]
    pub finance: Option<Mailbox>,
}

/// Section `notify`. The addresses of chat webhooks are secrets: who knows one may post.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifyConfig {
    /// The chat webhook of sales.
    #[serde(deserialize_with = "values::secret")]
    pub sales_webhook_url: Option<SecretString>,
    /// The chat webhook of finance.
    #[serde(deserialize_with = "values::secret")]
    pub finance_webhook_url: Option<SecretString>,
}

/// Section `app`: the business's own application. Its address is shown without what may be secret in it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppConfig {
    /// Where it is told what changed; none means that it is told nothing.
    #[serde(deserialize_with = "values::optional")]
    pub webhook_url: Option<ServiceUrl>,
    /// What messages to it are signed with, each of them.
    pub webhook_secrets: Vec<SecretString>,
}

/// Section `business`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusinessConfig {
    /// How mails to customers name the business; may be empty.
    pub name: String,
    /// The address that mails give for questions.
    #[serde(deserialize_with = "values::optional")]
    pub support_email: Option<Address>,
    /// The language of mails where the customer's own is unknown.
    pub locale: String,
}

/// Section `links`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinksConfig {
    /// Where a customer updates a card; https.
    #[serde(deserialize_with = "values::optional")]
    pub update_payment: Option<String>,
    /// The hosts to which a link taken from an event may lead, in lower case.
    pub allowed_hosts: Vec<String>,
}

/// Section `follow_up`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FollowUpConfig {
    /// How long events about the same fact gather.
    #[serde(deserialize_with = "values::duration")]
    pub settle: Duration,
    /// Received minus created, above which an event causes no follow-up.
    #[serde(deserialize_with = "values::duration")]
    pub max_age: Duration,
    /// How long the first failure mail to a customer who has never paid waits.
    #[serde(deserialize_with = "values::duration")]
    pub first_contact_delay: Duration,
    /// Runs at once in one process.
    pub concurrency: usize,
    /// How long a run waits for its model, from when it became due.
    #[serde(deserialize_with = "values::duration")]
    pub decide_by: Duration,
}

/// Section `worker`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerConfig {
    /// How long a claim holds without a sign of life.
    #[serde(deserialize_with = "values::duration")]
    pub lease: Duration,
    /// Events claimed at once.
    pub batch: usize,
    /// The pause between two looks for work.
    #[serde(deserialize_with = "values::duration")]
    pub poll: Duration,
}

/// Section `retry`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryConfig {
    /// Tries before work is dead.
    pub attempts: u32,
    /// The first pause; it doubles each time.
    #[serde(deserialize_with = "values::duration")]
    pub base: Duration,
    /// The longest pause.
    #[serde(deserialize_with = "values::duration")]
    pub max: Duration,
}

/// Section `sales`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SalesConfig {
    /// Amounts over which sales are told.
    pub high_value: HighValue,
}

/// Amounts in major units by currency, with one for all others under `default`.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct HighValue(pub(super) BTreeMap<String, u64>);

impl HighValue {
    /// The amount of `currency` (in any case) over which sales are told, in major units.
    pub fn threshold(&self, currency: &str) -> u64 {
        self.0
            .get(&currency.to_ascii_lowercase())
            .or_else(|| self.0.get("default"))
            .copied()
            // The default file holds `default`, and no layer can take a key away.
            .unwrap_or(u64::MAX)
    }
}

/// Section `caps`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapsConfig {
    /// Mails that one customer may get in a day.
    pub mails_per_customer_per_day: u32,
    /// Failure mails that one address may get in a day.
    pub failure_mails_per_recipient_per_day: u32,
    /// Mails that one playbook may send in an hour.
    pub mails_per_playbook_per_hour: u32,
}

/// Section `inbox`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InboxConfig {
    /// Events not yet applied above which new ones are answered 503.
    pub max_backlog: u64,
}

/// Section `backfill`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackfillConfig {
    /// The pause between two looks for missed events; zero means that nobody looks by themselves.
    #[serde(deserialize_with = "values::duration")]
    pub interval: Duration,
    /// How far each look goes back behind the last one's end.
    #[serde(deserialize_with = "values::duration")]
    pub overlap: Duration,
    /// How far the first look goes back.
    #[serde(deserialize_with = "values::duration")]
    pub first: Duration,
}

/// Section `winback`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WinbackConfig {
    /// When a customer who left is written to.
    #[serde(deserialize_with = "values::duration")]
    pub delay: Duration,
}

/// Section `outbox`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboxConfig {
    /// How long a message may be postponed.
    #[serde(deserialize_with = "values::duration")]
    pub expire: Duration,
}

/// Section `approvals`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalsConfig {
    /// How long what a model proposed waits for a person's word.
    #[serde(deserialize_with = "values::duration")]
    pub expire: Duration,
}

/// Section `access`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessConfig {
    /// How long a past-due customer keeps access.
    #[serde(deserialize_with = "values::duration")]
    pub past_due_grace: Duration,
    /// What a lost dispute does to the access of whoever won it.
    #[serde(deserialize_with = "values::word")]
    pub on_lost_dispute: OnLostDispute,
}

/// What a lost dispute does to a customer's access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLostDispute {
    /// Nothing.
    Keep,
    /// It ends what the subscriptions grant that the customer had by then.
    End,
}

/// Section `money`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoneyConfig {
    /// Decimals of a currency's minor unit, by lower-case code, where the built-in table is to be overruled.
    pub exponents: BTreeMap<String, u8>,
}

/// Section `prompts`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptsConfig {
    /// A folder that is used instead of the built-in prompts.
    #[serde(deserialize_with = "values::optional")]
    pub folder: Option<PathBuf>,
}

/// Section `telemetry`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// What is logged, in the notation of `RUST_LOG`.
    pub log: String,
    /// How log lines look.
    #[serde(deserialize_with = "values::word")]
    pub log_format: LogFormat,
    /// Where traces are sent.
    #[serde(deserialize_with = "values::optional")]
    pub otlp_endpoint: Option<ServiceUrl>,
    /// Whether spans hold what a model is asked and answers.
    pub capture_content: bool,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For a person at a terminal.
    Text,
    /// One JSON object a line.
    Json,
}
