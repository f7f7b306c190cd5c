//! What a notice to colleagues says of a case, less whom it concerns.
//!
//! It is written in the business's own manner, whatever the customer's locale, and amounts by the currency's code: several
//! countries call theirs `$` or `kr`.

use billhook_tools::{Flow, Money};

use super::{Dispute, Settings, Subject};
use crate::agent::prompts::primary_language;
use crate::guardrails::precondition::Purpose;
use crate::guardrails::provenance::Fact;
use crate::stripe::links::NodeKind;

/// Which way the money goes that it is about.
pub(super) fn flow(purpose: Purpose) -> Flow {
    match purpose {
        Purpose::PayoutFailed => Flow::Payout,
        _ => Flow::Charge,
    }
}

/// The notice's fields: name and value.
pub(super) fn particulars(
    subject: &Subject<'_>,
    amount: Option<Money>,
    dispute: Option<&Dispute>,
    settings: &Settings,
) -> Vec<(&'static str, Fact)> {
    let purpose = subject.purpose;
    let name = match purpose {
        Purpose::InvoiceOverpaid => "Overpaid by",
        _ => "Amount",
    };
    let amount = amount.map(|amount| {
        let (locale, exponents) = (&settings.locale, &settings.exponents);
        let fact = Fact::amount_by_code(amount, flow(purpose), locale, exponents);
        (name, fact)
    });
    let language = primary_language(&settings.locale);
    let of_dispute = dispute.map(|dispute| dispute.fields(&language));
    amount
        .into_iter()
        .chain(of_dispute.into_iter().flatten())
        .chain(of_alert(subject))
        .collect()
}

/// Of what the business has to see to at Stripe: Stripe's reason, the object to look for in its dashboard, and what there is
/// to do with it, which a summary may not say: its words are those that no mail may have.
fn of_alert(subject: &Subject<'_>) -> Vec<(&'static str, Fact)> {
    let (occurrence, standing) = (subject.occurrence, subject.standing);
    let (noun, kind, reason, to_do) = match subject.purpose {
        Purpose::PayoutFailed => {
            let payout = standing.payout.as_ref();
            let code = payout.and_then(|(_, row)| row.text("failure_code"));
            let to_do = "replace or confirm the bank account in Stripe";
            ("Payout", NodeKind::Payout, code, to_do)
        }
        // What was told, and not what the row says by now: another reason is told by itself.
        Purpose::InvoiceFinalizationFailed => {
            let to_do = "mend the reason in Stripe, and finalize the invoice there";
            let reason = occurrence.reason.as_deref();
            ("Invoice", NodeKind::Invoice, reason, to_do)
        }
        Purpose::InvoiceOverpaid => {
            let to_do = "a credit note in Stripe, unless it shall stay for the next invoice";
            ("Invoice", NodeKind::Invoice, None, to_do)
        }
        _ => return Vec::new(),
    };
    let object = occurrence.nodes.iter().find(|node| node.kind == kind);
    [
        ("Reason", reason.and_then(Fact::code)),
        (noun, object.and_then(|node| Fact::id(&node.id))),
        ("To do", Some(Fact::ours(to_do))),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}
