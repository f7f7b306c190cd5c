//! The ways out: what the configuration says of mail, chat and the application, as what sends.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use secrecy::SecretString;

use crate::clock::Clock;
use crate::config::Config;
use crate::http::shapes;
use crate::outbox::{AppWebhook, ChatWebhook, EmlFolder, Mailer, Shape, SmtpMailer, Telling, Way};
use crate::store::{Channel, Store};

/// How each channel's messages leave. A channel without a way keeps its messages, where they are shown.
pub(super) fn ways(
    config: &Config,
    clock: &Arc<dyn Clock>,
    store: &Arc<dyn Store>,
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
    if let Some(url) = &config.app.webhook_url {
        let url = SecretString::from(url.expose().to_owned());
        let webhook = AppWebhook::new(url, &config.app.webhook_secrets, clock.clone())
            .context("the application's webhook")?;
        let telling = Telling::new(
            store.clone(),
            clock.clone(),
            shape(config),
            Arc::new(webhook),
        );
        ways.insert(Channel::App, Way::App(telling));
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

/// How the application is shown a row: as the API shows it, by the very same function.
pub fn shape(config: &Config) -> Shape {
    let access = config.access;
    Arc::new(move |row, now| shapes::object(row, now, &access))
}
