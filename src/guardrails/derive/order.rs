//! Orders: what the business sold, derived from payment intents, checkout sessions and the references they carry.
//!
//! An order is a connected component of payment intents, sessions and order references (`metadata.order_id`,
//! `client_reference_id`) without an invoice; what an invoice collects is a subscription's or an invoice's business.
//! A charge without a payment intent, as old integrations make it, names no order and forms none: its row, its refunds
//! and disputes and its ledger are kept all the same.

mod status;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::hold::{RuleHold, holds};
use super::refund::paid_back;
use crate::stripe::view::View;

/// What Stripe's rows say of an order. Holds stand beside it and never change its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Nothing was paid yet.
    Pending,
    /// The customer must act, for example confirm with their bank.
    AwaitingCustomer,
    /// Money is reserved and not captured.
    Authorized,
    /// A payment of the expected amount succeeded.
    Paid,
    /// A payment succeeded, but not with the expected amount and currency; one that was captured in part, for example.
    Review,
    /// Some of the money was paid back.
    PartiallyRefunded,
    /// All of it was.
    Refunded,
    /// The cardholder contests a payment, and the bank has not decided.
    Disputed,
    /// The bank decided against the business.
    ChargedBack,
    /// Every payment was canceled.
    Canceled,
}

/// An order's derived row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The smallest `metadata.order_id`, else the smallest `client_reference_id`, else the smallest payment intent.
    pub id: String,
    /// Every other id it could go by.
    pub aliases: Vec<String>,
    /// The customer, when one is known.
    pub customer: Option<String>,
    /// Status from all its payments.
    pub status: OrderStatus,
    /// The expected amount in minor units.
    pub amount: Option<i64>,
    /// What was paid back, in minor units of its currency; what was paid in another is not counted.
    pub amount_refunded: i64,
    /// The currency.
    pub currency: Option<String>,
    /// Until when what is reserved must be captured, in seconds, where Stripe says so.
    #[serde(default)]
    pub capture_before: Option<i64>,
    /// Its payment intents.
    pub payment_intents: Vec<String>,
    /// What keeps it from being fulfilled, by rule. What others hold stands in a table of its own.
    #[serde(default)]
    pub holds: Vec<RuleHold>,
    /// When its first part was created, in seconds.
    pub created: i64,
}

/// A payment of an order, and what hangs on it. Rows that are not known are left out.
#[derive(Debug, Clone, Default)]
pub struct Payment {
    /// The payment intent.
    pub intent: String,
    /// Its row, when it is known.
    pub row: Option<View>,
    /// Its charges.
    pub charges: Vec<View>,
    /// What was paid back of it.
    pub refunds: Vec<View>,
    /// Its disputes: id and row.
    pub disputes: Vec<(String, View)>,
    /// What card issuers warn of: id and row.
    pub warnings: Vec<(String, View)>,
    /// Its reviews: id and row.
    pub reviews: Vec<(String, View)>,
}

impl Payment {
    /// What was paid back of it.
    fn refunded(&self) -> i64 {
        paid_back(&self.charges, &self.refunds)
    }

    /// What it is paid in, as far as any row says so.
    fn currency(&self) -> Option<&str> {
        let mut rows = self.row.iter().chain(&self.charges).chain(&self.refunds);
        rows.find_map(|row| row.text("currency"))
    }
}

/// The rows that make up a component.
#[derive(Debug, Clone, Default)]
pub struct Component {
    /// Its payments.
    pub payments: Vec<Payment>,
    /// Checkout sessions: id and row, when the row is known.
    pub sessions: Vec<(String, Option<View>)>,
    /// Order references: `metadata.order_id` and `client_reference_id`.
    pub references: BTreeSet<String>,
    /// An invoice is linked to it.
    pub has_invoice: bool,
    /// The customer of a lone intent has subscriptions.
    pub customer_subscribes: bool,
}

/// Whether a reference may be an order's name.
///
/// Whoever opens a payment link chooses its `client_reference_id`. One that reads as a Stripe id would take the name of
/// an order that goes by that id; it still links what carries it, and names nothing.
pub fn may_name_an_order(reference: &str) -> bool {
    !["pi_", "cs_"]
        .iter()
        .any(|prefix| reference.starts_with(prefix))
}

impl Component {
    /// The rows of its payment intents and sessions that are known.
    fn rows(&self) -> impl Iterator<Item = &View> {
        let intents = self
            .payments
            .iter()
            .filter_map(|payment| payment.row.as_ref());
        intents.chain(self.session_rows())
    }

    fn session_rows(&self) -> impl Iterator<Item = &View> {
        self.sessions.iter().filter_map(|(_, row)| row.as_ref())
    }

    /// The sessions that a payment intent was made by.
    fn sessions_of(&self, intent: &str) -> impl Iterator<Item = &View> {
        self.session_rows()
            .filter(move |session| session.text("payment_intent") == Some(intent))
    }

    /// The customer that its rows name; the smallest if they disagree.
    pub fn customer(&self) -> Option<&str> {
        self.rows().filter_map(|row| row.text("customer")).min()
    }

    fn sells(row: &View) -> bool {
        matches!(row.text("mode"), None | Some("payment")) && row.text("subscription").is_none()
    }

    /// The order, or nothing where the component is not one.
    pub fn order(mut self) -> Option<Order> {
        self.payments.sort_by(|a, b| a.intent.cmp(&b.intent));
        self.sessions.sort_by(|a, b| a.0.cmp(&b.0));
        let sold_by_session = self.session_rows().all(Self::sells);
        let known = self.rows().next().is_some();
        let lone = self.references.is_empty() && self.sessions.is_empty();
        if self.has_invoice || !sold_by_session || !known || (lone && self.customer_subscribes) {
            return None;
        }
        let named_by = |field| -> BTreeSet<&str> {
            let names = self.rows().filter_map(|row| row.text(field));
            names.filter(|name| may_name_an_order(name)).collect()
        };
        let (by_metadata, by_reference) = (named_by("order_id"), named_by("client_reference_id"));
        let intents: Vec<&str> = self.payments.iter().map(|p| p.intent.as_str()).collect();
        let sessions: Vec<&str> = self.sessions.iter().map(|(id, _)| id.as_str()).collect();
        let id = by_metadata
            .first()
            .or_else(|| by_reference.first())
            .or_else(|| intents.first())
            .or_else(|| sessions.first())
            .map(|id| (*id).to_owned())?;
        let aliases: BTreeSet<String> = self
            .references
            .iter()
            .map(String::as_str)
            .filter(|reference| may_name_an_order(reference))
            .chain(intents.iter().copied())
            .filter(|alias| *alias != id)
            .map(str::to_owned)
            .collect();
        let (amount, currency) = self.expected();
        let status = self.status();
        Some(Order {
            customer: self.customer().map(str::to_owned),
            capture_before: self
                .capture_before()
                .filter(|_| status == OrderStatus::Authorized),
            amount_refunded: self.amount_refunded(currency.as_deref()),
            holds: self.holds(),
            status,
            amount,
            currency,
            payment_intents: intents.iter().map(|id| (*id).to_owned()).collect(),
            created: self
                .rows()
                .filter_map(|row| row.int("created"))
                .min()
                .unwrap_or(0),
            aliases: aliases.into_iter().collect(),
            id,
        })
    }

    fn amount_refunded(&self, currency: Option<&str>) -> i64 {
        self.payments
            .iter()
            .filter(|payment| {
                payment
                    .currency()
                    .is_none_or(|other| Some(other) == currency)
            })
            .map(Payment::refunded)
            .fold(0, i64::saturating_add)
    }

    fn holds(&self) -> Vec<RuleHold> {
        // A set: one dispute may hang on two payments.
        let holds: BTreeSet<RuleHold> = self.payments.iter().flat_map(holds).collect();
        holds.into_iter().collect()
    }

    /// When the first of what is reserved lapses.
    fn capture_before(&self) -> Option<i64> {
        let charges = self.payments.iter().flat_map(|payment| &payment.charges);
        charges
            .filter(|charge| charge.flag("captured") == Some(false))
            .filter(|charge| charge.text("status") == Some("succeeded"))
            .filter_map(|charge| charge.int("capture_before"))
            .min()
    }

    fn expected(&self) -> (Option<i64>, Option<String>) {
        let sessions = self.session_rows().map(|row| (row, "amount_total"));
        let intents = self
            .payments
            .iter()
            .filter_map(|payment| payment.row.as_ref());
        sessions
            .chain(intents.map(|row| (row, "amount")))
            .find_map(|(row, field)| {
                row.int(field)
                    .map(|amount| (Some(amount), row.text("currency").map(str::to_owned)))
            })
            .unwrap_or((None, None))
    }
}

#[cfg(test)]
mod tests;
