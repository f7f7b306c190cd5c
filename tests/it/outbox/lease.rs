//! A message belongs to one process at a time, and whoever lost it hands nothing over any more.

use std::sync::Arc;
use std::time::Duration;

use billhook::outbox::dispatch::Pace;
use billhook::outbox::smtp::Timeouts;
use billhook::outbox::{Mailer, OutgoingMail, Permit, SendError, Sent};
use billhook::store::{Channel, Store};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::wire::{at, mail};
use super::{PACE, by_mail, dispatcher, mailer, messages, owe, statuses};
use crate::support::bench::Bench;
use crate::support::smtp::{Does, Seen, SmtpServer};

/// Short enough to be outlived. It is renewed every two seconds, and a machine that has other things to do may be four
/// late with that.
const LEASE: Duration = Duration::from_secs(6);

const QUICK: Pace = Pace {
    lease: LEASE,
    ..PACE
};

/// Both messages have named their recipients.
fn under_way(seen: &Seen) -> bool {
    let named = |command: &&String| command.starts_with("RCPT");
    seen.commands.iter().filter(named).count() == 2
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_kept_for_as_long_as_it_is_being_sent() {
    // PostgreSQL measures leases by its own clock; that of SQLite stands still here.
    let Some(bench) = Bench::postgres().await else {
        return;
    };
    owe(&bench, 0..1, "Hello\n").await;
    let server = SmtpServer::start().await;
    server.now(Does::Hangs("RCPT"));
    let sender = dispatcher(
        &bench.store,
        &bench,
        by_mail(mailer(&server, &bench)),
        QUICK,
    );
    let other = bench.another_process().await;
    let outlive = async |for_long: Duration| {
        let start = Instant::now();
        while start.elapsed() < for_long {
            for channel in [Channel::Email, Channel::Sales] {
                let taken = other.claim_messages(channel, 10, LEASE).await.unwrap();
                assert!(taken.is_empty(), "taken over while it was being sent");
            }
            tokio::time::sleep(LEASE / 30).await;
        }
    };
    let outlived = async {
        server.once("both are under way", under_way).await;
        outlive(LEASE + LEASE / 6).await;
        // They may still be handed over, although the lease they began with is long over.
        server.now(Does::Hangs("dot"));
        server
            .once("both are handed over", |seen| seen.messages.len() == 2)
            .await;
        outlive(LEASE + LEASE / 6).await;
        server.now(None);
    };
    let (sent, ()) = tokio::join!(sender.send_due(), outlived);
    assert_eq!(sent.unwrap(), 2);
    for channel in [Channel::Email, Channel::Sales] {
        assert_eq!(statuses(&bench, channel).await, ["sent"]);
    }
    assert_eq!(server.message_ids().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_lost_before_the_dot_is_not_handed_over() {
    let bench = Bench::sqlite().await;
    owe(&bench, 0..1, "Hello\n").await;
    let server = SmtpServer::start().await;
    server.now(Does::Hangs("RCPT"));
    let sender = dispatcher(
        &bench.store,
        &bench,
        by_mail(mailer(&server, &bench)),
        QUICK,
    );
    let heir = async {
        server.once("both are under way", under_way).await;
        bench.clock.advance(LEASE * 2);
        for channel in [Channel::Email, Channel::Sales] {
            let taken = bench.store.claim_messages(channel, 10, LEASE);
            let taken = taken.await.unwrap();
            assert!(taken.len() == 1 && taken.iter().all(|message| message.interrupted));
        }
    };
    // The server never answers: a renewal that is refused ends it, long before patience with the server does.
    let start = Instant::now();
    let (sent, ()) = tokio::join!(sender.send_due(), heir);
    sent.unwrap();
    assert!(start.elapsed() < Duration::from_secs(30));
    server.now(None);
    assert!(server.message_ids().is_empty());
    // What the heir holds is as the heir left it.
    for channel in [Channel::Email, Channel::Sales] {
        assert_eq!(statuses(&bench, channel).await, ["sending"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_lost_after_the_dot_is_in_doubt_until_its_sender_tells_and_a_notice_goes_again() {
    let bench = Bench::sqlite().await;
    owe(&bench, 0..1, "Hello\n").await;
    let server = SmtpServer::start().await;
    server.now(Does::Hangs("dot"));
    let lost = dispatcher(
        &bench.store,
        &bench,
        by_mail(mailer(&server, &bench)),
        QUICK,
    );
    let heir = dispatcher(
        &bench.store,
        &bench,
        by_mail(mailer(&server, &bench)),
        QUICK,
    );
    let taken_over = async {
        server
            .once("both are handed over", |seen| seen.messages.len() == 2)
            .await;
        bench.clock.advance(LEASE * 2);
        let released = async {
            server
                .once("the notice is there again", |seen| seen.messages.len() == 3)
                .await;
            assert_eq!(statuses(&bench, Channel::Email).await, ["unknown"]);
            server.now(None);
        };
        let (sent, ()) = tokio::join!(heir.send_due(), released);
        assert_eq!(sent.unwrap(), 2);
    };
    let (sent, ()) = tokio::join!(lost.send_due(), taken_over);
    assert_eq!(sent.unwrap(), 2);
    // The first process was told 250. It may say so, as long as no person has decided and nobody has tried again.
    assert_eq!(statuses(&bench, Channel::Email).await, ["sent"]);
    assert_eq!(statuses(&bench, Channel::Sales).await, ["sent"]);
    let mut copies = server.message_ids();
    copies.sort();
    let [mail, notice] = ["mail", "notice"].map(|kind| format!("<{kind}_cus_0@acme.example>"));
    assert_eq!(copies, [mail, notice.clone(), notice]);
}

#[tokio::test]
async fn a_lease_that_is_over_hands_nothing_over() {
    let server = SmtpServer::start().await;
    let over = Permit::of_lease(Instant::now(), Duration::ZERO, CancellationToken::new());
    let refused = at(server.url()).send(&mail(), &over).await.unwrap_err();
    assert_eq!(refused, SendError::Withdrawn);
    assert_eq!(server.commands().last().unwrap(), "DATA");
    assert!(server.message_ids().is_empty());
}

/// More than the buffers between us and a server that does not read.
fn large(lines: usize) -> OutgoingMail {
    OutgoingMail {
        text: format!("{}\n", "x".repeat(900)).repeat(lines),
        html: None,
        ..mail()
    }
}

/// A permit for as long as it takes to get to the message, however busy the machine is; what is left of it then is
/// `lease`. The server reads nothing of the message.
async fn ends_within_the_message(server: &SmtpServer, permit: &Permit, lease: Duration) {
    let begun = |seen: &Seen| seen.commands.last().is_some_and(|last| last == "DATA");
    server.once("the message may begin", begun).await;
    permit.renewed(Instant::now(), lease);
    server.now(Does::Hangs("body"));
}

#[tokio::test]
async fn a_message_that_does_not_get_through_before_the_lease_ends_is_given_up() {
    let server = SmtpServer::start().await;
    server.now(Does::Hangs("DATA"));
    let (mailer, message, permit) = (at(server.url()), large(10_000), Permit::unlimited());
    let lease = LEASE / 2;
    let start = Instant::now();
    let (sent, ()) = tokio::join!(
        mailer.send(&message, &permit),
        ends_within_the_message(&server, &permit, lease)
    );
    let error = sent.unwrap_err();
    assert!(matches!(error, SendError::Transient { .. }), "{error:?}");
    // Its patience with a server that reads nothing is longer.
    let patience = Timeouts::default().body;
    assert!(start.elapsed() < patience, "the lease was outlived");
    server.now(None);
    assert!(server.message_ids().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sleeps_past_the_lease_does_not_wake_with_the_dot() {
    let server = SmtpServer::start().await;
    server.now(Does::Hangs("DATA"));
    let (mailer, message, permit) = (at(server.url()), large(5_000), Permit::unlimited());
    let sleeps = async {
        ends_within_the_message(&server, &permit, LEASE / 2).await;
        // Some of it fits into the buffers.
        tokio::time::sleep(LEASE / 40).await;
        // The server reads on, and nobody here does anything.
        server.now(None);
        while !permit.left().is_zero() {
            std::thread::yield_now();
        }
    };
    let (sent, ()) = tokio::join!(mailer.send(&message, &permit), sleeps);
    let error = sent.unwrap_err();
    assert!(matches!(error, SendError::Transient { .. }), "{error:?}");
    drop(mailer);
    assert!(server.message_ids().is_empty());
}

/// Crashes on everything.
struct Crashes;

#[async_trait::async_trait]
impl Mailer for Crashes {
    async fn send(&self, _: &OutgoingMail, _: &Permit) -> Result<Sent, SendError> {
        panic!("on purpose")
    }
}

#[tokio::test]
async fn a_crash_while_sending_ends_one_message_and_not_the_loop() {
    let bench = Bench::in_memory().await;
    owe(&bench, 0..2, "Hello\n").await;
    let sender = dispatcher(&bench.store, &bench, by_mail(Arc::new(Crashes)), PACE);
    assert_eq!(sender.send_due().await.unwrap(), 4);
    assert_eq!(
        statuses(&bench, Channel::Email).await,
        ["unknown", "unknown"]
    );
    for notice in messages(&bench, Channel::Sales).await {
        assert_eq!((notice.status.as_str(), notice.attempts), ("pending", 1));
    }
    assert_eq!(
        sender.send_due().await.unwrap(),
        0,
        "it is tried again after a pause"
    );
}
