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
