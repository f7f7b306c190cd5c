//! The view of what a customer is entitled to. It has no id: there is one for each customer.

use std::collections::BTreeSet;

use super::{Found, Reading, flag, id, text, values_at};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(id, &["customer"]);
    reading.field("features_incomplete", flag, &["entitlements.has_more"]);
    let list = reading.object().get("entitlements");
    let features = match list.and_then(|list| list.get("data")) {
        Some(serde_json::Value::Array(_)) => {
            let keys = values_at(reading.object(), "entitlements.data[].lookup_key");
            // A set, whatever order the list has.
            let keys: BTreeSet<String> = keys
                .into_iter()
                .filter_map(|key| text(key)?.as_str().map(str::to_owned))
                .collect();
            Found::Value(keys.into_iter().collect())
        }
        _ => Found::Absent,
    };
    reading.set("features", features);
}
