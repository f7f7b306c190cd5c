//! Stop conditions where they are asked: when a run finishes and when a message is sent.

use std::time::Duration;

use billhook::store::{Clearance, Store};
use serde_json::json;

use super::queued::{Wanted, claim, done, go, queue, run_of, shown};
use super::{LONG, apply, paid};
use crate::support::bench::{Bench, policy};
use crate::support::fixture::{Customer, Payout, Subscription, Told, delivery};

on_both!(
    a_recovered_payment_ends_its_mail_and_its_notice,
    a_deleted_customer_ends_the_mail_and_not_the_notice,
    a_doubt_ends_the_mail_of_its_customer_and_of_nobody_else,
    a_run_that_lost_its_reason_writes_nothing,
    access_is_asked_for_at_the_moment,
    an_address_shared_with_one_who_paid_still_waits,
    a_failed_payout_is_decided_on_its_row,
);

async fn a_recovered_payment_ends_its_mail_and_its_notice(bench: Bench) {
    let mail = Wanted::failure("cus_1", "pi_1", "ada@example.com");
    queue(&bench, &mail).await;
    queue(&bench, &Wanted::notice("cus_1", "pi_2")).await;
    let claimed = claim(&bench.store).await;
    assert_eq!(claimed.len(), 2);
    apply(
        &bench,
        &[paid("cus_1", "pi_1", 30), paid("cus_1", "pi_2", 30)],
    )
    .await;
    for message in &claimed {
        let clearance = bench.store.begin_sending(message, LONG).await.unwrap();
        assert_eq!(clearance, Clearance::Stop);
    }
    for intent in ["pi_1", "pi_2"] {
        let message = shown(&bench.store, intent).await;
        assert_eq!(
            (message.status.as_str(), message.reason.as_deref()),
            ("suppressed", Some("the payment is succeeded now"))
        );
        assert_eq!(message.waits_for, None);
    }
}

async fn a_deleted_customer_ends_the_mail_and_not_the_notice(bench: Bench) {
    let mail = Wanted::failure("cus_1", "pi_1", "ada@example.com");
    queue(&bench, &mail).await;
    queue(&bench, &Wanted::notice("cus_1", "pi_2")).await;
    let customer = Customer {
        id: "cus_1".to_owned(),
        email: Some("ada@example.com".to_owned()),
        name: None,
        delinquent: false,
        created: bench.now().seconds() - 100,
    };
    let now = bench.now().seconds();
    apply(
        &bench,
        &[Told::new("evt_gone", "customer.deleted", now, customer)],
    )
    .await;
    assert_eq!(go(&bench.store).await, 1);
    let mail = shown(&bench.store, "pi_1").await;
    assert_eq!(
        (mail.status.as_str(), mail.reason.as_deref()),
        ("suppressed", Some("the customer was deleted"))
    );
    assert_eq!(shown(&bench.store, "pi_2").await.status, "sent");
}

/// A dispute, a warning and a review name no customer: its charge does, which may be known before or after.
async fn a_doubt_ends_the_mail_of_its_customer_and_of_nobody_else(bench: Bench) {
    for customer in ["cus_1", "cus_2", "cus_3"] {
        let intent = format!("pi_{customer}");
        let address = format!("{customer}@example.com");
        let mail = Wanted::failure(customer, &intent, &address);
        queue(&bench, &mail).await;
    }
    for (customer, intent) in [("cus_4", "pi_cus_4"), ("cus_5", "pi_cus_5")] {
        let address = format!("{customer}@example.com");
        let mail = Wanted::failure(customer, intent, &address);
        queue(&bench, &mail).await;
    }
    let charge = |id: &str, customer: &str| json!({ "id": id, "object": "charge", "customer": customer, "status": "succeeded" });
    let dispute = |id: &str, charge: &str| json!({ "id": id, "object": "dispute", "charge": charge, "status": "under_review" });
    let story = [
        ("charge.succeeded", charge("ch_a", "cus_1")),
        ("charge.dispute.updated", dispute("dp_a", "ch_a")),
        ("charge.dispute.updated", dispute("dp_b", "ch_b")),
        ("charge.succeeded", charge("ch_b", "cus_2")),
        ("charge.succeeded", charge("ch_d", "cus_4")),
        (
            "radar.early_fraud_warning.created",
            json!({ "id": "issfr_d", "object": "radar.early_fraud_warning", "charge": "ch_d", "actionable": true }),
        ),
        (
            "review.opened",
            json!({ "id": "prv_e", "object": "review", "charge": "ch_e", "open": true }),
        ),
        ("charge.succeeded", charge("ch_e", "cus_5")),
    ];
    for (at, (kind, object)) in story.iter().enumerate() {
        let event = json!({ "id": format!("evt_story_{at}"), "object": "event", "type": kind, "livemode": true,
            "created": bench.now().seconds(), "data": { "object": object } });
        let arrival = delivery(&event, bench.now());
        bench.store.ingest(&[arrival]).await.unwrap();
        for event in super::claim_events(&bench).await {
            bench.store.apply_event(&event).await.unwrap();
        }
    }
    assert_eq!(go(&bench.store).await, 1);
    let said = Some("a payment of the customer is disputed: under_review");
    let warned = Some("a card issuer warns of a payment of the customer");
    let reviewed = Some("a payment of the customer is under review");
    for (intent, status, reason) in [
        ("pi_cus_1", "suppressed", said),
        ("pi_cus_2", "suppressed", said),
        ("pi_cus_3", "sent", None),
        ("pi_cus_4", "suppressed", warned),
        ("pi_cus_5", "suppressed", reviewed),
    ] {
        let message = shown(&bench.store, intent).await;
        assert_eq!(
            (message.status.as_str(), message.reason.as_deref()),
            (status, reason),
            "{intent}"
        );
    }
}

async fn a_run_that_lost_its_reason_writes_nothing(bench: Bench) {
    let run = run_of(&bench, "cus_1", "pi_1").await;
    apply(&bench, &[paid("cus_1", "pi_1", 5)]).await;
    let mail = Wanted::failure("cus_1", "pi_1", "ada@example.com");
    let finish = done(vec![mail.effect()]);
    bench.store.finish_run(&run, &finish).await.unwrap();
    let event = bench.store.event("evt_pi_1_failed").await.unwrap().unwrap();
    assert_eq!((event.status.as_str(), event.messages.len()), ("done", 0));
    let run = event.run.unwrap();
    assert_eq!(
        (run.status.as_str(), run.reason.as_deref()),
        ("skipped", Some("the payment is succeeded now"))
    );
}

/// A row goes on saying `past_due` when its grace has ended: nothing is written then.
async fn access_is_asked_for_at_the_moment(bench: Bench) {
    let object = Subscription {
        id: "sub_1".into(),
        customer: "cus_1".into(),
        status: "past_due",
        created: bench.now().seconds(),
        ..Subscription::default()
    };
    let run = run_of(&bench, "cus_1", "pi_1").await;
    let now = bench.now().seconds();
    let kind = "customer.subscription.updated";
    apply(&bench, &[Told::new("evt_sub", kind, now, object)]).await;
    for (after, granted) in [
        (Duration::ZERO, true),
        (policy().access.past_due_grace, false),
    ] {
        bench.clock.advance(after);
        let standing = bench.store.load_run(&run).await.unwrap().standing;
        assert_eq!(standing.access.unwrap().granted, granted, "{after:?}");
    }
}

/// It has no customer and no link: its own row is all there is to it.
async fn a_failed_payout_is_decided_on_its_row(bench: Bench) {
    let payout = Payout {
        status: "failed",
        failure_code: Some("account_closed"),
        ..Payout::default()
    };
    let now = bench.now().seconds();
    apply(&bench, &[Told::new("evt_po", "payout.failed", now, payout)]).await;
    bench.clock.advance(Duration::from_secs(10));
    let run = bench.store.claim_run(LONG).await.unwrap().unwrap();
    assert_eq!(run.playbook, "payout_failed");
    let input = bench.store.load_run(&run).await.unwrap();
    assert_eq!(input.occurrence.amount, Some((123_400, "eur".to_owned())));
    let (id, row) = input.standing.payout.unwrap();
    assert_eq!(
        (id.as_str(), row.text("failure_code")),
        ("po_week", Some("account_closed"))
    );
    assert_eq!(input.standing.now, Some(bench.now()));
}

/// Who types a stranger's address into a checkout is another customer than the one whose address it is: that this one
/// paid says nothing of that one.
async fn an_address_shared_with_one_who_paid_still_waits(bench: Bench) {
    apply(&bench, &[paid("cus_payer", "pi_old", -500)]).await;
    bench.clock.advance(Duration::from_secs(10));
    let run = bench.store.claim_run(LONG).await.unwrap().unwrap();
    let mut nothing = done(Vec::new());
    nothing.purpose = billhook::guardrails::precondition::Purpose::PaymentSucceeded;
    bench.store.finish_run(&run, &nothing).await.unwrap();

    let mut standings = Vec::new();
    for (customer, intent) in [
        ("cus_payer", "pi_1"),
        ("cus_other", "pi_2"),
        ("cus_third", "pi_3"),
    ] {
        let run = run_of(&bench, customer, intent).await;
        let has_paid = bench.store.load_run(&run).await.unwrap().standing.has_paid;
        standings.push(has_paid);
        let wanted = Wanted {
            first_contact: !has_paid,
            ..Wanted::failure(customer, intent, "ada@example.com")
        };
        let finish = done(vec![wanted.effect()]);
        bench.store.finish_run(&run, &finish).await.unwrap();
    }
    assert_eq!(standings, [true, false, false]);
    assert_eq!(go(&bench.store).await, 1, "the payer's own");
    // One of the strangers' payments goes through while its mail waits; the other's does not.
    apply(&bench, &[paid("cus_other", "pi_2", 60)]).await;
    bench.clock.advance(Duration::from_mins(10));
    assert_eq!(go(&bench.store).await, 0);
    let other = shown(&bench.store, "pi_2").await;
    assert_eq!(other.status, "suppressed");
    let third = shown(&bench.store, "pi_3").await;
    let reason = third.reason.unwrap();
    assert!(
        reason.starts_with("caps.failure_mails_per_recipient_per_day"),
        "{reason}"
    );
}
