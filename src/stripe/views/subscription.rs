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
            "default_source",
            "schedule",
            // Its times are then those of a simulation.
            "test_clock",
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
    // What becomes of it when its trial ends and there is nothing to pay with.
    reading.field(
        "missing_payment_method",
        text,
        &["trial_settings.end_behavior.missing_payment_method"],
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
    reading.field_of(
        "cancellation_comment",
        text,
        "cancellation_details",
        "comment",
    );

    reading.field("items_incomplete", flag, &["items.has_more"]);
    let items = items(reading.object());
    reading.set("items", items);

    let amount = period_amount(reading.object());
    reading.set("period_amount", amount);

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

/// What a period costs, before anything is taken off or added. Null where the items do not say it outright: by tiers, by
/// use, by parts of a cent, with a discount or a tax of its own, or cut short. A total is never guessed from a price.
fn period_amount(object: &Value) -> Found {
    let shown = |name: &str| match object.get(name) {
        Some(Value::Array(list)) => !list.is_empty(),
        Some(value) => !value.is_null(),
        None => false,
    };
    let list = object.get("items").and_then(|items| items.get("data"));
    let Some(Value::Array(items)) = list else {
        return Found::Absent;
    };
    let complete = object.pointer("/items/has_more") != Some(&Value::Bool(true));
    let taxed = object.pointer("/automatic_tax/enabled") == Some(&Value::Bool(true));
    let plain = complete
        && !taxed
        && !["discount", "discounts", "default_tax_rates"]
            .iter()
            .any(|name| shown(name));
    let amounts: Option<Vec<i64>> = items.iter().map(item_amount).collect();
    amounts
        .filter(|amounts| plain && !amounts.is_empty())
        .and_then(|amounts| amounts.into_iter().try_fold(0_i64, i64::checked_add))
        .map_or(Found::Null, |sum| Found::Value(Value::from(sum)))
}

/// The amount of one item. All items of a subscription have its currency (docs.stripe.com/api/subscriptions).
fn item_amount(item: &Value) -> Option<i64> {
    let is_set = |path: &str| {
        item.pointer(path).is_some_and(|value| match value {
            Value::Array(list) => !list.is_empty(),
            value => !value.is_null(),
        })
    };
    let apart = [
        "/price/transform_quantity",
        "/plan/transform_usage",
        "/tax_rates",
        "/discounts",
    ];
    let metered = ["/price/recurring/usage_type", "/plan/usage_type"]
        .iter()
        .any(|path| item.pointer(path).and_then(Value::as_str) == Some("metered"));
    if metered || apart.into_iter().any(is_set) {
        return None;
    }
    let unit = item
        .pointer("/price/unit_amount")
        .or_else(|| item.pointer("/plan/amount"))?
        .as_i64()?;
    let quantity = item.get("quantity")?.as_i64()?;
    unit.checked_mul(quantity)
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
