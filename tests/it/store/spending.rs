//! What models used is counted with the reply's own commit, once, and outlives processes.

use std::sync::Arc;
use std::time::Duration;

use billhook::store::{
    ClaimedRun, NewSpending, NewStep, Release, RunRecord, Store, StoreError, Used, UsedSoFar,
};
use serde_json::{Value, json};

use super::{LONG, failed_payment, ingest};
use crate::support::bench::Bench;

on_both!(
    a_reply_is_counted_for_its_run_its_customer_and_the_day,
    a_reply_is_counted_once_and_only_by_who_holds_the_lane,
    a_restart_forgets_nothing_and_midnight_forgets_the_day,
    money_of_another_currency_is_not_added_up,
    replies_at_once_are_all_counted,
    who_waits_for_a_model_is_counted_by_why,
);

/// A thousand tokens read, of which 400 from a cache, and a hundred written, of which 60 thought.
fn spending(cost: Option<i64>) -> NewSpending {
    NewSpending {
        calls: 2,
        input_tokens: 1000,
        output_tokens: 100,
        cached_tokens: 400,
        reasoning_tokens: 60,
        is_estimated: false,
        cost,
        currency: "usd".to_owned(),
    }
}

fn step(seq: i64, spending: NewSpending) -> NewStep {
    NewStep {
        seq,
        data: json!({ "seq": seq }),
        prompt_hash: "hash".to_owned(),
        tools_hash: "tools".to_owned(),
        model: Some(format!("model-{seq}")),
        call: None,
        spending: Some(spending),
    }
}

/// A claimed run for each of the customers `cus_0`, `cus_1` and so on, in this order.
async fn claimed(bench: &Bench, customers: usize) -> Vec<ClaimedRun> {
    let failed: Vec<_> = (0..customers)
        .map(|n| failed_payment(&format!("cus_{n}"), &format!("pi_{n}")))
        .collect();
    ingest(bench, &failed).await;
    for event in bench.store.claim_events(100, LONG).await.unwrap() {
        bench.store.apply_event(&event).await.unwrap();
    }
    bench.clock.advance(Duration::from_mins(2));
    let mut runs = Vec::new();
    while let Some(run) = bench.store.claim_run(LONG).await.unwrap() {
        runs.push(run);
    }
    assert_eq!(runs.len(), customers);
    runs.sort_by(|a, b| a.customer.cmp(&b.customer));
    runs
}

async fn used(store: &dyn Store, run: &ClaimedRun) -> UsedSoFar {
    store.used_so_far(run, "usd").await.unwrap()
}

async fn shown(bench: &Bench, run: &ClaimedRun) -> RunRecord {
    bench.store.run(&run.id).await.unwrap().unwrap()
}

fn replies(replies: u64, calls: u64, tokens: u64, cost: i64) -> Used {
    Used {
        replies,
        calls,
        tokens,
        cost,
    }
}

async fn a_reply_is_counted_for_its_run_its_customer_and_the_day(bench: Bench) {
    let runs = claimed(&bench, 2).await;
    assert_eq!(used(&*bench.store, &runs[0]).await, UsedSoFar::default());
    assert_eq!(shown(&bench, &runs[0]).await.cost, None);
    bench
        .store
        .journal(&runs[0], &step(0, spending(Some(440))))
        .await
        .unwrap();
    let estimated = NewSpending {
        is_estimated: true,
        ..spending(Some(60))
    };
    bench
        .store
        .journal(&runs[0], &step(1, estimated))
        .await
        .unwrap();
    bench
        .store
        .journal(&runs[1], &step(0, spending(None)))
        .await
        .unwrap();
    assert_eq!(
        used(&*bench.store, &runs[0]).await,
        UsedSoFar {
            run: replies(2, 4, 2200, 500),
            lane: replies(2, 0, 2200, 500),
            day: replies(3, 0, 3300, 500),
        }
    );
    // It is not over, and shows what it used: reasoning is a part of what was written, the cache one of what was read.
    let record = shown(&bench, &runs[0]).await;
    assert_eq!(record.status, "running");
    assert_eq!(record.model.as_deref(), Some("model-1"));
    assert_eq!(
        record.usage,
        json!({ "turns": 2, "calls": 4, "tokens": { "input_tokens": 2000, "output_tokens": 200, "cached_tokens": 800,
            "reasoning_tokens": 120, "estimated": true } })
    );
    assert_eq!(
        record.cost,
        Some(json!({ "micros": 500, "currency": "usd", "estimated": true }))
    );
    // What nobody knows the price of costs null, and not nothing.
    let record = shown(&bench, &runs[1]).await;
    assert_eq!(record.cost, None);
    assert_eq!(record.usage["tokens"]["estimated"], Value::Bool(false));
    bench
        .store
        .journal(&runs[1], &step(1, spending(Some(440))))
        .await
        .unwrap();
    assert_eq!(
        shown(&bench, &runs[1]).await.cost,
        None,
        "a part of the cost"
    );
    let decisions = bench.store.census().await.unwrap().decisions;
    assert_eq!(
        (decisions.replies, decisions.tokens, decisions.unpriced),
        (4, 4400, 1)
    );
    assert_eq!(decisions.cost["usd"], 940);
}

async fn a_reply_is_counted_once_and_only_by_who_holds_the_lane(bench: Bench) {
    let run = claimed(&bench, 1).await.remove(0);
    for _ in 0..3 {
        // Its answer was lost, and it is committed again.
        bench
            .store
            .journal(&run, &step(0, spending(Some(440))))
            .await
            .unwrap();
    }
    let another = NewStep {
        data: json!({ "seq": "another" }),
        ..step(0, spending(Some(440)))
    };
    assert!(bench.store.journal(&run, &another).await.is_err());
    let presumed_dead = ClaimedRun {
        epoch: run.epoch - 1,
        ..run.clone()
    };
    let fenced = bench
        .store
        .journal(&presumed_dead, &step(1, spending(Some(440))))
        .await;
    assert!(matches!(fenced, Err(StoreError::Fenced)), "{fenced:?}");
    let once = replies(1, 2, 1100, 440);
    let counted = used(&*bench.store, &run).await;
    assert_eq!(counted.run, once);
    assert_eq!((counted.lane.tokens, counted.day.tokens), (1100, 1100));
}

async fn a_restart_forgets_nothing_and_midnight_forgets_the_day(bench: Bench) {
    let run = claimed(&bench, 1).await.remove(0);
    bench
        .store
        .journal(&run, &step(0, spending(Some(440))))
        .await
        .unwrap();
    let before = used(&*bench.store, &run).await;
    let heir = bench.another_process().await;
    assert_eq!(used(&*heir, &run).await, before);
    // A new generation of the same run goes on from what it used.
    let next = ClaimedRun {
        generation: run.generation + 1,
        ..run.clone()
    };
    heir.journal(&next, &step(0, spending(Some(440))))
        .await
        .unwrap();
    let after = used(&*bench.store, &run).await;
    assert_eq!(after.run, replies(2, 4, 2200, 880));

    let last = bench.now().midnight().minus(Duration::from_micros(1));
    bench.clock.advance(last.since(bench.now()));
    assert_eq!(used(&*heir, &run).await, after);
    bench.clock.advance(Duration::from_micros(1));
    let new_day = used(&*heir, &run).await;
    assert_eq!(new_day.run, after.run);
    assert_eq!(
        (new_day.lane, new_day.day),
        (Used::default(), Used::default())
    );
    heir.journal(&run, &step(1, spending(Some(440))))
        .await
        .unwrap();
    let new_day = used(&*heir, &run).await;
    assert_eq!(new_day.run.replies, 3);
    assert_eq!((new_day.lane.replies, new_day.day.replies), (1, 1));
    assert_eq!(new_day.lane.cost, 440);
}

async fn money_of_another_currency_is_not_added_up(bench: Bench) {
    let run = claimed(&bench, 1).await.remove(0);
    bench
        .store
        .journal(&run, &step(0, spending(Some(440))))
        .await
        .unwrap();
    let euros = NewSpending {
        currency: "eur".to_owned(),
        ..spending(Some(400))
    };
    bench.store.journal(&run, &step(1, euros)).await.unwrap();
    let in_dollars = used(&*bench.store, &run).await;
    assert_eq!((in_dollars.run.cost, in_dollars.day.cost), (440, 440));
    let in_euros = bench.store.used_so_far(&run, "eur").await.unwrap();
    assert_eq!((in_euros.lane.cost, in_euros.day.cost), (400, 400));
    // Tokens are tokens.
    assert_eq!(in_dollars.run.tokens, 2200);
    assert_eq!((in_euros.lane.tokens, in_euros.day.tokens), (2200, 2200));
    assert_eq!(
        shown(&bench, &run).await.cost,
        None,
        "the sum of two currencies"
    );
}

async fn replies_at_once_are_all_counted(bench: Bench) {
    let runs = claimed(&bench, 40).await;
    let bench = Arc::new(bench);
    let committing = runs.iter().cloned().map(|run| {
        let bench = bench.clone();
        async move {
            for seq in 0..5 {
                bench
                    .store
                    .journal(&run, &step(seq, spending(Some(7))))
                    .await
                    .unwrap();
            }
        }
    });
    futures::future::join_all(committing).await;
    let day = used(&*bench.store, &runs[0]).await.day;
    assert_eq!(day, replies(200, 0, 220_000, 1400));
}

async fn who_waits_for_a_model_is_counted_by_why(bench: Bench) {
    let runs = claimed(&bench, 4).await;
    let became_due = runs.iter().map(|run| run.decide_by).min().unwrap();
    let since = became_due.minus(Duration::from_hours(1));
    for (run, reason) in runs.iter().zip([
        "first: answered 529",
        "model.budgets.tokens_per_day = 9 is spent; there is room again at 2026-02-04T00:00:00Z",
        "model.budgets.cost_per_customer_per_day = 2 usd is spent; there is room again at 2026-02-04T00:00:00Z",
        "",
    ]) {
        let release = Release {
            status: if reason.is_empty() { "waiting" } else { "deferred" },
            due_at: bench.now(),
            error: reason.to_owned(),
            start_over: false,
            is_failure: false,
        };
        bench.store.release_run(run, &release).await.unwrap();
    }
    let decisions = bench.store.census().await.unwrap().decisions;
    let found: Vec<_> = decisions
        .deferred
        .iter()
        .map(|(why, one)| {
            (
                why.as_str(),
                one.count,
                one.since,
                one.reason.split(' ').next().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (
                "customer_budget",
                1,
                since,
                "model.budgets.cost_per_customer_per_day"
            ),
            ("day_budget", 1, since, "model.budgets.tokens_per_day"),
            ("model", 1, since, "first:"),
        ]
    );
}
