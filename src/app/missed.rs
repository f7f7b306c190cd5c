//! What looks for missed events, as the configuration says.

use std::sync::Arc;

use crate::backfill::{Backfill, Plan};
use crate::clock::Clock;
use crate::config::Config;
use crate::inbox::{Admission, Inbox};
use crate::store::Store;
use crate::stripe::api::StripeApi;

/// Asks `api`.
pub(super) fn backfill(
    config: &Config,
    api: StripeApi,
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    inbox: &Inbox,
    admission: &Arc<Admission>,
) -> Backfill {
    let endpoints = config.stripe.endpoints.values();
    let plan = Plan {
        interval: config.backfill.interval,
        overlap: config.backfill.overlap,
        first: config.backfill.first,
        longest_answer: config.stripe.api_deadline,
        endpoint_accounts: endpoints.filter_map(|one| one.account.clone()).collect(),
        process: std::process::id(),
    };
    Backfill::new(
        store.clone(),
        clock.clone(),
        api,
        inbox.clone(),
        admission.clone(),
        plan,
    )
}
