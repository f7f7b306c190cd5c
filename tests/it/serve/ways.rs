//! The ways out: a real mail server and a real chat webhook, which fail first.

use std::time::Duration;

use reqwest::StatusCode;

use super::{customer, intent, on_both};
use crate::support::chat::ChatServer;
use crate::support::place::Place;
use crate::support::process::fresh_event;
use crate::support::smtp::{Does, SmtpServer, header};

on_both!(mails_and_notices_leave_once_their_servers_take_them);

async fn mails_and_notices_leave_once_their_servers_take_them(mut place: Place) {
    let (mail, chat) = (SmtpServer::start().await, ChatServer::start().await);
    place.set("SMTP_URL", mail.url());
    place.set("SALES_WEBHOOK_URL", chat.url());
    mail.now(Does::Answers("RCPT", "450 later\r\n"));
    chat.answers(Some(StatusCode::SERVICE_UNAVAILABLE));
    let process = place.serve().await;
    process
        .deliver(&fresh_event(
            "evt_cus",
            "customer.created",
            &customer("cus_1"),
        ))
        .await;
    let failed = intent("pi_1", Some("cus_1"), "requires_payment_method");
    process
        .deliver(&fresh_event(
            "evt_failed",
            "payment_intent.payment_failed",
            &failed,
        ))
        .await;
    let mut large = intent("pi_2", Some("cus_1"), "succeeded");
    large["amount"] = 490_000.into();
    large["amount_received"] = 490_000.into();
    process
        .deliver(&fresh_event("evt_paid", "payment_intent.succeeded", &large))
        .await;
    let tried = |messages: &[serde_json::Value]| {
        messages
            .iter()
            .filter(|m| m["attempts"].as_u64() > Some(1))
            .count()
    };
    process
        .wait_until("both were refused twice", async |process| {
            tried(&process.all("/outbox").await) == 2
        })
        .await;
    assert!(mail.message_ids().is_empty());

    mail.now(Does::Waits("RCPT", Duration::from_millis(50)));
    chat.answers(None);
    process
        .wait_until("both are sent", async |process| {
            process
                .all("/outbox")
                .await
                .iter()
                .all(|message| message["status"] == "sent")
        })
        .await;
    let messages = mail.seen.lock().unwrap().messages.clone();
    assert_eq!(messages.len(), 1);
    assert_eq!(header(&messages[0], "To"), "cus_1@example.com");
    let notices = chat.notices();
    assert!(
        notices.len() > 2 && notices.iter().all(|notice| *notice == notices[0]),
        "{notices:#?}"
    );
    assert_eq!(
        header(&messages[0], "X-Billhook-Effect").len(),
        notices[0].0.len()
    );

    // After the dot only an answer can tell, and none comes.
    mail.now(Does::Drops("dot"));
    let failed = intent("pi_3", Some("cus_3"), "requires_payment_method");
    process
        .deliver(&fresh_event(
            "evt_cus_3",
            "customer.created",
            &customer("cus_3"),
        ))
        .await;
    process
        .deliver(&fresh_event(
            "evt_failed_3",
            "payment_intent.payment_failed",
            &failed,
        ))
        .await;
    process
        .wait_until("nobody knows", async |process| {
            process.all("/outbox?status=unknown").await.len() == 1
        })
        .await;
    assert_eq!(mail.message_ids().len(), 2);
    let read = mail.seen.lock().unwrap();
    // Two for what was refused at least, and one for what was not.
    assert!(read.connections >= 3 && read.commands.iter().any(|command| command == "DATA"));
}
