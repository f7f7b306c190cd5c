//! The second promise: any order, any duplicates, one business state.
//!
//! Histories are drawn from a seed, told once in their own order, and then again shuffled, repeated, in batches, with
//! workers that stop halfway. A failing history is shrunk and printed with its seed; `BILLHOOK_TEST_SEED` starts from
//! that seed, `BILLHOOK_TEST_HISTORIES` says how many are tried.

mod burst;
mod delivery;
mod history;
mod mails;
mod orderings;
mod owed;
mod renewal;

use std::fmt::Write as _;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use self::delivery::{Manner, Stage};
use self::history::{History, Telling};
use crate::support::bench::Bench;
use crate::support::fixture::Told;
use crate::support::services::variable;

/// Shuffles tried of each history.
const SHUFFLES: u64 = 2;

fn number(name: &str, default: u64) -> u64 {
    variable(name).map_or(default, |text| text.parse().unwrap())
}

/// A shuffled telling of everything, with some of it told more than once.
fn shuffled(once: &[Telling], rng: &mut StdRng) -> Vec<Telling> {
    let mut tellings = once.to_vec();
    for telling in once {
        while rng.random_bool(0.15) {
            tellings.push(*telling);
        }
    }
    match rng.random_range(0..4) {
        // Backwards, and nearly in order, are orders that a plain shuffle hardly ever finds.
        0 => tellings.reverse(),
        1 => {
            for _ in 0..3 {
                let (a, b) = (
                    rng.random_range(0..tellings.len()),
                    rng.random_range(0..tellings.len()),
                );
                tellings.swap(a, b);
            }
        }
        _ => tellings.shuffle(rng),
    }
    tellings
}

/// What differs between two states, readably.
fn difference(expected: &[String], found: &[String]) -> String {
    let mut text = String::new();
    for line in expected.iter().filter(|line| !found.contains(line)) {
        writeln!(text, "  in order: {line}").unwrap();
    }
    for line in found.iter().filter(|line| !expected.contains(line)) {
        writeln!(text, "  shuffled: {line}").unwrap();
    }
    text
}

/// Tells one history in order and shuffled; what differs, if anything does.
async fn try_history(
    stage: &mut Stage,
    history: &History,
    seed: u64,
    manner: Manner,
) -> Option<(Vec<Telling>, String)> {
    let expected = stage
        .tell(history, &history.tellings, Manner::OneByOne, 0)
        .await;
    for shuffle in 0..SHUFFLES {
        let mut rng = StdRng::seed_from_u64(seed ^ (shuffle + 1) << 40);
        let tellings = shuffled(&history.tellings, &mut rng);
        let found = stage.tell(history, &tellings, manner, rng.random()).await;
        if found != expected {
            return Some((tellings, difference(&expected, &found)));
        }
    }
    None
}

/// Leaves out what the failure does not need, once an order is found that fails one by one: so each try is the same
/// each time.
async fn shrunk(
    stage: &mut Stage,
    history: &History,
    seed: u64,
) -> Option<(Vec<Telling>, Vec<Telling>, String)> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut smallest = None;
    for _ in 0..300 {
        let tellings = shuffled(&history.tellings, &mut rng);
        smallest = differ(stage, history, history.tellings.clone(), tellings).await;
        if smallest.is_some() {
            break;
        }
    }
    let mut smallest = smallest?;
    let mut at = 0;
    while let Some(left_out) = smallest.0.get(at).copied() {
        let without = |list: &[Telling]| list.iter().copied().filter(|t| *t != left_out).collect();
        let (in_order, shuffled) = (without(&smallest.0), without(&smallest.1));
        match differ(stage, history, in_order, shuffled).await {
            Some(smaller) => smallest = smaller,
            None => at += 1,
        }
    }
    // Repetitions, too, unless it takes them.
    let mut at = 0;
    while at < smallest.1.len() {
        let mut shuffled = smallest.1.clone();
        shuffled.remove(at);
        let complete = smallest.0.iter().all(|telling| shuffled.contains(telling));
        match differ(stage, history, smallest.0.clone(), shuffled).await {
            Some(smaller) if complete => smallest = smaller,
            _ => at += 1,
        }
    }
    Some(smallest)
}

async fn differ(
    stage: &mut Stage,
    history: &History,
    in_order: Vec<Telling>,
    shuffled: Vec<Telling>,
) -> Option<(Vec<Telling>, Vec<Telling>, String)> {
    let expected = stage.tell(history, &in_order, Manner::OneByOne, 0).await;
    let found = stage.tell(history, &shuffled, Manner::OneByOne, 0).await;
    (found != expected).then(|| (in_order, shuffled, difference(&expected, &found)))
}

async fn converge(stage: &mut Stage, first: u64, count: u64, manner: Manner) {
    let mut told = 0;
    for seed in first..first + count {
        let history = History::draw(seed);
        told += history.tellings.len();
        if let Some((tellings, difference)) = try_history(stage, &history, seed, manner).await {
            let report = match shrunk(stage, &history, seed).await {
                Some((in_order, shuffled, difference)) => format!(
                    "in order:\n{}shuffled, one by one:\n{}{difference}",
                    history.shown(&in_order),
                    history.shown(&shuffled)
                ),
                None => format!(
                    "only when delivered as {manner:?}; in order:\n{}shuffled:\n{}{difference}",
                    history.shown(&history.tellings),
                    history.shown(&tellings)
                ),
            };
            panic!(
                "history {seed} does not converge (BILLHOOK_TEST_SEED={seed} BILLHOOK_TEST_HISTORIES=1)\n{report}"
            );
        }
        stage.forget().await;
    }
    println!(
        "{count} histories from seed {first} converged: {told} deliveries, each history told {} times",
        SHUFFLES + 1
    );
}

/// The property says something about accounts that leave: histories end connections, and the row of the very account whose
/// events come later says so.
#[tokio::test]
async fn some_histories_end_a_connection() {
    let mut stage = Stage::new(Bench::in_memory().await).await;
    let mut left = 0;
    for history in (0..200).map(History::draw) {
        let leaves = |told: &Told| told.kind == "account.application.deauthorized";
        if history.events.iter().any(leaves) {
            let state = stage.tell(&history, &history.tellings, Manner::OneByOne, 0);
            left += state.await.iter().filter(|line| is_left(line)).count();
        }
    }
    assert!(left > 0);
}

fn is_left(line: &str) -> bool {
    let is_itself = ["_second/0/account/_second ", "_second/1/account/_second "];
    is_itself.iter().any(|start| line.starts_with(start)) && line.contains("\"authorized\":false")
}

async fn on_sqlite(part: u64) {
    let count = number("BILLHOOK_TEST_HISTORIES", 500);
    let first = number("BILLHOOK_TEST_SEED", 1 + part * count);
    let mut stage = Stage::new(Bench::in_memory().await).await;
    converge(&mut stage, first, count, Manner::Interrupted).await;
}

async fn on_postgres(part: u64) {
    let Some(bench) = Bench::postgres().await else {
        return;
    };
    let count = number("BILLHOOK_TEST_HISTORIES", 100);
    let first = number("BILLHOOK_TEST_SEED", 100_001 + part * count);
    let mut stage = Stage::new(bench).await;
    converge(&mut stage, first, count, Manner::Concurrent).await;
}

// Several tests, because each runs on one core: 2,000 histories on SQLite, 200 on PostgreSQL.

#[tokio::test]
async fn histories_converge_on_sqlite_1() {
    on_sqlite(0).await;
}

#[tokio::test]
async fn histories_converge_on_sqlite_2() {
    on_sqlite(1).await;
}

#[tokio::test]
async fn histories_converge_on_sqlite_3() {
    on_sqlite(2).await;
}

#[tokio::test]
async fn histories_converge_on_sqlite_4() {
    on_sqlite(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_converge_on_postgres_with_two_workers_1() {
    on_postgres(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_converge_on_postgres_with_two_workers_2() {
    on_postgres(1).await;
}
