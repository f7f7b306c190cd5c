//! Orders: what the business sold, derived from payment intents, checkout sessions and the references they carry.
//!
//! An order is a connected component of payment intents, sessions and order references (`metadata.order_id`,
//! `client_reference_id`) without an invoice; what an invoice collects is a subscription's or an invoice's business.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

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
    /// A payment succeeded, but not with the expected amount and currency.
    Review,
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
    /// What was paid back, in minor units.
    pub amount_refunded: i64,
    /// The currency.
    pub currency: Option<String>,
    /// Its payment intents.
    pub payment_intents: Vec<String>,
    /// When its first part was created, in seconds.
    pub created: i64,
}

/// The rows that make up a component.
#[derive(Debug, Clone, Default)]
pub struct Component {
    /// Payment intents: id and row, when the row is known.
    pub payment_intents: Vec<(String, Option<View>)>,
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
        self.payment_intents
            .iter()
            .chain(&self.sessions)
            .filter_map(|(_, row)| row.as_ref())
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
        self.payment_intents.sort_by(|a, b| a.0.cmp(&b.0));
        self.sessions.sort_by(|a, b| a.0.cmp(&b.0));
        let sold_by_session = self
            .sessions
            .iter()
            .filter_map(|(_, row)| row.as_ref())
            .all(Self::sells);
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
        let intents: Vec<&str> = self
            .payment_intents
            .iter()
            .map(|(id, _)| id.as_str())
            .collect();
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
        Some(Order {
            customer: self.customer().map(str::to_owned),
            status: self.status(),
            amount,
            currency,
            amount_refunded: 0,
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

    fn expected(&self) -> (Option<i64>, Option<String>) {
        let sessions = self
            .sessions
            .iter()
            .filter_map(|(_, row)| row.as_ref())
            .map(|row| (row, "amount_total"));
        let intents = self
            .payment_intents
            .iter()
            .filter_map(|(_, row)| row.as_ref())
            .map(|row| (row, "amount"));
        sessions
            .chain(intents)
            .find_map(|(row, field)| {
                row.int(field)
                    .map(|amount| (Some(amount), row.text("currency").map(str::to_owned)))
            })
            .unwrap_or((None, None))
    }

    /// What a payment intent had to bring: its session's total, else its own amount.
    fn expected_of(&self, intent: &str, row: &View) -> (Option<i64>, Option<String>) {
        let session = self
            .sessions
            .iter()
            .filter_map(|(_, row)| row.as_ref())
            .find(|session| {
                session.text("payment_intent") == Some(intent)
                    && session.int("amount_total").is_some()
            });
        let (source, field) = session.map_or((row, "amount"), |session| (session, "amount_total"));
        (
            source.int(field),
            source.text("currency").map(str::to_owned),
        )
    }

    fn status(&self) -> OrderStatus {
        let mut states: Vec<OrderStatus> = Vec::new();
        for (id, row) in &self.payment_intents {
            let Some(row) = row else { continue };
            states.push(match row.text("status") {
                Some("succeeded") => {
                    let received = row.int("amount_received").or_else(|| row.int("amount"));
                    let paid = (received, row.text("currency").map(str::to_owned));
                    if paid == self.expected_of(id, row) {
                        OrderStatus::Paid
                    } else {
                        OrderStatus::Review
                    }
                }
                Some("requires_capture") => OrderStatus::Authorized,
                Some("requires_action") => OrderStatus::AwaitingCustomer,
                Some("canceled") => OrderStatus::Canceled,
                _ => OrderStatus::Pending,
            });
        }
        for (_, row) in &self.sessions {
            let Some(row) = row else { continue };
            // Where the payment intent's row is known, it is the better witness.
            let witnessed = row.text("payment_intent").is_some_and(|intent| {
                self.payment_intents
                    .iter()
                    .any(|(id, row)| id == intent && row.is_some())
            });
            if witnessed {
                continue;
            }
            states.push(match (row.text("status"), row.text("payment_status")) {
                (_, Some("paid" | "no_payment_required")) => OrderStatus::Paid,
                (Some("expired"), _) => OrderStatus::Canceled,
                _ => OrderStatus::Pending,
            });
        }
        [
            OrderStatus::Paid,
            OrderStatus::Review,
            OrderStatus::Authorized,
            OrderStatus::AwaitingCustomer,
        ]
        .into_iter()
        .find(|status| states.contains(status))
        .unwrap_or(
            if !states.is_empty() && states.iter().all(|s| *s == OrderStatus::Canceled) {
                OrderStatus::Canceled
            } else {
                OrderStatus::Pending
            },
        )
    }
}

#[cfg(test)]
mod tests;
