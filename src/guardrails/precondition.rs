//! Whether a follow-up is still right: asked of the current state when it is claimed, when it finishes and when it is
//! sent, never of the state at the time it was planned.
//!
//! Which fact ends what is data: the table in `stops.rs`.

mod condition;
pub mod stops;

use serde::{Deserialize, Serialize};

use self::stops::{Reach, STOPS};
use crate::clock::Timestamp;
use crate::guardrails::derive::access;
use crate::guardrails::derive::order::Order;
use crate::stripe::links::NodeKind;
use crate::stripe::view::View;

/// Why a message is sent or a run is made; which facts end it hangs on this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Sales hears of a payment.
    PaymentSucceeded,
    /// A payment without an invoice failed.
    PaymentFailed,
    /// An invoice's payment failed.
    InvoicePaymentFailed,
    /// A subscription is past due.
    SubscriptionPastDue,
    /// A subscription ended.
    SubscriptionEnded,
    /// A customer who left is invited back.
    WinbackDue,
    /// A payment is disputed, or a bank asks about it.
    DisputeOpened,
    /// A trial is about to end.
    TrialEnding,
    /// A payout failed.
    PayoutFailed,
    /// An invoice could not be finalized.
    InvoiceFinalizationFailed,
    /// An invoice was paid with more than it asked for.
    InvoiceOverpaid,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 11] = [
        Self::PaymentSucceeded,
        Self::PaymentFailed,
        Self::InvoicePaymentFailed,
        Self::SubscriptionPastDue,
        Self::SubscriptionEnded,
        Self::WinbackDue,
        Self::DisputeOpened,
        Self::TrialEnding,
        Self::PayoutFailed,
        Self::InvoiceFinalizationFailed,
        Self::InvoiceOverpaid,
    ];

    /// The purpose of a playbook; they share their names.
    pub fn of_playbook(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|purpose| purpose.as_str() == name)
    }

    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PaymentSucceeded => "payment_succeeded",
            Self::PaymentFailed => "payment_failed",
            Self::InvoicePaymentFailed => "invoice_payment_failed",
            Self::SubscriptionPastDue => "subscription_past_due",
            Self::SubscriptionEnded => "subscription_ended",
            Self::WinbackDue => "winback_due",
            Self::DisputeOpened => "dispute_opened",
            Self::TrialEnding => "trial_ending",
            Self::PayoutFailed => "payout_failed",
            Self::InvoiceFinalizationFailed => "invoice_finalization_failed",
            Self::InvoiceOverpaid => "invoice_overpaid",
        }
    }

    /// Whether its mail tells a customer that money could not be collected.
    pub fn is_failure(self) -> bool {
        matches!(
            self,
            Self::PaymentFailed | Self::InvoicePaymentFailed | Self::SubscriptionPastDue
        )
    }
}

/// The current rows of what a follow-up is about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    /// The connected account's id and row; nothing for the business's own.
    pub account: Option<(String, View)>,
    /// The customer's id and row.
    pub customer: Option<(String, View)>,
    /// The payment intent.
    pub payment_intent: Option<(String, View)>,
    /// The invoice.
    pub invoice: Option<(String, View)>,
    /// The subscription.
    pub subscription: Option<(String, View)>,
    /// The payment's latest charge.
    pub charge: Option<(String, View)>,
    /// The dispute.
    pub dispute: Option<(String, View)>,
    /// The payout.
    pub payout: Option<(String, View)>,
    /// What is told of the dispute is the inquiry that it began as.
    pub inquiry: bool,
    /// The end of the trial that is told of.
    pub trial_end: Option<i64>,
    /// When it is asked.
    pub now: Option<Timestamp>,
    /// Everything that casts doubt on a payment of the customer's: disputes, warnings, reviews.
    pub doubts: Vec<(NodeKind, View)>,
    /// The order of the payment intent.
    pub order: Option<Order>,
    /// What the customer's access comes to at the moment of asking.
    pub access: Option<access::Answer>,
    /// The customer paid something before.
    pub has_paid: bool,
    /// The customer's mailbox is one that is never written to.
    pub suppressed: bool,
    /// What the schedule that led the run says.
    pub schedule: Option<serde_json::Value>,
}

/// Says why a run, or a mail to a customer, is not right any more, or nothing if it is.
///
/// What is not known does not end anything: a mail that is owed is not dropped because an object never arrived.
pub fn fallen(purpose: Purpose, standing: &Standing) -> Option<String> {
    first(purpose, Reach::Mails, standing)
}

/// The same for a notice to colleagues that is ready to go. Less ends it: what is no news to the customer any more may
/// still be news to them.
pub fn fallen_for_notice(purpose: Purpose, standing: &Standing) -> Option<String> {
    first(purpose, Reach::Everything, standing)
}

fn first(purpose: Purpose, reach: Reach, standing: &Standing) -> Option<String> {
    STOPS
        .iter()
        .filter(|stop| stop.reach(purpose) >= Some(reach))
        .find_map(|stop| stop.holds(standing))
}

#[cfg(test)]
mod tests;
