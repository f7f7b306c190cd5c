//! `doctor` on a machine that is in order, and on one where nearly nothing is.

mod missed;
mod model;

use std::time::{Duration, Instant};

use billhook::clock::{Clock as _, SystemClock};
use insta::assert_snapshot;
use reqwest::StatusCode;
use serde_json::Value;
use sqlx::{Connection, SqliteConnection};
use tokio::net::TcpListener;

use crate::support::app::START;
use crate::support::chat::ChatServer;
use crate::support::place::Place;
use crate::support::process::fresh_event;
use crate::support::services::variable;
use crate::support::smtp::{Does, SmtpServer};
use crate::support::stripe_api::StripeServer;

/// Exit code and standard output.
async fn doctor(place: &Place, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = place.command(&[&["doctor"], arguments].concat());
    let ran = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let told = String::from_utf8(ran.stdout).unwrap();
    let error = String::from_utf8(ran.stderr).unwrap();
    assert!(error.is_empty(), "{error}");
    (ran.status.code(), told)
}

/// The same as one line for each check, without what differs from run to run.
async fn rows(place: &Place) -> (Option<i32>, String) {
    let (code, told) = doctor(place, &["--json"]).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or("-").to_owned();
    let mut lines = vec![format!(
        "{} {}",
        text(&told, "object"),
        text(&told, "status")
    )];
    for row in told["checks"].as_array().unwrap() {
        let [check, status, found, next] =
            ["check", "status", "found", "next"].map(|field| text(row, field));
        lines.push(format!("{status:8}{check}: {found} > {next}"));
    }
    let home = place.home().display().to_string();
    let shown = lines.join("\n").replace(&home, "[home]");
    (code, redacted(&shown))
}

/// Ports, versions, free space and times are the machine's.
fn redacted(text: &str) -> String {
    let line = |line: &str| {
        let varies = ["answers, its", "MiB free", "ms apart"]
            .iter()
            .any(|known| line.contains(known));
        let word = |word: &str| match word.strip_prefix("127.0.0.1:") {
            Some("1" | "1:") => word.to_owned(),
            Some(_) => "[address]".to_owned(),
            None if varies && word.starts_with(|c: char| c.is_ascii_digit()) => "[n]".to_owned(),
            None => word.to_owned(),
        };
        line.split(' ').map(word).collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Everything that can be set, set right.
async fn in_order(place: &mut Place, mail: &SmtpServer, chat: &ChatServer, stripe: &StripeServer) {
    for (name, value) in [
        ("SMTP_URL", mail.url()),
        ("SALES_WEBHOOK_URL", chat.url()),
        ("FINANCE_EMAIL", "finance@acme.example".to_owned()),
        ("STRIPE_SECRET_KEY", "rk_test_hunter2".to_owned()),
        ("STRIPE_API_BASE", stripe.url()),
        ("REDIS_URL", variable("BILLHOOK_TEST_REDIS").unwrap()),
        (
            "BILLHOOK__LINKS__UPDATE_PAYMENT",
            "https://acme.example/card".to_owned(),
        ),
    ] {
        place.set(name, value);
    }
    let migrated = place.run(place.command(&["migrate"])).await;
    assert_eq!(migrated.0, Some(0), "{}", migrated.1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_in_order_has_nothing_to_do() {
    let (mail, chat) = (SmtpServer::start().await, ChatServer::start().await);
    let stripe = StripeServer::start(START).await;
    let mut place = Place::sqlite();
    in_order(&mut place, &mail, &chat, &stripe).await;
    let (code, told) = rows(&place).await;
    assert_eq!(code, Some(0), "{told}");
    assert_snapshot!(told, @"
    doctor ok
    ok      configuration: readable, and every key is known > -
    ok      webhook secrets: 1 for 1 endpoint(s) > -
    ok      Stripe API key: a restricted key for test mode > -
    off     model: none: the built-in rules choose follow-ups > -
    ok      sender: mails come from the domain acme.example > -
    ok      sales: told by a chat webhook (its address looks right) > -
    ok      finance: told by mail > -
    ok      payment link: customers are sent to acme.example > -
    ok      prompts: 11 playbooks are in order > -
    ok      admin token: set > -
    ok      database: SQLite [n] answers, its schema is current, and it takes writes > -
    ok      durability: what is committed outlives a power cut > -
    off     clock: SQLite goes by this machine's > -
    ok      decisions: by the rules: there is no model > -
    ok      dead events: none > -
    ok      unknown messages: none > -
    ok      notices without a way: none > -
    ok      held for approval: none > -
    ok      notices not sent: none > -
    ok      given up at Stripe: none > -
    off     missed events: nobody has looked for any yet > -
    ok      disk: [n] MiB free > -
    ok      mail: [address] lets us in > -
    off     application: none: nobody but people is told what changed > -
    ok      redis: [address] answers > -
    ok      Stripe API: it answers, and the key may list events > -
    off     traces: none: no traces are exported > -
    ok      listen address: any free port > -
    ok      open files: enough for 512 connections > -
    ");
    assert!(mail.message_ids().is_empty() && chat.notices().is_empty());
    assert_eq!(stripe.asked().len(), 1);
    let commands = mail.seen.lock().unwrap().commands.clone();
    assert!(
        commands.iter().all(|command| !command.starts_with("MAIL")),
        "{commands:?}"
    );
    let (code, text) = doctor(&place, &[]).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.trim_start().starts_with("result "), "{text}");
    assert!(text.trim_end().ends_with("nothing to do"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_its_clock_and_its_settings_are_looked_at() {
    let Some(mut place) = Place::postgres().await else {
        return;
    };
    let (mail, chat) = (SmtpServer::start().await, ChatServer::start().await);
    let stripe = StripeServer::start(START).await;
    in_order(&mut place, &mail, &chat, &stripe).await;
    let (_, told) = rows(&place).await;
    assert!(
        told.contains("ok      database: PostgreSQL [n] answers"),
        "{told}"
    );
    assert!(told.contains(" ms apart from the database's > -"), "{told}");
    // Whether the tests' server syncs is its own affair, and doctor says what it found.
    assert!(told.contains("durability: "), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nearly_nothing_is_in_order_every_check_still_runs() {
    // A database and a Redis that nobody is at, and a mail server that says nothing.
    let mail = SmtpServer::start().await;
    mail.now(Does::Answers("connect", "554 go away\r\n"));
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut place = Place::sqlite();
    for (name, value) in [
        (
            "DATABASE_URL",
            "postgres://billhook:hunter2@127.0.0.1:1/billhook",
        ),
        ("REDIS_URL", "redis://:hunter2@127.0.0.1:1"),
        ("STRIPE_WEBHOOK_SECRET", "sk_live_hunter2"),
        ("STRIPE_SECRET_KEY", "hunter2"),
        ("FINANCE_WEBHOOK_URL", "https://"),
        ("BILLHOOK__PROMPTS__FOLDER", "no-prompts"),
        (
            "BILLHOOK__LINKS__UPDATE_PAYMENT",
            "https://localhost/hunter",
        ),
        ("EMAIL_FROM", "Billing <billing@localhost>"),
        ("BILLHOOK_ADMIN_TOKEN", "hunter2"),
        (
            "SMTP_URL",
            &mail.url().replace("smtp://", "smtp://app:hunter2@"),
        ),
        ("BILLHOOK_LISTEN", &taken.local_addr().unwrap().to_string()),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://app:hunter2@127.0.0.1:1",
        ),
    ] {
        place.set(name, value);
    }
    let started = Instant::now();
    let (code, told) = rows(&place).await;
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(code, Some(1), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    assert_snapshot!(told, @"
    doctor failed
    ok      configuration: readable, and every key is known > -
    failed  webhook secrets: this is an API key, not a signing secret: copy the endpoint's, it starts with whsec_ > copy the endpoint's secret again
    failed  Stripe API key: it starts neither with rk_ nor with sk_ and a mode > set STRIPE_SECRET_KEY to a key of Stripe: Developers > API keys
    off     model: none: the built-in rules choose follow-ups > -
    failed  sender: EMAIL_FROM is at localhost: mail servers refuse it > set EMAIL_FROM to an address of your own domain
    warning sales: cannot be told: notices stay in the outbox, where `billhook outbox list` shows them > set SALES_WEBHOOK_URL or SALES_EMAIL
    failed  finance: the chat webhook is no http or https address > set FINANCE_WEBHOOK_URL or FINANCE_EMAIL
    failed  payment link: links.update_payment is no address that a customer could open > write it as https://HOST/PATH
    failed  prompts: no-prompts cannot be read: No such file or directory (os error 2) > see `billhook prompts check`
    warning admin token: it has only 7 characters > set BILLHOOK_ADMIN_TOKEN to 32 random bytes: `openssl rand -hex 32`
    failed  database: postgres://billhook:***@127.0.0.1:1/billhook cannot be opened: Connection refused (os error 111) > start it, or correct DATABASE_URL
    off     disk: nothing is written to this machine's disks > -
    failed  mail: [address] connecting at the mail server failed with 554 > check host, port, user and password of SMTP_URL; mails wait in the outbox meanwhile
    off     application: none: nobody but people is told what changed > -
    warning redis: 127.0.0.1:1: Connection refused (os error 111) > start it or correct REDIS_URL; until then billhook works without it
    off     Stripe API: not asked: the key is none of Stripe's > -
    warning traces: 127.0.0.1:1: HTTP export failed: network error > check OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS; spans are lost meanwhile, and nothing else
    failed  listen address: somebody else listens on [address] > stop whoever listens there, or set BILLHOOK_LISTEN
    ok      open files: enough for 512 connections > -
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_person_is_counted_beside_a_running_service() {
    let mut place = Place::sqlite();
    let process = place.serve().await;
    let unreadable = serde_json::json!({ "object": "invoice" });
    process
        .deliver(&fresh_event("evt_dead", "invoice.paid", &unreadable))
        .await;
    process.event_when("evt_dead", "dead").await;
    place.set("BILLHOOK_LISTEN", process.address().to_string());
    let (code, told) = rows(&place).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("warning dead events: 1 > `billhook events list --status dead`"),
        "{told}"
    );
    assert!(
        told.contains("ok      listen address: billhook answers at [address] and is ready"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_of_a_database_is_left_as_it_was_found() {
    let place = Place::sqlite();
    let migrated = place.run(place.command(&["migrate"])).await;
    assert_eq!(migrated.0, Some(0), "{}", migrated.1);
    let url = format!("sqlite://{}", place.home().join("billhook.db").display());
    // Each time anew: a connection remembers the mode that it found.
    let journal = async |sql: &'static str| -> String {
        let mut database = SqliteConnection::connect(&url).await.unwrap();
        let mode = sqlx::query_scalar(sql).fetch_one(&mut database).await;
        database.close().await.unwrap();
        mode.unwrap()
    };
    assert_eq!(journal("PRAGMA journal_mode = DELETE").await, "delete");
    let (code, told) = rows(&place).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("its schema is current"), "{told}");
    assert_eq!(journal("PRAGMA journal_mode").await, "delete");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_does_not_exist_yet_is_not_made() {
    let place = Place::sqlite();
    let (_, told) = rows(&place).await;
    assert!(
        told.contains("warning database: [home]/billhook.db does not exist yet"),
        "{told}"
    );
    assert!(!place.home().join("billhook.db").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_cannot_be_read_is_the_usual_refusal() {
    let mut place = Place::sqlite();
    place.set("BILLHOOK__WORKER__LEESE", "5s");
    let (code, told) = place.run(place.command(&["doctor"])).await;
    assert_eq!(code, Some(2), "{told}");
    assert!(
        told.starts_with("error: unknown key `worker.leese`"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notices_that_a_webhook_refuses_are_named_and_can_be_sent_again() {
    let chat = ChatServer::start().await;
    let mut place = Place::sqlite();
    place.set("FINANCE_WEBHOOK_URL", chat.url());
    chat.answers(Some(StatusCode::NOT_FOUND));
    let process = place.serve().await;
    let payout = serde_json::json!({
        "id": "po_1", "object": "payout", "amount": 4900, "currency": "eur", "status": "failed", "failure_code": "account_closed",
        "arrival_date": SystemClock.now().seconds(), "created": SystemClock.now().seconds() - 10,
    });
    let event = fresh_event("evt_payout", "payout.failed", &payout);
    process.deliver(&event).await;
    // Not the notice is wrong, but where it goes.
    process
        .wait_until("it was tried again", async |process| {
            let pending = process.all("/outbox?channel=finance&status=pending").await;
            pending
                .iter()
                .any(|notice| notice["attempts"].as_u64() > Some(1))
        })
        .await;
    let wait = async |status: &str| {
        let path = format!("/outbox?channel=finance&status={status}");
        process
            .wait_until("the notice got there", async |process| {
                process.all(&path).await.len() == 1
            })
            .await;
        process.all(&path).await.remove(0)
    };
    let waits = wait("pending").await;
    assert_eq!(
        waits["reason"],
        "the chat webhook answered 404: is its address still right?"
    );
    let (_, told) = rows(&place).await;
    let says = "warning notices not sent: 1 to finance refused, and tried again > \
        `billhook outbox list --channel finance --status pending` says why (an address that is no longer right, perhaps)";
    assert!(told.contains(says), "{told}");

    chat.answers(Some(StatusCode::BAD_REQUEST));
    let failed = wait("failed").await;
    let (_, told) = rows(&place).await;
    let says = "warning notices not sent: 1 to finance failed > `billhook outbox list --channel finance --status failed` \
        says why (an address that is no longer right, perhaps); then `billhook outbox resolve ID resend`";
    assert!(told.contains(says), "{told}");

    chat.answers(None);
    let id = failed["id"].as_str().unwrap();
    let command = place.command(&["outbox", "resolve", id, "resend"]);
    let (code, told) = place.run(command).await;
    assert_eq!(code, Some(0), "{told}");
    wait("sent").await;
    let (_, told) = rows(&place).await;
    assert!(told.contains("ok      notices not sent: none"), "{told}");
}
