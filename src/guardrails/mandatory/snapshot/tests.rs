//! What is greater than what, case by case.

mod ties;

use serde_json::{Value, json};

use proptest::prelude::*;

use super::{Projection, Snapshot, advance, project};
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
    for order in &orders {
        try_the_short_way(order);
    }
    let mut projections = orders.iter().map(|order| project(order));
    let first = projections.next().unwrap();
    assert!(
        projections.all(|projection| projection == first),
        "the order of arrival mattered"
    );
    (first.row, first.tie)
}

/// Wherever the short way is open, it leads to the same row; says how often it was.
fn try_the_short_way(order: &[Snapshot]) -> usize {
    let mut taken = 0;
    let mut before = Projection::default();
    for (at, next) in order.iter().enumerate() {
        let known = order.get(..at).unwrap();
        let whole = project(order.get(..=at).unwrap());
        let newest = known.iter().map(|snapshot| snapshot.created).max();
        if let Some(newest) = newest
            && let Some(short) = advance(&before.row, newest, next)
        {
            assert_eq!((&short.row, short.tie), (&whole.row, whole.tie));
            assert_eq!(short.is_stale(&next.event), whole.is_stale(&next.event));
            taken += 1;
        }
        before = whole;
    }
    taken
}

proptest! {
    #[test]
    fn the_short_way_leads_to_the_same_row(
        told in prop::collection::vec((0..6_i64, 0..4_usize, 0..6_usize, any::<bool>()), 1..12)
    ) {
        let types = [
            "customer.subscription.created",
            "customer.subscription.updated",
            "customer.subscription.trial_will_end",
            "customer.subscription.deleted",
        ];
        let statuses = ["incomplete", "active", "past_due", "unpaid", "canceled"];
        let snapshots: Vec<Snapshot> = told
            .iter()
            .enumerate()
            .map(|(n, &(at, kind, status, changes))| {
                let mut fields = json!({"latest_invoice": format!("in_{n}"), "ended_at": null});
                if let Some(status) = statuses.get(status) {
                    fields["status"] = json!(status);
                }
                let previous = if changes { json!({"status": "active"}) } else { NONE };
                let id = format!("evt_{}", (n * 7) % 12);
                snapshot(&id, types.get(kind).unwrap(), at, &fields, &previous)
            })
            .collect();
        try_the_short_way(&snapshots);
        let mut in_order = snapshots;
        in_order.sort_by_key(|snapshot| snapshot.created);
        try_the_short_way(&in_order);
    }
}

#[test]
fn the_short_way_is_open_to_what_is_newer_and_not_held_back() {
    let tell = |at, status| {
        let fields = json!({ "status": status });
        snapshot(
            &format!("evt_{at}"),
            "customer.subscription.updated",
            at,
            &fields,
            &NONE,
        )
    };
    let newer = [
        tell(1, "active"),
        tell(2, "past_due"),
        tell(3, "active"),
        tell(4, "canceled"),
    ];
    assert_eq!(try_the_short_way(&newer), 3);
    let same_second = [tell(1, "active"), tell(1, "past_due")];
    assert_eq!(try_the_short_way(&same_second), 0);
    let ended = [tell(1, "canceled"), tell(2, "active"), tell(3, "canceled")];
    assert_eq!(try_the_short_way(&ended), 1);
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
    // Two of three claim to follow `active`, and only one can.
    assert_eq!(status(&[first, second, third]), "active");
    let (row, tie) = row(&[base]);
    assert_eq!((row.text("status"), tie), (Some("trialing"), false));
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
