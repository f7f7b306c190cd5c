//! Stories in which Stripe is asked instead of being listened to.

use std::time::Duration;

use billhook::clock::Timestamp;
use billhook::store::Observation;
use billhook::stripe::view::Family;
use serde_json::json;

use super::{SETTLED, customer, failed, intent, paid_before, told};
use crate::faults::stage::Stage;
use crate::support::app::START;
use crate::support::fixture::{Object, Shape};

/// A payment failed, and before its mail leaves Stripe says that it went through: no event did.
pub(super) async fn stripe_is_asked(stage: &mut Stage) {
    stage.deliver(&customer()).await;
    stage.deliver(&failed("evt_f", "pi_1", 0)).await;
    stage.pass(SETTLED).await;
    let paid: Object = intent("pi_1", 4900, true).into();
    let answer = Observation {
        account: "self".to_owned(),
        livemode: true,
        family: Family::PaymentIntent,
        object: paid.json(Shape::Clover),
        date: Timestamp::from_seconds(START + 2000),
        api_version: Some(Shape::Clover.version().to_owned()),
    };
    stage.observe(&answer).await;
    stage.pass(Duration::from_hours(3)).await;
}

/// The endpoint was disabled while a payment failed; its events are found in Stripe's list, some of them twice.
pub(super) async fn events_were_missed(stage: &mut Stage) {
    let missed = [customer(), paid_before(), failed("evt_f", "pi_1", -600)];
    stage.deliver(&missed[0]).await;
    {
        let mut shelf = stage.ground.stripe.shelf();
        for told in &missed {
            let mut event = told.json(Shape::Clover);
            // Within the hour that is looked at, whenever it happened.
            event["created"] = (START - 600).into();
            shelf.add_event(None, event);
        }
    }
    stage.look().await;
    let missed = missed.into_iter().map(|told| told.id);
    stage.accepted.extend(missed);
    stage.pass(SETTLED).await;
}

/// A list is cut short, and Stripe cannot be asked for the rest of it: state is as the event says, a payment that fails is
/// written about as ever, and after a day nobody asks any more.
pub(super) async fn stripe_is_out_of_reach(stage: &mut Stage) {
    let subscription = json!({
        "id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "active", "created": START - 60,
        "items": { "object": "list", "has_more": true, "data": [{ "id": "si_1", "price": { "id": "price_1" } }] },
    });
    stage.deliver(&customer()).await;
    let created = told(
        "evt_sub",
        "customer.subscription.created",
        0,
        Object::Other(subscription),
    );
    stage.deliver(&created).await;
    stage.deliver(&failed("evt_f", "pi_1", 1)).await;
    stage.pass(SETTLED).await;
    stage.pass(Duration::from_hours(3)).await;
    stage.pass(Duration::from_hours(25)).await;
    // Whoever had the question last may have died with it.
    stage.pass(Duration::from_hours(1)).await;
    let shown = stage.get("/api/v1/events/evt_sub").await;
    assert_eq!(shown["fetches"][0]["status"], "given_up", "{shown}");
}
