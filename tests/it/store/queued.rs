//! Messages in the outbox, put there by real runs of real failed payments.

use std::time::Duration;

use billhook::guardrails::precondition::Purpose;
use billhook::store::{
    Action, Channel, ClaimedMessage, ClaimedRun, Clearance, Finish, MessageRecord, NewEffect,
    NewMessage, SendOutcome, SqlStore, Store,
};
use billhook_tools::{Priority, Proposal};
use serde_json::json;

use super::{LONG, apply, failed_payment};
use crate::support::bench::Bench;

/// A message to queue.
pub(super) struct Wanted<'a> {
    pub(super) customer: &'a str,
    /// Names the payment that fails, and with it everything else.
    pub(super) intent: &'a str,
    pub(super) channel: Channel,
    pub(super) purpose: Purpose,
    pub(super) recipient: &'a str,
    pub(super) first_contact: bool,
}

impl<'a> Wanted<'a> {
    /// A mail that no failure is told in, so that only caps on all mails count it.
    pub(super) fn mail(customer: &'a str, intent: &'a str) -> Self {
        Self {
            customer,
            intent,
            channel: Channel::Email,
            purpose: Purpose::WinbackDue,
            recipient: "ada@example.com",
            first_contact: false,
        }
    }

    /// A mail about the failure itself.
    pub(super) fn failure(customer: &'a str, intent: &'a str, recipient: &'a str) -> Self {
        Self {
            purpose: Purpose::PaymentFailed,
            recipient,
            ..Self::mail(customer, intent)
        }
    }

    /// A notice to sales about the failure.
    pub(super) fn notice(customer: &'a str, intent: &'a str) -> Self {
        Self {
            channel: Channel::Sales,
            purpose: Purpose::PaymentFailed,
            ..Self::mail(customer, intent)
        }
    }

    pub(super) fn effect(&self) -> NewEffect {
        let message = NewMessage {
            channel: self.channel,
            purpose: self.purpose,
            recipient: (self.channel == Channel::Email).then(|| self.recipient.to_owned()),
            message_id: format!("<{}@acme.example>", self.intent),
            subject: "A subject".to_owned(),
            text: "A text".to_owned(),
            html: None,
            notice: None,
            first_contact: self.first_contact,
            reason: None,
        };
        NewEffect {
            key: format!("key_{}", self.intent),
            proposal: Proposal::NotifySales {
                priority: Priority::Normal,
                summary: "A text".to_owned(),
            },
            action: Action::Send(Box::new(message)),
        }
    }
}

pub(super) fn done(effects: Vec<NewEffect>) -> Finish {
    Finish {
        status: "done",
        reason: None,
        effects,
        usage: json!({}),
        purpose: Purpose::PaymentFailed,
    }
}

/// Claims the run of a payment that fails now.
pub(super) async fn run_of(bench: &Bench, customer: &str, intent: &str) -> ClaimedRun {
    apply(bench, &[failed_payment(customer, intent)]).await;
    bench.clock.advance(Duration::from_secs(10));
    bench.store.claim_run(LONG).await.unwrap().unwrap()
}

/// Puts a message into the outbox.
pub(super) async fn queue(bench: &Bench, wanted: &Wanted<'_>) {
    let run = run_of(bench, wanted.customer, wanted.intent).await;
    let finish = done(vec![wanted.effect()]);
    bench.store.finish_run(&run, &finish).await.unwrap();
}

/// Claims every message that is due, and ends those that waited for too long.
pub(super) async fn claim(store: &SqlStore) -> Vec<ClaimedMessage> {
    store.expire_messages(100).await.unwrap();
    let mut due = Vec::new();
    for channel in [Channel::Email, Channel::Sales] {
        due.extend(store.claim_messages(channel, 100, LONG).await.unwrap());
    }
    due
}

/// Claims what is due and sends what may go; says how many went.
pub(super) async fn go(store: &SqlStore) -> usize {
    let mut gone = 0;
    for message in claim(store).await {
        if store.begin_sending(&message, LONG).await.unwrap() == Clearance::Go(None) {
            let settled = store.settle_message(&message, &SendOutcome::Sent).await;
            settled.unwrap();
            gone += 1;
        }
    }
    gone
}

/// The message of a payment.
pub(super) async fn shown(store: &SqlStore, intent: &str) -> MessageRecord {
    let event = store.event(&format!("evt_{intent}_failed")).await.unwrap();
    let message = event.unwrap().messages.into_iter().next().unwrap();
    assert_eq!(message.message_id, format!("<{intent}@acme.example>"));
    message
}
