//! A batch of events that outlives its lease.

use std::time::Duration;

use futures::FutureExt as _;

use super::point::{Fault, Point};
use super::promises::outcome;
use super::senders::MailServer;
use super::stage::Stage;
use super::stories::{Story, customer, rules};
use crate::support::fixture::Told;

const EVENTS: usize = 20;
/// What a worker applies side by side.
const AT_ONCE: usize = 8;

const MANY: Story = Story {
    name: "many events at once",
    settings: &[],
    model: rules,
    server: MailServer::Prompt,
    tell: |stage| many(stage).boxed_local(),
};

async fn many(stage: &mut Stage) {
    for number in 0..EVENTS {
        let told = Told {
            id: format!("evt_{number}"),
            ..customer()
        };
        stage.deliver(&told).await;
    }
    stage.pass(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn what_was_not_begun_in_time_is_left_to_the_next_claim() {
    let slept = Point {
        verb: "apply_event",
        nth: 1,
        fault: Fault::StallsBefore,
    };
    let mut stage = Stage::new(&MANY, Some(slept), None).await;
    many(&mut stage).await;
    outcome(&stage).await;
    assert!(stage.ground.faults.has_struck());
    let applied = stage.ground.faults.calls()["apply_event"].made;
    // Each once, and again those that the one who slept had begun.
    assert!(
        (EVENTS..=EVENTS + AT_ONCE).contains(&applied),
        "{applied}: it went on with events that others had"
    );
}
