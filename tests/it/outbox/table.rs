//! What becomes of a message for everything that a mail server can do: once to a customer's mail, once to a notice for
//! the business's own people, each given to the dispatcher a single time.

use std::sync::Arc;
use std::time::Duration;

use billhook::clock::Timestamp;
use billhook::outbox::SmtpMailer;
use billhook::outbox::smtp::Timeouts;
use billhook::store::{Channel, MessageRecord};
use futures::future::join_all;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::{PACE, by_mail, dispatcher, messages, owe};
use crate::support::bench::Bench;
use crate::support::smtp::{Does, SmtpServer};

/// The line is `plain`, has a `login`, must have `starttls`, or is `tls` from the first byte. `silent` servers keep the
/// connection open; `large` messages are larger than the buffers between us and the server, so that a server which reads
/// none of it keeps us from writing the dot. Copies are counted when all of a message was read.
const TABLE: &str = "
    line     | phase    | what the server does         | mail    | notice  | copies | because
    plain    | -        | refuses to connect           | pending | pending | 0      | connecting at the mail server failed
    plain    | connect  | 421 busy                     | pending | pending | 0      | connecting at the mail server failed with 421
    plain    | connect  | 554 no service               | pending | pending | 0      | connecting at the mail server failed with 554
    plain    | connect  | hangs up                     | pending | pending | 0      | connecting at the mail server failed
    plain    | connect  | silent                       | pending | pending | 0      | the mail server did not answer in time
    plain    | EHLO     | 421 busy                     | pending | pending | 0      | connecting at the mail server failed with 421
    plain    | EHLO     | 550 who are you              | pending | pending | 0      | connecting at the mail server failed with 550
    plain    | EHLO     | hangs up                     | pending | pending | 0      | connecting at the mail server failed
    plain    | EHLO     | silent                       | pending | pending | 0      | the mail server did not answer in time
    starttls | EHLO     | 250 nothing to offer         | pending | pending | 0      | STARTTLS at the mail server failed
    starttls | STARTTLS | 454 not today                | pending | pending | 0      | STARTTLS at the mail server failed with 454
    starttls | STARTTLS | 220 and then no TLS          | pending | pending | 0      | STARTTLS at the mail server failed
    starttls | STARTTLS | silent                       | pending | pending | 0      | the mail server did not answer in time
    tls      | connect  | 220 and no TLS               | pending | pending | 0      | connecting at the mail server failed
    tls      | -        | has an untrusted certificate | pending | pending | 0      | connecting at the mail server failed: its certificate is not trusted
    tls      | connect  | silent                       | pending | pending | 0      | the mail server did not answer in time
    login    | AUTH     | 454 not now                  | pending | pending | 0      | the login at the mail server failed with 454
    login    | AUTH     | 535 wrong password           | pending | pending | 0      | the login at the mail server failed with 535
    login    | AUTH     | hangs up                     | pending | pending | 0      | the login at the mail server failed
    login    | AUTH     | silent                       | pending | pending | 0      | the mail server did not answer in time
    plain    | MAIL     | 451 later                    | pending | pending | 0      | the mail server answered 451 to MAIL
    plain    | MAIL     | 530 log in first             | pending | pending | 0      | the mail server answered 530 to MAIL
    plain    | MAIL     | 550 not you                  | failed  | failed  | 0      | the mail server answered 550 to MAIL
    plain    | MAIL     | hangs up                     | pending | pending | 0      | the connection broke at MAIL
    plain    | MAIL     | silent                       | pending | pending | 0      | the mail server did not answer MAIL in time
    plain    | RCPT     | 450 greylisted               | pending | pending | 0      | the mail server answered 450 to RCPT
    plain    | RCPT     | 550 unknown                  | failed  | failed  | 0      | the mail server answered 550 to RCPT
    plain    | RCPT     | hangs up                     | pending | pending | 0      | the connection broke at RCPT
    plain    | RCPT     | silent                       | pending | pending | 0      | the mail server did not answer RCPT in time
    plain    | DATA     | 451 later                    | pending | pending | 0      | the mail server answered 451 to DATA
    plain    | DATA     | 554 no                       | failed  | failed  | 0      | the mail server answered 554 to DATA
    plain    | DATA     | 250 whatever                 | pending | pending | 0      | the mail server gave no answer that makes sense to DATA
    plain    | DATA     | hangs up                     | pending | pending | 0      | the connection broke at DATA
    plain    | DATA     | silent                       | pending | pending | 0      | the mail server did not answer DATA in time
    plain    | body     | hangs up, large              | pending | pending | 0      | the connection broke within the message
    plain    | body     | silent, large                | pending | pending | 0      | the mail server did not take the message in time
    plain    | body     | hangs up                     | unknown | pending | 0      | the connection broke after the message
    plain    | body     | silent                       | unknown | pending | 0      | the mail server did not answer the message in time
    plain    | dot      | 250 taken                    | sent    | sent    | 1      |
    plain    | dot      | 452 disk full                | pending | pending | 1      | the mail server answered 452 to the message
    plain    | dot      | 554 looks like spam          | failed  | failed  | 1      | the mail server answered 554 to the message
    plain    | dot      | 354 go on                    | unknown | pending | 1      | the mail server gave no answer that makes sense to the message
    plain    | dot      | gibberish                    | unknown | pending | 1      | the connection broke after the message
    plain    | dot      | hangs up                     | unknown | pending | 1      | the connection broke after the message
    plain    | dot      | silent                       | unknown | pending | 1      | the mail server did not answer the message in time
";

struct Row {
    line: &'static str,
    phase: &'static str,
    does: &'static str,
    mail: &'static str,
    notice: &'static str,
    copies: usize,
    because: &'static str,
}

impl Row {
    fn is_large(&self) -> bool {
        self.does.ends_with(", large")
    }
}

fn rows() -> Vec<Row> {
    let lines = TABLE.lines().filter(|line| line.contains('|')).skip(1);
    lines
        .map(|line| {
            let cells: Vec<&'static str> = line.split('|').map(str::trim).collect();
            let [line, phase, does, mail, notice, copies, because] = cells.try_into().unwrap();
            Row {
                line,
                phase,
                does,
                mail,
                notice,
                copies: copies.parse().unwrap(),
                because,
            }
        })
        .collect()
}

/// A mail server of this row, and its URL.
async fn server(row: &Row) -> (SmtpServer, String) {
    let server = SmtpServer::start().await;
    let url = match row.line {
        "plain" => server.url(),
        "login" => server.url_with("smtp", "user:wrong@", ""),
        "starttls" => server.url_with("smtp", "", "?tls=required"),
        "tls" => server.url_with("smtps", "", ""),
        other => panic!("no such line: {other}"),
    };
    let does = row.does.trim_end_matches(", large");
    let url = match does {
        "refuses to connect" => {
            let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
            format!("smtp://{}", free.local_addr().unwrap())
        }
        "has an untrusted certificate" => format!("smtps://{}", behind_a_certificate().await),
        "hangs up" => {
            server.now(Does::Drops(row.phase));
            url
        }
        "silent" => {
            server.now(Does::Hangs(row.phase));
            url
        }
        answer => {
            server.now(Does::Answers(row.phase, answer));
            url
        }
    };
    (server, url)
}

/// The address of a server whose certificate nobody has signed but itself.
async fn behind_a_certificate() -> std::net::SocketAddr {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    TaskTracker::new().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let refused = acceptor.accept(stream).await;
            assert!(refused.is_err(), "the certificate was trusted");
        }
    });
    address
}

/// Nobody has minutes to wait for a silent server; where it is not silent, it may take its time.
fn short_at(phase: &str) -> Timeouts {
    let mut limits = Timeouts::default();
    let short = Duration::from_secs(2);
    match phase {
        "MAIL" | "RCPT" | "DATA" => limits.command = short,
        "body" | "dot" => (limits.body, limits.answer) = (short, short),
        _ => limits.session = short,
    }
    limits
}

/// Everything in which the outcome of a row is not what it says.
async fn check(row: &Row) -> Vec<String> {
    let text = if row.is_large() {
        format!("{}\n", "x".repeat(900)).repeat(10_000)
    } else {
        "Hello\n".to_owned()
    };
    let bench = Bench::in_memory().await;
    owe(&bench, 0..1, &text).await;
    let (server, url) = server(row).await;
    let mut mailer = SmtpMailer::from_url(&url.into(), bench.clock.clone()).unwrap();
    if row.does.starts_with("silent") {
        mailer = mailer.with_timeouts(short_at(row.phase));
    }
    let dispatcher = dispatcher(&bench.store, &bench, by_mail(Arc::new(mailer)), PACE);
    assert_eq!(dispatcher.send_due().await.unwrap(), 2);
    let mut wrong = Vec::new();
    for (channel, status) in [(Channel::Email, row.mail), (Channel::Sales, row.notice)] {
        let message = messages(&bench, channel).await.remove(0);
        let ids = server.message_ids();
        let copies = ids.iter().filter(|id| **id == message.message_id).count();
        let found = (
            message.status.as_str(),
            copies,
            because(&message),
            message.attempts,
        );
        let expected = (status, row.copies, row.because, 1);
        if found != expected {
            wrong.push(format!(
                "{} {}: {found:?} and not {expected:?}",
                row.phase, row.does
            ));
        }
        // It is tried again after a pause, and not at once.
        let waits = message
            .not_before
            .as_deref()
            .map(|then| at(then).since(bench.now()));
        let paused =
            waits.is_some_and(|wait| (PACE.retry.base / 2..=PACE.retry.base).contains(&wait));
        if paused != (status == "pending") {
            wrong.push(format!("{} {}: it waits {waits:?}", row.phase, row.does));
        }
    }
    wrong
}

fn at(iso: &str) -> Timestamp {
    Timestamp(iso.parse::<jiff::Timestamp>().unwrap().as_microsecond())
}

/// The reason, which must quote no server: it may have named the address.
fn because(message: &MessageRecord) -> &str {
    let reason = message.reason.as_deref().unwrap_or_default();
    for secret in ["@", "example", "wrong", "busy"] {
        assert!(!reason.contains(secret), "{reason}");
    }
    reason
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_failure_of_a_mail_server_has_its_outcome() {
    let rows = rows();
    assert!(rows.len() > 40, "the table was cut: {}", rows.len());
    // Those that wait do so side by side. To encode a large message keeps the machine so busy that time limits of others
    // would pass, so these come one by one.
    let (large, small): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.is_large());
    let mut wrong = join_all(small.into_iter().map(check)).await.concat();
    for row in large {
        wrong.extend(check(row).await);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
