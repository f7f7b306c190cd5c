//! Whose missed events are looked for as billhook is configured now: what an account left behind that nobody looks at any
//! more is nobody's business.

use std::time::Duration;

use crate::backfill::own_account;
use crate::config::{Config, StripeConfig};
use crate::inbox::OWN_ACCOUNT;
use crate::stripe::api::StripeApi;

/// How long Stripe may take to say whose the key is.
const LIMIT: Duration = Duration::from_secs(3);

/// The accounts that a look is about.
#[derive(Debug)]
pub(super) struct Whose {
    /// The names of the key's own account: more than one where Stripe does not say which it is.
    own: Vec<String>,
    /// `stripe.accounts`; empty for all that are known.
    named: Vec<String>,
}

impl Whose {
    /// Asks Stripe only where an endpoint may give the key's own account a name.
    pub(super) async fn of(config: &Config) -> Self {
        let endpoints = config.stripe.endpoints.values();
        let mut own: Vec<String> = endpoints.filter_map(|one| one.account.clone()).collect();
        let asked = StripeConfig {
            api_deadline: LIMIT,
            ..config.stripe.clone()
        };
        let said = match StripeApi::new(&asked) {
            Ok(Some(api)) => own_account(&api, &own).await.ok(),
            _ => None,
        };
        match said {
            Some(said) => own = vec![said],
            None => own.push(OWN_ACCOUNT.to_owned()),
        }
        Self {
            own,
            named: config.stripe.accounts.clone(),
        }
    }

    /// Whether the next look is about this account, too.
    pub(super) fn includes(&self, account: &str) -> bool {
        let is_in = |names: &[String]| names.iter().any(|name| name == account);
        // Under this name no connected account is stored.
        let is_any = self.named.is_empty() && account != OWN_ACCOUNT;
        is_any || is_in(&self.own) || is_in(&self.named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_looked_at_is_said_by_the_key_and_by_the_configuration() {
        let all = ["self", "acct_own", "acct_named", "acct_other"];
        for (own, named, expected) in [
            (
                &["self"][..],
                &[][..],
                &["self", "acct_own", "acct_named", "acct_other"][..],
            ),
            (&["self"], &["acct_named"], &["self", "acct_named"]),
            (
                &["acct_own"],
                &[],
                &["acct_own", "acct_named", "acct_other"],
            ),
            (&["acct_own"], &["acct_named"], &["acct_own", "acct_named"]),
            // Stripe did not say.
            (
                &["acct_own", "self"],
                &["acct_named"],
                &["self", "acct_own", "acct_named"],
            ),
        ] {
            let texts = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
            let whose = Whose {
                own: texts(own),
                named: texts(named),
            };
            let found: Vec<&str> = all
                .into_iter()
                .filter(|account| whose.includes(account))
                .collect();
            assert_eq!(found, expected, "{whose:?}");
        }
    }
}
