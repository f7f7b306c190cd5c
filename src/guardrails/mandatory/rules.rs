//! Every event type with mandatory updates: one line each.
//!
//! The list follows Stripe's event reference (docs.stripe.com/api/events/types). Anything that is not in it is stored and
//! ignored.

use crate::stripe::event::Event;
use crate::stripe::view::{Family, View};

use super::facts::{self, Fact};
use super::snapshot::Phase;

use Family::{
    Account, Capability, Charge, CheckoutSession, Coupon, CreditNote, Customer, Discount, Dispute,
    EarlyFraudWarning, Entitlements, Invoice, InvoicePayment, Mandate, PaymentIntent,
    PaymentMethod, Payout, Price, Product, Refund, Review, SetupIntent, Subscription,
    SubscriptionSchedule,
};
use Phase::{Created, Hint, Later};

/// One event type and what it means.
#[derive(Debug)]
pub struct Rule {
    /// Stripe's event type.
    pub event_type: &'static str,
    /// What its object says something about.
    pub family: Family,
    /// What `data.object` calls itself.
    pub object: &'static str,
    /// Which object it says it about.
    pub key: Key,
    /// Where the type stands among events of one second.
    pub phase: Phase,
    /// Whether the object's row is kept; else only links and facts are taken.
    pub keeps_row: bool,
    /// A field that the type says, and its object does not.
    pub sets: Option<(&'static str, Said)>,
    /// What such an event says happened.
    pub facts: fn(&Event, &View) -> Vec<Fact>,
}

/// Which object an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The one that it shows, by its id.
    Object,
    /// The one that its customer has; it has no id of its own.
    Customer,
    /// The account that the event belongs to.
    Account,
}

/// What an event's type says of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It is so.
    Yes,
    /// It is not so.
    No,
    /// This.
    Word(&'static str),
}

const fn rule(event_type: &'static str, family: Family, phase: Phase) -> Rule {
    Rule {
        event_type,
        family,
        object: family.as_str(),
        key: Key::Object,
        phase,
        keeps_row: true,
        sets: None,
        facts: facts::none,
    }
}

impl Rule {
    const fn says(self, facts: fn(&Event, &View) -> Vec<Fact>) -> Self {
        Self { facts, ..self }
    }

    const fn sets(self, field: &'static str, said: Said) -> Self {
        Self {
            sets: Some((field, said)),
            ..self
        }
    }

    const fn about(self, object: &'static str) -> Self {
        Self { object, ..self }
    }

    const fn keyed_by(self, key: Key) -> Self {
        Self { key, ..self }
    }

    const fn without_row(self) -> Self {
        Self {
            keeps_row: false,
            ..self
        }
    }
}

/// Every event type with mandatory updates.
pub static RULES: &[Rule] = &[
    rule("payment_intent.created", PaymentIntent, Created),
    rule("payment_intent.processing", PaymentIntent, Later),
    rule("payment_intent.requires_action", PaymentIntent, Later),
    rule("payment_intent.partially_funded", PaymentIntent, Later),
    rule(
        "payment_intent.amount_capturable_updated",
        PaymentIntent,
        Later,
    ),
    rule("payment_intent.succeeded", PaymentIntent, Later).says(facts::payment_succeeded),
    rule("payment_intent.payment_failed", PaymentIntent, Later).says(facts::payment_failed),
    rule("payment_intent.canceled", PaymentIntent, Later),
    rule("charge.pending", Charge, Later),
    rule("charge.succeeded", Charge, Later),
    rule("charge.captured", Charge, Later),
    rule("charge.updated", Charge, Later),
    rule("charge.failed", Charge, Later).says(facts::charge_failed),
    rule("charge.expired", Charge, Later),
    rule("charge.refunded", Charge, Later),
    rule("refund.created", Refund, Created),
    rule("refund.updated", Refund, Later),
    rule("refund.failed", Refund, Later),
    rule("charge.refund.updated", Refund, Later),
    rule("charge.dispute.created", Dispute, Created).says(facts::dispute_told),
    rule("charge.dispute.updated", Dispute, Later).says(facts::dispute_told),
    rule("charge.dispute.funds_withdrawn", Dispute, Later).says(facts::dispute_told),
    rule("charge.dispute.funds_reinstated", Dispute, Later).says(facts::dispute_attached),
    rule("charge.dispute.closed", Dispute, Later).says(facts::dispute_told),
    rule(
        "radar.early_fraud_warning.created",
        EarlyFraudWarning,
        Created,
    ),
    rule(
        "radar.early_fraud_warning.updated",
        EarlyFraudWarning,
        Later,
    ),
    rule("review.opened", Review, Created),
    rule("review.closed", Review, Later),
    rule("checkout.session.completed", CheckoutSession, Later),
    rule(
        "checkout.session.async_payment_succeeded",
        CheckoutSession,
        Later,
    )
    .sets("async_payment", Said::Word("succeeded")),
    rule(
        "checkout.session.async_payment_failed",
        CheckoutSession,
        Later,
    )
    .sets("async_payment", Said::Word("failed"))
    .says(facts::checkout_failed),
    rule("checkout.session.expired", CheckoutSession, Later),
    rule("customer.created", Customer, Created),
    rule("customer.updated", Customer, Later),
    rule("customer.deleted", Customer, Later).sets("deleted", Said::Yes),
    rule("customer.subscription.created", Subscription, Created).says(facts::subscription_changed),
    rule("customer.subscription.updated", Subscription, Later).says(facts::subscription_changed),
    rule("customer.subscription.paused", Subscription, Later).says(facts::subscription_changed),
    rule("customer.subscription.resumed", Subscription, Later).says(facts::subscription_changed),
    rule(
        "customer.subscription.pending_update_applied",
        Subscription,
        Later,
    )
    .says(facts::subscription_changed),
    rule(
        "customer.subscription.pending_update_expired",
        Subscription,
        Later,
    )
    .says(facts::subscription_changed),
    rule("customer.subscription.trial_will_end", Subscription, Hint).says(facts::trial_will_end),
    rule("customer.subscription.deleted", Subscription, Later).says(facts::subscription_changed),
    rule(
        "subscription_schedule.created",
        SubscriptionSchedule,
        Created,
    ),
    rule("subscription_schedule.updated", SubscriptionSchedule, Later),
    rule("subscription_schedule.expiring", SubscriptionSchedule, Hint),
    rule(
        "subscription_schedule.released",
        SubscriptionSchedule,
        Later,
    ),
    rule(
        "subscription_schedule.completed",
        SubscriptionSchedule,
        Later,
    ),
    rule(
        "subscription_schedule.canceled",
        SubscriptionSchedule,
        Later,
    ),
    rule("subscription_schedule.aborted", SubscriptionSchedule, Later),
    rule(
        "entitlements.active_entitlement_summary.updated",
        Entitlements,
        Later,
    )
    .keyed_by(Key::Customer),
    rule("invoice.created", Invoice, Created),
    rule("invoice.updated", Invoice, Later).says(facts::invoice_updated),
    rule("invoice.finalized", Invoice, Later),
    rule("invoice.finalization_failed", Invoice, Later).says(facts::finalization_failed),
    rule("invoice.sent", Invoice, Later),
    rule("invoice.will_be_due", Invoice, Later),
    rule("invoice.overdue", Invoice, Later),
    rule("invoice.payment_action_required", Invoice, Later),
    rule("invoice.payment_failed", Invoice, Later).says(facts::invoice_payment_failed),
    rule("invoice.paid", Invoice, Later).says(facts::invoice_paid),
    rule("invoice.payment_succeeded", Invoice, Later).says(facts::invoice_paid),
    rule("invoice.overpaid", Invoice, Later).says(facts::invoice_overpaid),
    rule("invoice.marked_uncollectible", Invoice, Later),
    rule("invoice.voided", Invoice, Later),
    rule("invoice.deleted", Invoice, Later).sets("status", Said::Word("deleted")),
    rule("invoice.upcoming", Invoice, Hint).without_row(),
    rule("invoice_payment.paid", InvoicePayment, Later),
    rule("credit_note.created", CreditNote, Created),
    rule("credit_note.updated", CreditNote, Later),
    rule("credit_note.voided", CreditNote, Later),
    rule("payment_method.attached", PaymentMethod, Later),
    rule("payment_method.updated", PaymentMethod, Later),
    rule("payment_method.automatically_updated", PaymentMethod, Later),
    rule("payment_method.detached", PaymentMethod, Later),
    rule("setup_intent.created", SetupIntent, Created),
    rule("setup_intent.requires_action", SetupIntent, Later),
    rule("setup_intent.setup_failed", SetupIntent, Later),
    rule("setup_intent.succeeded", SetupIntent, Later),
    rule("setup_intent.canceled", SetupIntent, Later),
    rule("mandate.updated", Mandate, Later),
    rule("payout.created", Payout, Created),
    rule("payout.updated", Payout, Later).says(facts::payout_failed),
    rule("payout.paid", Payout, Later),
    rule("payout.failed", Payout, Later).says(facts::payout_failed),
    rule("payout.canceled", Payout, Later),
    rule("payout.reconciliation_completed", Payout, Later),
    rule("customer.discount.created", Discount, Created),
    rule("customer.discount.updated", Discount, Later),
    rule("customer.discount.deleted", Discount, Later).sets("deleted", Said::Yes),
    rule("product.created", Product, Created),
    rule("product.updated", Product, Later),
    rule("product.deleted", Product, Later).sets("deleted", Said::Yes),
    rule("price.created", Price, Created),
    rule("price.updated", Price, Later),
    rule("price.deleted", Price, Later).sets("deleted", Said::Yes),
    rule("coupon.created", Coupon, Created),
    rule("coupon.updated", Coupon, Later),
    rule("coupon.deleted", Coupon, Later).sets("deleted", Said::Yes),
    // Stripe tells a platform of an account only while the account lets it.
    rule("account.updated", Account, Later).sets("authorized", Said::Yes),
    rule("account.application.authorized", Account, Later)
        .about("application")
        .keyed_by(Key::Account)
        .sets("authorized", Said::Yes),
    rule("account.application.deauthorized", Account, Later)
        .about("application")
        .keyed_by(Key::Account)
        .sets("authorized", Said::No),
    rule("capability.updated", Capability, Later),
];

/// The rule of an event type, or nothing for a type that nobody handles.
pub fn rule_of(event_type: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.event_type == event_type)
}
