//! Events of a page, on their way through the inbox: the same door, the same duplicates, the same limits.

use futures::future::join_all;
use metrics::counter;
use serde_json::Value;

use super::report::Round;
use super::{Backfill, BackfillError};
use crate::inbox::{Receiver, Room};
use crate::store::{Accepted, Delivery};
use crate::stripe::event::Event;

/// How deliveries name where they came from, where others have the name of an endpoint.
pub(super) const ENDPOINT: &str = "backfill";

impl Backfill {
    /// Stores the events of a page; returns only after all of them were committed.
    pub(super) async fn take_in(
        &self,
        page: &[Value],
        round: &mut Round<'_>,
    ) -> Result<(), BackfillError> {
        // One page at a time is in memory, and an answer has a bound of its own.
        let room = Room::new(usize::MAX);
        let deliveries = self.deliveries(page, round);
        let kinds: Vec<String> = deliveries
            .iter()
            .map(|delivery| delivery.event.kind.clone())
            .collect();
        let stored = deliveries
            .into_iter()
            .map(|delivery| self.inbox.accept(delivery, room.share()));
        // Every one of them is waited for: what fails must not keep others from being counted.
        let stored = join_all(stored).await;
        let mut failure = None;
        for (kind, stored) in kinds.iter().zip(stored) {
            match stored {
                Ok(Accepted::Accepted) => {
                    round.came_in(kind);
                    count("new");
                }
                Ok(Accepted::Duplicate) => count("known"),
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Says what of a page would come in.
    pub(super) async fn rehearse_page(
        &self,
        page: &[Value],
        round: &mut Round<'_>,
    ) -> Result<(), BackfillError> {
        let deliveries = self.deliveries(page, round);
        let ids: Vec<String> = deliveries
            .iter()
            .map(|delivery| delivery.event.id.clone())
            .collect();
        let known = self.store.known_events(&ids).await?;
        for delivery in &deliveries {
            if !known.contains(&delivery.event.id) {
                round.came_in(&delivery.event.kind);
            }
        }
        Ok(())
    }

    /// The events of a page as deliveries, oldest first.
    fn deliveries(&self, page: &[Value], round: &mut Round<'_>) -> Vec<Delivery> {
        let received_at = self.clock.now();
        let receiver = Receiver {
            account: Some(round.account.name.clone()),
            livemode: None,
        };
        let mut deliveries = Vec::with_capacity(page.len());
        for event in page.iter().rev() {
            round.found += 1;
            let body = event.to_string().into_bytes();
            let event = match Event::parse(&body, received_at) {
                Ok(event) => event.without_content(),
                Err(error) => {
                    // What a webhook would be answered 400 for; there is no row that it could stand in.
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(
                        error,
                        "Stripe lists an event that cannot be read; it is left out"
                    );
                    round.unreadable += 1;
                    count("unreadable");
                    continue;
                }
            };
            let (account, ignored) = self.admission.judge(&event, &receiver);
            deliveries.push(Delivery {
                event,
                account,
                endpoint: ENDPOINT.to_owned(),
                received_at,
                body,
                ignored,
            });
        }
        deliveries
    }
}

fn count(result: &'static str) {
    counter!("billhook_backfill_events_total", "result" => result).increment(1);
}
