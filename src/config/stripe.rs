//! What billhook knows of the Stripe accounts it serves: secrets, keys, and whose events it works on.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use super::values::{self, ServiceUrl};

/// Section `stripe`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StripeConfig {
    /// Signing secrets of the unnamed endpoint; any of them may have signed.
    pub webhook_secrets: Vec<SecretString>,
    /// The API key; without one nothing is fetched from Stripe.
    #[serde(deserialize_with = "values::secret")]
    pub secret_key: Option<SecretString>,
    /// Where Stripe's API is.
    #[serde(deserialize_with = "values::parsed")]
    pub api_base: ServiceUrl,
    /// How long connecting to Stripe's API may take.
    #[serde(deserialize_with = "values::duration")]
    pub api_connect_timeout: Duration,
    /// How long one request to it may take.
    #[serde(deserialize_with = "values::duration")]
    pub api_timeout: Duration,
    /// How long one answer is waited for, all tries together.
    #[serde(deserialize_with = "values::duration")]
    pub api_deadline: Duration,
    /// How far a signature's timestamp may be from now.
    #[serde(deserialize_with = "values::duration")]
    pub tolerance: Duration,
    /// Whether events of live mode are worked on.
    pub accept_livemode: bool,
    /// Whether events of test mode are worked on.
    pub accept_testmode: bool,
    /// The accounts whose events are worked on; empty means any.
    pub accounts: Vec<String>,
    /// Failed verifications a minute after which an address is answered 429.
    pub max_failed_verifications_per_minute: u32,
    /// Named endpoints, by the last segment of their path.
    pub endpoints: BTreeMap<String, EndpointConfig>,
}

/// One named endpoint: `POST /stripe/webhook/NAME`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointConfig {
    /// Signing secrets of this endpoint.
    pub secrets: Vec<SecretString>,
    /// The account of events that name none.
    #[serde(default, deserialize_with = "values::optional")]
    pub account: Option<String>,
}
