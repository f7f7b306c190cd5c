//! Customers.

use serde_json::json;

use super::{always, customer, subscription, told};

#[tokio::test]
async fn a_deleted_customer_stays_deleted_and_has_no_access() {
    let events = [
        told(
            "1",
            "customer.subscription.created",
            0,
            subscription("sub_1", "active"),
        ),
        told("2", "customer.deleted", 9, customer()),
        told(
            "3",
            "customer.subscription.deleted",
            9,
            subscription("sub_1", "canceled"),
        ),
        told("4", "customer.updated", 9, customer()),
    ];
    always(&events, ("customer", "cus_1"), "deleted", json!(true)).await;
    always(
        &events,
        ("access", "cus_1"),
        "reason",
        json!("the customer was deleted"),
    )
    .await;
}
