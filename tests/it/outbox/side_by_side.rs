//! What is slow holds up nothing but itself: no other message, and no other channel.

use std::collections::BTreeMap;
use std::sync::Arc;

use billhook::outbox::{ChatWebhook, Way};
use billhook::store::{Channel, Store};
use tokio_util::sync::CancellationToken;

use super::{PACE, by_mail, dispatcher, mailer, messages, owe, statuses, until};
use crate::support::bench::Bench;
use crate::support::chat::ChatServer;
use crate::support::smtp::{Does, SmtpServer};

/// Mails to customers, and notices by chat.
fn with_chat(bench: &Bench, mail: &SmtpServer, chat: &ChatServer) -> BTreeMap<Channel, Way> {
    let mut ways = by_mail(mailer(mail, bench));
    let webhook = ChatWebhook::new(chat.url().into()).unwrap();
    ways.insert(Channel::Sales, Way::Chat(Arc::new(webhook)));
    ways
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_slow_mail_holds_up_no_other_and_no_other_channel() {
    let bench = Bench::sqlite().await;
    let (mail, chat) = (SmtpServer::start().await, ChatServer::start().await);
    let sender = dispatcher(&bench.store, &bench, with_chat(&bench, &mail, &chat), PACE);
    let soft = CancellationToken::new();
    mail.now(Does::HangsFirst("RCPT"));
    owe(&bench, 0..1, "Hello\n").await;
    let scene = async {
        mail.once("the first is under way", |seen| {
            seen.commands
                .iter()
                .any(|command| command.starts_with("RCPT"))
        })
        .await;
        owe(&bench, 1..20, "Hello\n").await;
        let mut expected = vec!["sending"];
        expected.extend(["sent"; 19]);
        until(&bench, Channel::Email, &expected).await;
        until(&bench, Channel::Sales, &["sent"; 20]).await;
        mail.now(None);
        until(&bench, Channel::Email, &["sent"; 20]).await;
        soft.cancel();
    };
    tokio::join!(sender.work(soft.clone(), CancellationToken::new()), scene);
    assert_eq!((mail.message_ids().len(), chat.notices().len()), (20, 20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_that_stalls_holds_up_mails_only_and_no_more_than_are_being_sent() {
    let bench = Bench::sqlite().await;
    owe(&bench, 0..20, "Hello\n").await;
    let (mail, chat) = (SmtpServer::start().await, ChatServer::start().await);
    mail.now(Does::Hangs("connect"));
    let sender = dispatcher(&bench.store, &bench, with_chat(&bench, &mail, &chat), PACE);
    let soft = CancellationToken::new();
    let scene = async {
        until(&bench, Channel::Sales, &["sent"; 20]).await;
        mail.once("every hand is busy", |seen| seen.connections == 8)
            .await;
        let now = statuses(&bench, Channel::Email).await;
        let under_way = now.iter().filter(|status| *status == "sending").count();
        assert_eq!((under_way, mail.message_ids().len()), (8, 0));
        // The others are anybody's: another process, whose mail server answers, has them at once.
        let other = bench.another_process().await;
        let free = other
            .claim_messages(Channel::Email, 100, PACE.poll)
            .await
            .unwrap();
        assert_eq!(free.len(), 12);
        bench.clock.advance(PACE.poll * 2);
        mail.now(None);
        until(&bench, Channel::Email, &["sent"; 20]).await;
        soft.cancel();
    };
    tokio::join!(sender.work(soft.clone(), CancellationToken::new()), scene);
    let mut ids = mail.message_ids();
    assert_eq!(ids.len(), 20);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 20, "one was sent twice");
    let attempts = messages(&bench, Channel::Email).await;
    assert!(attempts.iter().all(|message| message.attempts == 1));
}
