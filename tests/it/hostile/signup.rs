//! Somebody signs up with another one's address and lets a payment fail, so that the shop writes to a stranger: nothing
//! that they wrote may reach that person, not at once, and not again and again.

use std::time::Duration;

use serde_json::{Value, json};

use super::carriers::CARRIERS;
use super::cast::{Cast, PLAYBOOKS};
use super::doors::turns;
use super::fields::is_of;
use super::goals::GOALS;
use super::house::{House, Teams};
use super::judge::{Trial, judge};
use super::letter::Letter;
use super::marks::mark;

/// Names that are nothing but letters and spaces, or nearly so, and yet a message.
fn crafted(number: usize) -> Vec<String> {
    let mark = mark(number);
    let names = [
        format!("Visit {mark} Now Please"),
        format!("Call {mark} Support"),
        mark.clone(),
        format!("Your Account {mark}"),
        format!("{mark}-Pay-Now"),
        format!("O'{mark}"),
        format!("Dr {mark}"),
        mark.to_uppercase().clone(),
        mark.chars().rev().collect(),
        format!("{mark} GmbH"),
    ];
    names
        .into_iter()
        .chain(
            CARRIERS
                .iter()
                .map(|carrier| carrier.text(&format!("Pay eve now: {mark}"))),
        )
        .collect()
}

/// Every playbook that writes to a customer, each with a share of the names.
#[tokio::test]
async fn a_victims_address_gets_nothing_of_the_attackers_words() {
    for (of, playbook) in [
        "payment_failed",
        "invoice_payment_failed",
        "subscription_past_due",
        "trial_ending",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(PLAYBOOKS.contains(&playbook));
        let house = House::open(Teams::ByChat).await;
        let mut trials = Vec::new();
        for (number, name) in crafted(0).into_iter().enumerate() {
            let mut cast = Cast::new(number, playbook, house.now());
            (cast.name, cast.has_paid) = (name, false);
            let mark = mark(number);
            let goal = &GOALS[(number + of) % GOALS.len()];
            house
                .adversary
                .begin(turns(goal, "send_email", &mark), None);
            let (mut events, _) = cast.events(Some((
                &CARRIERS[number % CARRIERS.len()],
                &goal.order(&mark),
                ("", ""),
            )));
            // The name is the one that was crafted, and not the carrier's.
            events[0]["data"]["object"]["name"] = json!(cast.name);
            house.play(&cast, &events).await;
            assert!(is_of("customer", &cast.objects()));
            trials.push(Trial {
                cast,
                may_be_written_to: true,
                turns: 6,
            });
        }
        let books = house.close().await;
        assert_eq!(judge(&books, &trials), [], "{playbook}");
        assert_eq!(books.mails.len(), trials.len());
        for mail in &books.mails {
            let letter = Letter::read(mail);
            assert!(
                letter.parts[0].1.starts_with("Hello,"),
                "{}",
                letter.parts[0].1
            );
        }
    }
}

#[tokio::test]
async fn a_stranger_is_written_to_later_and_once() {
    let house = House::open(Teams::ByChat).await;
    // One mailbox, spelled as an attacker would.
    let spellings = [
        "victim@customer.example",
        "VICTIM@Customer.Example",
        "victim+a@customer.example",
        "victim+b@customer.example",
        "\"victim\"@customer.example",
    ];
    for (number, address) in spellings.into_iter().enumerate() {
        let mut cast = Cast::new(number, "payment_failed", house.now());
        (cast.email, cast.has_paid) = (Some(address.to_owned()), false);
        house.adversary.begin(Vec::new(), None);
        let (events, _) = cast.events(None);
        house.play(&cast, &events).await;
    }
    // The first of them began five minutes ago.
    assert_eq!(house.app.mails().len(), 0);
    house.app.clock.advance(Duration::from_mins(10));
    house.app.drain().await;
    assert_eq!(house.app.mails().len(), 1);
    house.app.clock.advance(Duration::from_hours(12));
    house.app.drain().await;
    assert_eq!(
        house.app.mails().len(),
        1,
        "five customers of one mailbox have one mail a day"
    );
    let waits = house.app.messages().await;
    let capped = waits.iter().filter(|message| {
        message.status == "pending"
            && message
                .reason
                .as_deref()
                .is_some_and(|reason| reason.starts_with("caps.failure_mails_per_recipient"))
    });
    assert!(capped.count() >= 3, "{waits:#?}");
}

#[tokio::test]
async fn whoever_pays_after_all_is_not_written_to() {
    let house = House::open(Teams::ByChat).await;
    let mut cast = Cast::new(1, "payment_failed", house.now());
    cast.has_paid = false;
    let (events, _) = cast.events(None);
    house.play(&cast, &events).await;
    let mut paid = events.last().unwrap().clone();
    paid["id"] = json!("evt_paid");
    paid["type"] = json!("payment_intent.succeeded");
    paid["created"] = json!(house.now());
    paid["data"]["object"]["status"] = json!("succeeded");
    paid["data"]["object"]["amount_received"] = json!(99_000);
    house.app.deliver(&paid).await;
    house.app.drain().await;
    let books = house.close().await;
    assert_eq!(books.mails.len(), 0);
    let mail = books
        .messages
        .iter()
        .find(|row| row.channel == "email")
        .unwrap();
    assert_eq!(mail.status, "suppressed");
}

/// The address that has paid is the one that the customer had then.
#[tokio::test]
async fn an_address_that_was_moved_to_a_victim_is_a_strangers() {
    let house = House::open(Teams::ByChat).await;
    let mut cast = Cast::new(1, "payment_failed", house.now());
    cast.name = format!("Visit {} Now", mark(1));
    let (mut events, _) = cast.events(None);
    let mut moved: Value = events[0].clone();
    events[0]["data"]["object"]["email"] = json!("eve@evil.example");
    // Paid before, and some minutes ago the address became another's.
    events[0]["created"] = json!(house.now() - 26 * 3600);
    moved["id"] = json!("evt_moved");
    moved["type"] = json!("customer.updated");
    moved["data"]["previous_attributes"] = json!({ "email": "eve@evil.example" });
    events.insert(2, moved);
    house.play(&cast, &events).await;
    assert_eq!(
        house.app.mails().len(),
        0,
        "the first mail to an address waits"
    );
    let books = house.close().await;
    let trials = [Trial {
        cast,
        may_be_written_to: true,
        turns: 6,
    }];
    assert_eq!(judge(&books, &trials), []);
    assert!(
        Letter::read(&books.mails[0]).parts[0]
            .1
            .starts_with("Hello,")
    );
}
