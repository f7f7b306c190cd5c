//! What the business itself has to see to at Stripe. No customer is written to about any of it.

use super::{Fact, FactKind, Lead, base};
use crate::stripe::event::Event;
use crate::stripe::links::NodeKind;
use crate::stripe::text::is_a_code;
use crate::stripe::view::{Family, View};

const DAY: i64 = 86_400;

/// `payout.failed`, and `payout.updated` where it says the same. A payout fails once, some days after it was paid
/// perhaps; what is paid out instead is another payout (docs.stripe.com/payouts).
pub fn payout_failed(event: &Event, fields: &View) -> Vec<Fact> {
    let failed = event.kind == "payout.failed" || fields.text("status") == Some("failed");
    match base(event, fields, Family::Payout) {
        Some(base) if failed => vec![base.fact(
            format!("payout:{}:failed", base.id),
            FactKind::Alert,
            Some(Lead::PayoutFailed),
        )],
        _ => Vec::new(),
    }
}

/// `invoice.finalization_failed`: every try that fails says so, with its reason in `last_finalization_error`
/// (docs.stripe.com/api/invoices/object). One reason is told once a day, another one at once.
pub fn finalization_failed(event: &Event, fields: &View) -> Vec<Fact> {
    let Some(base) = base(event, fields, Family::Invoice) else {
        return Vec::new();
    };
    let reason = fields.text("finalization_error").filter(|it| is_a_code(it));
    let word = reason.unwrap_or("unknown");
    let day = event.created.seconds().div_euclid(DAY);
    let mut fact = base.fact(
        format!("invoice:{}:finalization_failed:{word}:{day}", base.id),
        FactKind::Alert,
        Some(Lead::InvoiceFinalizationFailed),
    );
    fact.nodes.retain(|node| node.kind == NodeKind::Invoice);
    fact.reason = reason.map(str::to_owned);
    vec![fact]
}

/// `invoice.overpaid`: it became paid, and `amount_overpaid` is what is over (docs.stripe.com/api/events/types).
pub fn invoice_overpaid(event: &Event, fields: &View) -> Vec<Fact> {
    let Some(base) = base(event, fields, Family::Invoice) else {
        return Vec::new();
    };
    let mut fact = base.fact(
        format!("invoice:{}:overpaid", base.id),
        FactKind::Alert,
        Some(Lead::InvoiceOverpaid),
    );
    fact.nodes.retain(|node| node.kind == NodeKind::Invoice);
    // Versions before basil do not say how much: then no amount is better than the invoice's.
    fact.amount = fields
        .int("amount_overpaid")
        .filter(|over| *over > 0)
        .zip(fields.text("currency").map(str::to_owned));
    vec![fact]
}
