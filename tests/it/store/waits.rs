//! What events and runs wait for, each from the state that the stages themselves leave behind.

mod messages;

use std::time::Duration;

use billhook::store::{EventFilter, Failure, MessageFilter, Page, Release, Store};

use super::queued::{Wanted, done, queue, run_of};
use super::{LONG, apply, claim_one, failed_payment, ingest};
use crate::support::bench::{Bench, START};
use crate::support::fixture::{Subscription, Told};

on_both!(
    an_event_waits_for_a_worker_or_for_its_next_try,
    an_event_says_that_its_worker_is_gone,
    lists_and_single_rows_say_the_same,
    a_run_waits_for_its_window,
    a_run_waits_for_the_invoice_of_its_payment,
    a_run_waits_for_its_customers_events,
    a_run_waits_for_another_of_its_customer,
    a_run_waits_for_its_next_try,
    a_run_waits_for_the_model,
    a_run_says_that_its_worker_is_gone,
);

const EVENT: &str = "evt_pi_1_failed";

fn at(seconds: i64) -> String {
    billhook::clock::Timestamp::from_seconds(START + seconds).iso()
}

async fn event_waits(bench: &Bench) -> Option<String> {
    let event = bench.store.event(EVENT).await.unwrap().unwrap();
    event.waits_for
}

/// What the run waits for; its event says the same.
async fn run_waits(bench: &Bench) -> String {
    let event = bench.store.event(EVENT).await.unwrap().unwrap();
    let run = event.run.unwrap();
    let waits = run.waits_for.unwrap();
    assert_eq!(
        event.waits_for,
        Some(format!("its follow-up {} {waits}", run.id))
    );
    waits
}

fn starts(said: Option<String>, expected: &str) {
    let said = said.unwrap_or_default();
    assert!(said.starts_with(expected), "{said}");
}

async fn an_event_waits_for_a_worker_or_for_its_next_try(bench: Bench) {
    ingest(&bench, &[failed_payment("cus_1", "pi_1")]).await;
    assert_eq!(
        event_waits(&bench).await.as_deref(),
        Some("waits for a free worker to apply it")
    );
    let claimed = claim_one(&bench).await;
    starts(
        event_waits(&bench).await,
        "is being applied, under a lease until ",
    );
    let again = bench.now().plus(Duration::from_secs(4));
    let failed = bench
        .store
        .fail_event(&claimed, "a deadlock", Failure::Retry(again));
    failed.await.unwrap();
    assert_eq!(
        event_waits(&bench).await,
        Some(format!(
            "attempt 1 of 8 to apply it failed (a deadlock); it is tried again at {}",
            at(4)
        ))
    );
    bench.clock.advance(Duration::from_secs(4));
    assert_eq!(
        event_waits(&bench).await.as_deref(),
        Some(
            "attempt 1 of 8 to apply it failed (a deadlock); it waits for a free worker to try again"
        )
    );
    let claimed = claim_one(&bench).await;
    bench.store.apply_event(&claimed).await.unwrap();
    starts(event_waits(&bench).await, "its follow-up run_");
}

async fn an_event_says_that_its_worker_is_gone(bench: Bench) {
    ingest(&bench, &[failed_payment("cus_1", "pi_1")]).await;
    let lease = bench.short_lease();
    assert_eq!(bench.store.claim_events(1, lease).await.unwrap().len(), 1);
    let said = bench
        .after_lease(async || {
            let said = event_waits(&bench).await.unwrap();
            (!said.starts_with("is being applied")).then_some(said)
        })
        .await;
    starts(Some(said), "its worker gave no sign of life until ");
}

async fn lists_and_single_rows_say_the_same(bench: Bench) {
    let page = Page {
        limit: 10,
        starting_after: None,
    };
    queue(&bench, &Wanted::mail("cus_1", "pi_1")).await;
    apply(&bench, &[failed_payment("cus_1", "pi_2")]).await;
    let event = bench.store.event("evt_pi_2_failed").await.unwrap().unwrap();
    let run = event.run.unwrap();
    let alone = bench.store.run(&run.id).await.unwrap().unwrap();
    let runs = bench.store.runs(&page).await.unwrap().data;
    let events = bench.store.events(&EventFilter::default(), &page).await;
    let events = events.unwrap().data;
    let of_run: Vec<_> = runs.into_iter().map(|run| run.waits_for).collect();
    let of_event: Vec<_> = events.into_iter().map(|event| event.waits_for).collect();
    assert!(run.waits_for.is_some());
    assert_eq!(alone.waits_for, run.waits_for);
    assert_eq!(of_run, [run.waits_for, None]);
    assert_eq!(of_event, [event.waits_for, None]);
    let messages = bench
        .store
        .messages(&MessageFilter::default(), &page)
        .await
        .unwrap()
        .data;
    let message = bench.store.message(&messages[0].id).await.unwrap().unwrap();
    assert!(message.waits_for.is_some());
    assert_eq!(message.waits_for, messages[0].waits_for);
}

async fn a_run_waits_for_its_window(bench: Bench) {
    apply(&bench, &[failed_payment("cus_1", "pi_1")]).await;
    assert_eq!(
        run_waits(&bench).await,
        format!(
            "waits for its settle window until {}: events about the same fact gather",
            at(10)
        )
    );
    bench.clock.advance(Duration::from_secs(10));
    assert_eq!(
        run_waits(&bench).await,
        format!("is due since {} and waits for a free worker", at(10))
    );
    let run = bench.store.claim_run(LONG).await.unwrap().unwrap();
    starts(
        Some(run_waits(&bench).await),
        "is being decided, attempt 1 of 8, under a lease until ",
    );
    bench
        .store
        .finish_run(&run, &done(Vec::new()))
        .await
        .unwrap();
    assert_eq!(event_waits(&bench).await, None);
}

async fn a_run_waits_for_the_invoice_of_its_payment(bench: Bench) {
    let subscription = Subscription {
        id: "sub_1".to_owned(),
        customer: "cus_1".to_owned(),
        status: "active",
        latest_invoice: None,
        period_start: START,
        cancel_at_period_end: false,
        canceled_at: None,
        created: START - 100,
        ..Subscription::default()
    };
    let begun = Told::new(
        "evt_sub",
        "customer.subscription.created",
        START - 100,
        subscription,
    );
    apply(&bench, &[begun]).await;
    apply(&bench, &[failed_payment("cus_1", "pi_1")]).await;
    assert_eq!(
        run_waits(&bench).await,
        format!(
            "waits until {}: the invoice of this payment may still arrive and take over",
            at(60)
        )
    );
}

async fn a_run_waits_for_its_customers_events(bench: Bench) {
    apply(&bench, &[failed_payment("cus_1", "pi_1")]).await;
    bench.clock.advance(Duration::from_secs(10));
    ingest(&bench, &[failed_payment("cus_1", "pi_2")]).await;
    let before_it_was_due = claim_one(&bench).await;
    bench.clock.advance(Duration::from_secs(1));
    ingest(&bench, &[failed_payment("cus_1", "pi_3")]).await;
    let waits = format!(
        "is due since {} and waits for 2 received events of this customer to be applied",
        at(10)
    );
    assert_eq!(run_waits(&bench).await, waits);
    assert!(bench.store.claim_run(LONG).await.unwrap().is_none());

    // What came later is not waited for without end.
    bench.store.apply_event(&before_it_was_due).await.unwrap();
    let waits = format!(
        "is due since {} and waits for 1 received events of this customer to be applied, until {} at most",
        at(10),
        at(71)
    );
    assert_eq!(run_waits(&bench).await, waits);
    assert!(bench.store.claim_run(LONG).await.unwrap().is_none());
    bench.clock.advance(Duration::from_mins(1));
    let waits = format!("is due since {} and waits for a free worker", at(10));
    assert_eq!(run_waits(&bench).await, waits);
    assert!(bench.store.claim_run(LONG).await.unwrap().is_some());
}

async fn a_run_waits_for_another_of_its_customer(bench: Bench) {
    apply(&bench, &[failed_payment("cus_1", "pi_0")]).await;
    bench.clock.advance(Duration::from_secs(1));
    apply(&bench, &[failed_payment("cus_1", "pi_1")]).await;
    bench.clock.advance(Duration::from_secs(20));
    let first = bench.store.event("evt_pi_0_failed").await.unwrap().unwrap();
    let first = first.run.unwrap().id;
    assert_eq!(
        run_waits(&bench).await,
        format!(
            "is due since {} and waits behind {first} (payment_failed) of this customer, which comes first and waits for a free worker",
            at(11)
        )
    );
    let run = bench.store.claim_run(LONG).await.unwrap().unwrap();
    assert_eq!(run.id, first);
    assert_eq!(
        run_waits(&bench).await,
        format!(
            "is due since {} and waits for {first} (payment_failed) of this customer, which is being decided: they go one at a time",
            at(11)
        )
    );
}

fn released(status: &'static str, bench: &Bench, wait: u64, error: &str) -> Release {
    Release {
        status,
        due_at: bench.now().plus(Duration::from_secs(wait)),
        error: error.to_owned(),
        start_over: false,
        is_failure: status == "waiting",
    }
}

async fn a_run_waits_for_its_next_try(bench: Bench) {
    let run = run_of(&bench, "cus_1", "pi_1").await;
    let release = released("waiting", &bench, 4, "the store was away");
    bench.store.release_run(&run, &release).await.unwrap();
    assert_eq!(
        run_waits(&bench).await,
        format!(
            "attempt 1 of 8 failed (the store was away); it is tried again at {}",
            at(14)
        )
    );
    bench.clock.advance(Duration::from_secs(4));
    assert_eq!(
        run_waits(&bench).await,
        format!(
            "attempt 1 of 8 failed (the store was away); it is due since {} and waits for a free worker",
            at(14)
        )
    );
}

async fn a_run_waits_for_the_model(bench: Bench) {
    let run = run_of(&bench, "cus_1", "pi_1").await;
    let release = released("deferred", &bench, 30, "http 529");
    bench.store.release_run(&run, &release).await.unwrap();
    assert_eq!(
        run_waits(&bench).await,
        format!(
            "waits for the model (http 529); it is asked again at {}, and from {} on the rules decide",
            at(40),
            at(3610)
        )
    );
    bench.clock.advance(Duration::from_secs(30));
    assert_eq!(
        run_waits(&bench).await,
        format!(
            "waits for the model (http 529); it is due since {} and waits for a free worker",
            at(40)
        )
    );
}

async fn a_run_says_that_its_worker_is_gone(bench: Bench) {
    apply(&bench, &[failed_payment("cus_1", "pi_1")]).await;
    bench.clock.advance(Duration::from_secs(10));
    let claimed = bench.store.claim_run(bench.short_lease()).await.unwrap();
    assert!(claimed.is_some());
    let said = bench
        .after_lease(async || {
            let said = run_waits(&bench).await;
            (!said.starts_with("is being decided")).then_some(said)
        })
        .await;
    starts(Some(said), "waits: its worker gave no sign of life until ");
}
