//! One failed renewal is told by five events, in any order and in shapes that link them differently; it has one
//! follow-up.

use std::time::Duration;

use billhook::store::{Finish, Page, RunRecord, Store};
use serde_json::json;

use super::orderings::permutations;
use crate::support::bench::{Bench, START};
use crate::support::fixture::{Charge, Intent, Invoice, Shape, Subscription, Told};

/// How an endpoint is told: which shape, and whether its invoices show their payments.
const MANNERS: [(Shape, bool); 3] = [
    (Shape::Old, false),
    (Shape::Clover, false),
    (Shape::Clover, true),
];

/// The five events of one failed attempt; the third leads.
fn failure(attempt: i64, at: i64, shows_payments: bool) -> Vec<Told> {
    let charge = format!("ch_{attempt}");
    let invoice = Invoice {
        id: "in_1".into(),
        customer: "cus_1".into(),
        subscription: Some("sub_1".into()),
        intent: Some("pi_1".into()),
        charge: Some(charge.clone()),
        status: "open",
        amount: 4900,
        attempts: attempt,
        shows_payments,
        created: START - 60,
        ..Invoice::default()
    };
    let intent = Intent {
        id: "pi_1".into(),
        customer: Some("cus_1".into()),
        invoice: Some("in_1".into()),
        order: None,
        status: "requires_payment_method",
        amount: 4900,
        received: 0,
        charge: Some(charge.clone()),
        declined: true,
        created: START - 60,
        ..Intent::default()
    };
    let declined = Charge {
        id: charge,
        intent: "pi_1".into(),
        customer: Some("cus_1".into()),
        invoice: Some("in_1".into()),
        amount: 4900,
        created: at,
        ..Charge::default()
    };
    let subscription = Subscription {
        id: "sub_1".into(),
        customer: "cus_1".into(),
        status: "past_due",
        latest_invoice: Some("in_1".into()),
        period_start: START - 60,
        cancel_at_period_end: false,
        canceled_at: None,
        created: START - 90 * 86_400,
        ..Subscription::default()
    };
    let counted = json!({ "attempt_count": attempt - 1 });
    vec![
        Told::new(format!("charge_{attempt}"), "charge.failed", at, declined),
        Told::new(
            format!("intent_{attempt}"),
            "payment_intent.payment_failed",
            at,
            intent,
        ),
        Told::new(
            format!("invoice_{attempt}"),
            "invoice.payment_failed",
            at + 1,
            invoice.clone(),
        ),
        Told::new(
            format!("counted_{attempt}"),
            "invoice.updated",
            at + 1,
            invoice,
        )
        .was(counted),
        Told::new(
            format!("past_due_{attempt}"),
            "customer.subscription.updated",
            at + 1,
            subscription,
        )
        .was(json!({ "status": if attempt == 1 { "active" } else { "past_due" } })),
    ]
}

/// Delivers and applies events one by one, to an account of their own.
async fn tell(bench: &Bench, account: &str, events: &[Told], shape: Shape) {
    for told in events {
        let told = Told {
            id: format!("evt_{account}_{}", told.id),
            ..told.clone()
        };
        let mut delivery = told.delivery(shape, bench.now());
        account.clone_into(&mut delivery.account);
        bench.store.ingest(&[delivery]).await.unwrap();
        for event in bench
            .store
            .claim_events(10, Duration::from_mins(1))
            .await
            .unwrap()
        {
            bench.store.apply_event(&event).await.unwrap();
        }
    }
}

/// Every run there is, with the account that its event was told to.
async fn runs(bench: &Bench) -> Vec<(String, RunRecord)> {
    let mut runs = Vec::new();
    let mut page = Page {
        limit: 100,
        starting_after: None,
    };
    loop {
        let listing = bench.store.runs(&page).await.unwrap();
        page.starting_after = listing.data.last().map(|run| run.id.clone());
        runs.extend(listing.data.into_iter().map(|run| {
            let account = run.event.split('_').nth(1).unwrap().to_owned();
            (account, run)
        }));
        if !listing.has_more {
            return runs;
        }
    }
}

fn of<'a>(runs: &'a [(String, RunRecord)], account: &str, status: &str) -> Vec<&'a RunRecord> {
    runs.iter()
        .filter(|(of, run)| of == account && run.status == status)
        .map(|(_, run)| run)
        .collect()
}

/// Claims and finishes whatever is due; says how many.
async fn finish_all(bench: &Bench) -> usize {
    let mut finished = 0;
    while let Some(run) = bench.store.claim_run(Duration::from_mins(1)).await.unwrap() {
        let purpose =
            billhook::guardrails::precondition::Purpose::of_playbook(&run.playbook).unwrap();
        let finish = Finish {
            status: "done",
            reason: None,
            effects: Vec::new(),
            usage: json!({}),
            purpose,
        };
        bench.store.finish_run(&run, &finish).await.unwrap();
        finished += 1;
    }
    finished
}

#[tokio::test]
async fn five_events_in_every_order_are_one_follow_up() {
    for (manner, (shape, shows_payments)) in MANNERS.into_iter().enumerate() {
        let bench = Bench::in_memory().await;
        let orders = permutations(&failure(1, START, shows_payments));
        assert_eq!(orders.len(), 120);
        for (at, events) in orders.iter().enumerate() {
            tell(&bench, &format!("o{at}"), events, shape).await;
        }
        let runs = runs(&bench).await;
        for (at, events) in orders.iter().enumerate() {
            let told: Vec<&str> = events.iter().map(|told| told.kind).collect();
            let account = format!("o{at}");
            let waiting = of(&runs, &account, "waiting");
            assert_eq!(waiting.len(), 1, "manner {manner}: {told:?}: {waiting:?}");
            assert_eq!(
                waiting[0].playbook, "invoice_payment_failed",
                "manner {manner}: {told:?}"
            );
            assert_eq!(waiting[0].event, format!("evt_{account}_invoice_1"));
            assert!(
                waiting[0].due_at.contains("04:05:16"),
                "due 10 s after: {}",
                waiting[0].due_at
            );
            let all = runs.iter().filter(|(of, _)| *of == account).count();
            assert_eq!(
                all,
                1 + of(&runs, &account, "merged").len(),
                "manner {manner}: {told:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_arrives_after_the_mail_was_sent_sends_no_other() {
    for (manner, (shape, shows_payments)) in MANNERS.into_iter().enumerate() {
        let bench = Bench::in_memory().await;
        let orders = permutations(&failure(1, START, shows_payments));
        let split = |events: &[Told]| {
            events
                .iter()
                .position(|told| told.kind == "invoice.payment_failed")
                .unwrap()
                + 1
        };
        for (at, events) in orders.iter().enumerate() {
            tell(&bench, &format!("o{at}"), &events[..split(events)], shape).await;
        }
        bench.clock.advance(Duration::from_secs(61));
        assert_eq!(finish_all(&bench).await, 120, "manner {manner}");
        for (at, events) in orders.iter().enumerate() {
            tell(&bench, &format!("o{at}"), &events[split(events)..], shape).await;
        }
        bench.clock.advance(Duration::from_secs(61));
        let runs = runs(&bench).await;
        for (at, events) in orders.iter().enumerate() {
            let told: Vec<&str> = events.iter().map(|told| told.kind).collect();
            let waiting = of(&runs, &format!("o{at}"), "waiting");
            assert!(waiting.is_empty(), "manner {manner}: {told:?}: {waiting:?}");
        }
        assert_eq!(finish_all(&bench).await, 0, "manner {manner}");
    }
}

/// However late the rest arrives: what links tell to be one failure is written about once.
#[tokio::test]
async fn a_failure_told_in_two_halves_is_written_about_once() {
    for split in 1..5 {
        let bench = Bench::in_memory().await;
        let orders = permutations(&failure(1, START, false));
        for (at, events) in orders.iter().enumerate() {
            tell(&bench, &format!("o{at}"), &events[..split], Shape::Old).await;
        }
        bench.clock.advance(Duration::from_secs(61));
        finish_all(&bench).await;
        for (at, events) in orders.iter().enumerate() {
            tell(&bench, &format!("o{at}"), &events[split..], Shape::Old).await;
        }
        let runs = runs(&bench).await;
        for (at, events) in orders.iter().enumerate() {
            let told: Vec<&str> = events.iter().map(|told| told.kind).collect();
            let (account, ends) = (format!("o{at}"), ["done", "waiting"]);
            let mut written = ends.iter().flat_map(|end| of(&runs, &account, end));
            assert!(written.next().is_some(), "split {split}: {told:?}");
            assert!(written.next().is_none(), "split {split}: {told:?}");
        }
    }
}

#[tokio::test]
async fn who_fails_again_next_week_is_written_to_again() {
    const WEEK: i64 = 7 * 86_400;
    for (manner, (shape, shows_payments)) in MANNERS.into_iter().enumerate() {
        let bench = Bench::in_memory().await;
        // The subscription was past due before and says nothing new.
        let again = &failure(2, START + WEEK, shows_payments)[..4];
        let orders = permutations(again);
        for at in 0..orders.len() {
            tell(
                &bench,
                &format!("o{at}"),
                &failure(1, START, shows_payments),
                shape,
            )
            .await;
        }
        bench.clock.advance(Duration::from_secs(61));
        assert_eq!(finish_all(&bench).await, orders.len(), "manner {manner}");
        bench
            .clock
            .advance(Duration::from_secs(WEEK.unsigned_abs() - 61));
        for (at, events) in orders.iter().enumerate() {
            tell(&bench, &format!("o{at}"), events, shape).await;
        }
        let runs = runs(&bench).await;
        for (at, events) in orders.iter().enumerate() {
            let told: Vec<&str> = events.iter().map(|told| told.kind).collect();
            let account = format!("o{at}");
            let waiting = of(&runs, &account, "waiting");
            assert_eq!(waiting.len(), 1, "manner {manner}: {told:?}: {waiting:?}");
            assert_eq!(waiting[0].playbook, "invoice_payment_failed");
            assert_eq!(of(&runs, &account, "done").len(), 1);
        }
    }
}

/// Two customers who fail in the same second with the same amount are two.
#[tokio::test]
async fn two_customers_are_never_one() {
    let bench = Bench::in_memory().await;
    let mut events = failure(1, START, false);
    events.extend(failure(1, START, false).into_iter().map(|told| {
        let rename = |text: String| text.replace("_1", "_9");
        let renamed = rename(told.json(Shape::Clover).to_string());
        // Told again as the other customer's, by way of its JSON.
        let mut other = told;
        other.id = format!("other{}", other.id.replace("_1", "x"));
        other.object = crate::support::fixture::Object::Other(
            serde_json::from_str::<serde_json::Value>(&renamed).unwrap()["data"]["object"].clone(),
        );
        other
    }));
    tell(&bench, "o", &events, Shape::Clover).await;
    let runs = runs(&bench).await;
    assert_eq!(of(&runs, "o", "waiting").len(), 2, "{runs:?}");
}
