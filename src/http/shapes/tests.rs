//! How rows look from outside.

use std::time::Duration;

use super::*;
use crate::config::OnLostDispute;
use crate::guardrails::derive::access::Access;
use insta::assert_json_snapshot;

const NOW: Timestamp = Timestamp(1_767_225_600_000_000);
const GRACE: Duration = Duration::from_hours(168);
const POLICY: &AccessConfig = &AccessConfig {
    past_due_grace: GRACE,
    on_lost_dispute: OnLostDispute::Keep,
};

fn row(kind: &str, id: &str, data: Value, beside: Value) -> ObjectRow {
    ObjectRow {
        account: "self".to_owned(),
        livemode: false,
        kind: kind.to_owned(),
        id: id.to_owned(),
        data,
        version: 1,
        tie: false,
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
    assert_json_snapshot!(object(&row, NOW, POLICY), @r#"
    {
      "object": "customer",
      "id": "cus_1",
      "account": "self",
      "livemode": false,
      "tie": false,
      "incomplete": [],
      "email": "a@example.com",
      "name": null,
      "deleted": false,
      "access": {
        "granted": true,
        "reason": "subscription sub_1 is past due, in grace until 2026-01-08T00:00:00Z",
        "subscriptions": []
      }
    }
    "#);
    let later = object(&row, NOW.plus(GRACE), POLICY);
    assert_eq!(later["access"]["granted"], false);
}

#[test]
fn access_that_is_unknown_or_unreadable_is_denied() {
    let none = object(
        &row("customer", "cus_1", json!({}), Value::Null),
        NOW,
        POLICY,
    );
    assert_eq!(
        none["access"],
        json!({"granted": false, "reason": "no subscription", "subscriptions": []})
    );
    let odd = json!({"state": "platinum", "granted": true});
    let odd = object(&row("customer", "cus_1", json!({}), odd), NOW, POLICY);
    assert_eq!(odd["access"]["granted"], false);
}

#[test]
fn a_subscription_and_an_invoice_have_iso_times_and_no_missing_fields() {
    let data = json!({"status": "active", "plan": "price_1", "current_period_end": 1_767_225_600, "product": "prod_1",
        "items_incomplete": true});
    let mut open = row("subscription", "sub_1", data, Value::Null);
    open.tie = true;
    assert_json_snapshot!(object(&open, NOW, POLICY), @r#"
    {
      "object": "subscription",
      "id": "sub_1",
      "account": "self",
      "livemode": false,
      "tie": true,
      "incomplete": [
        "items"
      ],
      "customer": null,
      "status": "active",
      "plan": "price_1",
      "current_period_end": "2026-01-01T00:00:00Z",
      "cancel_at_period_end": false,
      "ended_at": null
    }
    "#);
    let data = json!({"customer": "cus_1", "status": "open", "attempt_count": 2, "amount_due": 4900, "next_payment_attempt": 1_767_225_600});
    assert_json_snapshot!(object(&row("invoice", "in_1", data, Value::Null), NOW, POLICY), @r#"
    {
      "object": "invoice",
      "id": "in_1",
      "account": "self",
      "livemode": false,
      "tie": false,
      "incomplete": [],
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
fn an_order_shows_its_holds_whoever_placed_them() {
    let data = json!({"id": "A-1", "aliases": ["pi_1"], "status": "paid", "amount": 4900, "amount_refunded": 0,
        "currency": "eur", "payment_intents": ["pi_1"], "created": 1, "customer": null,
        "holds": [{"reason": "review_open", "object": "prv_1", "since": 1_767_225_600}]});
    let holds = json!([{"owner": "model", "reason": "address_unclear"}]);
    assert_json_snapshot!(object(&row("order", "A-1", data, holds), NOW, POLICY), @r#"
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
      "capture_before": null,
      "payment_intents": [
        "pi_1"
      ],
      "holds": [
        {
          "owner": "rule",
          "reason": "review_open",
          "object": "prv_1",
          "placed_at": "2026-01-01T00:00:00Z",
          "ends_at": null
        },
        {
          "owner": "model",
          "reason": "address_unclear"
        }
      ]
    }
    "#);
}

#[test]
fn a_dispute_says_until_when_it_can_be_answered() {
    let data = json!({"charge": "ch_1", "status": "needs_response", "reason": "fraudulent", "amount": 4900,
        "currency": "eur", "due_by": 1_767_225_600, "balance_transactions": []});
    assert_json_snapshot!(object(&row("dispute", "dp_1", data, Value::Null), NOW, POLICY), @r#"
    {
      "object": "dispute",
      "id": "dp_1",
      "account": "self",
      "livemode": false,
      "tie": false,
      "incomplete": [],
      "charge": "ch_1",
      "payment_intent": null,
      "status": "needs_response",
      "reason": "fraudulent",
      "amount": 4900,
      "currency": "eur",
      "due_by": "2026-01-01T00:00:00Z"
    }
    "#);
}
