//! Whether a customer has access: a function of all subscriptions and of the customer, never of the last event.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::stripe::view::View;

/// What the rows say about access; what depends on time is answered when it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Access {
    /// A subscription grants it.
    Granted {
        /// Which.
        subscription: String,
        /// Its status: trialing or active.
        status: String,
    },
    /// A subscription is past due: access ends when the grace does.
    Grace {
        /// Which; the latest to fall past due.
        subscription: String,
        /// Since when, in seconds.
        since: i64,
    },
    /// Nothing grants it.
    Denied {
        /// Why, in words.
        reason: String,
    },
}

/// The answer at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Whether the customer has access.
    pub granted: bool,
    /// Why.
    pub reason: String,
}

/// Derives access from a customer's row and all of their subscriptions (id and row).
pub fn derive(customer: Option<&View>, subscriptions: &[(String, View)]) -> Access {
    if customer.is_some_and(|row| row.flag("deleted") == Some(true)) {
        return Access::Denied {
            reason: "the customer was deleted".to_owned(),
        };
    }
    let mut grants: Vec<(&str, &str)> = Vec::new();
    let mut grace: Vec<(i64, &str)> = Vec::new();
    let mut others: Vec<(&str, &str)> = Vec::new();
    for (id, row) in subscriptions {
        match row.text("status") {
            Some(status @ ("trialing" | "active")) => grants.push((id, status)),
            Some("past_due") => grace.push((row.int("past_due_since").unwrap_or(0), id)),
            Some(status) => others.push((status, id)),
            None => others.push(("unknown", id)),
        }
    }
    grants.sort_unstable();
    grace.sort_unstable();
    others.sort_unstable();
    if let Some((id, status)) = grants.first() {
        return Access::Granted {
            subscription: (*id).to_owned(),
            status: (*status).to_owned(),
        };
    }
    if let Some((since, id)) = grace.last() {
        return Access::Grace {
            subscription: (*id).to_owned(),
            since: *since,
        };
    }
    let reason = match others.first() {
        Some((status, id)) => format!("subscription {id} is {status} and no other grants access"),
        None => "no subscription".to_owned(),
    };
    Access::Denied { reason }
}

impl Access {
    /// When it ends by time alone.
    pub fn grace_end(&self, grace: Duration) -> Option<Timestamp> {
        match self {
            Self::Grace { since, .. } => Some(Timestamp::from_seconds(*since).plus(grace)),
            Self::Granted { .. } | Self::Denied { .. } => None,
        }
    }

    /// What it comes to at `now`, with `grace` after a subscription fell past due.
    pub fn at(&self, now: Timestamp, grace: Duration) -> Answer {
        match self {
            Self::Granted {
                subscription,
                status,
            } => Answer {
                granted: true,
                reason: format!("subscription {subscription} is {status}"),
            },
            Self::Grace {
                subscription,
                since,
            } => {
                let until = Timestamp::from_seconds(*since).plus(grace);
                let granted = now < until;
                let reason = if granted {
                    format!("subscription {subscription} is past due, in grace until {until}")
                } else {
                    format!("subscription {subscription} is past due, grace ended {until}")
                };
                Answer { granted, reason }
            }
            Self::Denied { reason } => Answer {
                granted: false,
                reason: reason.clone(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::{Access, derive};
    use crate::clock::Timestamp;
    use crate::stripe::view::{Family, View, view};

    fn subscription(id: &str, status: &str, since: Option<i64>) -> (String, View) {
        let mut row = view(Family::Subscription, &json!({ "status": status }));
        if let Some(since) = since {
            row.insert("past_due_since", since);
        }
        (id.to_owned(), row)
    }

    fn granted(access: &Access, at: i64) -> bool {
        access
            .at(Timestamp::from_seconds(at), Duration::from_secs(100))
            .granted
    }

    #[test]
    fn any_good_subscription_grants() {
        for (status, expected) in [
            ("active", true),
            ("trialing", true),
            ("canceled", false),
            ("unpaid", false),
            ("paused", false),
            ("incomplete", false),
            ("incomplete_expired", false),
            ("something_new", false),
        ] {
            assert_eq!(
                granted(&derive(None, &[subscription("sub_1", status, None)]), 0),
                expected,
                "{status}"
            );
        }
        let both = [
            subscription("sub_1", "canceled", None),
            subscription("sub_2", "active", None),
        ];
        assert!(granted(&derive(None, &both), 0));
        assert!(!granted(&derive(None, &[]), 0));
    }

    #[test]
    fn past_due_has_a_grace_that_ends() {
        let access = derive(None, &[subscription("sub_1", "past_due", Some(1000))]);
        assert!(granted(&access, 1099));
        assert!(!granted(&access, 1100));
        let answer = access.at(Timestamp::from_seconds(1100), Duration::from_secs(100));
        assert_eq!(
            answer.reason,
            "subscription sub_1 is past due, grace ended 1970-01-01T00:18:20Z"
        );
    }

    #[test]
    fn a_deleted_customer_has_none() {
        let customer = view(Family::Customer, &json!({ "deleted": true }));
        let access = derive(Some(&customer), &[subscription("sub_1", "active", None)]);
        assert!(!granted(&access, 0));
    }
}
