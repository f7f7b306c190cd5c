//! Every call of every verb in every story, once for each fault; of the looks that find nothing, the first and the last.

use std::collections::{BTreeMap, BTreeSet};

use futures::FutureExt as _;
use futures::stream::{self, StreamExt as _};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use super::point::{Fault, Point};
use super::promises::{Outcome, outcome};
use super::stage::Stage;
use super::stories::{STORIES, Story};
use super::verbs;
use crate::support::services::{PostgresDatabase, variable};

/// Set to 1, every look that finds nothing is struck, too.
const EVERY_CALL: &str = "BILLHOOK_TEST_EVERY_CALL";

/// What an item of work does, one at a time: a panic is that item's failure. A panic anywhere else ends a loop and with
/// it the process, which the faults that let it die try already.
const ITEMS: [&str; 6] = [
    "apply_event",
    "load_run",
    "journal",
    "payment_history",
    "renew_run",
    "finish_run",
];

/// Whether a fault can be had at a verb at all.
fn is_possible(verb: &str, fault: Fault) -> bool {
    match fault {
        Fault::Panics => ITEMS.contains(&verb),
        // Two copies of a mail are then in the world before billhook hears of the first.
        Fault::Repeats => verb != "send",
        _ => true,
    }
}

async fn tell(
    story: &Story,
    point: Option<Point>,
    postgres: Option<PostgresDatabase>,
) -> (Stage, Outcome) {
    let mut stage = Stage::new(story, point, postgres).await;
    (story.tell)(&mut stage).await;
    let outcome = outcome(&stage).await;
    (stage, outcome)
}

/// Every point of a story at which `fault` can strike, and what the story comes to undisturbed.
async fn points(story: &Story, fault: Fault) -> (Vec<Point>, Outcome) {
    let (stage, undisturbed) = tell(story, None, None).await;
    let calls = stage.ground.faults.calls().into_iter();
    let all = variable(EVERY_CALL).as_deref() == Some("1");
    let points = calls
        .filter(|(verb, _)| is_possible(verb, fault))
        .flat_map(|(verb, calls)| {
            let struck = if all {
                (1..=calls.made).collect()
            } else {
                calls.telling()
            };
            let at = move |nth| Point { verb, nth, fault };
            struck.into_iter().map(at)
        });
    (points.collect(), undisturbed)
}

/// Tells a story with a fault, and says whether that struck.
async fn strike(
    story: &Story,
    point: Point,
    undisturbed: &Outcome,
    postgres: Option<PostgresDatabase>,
) -> bool {
    let telling = async {
        let (stage, outcome) = tell(story, Some(point), postgres).await;
        let struck = stage.ground.faults.has_struck();
        if struck {
            outcome.check(undisturbed, point);
        }
        struck
    };
    let told = std::panic::AssertUnwindSafe(telling).catch_unwind().await;
    told.unwrap_or_else(|_| panic!("{}: {point}", story.name))
}

/// Every fault, for the sample.
const FAULTS: [Fault; 8] = [
    Fault::FailsBefore,
    Fault::FailsAfter,
    Fault::Repeats,
    Fault::StallsBefore,
    Fault::StallsAfter,
    Fault::DiesBefore,
    Fault::DiesAfter,
    Fault::Panics,
];

async fn every_call(fault: Fault) {
    let (mut total, mut struck) = (0, 0);
    for story in &STORIES {
        let (points, undisturbed) = points(story, fault).await;
        let mut missed = BTreeSet::new();
        let mut hit = BTreeSet::new();
        for point in &points {
            if strike(story, *point, &undisturbed, None).await {
                struck += 1;
                hit.insert(point.verb);
            } else {
                missed.insert(point.verb);
            }
        }
        total += points.len();
        // How often a loop looks for work without finding any is a matter of chance; that it looks is none.
        let never: Vec<_> = missed.difference(&hit).collect();
        assert!(
            never.is_empty(),
            "{}: {never:?} were never struck",
            story.name
        );
    }
    println!("{fault:?}: {struck} of {total} points struck");
    assert!(struck * 20 >= total * 19, "{struck} of {total}");
}

#[tokio::test]
async fn every_verb_is_exercised() {
    let mut called = BTreeMap::new();
    for story in &STORIES {
        let (stage, _) = tell(story, None, None).await;
        for (verb, calls) in stage.ground.faults.calls() {
            *called.entry(verb.to_owned()).or_insert(0) += calls.made;
        }
    }
    println!(
        "calls: {called:?}, {} in all",
        called.values().sum::<usize>()
    );
    let called: BTreeSet<String> = called.into_keys().collect();
    assert_eq!(
        called,
        verbs::all(),
        "a verb that no story needs, or one that the traits do not have"
    );
}

#[tokio::test]
async fn a_call_fails_and_nothing_is_done() {
    every_call(Fault::FailsBefore).await;
}

#[tokio::test]
async fn a_call_is_done_and_its_answer_is_lost() {
    every_call(Fault::FailsAfter).await;
}

#[tokio::test]
async fn a_call_is_done_twice() {
    every_call(Fault::Repeats).await;
}

#[tokio::test]
async fn a_process_sleeps_past_its_leases_before_a_call() {
    every_call(Fault::StallsBefore).await;
}

#[tokio::test]
async fn a_process_sleeps_past_its_leases_after_a_call() {
    every_call(Fault::StallsAfter).await;
}

#[tokio::test]
async fn a_process_dies_before_a_call() {
    every_call(Fault::DiesBefore).await;
}

#[tokio::test]
async fn a_process_dies_after_a_call() {
    every_call(Fault::DiesAfter).await;
}

#[tokio::test]
async fn an_item_panics() {
    every_call(Fault::Panics).await;
}

/// Where leases are the database's and several processes are the rule. Five of each fault, drawn by a seed.
#[tokio::test]
async fn a_sample_on_postgres() {
    let mut rng = StdRng::seed_from_u64(0x6269_6c6c);
    let mut sample = Vec::new();
    for fault in FAULTS {
        let mut all = Vec::new();
        for story in &STORIES {
            let (points, _) = points(story, fault).await;
            all.extend(points.into_iter().map(|point| (story, point)));
        }
        sample.extend(all.choose_multiple(&mut rng, 5).copied());
    }
    let told = stream::iter(&sample).map(async |(story, point)| {
        let postgres = PostgresDatabase::migrated().await?;
        let (_, undisturbed) = tell(story, None, None).await;
        Some(strike(story, *point, &undisturbed, Some(postgres)).await)
    });
    let told: Vec<Option<bool>> = told.buffer_unordered(4).collect().await;
    let struck = told.iter().filter(|struck| **struck == Some(true)).count();
    let skipped = told.iter().filter(|struck| struck.is_none()).count();
    println!("PostgreSQL: {struck} of {} points struck", sample.len());
    assert!((struck + skipped) * 10 >= sample.len() * 9, "{told:?}");
}
