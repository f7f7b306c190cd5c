//! The ways out: what the configuration says of mail and chat, as what sends.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use secrecy::SecretString;

use crate::clock::Clock;
use crate::config::Config;
use crate::outbox::{ChatWebhook, EmlFolder, Mailer, SmtpMailer, Way};
use crate::store::Channel;

/// How each channel's messages leave. A channel without a way keeps its messages, where they are shown.
pub(super) fn ways(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<BTreeMap<Channel, Way>> {
    let (mailer, repeatable): (Arc<dyn Mailer>, bool) = match &config.email.smtp_url {
        Some(url) => {
            let url = SecretString::from(url.expose().to_owned());
            (
                Arc::new(SmtpMailer::from_url(&url, clock.clone()).context("SMTP_URL")?),
                false,
            )
        }
        None => (
            Arc::new(EmlFolder::new(config.email.folder.clone(), clock.clone())),
            true,
        ),
    };
    let mut ways = BTreeMap::from([(
        Channel::Email,
        Way::Mail {
            mailer: mailer.clone(),
            repeatable,
        },
    )]);
    let internal = [
        (
            Channel::Sales,
            &config.notify.sales_webhook_url,
            &config.email.sales,
        ),
        (
            Channel::Finance,
            &config.notify.finance_webhook_url,
            &config.email.finance,
        ),
    ];
    for (channel, webhook, address) in internal {
        if let Some(url) = webhook {
            let webhook = ChatWebhook::new(url.clone())
                .with_context(|| format!("the {} webhook", channel.as_str()))?;
            ways.insert(channel, Way::Chat(Arc::new(webhook)));
        } else if let Some(address) = address {
            ways.insert(
                channel,
                Way::InternalMail {
                    mailer: mailer.clone(),
                    to: address.to_string(),
                },
            );
        }
    }
    Ok(ways)
}

/// Why the notices of a channel without a way do not leave, and what to set.
pub(super) fn missing(ways: &BTreeMap<Channel, Way>) -> BTreeMap<Channel, String> {
    [
        (Channel::Sales, "SALES_WEBHOOK_URL or SALES_EMAIL"),
        (Channel::Finance, "FINANCE_WEBHOOK_URL or FINANCE_EMAIL"),
    ]
    .into_iter()
    .filter(|(channel, _)| !ways.contains_key(channel))
    .map(|(channel, keys)| (channel, format!("no_channel: set {keys} to have it sent")))
    .collect()
}
