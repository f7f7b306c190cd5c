//! What is greater than what, case by case.

use serde_json::{Value, json};

use super::{Snapshot, project};
use crate::clock::Timestamp;
use crate::stripe::view::{Family, View, view};

fn snapshot(event: &str, event_type: &str, at: i64, fields: &Value, previous: &Value) -> Snapshot {
    let family = match event_type.split_once('.').map(|(object, _)| object) {
        Some("invoice") => Family::Invoice,
        Some("payment_intent") => Family::PaymentIntent,
        Some("customer") if event_type.starts_with("customer.subscription") => Family::Subscription,
        _ => Family::Customer,
    };
    let prior = if previous.is_null() {
        View::default()
    } else {
        view(family, previous)
    };
    Snapshot {
        family,
        object: "obj_1".to_owned(),
        event: event.to_owned(),
        event_type: event_type.to_owned(),
        api_version: "2020-08-27".to_owned(),
        created: Timestamp::from_seconds(at),
        fields: view(family, fields),
        previous: prior,
    }
}

/// Projects every order of the given snapshots, and answers the one row they must all come to, and whether it is a tie.
fn row(snapshots: &[Snapshot]) -> (View, bool) {
    let mut orders = vec![Vec::new()];
    for snapshot in snapshots {
        orders = orders
            .iter()
            .flat_map(|order: &Vec<Snapshot>| {
                (0..=order.len()).map(|at| {
                    let mut longer = order.clone();
                    longer.insert(at, snapshot.clone());
                    longer
                })
            })
            .collect();
    }
    let mut projections = orders.iter().map(|order| project(order));
    let first = projections.next().unwrap();
    assert!(
        projections.all(|projection| projection == first),
        "the order of arrival mattered"
    );
    (first.row, first.tie)
}

fn status(snapshots: &[Snapshot]) -> String {
    let (row, tie) = row(snapshots);
    assert!(!tie, "a tie");
    row.text("status").unwrap().to_owned()
}

const NONE: Value = Value::Null;

#[test]
fn created_stands_before_updated_of_the_same_second() {
    let created = snapshot(
        "evt_9",
        "customer.subscription.created",
        5,
        &json!({"status": "incomplete"}),
        &NONE,
    );
    let updated = snapshot(
        "evt_1",
        "customer.subscription.updated",
        5,
        &json!({"status": "active"}),
        &json!({"status": "incomplete"}),
    );
    assert_eq!(status(&[created, updated]), "active");
}

#[test]
fn what_has_ended_stays_ended() {
    let ended = snapshot(
        "evt_1",
        "customer.subscription.deleted",
        5,
        &json!({"status": "canceled"}),
        &NONE,
    );
    let late = snapshot(
        "evt_2",
        "customer.subscription.updated",
        9,
        &json!({"status": "active"}),
        &NONE,
    );
    assert_eq!(status(&[ended, late]), "canceled");
    let paid = snapshot(
        "evt_1",
        "invoice.paid",
        5,
        &json!({"status": "paid", "attempt_count": 1}),
        &NONE,
    );
    let open = snapshot(
        "evt_2",
        "invoice.updated",
        5,
        &json!({"status": "open", "attempt_count": 1}),
        &NONE,
    );
    let failed = snapshot(
        "evt_3",
        "invoice.payment_failed",
        7,
        &json!({"status": "open", "attempt_count": 2}),
        &NONE,
    );
    assert_eq!(status(&[paid, open, failed]), "paid");
}

#[test]
fn an_uncollectible_invoice_may_still_be_paid() {
    let written_off = snapshot(
        "evt_1",
        "invoice.updated",
        5,
        &json!({"status": "uncollectible"}),
        &NONE,
    );
    let paid = snapshot(
        "evt_2",
        "invoice.paid",
        9,
        &json!({"status": "paid"}),
        &NONE,
    );
    assert_eq!(status(&[written_off, paid]), "paid");
}

#[test]
fn a_deleted_customer_stays_deleted() {
    let mut deleted = snapshot(
        "evt_1",
        "customer.deleted",
        5,
        &json!({"email": "ada@example.com"}),
        &NONE,
    );
    deleted.fields.insert("deleted", true);
    let late = snapshot(
        "evt_2",
        "customer.updated",
        9,
        &json!({"email": "new@example.com"}),
        &NONE,
    );
    let (row, _) = row(&[deleted, late]);
    assert_eq!(row.flag("deleted"), Some(true));
    assert_eq!(row.text("email"), Some("ada@example.com"));
}

#[test]
fn a_field_comes_from_the_greatest_snapshot_that_has_it() {
    let old = snapshot(
        "evt_1",
        "customer.updated",
        5,
        &json!({"email": "ada@example.com", "name": "Ada"}),
        &NONE,
    );
    let without = snapshot(
        "evt_2",
        "customer.updated",
        9,
        &json!({"name": "Ada L."}),
        &NONE,
    );
    let emptied = snapshot(
        "evt_3",
        "customer.updated",
        12,
        &json!({"email": null}),
        &NONE,
    );
    assert_eq!(
        row(&[old.clone(), without.clone()]).0.text("email"),
        Some("ada@example.com")
    );
    let (row, _) = row(&[old, without, emptied]);
    assert!(row.is_null("email"), "null is something else than absent");
    assert_eq!(row.text("name"), Some("Ada L."));
}

#[test]
fn previous_attributes_order_the_changes_of_one_second() {
    let base = snapshot(
        "evt_0",
        "customer.subscription.updated",
        1,
        &json!({"status": "trialing"}),
        &NONE,
    );
    let first = snapshot(
        "evt_9",
        "customer.subscription.updated",
        5,
        &json!({"status": "active"}),
        &json!({"status": "trialing"}),
    );
    let second = snapshot(
        "evt_1",
        "customer.subscription.updated",
        5,
        &json!({"status": "past_due"}),
        &json!({"status": "active"}),
    );
    let third = snapshot(
        "evt_5",
        "customer.subscription.updated",
        5,
        &json!({"status": "active"}),
        &json!({"status": "past_due"}),
    );
    assert_eq!(
        status(&[base.clone(), first.clone(), second.clone()]),
        "past_due"
    );
    // Two of three claim to follow `active`; where the chain forks, the event id decides and the row says so.
    let (_, tie) = row(&[first, second, third]);
    assert!(tie);
    let (row, tie) = row(&[base]);
    assert_eq!((row.text("status"), tie), (Some("trialing"), false));
}

#[test]
fn two_bodies_of_one_event_are_no_tie() {
    let old = snapshot(
        "evt_1",
        "customer.updated",
        5,
        &json!({"email": "ada@example.com", "name": "Ada"}),
        &NONE,
    );
    let mut new = snapshot(
        "evt_1",
        "customer.updated",
        5,
        &json!({"email": "ada@example.com"}),
        &NONE,
    );
    new.api_version = "2025-09-30.clover".to_owned();
    assert!(!row(&[old.clone(), new]).1);
    let other = snapshot(
        "evt_2",
        "customer.updated",
        5,
        &json!({"email": "eve@example.com"}),
        &NONE,
    );
    assert!(row(&[old, other]).1);
}

#[test]
fn grace_counts_from_the_first_past_due_since_the_last_other_state() {
    let at = |event: &str, second: i64, status: &str| {
        snapshot(
            event,
            "customer.subscription.updated",
            second,
            &json!({"status": status}),
            &NONE,
        )
    };
    let since = |snapshots: &[Snapshot]| row(snapshots).0.int("past_due_since");
    assert_eq!(
        since(&[at("e1", 10, "past_due"), at("e2", 20, "past_due")]),
        Some(10)
    );
    assert_eq!(
        since(&[
            at("e1", 10, "past_due"),
            at("e2", 20, "active"),
            at("e3", 30, "past_due")
        ]),
        Some(30)
    );
    assert_eq!(
        since(&[at("e1", 10, "past_due"), at("e2", 20, "active")]),
        None
    );
}

#[test]
fn a_late_event_that_wins_nothing_is_stale() {
    let old = snapshot(
        "evt_1",
        "customer.updated",
        5,
        &json!({"email": "a@example.com"}),
        &NONE,
    );
    let new = snapshot(
        "evt_2",
        "customer.updated",
        9,
        &json!({"email": "b@example.com"}),
        &NONE,
    );
    let projection = project(&[new, old]);
    assert!(projection.is_stale("evt_1"));
    assert!(!projection.is_stale("evt_2"));
}
