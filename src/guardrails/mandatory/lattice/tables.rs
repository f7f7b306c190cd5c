//! The tables themselves, one for each family whose objects have states.

use super::{Lattice, Measure, state};
use crate::stripe::view::Family;

/// Every family that has states.
pub static LATTICES: &[Lattice] = &[
    Lattice {
        family: Family::PaymentIntent,
        states: &[
            state(
                "requires_payment_method",
                &[
                    "requires_confirmation",
                    "requires_action",
                    "processing",
                    "requires_capture",
                    "succeeded",
                    "canceled",
                ],
            ),
            state(
                "requires_confirmation",
                &[
                    "requires_payment_method",
                    "requires_action",
                    "processing",
                    "requires_capture",
                    "succeeded",
                    "canceled",
                ],
            ),
            state(
                "requires_action",
                &[
                    "requires_payment_method",
                    "requires_confirmation",
                    "processing",
                    "requires_capture",
                    "succeeded",
                    "canceled",
                ],
            ),
            state(
                "processing",
                &[
                    "requires_payment_method",
                    "requires_action",
                    "requires_capture",
                    "succeeded",
                    "canceled",
                ],
            ),
            state(
                "requires_capture",
                &[
                    "requires_payment_method",
                    "processing",
                    "succeeded",
                    "canceled",
                ],
            ),
            state("succeeded", &[]).absorbing(),
            state("canceled", &[]).absorbing(),
        ],
        measures: &[Measure::Present("error_code")],
    },
    Lattice {
        family: Family::Charge,
        states: &[
            state("pending", &["succeeded", "failed"]),
            // An uncaptured charge that lapses is told as failed, too; a bank debit may be returned after it succeeded.
            state("succeeded", &["failed"]),
            state("failed", &[]),
        ],
        measures: &[
            Measure::Flag("captured"),
            Measure::Number("amount_refunded"),
        ],
    },
    Lattice {
        family: Family::Refund,
        states: &[
            state(
                "pending",
                &["requires_action", "succeeded", "failed", "canceled"],
            ),
            state(
                "requires_action",
                &["pending", "succeeded", "failed", "canceled"],
            ),
            // The customer's bank may send it back, weeks later.
            state("succeeded", &["failed"]).ranked(1),
            state("failed", &[]).ranked(2),
            state("canceled", &[]).ranked(2),
        ],
        measures: &[Measure::State],
    },
    Lattice {
        family: Family::Dispute,
        states: &[
            state(
                "warning_needs_response",
                &[
                    "warning_under_review",
                    "warning_closed",
                    "needs_response",
                    "prevented",
                ],
            ),
            state(
                "warning_under_review",
                &[
                    "warning_needs_response",
                    "warning_closed",
                    "needs_response",
                    "prevented",
                ],
            ),
            // An inquiry may come back as a dispute.
            state("warning_closed", &["needs_response"]),
            state(
                "needs_response",
                &[
                    "under_review",
                    "won",
                    "lost",
                    "prevented",
                    "charge_refunded",
                ],
            ),
            state(
                "under_review",
                &["needs_response", "won", "lost", "charge_refunded"],
            ),
            state("won", &[]).corrected_to(&["lost", "needs_response", "under_review"]),
            // The bank changed its mind, and the funds come back.
            state("lost", &[]).corrected_to(&["won", "needs_response", "under_review"]),
            state("prevented", &[]),
            // Until 2023-08-16.
            state("charge_refunded", &[]),
        ],
        measures: &[],
    },
    Lattice {
        family: Family::CheckoutSession,
        states: &[
            state("open", &["complete", "expired"]),
            state("complete", &[]),
            state("expired", &[]).absorbing(),
        ],
        measures: &[Measure::Not("payment_status", "unpaid")],
    },
    Lattice {
        family: Family::Subscription,
        states: &[
            state(
                "incomplete",
                &["active", "trialing", "incomplete_expired", "canceled"],
            ),
            state(
                "trialing",
                &["active", "past_due", "unpaid", "paused", "canceled"],
            )
            .ranked(1),
            state(
                "active",
                &["trialing", "past_due", "unpaid", "paused", "canceled"],
            )
            .ranked(1),
            state(
                "past_due",
                &["active", "trialing", "unpaid", "paused", "canceled"],
            )
            .ranked(1),
            state("unpaid", &["active", "trialing", "past_due", "canceled"]).ranked(1),
            state("paused", &["active", "trialing", "past_due", "canceled"]).ranked(1),
            state("canceled", &[]).absorbing().ranked(1),
            state("incomplete_expired", &[]).absorbing().ranked(1),
        ],
        // It moves both ways within a second; only `incomplete` is certain to come first.
        measures: &[Measure::State],
    },
    Lattice {
        family: Family::SubscriptionSchedule,
        states: &[
            state("not_started", &["active", "canceled", "released"]),
            state("active", &["completed", "canceled", "released"]).ranked(1),
            state("completed", &[]).ranked(2),
            state("canceled", &[]).ranked(2),
            state("released", &[]).ranked(2),
        ],
        measures: &[Measure::State],
    },
    Lattice {
        family: Family::Invoice,
        states: &[
            state("draft", &["open", "paid", "deleted"]),
            state("open", &["paid", "void", "uncollectible"]).ranked(1),
            // Written off, and still payable.
            state("uncollectible", &["paid", "void"]).ranked(2),
            state("paid", &[]).absorbing().ranked(3),
            state("void", &[]).absorbing().ranked(3),
            // A word of ours: `invoice.deleted` shows the draft that it was.
            state("deleted", &[]).absorbing().ranked(3),
        ],
        measures: &[
            Measure::State,
            Measure::Number("attempt_count"),
            Measure::Number("amount_paid"),
        ],
    },
    Lattice {
        family: Family::InvoicePayment,
        states: &[
            state("open", &["paid", "canceled"]),
            state("paid", &[]).ranked(1),
            state("canceled", &[]).ranked(1),
        ],
        measures: &[Measure::State],
    },
    Lattice {
        family: Family::CreditNote,
        states: &[state("issued", &["void"]), state("void", &[]).ranked(1)],
        measures: &[Measure::State],
    },
    Lattice {
        family: Family::SetupIntent,
        states: &[
            state(
                "requires_payment_method",
                &[
                    "requires_confirmation",
                    "requires_action",
                    "processing",
                    "succeeded",
                    "canceled",
                ],
            ),
            state(
                "requires_confirmation",
                &[
                    "requires_payment_method",
                    "requires_action",
                    "processing",
                    "succeeded",
                    "canceled",
                ],
            ),
            state(
                "requires_action",
                &[
                    "requires_payment_method",
                    "requires_confirmation",
                    "processing",
                    "succeeded",
                    "canceled",
                ],
            ),
            state(
                "processing",
                &[
                    "requires_payment_method",
                    "requires_action",
                    "succeeded",
                    "canceled",
                ],
            ),
            state("succeeded", &[]).ranked(1),
            state("canceled", &[]).ranked(1),
        ],
        measures: &[Measure::State, Measure::Present("error_code")],
    },
    Lattice {
        family: Family::Mandate,
        states: &[
            state("pending", &["active", "inactive"]),
            state("active", &["inactive"]).ranked(1),
            // The customer may give it again.
            state("inactive", &["active", "pending"]).ranked(1),
        ],
        measures: &[Measure::State],
    },
    Lattice {
        family: Family::Payout,
        states: &[
            state("pending", &["in_transit", "paid", "failed", "canceled"]),
            state("in_transit", &["paid", "failed", "canceled"]).ranked(1),
            // The bank may return it within some days.
            state("paid", &["failed"]).ranked(2),
            state("failed", &[]).ranked(3),
            state("canceled", &[]).ranked(3),
        ],
        measures: &[Measure::State],
    },
];
