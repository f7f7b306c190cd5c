//! What must hold between values, and ranges that a type cannot say.
//!
//! Owns the refusals that protect an operator from a setting that would only show much later. Changes nothing.

use std::net::IpAddr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::Config;
use super::values::ServiceUrl;

/// The key, and what is wrong with its value.
type Refusal = (String, String);

impl Config {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        self.check_addresses()?;
        self.check_stripe()?;
        self.check_app()?;
        self.check_model()?;
        self.check_spending()?;
        self.check_amounts_of_work()?;
        for (currency, exponent) in &self.money.exponents {
            if *exponent > 3 {
                return refuse(&format!("money.exponents.{currency}"), "write 0, 1, 2 or 3");
            }
        }
        if let Some(update_payment) = &self.links.update_payment
            && !update_payment.starts_with("https://")
        {
            return refuse("links.update_payment", "it must start with https://");
        }
        for host in &self.links.allowed_hosts {
            if !host
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b))
            {
                return refuse(
                    "links.allowed_hosts",
                    "write host names in lower case, without scheme, port and path",
                );
            }
        }
        Ok(())
    }

    fn check_addresses(&self) -> Result<(), Refusal> {
        scheme(
            "database.url",
            Some(&self.database.url),
            &["sqlite", "postgres", "postgresql"],
        )?;
        if self.database.url.scheme() == "sqlite" && self.database.url.expose().contains('?') {
            return refuse(
                "database.url",
                "an address of SQLite takes no parameters: write sqlite://FILE",
            );
        }
        scheme("redis.url", self.redis.url.as_ref(), &["redis", "rediss"])?;
        scheme(
            "email.smtp_url",
            self.email.smtp_url.as_ref(),
            &["smtp", "smtps"],
        )?;
        // The key of Stripe's API goes there with every request.
        if !is_safe(&self.stripe.api_base) {
            return refuse("stripe.api_base", SAFE);
        }
        scheme(
            "telemetry.otlp_endpoint",
            self.telemetry.otlp_endpoint.as_ref(),
            &["https", "http"],
        )?;
        for (key, url) in [
            ("notify.sales_webhook_url", &self.notify.sales_webhook_url),
            (
                "notify.finance_webhook_url",
                &self.notify.finance_webhook_url,
            ),
        ] {
            let url = url.as_ref().map(ExposeSecret::expose_secret);
            if url.is_some_and(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
                return refuse(key, "write an address that starts with https://");
            }
        }
        Ok(())
    }

    fn check_stripe(&self) -> Result<(), Refusal> {
        for (key, value) in [
            ("stripe.tolerance", self.stripe.tolerance),
            (
                "stripe.api_connect_timeout",
                self.stripe.api_connect_timeout,
            ),
            ("stripe.api_timeout", self.stripe.api_timeout),
            ("stripe.api_deadline", self.stripe.api_deadline),
        ] {
            positive(key, value)?;
        }
        for account in &self.stripe.accounts {
            // `self` is how an event without an account is stored.
            if !account.starts_with("acct_") && account != "self" {
                return refuse("stripe.accounts", "an account's id starts with acct_");
            }
        }
        for (name, endpoint) in &self.stripe.endpoints {
            let key = format!("stripe.endpoints.{name}");
            if endpoint.secrets.is_empty() {
                return refuse(
                    &format!("{key}.secrets"),
                    "an endpoint needs a signing secret",
                );
            }
            if endpoint
                .account
                .as_ref()
                .is_some_and(|account| !account.starts_with("acct_"))
            {
                return refuse(
                    &format!("{key}.account"),
                    "an account's id starts with acct_",
                );
            }
        }
        Ok(())
    }

    fn check_model(&self) -> Result<(), Refusal> {
        let web = ["https", "http"];
        scheme("model.base_url", self.model.base_url.as_ref(), &web)?;
        if self.model.profile.max_tokens == 0 {
            return refuse("model.profile.max_tokens", "write at least 1");
        }
        for (name, endpoint) in &self.model.endpoints {
            let key = format!("model.endpoints.{name}");
            scheme(&format!("{key}.base_url"), endpoint.base_url(), &web)?;
            if !endpoint.is_reachable() {
                return refuse(
                    &key,
                    "an endpoint needs a `base_url`, or an `api_key` for OpenAI's own",
                );
            }
        }
        if !self.model.fallbacks.is_empty() && !self.model.is_configured() {
            return refuse(
                "model.fallbacks",
                "there is no model that they could stand in for: set model.base_url or model.api_key",
            );
        }
        let unknown = |name: &&String| !self.model.endpoints.contains_key(*name);
        match self.model.fallbacks.iter().find(unknown) {
            Some(name) => refuse(
                "model.fallbacks",
                &format!("there is no [model.endpoints.{name}]"),
            ),
            None => Ok(()),
        }
    }

    fn check_spending(&self) -> Result<(), Refusal> {
        let model = &self.model;
        let currency = model.currency.as_bytes();
        if currency.len() != 3 || !currency.iter().all(u8::is_ascii_lowercase) {
            return refuse("model.currency", "write a currency's three letters");
        }
        // What is not counted cannot be bounded, and would seem to cost nothing.
        let Some(key) = model.budgets.in_money().next() else {
            return Ok(());
        };
        let endpoints = model.endpoints();
        match endpoints
            .iter()
            .find(|one| model.prices.of(&one.model).is_none())
        {
            None => Ok(()),
            Some(endpoint) => refuse(
                key,
                &format!(
                    "nobody knows what the model `{0}` costs: write [model.prices.\"{0}\"] with `input` and `output` per \
                     million tokens, or leave the budget empty",
                    endpoint.model
                ),
            ),
        }
    }

    fn check_app(&self) -> Result<(), Refusal> {
        let (url, secrets) = (&self.app.webhook_url, &self.app.webhook_secrets);
        let Some(url) = url else {
            return if secrets.is_empty() {
                Ok(())
            } else {
                refuse(
                    "app.webhook_secrets",
                    "there is nobody to tell: set APP_WEBHOOK_URL too, or neither",
                )
            };
        };
        if !is_safe(url) {
            return refuse("app.webhook_url", SAFE);
        }
        if secrets.is_empty() {
            return refuse(
                "app.webhook_url",
                "there is nothing to sign with: set APP_WEBHOOK_SECRET too, here and in the application; \
                 `echo \"whsec_$(openssl rand -base64 32)\"` makes one",
            );
        }
        // https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
        let is_secret = |secret: &SecretString| {
            let secret = secret.expose_secret();
            secret.len() > "whsec_".len()
                && secret.starts_with("whsec_")
                && standardwebhooks::Webhook::new(secret).is_ok()
        };
        if !secrets.iter().all(is_secret) {
            return refuse(
                "app.webhook_secrets",
                "a secret is whsec_ and base64; `echo \"whsec_$(openssl rand -base64 32)\"` makes one",
            );
        }
        Ok(())
    }

    fn check_amounts_of_work(&self) -> Result<(), Refusal> {
        for (key, value) in [
            ("server.max_body", self.server.max_body),
            ("server.max_connections", self.server.max_connections),
            ("follow_up.concurrency", self.follow_up.concurrency),
            ("worker.batch", self.worker.batch),
            (
                "retry.attempts",
                usize::try_from(self.retry.attempts).unwrap_or(usize::MAX),
            ),
            (
                "inbox.max_backlog",
                usize::try_from(self.inbox.max_backlog).unwrap_or(usize::MAX),
            ),
        ] {
            if value == 0 {
                return refuse(key, "write a number over 0");
            }
        }
        for (key, value) in [
            ("server.request_timeout", self.server.request_timeout),
            ("redis.timeout", self.redis.timeout),
            ("database.timeout", self.database.timeout),
            ("model.attempt_timeout", self.model.attempt_timeout),
            ("model.first_byte_timeout", self.model.first_byte_timeout),
            ("model.run_timeout", self.model.run_timeout),
            ("worker.lease", self.worker.lease),
            ("worker.poll", self.worker.poll),
            ("retry.base", self.retry.base),
            ("outbox.expire", self.outbox.expire),
            ("approvals.expire", self.approvals.expire),
            ("backfill.first", self.backfill.first),
        ] {
            positive(key, value)?;
        }
        // A body's memory grows by doubling while it is read.
        if self.server.max_bytes_in_flight < self.server.max_body.saturating_mul(2) {
            return refuse(
                "server.max_bytes_in_flight",
                "it must be at least twice server.max_body",
            );
        }
        if self.worker.lease < SHORTEST_LEASE {
            return refuse(
                "worker.lease",
                "write at least 100ms: a shorter one ends while its work is being done",
            );
        }
        if self.backfill.overlap < SHORTEST_OVERLAP {
            return refuse(
                "backfill.overlap",
                "write at least 10m: events are listed late, and those of one second share it",
            );
        }
        if self.worker.poll >= self.worker.lease {
            return refuse("worker.lease", "it must be longer than worker.poll");
        }
        if self.retry.max < self.retry.base {
            return refuse("retry.max", "it must not be shorter than retry.base");
        }
        if self.model.run_timeout < self.model.attempt_timeout {
            return refuse(
                "model.run_timeout",
                "it must not be shorter than model.attempt_timeout",
            );
        }
        Ok(())
    }
}

/// Events of one second share it, and some are listed late; a shorter overlap would miss them without a word.
const SHORTEST_OVERLAP: Duration = Duration::from_mins(10);

/// What a claim, its work and the end of it take on a busy machine.
const SHORTEST_LEASE: Duration = Duration::from_millis(100);

/// What to write instead of an address that is not safe.
const SAFE: &str =
    "write an address that starts with https:// (http:// only to localhost, 127.0.0.1 or [::1])";

/// Whether what is sent there cannot be read on the way.
fn is_safe(url: &ServiceUrl) -> bool {
    let Ok(url) = reqwest::Url::parse(url.expose()) else {
        return false;
    };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    !host.is_empty() && (url.scheme() == "https" || url.scheme() == "http" && is_here)
}

fn refuse(key: &str, reason: &str) -> Result<(), Refusal> {
    Err((key.to_owned(), reason.to_owned()))
}

fn positive(key: &str, duration: Duration) -> Result<(), Refusal> {
    if duration.is_zero() {
        refuse(key, "write a duration over 0s")
    } else {
        Ok(())
    }
}

fn scheme(key: &str, url: Option<&ServiceUrl>, schemes: &[&str]) -> Result<(), Refusal> {
    match url {
        Some(url) if !schemes.contains(&url.scheme()) => refuse(
            key,
            &format!(
                "write an address that starts with {}:",
                schemes.join(": or ")
            ),
        ),
        _ => Ok(()),
    }
}
