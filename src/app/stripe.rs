//! What the configuration says of Stripe: who may deliver, and who may be asked.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

use crate::config::Config;
use crate::http::Endpoint;
use crate::inbox::Receiver;
use crate::store::Reach;
use crate::stripe::api::mode_of_key;
use crate::stripe::signature::SigningSecrets;

/// Which events Stripe can be asked about with the configured key.
pub(super) fn reach(config: &Config) -> Reach {
    match &config.stripe.secret_key {
        None => Reach::Nothing,
        Some(key) => Reach::of_key(mode_of_key(key.expose_secret())),
    }
}

/// The endpoints, by name; the one without is `POST /stripe/webhook`.
pub(super) fn endpoints(config: &Config) -> anyhow::Result<BTreeMap<String, Endpoint>> {
    let secrets = |secrets: &[SecretString]| {
        SigningSecrets::new(secrets.iter().map(ExposeSecret::expose_secret))
    };
    let mut endpoints = BTreeMap::new();
    if !config.stripe.webhook_secrets.is_empty() {
        endpoints.insert(
            String::new(),
            Endpoint {
                secrets: secrets(&config.stripe.webhook_secrets)?,
                receiver: Receiver::default(),
            },
        );
    }
    for (name, endpoint) in &config.stripe.endpoints {
        let known = Endpoint {
            secrets: secrets(&endpoint.secrets)?,
            receiver: Receiver {
                account: endpoint.account.clone(),
                livemode: endpoint.livemode,
            },
        };
        endpoints.insert(name.clone(), known);
    }
    Ok(endpoints)
}
