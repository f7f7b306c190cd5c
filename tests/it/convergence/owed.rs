//! What looks like one failure and is two: as many follow-ups as are owed, and no fewer.

use std::time::Duration;

use super::burst::{Manner, Renewal, finish_all, kinds, of, permutations, runs, tell};
use crate::support::bench::{Bench, START};
use crate::support::fixture::{
    Charge, Intent, Invoice, InvoicePayment, Session, Shape, Subscription, Told,
};

const WEEK: i64 = 7 * 86_400;

fn everywhere() -> impl Iterator<Item = Manner> {
    Manner::all().into_iter()
}

/// A declined payment of a purchase: what a customer sees at the checkout.
fn declined(intent: &str, charge: &str, at: i64) -> Vec<Told> {
    let payment = Intent {
        id: intent.into(),
        customer: Some("cus_1".into()),
        charge: Some(charge.into()),
        declined: true,
        created: START - 60,
        ..Intent::default()
    };
    let failed = Charge {
        id: charge.into(),
        intent: intent.into(),
        customer: Some("cus_1".into()),
        created: at,
        ..Charge::default()
    };
    vec![
        Told::new(
            format!("intent-{charge}"),
            "payment_intent.payment_failed",
            at,
            payment,
        ),
        Told::new(format!("charge-{charge}"), "charge.failed", at, failed),
    ]
}

/// How many follow-ups each order of `events` comes to, with the playbooks' names.
async fn playbooks(manner: Manner, stories: &[Vec<Told>]) -> Vec<Vec<String>> {
    let bench = Bench::in_memory().await;
    tell(&bench, stories, manner).await;
    let runs = runs(&bench).await;
    (0..stories.len())
        .map(|story| {
            let waiting = of(&runs, story, &["waiting"]);
            let mut names: Vec<_> = waiting.iter().map(|run| run.playbook.clone()).collect();
            names.sort();
            names
        })
        .collect()
}

#[tokio::test]
async fn a_purchase_that_is_tried_again_by_hand_fails_again() {
    for manner in everywhere() {
        // By another payment of the same price, by the same one, and by the same one within five seconds.
        for (intent, later) in [("pi_2", 60), ("pi_1", 60), ("pi_2", 3), ("pi_1", 3)] {
            let mut events = declined("pi_1", "ch_1", START);
            events.extend(declined(intent, "ch_2", START + later));
            let stories = permutations(&events);
            for (found, events) in playbooks(manner, &stories).await.iter().zip(&stories) {
                let told = format!("{manner:?} {intent} {later}: {:?}", kinds(events));
                assert_eq!(found, &["payment_failed", "payment_failed"], "{told}");
            }
        }
    }
}

#[tokio::test]
async fn a_purchase_that_fails_again_next_week_is_written_about_again() {
    for manner in everywhere() {
        let bench = Bench::in_memory().await;
        for (week, charge) in [(0, "ch_1"), (1, "ch_2"), (2, "ch_3")] {
            let stories = permutations(&declined("pi_1", charge, START + week * WEEK));
            tell(&bench, &stories, manner).await;
            assert_eq!(
                finish_all(&bench).await,
                stories.len(),
                "{manner:?}, week {week}"
            );
            bench
                .clock
                .advance(Duration::from_secs(WEEK.unsigned_abs() - 61));
        }
    }
}

#[tokio::test]
async fn two_customers_are_never_one() {
    for manner in everywhere() {
        let mut events = Renewal::first("1", manner.shows_payments()).burst();
        events.extend(Renewal::first("2", manner.shows_payments()).burst());
        let mut turned = events.clone();
        turned.reverse();
        // One after the other, each event beside its twin, and backwards.
        let twins = [0, 5, 1, 6, 2, 7, 3, 8, 4, 9].map(|at| events[at].clone());
        for found in playbooks(manner, &[events, turned, twins.to_vec()]).await {
            assert_eq!(
                found,
                ["invoice_payment_failed", "invoice_payment_failed"],
                "{manner:?}"
            );
        }
    }
}

/// Nothing but links can tell which payment is whose: without them there are two candidates, and no guess is made.
#[tokio::test]
async fn two_invoices_of_one_amount_in_one_second_are_two() {
    for manner in everywhere() {
        let of_ada = |events: Vec<Told>| -> Vec<Told> {
            events
                .into_iter()
                .map(|told| of_customer(told, "cus_ada"))
                .collect()
        };
        let one = of_ada(Renewal::first("1", manner.shows_payments()).burst());
        let two = of_ada(Renewal::first("2", manner.shows_payments()).burst());
        // The charge, the payment and the invoice of each, in every order.
        let events: Vec<Told> = one[1..3].iter().chain(&two[1..3]).cloned().collect();
        let stories = permutations(&events);
        for (found, events) in playbooks(manner, &stories).await.iter().zip(&stories) {
            let told = format!("{manner:?}: {:?}: {found:?}", kinds(events));
            let invoices = found
                .iter()
                .filter(|name| *name == "invoice_payment_failed");
            assert_eq!(invoices.count(), 2, "{told}");
            assert!(!manner.links() || found.len() == 2, "{told}");
        }
    }
}

fn of_customer(mut told: Told, customer: &str) -> Told {
    use crate::support::fixture::Object;
    match &mut told.object {
        Object::Invoice(invoice) => invoice.customer = customer.to_owned(),
        Object::Intent(intent) => intent.customer = Some(customer.to_owned()),
        Object::Charge(charge) => charge.customer = Some(customer.to_owned()),
        Object::Subscription(subscription) => subscription.customer = customer.to_owned(),
        _ => {}
    }
    told
}

/// One invoice, two payments that share it: one of them came in, the other is declined.
#[tokio::test]
async fn an_invoice_in_parts_is_written_about_once_and_not_as_paid() {
    for shape in [Shape::Basil, Shape::Clover, Shape::Dahlia] {
        let manner = Manner::Plain(shape, true);
        let renewal = Renewal::first("1", true);
        let invoice = Invoice {
            more_payments: vec![("pi_2", 1900)],
            ..renewal.invoice()
        };
        let came_in = Intent {
            id: "pi_2".into(),
            customer: Some(renewal.id("cus")),
            status: "succeeded",
            amount: 1900,
            received: 1900,
            ..Intent::default()
        };
        let linked = InvoicePayment {
            id: "inpay_2".into(),
            invoice: renewal.id("in"),
            intent: "pi_2".into(),
            amount: 1900,
            created: START,
        };
        let mut events = renewal.burst();
        events[2].object = invoice.into();
        events.truncate(3);
        events.push(Told::new(
            "came-in",
            "payment_intent.succeeded",
            START,
            came_in,
        ));
        events.push(Told::new("linked", "invoice_payment.paid", START, linked));
        let bench = Bench::in_memory().await;
        let stories = permutations(&events);
        tell(&bench, &stories, manner).await;
        finish_all(&bench).await;
        let runs = runs(&bench).await;
        for (story, events) in stories.iter().enumerate() {
            let done = of(&runs, story, &["done"]);
            let mut names: Vec<_> = done.iter().map(|run| run.playbook.as_str()).collect();
            names.sort_unstable();
            let told = format!("{manner:?}: {:?}", kinds(events));
            assert_eq!(
                names,
                ["invoice_payment_failed", "payment_succeeded"],
                "{told}"
            );
        }
    }
}

/// Two payments of one invoice that come in are two pieces of news.
#[tokio::test]
async fn an_invoice_paid_in_parts_is_told_of_for_each() {
    for shape in [Shape::Basil, Shape::Clover, Shape::Dahlia] {
        let renewal = Renewal::first("1", true);
        let invoice = Invoice {
            more_payments: vec![("pi_2", 1900)],
            status: "paid",
            ..renewal.invoice()
        };
        let came_in = |id: &str, amount| Intent {
            id: id.into(),
            customer: Some(renewal.id("cus")),
            status: "succeeded",
            received: amount,
            amount,
            ..Intent::default()
        };
        let events = [
            Told::new(
                "one",
                "payment_intent.succeeded",
                START,
                came_in("pi_1", 3000),
            ),
            Told::new(
                "two",
                "payment_intent.succeeded",
                START,
                came_in("pi_2", 1900),
            ),
            Told::new("paid", "invoice.paid", START, invoice),
        ];
        let stories = permutations(&events);
        for found in playbooks(Manner::Plain(shape, true), &stories).await {
            assert_eq!(
                found,
                ["payment_succeeded", "payment_succeeded"],
                "{shape:?}"
            );
        }
    }
}

/// A subscription that is past due says so days after its invoice failed, or of another invoice: no second failure.
#[tokio::test]
async fn past_due_is_told_of_alone_only_where_nothing_failed() {
    for manner in everywhere() {
        let renewal = Renewal::first("1", manner.shows_payments());
        let past_due = |at: i64, latest: &str| {
            let subscription = Subscription {
                latest_invoice: Some(latest.to_owned()),
                ..renewal.subscription("past_due")
            };
            Told::new("late", "customer.subscription.updated", at, subscription)
                .changed_from(renewal.subscription("active"))
        };
        let failed = renewal.burst()[..3].to_vec();
        let days_later = [failed.clone(), vec![past_due(START + WEEK / 2, "in_1")]].concat();
        let of_another = [failed, vec![past_due(START + 1, "in_other")]].concat();
        let mut turned = of_another.clone();
        turned.reverse();
        for found in playbooks(manner, &[days_later, of_another, turned]).await {
            assert_eq!(found, ["invoice_payment_failed"], "{manner:?}");
        }
        let alone = vec![past_due(START, "in_1")];
        for found in playbooks(manner, &[alone]).await {
            assert_eq!(found, ["subscription_past_due"], "{manner:?}");
        }
    }
}

/// A bank debit that fails after the checkout is told by the session, too.
#[tokio::test]
async fn a_checkout_whose_payment_fails_later_is_one_failure() {
    for manner in everywhere() {
        let mut events = declined("pi_1", "ch_1", START);
        let session = Session {
            id: "cs_1".into(),
            customer: Some("cus_1".into()),
            intent: Some("pi_1".into()),
            payment_status: "unpaid",
            ..Session::default()
        };
        events.push(Told::new(
            "session",
            "checkout.session.async_payment_failed",
            START + 1,
            session,
        ));
        let stories = permutations(&events);
        let bench = Bench::in_memory().await;
        tell(&bench, &stories, manner).await;
        let runs = runs(&bench).await;
        for (story, events) in stories.iter().enumerate() {
            let told = format!("{manner:?}: {:?}", kinds(events));
            assert_eq!(of(&runs, story, &["waiting"]).len(), 1, "{told}");
            let occurrence = |name: &str| {
                let (bench, id) = (&bench, format!("evt_{story}_{name}"));
                async move {
                    let event = billhook::store::Store::event(&*bench.store, &id).await;
                    event.unwrap().unwrap().occurrence
                }
            };
            let session = occurrence("session").await;
            assert_eq!(session, occurrence("intent-ch_1").await, "{told}");
        }
    }
}

/// The money is authenticated, not declined: the invoice's own failure is told by itself.
#[tokio::test]
async fn an_invoice_that_waits_for_its_customer_is_no_failure() {
    for manner in everywhere() {
        let renewal = Renewal::first("1", manner.shows_payments());
        let waits = Told::new(
            "waits",
            "invoice.payment_action_required",
            START,
            renewal.invoice(),
        );
        assert_eq!(
            playbooks(manner, &[vec![waits]]).await,
            [Vec::<String>::new()]
        );
    }
}
