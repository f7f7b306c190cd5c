//! The stop conditions: which fact ends which follow-up, how far it reaches, and why.
//!
//! A new condition is a row here. The first row that holds gives the reason, so the order of the rows matters where two
//! hold at once: what Stripe says of the thing itself comes before what follows from it.

use super::condition::{Test, Thing, is_lost, is_open};
pub use super::condition::{has_a_clock, is_disconnected};
use super::{Purpose, Standing};

use Purpose::{
    DisputeOpened, InvoiceFinalizationFailed, InvoiceOverpaid, InvoicePaymentFailed, PaymentFailed,
    PaymentSucceeded, PayoutFailed, SubscriptionEnded, SubscriptionPastDue, TrialEnding,
    WinbackDue,
};
use Reach::{Everything, Mails};
use Test::{
    Back, Deleted, Disconnected, Disputed, Escalated, Free, Leaving, Left, NothingOver, OrderPaid,
    Refunded, Reviewed, Status, TrialMoved, TrialPast, Uncollected, Warned,
};
use Thing::{Dispute, Invoice, Payment, Subscription};

/// How far a fact reaches. Either ends a run that is not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Mails to the customer; notices to colleagues still go.
    Mails,
    /// Notices to colleagues, too: there is nothing to tell any more.
    Everything,
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

/// Every stop condition. Nothing but a full refund and the end of an account's leave ends `payment_succeeded`: that money
/// came in stays true. And nothing but the latter ends `payout_failed`: the next payout fails as this one did.
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
            (TrialEnding, Mails),
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
        why: "the customer paid with another payment; one that was paid back since is not asked for again either",
    },
    Stop {
        fact: "payment refunded in full",
        test: Refunded,
        ends: &[(PaymentSucceeded, Everything)],
        why: "nobody is to be thanked for money that went back",
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
        fact: "invoice finalized or given up",
        test: Status(
            Invoice,
            &["open", "paid", "void", "uncollectible", "deleted"],
        ),
        ends: &[(InvoiceFinalizationFailed, Everything)],
        why: "whatever kept it a draft keeps it no more",
    },
    Stop {
        fact: "nothing overpaid",
        test: NothingOver,
        ends: &[(InvoiceOverpaid, Everything)],
        why: "somebody has dealt with it already",
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
        fact: "trial over",
        test: Left(Subscription, &["trialing"]),
        ends: &[(TrialEnding, Everything)],
        why: "it ended early, or was ended: what comes next is told by its own events",
    },
    Stop {
        fact: "trial moved",
        test: TrialMoved,
        ends: &[(TrialEnding, Everything)],
        why: "the day in the mail would be wrong; Stripe tells the new one in time",
    },
    Stop {
        fact: "trial past",
        test: TrialPast,
        ends: &[(TrialEnding, Everything)],
        why: "the word came too late to be of use to anybody",
    },
    Stop {
        fact: "subscription ends with its trial",
        test: Leaving,
        ends: &[(TrialEnding, Everything)],
        why: "nothing will be charged, and whoever has said no is not asked again",
    },
    Stop {
        fact: "subscription not collected",
        test: Uncollected,
        ends: &[(TrialEnding, Everything)],
        why: "its invoices are voided, written off or kept back: nothing will be charged when the trial ends",
    },
    Stop {
        fact: "subscription costs nothing",
        test: Free,
        ends: &[(TrialEnding, Everything)],
        why: "the trial ends and nothing changes",
    },
    Stop {
        fact: "dispute over",
        test: Status(
            Dispute,
            &["won", "warning_closed", "prevented", "charge_refunded"],
        ),
        ends: &[(DisputeOpened, Everything)],
        why: "there is nothing to answer any more; one that was lost is told, for its money is gone",
    },
    Stop {
        fact: "inquiry became a dispute",
        test: Escalated,
        ends: &[(DisputeOpened, Everything)],
        why: "the dispute is told by itself, and two notices at once would read like two disputes",
    },
    Stop {
        fact: "payment disputed",
        test: Disputed(is_open),
        ends: &[
            (PaymentFailed, Mails),
            (InvoicePaymentFailed, Mails),
            (SubscriptionPastDue, Mails),
            (WinbackDue, Mails),
        ],
        why: "who contests a payment is not asked for another one while people talk to the bank",
    },
    Stop {
        fact: "dispute lost",
        test: Disputed(is_lost),
        ends: &[(WinbackDue, Mails)],
        why: "who took the money back is not invited back; what is owed may still be asked for",
    },
    Stop {
        fact: "payment warned of",
        test: Warned,
        ends: &[
            (PaymentFailed, Mails),
            (InvoicePaymentFailed, Mails),
            (SubscriptionPastDue, Mails),
            (WinbackDue, Mails),
        ],
        why: "the card may be stolen: its holder is not the one who reads the mail",
    },
    Stop {
        fact: "payment under review",
        test: Reviewed,
        ends: &[
            (PaymentFailed, Mails),
            (InvoicePaymentFailed, Mails),
            (SubscriptionPastDue, Mails),
            (WinbackDue, Mails),
        ],
        why: "nobody is asked for money whom somebody is just looking at",
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
            (DisputeOpened, Everything),
            (TrialEnding, Everything),
            (PayoutFailed, Everything),
            (InvoiceFinalizationFailed, Everything),
            (InvoiceOverpaid, Everything),
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
        self.test.holds(standing)
    }
}
