//! The event that benches post, numbered.

use billhook::clock::Timestamp;
use serde_json::json;

/// Stands in the template for an event's number, with as many bytes as the number has.
pub(crate) const NUMBER: &str = "@@@@@@@@@@@@";

/// An event that was created `now`, with a body of `length` bytes.
pub(crate) fn template(now: Timestamp, length: usize) -> String {
    let event = |filling: usize| {
        json!({
            "id": format!("evt_bench_{NUMBER}"), "object": "event", "api_version": "2020-08-27", "created": now.seconds(),
            "livemode": true, "pending_webhooks": 1, "request": { "id": null, "idempotency_key": null },
            "type": "payment_intent.succeeded",
            "data": { "object": {
                "id": format!("pi_bench_{NUMBER}"), "object": "payment_intent", "customer": "cus_bench", "status": "succeeded",
                "amount": 4900, "amount_received": 4900, "currency": "eur", "created": now.seconds(), "metadata": {},
                "description": "x".repeat(filling),
            } },
        })
        .to_string()
    };
    let bare = event(0).len();
    event(length.saturating_sub(bare))
}
