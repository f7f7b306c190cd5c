//! The names that prompts may use, in one place: for the check, for the documentation and for whoever fills them in.

use serde_json::{Value, json};

/// What playbooks, `when` conditions and `=` arguments may name: the name, and what it holds.
///
/// All names are always present; what is not known is `null`, `false` or empty. None of them is text that a customer
/// wrote.
pub const CONTEXT: &[(&str, &str)] = &[
    (
        "event_type",
        "the Stripe event type that led here, or `schedule`",
    ),
    (
        "amount",
        "the amount as it is shown to a person, with its currency",
    ),
    ("currency", "the currency's code in lower case"),
    ("amount_major", "the amount as a number of major units"),
    (
        "high_value",
        "whether the amount is over `sales.high_value` of its currency",
    ),
    ("recipient", "whether there is an address to write to"),
    ("has_paid", "whether this customer has ever paid"),
    ("attempt_count", "how often Stripe has tried to collect"),
    (
        "next_payment_attempt",
        "whether Stripe will try again by itself",
    ),
    (
        "decline_category",
        "one of generic, expired_card, insufficient_funds, authentication_required, other",
    ),
    (
        "dispute",
        "one of none, inquiry, open, lost: how far a dispute has come",
    ),
    (
        "trial",
        "one of none, goes_on, lapses: what follows on the end of a trial by itself; one that lapses needs a payment method first",
    ),
    ("locale", "the customer's locale, for example `de-AT`"),
    ("language", "the language to write in, for example `de`"),
    ("plan", "the plan's name, or null"),
    (
        "winback_days",
        "the usual number of days before a win-back mail",
    ),
    (
        "update_link",
        "whether a link to update the payment can be offered",
    ),
    ("business_name", "the name of the business"),
    (
        "placeholders",
        "the placeholders that are offered in this run",
    ),
    (
        "words",
        "the most words a body may have; set from the playbook's limits",
    ),
];

/// What a mail's prose may name in double braces: the name, and what is put in its place.
pub const PLACEHOLDERS: &[(&str, &str)] = &[
    ("amount", "the amount with its currency"),
    ("business_name", "the name of the business"),
    (
        "update_payment_link",
        "the one link to pay or to change the payment details",
    ),
    ("next_attempt_date", "the day on which Stripe tries again"),
    ("invoice_number", "the invoice's number"),
    ("plan", "the plan's name"),
    ("product", "the product's name"),
    ("trial_end_date", "the day on which the trial ends"),
    ("period_end", "the day on which the paid period ends"),
];

/// The placeholder that becomes a link; the only one that is not plain text.
pub const LINK_PLACEHOLDER: &str = "update_payment_link";

/// The placeholders whose values every mail about a payment has. A paragraph of a template that names another one is
/// left out where that one is not offered.
pub(super) const ALWAYS: [&str; 2] = ["amount", "business_name"];

/// What the frames `emails/layout.*` may name.
pub(super) const LAYOUT: &[&str] = &[
    "lang",
    "language",
    "subject",
    "greeting_name",
    "paragraphs",
    "business_name",
    "support_email",
];

/// A context in which everything has a plausible value: for checks, documentation and tests.
pub fn sample_context() -> Value {
    json!({
        "event_type": "payment_intent.payment_failed",
        "amount": "€49.00",
        "currency": "eur",
        "amount_major": 49.0,
        "high_value": false,
        "recipient": true,
        "has_paid": true,
        "attempt_count": 1,
        "next_payment_attempt": true,
        "decline_category": "generic",
        "dispute": "none",
        "trial": "goes_on",
        "locale": "en-GB",
        "language": "en",
        "plan": "Team",
        "winback_days": 7,
        "update_link": true,
        "business_name": "Acme",
        "placeholders": PLACEHOLDERS.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        "words": 100,
    })
}
