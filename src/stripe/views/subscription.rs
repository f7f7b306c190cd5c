//! The view of a subscription. Its periods moved to its items in the basil versions, and may differ among them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Found, Reading, currency, flag, id, int, text, values_at};
use crate::stripe::reference::reference;

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(
        id,
        &[
            "customer",
            "latest_invoice",
            "default_payment_method",
            "schedule",
        ],
    );
    reading.fields(text, &["status"]);
    // Before 2019-10-17 it was called `billing`.
    reading.field("collection_method", text, &["collection_method", "billing"]);
    reading.field(
        "plan",
        id,
        &["items.data[].price", "items.data[].plan", "plan"],
    );
    reading.field(
        "product",
        id,
        &[
            "items.data[].price.product",
            "items.data[].plan.product",
            "plan.product",
        ],
    );
    reading.fields(currency, &["currency"]);
    reading.fields(flag, &["cancel_at_period_end"]);
    reading.fields(
        int,
        &[
            "cancel_at",
            "canceled_at",
            "ended_at",
            "trial_start",
            "trial_end",
            "created",
        ],
    );
    reading.field_of("pause_behavior", text, "pause_collection", "behavior");
    reading.field_of("pause_resumes_at", int, "pause_collection", "resumes_at");
    reading.field_of("pending_until", int, "pending_update", "expires_at");
    reading.field_of(
        "cancellation_reason",
        text,
        "cancellation_details",
        "reason",
    );

    reading.field("items_incomplete", flag, &["items.has_more"]);
    let items = items(reading.object());
    reading.set("items", items);

    // What is paid for lasts from the first start to the last end of any item.
    let object = reading.object();
    let start = reading
        .find(int, &["current_period_start"])
        .or_else(|| among_items(object, "items.data[].current_period_start", Iterator::min));
    reading.set("current_period_start", start);
    let end = reading
        .find(int, &["current_period_end"])
        .or_else(|| among_items(object, "items.data[].current_period_end", Iterator::max));
    reading.set("current_period_end", end);
}

/// What is subscribed to: a set, in the order of the items' ids.
fn items(object: &Value) -> Found {
    let list = object.get("items").and_then(|items| items.get("data"));
    let Some(Value::Array(list)) = list else {
        return Found::Absent;
    };
    let items: BTreeMap<&str, Value> = list
        .iter()
        .filter_map(|item| Some((reference(Some(item)).id()?, item)))
        .map(|(name, item)| {
            let mut reading = Reading::of(item);
            reading.set("id", Found::Value(Value::from(name)));
            reading.field("price", id, &["price", "plan"]);
            reading.field("product", id, &["price.product", "plan.product"]);
            reading.field("unit_amount", int, &["price.unit_amount", "plan.amount"]);
            reading.field("currency", currency, &["price.currency", "plan.currency"]);
            reading.fields(int, &["quantity"]);
            (name, json!(reading.into_view()))
        })
        .collect();
    if items.is_empty() && !list.is_empty() {
        // Nothing that could be told apart.
        return Found::Absent;
    }
    Found::Value(items.into_values().collect())
}

type Times = std::vec::IntoIter<i64>;

fn among_items(object: &Value, path: &str, choose: fn(Times) -> Option<i64>) -> Found {
    let values = values_at(object, path);
    let times: Vec<i64> = values.iter().filter_map(|value| value.as_i64()).collect();
    match choose(times.into_iter()) {
        Some(time) => Found::Value(Value::from(time)),
        None if values.iter().any(|value| value.is_null()) => Found::Null,
        None => Found::Absent,
    }
}
