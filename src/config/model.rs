//! Which language model chooses follow-ups, and where it is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use super::spending::{BudgetsConfig, Prices};
use super::values::{self, ServiceUrl};

/// The name of the endpoint that section `model` itself describes.
const FIRST: &str = "first";

/// Section `model`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The key sent to the model's server.
    #[serde(deserialize_with = "values::secret")]
    pub api_key: Option<SecretString>,
    /// The server; none means `OpenAI`'s own.
    #[serde(deserialize_with = "values::optional")]
    pub base_url: Option<ServiceUrl>,
    /// The model's name.
    pub name: String,
    /// How long one request may take.
    #[serde(deserialize_with = "values::duration")]
    pub attempt_timeout: Duration,
    /// How long an answer may take to begin.
    #[serde(deserialize_with = "values::duration")]
    pub first_byte_timeout: Duration,
    /// How long a whole run may take.
    #[serde(deserialize_with = "values::duration")]
    pub run_timeout: Duration,
    /// Whether the model may read what a customer wrote about leaving.
    pub cancellation_comment: bool,
    /// The currency of prices and of budgets in money.
    pub currency: String,
    /// What is known of what models cost.
    pub prices: Prices,
    /// What they may cost.
    pub budgets: BudgetsConfig,
    /// What the servers take, where an endpoint does not say otherwise.
    pub profile: ModelProfile,
    /// The endpoints that are asked in turn when the first does not answer.
    pub fallbacks: Vec<String>,
    /// Endpoints by name.
    pub endpoints: BTreeMap<String, FallbackConfig>,
}

/// What a server takes; they differ although all of them say that they speak the same protocol.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelProfile {
    /// Whether tools are offered as `strict`.
    pub strict: bool,
    /// Whether one reply may hold several calls.
    pub parallel_tool_calls: bool,
    /// The tokens that one reply may have, reasoning included.
    pub max_tokens: u32,
    /// The name of the field that says so.
    #[serde(deserialize_with = "values::word")]
    pub token_limit: TokenLimit,
    /// The form of the ids of calls.
    #[serde(deserialize_with = "values::word")]
    pub call_ids: CallIds,
    /// How arguments of earlier calls are sent.
    #[serde(deserialize_with = "values::word")]
    pub arguments: ArgumentForm,
    /// Whether answers are asked for as streams.
    pub stream: bool,
}

/// The name of the field that limits a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenLimit {
    /// `max_completion_tokens`, the newer one.
    MaxCompletionTokens,
    /// `max_tokens`, the older one.
    MaxTokens,
}

/// The form of the ids of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallIds {
    /// Any text.
    Any,
    /// Nine letters and digits, as Mistral wants them.
    Nine,
}

/// How arguments of earlier calls are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArgumentForm {
    /// As texts, as the protocol says.
    Text,
    /// As objects.
    Object,
}

/// One endpoint of `model.endpoints`; what it does not say of its profile is as `model.profile` says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FallbackConfig {
    #[serde(default, deserialize_with = "values::secret")]
    api_key: Option<SecretString>,
    #[serde(default, deserialize_with = "values::optional")]
    base_url: Option<ServiceUrl>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    strict: Option<bool>,
    #[serde(default)]
    parallel_tool_calls: Option<bool>,
    #[serde(default)]
    max_tokens: Option<u32>,
    #[serde(default)]
    token_limit: Option<TokenLimit>,
    #[serde(default)]
    call_ids: Option<CallIds>,
    #[serde(default)]
    arguments: Option<ArgumentForm>,
    #[serde(default)]
    stream: Option<bool>,
}

/// One server of one model, in full.
#[derive(Debug, Clone)]
pub struct ModelEndpoint {
    /// How it is called in logs and metrics.
    pub name: String,
    /// The key sent to it.
    pub api_key: Option<SecretString>,
    /// Where it is; none means `OpenAI`'s own.
    pub base_url: Option<ServiceUrl>,
    /// The model's name there.
    pub model: String,
    /// What it takes.
    pub profile: ModelProfile,
}

impl ModelConfig {
    /// Whether a model was configured; otherwise the rules choose.
    pub fn is_configured(&self) -> bool {
        self.api_key.is_some() || self.base_url.is_some()
    }

    /// The same, asking one endpoint only: the one of this name, else the first server for the model of this name.
    #[must_use]
    pub fn only(&self, name: &str) -> Self {
        let mut only = self.clone();
        only.fallbacks.clear();
        if let Some(endpoint) = self.endpoints.get(name) {
            let endpoint = endpoint.endpoint(name, self);
            (only.api_key, only.base_url) = (endpoint.api_key, endpoint.base_url);
            (only.name, only.profile) = (endpoint.model, endpoint.profile);
        } else if name != FIRST {
            name.clone_into(&mut only.name);
        }
        only
    }

    /// The endpoints in the order in which they are asked; none where no model was configured.
    pub fn endpoints(&self) -> Vec<ModelEndpoint> {
        if !self.is_configured() {
            return Vec::new();
        }
        let first = ModelEndpoint {
            name: FIRST.to_owned(),
            api_key: self.api_key.clone(),
            base_url: self.base_url.clone(),
            model: self.name.clone(),
            profile: self.profile,
        };
        let others = self
            .fallbacks
            .iter()
            .filter_map(|name| Some((name, self.endpoints.get(name)?)))
            .map(|(name, fallback)| fallback.endpoint(name, self));
        std::iter::once(first).chain(others).collect()
    }
}

impl FallbackConfig {
    fn endpoint(&self, name: &str, config: &ModelConfig) -> ModelEndpoint {
        let profile = config.profile;
        ModelEndpoint {
            name: name.to_owned(),
            api_key: self.api_key.clone(),
            base_url: self.base_url.clone(),
            model: self.name.clone().unwrap_or_else(|| config.name.clone()),
            profile: ModelProfile {
                strict: self.strict.unwrap_or(profile.strict),
                parallel_tool_calls: self
                    .parallel_tool_calls
                    .unwrap_or(profile.parallel_tool_calls),
                max_tokens: self.max_tokens.unwrap_or(profile.max_tokens),
                token_limit: self.token_limit.unwrap_or(profile.token_limit),
                call_ids: self.call_ids.unwrap_or(profile.call_ids),
                arguments: self.arguments.unwrap_or(profile.arguments),
                stream: self.stream.unwrap_or(profile.stream),
            },
        }
    }

    /// Whether it says whom to ask.
    pub(super) fn is_reachable(&self) -> bool {
        self.api_key.is_some() || self.base_url.is_some()
    }

    pub(super) fn base_url(&self) -> Option<&ServiceUrl> {
        self.base_url.as_ref()
    }
}
