//! Dead letters of both stages: where their reasons are shown, and which stage is tried again.

use std::time::Duration;

use billhook::store::{Action, EventFilter, Failure, Page, Release, Retried, Store};

use super::queued::{Wanted, done, run_of};
use super::{LONG, claim_events, claim_one, failed_payment, ingest, status};
use crate::support::bench::Bench;
use crate::support::fixture::Shape;

on_both!(
    an_event_that_cannot_be_applied_says_why_and_is_applied_again,
    a_run_that_spent_its_attempts_says_why_and_is_decided_again,
    a_later_run_of_an_event_that_was_done_makes_it_dead,
    a_run_between_two_tries_is_decided_at_once,
    an_applied_event_that_fails_in_another_shape_is_applied_again,
);

const EVENT: &str = "evt_pi_1_failed";

/// The dead, as `events list --status dead` has them: id, reason, what to do.
async fn dead(bench: &Bench) -> Vec<(String, String, String)> {
    let filter = EventFilter {
        status: Some("dead".to_owned()),
        ..EventFilter::default()
    };
    let page = Page {
        limit: 10,
        starting_after: None,
    };
    let listed = bench.store.events(&filter, &page).await.unwrap().data;
    listed
        .into_iter()
        .map(|event| {
            (
                event.id,
                event.last_error.unwrap(),
                event.waits_for.unwrap(),
            )
        })
        .collect()
}

fn count_of_dead(census: &billhook::store::Census) -> Vec<(&str, u64)> {
    let dead = census.dead.iter();
    dead.map(|(stage, count)| (stage.as_str(), *count))
        .filter(|(_, count)| *count > 0)
        .collect()
}

async fn an_event_that_cannot_be_applied_says_why_and_is_applied_again(bench: Bench) {
    ingest(&bench, &[failed_payment("cus_1", "pi_1")]).await;
    let claimed = claim_one(&bench).await;
    let failed = bench
        .store
        .fail_event(&claimed, "a broken disk", Failure::Dead);
    failed.await.unwrap();
    let says = format!(
        "waits for a person: applying it failed 1 times (a broken disk); when the cause is gone, `billhook events retry {EVENT}`"
    );
    let expected = (EVENT.to_owned(), "a broken disk".to_owned(), says.clone());
    assert_eq!(dead(&bench).await, [expected]);
    let shown = bench.store.event(EVENT).await.unwrap().unwrap();
    assert_eq!(shown.waits_for, Some(says));
    let census = bench.store.census().await.unwrap();
    assert_eq!(count_of_dead(&census), [("apply", 1)]);

    let retried = bench.store.retry_event(EVENT).await.unwrap();
    assert_eq!(retried, Retried::Retrying);
    assert_eq!(status(&bench, EVENT).await, "pending");
    let again = claim_one(&bench).await;
    assert_eq!(again.attempts, 0);
    bench.store.apply_event(&again).await.unwrap();
    assert_eq!(status(&bench, EVENT).await, "applied");
    assert!(dead(&bench).await.is_empty());
}

async fn a_run_that_spent_its_attempts_says_why_and_is_decided_again(bench: Bench) {
    let run = run_of(&bench, "cus_1", "pi_1").await;
    let release = Release {
        status: "failed",
        due_at: bench.now(),
        error: "the template is broken".to_owned(),
        start_over: false,
        is_failure: true,
    };
    bench.store.release_run(&run, &release).await.unwrap();
    let says = format!(
        "waits for a person: its follow-up {} failed 1 times (the template is broken); when the cause is gone, `billhook events retry {EVENT}`",
        run.id
    );
    let reason = "the template is broken".to_owned();
    let expected = (EVENT.to_owned(), reason.clone(), says.clone());
    assert_eq!(dead(&bench).await, [expected]);
    let shown = bench.store.event(EVENT).await.unwrap().unwrap();
    assert_eq!(shown.waits_for, Some(says));
    let failed = shown.run.unwrap();
    assert_eq!(
        (failed.status.as_str(), failed.reason),
        ("failed", Some(reason))
    );
    let census = bench.store.census().await.unwrap();
    assert_eq!(count_of_dead(&census), [("follow_up", 1)]);

    let retried = bench.store.retry_event(EVENT).await.unwrap();
    assert_eq!(retried, Retried::Retrying);
    assert_eq!(status(&bench, EVENT).await, "applied");
    assert!(
        claim_events(&bench).await.is_empty(),
        "its updates are written already"
    );
    let again = bench.store.claim_run(LONG).await.unwrap().unwrap();
    assert_eq!((again.id.as_str(), again.attempts), (run.id.as_str(), 0));
    let mail = Wanted::failure("cus_1", "pi_1", "ada@example.com");
    let finish = done(vec![mail.effect()]);
    bench.store.finish_run(&again, &finish).await.unwrap();
    assert_eq!(status(&bench, EVENT).await, "done");
}

async fn a_later_run_of_an_event_that_was_done_makes_it_dead(bench: Bench) {
    let run = run_of(&bench, "cus_1", "pi_1").await;
    let mut winback = Wanted::mail("cus_1", "pi_1").effect();
    winback.action = Action::Schedule {
        playbook: "winback_due".to_owned(),
        due_at: bench.now().plus(Duration::from_hours(24)),
        subscription: "sub_1".to_owned(),
        data: serde_json::json!({}),
    };
    let finish = done(vec![winback]);
    bench.store.finish_run(&run, &finish).await.unwrap();
    assert_eq!(status(&bench, EVENT).await, "done");
    bench.clock.advance(Duration::from_hours(24));
    assert_eq!(bench.store.promote_schedules(10).await.unwrap(), 1);
    let later = bench.store.claim_run(LONG).await.unwrap().unwrap();
    assert_eq!(later.stage, "winback");
    let release = Release {
        status: "failed",
        due_at: bench.now(),
        error: "the template is broken".to_owned(),
        start_over: false,
        is_failure: true,
    };
    bench.store.release_run(&later, &release).await.unwrap();
    let says = &dead(&bench).await[0].2;
    let expected = format!("its follow-up {} failed 1 times", later.id);
    assert!(says.contains(&expected), "{says}");
    bench.store.retry_event(EVENT).await.unwrap();
    let again = bench.store.claim_run(LONG).await.unwrap().unwrap();
    assert_eq!(again.id, later.id);
    bench
        .store
        .finish_run(&again, &done(Vec::new()))
        .await
        .unwrap();
    assert_eq!(status(&bench, EVENT).await, "done");
}

async fn a_run_between_two_tries_is_decided_at_once(bench: Bench) {
    let run = run_of(&bench, "cus_1", "pi_1").await;
    let taken = bench.store.retry_event(EVENT).await.unwrap();
    assert_eq!(taken, Retried::NotDead, "it is being decided");
    for status in ["waiting", "deferred"] {
        let run = match status {
            "waiting" => run.clone(),
            _ => bench.store.claim_run(LONG).await.unwrap().unwrap(),
        };
        let release = Release {
            status,
            due_at: bench.now().plus(Duration::from_mins(30)),
            error: "the store was away".to_owned(),
            start_over: false,
            is_failure: status == "waiting",
        };
        bench.store.release_run(&run, &release).await.unwrap();
        assert!(bench.store.claim_run(LONG).await.unwrap().is_none());
        let retried = bench.store.retry_event(EVENT).await.unwrap();
        assert_eq!(retried, Retried::Retrying, "{status}");
    }
    assert!(bench.store.claim_run(LONG).await.unwrap().is_some());
    // What waits for its window was never tried, and is left alone.
    super::apply(&bench, &[failed_payment("cus_2", "pi_2")]).await;
    let early = bench.store.retry_event("evt_pi_2_failed").await.unwrap();
    assert_eq!(early, Retried::NotDead);
}

async fn an_applied_event_that_fails_in_another_shape_is_applied_again(bench: Bench) {
    let run = run_of(&bench, "cus_1", "pi_1").await;
    bench
        .store
        .finish_run(&run, &done(Vec::new()))
        .await
        .unwrap();
    let other = failed_payment("cus_1", "pi_1").delivery(Shape::Old, bench.now());
    bench.store.ingest(&[other]).await.unwrap();
    let claimed = claim_one(&bench).await;
    let failed = bench
        .store
        .fail_event(&claimed, "a broken disk", Failure::Dead);
    failed.await.unwrap();
    let says = &dead(&bench).await[0].2;
    assert!(says.contains("applying it failed"), "{says}");
    let census = bench.store.census().await.unwrap();
    assert_eq!(count_of_dead(&census), [("apply", 1)]);
    bench.store.retry_event(EVENT).await.unwrap();
    let again = claim_one(&bench).await;
    assert_eq!(again.bodies.len(), 1);
    bench.store.apply_event(&again).await.unwrap();
    assert_eq!(status(&bench, EVENT).await, "done");
}

/// A lane is not held up by what is dead in it.
#[tokio::test]
async fn the_dead_hold_nobody_up() {
    let bench = Bench::sqlite().await;
    ingest(
        &bench,
        &[
            failed_payment("cus_1", "pi_1"),
            failed_payment("cus_1", "pi_2"),
        ],
    )
    .await;
    for event in claim_events(&bench).await {
        if event.id == EVENT {
            let failed = bench
                .store
                .fail_event(&event, "a broken disk", Failure::Dead);
            failed.await.unwrap();
        } else {
            bench.store.apply_event(&event).await.unwrap();
        }
    }
    bench.clock.advance(Duration::from_secs(10));
    let run = bench.store.claim_run(LONG).await.unwrap().unwrap();
    assert_eq!(run.event, "evt_pi_2_failed");
}
