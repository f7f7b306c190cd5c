//! A story in which the business's own application is told what changed.

use std::time::Duration;

use super::{LONG_AGO, SETTLED, intent, told};
use crate::faults::stage::Stage;
use crate::support::app::START;
use crate::support::fixture::Subscription;

/// An order is paid, a subscription falls past due, and its grace ends with nobody there to say so.
pub(super) async fn the_application_is_told(stage: &mut Stage) {
    let subscription = |status| Subscription {
        id: "sub_1".into(),
        customer: "cus_1".into(),
        status,
        latest_invoice: None,
        period_start: START - 60,
        cancel_at_period_end: false,
        canceled_at: None,
        created: START - 90 * 86_400,
        ..Subscription::default()
    };
    let kind = "customer.subscription.updated";
    let mut bought = intent("pi_1", 4900, true);
    bought.order = Some("A-1".into());
    for event in [
        told("evt_active", kind, LONG_AGO, subscription("active")),
        told("evt_bought", "payment_intent.succeeded", LONG_AGO, bought),
    ] {
        stage.deliver(&event).await;
    }
    stage.pass(SETTLED).await;
    let late = told("evt_late", kind, LONG_AGO + 60, subscription("past_due"));
    stage.deliver(&late).await;
    stage.pass(Duration::from_hours(8 * 24)).await;
}
