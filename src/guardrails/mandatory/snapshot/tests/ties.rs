//! What is a tie, and what is only told in another shape.

use serde_json::{Value, json};

use super::{NONE, Snapshot, row, snapshot, status};

#[test]
fn what_only_one_of_two_events_says_is_no_tie() {
    let one = json!({"status": "open", "charge": "ch_1"});
    let one = snapshot("evt_a", "invoice.updated", 1, &one, &NONE);
    let other = json!({"status": "open", "amount_overpaid": 0});
    let other = snapshot("evt_b", "invoice.updated", 1, &other, &NONE);
    let (fields, tie) = row(&[one.clone(), other.clone()]);
    assert!(!tie, "they say nothing of each other's fields");
    assert_eq!(fields.text("charge"), Some("ch_1"));
    assert_eq!(fields.int("amount_overpaid"), Some(0));
    let third = json!({"status": "open", "charge": "ch_2"});
    let third = snapshot("evt_c", "invoice.updated", 1, &third, &NONE);
    assert!(row(&[one, other, third]).1, "two charges");
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

/// An update of a subscription within one second that nothing is known before.
fn update(id: &str, fields: &Value, previous: &Value) -> Snapshot {
    snapshot(id, "customer.subscription.updated", 5, fields, previous)
}

#[test]
fn two_changes_are_put_in_order_by_each_other_where_nothing_was_known_before() {
    let first = update(
        "evt_9",
        &json!({"status": "active"}),
        &json!({"status": "trialing"}),
    );
    let second = update(
        "evt_1",
        &json!({"status": "past_due"}),
        &json!({"status": "active"}),
    );
    assert_eq!(status(&[first.clone(), second.clone()]), "past_due");
    // Two bodies of one event are one change, in whatever versions they are.
    let mut newer = first.clone();
    newer.api_version = "2025-09-30.clover".to_owned();
    assert_eq!(status(&[first.clone(), newer, second]), "past_due");
    // What was null before follows on nothing, where nothing is known.
    let ends = update(
        "evt_1",
        &json!({"status": "active", "cancel_at": 9}),
        &json!({"cancel_at": null}),
    );
    let starts = update(
        "evt_9",
        &json!({"status": "active", "cancel_at": null}),
        &json!({"status": "trialing"}),
    );
    let (fields, tie) = row(&[ends, starts]);
    assert_eq!((fields.int("cancel_at"), tie), (Some(9), false));
}

/// There and back: either could have been first, until a third says what was so beside it.
#[test]
fn what_did_not_change_decides_too_and_where_it_does_not_it_stays_a_tie() {
    let there = update(
        "evt_9",
        &json!({"status": "past_due", "plan": "small"}),
        &json!({"status": "active"}),
    );
    let back = update(
        "evt_5",
        &json!({"status": "active", "plan": "small"}),
        &json!({"status": "past_due"}),
    );
    assert!(row(&[there.clone(), back.clone()]).1);
    let plan = update(
        "evt_1",
        &json!({"status": "active", "plan": "large"}),
        &json!({"plan": "small"}),
    );
    let (fields, tie) = row(&[there.clone(), back.clone(), plan]);
    assert_eq!(
        (fields.text("status"), fields.text("plan"), tie),
        (Some("active"), Some("large"), false)
    );
    // One that says nothing of what it changed can only have been first.
    let silent = update(
        "evt_2",
        &json!({"status": "unpaid", "plan": "small"}),
        &NONE,
    );
    assert!(row(&[there, back, silent]).1);
}

/// Also where an event comes in two shapes: they are one step.
#[test]
fn there_and_back_begins_at_what_an_earlier_second_said() {
    let fields = |status: &str| json!({ "status": status, "plan": "small" });
    let before = snapshot(
        "evt_0",
        "customer.subscription.updated",
        4,
        &fields("active"),
        &NONE,
    );
    let there = update("evt_9", &fields("past_due"), &json!({"status": "active"}));
    let back = update("evt_5", &fields("active"), &json!({"status": "past_due"}));
    let newer = |snapshot: &Snapshot| Snapshot {
        api_version: "2025-09-30.clover".to_owned(),
        ..snapshot.clone()
    };
    let both = [before, there.clone(), back.clone()];
    for shapes in [
        vec![],
        vec![newer(&there)],
        vec![newer(&there), newer(&back)],
    ] {
        let (fields, tie) = row(&[&both[..], &shapes].concat());
        assert_eq!((fields.text("status"), tie), (Some("active"), false));
    }
    // Two go on from the row, and only one of them leaves a way for the other and for what follows.
    let other = update(
        "evt_1",
        &json!({"status": "active", "plan": "large"}),
        &json!({"plan": "small"}),
    );
    let (fields, tie) = row(&[&both[..], &[other]].concat());
    let shown = (fields.text("status"), fields.text("plan"));
    assert_eq!((shown, tie), ((Some("active"), Some("large")), false));
}
