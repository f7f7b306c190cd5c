//! The configuration: read once at start, checked once, then handed out by section.
//!
//! Owns the three layers (`billhook.default.toml`, a file, the environment), what the keys mean, and that no secret is
//! ever printed. It is never a global, and nobody below `app` and `cli` sees the whole [`Config`]: who needs a section
//! takes a reference to that one.
//!
//! A new key is one line with a comment in `billhook.default.toml` and one field in `sections.rs`; without either of
//! them nothing loads, and a test says so.

mod check;
mod layers;
mod model;
mod sections;
mod span;
mod spending;
mod stripe;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use layers::Layers;

pub use model::{
    ArgumentForm, CallIds, FallbackConfig, ModelConfig, ModelEndpoint, ModelProfile, TokenLimit,
};
pub use sections::{
    AccessConfig, AppConfig, ApprovalsConfig, BackfillConfig, BusinessConfig, CapsConfig,
    DatabaseConfig, EmailConfig, FollowUpConfig, HighValue, InboxConfig, LinksConfig, LogFormat,
    MoneyConfig, NotifyConfig, OnLostDispute, OutboxConfig, PromptsConfig, RedisConfig,
    RetryConfig, SalesConfig, ServerConfig, TelemetryConfig, WinbackConfig, WorkerConfig,
};
pub use span::{Span, SpanError};
pub use spending::{BudgetsConfig, Micros, Price, Prices};
pub use stripe::{EndpointConfig, StripeConfig};
pub use values::ServiceUrl;

/// The file that is read when none is named.
pub const DEFAULT_FILE: &str = "billhook.toml";

/// Everything that can be configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The HTTP listener.
    pub server: ServerConfig,
    /// Secrets, keys and accounts of Stripe.
    pub stripe: StripeConfig,
    /// Where everything is stored.
    pub database: DatabaseConfig,
    /// Wake-ups, and what may be lost.
    pub redis: RedisConfig,
    /// The model that chooses follow-ups.
    pub model: ModelConfig,
    /// Mail.
    pub email: EmailConfig,
    /// Chat webhooks of the business's own people.
    pub notify: NotifyConfig,
    /// What the business's own application is told.
    pub app: AppConfig,
    /// What mails say of the business.
    pub business: BusinessConfig,
    /// Links that may stand in mails.
    pub links: LinksConfig,
    /// When follow-ups are due, and when they no longer are.
    pub follow_up: FollowUpConfig,
    /// How work is claimed.
    pub worker: WorkerConfig,
    /// How failed work is tried again.
    pub retry: RetryConfig,
    /// When sales are told.
    pub sales: SalesConfig,
    /// How much mail is too much.
    pub caps: CapsConfig,
    /// How much may wait.
    pub inbox: InboxConfig,
    /// Looking for events that were missed.
    pub backfill: BackfillConfig,
    /// Writing to customers who left.
    pub winback: WinbackConfig,
    /// Messages on their way out.
    pub outbox: OutboxConfig,
    /// What waits for a person.
    pub approvals: ApprovalsConfig,
    /// What customers may still use.
    pub access: AccessConfig,
    /// Minor units.
    pub money: MoneyConfig,
    /// Prompts of one's own.
    pub prompts: PromptsConfig,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
}

/// Why there is no configuration to work with.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A key that does not exist.
    #[error("unknown key `{key}` in {place}: {hint}")]
    UnknownKey {
        /// The key, dotted.
        key: String,
        /// The file or the variable.
        place: String,
        /// What could have been meant.
        hint: String,
    },
    /// A value that its key cannot take.
    #[error("`{key}` in {place}: {reason}")]
    Invalid {
        /// The key, dotted.
        key: String,
        /// The file or the variable.
        place: String,
        /// What is wrong, and what to write.
        reason: String,
    },
    /// A file that is no TOML.
    #[error("{place} is not valid TOML: {reason}")]
    Syntax {
        /// The file.
        place: String,
        /// Line, column and what was expected there.
        reason: String,
    },
    /// A file that cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// `serve` has nothing to verify signatures with.
    #[error(
        "no webhook secret is set, so no event could be trusted: set STRIPE_WEBHOOK_SECRET to the signing secret \
         (whsec_…) that Stripe shows at Workbench > Webhooks > your endpoint, or that `stripe listen` prints; to try \
         billhook without Stripe, run `billhook demo`"
    )]
    NoWebhookSecret,
    /// `serve` has nowhere to keep what it takes in.
    #[error(
        "`database.url` (DATABASE_URL) names no file, so every event would be gone with the process: write \
         sqlite://billhook.db or postgres://USER:PASSWORD@HOST/NAME"
    )]
    NoLastingDatabase,
}

impl Config {
    /// Reads the defaults, then `file` (or `billhook.toml` in the current folder if there is one), then `environment`.
    pub fn load(
        file: Option<&Path>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => Some(text),
            // Only a file that was named has to be there.
            Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => {
                return Err(ConfigError::Unreadable {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        Self::from_layers(text.as_deref().map(|text| (path, text)), environment)
    }

    /// The same from a file's text, without a look at the disk.
    pub fn from_layers(
        file: Option<(&Path, &str)>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Layers::defaults(layers::DEFAULTS)?;
        if let Some((path, text)) = file {
            layers.add_file(path, text)?;
        }
        layers.add_environment(environment)?;
        Self::from_tree(&layers)
    }

    /// The defaults alone.
    pub fn defaults() -> Result<Self, ConfigError> {
        Self::from_layers(None, &BTreeMap::new())
    }

    /// Refuses to serve without a secret: an event that cannot be verified must not be accepted.
    pub fn require_webhook_secret(&self) -> Result<(), ConfigError> {
        // A named endpoint cannot be configured without secrets.
        if self.stripe.webhook_secrets.is_empty() && self.stripe.endpoints.is_empty() {
            return Err(ConfigError::NoWebhookSecret);
        }
        Ok(())
    }

    /// Refuses to serve over a database in memory: what was answered 200 must outlive the process.
    pub fn require_lasting_database(&self) -> Result<(), ConfigError> {
        let file = self.database.url.expose().strip_prefix("sqlite:");
        match file.map(|file| file.trim_start_matches("//")) {
            Some("" | ":memory:") => Err(ConfigError::NoLastingDatabase),
            _ => Ok(()),
        }
    }

    /// All values, for people and logs; secrets are left out, as they are from `Debug`.
    pub fn redacted(&self) -> String {
        format!("{self:#?}")
    }

    fn from_tree(layers: &Layers) -> Result<Self, ConfigError> {
        let invalid = |key: String, reason: String| {
            let place = layers.place(&key);
            ConfigError::Invalid { key, place, reason }
        };
        let config: Self = layers
            .tree()
            .try_deserialize()
            .map_err(|error| match error {
                config::ConfigError::At { error, key, .. } => {
                    invalid(key.unwrap_or_default(), error.to_string())
                }
                config::ConfigError::Type {
                    key,
                    unexpected,
                    expected,
                    ..
                } => invalid(
                    key.unwrap_or_default(),
                    format!("{unexpected} is not {expected}"),
                ),
                config::ConfigError::NotFound(key) => invalid(key, "it is missing".to_owned()),
                other => invalid(String::new(), other.to_string()),
            })?;
        config
            .check()
            .map_err(|(key, reason)| invalid(key, reason))?;
        Ok(config)
    }
}

/// The process's environment, read once. A value that is not UTF-8 is kept with its broken bytes replaced, so that it
/// is refused by the key it was meant for.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| {
            name.into_string()
                .ok()
                .map(|name| (name, value.to_string_lossy().into_owned()))
        })
        .collect()
}
