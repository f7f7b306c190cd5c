//! Connections are kept for the next mail, and never at a mail's expense.

use std::time::Duration;

use billhook::outbox::smtp::Timeouts;
use billhook::outbox::{Mailer, SendError};
use futures::future::join_all;
use tokio::time::Instant;

use super::wire::{at, mail, send};
use crate::support::smtp::{Does, Seen, SmtpServer};

fn opened(server: &SmtpServer) -> usize {
    server.seen.lock().unwrap().connections
}

fn closed(seen: &Seen) -> usize {
    seen.commands
        .iter()
        .filter(|command| *command == "QUIT")
        .count()
}

#[tokio::test]
async fn mails_one_after_the_other_share_a_connection() {
    let server = SmtpServer::start().await;
    let mailer = at(server.url());
    for _ in 0..5 {
        send(&mailer, &mail()).await.unwrap();
    }
    assert_eq!((opened(&server), server.message_ids().len()), (1, 5));
    let proofs = server
        .commands()
        .into_iter()
        .filter(|command| command == "NOOP");
    assert_eq!(
        proofs.count(),
        4,
        "each but the first proves that the line lives"
    );
    mailer.rest(false).await;
    assert_eq!(
        closed(&server.seen.lock().unwrap()),
        0,
        "it was used a moment ago"
    );
    mailer.rest(true).await;
    server
        .once("it said goodbye", |seen| closed(seen) == 1)
        .await;
    send(&mailer, &mail()).await.unwrap();
    assert_eq!(opened(&server), 2);
}

#[tokio::test]
async fn a_connection_that_was_idle_for_too_long_is_let_go() {
    let server = SmtpServer::start().await;
    let mailer = at(server.url()).with_timeouts(Timeouts {
        idle: Duration::ZERO,
        ..Timeouts::default()
    });
    for _ in 0..2 {
        send(&mailer, &mail()).await.unwrap();
    }
    assert_eq!(opened(&server), 2);
    mailer.rest(false).await;
    server
        .once("it said goodbye", |seen| closed(seen) == 1)
        .await;
}

#[tokio::test]
async fn a_connection_serves_fifty_mails() {
    let server = SmtpServer::start().await;
    let mailer = at(server.url());
    for _ in 0..51 {
        send(&mailer, &mail()).await.unwrap();
    }
    assert_eq!((opened(&server), server.message_ids().len()), (2, 51));
    server
        .once("it said goodbye", |seen| closed(seen) == 1)
        .await;
}

#[tokio::test]
async fn what_became_of_a_mail_does_not_wait_for_a_goodbye() {
    let server = SmtpServer::start().await;
    let mailer = at(server.url());
    for _ in 0..49 {
        send(&mailer, &mail()).await.unwrap();
    }
    server.now(Does::Hangs("QUIT"));
    let start = Instant::now();
    send(&mailer, &mail()).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(2), "it waited");
    server
        .once("it says goodbye", |seen| closed(seen) == 1)
        .await;
    server.now(None);
    mailer.rest(true).await;
}

#[tokio::test]
async fn only_a_few_connections_are_kept() {
    let server = SmtpServer::start().await;
    let mailer = at(server.url());
    // All of them are open at once: none is answered before the last has come.
    server.now(Does::Hangs("dot"));
    let letter = mail();
    let sends = join_all((0..12).map(|_| send(&mailer, &letter)));
    let told = async {
        server
            .once("all are there", |seen| seen.messages.len() == 12)
            .await;
        server.now(None);
    };
    let (sent, ()) = tokio::join!(sends, told);
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    server
        .once("four are let go", |seen| closed(seen) == 4)
        .await;
    mailer.rest(true).await;
    server
        .once("all are let go", |seen| closed(seen) == 12)
        .await;
}

#[tokio::test]
async fn a_connection_that_died_in_its_sleep_costs_nothing() {
    for does in [
        Does::Drops("NOOP"),
        Does::Answers("NOOP", "421 you were idle for too long"),
        Does::Hangs("NOOP"),
    ] {
        let server = SmtpServer::start().await;
        let mailer = at(server.url());
        send(&mailer, &mail()).await.unwrap();
        server.now(does);
        send(&mailer, &mail()).await.unwrap();
        assert_eq!(
            (opened(&server), server.message_ids().len()),
            (2, 2),
            "{does:?}"
        );
    }
}

#[tokio::test]
async fn a_connection_that_has_had_enough_mails_is_not_held_against_the_next() {
    let server = SmtpServer::start().await;
    let mailer = at(server.url());
    send(&mailer, &mail()).await.unwrap();
    // The old connection and the new one are told the same, and the new one's word counts.
    server.now(Does::Answers(
        "MAIL",
        "550 too many mails on this connection",
    ));
    let error = send(&mailer, &mail()).await.unwrap_err();
    assert!(matches!(error, SendError::Rejected { .. }), "{error:?}");
    assert_eq!(opened(&server), 2);
    server.now(None);
    send(&mailer, &mail()).await.unwrap();
    assert_eq!((opened(&server), server.message_ids().len()), (3, 2));
}

#[tokio::test]
async fn a_connection_on_which_a_mail_failed_is_not_used_again() {
    for phase in ["RCPT", "DATA", "dot"] {
        let server = SmtpServer::start().await;
        let mailer = at(server.url());
        server.now(Does::Answers(phase, "451 later"));
        send(&mailer, &mail()).await.unwrap_err();
        server.now(None);
        send(&mailer, &mail()).await.unwrap();
        assert_eq!(opened(&server), 2, "{phase}");
    }
}
