//! One failed renewal has one follow-up, whatever order and shape its events are told in, and whenever they arrive.

use std::time::Duration;

use super::burst::{Manner, Renewal, finish_all, kinds, of, permutations, runs, tell, with};
use crate::support::bench::{Bench, START};
use crate::support::fixture::{Shape, Told};

const WEEK: i64 = 7 * 86_400;

fn orders(manner: Manner) -> Vec<Vec<Told>> {
    let orders = permutations(&Renewal::first("1", manner.shows_payments()).burst());
    assert_eq!(orders.len(), 120);
    orders
}

/// How many events come before the leading one, with it.
fn up_to_the_lead(events: &[Told]) -> usize {
    let lead = |told: &Told| told.kind == "invoice.payment_failed";
    events.iter().position(lead).unwrap() + 1
}

#[tokio::test]
async fn five_events_in_every_order_and_shape_are_one_follow_up() {
    for manner in Manner::all() {
        let bench = Bench::in_memory().await;
        let orders = orders(manner);
        tell(&bench, &orders, manner).await;
        let runs = runs(&bench).await;
        for (story, events) in orders.iter().enumerate() {
            let told = format!("{manner:?}: {:?}", kinds(events));
            let waiting = of(&runs, story, &["waiting"]);
            assert_eq!(waiting.len(), 1, "{told}: {waiting:?}");
            assert_eq!(waiting[0].playbook, "invoice_payment_failed", "{told}");
            assert_eq!(waiting[0].event, format!("evt_{story}_invoice_1_1"));
            let due = &waiting[0].due_at;
            assert!(due.contains("04:05:16"), "due 10 s after: {due}");
            let all = runs.iter().filter(|(of, _)| *of == story).count();
            let merged = of(&runs, story, &["merged"]).len();
            assert_eq!(all, 1 + merged, "{told}");
        }
    }
}

#[tokio::test]
async fn a_link_changes_nothing_whenever_it_is_told() {
    for manner in Manner::all().into_iter().filter(|manner| !manner.links()) {
        let bench = Bench::in_memory().await;
        let link = Renewal::first("1", false).payment();
        let orders: Vec<Vec<Told>> = orders(manner)
            .iter()
            .enumerate()
            .map(|(story, events)| with(events, link.clone(), story))
            .collect();
        tell(&bench, &orders, manner).await;
        let runs = runs(&bench).await;
        for (story, events) in orders.iter().enumerate() {
            let waiting = of(&runs, story, &["waiting"]);
            let told = format!("{manner:?}: {:?}", kinds(events));
            assert_eq!(waiting.len(), 1, "{told}: {waiting:?}");
            assert_eq!(waiting[0].playbook, "invoice_payment_failed", "{told}");
        }
    }
}

#[tokio::test]
async fn what_arrives_after_the_mail_was_sent_sends_no_other() {
    for manner in Manner::all() {
        let bench = Bench::in_memory().await;
        let orders = orders(manner);
        let (before, after): (Vec<_>, Vec<_>) = orders
            .iter()
            .map(|events| events.split_at(up_to_the_lead(events)))
            .map(|(before, after)| (before.to_vec(), after.to_vec()))
            .unzip();
        tell(&bench, &before, manner).await;
        assert_eq!(finish_all(&bench).await, 120, "{manner:?}");
        tell(&bench, &after, manner).await;
        let runs = runs(&bench).await;
        for (story, events) in orders.iter().enumerate() {
            let waiting = of(&runs, story, &["waiting"]);
            assert!(waiting.is_empty(), "{manner:?}: {:?}", kinds(events));
        }
        assert_eq!(finish_all(&bench).await, 0, "{manner:?}");
    }
}

/// However late the rest arrives: what each event by itself tells to be one failure is written about once.
#[tokio::test]
async fn a_failure_told_in_two_halves_is_written_about_once() {
    for shape in [Shape::Old, Shape::V2022, Shape::Acacia] {
        let manner = Manner::Plain(shape, false);
        let bench = Bench::in_memory().await;
        // Each order is cut at another place.
        let orders = orders(manner);
        let (before, after): (Vec<_>, Vec<_>) = orders
            .iter()
            .enumerate()
            .map(|(story, events)| events.split_at(1 + story % 4))
            .map(|(before, after)| (before.to_vec(), after.to_vec()))
            .unzip();
        tell(&bench, &before, manner).await;
        finish_all(&bench).await;
        tell(&bench, &after, manner).await;
        let runs = runs(&bench).await;
        for (story, events) in orders.iter().enumerate() {
            let written = of(&runs, story, &["done", "waiting"]);
            assert_eq!(written.len(), 1, "{manner:?}: {:?}", kinds(events));
        }
    }
}

#[tokio::test]
async fn who_fails_again_next_week_is_written_to_again() {
    for manner in Manner::all() {
        let bench = Bench::in_memory().await;
        let first = Renewal::first("1", manner.shows_payments());
        let again = Renewal {
            attempt: 2,
            at: START + WEEK,
            ..first.clone()
        };
        // The subscription was past due before and says nothing new.
        let orders = permutations(&again.burst()[..4]);
        let before = vec![first.burst(); orders.len()];
        tell(&bench, &before, manner).await;
        assert_eq!(finish_all(&bench).await, orders.len(), "{manner:?}");
        let week = Duration::from_secs(WEEK.unsigned_abs() - 61);
        bench.clock.advance(week);
        tell(&bench, &orders, manner).await;
        let runs = runs(&bench).await;
        for (story, events) in orders.iter().enumerate() {
            let told = format!("{manner:?}: {:?}", kinds(events));
            let waiting = of(&runs, story, &["waiting"]);
            assert_eq!(waiting.len(), 1, "{told}: {waiting:?}");
            assert_eq!(waiting[0].playbook, "invoice_payment_failed", "{told}");
            assert_eq!(of(&runs, story, &["done"]).len(), 1, "{told}");
        }
    }
}
