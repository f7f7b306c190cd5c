//! Whose events are looked for: the account that the key belongs to, and the connected ones.

use std::collections::BTreeSet;

use super::{Backfill, BackfillError};
use crate::inbox::OWN_ACCOUNT;
use crate::stripe::api::Scope;

/// An account as the database and as Stripe call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    /// The name in the database.
    pub(super) name: String,
    /// What goes into `Stripe-Account`; none for the key's own.
    pub(super) connected: Option<String>,
}

impl Backfill {
    /// The key's own account first. A connected account has a list of its own, which only asking as that account shows
    /// (docs.stripe.com/connect/authentication).
    pub(super) async fn accounts(&self, livemode: bool) -> Result<Vec<Account>, BackfillError> {
        let own = self.own_account().await?;
        let mut others: BTreeSet<String> = if self.admission.accounts.is_empty() {
            self.store.accounts(livemode).await?.into_iter().collect()
        } else {
            self.admission.accounts.iter().cloned().collect()
        };
        others.remove(OWN_ACCOUNT);
        others.remove(&own);
        let own = Account {
            name: own,
            connected: None,
        };
        let others = others.into_iter().map(|account| Account {
            name: account.clone(),
            connected: Some(account),
        });
        Ok([own].into_iter().chain(others).collect())
    }

    /// Under which name the key's own events are stored. An endpoint may give them the account's own; whose key it is
    /// only Stripe knows.
    async fn own_account(&self) -> Result<String, BackfillError> {
        if self.plan.endpoint_accounts.is_empty() {
            return Ok(OWN_ACCOUNT.to_owned());
        }
        let answer = self.api.get("/v1/account", &[], &Scope::default()).await?;
        let id = answer.body.get("id").and_then(serde_json::Value::as_str);
        let named = id.filter(|id| self.plan.endpoint_accounts.iter().any(|known| known == id));
        Ok(named.unwrap_or(OWN_ACCOUNT).to_owned())
    }
}
