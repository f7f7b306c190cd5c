//! Normalized views of Stripe's objects: the same fields whatever API version shaped the JSON.
//!
//! A view keeps what the business's state is made of, and nothing else. A field is in it only if the JSON shows it in
//! a known place: *absent* says that nothing was said, *null* says that there is none, and the projection of many
//! snapshots depends on the difference. A value of the wrong type counts as absent; a value that nobody has seen
//! before passes as text. Views never judge: whether a status may follow another is for the guardrails.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::stripe::views;

/// The kinds of objects that have a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Somebody who pays.
    Customer,
    /// A recurring agreement.
    Subscription,
    /// What a subscription is to become, and when.
    SubscriptionSchedule,
    /// What a customer is entitled to; one for each customer.
    #[serde(rename = "entitlements.active_entitlement_summary")]
    Entitlements,
    /// A coupon that a customer has.
    Discount,
    /// A bill.
    Invoice,
    /// One payment towards an invoice; since the basil versions an invoice may have many.
    InvoicePayment,
    /// What was taken off an invoice.
    CreditNote,
    /// One attempt to be paid, with all its charges.
    PaymentIntent,
    /// One movement of money, or one decline.
    Charge,
    /// Money on its way back.
    Refund,
    /// A charge that the cardholder contests.
    Dispute,
    /// A card issuer's warning that a charge may be fraud.
    #[serde(rename = "radar.early_fraud_warning")]
    EarlyFraudWarning,
    /// A payment that somebody looks at before it is trusted.
    Review,
    /// One visit to Stripe's checkout.
    #[serde(rename = "checkout.session")]
    CheckoutSession,
    /// A card or an account that can be charged.
    PaymentMethod,
    /// One attempt to get a payment method for later.
    SetupIntent,
    /// The leave to debit an account.
    Mandate,
    /// Money on its way to the business's bank.
    Payout,
    /// A connected account.
    Account,
    /// One thing that a connected account may do.
    Capability,
    /// Something that is sold.
    Product,
    /// What a product costs.
    Price,
    /// What takes something off a price.
    Coupon,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 24] = [
        Self::Customer,
        Self::Subscription,
        Self::SubscriptionSchedule,
        Self::Entitlements,
        Self::Discount,
        Self::Invoice,
        Self::InvoicePayment,
        Self::CreditNote,
        Self::PaymentIntent,
        Self::Charge,
        Self::Refund,
        Self::Dispute,
        Self::EarlyFraudWarning,
        Self::Review,
        Self::CheckoutSession,
        Self::PaymentMethod,
        Self::SetupIntent,
        Self::Mandate,
        Self::Payout,
        Self::Account,
        Self::Capability,
        Self::Product,
        Self::Price,
        Self::Coupon,
    ];

    /// Stripe's name for such an object, as its `object` field says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Subscription => "subscription",
            Self::SubscriptionSchedule => "subscription_schedule",
            Self::Entitlements => "entitlements.active_entitlement_summary",
            Self::Discount => "discount",
            Self::Invoice => "invoice",
            Self::InvoicePayment => "invoice_payment",
            Self::CreditNote => "credit_note",
            Self::PaymentIntent => "payment_intent",
            Self::Charge => "charge",
            Self::Refund => "refund",
            Self::Dispute => "dispute",
            Self::EarlyFraudWarning => "radar.early_fraud_warning",
            Self::Review => "review",
            Self::CheckoutSession => "checkout.session",
            Self::PaymentMethod => "payment_method",
            Self::SetupIntent => "setup_intent",
            Self::Mandate => "mandate",
            Self::Payout => "payout",
            Self::Account => "account",
            Self::Capability => "capability",
            Self::Product => "product",
            Self::Price => "price",
            Self::Coupon => "coupon",
        }
    }

    /// The family that Stripe calls `object`.
    pub fn parse(object: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|family| family.as_str() == object)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Normalized fields. A missing key is *absent*; [`Value::Null`] is *null*. They differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct View(BTreeMap<String, Value>);

impl View {
    /// The field as text; `None` where it is absent, null or no text.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.get(field)?.as_str()
    }

    /// The field as a whole number: an amount in minor units, a count, seconds.
    pub fn int(&self, field: &str) -> Option<i64> {
        self.get(field)?.as_i64()
    }

    /// The field as yes or no.
    pub fn flag(&self, field: &str) -> Option<bool> {
        self.get(field)?.as_bool()
    }

    /// The field as it is kept; `None` only where it is absent.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field)
    }

    /// Whether the object said anything about the field, null included.
    pub fn is_present(&self, field: &str) -> bool {
        self.0.contains_key(field)
    }

    /// Whether the object said that there is none.
    pub fn is_null(&self, field: &str) -> bool {
        self.get(field).is_some_and(Value::is_null)
    }

    /// Sets a field, and says what stood there before.
    pub fn insert(&mut self, field: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        self.0.insert(field.into(), value.into())
    }

    /// Takes a field out: nothing was said about it.
    pub fn remove(&mut self, field: &str) {
        self.0.remove(field);
    }

    /// The fields in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(field, value)| (field.as_str(), value))
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads the view of `object`, which is taken to be of `family` whatever its own `object` field says.
pub fn view(family: Family, object: &Value) -> View {
    let mut reading = views::Reading::of(object);
    match family {
        Family::Customer => views::customer::read(&mut reading),
        Family::Subscription => views::subscription::read(&mut reading),
        Family::SubscriptionSchedule => views::subscription_schedule::read(&mut reading),
        Family::Entitlements => views::entitlements::read(&mut reading),
        Family::Discount => views::discount::read(&mut reading),
        Family::Invoice => views::invoice::read(&mut reading),
        Family::InvoicePayment => views::invoice_payment::read(&mut reading),
        Family::CreditNote => views::credit_note::read(&mut reading),
        Family::PaymentIntent => views::payment_intent::read(&mut reading),
        Family::Charge => views::charge::read(&mut reading),
        Family::Refund => views::refund::read(&mut reading),
        Family::Dispute => views::dispute::read(&mut reading),
        Family::EarlyFraudWarning => views::early_fraud_warning::read(&mut reading),
        Family::Review => views::review::read(&mut reading),
        Family::CheckoutSession => views::checkout_session::read(&mut reading),
        Family::PaymentMethod => views::payment_method::read(&mut reading),
        Family::SetupIntent => views::setup_intent::read(&mut reading),
        Family::Mandate => views::mandate::read(&mut reading),
        Family::Payout => views::payout::read(&mut reading),
        Family::Account => views::account::read(&mut reading),
        Family::Capability => views::capability::read(&mut reading),
        Family::Product => views::product::read(&mut reading),
        Family::Price => views::price::read(&mut reading),
        Family::Coupon => views::coupon::read(&mut reading),
    }
    reading.into_view()
}

#[cfg(test)]
mod tests;
