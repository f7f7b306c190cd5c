//! The view of a subscription. Its periods moved to its items in the basil versions, and may differ among them.

use serde_json::Value;

use super::{Found, Reading, currency, flag, id, int, text, values_at};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(
        id,
        &["customer", "latest_invoice", "default_payment_method"],
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
            "trial_end",
            "created",
        ],
    );

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
