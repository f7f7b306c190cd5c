//! A stop finishes what is under way; when its patience is over it gives back what no server has, and waits for answers.

use billhook::store::Channel;
use tokio_util::sync::CancellationToken;

use super::{PACE, by_mail, dispatcher, mailer, messages, owe, statuses, until};
use crate::support::bench::Bench;
use crate::support::smtp::{Does, Seen, SmtpServer};

fn asked(seen: &Seen, word: &str) -> usize {
    seen.commands
        .iter()
        .filter(|command| command.starts_with(word))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soft_stop_claims_no_more_and_finishes_what_is_under_way() {
    let bench = Bench::sqlite().await;
    owe(&bench, 0..1, "Hello\n").await;
    let server = SmtpServer::start().await;
    server.now(Does::Hangs("RCPT"));
    let sender = dispatcher(&bench.store, &bench, by_mail(mailer(&server, &bench)), PACE);
    let soft = CancellationToken::new();
    let scene = async {
        server
            .once("both are under way", |seen| asked(seen, "RCPT") == 2)
            .await;
        soft.cancel();
        owe(&bench, 1..2, "Hello\n").await;
        server.now(None);
    };
    tokio::join!(sender.work(soft.clone(), CancellationToken::new()), scene);
    for channel in [Channel::Email, Channel::Sales] {
        assert_eq!(statuses(&bench, channel).await, ["sent", "pending"]);
    }
    let goodbyes = asked(&server.seen.lock().unwrap(), "QUIT");
    assert_eq!(
        goodbyes, 2,
        "connections that were kept are closed in the end"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_gives_back_what_no_server_has() {
    for phase in ["connect", "EHLO", "MAIL", "RCPT", "DATA"] {
        let bench = Bench::sqlite().await;
        owe(&bench, 0..1, "Hello\n").await;
        let server = SmtpServer::start().await;
        server.now(Does::Hangs(phase));
        let ways = || by_mail(mailer(&server, &bench));
        let sender = dispatcher(&bench.store, &bench, ways(), PACE);
        let (soft, cut) = (CancellationToken::new(), CancellationToken::new());
        let scene = async {
            server
                .once("both are under way", |seen| match phase {
                    "connect" => seen.connections == 2,
                    command => asked(seen, command) == 2,
                })
                .await;
            soft.cancel();
            cut.cancel();
        };
        tokio::join!(sender.work(soft.clone(), cut.clone()), scene);
        for channel in [Channel::Email, Channel::Sales] {
            let message = messages(&bench, channel).await.remove(0);
            let reason = message.reason.as_deref().unwrap();
            assert_eq!(message.status, "pending", "{phase}");
            assert!(reason.starts_with("given back"), "{phase}: {reason}");
        }
        assert!(server.message_ids().is_empty(), "{phase}");
        // The next process has them at once: no lease is left, and no pause.
        server.now(None);
        let next = dispatcher(&bench.store, &bench, ways(), PACE);
        assert_eq!(next.send_due().await.unwrap(), 2, "{phase}");
        for channel in [Channel::Email, Channel::Sales] {
            assert_eq!(statuses(&bench, channel).await, ["sent"], "{phase}");
        }
        assert_eq!(server.message_ids().len(), 2, "{phase}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_waits_for_the_answer_to_what_a_server_has() {
    let bench = Bench::sqlite().await;
    owe(&bench, 0..1, "Hello\n").await;
    let server = SmtpServer::start().await;
    server.now(Does::Hangs("dot"));
    let sender = dispatcher(&bench.store, &bench, by_mail(mailer(&server, &bench)), PACE);
    let (soft, cut) = (CancellationToken::new(), CancellationToken::new());
    let work = sender.work(soft.clone(), cut.clone());
    tokio::pin!(work);
    let handed_over = server.once("both are handed over", |seen| seen.messages.len() == 2);
    tokio::select! {
        () = &mut work => panic!("it ended by itself"),
        () = handed_over => {}
    }
    soft.cancel();
    cut.cancel();
    // Everything that the cut wakes has its turn, and none of it may end the wait.
    for _ in 0..100 {
        assert!(
            futures::poll!(&mut work).is_pending(),
            "it did not wait for the answer"
        );
        tokio::task::yield_now().await;
    }
    server.now(None);
    work.await;
    until(&bench, Channel::Email, &["sent"]).await;
    until(&bench, Channel::Sales, &["sent"]).await;
    assert_eq!(server.message_ids().len(), 2);
}
