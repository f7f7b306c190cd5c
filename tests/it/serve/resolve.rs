//! A mail server that hangs up after the dot, and the person who decides then: over HTTP and on the command line.

use serde_json::{Value, json};

use super::{customer, intent, on_both};
use crate::support::place::Place;
use crate::support::process::{Process, fresh_event};
use crate::support::smtp::{Does, SmtpServer};

on_both!(a_person_decides_about_what_nobody_knows);

/// A failed payment whose mail is unknown; its message.
async fn unknown(process: &Process, number: u32) -> Value {
    let (person, payment) = (format!("cus_{number}"), format!("pi_{number}"));
    let known = fresh_event(
        &format!("evt_cus_{number}"),
        "customer.created",
        &customer(&person),
    );
    process.deliver(&known).await;
    let failed = intent(&payment, Some(&person), "requires_payment_method");
    let id = format!("evt_failed_{number}");
    let failed = fresh_event(&id, "payment_intent.payment_failed", &failed);
    process.deliver(&failed).await;
    process
        .wait_until("nobody knows", async |process| {
            process.all("/outbox?status=unknown").await.len() == 1
        })
        .await;
    process.all("/outbox?status=unknown").await.remove(0)
}

async fn a_person_decides_about_what_nobody_knows(mut place: Place) {
    let mail = SmtpServer::start().await;
    place.set("SMTP_URL", mail.url());
    mail.now(Does::Drops("dot"));
    let process = place.serve().await;

    // Over HTTP: it goes again, under the same Message-ID.
    let message = unknown(&process, 1).await;
    let id = message["id"].as_str().unwrap().to_owned();
    let says = message["waits_for"].as_str().unwrap();
    assert!(
        says.contains(&format!("billhook outbox resolve {id} sent")),
        "{says}"
    );
    let path = format!("/outbox/{id}/resolve");
    let bad = process
        .change(&path, &json!({ "resolution": "lost" }))
        .await;
    assert_eq!(bad.0, 400);
    mail.now(None);
    let again = json!({ "resolution": "resend" });
    let (status, resolved) = process.change(&path, &again).await;
    assert_eq!((status, &resolved["id"]), (200, &message["id"]));
    process
        .wait_until("it is sent", async |process| {
            process.get(&format!("/outbox/{id}")).await.unwrap()["status"] == "sent"
        })
        .await;
    let ids = mail.message_ids();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
    let (status, problem) = process.change(&path, &again).await;
    assert_eq!((status, &problem["message_status"]), (409, &json!("sent")));

    // On the command line: it counts as sent, and stays where it is.
    mail.now(Does::Drops("dot"));
    let message = unknown(&process, 2).await;
    mail.now(None);
    let id = message["id"].as_str().unwrap().to_owned();
    for (arguments, code, says) in [
        (vec!["outbox", "resolve", &id, "lost"], 2, "lost"),
        (
            vec!["outbox", "resolve", "msg_none", "sent"],
            1,
            "outbox list",
        ),
        (vec!["outbox", "resolve", &id, "sent", "--json"], 0, ""),
        (
            vec!["outbox", "resolve", &id, "resend"],
            1,
            "is sent, and only an unknown",
        ),
        (vec!["outbox", "show", &id], 0, ""),
    ] {
        let (ended, told) = place.run(place.command(&arguments)).await;
        assert_eq!(ended, Some(code), "{arguments:?}: {told}");
        assert!(told.contains(says), "{arguments:?}: {told}");
    }
    let message = process.get(&format!("/outbox/{id}")).await.unwrap();
    assert_eq!(message["status"], "sent");
    assert_eq!(
        message["reason"],
        "resolved: a person said that it was sent"
    );
    let event = message["event"].as_str().unwrap();
    let event = process.get(&format!("/events/{event}")).await.unwrap();
    let calls = event["tool_calls"].as_array().unwrap();
    let effects: Vec<&Value> = calls
        .iter()
        .filter(|call| call["tool"] == "send_email")
        .map(|call| &call["effect"])
        .collect();
    assert_eq!(effects, [&json!("done")]);
    assert_eq!(mail.message_ids().len(), 3, "nothing more was sent");
}
