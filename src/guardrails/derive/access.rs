//! Whether a customer has access: a function of all subscriptions, of the customer and of their lost disputes, never of
//! the last event.
//!
//! A subscription that is `paused` grants nothing: its trial ended without a way to pay. One whose collection is paused
//! does, whatever becomes of its invoices: each of the three behaviors offers the service for free for a while
//! (docs.stripe.com/billing/subscriptions/pause-payment). `unpaid` and `incomplete` grant nothing
//! (docs.stripe.com/billing/subscriptions/overview#subscription-statuses).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::contest::Contest;
use crate::clock::Timestamp;
use crate::config::{AccessConfig, OnLostDispute};
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

/// A customer's access row: the word, and everything that it follows from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRow {
    /// What all subscriptions come to, disputes left out: those are a matter of policy.
    #[serde(flatten)]
    pub access: Access,
    /// The customer was deleted.
    #[serde(default)]
    pub deleted: bool,
    /// Every subscription, by its id.
    #[serde(default)]
    pub subscriptions: Vec<Ground>,
    /// Every dispute that was lost, by its id.
    #[serde(default)]
    pub lost_disputes: Vec<LostDispute>,
}

/// One subscription, as far as access hangs on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    /// Its id.
    pub subscription: String,
    /// Stripe's word.
    pub status: String,
    /// Since when it is past due, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// What becomes of its invoices while their collection is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<String>,
    /// When it was created, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<i64>,
}

/// A dispute that the bank decided against the business.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostDispute {
    /// Its id.
    pub dispute: String,
    /// When it was created, in seconds.
    pub created: Option<i64>,
}

/// The answer at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Whether the customer has access.
    pub granted: bool,
    /// Why.
    pub reason: String,
    /// What each subscription has to do with it.
    pub subscriptions: Vec<Said>,
}

/// What one subscription says at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Said {
    /// Its id.
    pub subscription: String,
    /// Stripe's word.
    pub status: String,
    /// Whether it grants access.
    pub granted: bool,
    /// Why, or why not.
    pub reason: String,
}

/// Derives a customer's access from their row and all of their subscriptions and disputes (id and row).
pub fn derive(
    customer: Option<&View>,
    subscriptions: &[(String, View)],
    disputes: &[(String, View)],
) -> AccessRow {
    let deleted = customer.is_some_and(|row| row.flag("deleted") == Some(true));
    let mut grounds: Vec<Ground> = subscriptions.iter().map(Ground::of).collect();
    grounds.sort_by(|a, b| a.subscription.cmp(&b.subscription));
    let lost = disputes
        .iter()
        .filter(|(_, row)| Contest::of(row) == Contest::Lost);
    let mut lost: Vec<LostDispute> = lost
        .map(|(id, row)| LostDispute {
            dispute: id.clone(),
            created: row.int("created"),
        })
        .collect();
    lost.sort_by(|a, b| a.dispute.cmp(&b.dispute));
    AccessRow {
        access: if deleted {
            Access::Denied {
                reason: DELETED.to_owned(),
            }
        } else {
            Access::of(&grounds.iter().collect::<Vec<_>>())
        },
        deleted,
        subscriptions: grounds,
        lost_disputes: lost,
    }
}

const DELETED: &str = "the customer was deleted";

impl Ground {
    fn of((id, row): &(String, View)) -> Self {
        let text = |field| row.text(field).map(str::to_owned);
        Self {
            subscription: id.clone(),
            status: text("status").unwrap_or_else(|| "unknown".to_owned()),
            since: row.int("past_due_since"),
            pause: text("pause_behavior"),
            created: row.int("created"),
        }
    }

    /// What it would come to if it were the customer's only one.
    fn alone(&self, now: Timestamp, grace: Duration) -> Said {
        let answer = match Access::of(&[self]) {
            Access::Denied { .. } => Answer {
                granted: false,
                reason: format!("subscription {} is {}", self.subscription, self.status),
                subscriptions: Vec::new(),
            },
            access => access.at(now, grace),
        };
        let paused = self.pause.as_ref().filter(|_| answer.granted);
        let paused = paused.map(|how| format!(", and its invoices are not collected ({how})"));
        Said {
            subscription: self.subscription.clone(),
            status: self.status.clone(),
            granted: answer.granted,
            reason: answer.reason + paused.as_deref().unwrap_or_default(),
        }
    }
}

impl AccessRow {
    /// What it comes to at `now`, under `policy`.
    pub fn at(&self, now: Timestamp, policy: &AccessConfig) -> Answer {
        let grace = policy.past_due_grace;
        let standing: Vec<&Ground> = self
            .subscriptions
            .iter()
            .filter(|ground| self.ended_by(ground, policy).is_none())
            .collect();
        let mut answer = if self.deleted || standing.len() == self.subscriptions.len() {
            self.access.at(now, grace)
        } else {
            Access::of(&standing).at(now, grace)
        };
        answer.subscriptions = self
            .subscriptions
            .iter()
            .map(|ground| self.said(ground, now, policy))
            .collect();
        let ended = self.subscriptions.iter().find_map(|ground| {
            let dispute = self.ended_by(ground, policy)?;
            let grants = !self.deleted && ground.alone(now, grace).granted;
            grants.then(|| ended(ground, dispute))
        });
        if let (false, Some(reason)) = (answer.granted, ended) {
            answer.reason = reason;
        }
        answer
    }

    fn said(&self, ground: &Ground, now: Timestamp, policy: &AccessConfig) -> Said {
        let said = ground.alone(now, policy.past_due_grace);
        let against = if self.deleted {
            Some(DELETED.to_owned())
        } else {
            self.ended_by(ground, policy)
                .map(|dispute| ended(ground, dispute))
        };
        match against.filter(|_| said.granted) {
            Some(reason) => Said {
                granted: false,
                reason,
                ..said
            },
            None => said,
        }
    }

    /// The lost dispute that ends what a subscription grants, where policy says so: one that came after it. Who subscribes
    /// anew afterwards begins anew.
    fn ended_by(&self, ground: &Ground, policy: &AccessConfig) -> Option<&LostDispute> {
        if policy.on_lost_dispute == OnLostDispute::Keep {
            return None;
        }
        self.lost_disputes
            .iter()
            .find(|lost| lost.created.is_none() || ground.created <= lost.created)
    }
}

fn ended(ground: &Ground, lost: &LostDispute) -> String {
    format!(
        "dispute {} was lost, and with it what subscription {} granted",
        lost.dispute, ground.subscription
    )
}

impl Access {
    /// When it ends by time alone.
    pub fn grace_end(&self, grace: Duration) -> Option<Timestamp> {
        match self {
            Self::Grace { since, .. } => Some(Timestamp::from_seconds(*since).plus(grace)),
            Self::Granted { .. } | Self::Denied { .. } => None,
        }
    }

    /// What these subscriptions come to.
    fn of(grounds: &[&Ground]) -> Self {
        let mut grants: Vec<&Ground> = Vec::new();
        let mut grace: Vec<(i64, &str)> = Vec::new();
        let mut others: Vec<(&str, &str)> = Vec::new();
        for ground in grounds {
            match ground.status.as_str() {
                "trialing" | "active" => grants.push(ground),
                "past_due" => grace.push((ground.since.unwrap_or(0), &ground.subscription)),
                status => others.push((status, &ground.subscription)),
            }
        }
        if let Some(ground) = grants.iter().min_by_key(|ground| &ground.subscription) {
            return Self::Granted {
                subscription: ground.subscription.clone(),
                status: ground.status.clone(),
            };
        }
        if let Some((since, id)) = grace.iter().max() {
            return Self::Grace {
                subscription: (*id).to_owned(),
                since: *since,
            };
        }
        let reason = match others.iter().min() {
            Some((status, id)) => {
                format!("subscription {id} is {status} and no other grants access")
            }
            None => "no subscription".to_owned(),
        };
        Self::Denied { reason }
    }

    /// What it comes to at `now`, with `grace` after a subscription fell past due.
    pub fn at(&self, now: Timestamp, grace: Duration) -> Answer {
        let (granted, reason) = match self {
            Self::Granted {
                subscription,
                status,
            } => (true, format!("subscription {subscription} is {status}")),
            Self::Grace {
                subscription,
                since,
            } => {
                let until = Timestamp::from_seconds(*since).plus(grace);
                let granted = now < until;
                let how = if granted {
                    "in grace until"
                } else {
                    "grace ended"
                };
                let reason = format!("subscription {subscription} is past due, {how} {until}");
                (granted, reason)
            }
            Self::Denied { reason } => (false, reason.clone()),
        };
        Answer {
            granted,
            reason,
            subscriptions: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
