//! What the verbs promise, asked of both databases in the same words.
//!
//! Over 400 lines because it is one story: each part goes on from the last.

use std::collections::BTreeSet;
use std::time::Duration;

use billhook::guardrails::precondition::Purpose;
use billhook::store::{
    Accepted, Action, Channel, ClaimedRun, Clearance, EventFilter, Failure, Finish, MessageFilter,
    NewEffect, NewMessage, NewStep, Page, Release, Retried, SendOutcome, Store, StoreError,
};
use billhook_tools::{Priority, Proposal};
use serde_json::{Value, json};

use crate::support::bench::{Bench, START};
use crate::support::fixture::delivery;

const LEASE: Duration = Duration::from_mins(1);

fn event(id: &str, kind: &str, at: i64, object: &Value) -> Value {
    json!({
        "id": id, "object": "event", "api_version": "2020-08-27", "created": START + at, "livemode": true, "type": kind,
        "data": { "object": object },
    })
}

fn failed(id: &str, intent: &str, at: i64) -> Value {
    let object = json!({
        "id": intent, "object": "payment_intent", "customer": "cus_1", "status": "requires_payment_method", "amount": 900,
        "currency": "eur", "created": START, "latest_charge": format!("ch_{id}"), "metadata": {},
    });
    event(id, "payment_intent.payment_failed", at, &object)
}

async fn take(bench: &Bench, events: &[Value]) -> Vec<Accepted> {
    let batch: Vec<_> = events
        .iter()
        .map(|event| delivery(event, bench.now()))
        .collect();
    bench.store.ingest(&batch).await.unwrap()
}

async fn apply_all(bench: &Bench) {
    loop {
        let claimed = bench.store.claim_events(10, LEASE).await.unwrap();
        if claimed.is_empty() {
            return;
        }
        for event in &claimed {
            bench.store.apply_event(event).await.unwrap();
        }
    }
}

fn notice() -> NewEffect {
    let message = NewMessage {
        channel: Channel::Sales,
        purpose: Purpose::PaymentFailed,
        recipient: None,
        message_id: "<one@acme.example>".to_owned(),
        subject: "Payment failed".to_owned(),
        text: "A payment failed".to_owned(),
        html: None,
        notice: Some(json!({ "text": "A payment failed" })),
        first_contact: false,
        reason: None,
    };
    NewEffect {
        key: "key_1".to_owned(),
        proposal: Proposal::NotifySales {
            priority: Priority::Normal,
            summary: "A payment failed".to_owned(),
        },
        action: Action::Send(Box::new(message)),
    }
}

fn done(effects: Vec<NewEffect>) -> Finish {
    Finish {
        status: "done",
        reason: None,
        effects,
        usage: json!({}),
        purpose: Purpose::PaymentFailed,
    }
}

fn is_fenced<T: std::fmt::Debug>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Fenced))
}

async fn deliveries_are_told_apart(bench: &Bench) {
    let one = failed("evt_1", "pi_1", 0);
    let answers = take(
        bench,
        &[one.clone(), one.clone(), failed("evt_2", "pi_2", 100)],
    )
    .await;
    assert_eq!(
        answers,
        [Accepted::Accepted, Accepted::Duplicate, Accepted::Accepted]
    );
    assert_eq!(
        take(bench, std::slice::from_ref(&one)).await,
        [Accepted::Duplicate]
    );
    assert_eq!(bench.store.backlog(10).await.unwrap(), 2);
    assert_eq!(
        bench.store.backlog(1).await.unwrap(),
        1,
        "counting stops at the bound"
    );
    let shown = bench.store.event("evt_1").await.unwrap().unwrap();
    assert_eq!(shown.deliveries.len(), 3);
    assert_eq!(shown.payload, one);
}

async fn a_worker_that_was_given_up_is_fenced(bench: &Bench) {
    let zombie = bench
        .store
        .claim_events(10, bench.short_lease())
        .await
        .unwrap();
    assert_eq!(zombie.len(), 2);
    assert!(
        bench
            .store
            .claim_events(10, LEASE)
            .await
            .unwrap()
            .is_empty(),
        "claimed twice under one lease"
    );
    let heir = bench
        .after_lease(async || {
            Some(bench.store.claim_events(10, LEASE).await.unwrap())
                .filter(|events| events.len() == 2)
        })
        .await;
    assert!(is_fenced(&bench.store.apply_event(&zombie[0]).await));
    assert!(is_fenced(
        &bench
            .store
            .fail_event(&zombie[0], "late", Failure::Dead)
            .await
    ));
    bench.store.apply_event(&heir[0]).await.unwrap();
    bench
        .store
        .fail_event(&heir[1], "broken", Failure::Dead)
        .await
        .unwrap();
    let broken = bench.store.event(&heir[1].id).await.unwrap().unwrap();
    assert_eq!(
        (broken.status.as_str(), broken.last_error.as_deref()),
        ("dead", Some("broken"))
    );
    assert_eq!(
        bench.store.retry_event(&heir[0].id).await.unwrap(),
        Retried::NotDead
    );
    assert_eq!(
        bench.store.retry_event("evt_none").await.unwrap(),
        Retried::Missing
    );
    assert_eq!(
        bench.store.retry_event(&heir[1].id).await.unwrap(),
        Retried::Retrying
    );
    apply_all(bench).await;
    assert_eq!(bench.store.backlog(10).await.unwrap(), 0);
}

fn given_back(bench: &Bench, is_failure: bool) -> Release {
    Release {
        status: "waiting",
        // Before the other run of the lane, so that it is this one that is claimed again.
        due_at: bench.now().minus(Duration::from_hours(1)),
        error: "given back".to_owned(),
        start_over: false,
        is_failure,
    }
}

/// Gives the run back twice and claims it again.
async fn giving_back_spends_an_attempt_only_on_failures(
    bench: &Bench,
    run: ClaimedRun,
) -> ClaimedRun {
    let (mut run, mut spent) = (run, 0);
    for is_failure in [false, true] {
        let release = given_back(bench, is_failure);
        bench.store.release_run(&run, &release).await.unwrap();
        // The fence is spent: nothing that is still on its way may touch the lane.
        assert!(is_fenced(&bench.store.release_run(&run, &release).await));
        assert!(is_fenced(&bench.store.renew_run(&run, LEASE).await));
        let again = bench
            .after_lease(async || bench.store.claim_run(LEASE).await.unwrap())
            .await;
        spent += u32::from(is_failure);
        assert_eq!((&again.id, again.attempts), (&run.id, spent));
        run = again;
    }
    run
}

async fn a_lane_has_one_run_at_a_time_and_ends_it_once(bench: &Bench) {
    if bench.is_postgres() {
        // On SQLite the clock was moved past the window to end the lease.
        assert!(
            bench.store.claim_run(LEASE).await.unwrap().is_none(),
            "claimed before its window ended"
        );
    }
    bench.clock.advance(Duration::from_mins(2));
    let run = bench.store.claim_run(LEASE).await.unwrap().unwrap();
    assert!(
        bench.store.claim_run(LEASE).await.unwrap().is_none(),
        "a second run of the lane"
    );
    let step = |seq| NewStep {
        seq,
        data: json!({ "seq": seq }),
        prompt_hash: "hash".to_owned(),
        tools_hash: "tools".to_owned(),
        model: Some("rules".to_owned()),
        call: None,
        spending: None,
    };
    bench.store.journal(&run, &step(0)).await.unwrap();
    bench.store.journal(&run, &step(1)).await.unwrap();
    // A worker that had no answer commits it again; what it wrote then stands, and nothing else may take its number.
    bench.store.journal(&run, &step(1)).await.unwrap();
    let other = NewStep {
        data: json!({ "seq": "another" }),
        ..step(1)
    };
    assert!(bench.store.journal(&run, &other).await.is_err());
    let run = giving_back_spends_an_attempt_only_on_failures(bench, run).await;
    // What its journal was written with is known to whoever takes it up.
    let with = (run.prompt_hash.as_deref(), run.tools_hash.as_deref());
    assert_eq!(with, (Some("hash"), Some("tools")));
    let shown = bench.store.run(&run.id).await.unwrap().unwrap();
    assert_eq!(shown.tools_hash.as_deref(), Some("tools"));
    let (past, input) = bench.store.past_run(&run.id).await.unwrap().unwrap();
    assert_eq!((&past.event, &past.stage), (&run.event, &run.stage));
    let claimed = bench.store.load_run(&run).await.unwrap();
    assert_eq!(input.occurrence, claimed.occurrence);
    assert_eq!(input.event_type, claimed.event_type);
    assert!(bench.store.past_run("run_nobody").await.unwrap().is_none());
    let steps = claimed.steps;
    assert_eq!(
        steps.iter().map(|step| step.seq).collect::<Vec<_>>(),
        [0, 1]
    );
    bench.store.renew_run(&run, LEASE).await.unwrap();
    bench
        .store
        .finish_run(&run, &done(vec![notice()]))
        .await
        .unwrap();
    assert!(
        is_fenced(&bench.store.finish_run(&run, &done(vec![notice()])).await),
        "ended twice"
    );
    assert!(
        is_fenced(
            &bench
                .store
                .release_run(&run, &given_back(bench, true))
                .await
        ),
        "an ended run was given back"
    );
    // The second run of the customer proposes the same effect: the first stands.
    // What was refused a moment ago may still be rolling back, and its lane is passed over until then.
    let second = bench
        .after_lease(async || bench.store.claim_run(LEASE).await.unwrap())
        .await;
    assert_ne!(second.id, run.id);
    bench
        .store
        .finish_run(&second, &done(vec![notice()]))
        .await
        .unwrap();
    let messages = bench
        .store
        .messages(
            &MessageFilter::default(),
            &Page {
                limit: 10,
                starting_after: None,
            },
        )
        .await
        .unwrap()
        .data;
    assert_eq!(messages.len(), 1);
    assert_eq!(
        bench.store.event(&run.event).await.unwrap().unwrap().status,
        "done"
    );
}

async fn a_message_goes_once(bench: &Bench) {
    assert!(
        bench
            .store
            .claim_messages(Channel::Email, 10, LEASE)
            .await
            .unwrap()
            .is_empty(),
        "another channel's message"
    );
    let zombie = bench
        .store
        .claim_messages(Channel::Sales, 10, bench.short_lease())
        .await
        .unwrap();
    let heir = bench
        .after_lease(async || {
            bench
                .store
                .claim_messages(Channel::Sales, 10, LEASE)
                .await
                .unwrap()
                .into_iter()
                .next()
        })
        .await;
    assert!(is_fenced(
        &bench.store.begin_sending(&zombie[0], LEASE).await
    ));
    assert_eq!(
        bench.store.begin_sending(&heir, LEASE).await.unwrap(),
        Clearance::Go(None)
    );
    bench.store.renew_message(&heir, LEASE * 2).await.unwrap();
    assert!(is_fenced(
        &bench.store.renew_message(&zombie[0], LEASE).await
    ));
    let retry = SendOutcome::Retry {
        at: bench.now().plus(Duration::from_mins(5)),
        reason: "busy".to_owned(),
    };
    bench.store.settle_message(&heir, &retry).await.unwrap();
    assert!(
        is_fenced(&bench.store.renew_message(&heir, LEASE).await),
        "what was given back was leased again"
    );
    assert!(
        bench
            .store
            .claim_messages(Channel::Sales, 10, LEASE)
            .await
            .unwrap()
            .is_empty(),
        "before its time"
    );
    bench.clock.advance(Duration::from_mins(6));
    let again = bench
        .store
        .claim_messages(Channel::Sales, 10, LEASE)
        .await
        .unwrap()
        .remove(0);
    assert!(is_fenced(
        &bench.store.settle_message(&heir, &SendOutcome::Sent).await
    ));
    assert_eq!(
        bench.store.begin_sending(&again, LEASE).await.unwrap(),
        Clearance::Go(None)
    );
    bench
        .store
        .settle_message(&again, &SendOutcome::Sent)
        .await
        .unwrap();
    assert!(
        is_fenced(&bench.store.settle_message(&again, &retry).await),
        "what is over was given back"
    );
    let shown = bench.store.message(&again.id).await.unwrap().unwrap();
    assert_eq!((shown.status.as_str(), shown.attempts), ("sent", 2));
    bench.clock.advance(Duration::from_hours(100));
    assert!(
        bench
            .store
            .claim_messages(Channel::Sales, 10, LEASE)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn lists_go_on_from_a_key(bench: &Bench) {
    let many: Vec<Value> = (0..25)
        .map(|n| {
            event(
                &format!("evt_list_{n:02}"),
                "plan.created",
                n,
                &json!({ "id": "p" }),
            )
        })
        .collect();
    take(bench, &many).await;
    let mut seen = BTreeSet::new();
    let mut page = Page {
        limit: 10,
        starting_after: None,
    };
    loop {
        let listing = bench
            .store
            .events(&EventFilter::default(), &page)
            .await
            .unwrap();
        for event in &listing.data {
            assert!(seen.insert(event.id.clone()), "{} came twice", event.id);
        }
        if !listing.has_more {
            break;
        }
        page.starting_after = listing.data.last().map(|event| event.id.clone());
    }
    assert_eq!(seen.len(), 27);
    let of_customer = EventFilter {
        customer: Some("cus_1".to_owned()),
        ..EventFilter::default()
    };
    let listing = bench
        .store
        .events(
            &of_customer,
            &Page {
                limit: 10,
                starting_after: None,
            },
        )
        .await
        .unwrap();
    assert_eq!(listing.data.len(), 2);
    let dead = EventFilter {
        status: Some("dead".to_owned()),
        ..EventFilter::default()
    };
    assert!(
        bench
            .store
            .events(
                &dead,
                &Page {
                    limit: 10,
                    starting_after: None
                }
            )
            .await
            .unwrap()
            .data
            .is_empty()
    );
}

async fn conformance(bench: &Bench) {
    bench.store.check().await.unwrap();
    deliveries_are_told_apart(bench).await;
    a_worker_that_was_given_up_is_fenced(bench).await;
    a_lane_has_one_run_at_a_time_and_ends_it_once(bench).await;
    a_message_goes_once(bench).await;
    lists_go_on_from_a_key(bench).await;
}

#[tokio::test]
async fn sqlite_keeps_every_promise() {
    conformance(&Bench::sqlite().await).await;
}

#[tokio::test]
async fn postgres_keeps_every_promise() {
    if let Some(bench) = Bench::postgres().await {
        conformance(&bench).await;
    }
}
