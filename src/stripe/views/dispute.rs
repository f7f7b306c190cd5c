//! The view of a dispute. The movements of money that it caused are kept whole: each has an id of its own.

use serde_json::{Value, json};

use super::{Found, Reading, currency, flag, id, int, text};
use crate::stripe::reference::reference;

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(id, &["charge", "payment_intent"]);
    // Only where the charge is shown as a whole.
    reading.field("customer", id, &["charge.customer"]);
    reading.fields(text, &["status", "reason"]);
    reading.fields(currency, &["currency"]);
    reading.fields(int, &["amount", "created"]);
    reading.fields(flag, &["is_charge_refundable"]);
    reading.field("due_by", int, &["evidence_details.due_by"]);
    // Before it said how the payment was made, the dispute itself named the code.
    reading.field(
        "network_reason_code",
        text,
        &[
            "network_reason_code",
            "payment_method_details.card.network_reason_code",
        ],
    );

    let movements = match reading.object().get("balance_transactions") {
        Some(Value::Array(transactions)) => {
            Found::Value(transactions.iter().filter_map(movement).collect())
        }
        _ => Found::Absent,
    };
    reading.set("balance_transactions", movements);
}

/// A movement of money, as far as it is shown; an id alone says that there is one.
fn movement(transaction: &Value) -> Option<Value> {
    let id = reference(Some(transaction)).id()?;
    let mut movement = Reading::of(transaction);
    movement.fields(int, &["amount", "fee", "net", "created"]);
    movement.fields(currency, &["currency"]);
    movement.set("id", Found::Value(json!(id)));
    Some(json!(movement.into_view()))
}
