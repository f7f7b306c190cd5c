//! Whose events are looked for: the account that the key belongs to, and the connected ones.

use std::collections::BTreeSet;

use tokio_util::sync::CancellationToken;

use super::walk::listed;
use super::{Backfill, BackfillError};
use crate::inbox::OWN_ACCOUNT;
use crate::stripe::api::{ApiError, Scope, StripeApi};
use crate::stripe::text::fits_an_id;

/// Where Stripe lists the accounts that are connected (docs.stripe.com/api/accounts/list).
const CONNECTED: &str = "/v1/accounts";

/// An account as the database and as Stripe call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    /// The name in the database.
    pub(super) name: String,
    /// What goes into `Stripe-Account`; none for the key's own.
    pub(super) connected: Option<String>,
}

/// Whom a look is about.
#[derive(Debug)]
pub(super) struct Wanted {
    /// The key's own first.
    pub(super) accounts: Vec<Account>,
    /// Why there may be more.
    pub(super) remarks: Vec<String>,
    /// The same, where asking again may well help.
    pub(super) unlisted: Option<BackfillError>,
}

impl Backfill {
    /// A connected account has a list of its own, which only asking as that account shows
    /// (docs.stripe.com/connect/authentication).
    pub(super) async fn accounts(
        &self,
        livemode: bool,
        stop: &CancellationToken,
    ) -> Result<Wanted, BackfillError> {
        let own = own_account(&self.api, &self.plan.endpoint_accounts).await?;
        let are_named = !self.admission.accounts.is_empty();
        let mut others: BTreeSet<String> = if are_named {
            self.admission.accounts.iter().cloned().collect()
        } else {
            self.store.accounts(livemode).await?.into_iter().collect()
        };
        others.remove(OWN_ACCOUNT);
        others.remove(&own);
        let mut remarks = Vec::new();
        let mut unlisted = None;
        // Where no connected account ever told anything, nobody wants to hear of them: an endpoint of the key's account
        // alone is told nothing of the others, and their customers must not be written to. What came through an endpoint
        // that belongs to one account says nothing of those that are connected to the key's.
        let of_endpoints = &self.plan.endpoint_accounts;
        let hears_of_connected = others.iter().any(|known| !of_endpoints.contains(known));
        if !are_named && hears_of_connected {
            match self.connected(&mut others, stop).await {
                Ok(()) => {}
                Err(error) => {
                    let remark = format!(
                        "an account that was connected while nobody listened is not found, unless it stands in `stripe.accounts`: {error}"
                    );
                    tracing::warn!("{remark}");
                    remarks.push(remark);
                    if error.is_passing() {
                        unlisted = Some(error);
                    }
                }
            }
        }
        let own = Account {
            name: own,
            connected: None,
        };
        let others = others.into_iter().map(|account| Account {
            name: account.clone(),
            connected: Some(account),
        });
        Ok(Wanted {
            accounts: [own].into_iter().chain(others).collect(),
            remarks,
            unlisted,
        })
    }

    /// Adds the accounts that Stripe knows to be connected; the key's own is not among them.
    async fn connected(
        &self,
        others: &mut BTreeSet<String>,
        stop: &CancellationToken,
    ) -> Result<(), BackfillError> {
        let mut pages = self.api.pages(CONNECTED, &[], Scope::default());
        while let Some(page) = listed(CONNECTED, pages.next(), stop).await? {
            let ids = page
                .items
                .iter()
                .filter_map(|item| item.get("id")?.as_str());
            others.extend(ids.filter(|id| fits_an_id(id)).map(str::to_owned));
        }
        Ok(())
    }
}

/// Under which name the key's own events are stored. An endpoint may give them the account's own; whose key it is only
/// Stripe knows.
pub async fn own_account(
    api: &StripeApi,
    endpoint_accounts: &[String],
) -> Result<String, ApiError> {
    if endpoint_accounts.is_empty() {
        return Ok(OWN_ACCOUNT.to_owned());
    }
    let answer = api.get("/v1/account", &[], &Scope::default()).await?;
    let id = answer.body.get("id").and_then(serde_json::Value::as_str);
    let named = id.filter(|id| endpoint_accounts.iter().any(|known| known == id));
    Ok(named.unwrap_or(OWN_ACCOUNT).to_owned())
}
