//! Subscriptions, and the access that hangs on them.

use serde_json::{Value, json};

use super::{always, always_on_both, invoice, subscription, told};
use crate::support::bench::START;
use crate::support::fixture::{Session, Subscription};

#[tokio::test]
async fn a_subscription_created_and_activated_in_one_second_is_active() {
    let events = [
        told(
            "9",
            "customer.subscription.created",
            0,
            subscription("sub_1", "incomplete"),
        ),
        told(
            "1",
            "customer.subscription.updated",
            0,
            subscription("sub_1", "active"),
        )
        .was(json!({ "status": "incomplete" })),
    ];
    always(
        &events,
        ("subscription", "sub_1"),
        "status",
        json!("active"),
    )
    .await;
}

#[tokio::test]
async fn a_deleted_subscription_stays_canceled() {
    let events = [
        told(
            "1",
            "customer.subscription.deleted",
            0,
            subscription("sub_1", "canceled"),
        ),
        // Written later by Stripe, and yet about the time before.
        told(
            "2",
            "customer.subscription.updated",
            5,
            subscription("sub_1", "active"),
        ),
    ];
    always(
        &events,
        ("subscription", "sub_1"),
        "status",
        json!("canceled"),
    )
    .await;
}

#[tokio::test]
async fn the_end_of_an_old_subscription_leaves_the_new_ones_access() {
    let events = [
        told(
            "1",
            "customer.subscription.created",
            0,
            subscription("sub_old", "active"),
        ),
        told(
            "2",
            "customer.subscription.created",
            5,
            subscription("sub_new", "active"),
        ),
        told(
            "3",
            "customer.subscription.deleted",
            9,
            subscription("sub_old", "canceled"),
        ),
    ];
    always(
        &events,
        ("access", "cus_1"),
        "subscription",
        json!("sub_new"),
    )
    .await;
}

#[tokio::test]
async fn a_checkout_told_before_its_subscription_is_no_order() {
    let session = Session {
        id: "cs_1".into(),
        mode: "subscription",
        customer: Some("cus_1".into()),
        intent: None,
        subscription: Some("sub_1".into()),
        invoice: Some("in_1".into()),
        order: None,
        reference: Some("seat-12".into()),
        amount: 4900,
        payment_status: "paid",
        created: START,
        ..Session::default()
    };
    let events = [
        told("1", "checkout.session.completed", 5, session),
        told(
            "2",
            "customer.subscription.created",
            5,
            subscription("sub_1", "active"),
        ),
        told("3", "invoice.paid", 5, invoice("paid", 1)),
    ];
    always(&events, ("order", "seat-12"), "status", Value::Null).await;
    always(&events, ("access", "cus_1"), "state", json!("granted")).await;
}

#[tokio::test]
async fn a_hint_about_the_end_of_a_trial_changes_nothing() {
    // Its payload may be older than an update of the same second.
    let trial = |end: i64| Subscription {
        trial: Some((START - 500_000, START + end)),
        ..subscription("sub_1", "trialing")
    };
    let events = [
        told("9", "customer.subscription.trial_will_end", 0, trial(100)),
        told("1", "customer.subscription.updated", 0, trial(900_000)).changed_from(trial(100)),
    ];
    let expected = json!(START + 900_000);
    always(&events, ("subscription", "sub_1"), "trial_end", expected).await;
}

/// Legal, though it looks like a step back: what `previous_attributes` say decides, and no state is higher.
#[tokio::test]
async fn a_subscription_may_become_past_due_within_the_second_it_was_active_in() {
    for ids in [["1", "2"], ["2", "1"]] {
        let events = [
            told(
                "5",
                "customer.subscription.created",
                -60,
                subscription("sub_1", "trialing"),
            ),
            told(
                ids[0],
                "customer.subscription.updated",
                0,
                subscription("sub_1", "active"),
            )
            .changed_from(subscription("sub_1", "trialing")),
            told(
                ids[1],
                "customer.subscription.updated",
                0,
                subscription("sub_1", "past_due"),
            )
            .changed_from(subscription("sub_1", "active")),
        ];
        always_on_both(
            &events,
            ("subscription", "sub_1"),
            "status",
            json!("past_due"),
        )
        .await;
        always(&events, ("access", "cus_1"), "state", json!("grace")).await;
    }
}
