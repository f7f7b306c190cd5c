//! What can be said of a configuration without asking anybody.

use secrecy::{ExposeSecret, SecretString};

use super::finding::Finding;
use crate::agent::prompts::Prompts;
use crate::config::{Config, EmailConfig, StripeConfig};
use crate::outbox::ChatWebhook;
use crate::stripe::signature::SigningSecrets;
use crate::telemetry;

/// The length of what `stripe listen` signs with: as many hexadecimal digits.
const LISTEN_DIGITS: usize = 64;
/// A shorter token can be guessed.
const TOKEN_CHARS: usize = 16;

/// The checks of single sections, in the order in which they are shown.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    vec![
        log_filter(config),
        webhook_secrets(&config.stripe),
        api_key(&config.stripe),
        model(config),
        sender(&config.email),
        channel(
            "sales",
            config.notify.sales_webhook_url.as_ref(),
            config.email.sales.is_some(),
            "set SALES_WEBHOOK_URL or SALES_EMAIL",
        ),
        channel(
            "finance",
            config.notify.finance_webhook_url.as_ref(),
            config.email.finance.is_some(),
            "set FINANCE_WEBHOOK_URL or FINANCE_EMAIL",
        ),
        links(config),
        prompts(config),
        admin_token(config.server.admin_token.as_ref()),
    ]
}

fn log_filter(config: &Config) -> Finding {
    match telemetry::subscriber(&config.telemetry, false, std::io::sink, None) {
        Ok(_) => Finding::ok("configuration", "readable, and every key is known"),
        Err(error) => Finding::failed(
            "configuration",
            error.to_string(),
            "correct telemetry.log or RUST_LOG",
        ),
    }
}

fn webhook_secrets(stripe: &StripeConfig) -> Finding {
    const CHECK: &str = "webhook secrets";
    let secrets: Vec<&str> = stripe
        .webhook_secrets
        .iter()
        .chain(
            stripe
                .endpoints
                .values()
                .flat_map(|endpoint| &endpoint.secrets),
        )
        .map(ExposeSecret::expose_secret)
        .collect();
    if secrets.is_empty() {
        return Finding::failed(
            CHECK,
            "none: no event could be trusted, and `serve` does not start",
            "set STRIPE_WEBHOOK_SECRET to what Stripe shows at Workbench > Webhooks > your endpoint",
        );
    }
    if let Err(error) = SigningSecrets::new(secrets.iter().copied()) {
        return Finding::failed(CHECK, error.to_string(), "copy the endpoint's secret again");
    }
    let digits = |secret: &&str| secret.strip_prefix("whsec_").map(str::to_owned);
    let Some(digits) = secrets.iter().map(digits).collect::<Option<Vec<_>>>() else {
        return Finding::warning(
            CHECK,
            "one does not start with whsec_, as all of Stripe's do",
            "check that it is a signing secret, and copied as a whole",
        );
    };
    let is_listen = |digits: &String| {
        digits.len() == LISTEN_DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let of_listen = digits.iter().filter(|digits| is_listen(digits)).count();
    let found = format!(
        "{} for {} endpoint(s)",
        secrets.len(),
        stripe.endpoints.len() + usize::from(!stripe.webhook_secrets.is_empty())
    );
    if of_listen == secrets.len() {
        let found = format!("{found}, in the form that `stripe listen` prints");
        return Finding::warning(
            CHECK,
            found,
            "fine for trying out; for real events take the secret of an endpoint of the Dashboard",
        );
    }
    Finding::ok(CHECK, found)
}

fn api_key(stripe: &StripeConfig) -> Finding {
    const CHECK: &str = "Stripe API key";
    let Some(key) = &stripe.secret_key else {
        return Finding::off(CHECK, "none: nothing is fetched from Stripe");
    };
    let key = key.expose_secret();
    let mode = if key.contains("_live_") {
        "live"
    } else {
        "test"
    };
    let refused = match mode {
        "live" => !stripe.accept_livemode,
        _ => !stripe.accept_testmode,
    };
    if refused {
        return Finding::warning(
            CHECK,
            format!("a key for {mode} mode, whose events are not accepted"),
            "take the other mode's key, or set stripe.accept_livemode or stripe.accept_testmode",
        );
    }
    if key.starts_with("rk_live_") || key.starts_with("rk_test_") {
        Finding::ok(CHECK, format!("a restricted key for {mode} mode"))
    } else if key.starts_with("sk_live_") || key.starts_with("sk_test_") {
        Finding::warning(
            CHECK,
            format!("a secret key for {mode} mode: whoever has it may do everything"),
            "make a restricted key (rk_…) that may read, at Stripe: Developers > API keys",
        )
    } else {
        Finding::failed(
            CHECK,
            "it starts neither with rk_ nor with sk_ and a mode",
            "set STRIPE_SECRET_KEY to a key of Stripe: Developers > API keys",
        )
    }
}

fn model(config: &Config) -> Finding {
    let endpoints = config.model.endpoints();
    if endpoints.is_empty() {
        return Finding::off("model", "none: the built-in rules choose follow-ups");
    }
    let names: Vec<String> = endpoints
        .iter()
        .map(|endpoint| format!("{} at `{}`", endpoint.model, endpoint.name))
        .collect();
    Finding::ok(
        "model",
        format!("asked in this order: {}", names.join(", ")),
    )
}

fn sender(email: &EmailConfig) -> Finding {
    const CHECK: &str = "sender";
    let domain = email.from.email.domain();
    if domain != "localhost" {
        return Finding::ok(CHECK, format!("mails come from the domain {domain}"));
    }
    let next = "set EMAIL_FROM to an address of your own domain";
    if email.smtp_url.is_some() {
        Finding::failed(
            CHECK,
            "EMAIL_FROM is at localhost: mail servers refuse it",
            next,
        )
    } else {
        Finding::warning(
            CHECK,
            "EMAIL_FROM is at localhost, which is good enough for files",
            next,
        )
    }
}

/// Nothing is posted: a check must not be read by people.
fn channel(
    check: &'static str,
    webhook: Option<&SecretString>,
    by_mail: bool,
    next: &str,
) -> Finding {
    match webhook.map(|url| ChatWebhook::new(url.clone())) {
        Some(Ok(_)) => Finding::ok(check, "told by a chat webhook (its address looks right)"),
        Some(Err(error)) => Finding::failed(check, error.to_string(), next),
        None if by_mail => Finding::ok(check, "told by mail"),
        None => Finding::warning(
            check,
            "cannot be told: notices stay in the outbox, where `billhook outbox list` shows them",
            next,
        ),
    }
}

fn links(config: &Config) -> Finding {
    const CHECK: &str = "payment link";
    // Whether it is https was asked when the configuration was read.
    let Some(link) = &config.links.update_payment else {
        return Finding::warning(
            CHECK,
            "none: where an invoice has no page of Stripe's, mails ask the customer to reply",
            "set links.update_payment to the page where customers update a card",
        );
    };
    match reqwest::Url::parse(link) {
        Ok(url) if url.has_host() && url.host_str() != Some("localhost") => Finding::ok(
            CHECK,
            format!(
                "customers are sent to {}",
                url.host_str().unwrap_or_default()
            ),
        ),
        _ => Finding::failed(
            CHECK,
            "links.update_payment is no address that a customer could open",
            "write it as https://HOST/PATH",
        ),
    }
}

fn prompts(config: &Config) -> Finding {
    const CHECK: &str = "prompts";
    let prompts = match Prompts::open(config.prompts.folder.as_deref()) {
        Ok(prompts) => prompts,
        Err(error) => {
            return Finding::failed(CHECK, error.to_string(), "see `billhook prompts check`");
        }
    };
    let tools = billhook_tools::all();
    let names: Vec<&str> = tools.iter().map(|tool| tool.name()).collect();
    let problems = prompts.check(&names);
    match problems.first() {
        None => Finding::ok(
            CHECK,
            format!("{} playbooks are in order", prompts.playbooks.len()),
        ),
        Some(problem) => Finding::failed(
            CHECK,
            format!("{} problem(s), the first: {problem}", problems.len()),
            "see `billhook prompts check`",
        ),
    }
}

fn admin_token(token: Option<&SecretString>) -> Finding {
    const CHECK: &str = "admin token";
    let next = "set BILLHOOK_ADMIN_TOKEN to 32 random bytes: `openssl rand -hex 32`";
    match token.map(|token| token.expose_secret().chars().count()) {
        None => Finding::warning(CHECK, "none: each start makes and prints a new one", next),
        Some(chars) if chars < TOKEN_CHARS => {
            Finding::warning(CHECK, format!("it has only {chars} characters"), next)
        }
        Some(_) => Finding::ok(CHECK, "set"),
    }
}

#[cfg(test)]
mod tests;
