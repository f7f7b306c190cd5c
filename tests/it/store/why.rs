//! What an event that came late is told: which events stand, and why.

use billhook::store::Store as _;
use serde_json::json;

use super::{apply, failed_payment, paid};
use crate::support::bench::{Bench, START};
use crate::support::fixture::Told;

on_both!(
    a_stale_event_names_what_stands,
    an_object_without_an_id_takes_nothing
);

async fn a_stale_event_names_what_stands(bench: Bench) {
    apply(&bench, &[paid("cus_1", "pi_1", 60)]).await;
    apply(&bench, &[failed_payment("cus_1", "pi_1")]).await;
    let event = bench.store.event("evt_pi_1_failed").await.unwrap().unwrap();
    assert!(event.stale && event.changes.is_empty(), "{event:?}");
    let better = serde_json::to_value(&event.superseded_by).unwrap();
    assert_eq!(better[0]["event"], "evt_pi_1_paid");
    assert_eq!(better[0]["type"], "payment_intent.succeeded");
    assert_eq!(
        better[0]["because"],
        "shows `succeeded`, which nothing leaves"
    );
    let fields = better[0]["fields"].as_array().unwrap();
    assert!(fields.contains(&json!("status")), "{fields:?}");
    assert!(!fields.contains(&json!("amount")), "both say the same");

    let stands = bench.store.event("evt_pi_1_paid").await.unwrap().unwrap();
    assert!(!stands.stale && stands.superseded_by.is_empty());
}

async fn an_object_without_an_id_takes_nothing(bench: Bench) {
    let nameless = json!({ "object": "customer", "email": "ada.blum@shopper.example" });
    let told = Told::new(
        "evt_1",
        "customer.updated",
        START,
        crate::support::fixture::Object::Other(nameless),
    );
    apply(&bench, &[told]).await;
    let event = bench.store.event("evt_1").await.unwrap().unwrap();
    assert_eq!((event.status.as_str(), event.stale), ("done", true));
    assert_eq!(
        event.last_error.as_deref(),
        Some("its object has no id: there is no row to write it to")
    );
    assert_eq!(
        bench.store.business_state().await.unwrap(),
        Vec::<String>::new()
    );
}
