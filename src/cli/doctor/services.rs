//! The services that billhook talks to: the mail server, Redis and Stripe's API. Nothing is sent to anybody.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::net::TcpStream;

use super::finding::Finding;
use crate::clock::Clock;
use crate::config::{
    AppConfig, EmailConfig, RedisConfig, ServiceUrl, StripeConfig, TelemetryConfig,
};
use crate::hints::{RedisUnusable, try_out};
use crate::outbox::SmtpMailer;
use crate::stripe::api::{ApiError, Scope, StripeApi};
use crate::telemetry::{self, in_one_line};

/// The way mails leave: connect, TLS and login, and no mail; or the folder for files.
pub(super) async fn mail(email: &EmailConfig, clock: Arc<dyn Clock>) -> Finding {
    const CHECK: &str = "mail";
    let Some(url) = &email.smtp_url else {
        return super::machine::mail_folder(&email.folder);
    };
    let secret = SecretString::from(url.expose().to_owned());
    let mailer = match SmtpMailer::from_url(&secret, clock) {
        Ok(mailer) => mailer,
        Err(error) => {
            return Finding::failed(CHECK, in_one_line(&error), "correct SMTP_URL");
        }
    };
    match mailer.probe().await {
        Ok(()) => Finding::ok(CHECK, format!("{} lets us in", place(url))),
        Err(error) => Finding::failed(
            CHECK,
            format!("{}: {}", place(url), in_one_line(&error)),
            "check host, port, user and password of SMTP_URL; mails wait in the outbox meanwhile",
        ),
    }
}

/// Host, port and what follows: the user of a mail server is often a person's address.
fn place(url: &ServiceUrl) -> String {
    let url = url.to_string();
    let place = url.rsplit_once(['@', '/']).map_or("", |(_, place)| place);
    place.to_owned()
}

/// Whether somebody listens where the application is said to be. Nothing is told.
pub(super) async fn application(config: &AppConfig) -> Finding {
    const CHECK: &str = "application";
    let Some(url) = &config.webhook_url else {
        return Finding::off(CHECK, "none: nobody but people is told what changed");
    };
    let (place, port) = (place(url), if url.scheme() == "http" { 80 } else { 443 });
    match connect(url, port).await {
        Ok(_) => Finding::ok(
            CHECK,
            format!(
                "{place} is there, and messages get {} signature(s)",
                config.webhook_secrets.len()
            ),
        ),
        Err(error) => Finding::warning(
            CHECK,
            format!("{place}: {}", in_one_line(&error)),
            "start it or correct APP_WEBHOOK_URL; messages wait meanwhile, until outbox.expire",
        ),
    }
}

/// Whether Redis can be used as `serve` would use it. Only latency hangs on it, so nothing fails without it.
pub(super) async fn redis(config: &RedisConfig) -> Finding {
    const CHECK: &str = "redis";
    let Some(url) = &config.url else {
        return Finding::off(
            CHECK,
            "none: processes find each other's work by looking for it",
        );
    };
    let place = place(url);
    match try_out(config).await {
        Ok(()) => Finding::ok(CHECK, format!("{place} answers")),
        Err(RedisUnusable::Url(error)) => {
            Finding::failed(CHECK, in_one_line(&error), "correct REDIS_URL")
        }
        Err(RedisUnusable::Away(why)) => Finding::warning(
            CHECK,
            format!("{place}: {why}"),
            "start it or correct REDIS_URL; until then billhook works without it",
        ),
    }
}

/// Whether Stripe knows the key and lets it list events, which is what finds the missed ones.
pub(super) async fn stripe(config: &StripeConfig, limit: Duration) -> Finding {
    const CHECK: &str = "Stripe API";
    const NEXT: &str =
        "set STRIPE_SECRET_KEY to a key that may read events; without one nothing else is worse";
    const ELSEWHERE: &str = "check `stripe.api_base`, and what stands between";
    let config = StripeConfig {
        api_deadline: limit,
        ..config.clone()
    };
    let api = match StripeApi::new(&config) {
        Ok(None) => return Finding::off(CHECK, "there is no key to ask with"),
        Ok(Some(api)) => api,
        Err(error) => return Finding::failed(CHECK, in_one_line(&error), NEXT),
    };
    if api.livemode().is_none() {
        return Finding::off(CHECK, "not asked: the key is none of Stripe's");
    }
    let own = Scope::default();
    match api.get("/v1/events", &[("limit", "1")], &own).await {
        Ok(_) => Finding::ok(CHECK, "it answers, and the key may list events"),
        Err(error) if error.is_passing() => Finding::warning(
            CHECK,
            in_one_line(&error),
            "check the way to Stripe; missed events are looked for when it answers",
        ),
        Err(ApiError::Gone) => {
            Finding::failed(CHECK, "what answers has no /v1/events (404)", ELSEWHERE)
        }
        Err(
            error @ (ApiError::Redirected { .. }
            | ApiError::NotJson(_)
            | ApiError::NotAList { .. }
            | ApiError::TooLarge),
        ) => Finding::failed(CHECK, in_one_line(&error), ELSEWHERE),
        Err(error) => Finding::failed(CHECK, in_one_line(&error), NEXT),
    }
}

/// Whether the receiver of traces takes them. Nothing is sent but a request without a span.
pub(super) async fn traces(config: &TelemetryConfig) -> Finding {
    const CHECK: &str = "traces";
    let Some(endpoint) = &config.otlp_endpoint else {
        return Finding::off(CHECK, "none: no traces are exported");
    };
    let place = place(endpoint);
    match telemetry::try_out(endpoint).await {
        Ok(()) if config.capture_content => Finding::warning(
            CHECK,
            format!("{place} takes them, and what a model is asked and answers stands in them"),
            "fine for trying out; else set telemetry.capture_content to false",
        ),
        Ok(()) => Finding::ok(CHECK, format!("{place} takes them")),
        Err(why) => Finding::warning(
            CHECK,
            format!("{place}: {why}"),
            "check OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS; spans are lost meanwhile, and nothing else",
        ),
    }
}

/// A bare connection to where a service is said to be: what the system says of it is what a person can act on.
/// [`io::ErrorKind::Other`] where the address names no host, as a socket's in the file system.
pub(super) async fn connect(url: &ServiceUrl, default_port: u16) -> io::Result<TcpStream> {
    let url = reqwest::Url::parse(url.expose()).map_err(io::Error::other)?;
    let host = url
        .host_str()
        .filter(|host| !host.is_empty() && !host.contains('%'))
        .ok_or_else(|| io::Error::other("the address names no host"))?;
    let host = host.trim_matches(['[', ']']);
    TcpStream::connect((host, url.port().unwrap_or(default_port))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_without_a_host_is_not_taken_for_one_that_refuses() {
        for url in [
            "postgres:///billhook?host=/run",
            "postgres://%2Frun/billhook",
        ] {
            let error = connect(&url.parse().unwrap(), 1).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Other, "{url}");
        }
        let error = connect(&"redis://127.0.0.1".parse().unwrap(), 1).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_place_has_no_user_and_no_password() {
        for (url, shown) in [
            (
                "smtp://ada@acme.example:hunter2@mail.example:587",
                "mail.example:587",
            ),
            ("smtp://mail.example", "mail.example"),
            ("redis://:hunter2@cache:6379", "cache:6379"),
        ] {
            assert_eq!(place(&url.parse().unwrap()), shown);
        }
    }
}
