//! The stop conditions: which fact ends which follow-up, how far it reaches, and why.
//!
//! A new condition is a row here. The first row that holds gives the reason, so the order of the rows matters where two
//! hold at once: what Stripe says of the thing itself comes before what follows from it.

use super::{Purpose, Standing};
use crate::guardrails::derive::access::Access;
use crate::guardrails::derive::order::OrderStatus;
use crate::stripe::view::View;

use Purpose::{
    InvoicePaymentFailed, PaymentFailed, PaymentSucceeded, SubscriptionEnded, SubscriptionPastDue,
    WinbackDue,
};
use Reach::{Everything, Mails};
use Test::{Back, Deleted, Disconnected, Left, OrderPaid, Status};
use Thing::{Invoice, Payment, Subscription};

/// How far a fact reaches. Either ends a run that is not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Mails to the customer; notices to colleagues still go.
    Mails,
    /// Notices to colleagues, too: there is nothing to tell any more.
    Everything,
}

/// What has a status of Stripe's.
#[derive(Debug, Clone, Copy)]
enum Thing {
    Payment,
    Invoice,
    Subscription,
}

/// How a fact is read from the current rows.
#[derive(Debug)]
enum Test {
    /// The customer was deleted.
    Deleted,
    /// The thing has one of these statuses.
    Status(Thing, &'static [&'static str]),
    /// The thing has a status, and none of these.
    Left(Thing, &'static [&'static str]),
    /// The order is paid or authorized.
    OrderPaid,
    /// The customer has access by a subscription.
    Back,
    /// The connected account took back its leave.
    Disconnected,
}

/// One row of the table.
#[derive(Debug)]
pub struct Stop {
    /// The fact, in words.
    pub fact: &'static str,
    test: Test,
    ends: &'static [(Purpose, Reach)],
    /// Why it ends these, and why it reaches no further.
    pub why: &'static str,
}

/// Every stop condition. Nothing else ends `payment_succeeded` than the end of an account's leave: that money came in
/// stays true.
pub static STOPS: &[Stop] = &[
    Stop {
        fact: "customer deleted",
        test: Deleted,
        ends: &[
            (PaymentFailed, Mails),
            (InvoicePaymentFailed, Mails),
            (SubscriptionPastDue, Mails),
            (SubscriptionEnded, Mails),
            (WinbackDue, Mails),
        ],
        why: "the business has forgotten this person; what was lost is still news to colleagues",
    },
    Stop {
        fact: "payment succeeded",
        test: Status(Payment, &["succeeded"]),
        ends: &[
            (PaymentFailed, Everything),
            (InvoicePaymentFailed, Everything),
        ],
        why: "the money came in; an invoice says so a moment after its payment",
    },
    Stop {
        fact: "payment processing",
        test: Status(Payment, &["processing"]),
        ends: &[(PaymentFailed, Everything)],
        why: "the customer tried again and the bank is at it; another failure is another fact",
    },
    Stop {
        fact: "payment authorized",
        test: Status(Payment, &["requires_capture"]),
        ends: &[(PaymentFailed, Everything)],
        why: "the money is reserved",
    },
    Stop {
        fact: "payment canceled",
        test: Status(Payment, &["canceled"]),
        ends: &[(PaymentFailed, Mails)],
        why: "there is nothing left to pay; a lost sale is still news to colleagues",
    },
    Stop {
        fact: "order paid otherwise",
        test: OrderPaid,
        ends: &[(PaymentFailed, Everything)],
        why: "the customer paid with another payment",
    },
    Stop {
        fact: "invoice paid",
        test: Status(Invoice, &["paid"]),
        ends: &[
            (InvoicePaymentFailed, Everything),
            (SubscriptionPastDue, Everything),
        ],
        why: "the money came in; a subscription recovers a moment after its invoice",
    },
    Stop {
        fact: "invoice void",
        test: Status(Invoice, &["void"]),
        ends: &[(InvoicePaymentFailed, Mails)],
        why: "nothing is owed any more; that it was not collected is still news to colleagues",
    },
    Stop {
        fact: "invoice uncollectible",
        test: Status(Invoice, &["uncollectible"]),
        ends: &[(InvoicePaymentFailed, Mails)],
        why: "the business has given up on it; colleagues may not",
    },
    Stop {
        fact: "invoice no longer open",
        test: Left(Invoice, &["open", "paid", "void", "uncollectible"]),
        ends: &[(InvoicePaymentFailed, Mails)],
        why: "deleted, or in a status that this version does not know: only what is open is asked for",
    },
    Stop {
        fact: "subscription ended",
        test: Status(Subscription, &["canceled", "incomplete_expired"]),
        ends: &[(InvoicePaymentFailed, Mails), (SubscriptionPastDue, Mails)],
        why: "what has ended is not paid for; that a payment failed before is still news to colleagues",
    },
    Stop {
        fact: "subscription recovered",
        test: Status(Subscription, &["active", "trialing"]),
        ends: &[(SubscriptionPastDue, Everything)],
        why: "nothing is past due any more",
    },
    Stop {
        fact: "subscription no longer past due",
        test: Left(
            Subscription,
            &[
                "past_due",
                "active",
                "trialing",
                "canceled",
                "incomplete_expired",
            ],
        ),
        ends: &[(SubscriptionPastDue, Mails)],
        why: "unpaid or paused: Stripe does not collect any more, and colleagues may want to ask why",
    },
    Stop {
        fact: "subscription not ended",
        test: Left(Subscription, &["canceled"]),
        ends: &[(SubscriptionEnded, Everything)],
        why: "there is nobody to win back",
    },
    Stop {
        fact: "customer back",
        test: Back,
        ends: &[(WinbackDue, Everything)],
        why: "nobody is invited back who is here",
    },
    Stop {
        fact: "account disconnected",
        test: Disconnected,
        ends: &[
            (PaymentSucceeded, Everything),
            (PaymentFailed, Everything),
            (InvoicePaymentFailed, Everything),
            (SubscriptionPastDue, Everything),
            (SubscriptionEnded, Everything),
            (WinbackDue, Everything),
        ],
        why: "whose account has left is not ours to write to, nor to write about",
    },
];

impl Stop {
    /// How far it reaches for a purpose, if it ends anything there.
    pub fn reach(&self, purpose: Purpose) -> Option<Reach> {
        let (_, reach) = self.ends.iter().find(|(ended, _)| *ended == purpose)?;
        Some(*reach)
    }

    /// What is so now, in words, if the fact holds.
    pub fn holds(&self, standing: &Standing) -> Option<String> {
        match &self.test {
            Deleted => {
                let (_, customer) = standing.customer.as_ref()?;
                (customer.flag("deleted") == Some(true))
                    .then(|| "the customer was deleted".to_owned())
            }
            Status(thing, statuses) => thing.says(standing, |status| statuses.contains(&status)),
            Left(thing, statuses) => thing.says(standing, |status| !statuses.contains(&status)),
            OrderPaid => {
                let order = standing.order.as_ref()?;
                let unpaid = matches!(
                    order.status,
                    OrderStatus::Pending
                        | OrderStatus::AwaitingCustomer
                        | OrderStatus::Review
                        | OrderStatus::Canceled
                );
                (!unpaid).then(|| format!("order {} was paid by another payment", order.id))
            }
            Back => match standing.access.as_ref()? {
                Access::Granted { subscription, .. } | Access::Grace { subscription, .. } => Some(
                    format!("the customer is back with subscription {subscription}"),
                ),
                Access::Denied { .. } => None,
            },
            Disconnected => {
                let (id, account) = standing.account.as_ref()?;
                is_disconnected(account).then(|| format!("account {id} has disconnected"))
            }
        }
    }
}

/// Whether the row of a connected account says that it took back its leave, and has not given it again since.
pub fn is_disconnected(account: &View) -> bool {
    account.flag("authorized") == Some(false)
}

impl Thing {
    fn says(self, standing: &Standing, so: impl Fn(&str) -> bool) -> Option<String> {
        let (noun, row): (_, &Option<(String, View)>) = match self {
            Payment => ("payment", &standing.payment_intent),
            Invoice => ("invoice", &standing.invoice),
            Subscription => ("subscription", &standing.subscription),
        };
        let (_, row) = row.as_ref()?;
        let status = row.text("status").filter(|status| so(status))?;
        Some(format!("the {noun} is {status} now"))
    }
}
