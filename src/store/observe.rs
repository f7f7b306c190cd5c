//! Taking in what Stripe's API says of an object: one more snapshot of it, beside those of its events.
//!
//! An answer shows the object as it was when it was given, so it stands at the second before its `Date`, above every
//! event of that second: what happened within the answer's own second may or may not be in it, and an event of that
//! second wins. Everything is derived from it as from an event, under the same locks; only, nothing happened by asking,
//! so there are no facts in it, and no follow-up comes of it. (Links in it may still join two follow-ups that wait.)
//!
//! An answer is kept even where it only repeats the row: it has to stand against an event of the time before that comes
//! late. Of answers that say the same with nothing newer between them the last is kept.

use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::apply::{Work, in_rounds};
use super::error::StoreError;
use super::records::ClaimedEvent;
use super::sql_store::SqlStore;
use crate::clock::Timestamp;
use crate::guardrails::mandatory::snapshot::{FETCH, Snapshot};
use crate::stripe::event::Event;
use crate::stripe::view::{Family, View, view};

/// What Stripe's API answered about one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The account it belongs to, as its events are stored under.
    pub account: String,
    /// Stripe's livemode.
    pub livemode: bool,
    /// What it is.
    pub family: Family,
    /// The object as it was answered.
    pub object: Value,
    /// The answer's `Date`, by Stripe's clock.
    pub date: Timestamp,
    /// The answer's API version.
    pub api_version: Option<String>,
}

/// What came of an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed {
    /// The row says something else now.
    Changed,
    /// Everything was known.
    Known,
    /// The object has no id, so it has no row.
    Nameless,
}

impl Observation {
    /// The observation as an event that never was.
    fn event(&self) -> Event {
        Event {
            id: String::new(),
            kind: FETCH.to_owned(),
            // The answer's own second is not over.
            created: self.date.minus(Duration::from_secs(1)),
            livemode: self.livemode,
            api_version: self.api_version.clone(),
            account: Some(self.account.clone()),
            context: None,
            request_id: None,
            object: self.object.clone(),
            previous: None,
        }
    }

    /// What its snapshot and its changes go by. The same object asked for twice in a second is one observation, whoever
    /// asks: no process has to remember that it did.
    fn id(&self, object: &str) -> String {
        let (account, mode, kind) = (&self.account, self.livemode, self.family.as_str());
        let second = self.date.seconds();
        let digest = Sha256::digest(format!("{account}/{mode}/{kind}/{object}/{second}"));
        format!("fetch_{}", hex::encode(digest).split_at(24).0)
    }
}

impl SqlStore {
    pub(super) async fn take_observation(
        &self,
        observation: &Observation,
    ) -> Result<Observed, StoreError> {
        let mut event = observation.event();
        let Some(object) = event.object_id().map(str::to_owned) else {
            return Ok(Observed::Nameless);
        };
        event.id = observation.id(&object);
        let snapshot = Snapshot {
            family: observation.family,
            object,
            event: event.id.clone(),
            event_type: event.kind.clone(),
            api_version: event.api_version.clone().unwrap_or_default(),
            created: event.created,
            fields: view(observation.family, &event.object),
            previous: View::default(),
        };
        let work = Work::of_fetched(&event, snapshot);
        let claimed = ClaimedEvent {
            id: event.id,
            epoch: 0,
            attempts: 0,
            account: observation.account.clone(),
            livemode: observation.livemode,
            event_type: event.kind,
            received_at: self.clock.now(),
            bodies: Vec::new(),
        };
        let changed = in_rounds(|| self.try_observe(&claimed, &work)).await?;
        Ok(if changed {
            Observed::Changed
        } else {
            Observed::Known
        })
    }

    async fn try_observe(&self, claimed: &ClaimedEvent, work: &Work) -> Result<bool, StoreError> {
        let mut tx = self.db.begin().await?;
        let written = self.write(&mut tx, claimed, work).await?;
        tx.commit().await?;
        Ok(written.changed)
    }
}
