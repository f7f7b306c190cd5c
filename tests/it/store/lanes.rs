//! Lanes between those who look for them, claim them and hold them.

use std::time::{Duration, Instant};

use billhook::store::{ClaimedRun, NewStep, Release, Retried, Store, StoreError};
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _, SqliteConnection};

use super::queued::{done, run_of};
use super::{LONG, apply, failed_payment, ingest};
use crate::support::bench::Bench;
use crate::support::process::PATIENCE;

on_both!(
    of_many_lanes_each_is_claimed_once,
    lanes_that_wait_hide_none_that_does_not,
    journals_of_two_generations_never_mix
);

fn step(seq: i64, words: &str) -> NewStep {
    NewStep {
        seq,
        data: json!({ "words": words }),
        prompt_hash: format!("prompts of {words}"),
        tools_hash: "tools".to_owned(),
        model: Some("test-model".to_owned()),
        spending: None,
        call: None,
    }
}

/// What whoever holds the run goes on from.
async fn known(bench: &Bench, run: &ClaimedRun) -> Vec<(i64, String)> {
    let steps = bench.store.load_run(run).await.unwrap().steps.into_iter();
    let steps = steps.map(|step| (step.seq, step.data["words"].as_str().unwrap().to_owned()));
    steps.collect()
}

async fn journals_of_two_generations_never_mix(bench: Bench) {
    apply(&bench, &[failed_payment("cus_1", "pi_1")]).await;
    bench.clock.advance(Duration::from_secs(10));
    let claim = async || {
        let claim = async || bench.store.claim_run(LONG).await.unwrap();
        bench.after_lease(claim).await
    };
    let give_back = async |run: &ClaimedRun, start_over| {
        let release = Release {
            status: "waiting",
            due_at: bench.now(),
            error: "given back".to_owned(),
            start_over,
            is_failure: false,
        };
        bench.store.release_run(run, &release).await.unwrap();
    };
    let zombie = bench.store.claim_run(bench.short_lease()).await.unwrap();
    let zombie = zombie.unwrap();
    for seq in 0..2 {
        let step = step(seq, "the first");
        bench.store.journal(&zombie, &step).await.unwrap();
    }

    // Its process was away for longer than what it read may be acted on.
    bench.clock.advance(Duration::from_secs(5 * 60 + 1));
    let heir = claim().await;
    assert_eq!(
        (&heir.id, heir.generation),
        (&zombie.id, zombie.generation + 1)
    );
    assert_eq!(heir.prompt_hash, None);
    assert!(known(&bench, &heir).await.is_empty());
    let late = bench.store.journal(&zombie, &step(2, "the first")).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    bench
        .store
        .journal(&heir, &step(0, "the second"))
        .await
        .unwrap();

    // Given back for any other reason, it goes on with its own steps and nobody else's.
    give_back(&heir, false).await;
    let again = claim().await;
    assert_eq!(again.generation, heir.generation);
    assert_eq!(again.prompt_hash.as_deref(), Some("prompts of the second"));
    assert_eq!(known(&bench, &again).await, [(0, "the second".to_owned())]);
    give_back(&again, true).await;
    let last = claim().await;
    assert_eq!(last.generation, heir.generation + 1);
    assert!(known(&bench, &last).await.is_empty());
    bench
        .store
        .journal(&last, &step(0, "the third"))
        .await
        .unwrap();
    bench
        .store
        .finish_run(&last, &done(Vec::new()))
        .await
        .unwrap();

    let run = bench.store.run(&last.id).await.unwrap().unwrap();
    let steps = run.steps.iter();
    let steps: Vec<_> = steps
        .map(|step| step["data"]["words"].as_str().unwrap())
        .collect();
    assert_eq!(steps, ["the first", "the first", "the second", "the third"]);
}

async fn of_many_lanes_each_is_claimed_once(bench: Bench) {
    let payments: Vec<_> = (0..20)
        .map(|n| failed_payment(&format!("cus_{n}"), &format!("pi_{n}")))
        .collect();
    apply(&bench, &payments).await;
    bench.clock.advance(Duration::from_secs(10));
    let other = bench.another_process().await;
    let claim_all = async |store: &dyn Store| {
        let mut ids = Vec::new();
        while let Some(run) = store.claim_run(LONG).await.unwrap() {
            ids.push(run.id);
        }
        ids
    };
    let (one, two) = tokio::join!(claim_all(bench.store.as_ref()), claim_all(other.as_ref()));
    let mut all = [one, two].concat();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 20);
}

async fn lanes_that_wait_hide_none_that_does_not(bench: Bench) {
    let customers: Vec<_> = (0..20).map(|n| format!("cus_{n}")).collect();
    let payments = |of: &str| -> Vec<_> {
        let payment = |customer: &String| failed_payment(customer, &format!("{of}_{customer}"));
        customers.iter().map(payment).collect()
    };
    apply(&bench, &payments("first")).await;
    bench.clock.advance(Duration::from_secs(1));
    apply(&bench, &[failed_payment("cus_free", "pi_free")]).await;
    ingest(&bench, &payments("second")).await;
    bench.clock.advance(Duration::from_secs(20));
    let run = bench.store.claim_run(LONG).await.unwrap().unwrap();
    assert_eq!(run.event, "evt_pi_free_failed");
    assert!(bench.store.claim_run(LONG).await.unwrap().is_none());
}

/// As every ring does while a backlog is worked off: it must not queue behind whoever writes, nor hold them up.
#[tokio::test]
async fn a_look_that_finds_nothing_writes_nothing() {
    let bench = Bench::sqlite().await;
    apply(&bench, &[failed_payment("cus_1", "pi_1")]).await;
    ingest(&bench, &[failed_payment("cus_1", "pi_2")]).await;
    bench.clock.advance(Duration::from_secs(10));
    let mut database = SqliteConnection::connect(&bench.url).await.unwrap();
    database.execute("BEGIN IMMEDIATE").await.unwrap();
    assert!(bench.store.claim_run(LONG).await.unwrap().is_none());
    assert_eq!(bench.store.promote_schedules(10).await.unwrap(), 0);
}

/// Whoever claims a run has its lane first and its row then; in the other order the two would wait for each other.
#[tokio::test]
async fn a_retry_waits_for_the_lane_before_it_holds_the_run() {
    let Some(bench) = Bench::postgres().await else {
        return;
    };
    let run = run_of(&bench, "cus_1", "pi_1").await;
    let release = Release {
        status: "failed",
        due_at: bench.now(),
        error: "the template is broken".to_owned(),
        start_over: false,
        is_failure: true,
    };
    bench.store.release_run(&run, &release).await.unwrap();
    let mut claiming = PgConnection::connect(&bench.url).await.unwrap();
    claiming.execute("BEGIN").await.unwrap();
    claiming
        .execute("SELECT 1 FROM lanes FOR UPDATE")
        .await
        .unwrap();
    let claim = async {
        let mut watching = PgConnection::connect(&bench.url).await.unwrap();
        let begun = Instant::now();
        let waiting = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while watching.fetch_one(waiting).await.unwrap().get::<i64, _>(0) == 0 {
            assert!(begun.elapsed() < PATIENCE, "nobody waits for the lane");
        }
        claiming
            .execute("SELECT 1 FROM runs FOR UPDATE NOWAIT")
            .await
            .unwrap();
        claiming.execute("COMMIT").await.unwrap();
    };
    let (retried, ()) = tokio::join!(bench.store.retry_event("evt_pi_1_failed"), claim);
    assert_eq!(retried.unwrap(), Retried::Retrying);
    let again = bench.store.claim_run(LONG).await.unwrap().unwrap();
    bench
        .store
        .finish_run(&again, &done(Vec::new()))
        .await
        .unwrap();
}
