//! The way out: a real store, a real dispatcher, and mail servers and chat webhooks that fail in every way they can.

mod application;
mod away;
mod connections;
mod lease;
mod receiver;
mod side_by_side;
mod stopping;
mod table;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use billhook::guardrails::precondition::Purpose;
use billhook::hints::Doorbell;
use billhook::outbox::{Dispatcher, Mailer, SmtpMailer, Way, dispatch};
use billhook::retry::RetryPolicy;
use billhook::store::{
    Action, Channel, Finish, MessageFilter, MessageRecord, NewEffect, NewMessage, Page, SqlStore,
    Store,
};
use billhook_tools::{Priority, Proposal};
use serde_json::json;

use crate::support::bench::{Bench, START};
use crate::support::fixture::delivery;
use crate::support::process::PATIENCE;
use crate::support::smtp::SmtpServer;

/// How the dispatchers of these tests work, unless they say otherwise: their leases outlive what the clock is moved by.
const PACE: dispatch::Pace = dispatch::Pace {
    lease: Duration::from_hours(1),
    poll: Duration::from_millis(20),
    retry: RetryPolicy {
        attempts: 8,
        base: Duration::from_secs(2),
        max: Duration::from_hours(1),
    },
};

/// Puts into the outbox what is owed for one failed payment of each of these customers: a mail to the customer, and a
/// notice to sales.
async fn owe(bench: &Bench, customers: std::ops::Range<usize>, text: &str) {
    let failed = customers.map(|n| {
        let object = json!({
            "id": format!("pi_{n}"), "object": "payment_intent", "customer": format!("cus_{n}"), "amount": 900,
            "status": "requires_payment_method", "currency": "eur", "created": START,
            "latest_charge": format!("ch_{n}"), "metadata": {},
        });
        let event = json!({
            "id": format!("evt_{n}"), "object": "event", "api_version": "2020-08-27", "created": START,
            "livemode": true, "type": "payment_intent.payment_failed", "data": { "object": object },
        });
        delivery(&event, bench.now())
    });
    let store = &bench.store;
    store.ingest(&failed.collect::<Vec<_>>()).await.unwrap();
    for event in store.claim_events(1000, PACE.lease).await.unwrap() {
        store.apply_event(&event).await.unwrap();
    }
    bench.clock.advance(Duration::from_mins(2));
    while let Some(run) = store.claim_run(PACE.lease).await.unwrap() {
        let customer = run.customer.clone().unwrap();
        let recipient = format!("{customer}@example.com");
        let finish = Finish {
            status: "done",
            reason: None,
            effects: vec![
                effect(
                    &format!("mail_{customer}"),
                    Channel::Email,
                    Some(recipient),
                    text,
                ),
                effect(&format!("notice_{customer}"), Channel::Sales, None, text),
            ],
            usage: json!({}),
            purpose: Purpose::PaymentFailed,
        };
        store.finish_run(&run, &finish).await.unwrap();
    }
}

fn effect(key: &str, channel: Channel, recipient: Option<String>, text: &str) -> NewEffect {
    let message = NewMessage {
        channel,
        purpose: Purpose::PaymentFailed,
        recipient,
        message_id: format!("<{key}@acme.example>"),
        subject: "About your payment".to_owned(),
        text: text.to_owned(),
        html: None,
        notice: None,
        first_contact: false,
        reason: None,
    };
    let proposal = Proposal::NotifySales {
        priority: Priority::Normal,
        summary: "A payment failed".to_owned(),
    };
    NewEffect {
        key: key.to_owned(),
        proposal,
        action: Action::Send(Box::new(message)),
    }
}

fn mailer(server: &SmtpServer, bench: &Bench) -> Arc<SmtpMailer> {
    let url = server.url().into();
    Arc::new(SmtpMailer::from_url(&url, bench.clock.clone()).unwrap())
}

/// Both channels by mail.
fn by_mail(mailer: Arc<dyn Mailer>) -> BTreeMap<Channel, Way> {
    let internal = Way::InternalMail {
        mailer: mailer.clone(),
        to: "sales@acme.example".to_owned(),
    };
    let mail = Way::Mail {
        mailer,
        repeatable: false,
    };
    BTreeMap::from([(Channel::Email, mail), (Channel::Sales, internal)])
}

fn dispatcher(
    store: &Arc<SqlStore>,
    bench: &Bench,
    ways: BTreeMap<Channel, Way>,
    pace: dispatch::Pace,
) -> Dispatcher {
    let sender = ("Acme <billing@acme.example>".to_owned(), None);
    let clock = bench.clock.clone();
    Dispatcher::new(
        store.clone(),
        clock,
        ways,
        sender,
        pace,
        Doorbell::default(),
    )
}

/// Every message of a channel, in the order of its customers.
async fn messages(bench: &Bench, channel: Channel) -> Vec<MessageRecord> {
    let page = Page {
        limit: 100,
        starting_after: None,
    };
    let mut all = bench
        .store
        .messages(&MessageFilter::default(), &page)
        .await
        .unwrap()
        .data;
    all.retain(|message| message.channel == channel.as_str());
    all.sort_by(|a, b| a.message_id.cmp(&b.message_id));
    all
}

/// The statuses of a channel's messages.
async fn statuses(bench: &Bench, channel: Channel) -> Vec<String> {
    let all = messages(bench, channel).await;
    all.into_iter().map(|message| message.status).collect()
}

/// Waits until every message of a channel has one of these statuses.
async fn until(bench: &Bench, channel: Channel, expected: &[&str]) {
    let start = Instant::now();
    loop {
        let now = statuses(bench, channel).await;
        if now == expected {
            return;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "{now:?} did not become {expected:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
