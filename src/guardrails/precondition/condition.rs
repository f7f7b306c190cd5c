//! How the facts of the stop conditions are read from current rows. What is not known is not so.

use super::Standing;
use crate::guardrails::derive::order::OrderStatus;
use crate::guardrails::mandatory::facts::is_inquiry;
use crate::stripe::links::NodeKind;
use crate::stripe::view::View;

/// What has a status of Stripe's.
#[derive(Debug, Clone, Copy)]
pub(super) enum Thing {
    Payment,
    Invoice,
    Subscription,
    Dispute,
}

/// How a fact is read from the current rows.
#[derive(Debug)]
pub(super) enum Test {
    /// The customer was deleted.
    Deleted,
    /// The thing has one of these statuses.
    Status(Thing, &'static [&'static str]),
    /// The thing has a status, and none of these.
    Left(Thing, &'static [&'static str]),
    /// The order is settled, by another payment: paid or authorized, whatever came after.
    OrderPaid,
    /// The customer has access by a subscription, in its grace at the most: one that was let go unpaid is no return.
    Back,
    /// The payment's charge was refunded in full.
    Refunded,
    /// A dispute of a payment of the customer's is so.
    Disputed(fn(&str) -> bool),
    /// A card issuer warns of a payment of the customer's, and something can still be done about it.
    Warned,
    /// Somebody looks at a payment of the customer's before it is trusted.
    Reviewed,
    /// What began as an inquiry is a dispute now.
    Escalated,
    /// The trial ends at another time than was told.
    TrialMoved,
    /// The trial has ended by now.
    TrialPast,
    /// The subscription is set to end with its trial, or before.
    Leaving,
    /// What the subscription comes to is not collected when its trial ends.
    Uncollected,
    /// A period of the subscription costs nothing.
    Free,
    /// Of what was paid on the invoice nothing is over.
    NothingOver,
    /// The connected account took back its leave.
    Disconnected,
}

/// Whether a dispute keeps its customer from being written to. One in a status that nobody knows does: a mail can wait,
/// and cannot be taken back.
pub(super) fn is_open(status: &str) -> bool {
    !matches!(
        status,
        "won" | "lost" | "warning_closed" | "prevented" | "charge_refunded"
    )
}

/// Whether the row of a connected account says that it took back its leave, and has not given it again since.
pub fn is_disconnected(account: &View) -> bool {
    account.flag("authorized") == Some(false)
}

/// Whether a subscription lives in the time of a test clock, which no clock here can be held against
/// (docs.stripe.com/billing/testing/test-clocks).
pub fn has_a_clock(subscription: &View) -> bool {
    subscription.text("test_clock").is_some()
}

pub(super) fn is_lost(status: &str) -> bool {
    status == "lost"
}

impl Test {
    /// What is so now, in words, if it is.
    pub(super) fn holds(&self, standing: &Standing) -> Option<String> {
        match self {
            Self::Deleted => {
                let (_, customer) = standing.customer.as_ref()?;
                (customer.flag("deleted") == Some(true))
                    .then(|| "the customer was deleted".to_owned())
            }
            Self::Status(thing, statuses) => {
                thing.says(standing, |status| statuses.contains(&status))
            }
            Self::Left(thing, statuses) => {
                thing.says(standing, |status| !statuses.contains(&status))
            }
            Self::OrderPaid => {
                let order = standing.order.as_ref()?;
                let unpaid = matches!(
                    order.status,
                    OrderStatus::Pending
                        | OrderStatus::AwaitingCustomer
                        | OrderStatus::Review
                        | OrderStatus::Canceled
                );
                (!unpaid).then(|| format!("order {} was paid by another payment", order.id))
            }
            Self::Back => {
                let access = standing.access.as_ref()?;
                access
                    .granted
                    .then(|| format!("the customer is back: {}", access.reason))
            }
            Self::Refunded => {
                let (id, charge) = standing.charge.as_ref()?;
                (charge.flag("refunded") == Some(true))
                    .then(|| format!("charge {id} was refunded in full"))
            }
            Self::Disputed(so) => doubt(standing, NodeKind::Dispute, |dispute| {
                let status = dispute.text("status").filter(|status| so(status))?;
                Some(format!("a payment of the customer is disputed: {status}"))
            }),
            Self::Warned => doubt(standing, NodeKind::EarlyFraudWarning, |warning| {
                (warning.flag("actionable") == Some(true))
                    .then(|| "a card issuer warns of a payment of the customer".to_owned())
            }),
            Self::Reviewed => doubt(standing, NodeKind::Review, |review| {
                (review.flag("open") == Some(true))
                    .then(|| "a payment of the customer is under review".to_owned())
            }),
            Self::Escalated => {
                let (_, dispute) = standing.dispute.as_ref().filter(|_| standing.inquiry)?;
                let status = dispute.text("status")?;
                (!is_inquiry(dispute)).then(|| format!("the inquiry is a dispute now: {status}"))
            }
            Self::TrialMoved => {
                let (_, row) = standing.subscription.as_ref()?;
                (row.int("trial_end")? != standing.trial_end?)
                    .then(|| "the trial ends at another time now".to_owned())
            }
            Self::Leaving => {
                let (id, row) = standing.subscription.as_ref()?;
                let end = trial_end(standing, row);
                let leaves = match row.int("cancel_at") {
                    Some(at) => end.is_none_or(|end| at <= end),
                    None => row.flag("cancel_at_period_end") == Some(true),
                };
                leaves.then(|| format!("subscription {id} is set to end"))
            }
            Self::Uncollected => {
                let (id, row) = standing.subscription.as_ref()?;
                let behavior = row.text("pause_behavior")?;
                let resumes = row.int("pause_resumes_at");
                let in_time = resumes
                    .zip(trial_end(standing, row))
                    .is_some_and(|(resumes, end)| resumes < end);
                (!in_time).then(|| format!("subscription {id} is not collected: {behavior}"))
            }
            Self::TrialPast => {
                let subscription = standing.subscription.as_ref();
                let simulated = subscription.is_some_and(|(_, row)| has_a_clock(row));
                (!simulated && standing.now?.seconds() >= standing.trial_end?)
                    .then(|| "the trial has ended".to_owned())
            }
            Self::Free => {
                let (id, row) = standing.subscription.as_ref()?;
                (row.int("period_amount") == Some(0))
                    .then(|| format!("subscription {id} costs nothing"))
            }
            Self::NothingOver => {
                let (id, row) = standing.invoice.as_ref()?;
                (row.int("amount_overpaid") == Some(0))
                    .then(|| format!("of what was paid on invoice {id} nothing is over now"))
            }
            Self::Disconnected => {
                let (id, account) = standing.account.as_ref()?;
                is_disconnected(account).then(|| format!("account {id} has disconnected"))
            }
        }
    }
}

/// When the trial ends that is told of.
fn trial_end(standing: &Standing, subscription: &View) -> Option<i64> {
    standing.trial_end.or_else(|| subscription.int("trial_end"))
}

/// What the first row says that casts this kind of doubt on a payment of the customer's.
fn doubt(
    standing: &Standing,
    kind: NodeKind,
    says: impl Fn(&View) -> Option<String>,
) -> Option<String> {
    standing
        .doubts
        .iter()
        .filter(|(of, _)| *of == kind)
        .find_map(|(_, row)| says(row))
}

impl Thing {
    fn says(self, standing: &Standing, so: impl Fn(&str) -> bool) -> Option<String> {
        let (noun, row): (_, &Option<(String, View)>) = match self {
            Self::Payment => ("payment", &standing.payment_intent),
            Self::Invoice => ("invoice", &standing.invoice),
            Self::Subscription => ("subscription", &standing.subscription),
            Self::Dispute => ("dispute", &standing.dispute),
        };
        let (_, row) = row.as_ref()?;
        let status = row.text("status").filter(|status| so(status))?;
        Some(format!("the {noun} is {status} now"))
    }
}
