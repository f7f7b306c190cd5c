//! What a mail server is told, and what an operator is told of it.

use std::sync::Arc;

use billhook::clock::{ManualClock, Timestamp};
use billhook::outbox::{Mailer, OutgoingMail, Permit, SendError, Sent, SmtpMailer};

use crate::support::smtp::{Does, SmtpServer};

pub(super) fn mail() -> OutgoingMail {
    OutgoingMail {
        message_id: "<abc123@acme.example>".into(),
        effect: "effect-1".into(),
        from: "Acme <billing@acme.example>".into(),
        to: "Ada <ada@customer.example>".into(),
        reply_to: Some("help@acme.example".into()),
        subject: "About your payment".into(),
        text: "Hello,\n\n.a line that starts with a dot\n\nKind regards\n".into(),
        html: Some("<p>Hello, it is 3 €</p>".into()),
    }
}

pub(super) fn at(url: String) -> SmtpMailer {
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_700_000_000)));
    SmtpMailer::from_url(&url.into(), clock).unwrap()
}

pub(super) async fn send(mailer: &SmtpMailer, mail: &OutgoingMail) -> Result<Sent, SendError> {
    mailer.send(mail, &Permit::unlimited()).await
}

#[tokio::test]
async fn a_mail_goes_out_once_and_whole() {
    let server = SmtpServer::start().await;
    let sent = send(&at(server.url()), &mail()).await.unwrap();
    assert_eq!(sent.receipt, "smtp 250");
    let messages = server.seen.lock().unwrap().messages.clone();
    assert_eq!(messages.len(), 1);
    let message = &messages[0];
    for part in [
        "Message-ID: <abc123@acme.example>\r\n",
        "X-Billhook-Effect: effect-1\r\n",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "\r\n..a line that starts with a dot\r\n",
    ] {
        assert!(message.contains(part), "{part} is not in\n{message}");
    }
    assert!(message.is_ascii());
    assert_eq!(
        server.commands()[1..],
        [
            "MAIL FROM:<billing@acme.example>",
            "RCPT TO:<ada@customer.example>",
            "DATA"
        ]
    );
}

#[tokio::test]
async fn a_repeat_is_identical() {
    let server = SmtpServer::start().await;
    for _ in 0..2 {
        send(&at(server.url()), &mail()).await.unwrap();
    }
    let messages = server.seen.lock().unwrap().messages.clone();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0], messages[1]);
}

#[tokio::test]
async fn a_refusal_is_told_without_the_words_of_the_server() {
    for phase in ["connect", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "dot"] {
        let server = SmtpServer::start().await;
        server.now(Does::Answers(
            phase,
            "550 5.1.1 <ada@customer.example> s3cret",
        ));
        let mailer = at(server.url_with("smtp", "user:s3cret@", ""));
        let error = send(&mailer, &mail()).await.unwrap_err().to_string();
        assert!(error.contains("550"), "{phase}: {error}");
        for secret in ["ada", "customer.example", "acme", "About", "s3cret"] {
            assert!(!error.contains(secret), "{phase}: {error}");
        }
    }
}

#[tokio::test]
async fn a_probe_says_what_a_mail_would_meet() {
    let server = SmtpServer::start().await;
    let mailer = at(server.url_with("smtp", "user:s3cret@", ""));
    mailer.probe().await.unwrap();
    assert!(server.message_ids().is_empty());
    server.now(Does::Answers("AUTH", "535 wrong password"));
    assert_eq!(
        mailer.probe().await.unwrap_err(),
        send(&mailer, &mail()).await.unwrap_err()
    );
}

#[tokio::test]
async fn a_password_never_crosses_a_line_that_must_be_encrypted() {
    let server = SmtpServer::start().await;
    let mailer = at(server.url_with("smtp", "user:s3cret@", "?tls=required"));
    for ehlo in [
        "250-stub\r\n250 AUTH PLAIN",
        "250-stub\r\n250-STARTTLS\r\n250 AUTH PLAIN",
    ] {
        server.now(Does::Answers("EHLO", ehlo));
        let error = send(&mailer, &mail()).await.unwrap_err();
        assert!(matches!(error, SendError::Transient { .. }), "{error:?}");
    }
    let commands = server.commands();
    assert!(!commands.is_empty());
    assert!(
        !commands.iter().any(|command| command.starts_with("AUTH")),
        "{commands:?}"
    );
}

#[tokio::test]
async fn an_address_that_the_server_cannot_take_is_rejected() {
    let server = SmtpServer::start().await;
    let mail = OutgoingMail {
        to: "ädä@customer.example".into(),
        ..mail()
    };
    let error = send(&at(server.url()), &mail).await.unwrap_err();
    assert!(matches!(error, SendError::Rejected { .. }), "{error:?}");
    assert!(
        !server
            .commands()
            .iter()
            .any(|command| command.starts_with("MAIL"))
    );
}
