//! How objects look from outside: pure functions from rows to JSON, shared by the API and the command line.
//!
//! Rows hold times as Stripe gives them, in seconds; from here they leave as ISO 8601 in UTC. A field that is not known
//! is null and never missing.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::clock::Timestamp;
use crate::guardrails::derive::access::{Access, Answer};
use crate::store::ObjectRow;

/// The shape of a row of any kind; a kind without a shape of its own shows its fields as they are.
pub fn object(row: &ObjectRow, now: Timestamp, access_grace: Duration) -> Value {
    match row.kind.as_str() {
        "customer" => customer(row, now, access_grace),
        "subscription" => subscription(row),
        "invoice" => invoice(row),
        "order" => order(row),
        "access" => access_of(row, now, access_grace),
        _ => {
            let fields = row.data.as_object().cloned().unwrap_or_default();
            shape(row, fields)
        }
    }
}

/// A customer, and whether they have access at `now`.
pub fn customer(row: &ObjectRow, now: Timestamp, access_grace: Duration) -> Value {
    let access = access(row, now, access_grace);
    shape(
        row,
        fields(json!({
            "email": field(row, "email"),
            "name": field(row, "name"),
            "deleted": flag(row, "deleted"),
            "access": { "granted": access.granted, "reason": access.reason },
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

/// An order and its holds.
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
            "payment_intents": list(&field(row, "payment_intents")),
            "holds": list(&row.beside),
        })),
    )
}

/// Whether a customer has access at `now`, by itself and without who the customer is.
pub fn access_of(row: &ObjectRow, now: Timestamp, access_grace: Duration) -> Value {
    let access = read_access(row, &row.data, now, access_grace);
    shape(
        row,
        fields(json!({
            "customer": row.id,
            "granted": access.granted,
            "reason": access.reason,
        })),
    )
}

/// What every object starts with: an id is only unique together with its account and mode.
fn shape(row: &ObjectRow, fields: Map<String, Value>) -> Value {
    let mut shape = Map::new();
    shape.insert("object".to_owned(), row.kind.clone().into());
    shape.insert("id".to_owned(), row.id.clone().into());
    shape.insert("account".to_owned(), row.account.clone().into());
    shape.insert("livemode".to_owned(), row.livemode.into());
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

fn access(row: &ObjectRow, now: Timestamp, grace: Duration) -> Answer {
    if row.beside.is_null() {
        return Answer {
            granted: false,
            reason: "no subscription".to_owned(),
        };
    }
    read_access(row, &row.beside, now, grace)
}

fn read_access(row: &ObjectRow, access: &Value, now: Timestamp, grace: Duration) -> Answer {
    match serde_json::from_value::<Access>(access.clone()) {
        Ok(access) => access.at(now, grace),
        // Access is money: what cannot be read grants nothing.
        Err(error) => {
            tracing::error!(object.id = %row.id, %error, "the access row of this customer cannot be read");
            Answer {
                granted: false,
                reason: "the access row cannot be read".to_owned(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_json_snapshot;

    const NOW: Timestamp = Timestamp(1_767_225_600_000_000);
    const GRACE: Duration = Duration::from_hours(168);

    fn row(kind: &str, id: &str, data: Value, beside: Value) -> ObjectRow {
        ObjectRow {
            account: "self".to_owned(),
            livemode: false,
            kind: kind.to_owned(),
            id: id.to_owned(),
            data,
            version: 1,
            beside,
        }
    }

    #[test]
    fn a_customer_in_grace() {
        let access = Access::Grace {
            subscription: "sub_1".to_owned(),
            since: NOW.seconds(),
        };
        let row = row(
            "customer",
            "cus_1",
            json!({"email": "a@example.com", "name": null, "created": 1}),
            serde_json::to_value(access).unwrap(),
        );
        assert_json_snapshot!(object(&row, NOW, GRACE), @r#"
        {
          "object": "customer",
          "id": "cus_1",
          "account": "self",
          "livemode": false,
          "email": "a@example.com",
          "name": null,
          "deleted": false,
          "access": {
            "granted": true,
            "reason": "subscription sub_1 is past due, in grace until 2026-01-08T00:00:00Z"
          }
        }
        "#);
        let later = object(&row, NOW.plus(GRACE), GRACE);
        assert_eq!(later["access"]["granted"], false);
    }

    #[test]
    fn access_that_is_unknown_or_unreadable_is_denied() {
        let none = object(
            &row("customer", "cus_1", json!({}), Value::Null),
            NOW,
            GRACE,
        );
        assert_eq!(
            none["access"],
            json!({"granted": false, "reason": "no subscription"})
        );
        let odd = json!({"state": "platinum", "granted": true});
        let odd = object(&row("customer", "cus_1", json!({}), odd), NOW, GRACE);
        assert_eq!(odd["access"]["granted"], false);
    }

    #[test]
    fn a_subscription_and_an_invoice_have_iso_times_and_no_missing_fields() {
        let data = json!({"status": "active", "plan": "price_1", "current_period_end": 1_767_225_600, "product": "prod_1"});
        assert_json_snapshot!(object(&row("subscription", "sub_1", data, Value::Null), NOW, GRACE), @r#"
        {
          "object": "subscription",
          "id": "sub_1",
          "account": "self",
          "livemode": false,
          "customer": null,
          "status": "active",
          "plan": "price_1",
          "current_period_end": "2026-01-01T00:00:00Z",
          "cancel_at_period_end": false,
          "ended_at": null
        }
        "#);
        let data = json!({"customer": "cus_1", "status": "open", "attempt_count": 2, "amount_due": 4900, "next_payment_attempt": 1_767_225_600});
        assert_json_snapshot!(object(&row("invoice", "in_1", data, Value::Null), NOW, GRACE), @r#"
        {
          "object": "invoice",
          "id": "in_1",
          "account": "self",
          "livemode": false,
          "customer": "cus_1",
          "subscription": null,
          "status": "open",
          "attempt_count": 2,
          "amount_due": 4900,
          "amount_paid": null,
          "currency": null,
          "next_payment_attempt": "2026-01-01T00:00:00Z"
        }
        "#);
    }

    #[test]
    fn an_order_shows_its_holds() {
        let data = json!({"id": "A-1", "aliases": ["pi_1"], "status": "paid", "amount": 4900, "amount_refunded": 0,
            "currency": "eur", "payment_intents": ["pi_1"], "created": 1, "customer": null});
        let holds = json!([{"owner": "model", "reason": "address_unclear"}]);
        assert_json_snapshot!(object(&row("order", "A-1", data, holds), NOW, GRACE), @r#"
        {
          "object": "order",
          "id": "A-1",
          "account": "self",
          "livemode": false,
          "aliases": [
            "pi_1"
          ],
          "customer": null,
          "status": "paid",
          "amount": 4900,
          "amount_refunded": 0,
          "currency": "eur",
          "payment_intents": [
            "pi_1"
          ],
          "holds": [
            {
              "owner": "model",
              "reason": "address_unclear"
            }
          ]
        }
        "#);
    }
}
