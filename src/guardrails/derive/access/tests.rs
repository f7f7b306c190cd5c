//! Access from subscriptions, and what a lost dispute does to it.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::stripe::view::{Family, view};

fn subscription(id: &str, status: &str, since: Option<i64>) -> (String, View) {
    let mut row = view(
        Family::Subscription,
        &json!({ "status": status, "created": 50 }),
    );
    if let Some(since) = since {
        row.insert("past_due_since", since);
    }
    (id.to_owned(), row)
}

fn policy(on_lost_dispute: OnLostDispute) -> AccessConfig {
    AccessConfig {
        past_due_grace: Duration::from_secs(100),
        on_lost_dispute,
    }
}

fn answer(row: &AccessRow, at: i64) -> Answer {
    row.at(Timestamp::from_seconds(at), &policy(OnLostDispute::Keep))
}

#[test]
fn any_good_subscription_grants() {
    for (status, expected) in [
        ("active", true),
        ("trialing", true),
        ("canceled", false),
        ("unpaid", false),
        ("paused", false),
        ("incomplete", false),
        ("incomplete_expired", false),
        ("something_new", false),
    ] {
        let row = derive(None, &[subscription("sub_1", status, None)], &[]);
        assert_eq!(answer(&row, 0).granted, expected, "{status}");
    }
    let both = [
        subscription("sub_2", "active", None),
        subscription("sub_1", "canceled", None),
    ];
    let both = answer(&derive(None, &both, &[]), 0);
    assert_eq!(
        (both.granted, both.reason.as_str()),
        (true, "subscription sub_2 is active")
    );
    let each = both.subscriptions.iter().map(|said| said.reason.as_str());
    assert_eq!(
        each.collect::<Vec<_>>(),
        [
            "subscription sub_1 is canceled",
            "subscription sub_2 is active"
        ]
    );
    let none = answer(&derive(None, &[], &[]), 0);
    assert_eq!(
        (none.granted, none.reason.as_str()),
        (false, "no subscription")
    );
}

#[test]
fn past_due_has_a_grace_that_ends() {
    let row = derive(None, &[subscription("sub_1", "past_due", Some(1000))], &[]);
    assert!(answer(&row, 1099).granted);
    let after = answer(&row, 1100);
    assert!(!after.granted && !after.subscriptions[0].granted);
    assert_eq!(
        after.reason,
        "subscription sub_1 is past due, grace ended 1970-01-01T00:18:20Z"
    );
}

#[test]
fn a_deleted_customer_has_none() {
    let customer = view(Family::Customer, &json!({ "deleted": true }));
    let row = derive(
        Some(&customer),
        &[subscription("sub_1", "active", None)],
        &[],
    );
    let answer = answer(&row, 0);
    assert!(!answer.granted && !answer.subscriptions[0].granted);
    assert_eq!(answer.reason, "the customer was deleted");
}

#[test]
fn a_paused_collection_grants_and_says_so() {
    for how in ["void", "keep_as_draft", "mark_uncollectible"] {
        let paused = json!({ "status": "active", "pause_collection": { "behavior": how } });
        let paused = ("sub_1".to_owned(), view(Family::Subscription, &paused));
        let answer = answer(&derive(None, &[paused], &[]), 0);
        assert!(answer.granted);
        assert_eq!(
            answer.subscriptions[0].reason,
            format!("subscription sub_1 is active, and its invoices are not collected ({how})")
        );
    }
}

#[test]
fn a_lost_dispute_ends_what_came_before_it_where_policy_says_so() {
    let dispute = |status: &str, created: i64| {
        let row = view(
            Family::Dispute,
            &json!({ "status": status, "created": created }),
        );
        vec![("dp_1".to_owned(), row)]
    };
    let subscription = [subscription("sub_1", "active", None)];
    let lost = "dispute dp_1 was lost, and with it what subscription sub_1 granted";
    let is = "subscription sub_1 is active";
    for (policy_is, disputes, granted, reason) in [
        (OnLostDispute::End, dispute("lost", 60), false, lost),
        (OnLostDispute::End, dispute("won", 60), true, is),
        (OnLostDispute::End, dispute("needs_response", 60), true, is),
        // Subscribed after it.
        (OnLostDispute::End, dispute("lost", 40), true, is),
        (OnLostDispute::Keep, dispute("lost", 60), true, is),
    ] {
        let row = derive(None, &subscription, &disputes);
        let answer = row.at(Timestamp::from_seconds(100), &policy(policy_is));
        assert_eq!((answer.granted, answer.reason.as_str()), (granted, reason));
        assert_eq!(answer.subscriptions[0].granted, granted);
        assert_eq!(answer.subscriptions[0].reason, reason);
    }
}

#[test]
fn a_row_of_an_earlier_version_still_answers() {
    let row = json!({"state": "granted", "subscription": "sub_1", "status": "active"});
    let row: AccessRow = serde_json::from_value(row).unwrap();
    assert!(answer(&row, 0).granted);
    let again = serde_json::to_value(&row).unwrap();
    assert_eq!(again["state"], "granted", "as the word is stored");
}
