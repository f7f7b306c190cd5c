//! One event, however often it comes, has one effect.

use futures::future::join_all;

use super::{customer, intent, on_both};
use crate::support::place::Place;
use crate::support::process::fresh_event;

on_both!(fifty_deliveries_of_one_event_at_once_have_one_effect);

async fn fifty_deliveries_of_one_event_at_once_have_one_effect(place: Place) {
    let process = place.serve().await;
    process
        .deliver(&fresh_event(
            "evt_cus",
            "customer.created",
            &customer("cus_1"),
        ))
        .await;
    let failed = fresh_event(
        "evt_failed",
        "payment_intent.payment_failed",
        &intent("pi_1", Some("cus_1"), "requires_payment_method"),
    );
    let mut answers = join_all((0..50).map(|_| process.deliver(&failed))).await;
    answers.sort();
    assert_eq!(answers.first().unwrap(), "accepted");
    assert_eq!(
        answers.iter().filter(|word| *word == "duplicate").count(),
        49
    );

    process.event_when("evt_failed", "done").await;
    assert_eq!(process.arrivals("evt_failed").await, 50);
    let runs = process.all("/runs").await;
    assert_eq!(runs.len(), 1, "{runs:#?}");
    assert_eq!(
        (runs[0]["event"].as_str(), runs[0]["status"].as_str()),
        (Some("evt_failed"), Some("done"))
    );
    process
        .wait_until("the mail is sent", async |process| {
            let messages = process.all("/outbox").await;
            messages.iter().any(|message| message["status"] == "sent")
        })
        .await;
    let messages = process.all("/outbox").await;
    assert_eq!(messages.len(), 1, "{messages:#?}");
    assert_eq!(messages[0]["to"], "cus_1@example.com");
    assert_eq!(place.mails().len(), 1);
}
