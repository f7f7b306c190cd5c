//! What a customer has: entitlements, and ways to pay.

use billhook::store::Store as _;
use serde_json::{Value, json};

use super::apply;
use super::money::told;
use crate::support::bench::{Bench, START};

on_both!(entitlements_are_replaced_and_a_detached_card_has_no_customer);

async fn entitlements_are_replaced_and_a_detached_card_has_no_customer(bench: Bench) {
    let summary = |features: &[&str]| {
        let features: Vec<Value> = features
            .iter()
            .map(|key| json!({ "id": format!("ent_{key}"), "lookup_key": key }))
            .collect();
        json!({
            "object": "entitlements.active_entitlement_summary", "customer": "cus_1",
            "entitlements": { "object": "list", "data": features, "has_more": false },
        })
    };
    let kind = "entitlements.active_entitlement_summary.updated";
    let card = |customer: Value| {
        json!({
            "id": "pm_1", "object": "payment_method", "type": "card", "customer": customer, "created": START,
            "card": { "brand": "visa", "last4": "4242", "exp_month": 1, "exp_year": 2030 },
        })
    };
    let events = [
        told("e2", kind, 20, &summary(&["reports"])),
        told("e1", kind, 10, &summary(&["export", "api"])),
        told("pm2", "payment_method.detached", 20, &card(Value::Null)),
        told("pm1", "payment_method.attached", 10, &card(json!("cus_1"))),
    ];
    for event in events {
        apply(&bench, &[event]).await;
    }
    let entitled = bench
        .store
        .object("entitlements.active_entitlement_summary", "cus_1")
        .await
        .unwrap();
    assert_eq!(entitled[0].data["features"], json!(["reports"]));
    let card = bench.store.object("payment_method", "pm_1").await.unwrap();
    assert_eq!(card[0].data["customer"], Value::Null);
    assert_eq!(card[0].data["last4"], "4242");
}
