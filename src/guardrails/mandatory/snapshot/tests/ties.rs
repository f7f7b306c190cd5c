//! What is a tie, and what is only told in another shape.

use serde_json::json;

use super::{NONE, row, snapshot};

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
