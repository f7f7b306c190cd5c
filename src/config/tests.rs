//! The default file, the structs and the variables name the same keys, and nothing leaks.

mod refusals;
mod spending;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::layers::{DEFAULTS, WELL_KNOWN};
use super::*;

fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn from_environment(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_layers(None, &environment(variables))
}

fn from_file(text: &str) -> Result<Config, ConfigError> {
    Config::from_layers(Some((Path::new("billhook.toml"), text)), &BTreeMap::new())
}

fn refusal(result: Result<Config, ConfigError>) -> String {
    result.expect_err("this must be refused").to_string()
}

fn exposed(secrets: &[SecretString]) -> Vec<&str> {
    secrets.iter().map(ExposeSecret::expose_secret).collect()
}

#[test]
fn the_default_file_loads_and_holds_the_promised_defaults() {
    let config = Config::defaults().unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert!(config.server.admin_token.is_none());
    assert_eq!(config.server.max_body, 1 << 20);
    assert_eq!(config.stripe.tolerance, Duration::from_mins(5));
    assert!(config.stripe.accept_livemode && config.stripe.accept_testmode);
    assert!(config.stripe.accounts.is_empty() && config.stripe.endpoints.is_empty());
    assert_eq!(config.stripe.max_failed_verifications_per_minute, 100);
    assert_eq!(config.database.url.expose(), "sqlite://billhook.db");
    assert!(config.database.migrate);
    assert!(!config.model.is_configured());
    assert_eq!(config.model.currency, "usd");
    assert_eq!(
        config.model.budgets,
        BudgetsConfig {
            calls_per_run: Some(48),
            tokens_per_run: Some(150_000),
            cost_per_run: None,
            replies_per_customer_per_day: Some(60),
            tokens_per_customer_per_day: Some(500_000),
            cost_per_customer_per_day: None,
            tokens_per_day: Some(100_000_000),
            cost_per_day: None,
        }
    );
    assert!(config.email.smtp_url.is_none());
    assert_eq!(config.email.folder, Path::new("mail"));
    assert_eq!(config.follow_up.settle, Duration::from_secs(10));
    assert_eq!(config.follow_up.max_age, Duration::from_hours(24));
    assert_eq!(
        config.follow_up.first_contact_delay,
        Duration::from_mins(10)
    );
    assert_eq!(config.follow_up.concurrency, 32);
    assert_eq!(config.follow_up.decide_by, Duration::from_hours(1));
    assert_eq!(config.worker.lease, Duration::from_mins(1));
    assert_eq!(config.retry.attempts, 8);
    assert_eq!(config.retry.base, Duration::from_secs(2));
    assert_eq!(config.retry.max, Duration::from_hours(1));
    assert_eq!(config.sales.high_value.threshold("usd"), 500);
    assert_eq!(config.caps.mails_per_customer_per_day, 3);
    assert_eq!(config.caps.failure_mails_per_recipient_per_day, 1);
    assert_eq!(config.caps.mails_per_playbook_per_hour, 500);
    assert_eq!(config.inbox.max_backlog, 1_000_000);
    assert_eq!(config.backfill.interval, Duration::from_mins(15));
    assert_eq!(config.backfill.overlap, Duration::from_hours(1));
    assert_eq!(config.backfill.first, Duration::from_hours(72));
    assert_eq!(config.winback.delay, Duration::from_hours(7 * 24));
    assert_eq!(config.outbox.expire, Duration::from_hours(72));
    assert_eq!(config.approvals.expire, Duration::from_hours(24));
    assert_eq!(config.access.past_due_grace, Duration::from_hours(7 * 24));
    assert_eq!(config.access.on_lost_dispute, OnLostDispute::Keep);
    assert_eq!(
        config.links.allowed_hosts,
        ["invoice.stripe.com", "pay.stripe.com", "billing.stripe.com"]
    );
}

/// The structs take no key of the file for granted: each one that goes missing is named. (That they know no further
/// key follows from the test above, since they refuse unknown ones.)
#[test]
fn every_key_of_the_default_file_is_a_field_without_a_second_default() {
    let keys = Layers::defaults(DEFAULTS).unwrap().keys();
    assert!(keys.len() > 50, "only {} keys", keys.len());
    for key in keys {
        let mut layers = Layers::defaults(DEFAULTS).unwrap();
        layers.remove(&key);
        if key == "sales.high_value.default" {
            // A key that is the only one of its table takes the table with it.
            assert!(
                refusal(Config::from_tree(&layers)).contains("sales"),
                "{key}"
            );
            continue;
        }
        let error = refusal(Config::from_tree(&layers));
        let section = key
            .split_once('.')
            .map_or(key.as_str(), |(section, _)| section);
        assert!(
            error.contains(&key) || error.contains(&format!("`{section}`")),
            "{key}: {error}"
        );
        assert!(error.contains("missing"), "{key}: {error}");
    }
}

#[test]
fn every_field_of_the_structs_stands_in_the_default_file() {
    for line in [
        "[server]\nextra = 1",
        "extra = 1",
        "[extra]\nkey = 1",
        "[sales]\nextra = 1",
    ] {
        let mut text = DEFAULTS.to_owned();
        let (header, rest) = line.split_once('\n').unwrap_or(("", line));
        if text.contains(&format!("{header}\n")) && !header.is_empty() {
            text = text.replacen(&format!("{header}\n"), &format!("{header}\n{rest}\n"), 1);
        } else {
            text = format!("{line}\n{text}");
        }
        let layers = Layers::defaults(&text).unwrap();
        let error = refusal(Config::from_tree(&layers));
        assert!(error.contains("extra"), "{error}");
    }
}

#[test]
fn every_key_of_the_default_file_has_a_comment() {
    let mut previous = "";
    for line in DEFAULTS.lines() {
        let starts_group = previous.is_empty() || previous.starts_with('[');
        if line.contains(" = ") && !line.starts_with('#') {
            assert!(!starts_group, "`{line}` has no comment");
        }
        previous = line;
    }
}

#[test]
fn each_well_known_variable_lands_where_it_should() {
    let config = from_environment(&[
        ("STRIPE_WEBHOOK_SECRET", " whsec_new , whsec_old\n"),
        ("STRIPE_SECRET_KEY", "sk_test_1"),
        ("STRIPE_API_BASE", "http://127.0.0.1:12111"),
        ("DATABASE_URL", "postgres://app:hunter2@db/billhook"),
        ("REDIS_URL", "redis://cache"),
        ("OPENAI_API_KEY", "sk-model"),
        ("OPENAI_BASE_URL", "http://localhost:11434/v1"),
        ("OPENAI_MODEL", "llama"),
        ("SMTP_URL", "smtp://mail.example:587"),
        ("EMAIL_FROM", "Acme <billing@acme.example>"),
        ("SALES_EMAIL", "sales@acme.example"),
        ("FINANCE_EMAIL", "finance@acme.example"),
        ("SALES_WEBHOOK_URL", "https://hooks.example/sales"),
        ("FINANCE_WEBHOOK_URL", "https://hooks.example/finance"),
        ("BILLHOOK_LISTEN", "0.0.0.0:9000"),
        ("BILLHOOK_ADMIN_TOKEN", "token"),
        ("RUST_LOG", "debug"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318"),
    ])
    .unwrap();
    let secret =
        |secret: &Option<SecretString>| secret.as_ref().unwrap().expose_secret().to_owned();
    assert_eq!(
        exposed(&config.stripe.webhook_secrets),
        ["whsec_new", "whsec_old"]
    );
    assert_eq!(secret(&config.stripe.secret_key), "sk_test_1");
    assert_eq!(config.stripe.api_base.expose(), "http://127.0.0.1:12111");
    assert_eq!(
        config.database.url.expose(),
        "postgres://app:hunter2@db/billhook"
    );
    assert_eq!(config.redis.url.as_ref().unwrap().expose(), "redis://cache");
    assert_eq!(secret(&config.model.api_key), "sk-model");
    assert_eq!(
        config.model.base_url.as_ref().unwrap().expose(),
        "http://localhost:11434/v1"
    );
    assert_eq!(config.model.name, "llama");
    assert!(config.model.is_configured());
    assert_eq!(
        config.email.smtp_url.as_ref().unwrap().expose(),
        "smtp://mail.example:587"
    );
    assert_eq!(config.email.from.email.domain(), "acme.example");
    assert_eq!(
        config.email.sales.as_ref().unwrap().to_string(),
        "sales@acme.example"
    );
    assert_eq!(
        config.email.finance.as_ref().unwrap().to_string(),
        "finance@acme.example"
    );
    assert_eq!(
        secret(&config.notify.sales_webhook_url),
        "https://hooks.example/sales"
    );
    assert_eq!(
        secret(&config.notify.finance_webhook_url),
        "https://hooks.example/finance"
    );
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:9000");
    assert_eq!(secret(&config.server.admin_token), "token");
    assert_eq!(config.telemetry.log, "debug");
    assert_eq!(
        config.telemetry.otlp_endpoint.as_ref().unwrap().expose(),
        "http://localhost:4318"
    );
    for (name, _) in WELL_KNOWN {
        assert!(
            DEFAULTS.contains(name),
            "{name} is not explained in the default file"
        );
    }
}

#[test]
fn the_content_of_spans_is_switched_as_the_conventions_do() {
    let name = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT";
    for (value, captured) in [
        ("true", true),
        ("false", false),
        ("SPAN_ONLY", true),
        ("SPAN_AND_EVENT", true),
        ("EVENT_ONLY", false),
        ("NO_CONTENT", false),
    ] {
        let config = from_environment(&[(name, value)]).unwrap();
        assert_eq!(config.telemetry.capture_content, captured, "{value}");
    }
    assert!(from_environment(&[(name, "sometimes")]).is_err());
    assert!(!Config::defaults().unwrap().telemetry.capture_content);
}

#[test]
fn an_empty_well_known_variable_counts_as_unset() {
    let variables: Vec<_> = WELL_KNOWN.iter().map(|(name, _)| (*name, " ")).collect();
    let config = from_environment(&variables).unwrap();
    assert_eq!(config.redacted(), Config::defaults().unwrap().redacted());
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let file = (
        Path::new("billhook.toml"),
        "[follow_up]\nsettle = \"1s\"\nconcurrency = 3\n[sales.high_value]\nEUR = 400\n[links]\nallowed_hosts = []\n",
    );
    let config = Config::from_layers(
        Some(file),
        &environment(&[
            ("BILLHOOK__FOLLOW_UP__SETTLE", "500ms"),
            ("BILLHOOK__SALES__HIGH_VALUE__EUR", "300"),
            ("BILLHOOK__SALES__HIGH_VALUE__JPY", "75000"),
            ("BILLHOOK__STRIPE__ACCEPT_LIVEMODE", "false"),
            ("BILLHOOK__STRIPE__ACCOUNTS", "acct_1, acct_2"),
            ("BILLHOOK__MONEY__EXPONENTS__ISK", "0"),
            ("BILLHOOK__STRIPE__ENDPOINTS__EU__SECRETS", "whsec_eu"),
            ("BILLHOOK__STRIPE__ENDPOINTS__EU__ACCOUNT", "acct_eu"),
            ("DATABASE_URL", "sqlite://general.db"),
            ("BILLHOOK__DATABASE__URL", "sqlite://own.db"),
        ]),
    )
    .unwrap();
    assert_eq!(config.follow_up.settle, Duration::from_millis(500));
    assert_eq!(config.follow_up.concurrency, 3);
    assert_eq!(config.follow_up.max_age, Duration::from_hours(24));
    assert_eq!(config.sales.high_value.threshold("EUR"), 300);
    assert_eq!(config.sales.high_value.threshold("jpy"), 75_000);
    assert_eq!(config.sales.high_value.threshold("usd"), 500);
    assert!(config.links.allowed_hosts.is_empty());
    assert!(!config.stripe.accept_livemode);
    assert_eq!(config.stripe.accounts, ["acct_1", "acct_2"]);
    assert_eq!(config.money.exponents.get("isk"), Some(&0));
    let eu = &config.stripe.endpoints["eu"];
    assert_eq!(exposed(&eu.secrets), ["whsec_eu"]);
    assert_eq!(eu.account.as_deref(), Some("acct_eu"));
    assert_eq!(config.database.url.expose(), "sqlite://own.db");
}

#[test]
fn serving_needs_a_webhook_secret() {
    let error = Config::defaults()
        .unwrap()
        .require_webhook_secret()
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("STRIPE_WEBHOOK_SECRET") && error.contains("billhook demo"),
        "{error}"
    );
    for name in [
        "STRIPE_WEBHOOK_SECRET",
        "BILLHOOK__STRIPE__ENDPOINTS__EU__SECRETS",
    ] {
        let config = from_environment(&[(name, "whsec_a")]).unwrap();
        config.require_webhook_secret().unwrap();
    }
}

#[test]
fn nothing_secret_is_printed() {
    let config = from_environment(&[
        ("STRIPE_WEBHOOK_SECRET", "whsec_hunter2"),
        ("STRIPE_SECRET_KEY", "sk_hunter2"),
        ("OPENAI_API_KEY", "sk-hunter2"),
        (
            "OPENAI_BASE_URL",
            "https://u:hunter2@llm.example/v1?key=hunter2",
        ),
        ("BILLHOOK_ADMIN_TOKEN", "hunter2"),
        ("DATABASE_URL", "postgres://app:hunter2@db/billhook"),
        ("REDIS_URL", "redis://:hunter2@cache"),
        ("SMTP_URL", "smtps://app:hunter2@mail.example"),
        ("SALES_WEBHOOK_URL", "https://hooks.example/hunter2"),
        ("FINANCE_WEBHOOK_URL", "https://hooks.example/hunter2"),
        ("BILLHOOK__STRIPE__ENDPOINTS__EU__SECRETS", "hunter2"),
    ])
    .unwrap();
    for printed in [config.redacted(), format!("{config:?}")] {
        assert!(!printed.contains("hunter2"), "{printed}");
        assert!(printed.contains("app:***@db/billhook"), "{printed}");
    }
}

#[test]
fn a_named_file_has_to_exist() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.toml");
    let error = refusal(Config::load(Some(&path), &BTreeMap::new()));
    assert!(error.contains("own.toml"), "{error}");
    std::fs::write(&path, "[worker]\nbatch = 7\n").unwrap();
    assert_eq!(
        Config::load(Some(&path), &BTreeMap::new())
            .unwrap()
            .worker
            .batch,
        7
    );
}
