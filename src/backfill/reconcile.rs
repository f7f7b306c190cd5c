//! What to do about a time whose events Stripe does not list any more: ask for the objects that may have changed in it,
//! and take in what they are now.
//!
//! State comes right so; what happened in that time is not told to anybody. A customer who was deleted in it is in no
//! list, and stays as it was.

use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use metrics::counter;

use super::report::{Round, Stage};
use super::walk::{Restarts, listed};
use super::{Backfill, BackfillError};
use crate::store::{ClaimedBackfill, Observation, Observed, Progress};
use crate::stripe::api::{ApiError, Page, Scope};
use crate::stripe::view::Family;

/// Objects taken in side by side.
const AT_ONCE: usize = 8;

/// For how long after it was made an object of a kind may change.
const HALF_A_YEAR: Option<Duration> = Some(Duration::from_hours(180 * 24));
const A_QUARTER: Option<Duration> = Some(Duration::from_hours(90 * 24));
const A_MONTH: Option<Duration> = Some(Duration::from_hours(31 * 24));

/// A list of objects, and which of it may have changed in the gap.
struct List {
    path: &'static str,
    family: Family,
    filter: &'static [(&'static str, &'static str)],
    /// How long before the gap an object may have been made that changed in it; none for ever.
    changes_for: Option<Duration>,
}

const fn list(path: &'static str, family: Family, changes_for: Option<Duration>) -> List {
    List {
        path,
        family,
        filter: &[],
        changes_for,
    }
}

/// An invoice is collected for up to two months (docs.stripe.com/billing/revenue-recovery/smart-retries), a charge is
/// refunded for months, a dispute is decided within 75 days of a charge of up to 120 days before.
const LISTS: [List; 9] = [
    list("/v1/customers", Family::Customer, None),
    List {
        // Without it Stripe leaves the canceled ones out, of all things (docs.stripe.com/api/subscriptions/list).
        filter: &[("status", "all")],
        ..list("/v1/subscriptions", Family::Subscription, None)
    },
    list("/v1/invoices", Family::Invoice, A_QUARTER),
    list("/v1/payment_intents", Family::PaymentIntent, A_QUARTER),
    list("/v1/charges", Family::Charge, HALF_A_YEAR),
    list("/v1/refunds", Family::Refund, A_QUARTER),
    list("/v1/disputes", Family::Dispute, HALF_A_YEAR),
    list("/v1/checkout/sessions", Family::CheckoutSession, A_MONTH),
    list("/v1/payouts", Family::Payout, A_MONTH),
];

impl Backfill {
    /// Looks every list up that was not yet; the gap is over when all of them were.
    pub(super) async fn reconcile(
        &self,
        claimed: &ClaimedBackfill,
        progress: &mut Progress,
        round: &mut Round<'_>,
    ) -> Result<(), BackfillError> {
        let mut refused = None;
        for list in &LISTS {
            let Some(gap) = &progress.gap else { break };
            if gap.reconciled.contains(list.path) {
                continue;
            }
            match self.look_up(list, claimed, progress, round).await {
                Ok(()) => {}
                // What one list lacks is no reason to leave the others out. Its place is kept beside theirs.
                Err(BackfillError::Stripe(
                    error @ (ApiError::Denied { .. }
                    | ApiError::Refused { .. }
                    | ApiError::NotAList { .. }),
                )) => {
                    refused = refused.or(Some(error));
                    continue;
                }
                Err(error) => return Err(error),
            }
            if let Some(gap) = &mut progress.gap {
                gap.reconciled.insert(list.path.to_owned());
                gap.places.remove(list.path);
            }
            self.advance(claimed, progress).await?;
        }
        if let Some(error) = refused {
            return Err(error.into());
        }
        progress.gap = None;
        self.advance(claimed, progress).await?;
        round.reconciled = true;
        tracing::warn!(
            account = claimed.account,
            objects = round.objects,
            changed = round.changed,
            "the objects of a time without events were looked up; who should have been told in it was not"
        );
        Ok(())
    }

    /// Looks one list up, from where somebody was stopped in it.
    async fn look_up(
        &self,
        list: &List,
        claimed: &ClaimedBackfill,
        progress: &mut Progress,
        round: &mut Round<'_>,
    ) -> Result<(), BackfillError> {
        let mut restarts = Restarts::default();
        loop {
            match self.read_list(list, claimed, progress, round).await {
                // The object that the next page begins behind was deleted.
                Err(error) if restarts.follow(&error) => {
                    if let Some(gap) = &mut progress.gap {
                        gap.places.remove(list.path);
                    }
                    let (account, path) = (&claimed.account, list.path);
                    tracing::warn!(
                        account,
                        path,
                        "Stripe does not know any more how far a list was looked up; it begins anew"
                    );
                    round.remarks.push(format!(
                        "Stripe does not know any more how far {path} was looked up, so it was begun anew"
                    ));
                }
                other => return other,
            }
        }
    }

    async fn read_list(
        &self,
        list: &List,
        claimed: &ClaimedBackfill,
        progress: &mut Progress,
        round: &mut Round<'_>,
    ) -> Result<(), BackfillError> {
        let Some(gap) = &progress.gap else {
            return Ok(());
        };
        let since = list
            .changes_for
            .map(|before| gap.from.minus(before).seconds().max(0).to_string());
        let place = gap.places.get(list.path).cloned();
        let mut query = list.filter.to_vec();
        query.extend(since.as_deref().map(|since| ("created[gte]", since)));
        let connected = round.account.connected.clone();
        let scope = Scope::of_account(connected.as_deref());
        let mut pages = self.api.pages(list.path, &query, scope).behind(place);
        while let Some(page) = listed(list.path, pages.next(), &round.stop).await? {
            self.take_in_objects(list.family, page, claimed, round)
                .await?;
            round.tell(Stage::LooksUp(list.path));
            // Behind the last page the list itself is noted as looked up.
            if let (Some(gap), Some(id)) = (&mut progress.gap, pages.cursor()) {
                gap.places.insert(list.path.to_owned(), id.to_owned());
            }
            self.advance(claimed, progress).await?;
        }
        Ok(())
    }

    async fn take_in_objects(
        &self,
        family: Family,
        page: Page,
        claimed: &ClaimedBackfill,
        round: &mut Round<'_>,
    ) -> Result<(), BackfillError> {
        let date = page.date.unwrap_or_else(|| self.clock.now());
        let observations = page.items.into_iter().map(|object| Observation {
            account: claimed.account.clone(),
            livemode: claimed.livemode,
            family,
            object,
            date,
            api_version: page.version.clone(),
        });
        let observed: Vec<Observed> = stream::iter(observations)
            .map(|observation| async move { self.store.observe(&observation).await })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        for observed in observed {
            round.objects += 1;
            let result = match observed {
                Observed::Changed => {
                    round.changed += 1;
                    "changed"
                }
                Observed::Known => "known",
                Observed::Nameless => "nameless",
            };
            counter!("billhook_backfill_objects_total", "result" => result).increment(1);
        }
        Ok(())
    }
}
