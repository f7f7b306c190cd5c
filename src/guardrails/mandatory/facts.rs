//! What events say happened. Several events of one second usually say the same: see `occurrence.rs`.

mod alert;
mod dispute;
mod trial;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::stripe::event::Event;
use crate::stripe::links::{Node, NodeKind, edges};
use crate::stripe::view::{Family, View};

pub use self::alert::{finalization_failed, invoice_overpaid, payout_failed};
pub use self::dispute::{dispute_attached, dispute_told, is_inquiry};
pub use self::trial::trial_will_end;

/// What kind of business fact it is. Only facts of one kind can be the same occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactKind {
    /// A payment failed.
    Failure,
    /// A payment came in.
    Success,
    /// A subscription ended.
    Ended,
    /// A payment is disputed, or a bank asks about it.
    Dispute,
    /// A trial is about to end.
    Trial,
    /// Something at Stripe that the business itself has to see to.
    Alert,
}

impl FactKind {
    /// The word stored with an occurrence.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Success => "success",
            Self::Ended => "ended",
            Self::Dispute => "dispute",
            Self::Trial => "trial",
            Self::Alert => "alert",
        }
    }
}

/// Which follow-up a fact asks for. One occurrence has one; the greater takes precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lead {
    /// An invoice was paid with more than it asked for.
    InvoiceOverpaid,
    /// An invoice could not be finalized.
    InvoiceFinalizationFailed,
    /// A payout failed.
    PayoutFailed,
    /// A trial is about to end.
    TrialEnding,
    /// A bank asks about a payment; no money has moved.
    InquiryOpened,
    /// A payment is disputed.
    DisputeOpened,
    /// A payment succeeded.
    PaymentSucceeded,
    /// A subscription ended.
    SubscriptionEnded,
    /// A payment without an invoice failed.
    PaymentFailed,
    /// A subscription went past due and no failing invoice is known.
    SubscriptionPastDue,
    /// An invoice's payment failed.
    InvoicePaymentFailed,
}

impl Lead {
    /// What a failure may ask for: one that waits gives way to a greater one.
    pub const OF_FAILURES: [Self; 3] = [
        Self::PaymentFailed,
        Self::SubscriptionPastDue,
        Self::InvoicePaymentFailed,
    ];

    /// The playbook it asks for.
    pub fn playbook(self) -> &'static str {
        match self {
            Self::InvoiceOverpaid => "invoice_overpaid",
            Self::InvoiceFinalizationFailed => "invoice_finalization_failed",
            Self::PayoutFailed => "payout_failed",
            Self::TrialEnding => "trial_ending",
            Self::InquiryOpened | Self::DisputeOpened => "dispute_opened",
            Self::PaymentSucceeded => "payment_succeeded",
            Self::SubscriptionEnded => "subscription_ended",
            Self::PaymentFailed => "payment_failed",
            Self::SubscriptionPastDue => "subscription_past_due",
            Self::InvoicePaymentFailed => "invoice_payment_failed",
        }
    }

    /// What whoever runs billhook is told at once, where money stands still until a person does something about it.
    pub fn alarm(self) -> Option<&'static str> {
        match self {
            Self::PayoutFailed => Some(
                "a payout failed: Stripe pays nothing more out to that bank account until it is replaced there",
            ),
            Self::InvoiceFinalizationFailed => Some(
                "an invoice could not be finalized: Stripe does not collect it until the reason is mended there",
            ),
            _ => None,
        }
    }
}

/// One thing that an event says happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// Its name, the same from every event that tells it: `invoice:in_1:failed:2`.
    pub name: String,
    /// What kind of fact it is.
    pub kind: FactKind,
    /// The follow-up it asks for; a fact without one only joins an occurrence.
    pub lead: Option<Lead>,
    /// The objects it names itself, before links are followed.
    pub nodes: BTreeSet<Node>,
    /// The charge it names: two failures that name different charges are different.
    pub charge: Option<String>,
    /// The invoice and attempt it names: two attempts of one invoice are different.
    pub attempt: Option<(String, i64)>,
    /// The end of a trial that it is about: one that moved is another fact.
    pub trial_end: Option<i64>,
    /// Why an invoice could not be finalized, in Stripe's word: another reason is another fact.
    pub reason: Option<String>,
    /// The customer, for matching where no link tells.
    pub customer: Option<String>,
    /// Amount and currency, for matching where no link tells.
    pub amount: Option<(i64, String)>,
    /// The event's `created`.
    pub created: Timestamp,
}

/// For event types that only change state.
pub fn none(_: &Event, _: &View) -> Vec<Fact> {
    Vec::new()
}

struct Base<'a> {
    event: &'a Event,
    fields: &'a View,
    family: Family,
    id: &'a str,
}

impl Base<'_> {
    fn fact(&self, name: String, kind: FactKind, lead: Option<Lead>) -> Fact {
        let amount_field = match self.family {
            Family::Invoice => "amount_due",
            Family::CheckoutSession => "amount_total",
            _ => "amount",
        };
        let mut nodes: BTreeSet<Node> = edges(self.family, self.id, &self.event.object)
            .into_iter()
            .flat_map(|edge| [edge.first().clone(), edge.last().clone()])
            .filter(|node| {
                matches!(
                    node.kind,
                    NodeKind::PaymentIntent
                        | NodeKind::Invoice
                        | NodeKind::Charge
                        | NodeKind::Subscription
                )
            })
            .collect();
        if let Some(kind) = NodeKind::of(self.family) {
            nodes.insert(Node::new(kind, self.id));
        }
        let is_payment = |node: &&Node| node.kind == NodeKind::PaymentIntent;
        if self.family == Family::Invoice && nodes.iter().filter(is_payment).count() > 1 {
            // An invoice that several payments share tells of none of them by name: links still join it to the one that
            // failed or came in, and the others are not taken for it.
            nodes.retain(|node| node.kind != NodeKind::PaymentIntent);
        }
        Fact {
            name,
            kind,
            lead,
            nodes,
            charge: None,
            attempt: None,
            trial_end: None,
            reason: None,
            customer: self.event.customer().map(str::to_owned),
            amount: self
                .fields
                .int(amount_field)
                .zip(self.fields.text("currency"))
                .map(|(amount, currency)| (amount, currency.to_owned())),
            created: self.event.created,
        }
    }
}

fn base<'a>(event: &'a Event, fields: &'a View, family: Family) -> Option<Base<'a>> {
    event.object_id().map(|id| Base {
        event,
        fields,
        family,
        id,
    })
}

/// `payment_intent.succeeded`: the one event that leads `payment_succeeded`.
pub fn payment_succeeded(event: &Event, fields: &View) -> Vec<Fact> {
    let Some(base) = base(event, fields, Family::PaymentIntent) else {
        return Vec::new();
    };
    vec![base.fact(
        format!("pi:{}:succeeded", base.id),
        FactKind::Success,
        Some(Lead::PaymentSucceeded),
    )]
}

/// `payment_intent.payment_failed`: leads where no invoice is linked.
pub fn payment_failed(event: &Event, fields: &View) -> Vec<Fact> {
    let Some(base) = base(event, fields, Family::PaymentIntent) else {
        return Vec::new();
    };
    // `last_payment_error.charge` is the failed try; `latest_charge` is the same where the error names none.
    let charge = fields
        .text("error_charge")
        .or_else(|| fields.text("latest_charge"))
        .map(str::to_owned);
    // A try that made no charge (a failed authentication) is told apart by its second.
    let attempt = charge
        .clone()
        .unwrap_or_else(|| format!("at_{}", event.created.seconds()));
    let lead = fields
        .text("invoice")
        .is_none()
        .then_some(Lead::PaymentFailed);
    let mut fact = base.fact(
        format!("pi:{}:failed:{attempt}", base.id),
        FactKind::Failure,
        lead,
    );
    fact.nodes
        .retain(|node| node.kind != NodeKind::Charge || Some(&node.id) == charge.as_ref());
    fact.charge = charge;
    vec![fact]
}

/// `charge.failed`: never leads; its payment intent or invoice does.
pub fn charge_failed(event: &Event, fields: &View) -> Vec<Fact> {
    let Some(base) = base(event, fields, Family::Charge) else {
        return Vec::new();
    };
    let mut fact = base.fact(
        format!("charge:{}:failed", base.id),
        FactKind::Failure,
        None,
    );
    fact.charge = Some(base.id.to_owned());
    vec![fact]
}

/// `checkout.session.async_payment_failed`: its payment intent's failure, told once more.
pub fn checkout_failed(event: &Event, fields: &View) -> Vec<Fact> {
    base(event, fields, Family::CheckoutSession).map_or_else(Vec::new, |base| {
        let name = format!("session:{}:failed", base.id);
        vec![base.fact(name, FactKind::Failure, None)]
    })
}

fn invoice_failed(base: &Base<'_>, lead: Option<Lead>) -> Vec<Fact> {
    let attempt = base.fields.int("attempt_count").unwrap_or(0);
    let mut fact = base.fact(
        format!("invoice:{}:failed:{attempt}", base.id),
        FactKind::Failure,
        lead,
    );
    fact.charge = base.fields.text("charge").map(str::to_owned);
    fact.attempt = Some((base.id.to_owned(), attempt));
    // An invoice lists the charges of earlier attempts too; only the latest is about this failure.
    fact.nodes
        .retain(|node| node.kind != NodeKind::Charge || Some(&node.id) == fact.charge.as_ref());
    vec![fact]
}

/// `invoice.payment_failed`: leads for everything that an invoice collects.
pub fn invoice_payment_failed(event: &Event, fields: &View) -> Vec<Fact> {
    base(event, fields, Family::Invoice).map_or_else(Vec::new, |base| {
        invoice_failed(&base, Some(Lead::InvoicePaymentFailed))
    })
}

/// `invoice.updated` that counted an attempt and left the invoice open: the same failure, told once more.
pub fn invoice_updated(event: &Event, fields: &View) -> Vec<Fact> {
    let counted = event
        .previous
        .as_ref()
        .is_some_and(|previous| previous.get("attempt_count").is_some());
    let failed =
        fields.text("status") == Some("open") && fields.int("attempt_count").is_some_and(|n| n > 0);
    match base(event, fields, Family::Invoice) {
        Some(base) if counted && failed => invoice_failed(&base, None),
        _ => Vec::new(),
    }
}

/// `invoice.paid`: joins the payment that paid it.
pub fn invoice_paid(event: &Event, fields: &View) -> Vec<Fact> {
    let Some(base) = base(event, fields, Family::Invoice) else {
        return Vec::new();
    };
    vec![base.fact(format!("invoice:{}:paid", base.id), FactKind::Success, None)]
}

/// A subscription that went past due, or ended. `incomplete_expired` says nothing: it never began.
pub fn subscription_changed(event: &Event, fields: &View) -> Vec<Fact> {
    let Some(base) = base(event, fields, Family::Subscription) else {
        return Vec::new();
    };
    match fields.text("status") {
        Some("canceled") => {
            vec![base.fact(
                format!("subscription:{}:ended", base.id),
                FactKind::Ended,
                Some(Lead::SubscriptionEnded),
            )]
        }
        Some("past_due") if became_past_due(event) => {
            let period = fields.text("latest_invoice").map_or_else(
                || {
                    fields
                        .int("current_period_start")
                        .unwrap_or_else(|| event.created.seconds())
                        .to_string()
                },
                str::to_owned,
            );
            let name = format!("subscription:{}:past_due:{period}", base.id);
            vec![base.fact(name, FactKind::Failure, Some(Lead::SubscriptionPastDue))]
        }
        _ => Vec::new(),
    }
}

/// A later update of a subscription that already was past due is no new failure.
fn became_past_due(event: &Event) -> bool {
    event.kind == "customer.subscription.updated"
        && event
            .previous
            .as_ref()
            .is_some_and(|previous| previous.get("status").is_some())
}
