//! Stories in which Stripe is asked instead of being listened to.

use std::time::Duration;

use billhook::clock::Timestamp;
use billhook::store::Observation;
use billhook::stripe::view::Family;

use super::{SETTLED, customer, failed, intent};
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
