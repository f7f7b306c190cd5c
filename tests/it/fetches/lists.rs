//! Lists that an event cuts short, and what needs no list at all.

use serde_json::json;

use super::{asking, only_question, questions};
use crate::support::app::{START, event};
use crate::support::stripe_api::StripeServer;

/// What a customer is entitled to is a list and nothing else: only its pages say when it was given.
#[tokio::test]
async fn a_list_without_an_object_stands_at_the_time_of_stripe_whatever_the_time_is_here() {
    let stripe = StripeServer::start(START + 5).await;
    for number in 1..=12 {
        let id = format!("ent_{number}");
        let path = format!("/v1/entitlements/active_entitlements/{id}");
        let item = json!({ "id": id, "object": "entitlements.active_entitlement", "lookup_key": format!("feature_{number}") });
        stripe.shelf().put_at(None, &path, item);
    }
    let app = asking(&stripe, None).await;
    let summary = json!({
        "object": "entitlements.active_entitlement_summary", "customer": "cus_1", "livemode": true,
        "entitlements": { "object": "list", "has_more": true, "data": [{ "id": "ent_1", "lookup_key": "feature_1" }] },
    });
    // The clock here is two seconds behind, so that the event is newer than what it says.
    let kind = "entitlements.active_entitlement_summary.updated";
    app.deliver(&event("evt_1", kind, 2, &summary)).await;
    app.drain().await;
    let asked = only_question(&app, "evt_1").await;
    assert_eq!(
        (asked.reason.as_str(), asked.status.as_str()),
        ("list", "done")
    );
    let row = &app.store_rows(&asked.kind).await[0].data;
    assert_eq!(row["features_incomplete"], false, "{row}");
    assert_eq!(row["features"].as_array().unwrap().len(), 12);
}

#[tokio::test]
async fn an_invoice_over_nothing_has_no_payment_to_ask_for() {
    let stripe = StripeServer::start(START + 5).await;
    let app = asking(&stripe, None).await;
    for (id, amount, expected) in [("in_1", 0, 0), ("in_2", 4900, 1)] {
        let invoice = json!({
            "id": id, "object": "invoice", "customer": "cus_1", "status": "paid", "amount_due": amount, "amount_paid": amount,
            "currency": "eur", "created": START,
        });
        let event_id = format!("evt_{id}");
        app.deliver(&event(&event_id, "invoice.paid", 0, &invoice))
            .await;
        app.drain().await;
        let asked = questions(&app, &event_id).await;
        assert_eq!(asked.len(), expected, "{asked:?}");
    }
}

#[tokio::test]
async fn the_refunds_of_a_charge_get_rows_of_their_own() {
    let stripe = StripeServer::start(START + 5).await;
    let refund = |number: i64| {
        json!({
            "id": format!("re_{number}"), "object": "refund", "charge": "ch_1", "amount": number, "currency": "eur",
            "status": "succeeded", "created": START,
        })
    };
    let mut charge = json!({
        "id": "ch_1", "object": "charge", "customer": "cus_1", "payment_intent": "pi_1", "amount": 4900, "currency": "eur",
        "status": "succeeded", "paid": true, "captured": true, "amount_refunded": 6, "created": START,
        "refunds": { "object": "list", "data": [refund(3)], "has_more": true },
    });
    stripe.shelf().put(None, charge.clone());
    for number in 1..=3 {
        stripe.shelf().put(None, refund(number));
    }
    let app = asking(&stripe, None).await;
    app.deliver(&event("evt_1", "charge.refunded", 0, &charge))
        .await;
    app.drain().await;
    for number in 1..=3 {
        let row = app.row("refund", &format!("re_{number}")).await;
        assert_eq!(row["amount"], number);
    }
    assert_eq!(app.row("charge", "ch_1").await["refunds_incomplete"], false);
    // Versions that do not show the list at all leave nothing open.
    charge["id"] = json!("ch_2");
    charge.as_object_mut().unwrap().remove("refunds");
    app.deliver(&event("evt_2", "charge.refunded", 0, &charge))
        .await;
    app.drain().await;
    assert_eq!(questions(&app, "evt_2").await.len(), 0);
}
