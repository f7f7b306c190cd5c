//! `billhook backfill` as a person runs it, and `serve` that looks by itself.

use serde_json::{Value, json};

use super::{failed, listed};
use crate::support::app::START;
use crate::support::place::Place;
use crate::support::stripe_api::{StripeServer, Trouble};

/// Now, in seconds: the program goes by the clock of this machine.
fn now() -> i64 {
    use billhook::clock::{Clock as _, SystemClock};
    SystemClock.now().seconds()
}

/// A place with a key, and a Stripe that has three events of the last hour.
pub(super) async fn place() -> (StripeServer, Place) {
    let now = now();
    let stripe = StripeServer::start(now).await;
    for id in ["evt_1", "evt_2", "evt_3"] {
        let told = failed(id, now - START - 600);
        stripe.shelf().add_event(None, listed(&told));
    }
    let mut place = Place::sqlite();
    place.set("STRIPE_API_BASE", stripe.url());
    place.set("STRIPE_SECRET_KEY", "rk_live_hunter2");
    // Whoever is asked to wait for an hour ends at once.
    place.set("BILLHOOK__STRIPE__API_DEADLINE", "30s");
    (stripe, place)
}

/// Exit code, standard output and standard error.
pub(super) async fn run(place: &Place, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = place.command(arguments);
    let ran = tokio::task::spawn_blocking(move || command.output().unwrap());
    let ran = ran.await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, error) = (text(ran.stdout), text(ran.stderr));
    assert!(
        !out.contains("hunter2") && !error.contains("hunter2"),
        "{out}{error}"
    );
    (ran.status.code(), out, error)
}

async fn json_of(place: &Place, arguments: &[&str]) -> Value {
    let (code, out, error) = run(place, arguments).await;
    assert_eq!(code, Some(0), "{error}");
    serde_json::from_str(&out).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_sees_what_would_come_in_and_then_what_came() {
    let (_stripe, place) = place().await;
    let rehearsed = json_of(&place, &["--json", "backfill", "--dry-run"]).await;
    assert_eq!(rehearsed["object"], "backfill");
    assert_eq!(rehearsed["dry_run"], true);
    let types = json!({ "payment_intent.payment_failed": 3 });
    assert_eq!(rehearsed["accounts"][0]["new"], types);
    let events = json_of(&place, &["--json", "events", "list"]).await;
    assert_eq!(events["data"], json!([]));

    let (code, out, error) = run(&place, &["backfill", "--since", "2h"]).await;
    assert_eq!(code, Some(0), "{error}");
    assert!(
        out.contains("came in") && out.contains("payment_intent.payment_failed"),
        "{out}"
    );
    let events = json_of(&place, &["--json", "events", "list"]).await;
    assert_eq!(events["data"].as_array().unwrap().len(), 3);

    let again = json_of(&place, &["--json", "backfill"]).await;
    assert_eq!(again["accounts"][0]["found"], 3);
    assert_eq!(again["accounts"][0]["new"], json!({}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_says_that_it_looks_no_object_up() {
    let (stripe, place) = place().await;
    let (code, out, error) = run(&place, &["backfill", "--dry-run", "--since", "60d"]).await;
    assert_eq!(code, Some(0), "{error}");
    assert!(
        out.contains("without --dry-run, the objects that may have changed would be looked up instead; none was"),
        "{out}"
    );
    assert!(stripe.asked_for("/v1/customers").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_codes_say_whose_turn_it_is() {
    let (stripe, mut place) = place().await;
    stripe.troubles([Some(Trouble::Limited(Some(3600)))]);
    let (code, out, error) = run(&place, &["backfill"]).await;
    assert_eq!(code, Some(3), "{out}{error}");
    assert!(out.contains("asked less often"), "{out}");
    assert!(
        error.contains("the next look goes on from there"),
        "{error}"
    );

    let elsewhere = Trouble::Fails {
        status: 404,
        again: false,
    };
    stripe.troubles([Some(elsewhere)]);
    let (code, out, error) = run(&place, &["backfill"]).await;
    assert_eq!(code, Some(3), "{out}{error}");
    assert!(
        out.contains(
            "what Stripe's API lists at /v1/events is not there (404); check `stripe.api_base`"
        ),
        "{out}"
    );

    stripe.shelf().forbid("/v1/events", "rak_event_read");
    let (code, out, error) = run(&place, &["backfill"]).await;
    assert_eq!(code, Some(2), "{out}{error}");
    assert!(out.contains("lacks the permission rak_event_read"), "{out}");

    place.set("STRIPE_SECRET_KEY", "hunter2");
    let (code, _, error) = run(&place, &["backfill"]).await;
    assert_eq!(code, Some(2), "{error}");
    assert!(
        error.contains("does not say whether it is for live or for test mode"),
        "{error}"
    );

    place.set("STRIPE_SECRET_KEY", "");
    let (code, _, error) = run(&place, &["backfill", "--dry-run"]).await;
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("set STRIPE_SECRET_KEY"), "{error}");

    for (since, said) in [
        (
            "soon",
            "`soon` is no duration: write a whole number and a unit",
        ),
        ("3x", "`3x` is no duration: write a whole number and a unit"),
        ("1000000d", "`1000000d` is too long: write 36500d or less"),
        ("-3d", "it always looks back: write 3d"),
    ] {
        let (code, _, error) = run(&place, &["backfill", "--since", since]).await;
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains("--since") && error.contains(said), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_with_a_key_looks_by_itself_when_it_starts() {
    let (stripe, place) = place().await;
    let process = place.serve().await;
    for id in ["evt_1", "evt_2", "evt_3"] {
        process.event_when(id, "done").await;
    }
    let asked = stripe.asked_for("/v1/events");
    assert!(asked.iter().all(|one| one.method == "GET"));
    drop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_told_not_to_does_not_look() {
    let (stripe, mut place) = place().await;
    place.set("BILLHOOK__BACKFILL__INTERVAL", "0s");
    let process = place.serve().await;
    let fresh = crate::support::process::fresh_event(
        "evt_new",
        "balance.available",
        &json!({ "object": "balance" }),
    );
    process.deliver(&fresh).await;
    process.event_when("evt_new", "ignored").await;
    assert!(stripe.asked().is_empty());
}
