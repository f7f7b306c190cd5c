//! Whether a follow-up is still right: asked of the current state when it is claimed, when it finishes and when it is
//! sent, never of the state at the time it was planned.

use serde::{Deserialize, Serialize};

use crate::guardrails::derive::access::Access;
use crate::guardrails::derive::order::{Order, OrderStatus};
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
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 6] = [
        Self::PaymentSucceeded,
        Self::PaymentFailed,
        Self::InvoicePaymentFailed,
        Self::SubscriptionPastDue,
        Self::SubscriptionEnded,
        Self::WinbackDue,
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
    /// The customer's id and row.
    pub customer: Option<(String, View)>,
    /// The payment intent.
    pub payment_intent: Option<(String, View)>,
    /// The invoice.
    pub invoice: Option<(String, View)>,
    /// The subscription.
    pub subscription: Option<(String, View)>,
    /// The order of the payment intent.
    pub order: Option<Order>,
    /// The customer's access.
    pub access: Option<Access>,
    /// The customer paid something before.
    pub has_paid: bool,
    /// What the schedule that led the run says.
    pub schedule: Option<serde_json::Value>,
}

fn status(row: Option<&(String, View)>) -> Option<&str> {
    row.and_then(|(_, row)| row.text("status"))
}

/// Says why a follow-up is not right any more, or nothing if it is.
///
/// What is not known does not end anything: a mail that is owed is not dropped because an object never arrived.
pub fn fallen(purpose: Purpose, standing: &Standing) -> Option<String> {
    let deleted = standing
        .customer
        .as_ref()
        .is_some_and(|(_, row)| row.flag("deleted") == Some(true));
    if deleted && purpose != Purpose::PaymentSucceeded {
        return Some("the customer was deleted".to_owned());
    }
    let ended = matches!(
        status(standing.subscription.as_ref()),
        Some("canceled" | "incomplete_expired")
    );
    match purpose {
        Purpose::PaymentSucceeded => None,
        Purpose::PaymentFailed => match status(standing.payment_intent.as_ref()) {
            Some(status @ ("succeeded" | "canceled" | "processing" | "requires_capture")) => {
                Some(format!("the payment is {status} now"))
            }
            _ => standing
                .order
                .as_ref()
                .filter(|order| matches!(order.status, OrderStatus::Paid | OrderStatus::Authorized))
                .map(|order| format!("order {} was paid by another payment", order.id)),
        },
        Purpose::InvoicePaymentFailed => match status(standing.invoice.as_ref()) {
            Some("open") | None if ended => Some("the subscription has ended".to_owned()),
            Some("open") | None => None,
            Some(status) => Some(format!("the invoice is {status} now")),
        },
        Purpose::SubscriptionPastDue => match status(standing.subscription.as_ref()) {
            Some("past_due") | None => None,
            Some(status) => Some(format!("the subscription is {status} now")),
        },
        Purpose::SubscriptionEnded => match status(standing.subscription.as_ref()) {
            Some("canceled") | None => None,
            Some(status) => Some(format!("the subscription is {status} now")),
        },
        Purpose::WinbackDue => match &standing.access {
            Some(Access::Granted { subscription, .. } | Access::Grace { subscription, .. }) => {
                Some(format!(
                    "the customer is back with subscription {subscription}"
                ))
            }
            Some(Access::Denied { .. }) | None => None,
        },
    }
}
