//! How objects look from outside: pure functions from rows to JSON, shared by the API and the command line.
//!
//! Rows hold times as Stripe gives them, in seconds; from here they leave as ISO 8601 in UTC. A field that is not known
//! is null and never missing.

use serde_json::{Map, Value, json};

use crate::clock::Timestamp;
use crate::config::AccessConfig;
use crate::guardrails::derive::access::{AccessRow, Answer};
use crate::guardrails::derive::hold::RuleHold;
use crate::store::ObjectRow;
use crate::stripe::resource::{List, lists};
use crate::stripe::view::Family;

/// The shape of a row of any kind; a kind without a shape of its own shows its fields as they are.
pub fn object(row: &ObjectRow, now: Timestamp, policy: &AccessConfig) -> Value {
    match row.kind.as_str() {
        "customer" => customer(row, now, policy),
        "subscription" => subscription(row),
        "invoice" => invoice(row),
        "order" => order(row),
        "access" => access_of(row, now, policy),
        "charge" => charge(row),
        "refund" => refund(row),
        "dispute" => dispute(row),
        "payout" => payout(row),
        _ => {
            let fields = row.data.as_object().cloned().unwrap_or_default();
            shape(row, fields)
        }
    }
}

/// A customer, and whether they have access at `now`.
pub fn customer(row: &ObjectRow, now: Timestamp, policy: &AccessConfig) -> Value {
    let access = access(row, now, policy);
    shape(
        row,
        fields(json!({
            "email": field(row, "email"),
            "name": field(row, "name"),
            "deleted": flag(row, "deleted"),
            "access": access,
        })),
    )
}

/// A subscription.
pub fn subscription(row: &ObjectRow) -> Value {
    shape(
        row,
        fields(json!({
            "customer": field(row, "customer"),
            "status": field(row, "status"),
            "plan": field(row, "plan"),
            "current_period_end": time(row, "current_period_end"),
            "cancel_at_period_end": flag(row, "cancel_at_period_end"),
            "ended_at": time(row, "ended_at"),
        })),
    )
}

/// An invoice.
pub fn invoice(row: &ObjectRow) -> Value {
    shape(
        row,
        fields(json!({
            "customer": field(row, "customer"),
            "subscription": field(row, "subscription"),
            "status": field(row, "status"),
            "attempt_count": field(row, "attempt_count"),
            "amount_due": field(row, "amount_due"),
            "amount_paid": field(row, "amount_paid"),
            "currency": field(row, "currency"),
            "next_payment_attempt": time(row, "next_payment_attempt"),
        })),
    )
}

/// A charge.
pub fn charge(row: &ObjectRow) -> Value {
    shape(
        row,
        fields(json!({
            "customer": field(row, "customer"),
            "payment_intent": field(row, "payment_intent"),
            "invoice": field(row, "invoice"),
            "status": field(row, "status"),
            "amount": field(row, "amount"),
            "amount_captured": field(row, "amount_captured"),
            "amount_refunded": field(row, "amount_refunded"),
            "currency": field(row, "currency"),
            "captured": flag(row, "captured"),
            "disputed": flag(row, "disputed"),
            "failure_code": field(row, "failure_code"),
        })),
    )
}

/// A refund.
pub fn refund(row: &ObjectRow) -> Value {
    shape(
        row,
        fields(json!({
            "charge": field(row, "charge"),
            "payment_intent": field(row, "payment_intent"),
            "status": field(row, "status"),
            "reason": field(row, "reason"),
            "failure_reason": field(row, "failure_reason"),
            "amount": field(row, "amount"),
            "currency": field(row, "currency"),
        })),
    )
}

/// A dispute, and until when it can be answered.
pub fn dispute(row: &ObjectRow) -> Value {
    shape(
        row,
        fields(json!({
            "charge": field(row, "charge"),
            "payment_intent": field(row, "payment_intent"),
            "status": field(row, "status"),
            "reason": field(row, "reason"),
            "amount": field(row, "amount"),
            "currency": field(row, "currency"),
            "due_by": time(row, "due_by"),
        })),
    )
}

/// A payout.
pub fn payout(row: &ObjectRow) -> Value {
    shape(
        row,
        fields(json!({
            "status": field(row, "status"),
            "amount": field(row, "amount"),
            "currency": field(row, "currency"),
            "arrival_date": time(row, "arrival_date"),
            "failure_code": field(row, "failure_code"),
        })),
    )
}

/// An order and its holds: those by rule, and those that others placed.
pub fn order(row: &ObjectRow) -> Value {
    shape(
        row,
        fields(json!({
            "aliases": list(&field(row, "aliases")),
            "customer": field(row, "customer"),
            "status": field(row, "status"),
            "amount": field(row, "amount"),
            "amount_refunded": field(row, "amount_refunded"),
            "currency": field(row, "currency"),
            "capture_before": time(row, "capture_before"),
            "payment_intents": list(&field(row, "payment_intents")),
            "holds": holds(row),
        })),
    )
}

/// Whether a customer has access at `now`, by itself and without who the customer is.
pub fn access_of(row: &ObjectRow, now: Timestamp, policy: &AccessConfig) -> Value {
    let access = read_access(row, &row.data, now, policy);
    shape(
        row,
        fields(json!({
            "customer": row.id,
            "granted": access.granted,
            "reason": access.reason,
        })),
    )
}

/// Whoever placed a hold, it keeps the order from being fulfilled. One by rule ends with what it follows from.
fn holds(row: &ObjectRow) -> Vec<Value> {
    let by_rule: Vec<RuleHold> = serde_json::from_value(field(row, "holds")).unwrap_or_default();
    let by_rule = by_rule.iter().map(|hold| {
        json!({
            "owner": "rule",
            "reason": hold.reason,
            "object": hold.object,
            "placed_at": hold.since.map(|since| Timestamp::from_seconds(since).iso()),
            "ends_at": null,
        })
    });
    let others = row.beside.as_array().into_iter().flatten().cloned();
    by_rule.chain(others).collect()
}

/// What every object starts with: an id is only unique together with its account and mode. One of Stripe's also says what is
/// not known of it: whether of two events of one second either may be the later, and which lists are known in part.
fn shape(row: &ObjectRow, fields: Map<String, Value>) -> Value {
    let mut shape = Map::new();
    shape.insert("object".to_owned(), row.kind.clone().into());
    shape.insert("id".to_owned(), row.id.clone().into());
    shape.insert("account".to_owned(), row.account.clone().into());
    shape.insert("livemode".to_owned(), row.livemode.into());
    if let Some(family) = Family::parse(&row.kind) {
        let is_cut = |list: &&List| flag(row, list.mark);
        let cut = lists(family).iter().filter(is_cut);
        shape.insert("tie".to_owned(), row.tie.into());
        shape.insert("incomplete".to_owned(), cut.map(|list| list.name).collect());
    }
    for (name, value) in fields {
        // A field of the data may not pass itself off as one of the row.
        shape.entry(name).or_insert(value);
    }
    Value::Object(shape)
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn field(row: &ObjectRow, name: &str) -> Value {
    row.data.get(name).cloned().unwrap_or(Value::Null)
}

fn flag(row: &ObjectRow, name: &str) -> bool {
    row.data.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn list(value: &Value) -> Value {
    value
        .as_array()
        .map_or_else(|| json!([]), |list| json!(list))
}

fn time(row: &ObjectRow, name: &str) -> Value {
    row.data
        .get(name)
        .and_then(Value::as_i64)
        .map_or(Value::Null, |seconds| {
            Timestamp::from_seconds(seconds).iso().into()
        })
}

fn access(row: &ObjectRow, now: Timestamp, policy: &AccessConfig) -> Answer {
    if row.beside.is_null() {
        return denied("no subscription");
    }
    read_access(row, &row.beside, now, policy)
}

fn denied(reason: &str) -> Answer {
    Answer {
        granted: false,
        reason: reason.to_owned(),
        subscriptions: Vec::new(),
    }
}

fn read_access(row: &ObjectRow, access: &Value, now: Timestamp, policy: &AccessConfig) -> Answer {
    match serde_json::from_value::<AccessRow>(access.clone()) {
        Ok(access) => access.at(now, policy),
        // Access is money: what cannot be read grants nothing.
        Err(error) => {
            tracing::error!(object.id = %row.id, %error, "the access row of this customer cannot be read");
            denied("the access row cannot be read")
        }
    }
}

#[cfg(test)]
mod tests;
