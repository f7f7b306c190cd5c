//! The burst of a failed renewal through the whole service, to the mails and notices that leave it.

use std::collections::BTreeMap;
use std::sync::Arc;

use billhook::agent::rules::Rules;
use billhook::clock::Clock;
use billhook::store::{MessageFilter, Page, Store};

use super::burst::{Manner, Renewal, kinds, permutations, with};
use crate::support::app::{START, TestApp};
use crate::support::fixture::{Customer, Shape, Told};

/// Enough to be told to sales as well.
const AMOUNT: i64 = 90_000;

async fn app() -> TestApp {
    let settings = [
        ("BILLHOOK__CAPS__MAILS_PER_PLAYBOOK_PER_HOUR", "100000"),
        // Nobody here has paid before, and nobody is to wait for that.
        ("BILLHOOK__FOLLOW_UP__FIRST_CONTACT_DELAY", "0s"),
    ];
    TestApp::with(&settings, Arc::new(Rules)).await
}

fn renewal(story: usize, manner: Manner) -> Renewal {
    Renewal {
        at: START,
        amount: AMOUNT,
        ..Renewal::first(&story.to_string(), manner.shows_payments())
    }
}

fn customer(story: usize) -> Told {
    let customer = Customer {
        id: format!("cus_{story}"),
        email: Some(format!("shopper.{story}@shopper.example")),
        ..Customer::default()
    };
    let id = format!("evt_customer_{story}");
    Told::new(id, "customer.created", START - 100, customer)
}

/// Delivers one event of each story and applies it, before the next of any story arrives.
async fn step(app: &TestApp, told: impl Iterator<Item = (Told, Shape)>) {
    let deliveries: Vec<_> = told
        .map(|(told, shape)| told.delivery(shape, app.clock.now()))
        .collect();
    app.store().ingest(&deliveries).await.unwrap();
    while app.app.worker.apply_due().await.unwrap() > 0 {}
}

async fn tell(app: &TestApp, stories: &[Vec<Told>], manner: Manner) {
    for at in 0..stories.iter().map(Vec::len).max().unwrap() {
        let told = stories
            .iter()
            .enumerate()
            .filter_map(|(story, events)| Some((events.get(at)?.clone(), manner.shape(story, at))));
        step(app, told).await;
    }
}

/// What left, or would have if it had somewhere to go: by customer, channel and purpose.
async fn messages(app: &TestApp) -> BTreeMap<String, Vec<String>> {
    let mut messages: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut page = Page {
        limit: 100,
        starting_after: None,
    };
    loop {
        let listing = app
            .store()
            .messages(&MessageFilter::default(), &page)
            .await
            .unwrap();
        page.starting_after = listing.data.last().map(|message| message.id.clone());
        for message in listing.data {
            let event = message.event.unwrap_or_default();
            let story = event.rsplit('_').nth(1).unwrap_or_default().to_owned();
            let line = format!(
                "{} {}: {}",
                message.channel,
                message.playbook.unwrap_or_default(),
                message.status
            );
            messages.entry(story).or_default().push(line);
        }
        if !listing.has_more {
            break;
        }
    }
    for lines in messages.values_mut() {
        lines.sort();
    }
    messages
}

/// Tells every order of the burst, each to a customer of its own, and counts what leaves.
///
/// Where `late`, the follow-ups are driven to their end once the leading event is there, and the rest arrives after.
async fn everybody_hears_once(manner: Manner, link: bool, late: bool) {
    let app = app().await;
    let mut stories: Vec<Vec<Told>> = Vec::new();
    for (story, order) in permutations(&[0, 1, 2, 3, 4]).iter().enumerate() {
        let renewal = renewal(story, manner);
        let burst = renewal.burst();
        let mut events: Vec<Told> = order.iter().map(|at: &usize| burst[*at].clone()).collect();
        if link {
            events = with(&events, renewal.payment(), story);
        }
        stories.push(events);
    }
    step(&app, (0..120).map(|story| (customer(story), Shape::Dahlia))).await;
    if late {
        let lead = |told: &Told| told.kind == "invoice.payment_failed";
        let (before, after): (Vec<_>, Vec<_>) = stories
            .iter()
            .map(|events| events.split_at(events.iter().position(lead).unwrap() + 1))
            .map(|(before, after)| (before.to_vec(), after.to_vec()))
            .unzip();
        tell(&app, &before, manner).await;
        app.settle().await;
        tell(&app, &after, manner).await;
    } else {
        tell(&app, &stories, manner).await;
    }
    app.settle().await;
    let messages = messages(&app).await;
    for (story, events) in stories.iter().enumerate() {
        let found = messages
            .get(&story.to_string())
            .cloned()
            .unwrap_or_default();
        assert_eq!(
            found,
            [
                "email invoice_payment_failed: sent",
                "sales invoice_payment_failed: pending",
            ],
            "{manner:?}, link {link}, late {late}: {:?}",
            kinds(events)
        );
    }
    assert_eq!(app.mails().len(), 120);
}

async fn in_shape(shape: Shape) {
    for late in [false, true] {
        everybody_hears_once(Manner::Plain(shape, false), false, late).await;
    }
}

#[tokio::test]
async fn a_failed_renewal_is_one_mail_before_2022() {
    in_shape(Shape::Old).await;
}

#[tokio::test]
async fn a_failed_renewal_is_one_mail_in_2022() {
    in_shape(Shape::V2022).await;
}

#[tokio::test]
async fn a_failed_renewal_is_one_mail_in_acacia() {
    in_shape(Shape::Acacia).await;
}

#[tokio::test]
async fn a_failed_renewal_is_one_mail_in_basil() {
    in_shape(Shape::Basil).await;
}

#[tokio::test]
async fn a_failed_renewal_is_one_mail_in_clover() {
    in_shape(Shape::Clover).await;
}

#[tokio::test]
async fn a_failed_renewal_is_one_mail_in_dahlia() {
    in_shape(Shape::Dahlia).await;
}

#[tokio::test]
async fn a_failed_renewal_is_one_mail_in_a_mixture_of_shapes() {
    for late in [false, true] {
        everybody_hears_once(Manner::Mixed, false, late).await;
    }
}

#[tokio::test]
async fn a_failed_renewal_is_one_mail_where_its_payment_is_linked() {
    for late in [false, true] {
        everybody_hears_once(Manner::Plain(Shape::Basil, true), false, late).await;
        everybody_hears_once(Manner::Plain(Shape::Dahlia, false), true, late).await;
    }
}
