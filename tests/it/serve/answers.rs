//! What a sender is answered, word for word, and what became of the odd events that are taken.

use billhook::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::{customer, intent, on_both};
use crate::support::place::Place;
use crate::support::process::{Process, fresh_event, signature};

on_both!(
    what_cannot_be_taken_is_refused_in_these_words,
    odd_events_are_taken_and_worked_on,
    what_nobody_handles_is_kept_as_ignored,
    access_is_answered_before_the_customer_is_known,
);

const WEBHOOK: &str = "/stripe/webhook";

/// The answer but for its request id, which must be there.
fn without_request_id((status, mut answer): (u16, Value)) -> (u16, Value) {
    let id = answer.as_object_mut().unwrap().remove("request_id");
    assert!(id.is_some_and(|id| !id.as_str().unwrap().is_empty()));
    (status, answer)
}

fn problem(status: u16, name: &str, title: &str, detail: &str) -> (u16, Value) {
    let body = json!({
        "type": format!("urn:billhook:problem:{name}"), "title": title, "status": status, "detail": detail,
    });
    (status, body)
}

async fn posted(process: &Process, path: &str, body: &[u8]) -> (u16, Value) {
    without_request_id(process.try_post(path, body.to_vec()).await.unwrap())
}

async fn what_cannot_be_taken_is_refused_in_these_words(place: Place) {
    let process = place.serve().await;
    let event = fresh_event("evt_1", "customer.created", &customer("cus_1")).to_string();
    let event = event.as_bytes();

    assert_eq!(
        posted(&process, WEBHOOK, &vec![b' '; (1 << 20) + 1]).await,
        problem(
            413,
            "body-too-large",
            "The body is too large",
            "the body has more than 1048576 bytes, and no event of Stripe's has"
        ),
    );
    assert_eq!(
        posted(&process, WEBHOOK, b"{\"id\":").await,
        problem(
            400,
            "not-an-event",
            "The body is no event",
            "the body is no JSON that can be read: EOF while parsing a value at line 1 column 6"
        ),
    );
    assert_eq!(
        posted(&process, WEBHOOK, b"[]").await,
        problem(
            400,
            "not-an-event",
            "The body is no event",
            "the body is no JSON object: send one event at a time"
        ),
    );
    assert_eq!(
        posted(&process, WEBHOOK, b"{\"type\":\"customer.created\"}").await,
        problem(
            400,
            "not-an-event",
            "The body is no event",
            "the event has no `id`: it must be a string that is not empty"
        ),
    );
    assert_eq!(
        posted(&process, WEBHOOK, customer("cus_1").to_string().as_bytes()).await,
        problem(
            400,
            "not-an-event",
            "The body is no event",
            "`object` is \"customer\", which is no event: send the whole event, not only what it is about"
        ),
    );
    let not_found = || {
        problem(
            404,
            "not-found",
            "Not found",
            "there is nothing at this address",
        )
    };
    assert_eq!(
        posted(&process, "/stripe/webhook/", event).await,
        not_found()
    );
    assert_eq!(
        posted(&process, "/stripe/webhook/nobody", event).await,
        problem(
            404,
            "not-found",
            "Not found",
            "there is no such webhook endpoint"
        ),
    );

    let wrong = "no v1 signature matches: is STRIPE_WEBHOOK_SECRET the secret of this endpoint, and the body unchanged?";
    let of_another = signature(b"another body");
    for body in [event, b"no event at all"] {
        let answer = process.post_with(WEBHOOK, &of_another, body.to_vec()).await;
        assert_eq!(
            without_request_id(answer.unwrap()),
            problem(
                401,
                "invalid-signature",
                "The signature is not valid",
                wrong
            ),
        );
    }
    assert!(
        process.all("/events").await.is_empty(),
        "something refused was stored"
    );
}

async fn odd_events_are_taken_and_worked_on(place: Place) {
    let process = place.serve().await;
    let mut person = customer("cus_nul");
    person["name"] = json!("Ada\u{0}Lovelace");
    let event = fresh_event("evt_nul", "customer.created", &person);
    assert_eq!(process.deliver(&event).await, "accepted");
    process.event_when("evt_nul", "done").await;
    let row = process.get("/customers/cus_nul").await.unwrap();
    assert_eq!(row["name"], "AdaLovelace");

    let stranger = fresh_event(
        "evt_stranger",
        "payment_intent.succeeded",
        &intent("pi_1", None, "succeeded"),
    );
    assert_eq!(process.deliver(&stranger).await, "accepted");
    process.event_when("evt_stranger", "done").await;
    let order = process.get("/orders/pi_1").await.unwrap();
    assert_eq!(
        (order["status"].as_str(), &order["customer"]),
        (Some("paid"), &Value::Null)
    );
}

async fn what_nobody_handles_is_kept_as_ignored(place: Place) {
    let process = place.serve().await;
    let event = fresh_event(
        "evt_topup",
        "topup.created",
        &json!({ "id": "tu_1", "object": "topup" }),
    );
    assert_eq!(process.deliver(&event).await, "accepted");
    assert_eq!(process.deliver(&event).await, "duplicate");
    let kept = process.get("/events/evt_topup").await.unwrap();
    assert_eq!(kept["status"], "ignored");
    assert_eq!(process.arrivals("evt_topup").await, 2);
    assert_eq!(kept["payload"]["data"]["object"]["id"], "tu_1");
    assert_eq!(process.all("/runs").await.len(), 0);
}

async fn access_is_answered_before_the_customer_is_known(place: Place) {
    let process = place.serve().await;
    let subscription = json!({
        "id": "sub_1", "object": "subscription", "customer": "cus_only", "status": "active",
        "created": SystemClock.now().seconds() - 100,
    });
    let event = fresh_event("evt_sub", "customer.subscription.updated", &subscription);
    process.deliver(&event).await;
    process.event_when("evt_sub", "done").await;
    assert!(process.get("/customers/cus_none").await.is_none());
    let alone = process.get("/customers/cus_only").await.unwrap();
    assert_eq!(alone["access"]["granted"], true, "{alone}");
    assert_eq!(
        (&alone["email"], &alone["name"], &alone["deleted"]),
        (&Value::Null, &Value::Null, &json!(false))
    );
    let account = alone["account"].as_str().unwrap();
    let of = async |account: &str, livemode: bool| {
        let path = format!("/customers/cus_only?account={account}&livemode={livemode}");
        process.get(&path).await
    };
    let livemode = alone["livemode"].as_bool().unwrap();
    assert_eq!(of(account, livemode).await, Some(alone.clone()));
    assert_eq!(of(account, !livemode).await, None);
    assert_eq!(of("acct_other", livemode).await, None);

    // Once it is known it looks the same, with what is known.
    let event = fresh_event("evt_cus", "customer.created", &customer("cus_only"));
    process.deliver(&event).await;
    process.event_when("evt_cus", "done").await;
    let known = process.get("/customers/cus_only").await.unwrap();
    assert_eq!(known["email"], "cus_only@example.com");
    assert_eq!(known["access"], alone["access"]);
    let fields =
        |row: &Value| -> Vec<String> { row.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(fields(&known), fields(&alone));
}
