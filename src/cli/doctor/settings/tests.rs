//! What each setting is told.

use super::*;
use std::collections::BTreeMap;

type Settings<'a> = &'a [(&'a str, &'a str)];

/// What the check of this name says with these settings.
fn found(check: &str, settings: Settings<'_>) -> String {
    let env: BTreeMap<String, String> = settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let config = Config::from_layers(None, &env).unwrap();
    let finding = look(&config)
        .into_iter()
        .find(|finding| finding.check == check)
        .unwrap();
    let shown = format!("{finding:?}");
    for secret in ["hunter2", "0123456789abcdef"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let to_do = matches!(finding.outcome.word(), "warning" | "failed");
    assert_eq!(finding.next.is_some(), to_do, "{shown}");
    format!("{}: {}", finding.outcome.word(), finding.found)
}

fn check(name: &str, cases: &[(Settings<'_>, &str)]) {
    for (settings, expected) in cases {
        let found = found(name, settings);
        assert!(found.starts_with(expected), "{settings:?}: {found}");
    }
}

#[test]
fn secrets_and_keys_are_judged_by_their_form() {
    let listen = format!("whsec_{}", "0123456789abcdef".repeat(4));
    let secret = "STRIPE_WEBHOOK_SECRET";
    check(
        "webhook secrets",
        &[
            (&[], "failed: none"),
            (&[(secret, "sk_live_hunter2")], "failed: this is an API key"),
            (&[(secret, "hunter2")], "warning: one does not start with"),
            (&[(secret, &listen)], "warning: 1 for 1 endpoint(s), in the"),
            (&[(secret, "whsec_hunter2,whsec_b")], "ok: 2 for 1 endpoint"),
        ],
    );
    let key = "STRIPE_SECRET_KEY";
    let no_test = ("BILLHOOK__STRIPE__ACCEPT_TESTMODE", "false");
    check(
        "Stripe API key",
        &[
            (&[], "off: none"),
            (&[(key, "rk_live_hunter2")], "ok: a restricted key for live"),
            (
                &[(key, "sk_live_hunter2")],
                "warning: a secret key for live",
            ),
            (
                &[(key, "rk_test_hunter2"), no_test],
                "warning: a key for test mode, whose",
            ),
            (&[(key, "whsec_hunter2")], "failed: "),
        ],
    );
    let token = "BILLHOOK_ADMIN_TOKEN";
    check(
        "admin token",
        &[
            (&[], "warning: none"),
            (&[(token, "hunter2")], "warning: it has only 7"),
            (&[(token, "hunter2hunter2hunter2")], "ok: set"),
        ],
    );
}

#[test]
fn ways_out_are_judged_without_using_them() {
    let smtp = ("SMTP_URL", "smtp://mail.example");
    let from = ("EMAIL_FROM", "A <a@acme.example>");
    check(
        "sender",
        &[
            (&[], "warning: EMAIL_FROM is at localhost, which"),
            (&[smtp], "failed: "),
            (&[smtp, from], "ok: mails come from the domain acme.example"),
        ],
    );
    check(
        "sales",
        &[
            (&[], "warning: cannot be told"),
            (&[("SALES_EMAIL", "a@acme.example")], "ok: told by mail"),
            (
                &[("SALES_WEBHOOK_URL", "https://hooks.example/hunter2")],
                "ok: told by a chat webhook",
            ),
        ],
    );
    check(
        "finance",
        &[(&[("FINANCE_WEBHOOK_URL", "https://")], "failed: ")],
    );
    let link = "BILLHOOK__LINKS__UPDATE_PAYMENT";
    check(
        "payment link",
        &[
            (&[], "warning: none"),
            (
                &[(link, "https://acme.example/card")],
                "ok: customers are sent to acme.example",
            ),
            (&[(link, "https://localhost/card")], "failed: "),
        ],
    );
}

#[test]
fn what_billhook_works_with_is_judged() {
    check(
        "configuration",
        &[
            (&[("RUST_LOG", "billhook=loud=quiet")], "failed: "),
            (&[], "ok: "),
        ],
    );
    check(
        "model",
        &[
            (&[], "off: "),
            (
                &[("OPENAI_API_KEY", "hunter2"), ("OPENAI_MODEL", "m-1")],
                "ok: asked in this order: m-1 at `first`",
            ),
        ],
    );
    check(
        "prompts",
        &[
            (&[], "ok: "),
            (&[("BILLHOOK__PROMPTS__FOLDER", "/nowhere")], "failed: "),
        ],
    );
}
