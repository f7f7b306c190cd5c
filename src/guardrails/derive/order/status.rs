//! An order's status: each of its payments has one, and a table says which of them is the order's.

use super::{Component, OrderStatus, Payment};
use crate::guardrails::derive::contest::Contest;
use crate::stripe::view::View;

use OrderStatus::{
    Authorized, AwaitingCustomer, Canceled, ChargedBack, Disputed, Paid, PartiallyRefunded,
    Pending, Refunded, Review,
};

/// Of the statuses of several payments the first in this list is the order's.
const PRECEDENCE: &[OrderStatus] = &[
    // The bank holds the money of one payment: whoever ships or refunds now may lose it twice.
    Disputed,
    // One payment that stands is enough. Who paid twice and was paid back once has still paid.
    Paid,
    // Money stands that is not what was agreed: a person looks at it before anything less counts.
    Review,
    // Some of the money stands.
    PartiallyRefunded,
    // Money is reserved, which is more than money that is gone.
    Authorized,
    // What was paid and taken back says more of an order than an attempt that nobody finished.
    ChargedBack,
    Refunded,
    // Somebody can still pay, and is asked to act.
    AwaitingCustomer,
    Pending,
    // Only what has no other payment is canceled.
    Canceled,
];

fn first(statuses: impl Iterator<Item = OrderStatus>) -> Option<OrderStatus> {
    statuses.min_by_key(|status| PRECEDENCE.iter().position(|other| other == status))
}

impl Component {
    /// The status from all of its payments, and from the sessions that made none.
    pub(super) fn status(&self) -> OrderStatus {
        let payments = self.payments.iter().filter_map(|p| self.status_of(p));
        let sessions = self
            .session_rows()
            .filter(|session| {
                let intent = session.text("payment_intent");
                !self
                    .payments
                    .iter()
                    .any(|p| Some(p.intent.as_str()) == intent)
            })
            .map(of_session);
        first(payments.chain(sessions)).unwrap_or(Pending)
    }

    /// The status of one payment; nothing where no row says anything of it.
    fn status_of(&self, payment: &Payment) -> Option<OrderStatus> {
        let contested = |how: Contest| {
            let mut contests = payment.disputes.iter().map(|(_, row)| Contest::of(row));
            contests.any(|contest| contest == how)
        };
        if contested(Contest::Open) {
            return Some(Disputed);
        }
        if contested(Contest::Lost) {
            return Some(ChargedBack);
        }
        // Where the payment intent's row is known, it is the better witness.
        let (status, brought) = if let Some(row) = &payment.row {
            (self.of_intent(&payment.intent, row), received(row))
        } else {
            let sessions = || self.sessions_of(&payment.intent);
            let totals = sessions().filter_map(|session| session.int("amount_total"));
            (first(sessions().map(of_session))?, totals.max())
        };
        let refunded = payment.refunded();
        Some(match status {
            Paid | Review if refunded > 0 && brought.is_some_and(|sum| refunded >= sum) => Refunded,
            Paid if refunded > 0 => PartiallyRefunded,
            other => other,
        })
    }

    fn of_intent(&self, intent: &str, row: &View) -> OrderStatus {
        match row.text("status") {
            Some("succeeded") => {
                let paid = (received(row), row.text("currency"));
                if paid == self.expected_of(intent, row) {
                    Paid
                } else {
                    Review
                }
            }
            Some("requires_capture") => Authorized,
            Some("canceled") => Canceled,
            // Whoever would have to act has no place left to do it.
            Some("requires_payment_method" | "requires_confirmation" | "requires_action")
                if self.is_given_up(intent) =>
            {
                Canceled
            }
            Some("requires_action") => AwaitingCustomer,
            _ => Pending,
        }
    }

    /// Whether a payment was made by sessions, all of which ended without it.
    fn is_given_up(&self, intent: &str) -> bool {
        let mut sessions = self.sessions_of(intent).map(of_session).peekable();
        sessions.peek().is_some() && sessions.all(|status| status == Canceled)
    }

    /// What a payment intent had to bring: its session's total, else its own amount.
    fn expected_of<'a>(&'a self, intent: &str, row: &'a View) -> (Option<i64>, Option<&'a str>) {
        let session = self
            .sessions_of(intent)
            .find(|session| session.int("amount_total").is_some());
        let (source, field) = session.map_or((row, "amount"), |session| (session, "amount_total"));
        (source.int(field), source.text("currency"))
    }
}

fn received(intent: &View) -> Option<i64> {
    intent
        .int("amount_received")
        .or_else(|| intent.int("amount"))
}

/// What a session says where no payment's row is known.
///
/// `unpaid` waits: a bank debit takes days, and its end is told by an event of its own
/// (docs.stripe.com/payments/checkout/fulfill-orders), of which `async_payment` keeps the word.
fn of_session(session: &View) -> OrderStatus {
    let has = |field, word| session.text(field) == Some(word);
    if has("payment_status", "paid") || has("payment_status", "no_payment_required") {
        Paid
    } else if has("status", "expired") || has("async_payment", "failed") {
        Canceled
    } else {
        Pending
    }
}

#[cfg(test)]
mod tests;
