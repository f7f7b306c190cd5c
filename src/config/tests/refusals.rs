//! What is refused says which key, where it stands and why, and never repeats a secret.

use super::*;

#[test]
fn unknown_keys_are_refused_by_name_and_place() {
    let cases = [
        (
            "[follow_up]\nsetle = \"5s\"",
            "`follow_up.setle` in billhook.toml: `follow_up` has concurrency",
        ),
        ("[folow_up]\n", "`folow_up` in billhook.toml"),
        ("settle = \"5s\"", "`settle` in billhook.toml"),
        ("follow_up = 3", "`follow_up` is a section"),
        (
            "[follow_up.settle]\nx = 1",
            "`follow_up.settle.x` in billhook.toml",
        ),
        (
            "[stripe.endpoints.EU]\nsecrets = [\"whsec_1\"]",
            "its name made of a-z",
        ),
        (
            "[stripe.endpoints.eu]\nsecret = [\"whsec_1\"]",
            "`stripe.endpoints.eu.secret`",
        ),
        ("[stripe.endpoints.eu]\n", "`stripe.endpoints.eu`"),
        ("[sales.high_value]\ndollars = 3", "three letters"),
    ];
    for (text, expected) in cases {
        let error = refusal(from_file(text));
        assert!(error.starts_with("unknown key"), "{text}: {error}");
        assert!(error.contains(expected), "{text}: {error}");
    }
    for name in [
        "BILLHOOK__FOLLOW_UP__SETLE",
        "BILLHOOK__NOTHING",
        "BILLHOOK_FOLLOW_UP__SETTLE",
        "BILLHOOK__",
    ] {
        let error = refusal(from_environment(&[(name, "1s")]));
        assert!(error.starts_with("unknown key"), "{error}");
        assert!(
            error.contains(&format!("environment variable {name}")),
            "{error}"
        );
    }
}

#[test]
fn variables_of_container_platforms_are_let_be() {
    from_environment(&[
        ("BILLHOOK_PORT", "tcp://10.0.0.1:80"),
        ("BILLHOOK_SERVICE_HOST", "10.0.0.1"),
    ])
    .unwrap();
}

#[test]
fn values_are_refused_by_key_place_and_reason() {
    let cases = [
        (
            "BILLHOOK__FOLLOW_UP__SETTLE",
            "10",
            "`follow_up.settle` in environment variable BILLHOOK__FOLLOW_UP__SETTLE: `10` is no duration",
        ),
        ("BILLHOOK__FOLLOW_UP__SETTLE", "", "`` is no duration"),
        (
            "BILLHOOK__WORKER__BATCH",
            "many",
            "`worker.batch` in environment variable BILLHOOK__WORKER__BATCH: write a whole number",
        ),
        ("BILLHOOK__WORKER__BATCH", "0", "over 0"),
        ("BILLHOOK__BACKFILL__OVERLAP", "5m", "at least 10m"),
        ("BILLHOOK__BACKFILL__FIRST", "0s", "over 0s"),
        ("BILLHOOK__STRIPE__API_DEADLINE", "0s", "over 0s"),
        ("BILLHOOK__WORKER__BATCH", "-1", "`worker.batch`"),
        (
            "BILLHOOK__RETRY__ATTEMPTS",
            "99999999999",
            "`retry.attempts`",
        ),
        ("BILLHOOK__DATABASE__MIGRATE", "yes", "write true or false"),
        (
            "BILLHOOK__MONEY__EXPONENTS__ISK",
            "4",
            "`money.exponents.isk`",
        ),
        (
            "BILLHOOK__LINKS__UPDATE_PAYMENT",
            "http://acme.example",
            "https://",
        ),
        (
            "BILLHOOK__LINKS__ALLOWED_HOSTS",
            "https://pay.stripe.com",
            "without scheme",
        ),
        ("BILLHOOK__STRIPE__ACCOUNTS", "acme", "acct_"),
        (
            "BILLHOOK__SERVER__MAX_CONNECTIONS",
            "0",
            "write a number over 0",
        ),
        (
            "BILLHOOK__SERVER__MAX_BYTES_IN_FLIGHT",
            "2097151",
            "at least twice server.max_body",
        ),
        (
            "BILLHOOK__STRIPE__ENDPOINTS__EU__ACCOUNT",
            "acct_1",
            "`stripe.endpoints.eu.secrets` in environment variable BILLHOOK__STRIPE__ENDPOINTS__EU__ACCOUNT",
        ),
        (
            "BILLHOOK__BUSINESS__SUPPORT_EMAIL",
            "nobody",
            "`business.support_email`",
        ),
        (
            "EMAIL_FROM",
            "nobody",
            "`email.from` in environment variable EMAIL_FROM",
        ),
        (
            "BILLHOOK_LISTEN",
            "8080",
            "`server.listen` in environment variable BILLHOOK_LISTEN",
        ),
        (
            "REDIS_URL",
            "postgres://cache",
            "starts with redis: or rediss:",
        ),
    ];
    for (name, value, expected) in cases {
        let error = refusal(from_environment(&[(name, value)]));
        assert!(error.contains(expected), "{name}={value}: {error}");
    }
    for (text, expected) in [
        (
            "[worker]\nbatch = \"many\"",
            "`worker.batch` in billhook.toml",
        ),
        ("[worker]\nbatch = 2.5", "write a whole number"),
        ("[worker]\nlease = 60", "write a text in quotes"),
        ("[database]\nmigrate = 1", "write true or false"),
        ("[stripe]\naccounts = [1]", "entry 1 is no text"),
        ("[sales.high_value]\nEUR = 1\neur = 2", "set twice"),
    ] {
        let error = refusal(from_file(text));
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_word_is_refused_with_the_words_there_are() {
    for (name, value, expected) in [
        (
            "BILLHOOK__TELEMETRY__LOG_FORMAT",
            "xml",
            "`telemetry.log_format` in environment variable BILLHOOK__TELEMETRY__LOG_FORMAT: unknown variant `xml`, expected `text` or `json`",
        ),
        (
            "BILLHOOK__ACCESS__ON_LOST_DISPUTE",
            "foo",
            "`access.on_lost_dispute` in environment variable BILLHOOK__ACCESS__ON_LOST_DISPUTE: unknown variant `foo`, expected `keep` or `end`",
        ),
    ] {
        let error = refusal(from_environment(&[(name, value)]));
        assert!(error.contains(expected), "{name}={value}: {error}");
    }
}

#[test]
fn values_that_do_not_go_together_are_refused() {
    for (name, value, expected) in [
        ("BILLHOOK__WORKER__LEASE", "1s", "longer than worker.poll"),
        ("BILLHOOK__WORKER__LEASE", "30ms", "at least 100ms"),
        (
            "DATABASE_URL",
            "sqlite://b.db?mode=ro",
            "`database.url` in environment variable DATABASE_URL: an address of SQLite takes no parameters",
        ),
        ("BILLHOOK__RETRY__MAX", "1s", "retry.base"),
    ] {
        let error = refusal(from_environment(&[(name, value)]));
        assert!(error.contains(expected), "{name}={value}: {error}");
    }
}

#[test]
fn a_webhook_secret_is_refused_when_it_was_pasted_badly() {
    for (value, reason) in [
        ("whsec_a,,whsec_b", "entry 2 is empty"),
        ("whsec_a,", "entry 2 is empty"),
        (",", "entry 1 is empty"),
        ("whsec_a whsec_b", "entry 1 contains a space"),
        (
            "whsec_a,whsec\n_b",
            "entry 2 contains a space or a line break",
        ),
    ] {
        let error = refusal(from_environment(&[("STRIPE_WEBHOOK_SECRET", value)]));
        assert!(error.contains(reason), "{value:?}: {error}");
        assert!(!error.contains("whsec"), "{error}");
    }
}

#[test]
fn errors_do_not_repeat_secrets_either() {
    for text in [
        "[stripe]\nsecret_key = \"sk hunter2\"",
        "[stripe]\nsecret_key = \"hunter2",
        "[stripe]\nwebhook_secrets = [\"hunter2\", 5]",
        "[server]\nadmin_token = hunter2",
        "[database]\nurl = \"hunter2\"",
        "[database]\nurl = \"mysql://app:hunter2@db\"",
        "[notify]\nsales_webhook_url = \"hunter2\"",
    ] {
        let error = from_file(text).expect_err(text);
        assert!(
            !format!("{error} {error:?}").contains("hunter2"),
            "{error:?}"
        );
    }
    let syntax = refusal(from_file("[server]\nadmin_token = \"x"));
    assert!(syntax.contains("line 2"), "{syntax}");
}

#[test]
fn an_application_is_told_only_what_can_be_verified_and_cannot_be_read_on_the_way() {
    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    let told = |url: &str, secrets: &str| {
        from_environment(&[("APP_WEBHOOK_URL", url), ("APP_WEBHOOK_SECRET", secrets)])
    };
    for url in [
        "https://shop.example/hook",
        "http://localhost:3000/hook",
        "http://127.0.0.2/hook",
        "http://[::1]:3000",
    ] {
        told(url, SECRET).unwrap();
    }
    let both = told("https://shop.example", &format!("{SECRET}, whsec_AAAA")).unwrap();
    assert_eq!(exposed(&both.app.webhook_secrets), [SECRET, "whsec_AAAA"]);
    told("", "").unwrap();
    for (url, secrets, expected) in [
        ("https://shop.example", "", "set APP_WEBHOOK_SECRET too"),
        ("", SECRET, "set APP_WEBHOOK_URL too"),
        ("http://shop.example", SECRET, "starts with https://"),
        ("http://localhost.example", SECRET, "starts with https://"),
        ("ftp://localhost", SECRET, "starts with https://"),
        ("https://shop.example", "hunter2", "whsec_ and base64"),
        ("https://shop.example", "whsec_", "whsec_ and base64"),
        ("https://shop.example", "whsec_hunter2", "whsec_ and base64"),
    ] {
        let error = refusal(told(url, secrets));
        assert!(error.contains(expected), "{url}: {error}");
        assert!(
            error.contains("environment variable APP_WEBHOOK_"),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn the_key_is_not_sent_in_clear() {
    for base in [
        "http://api.example.com",
        "http://10.0.0.7:12111",
        "ftp://api.stripe.com",
    ] {
        let reason = refusal(from_file(&format!("[stripe]\napi_base = \"{base}\"")));
        assert!(reason.contains("stripe.api_base"), "{base}: {reason}");
    }
    for base in [
        "https://api.stripe.com",
        "http://localhost:12111",
        "http://[::1]:9",
    ] {
        from_file(&format!("[stripe]\napi_base = \"{base}\"")).unwrap();
    }
}
