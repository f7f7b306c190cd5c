//! Holds by rule: what keeps an order from being fulfilled because of what Stripe says of its payments.
//!
//! They are derived with the order and end with what they follow from; nobody places or releases them. What a model or a
//! person holds stands in a table of its own. Neither changes an order's status.

use serde::{Deserialize, Serialize};

use super::contest::Contest;
use super::order::Payment;
use crate::stripe::view::View;

/// Why an order is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// A dispute is open.
    DisputeOpen,
    /// The bank asks about a payment.
    InquiryOpen,
    /// The card issuer believes that a payment is fraud, and something can still be done about it.
    EarlyFraudWarning,
    /// Somebody looks at a payment before it is trusted.
    ReviewOpen,
    /// Somebody looked, and did not trust it.
    ReviewRefused,
}

/// One hold by rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RuleHold {
    /// Why.
    pub reason: HoldReason,
    /// The dispute, warning or review that it follows from.
    pub object: String,
    /// When that was created, in seconds.
    pub since: Option<i64>,
}

/// How a review may end that speaks against the payment (docs.stripe.com/api/radar/reviews/object). `approved` speaks for
/// it; `redacted` and `acknowledged` say nothing, and nobody looks any more.
const REFUSED: &[&str] = &[
    "refunded",
    "refunded_as_fraud",
    "disputed",
    "canceled",
    "payment_never_settled",
];

/// Every hold that follows from what hangs on a payment.
pub fn holds(payment: &Payment) -> impl Iterator<Item = RuleHold> {
    let held =
        |rows: &[(String, View)], reason: fn(&View) -> Option<HoldReason>| -> Vec<RuleHold> {
            rows.iter()
                .filter_map(|(id, row)| {
                    Some(RuleHold {
                        reason: reason(row)?,
                        object: id.clone(),
                        since: row.int("created"),
                    })
                })
                .collect()
        };
    [
        held(&payment.disputes, by_dispute),
        held(&payment.warnings, by_warning),
        held(&payment.reviews, by_review),
    ]
    .into_iter()
    .flatten()
}

fn by_dispute(dispute: &View) -> Option<HoldReason> {
    match Contest::of(dispute) {
        Contest::Open | Contest::Unclear => Some(HoldReason::DisputeOpen),
        Contest::Inquiry => Some(HoldReason::InquiryOpen),
        Contest::Lost | Contest::Over => None,
    }
}

/// Stripe says itself when nothing can be done any more: once it is disputed, or refunded in full.
fn by_warning(warning: &View) -> Option<HoldReason> {
    (warning.flag("actionable") == Some(true)).then_some(HoldReason::EarlyFraudWarning)
}

fn by_review(review: &View) -> Option<HoldReason> {
    if review.flag("open") == Some(true) {
        return Some(HoldReason::ReviewOpen);
    }
    let refused = review
        .text("closed_reason")
        .is_some_and(|reason| REFUSED.contains(&reason));
    refused.then_some(HoldReason::ReviewRefused)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::stripe::view::{Family, view};

    fn row(family: Family, fields: &Value) -> Vec<(String, View)> {
        vec![("the_1".to_owned(), view(family, fields))]
    }

    #[test]
    fn each_state_holds_or_does_not() {
        use HoldReason::{DisputeOpen, EarlyFraudWarning, InquiryOpen, ReviewOpen, ReviewRefused};
        let dispute = |status: &str| Payment {
            disputes: row(Family::Dispute, &json!({ "status": status, "created": 7 })),
            ..Payment::default()
        };
        let warning = |actionable: Value| Payment {
            warnings: row(
                Family::EarlyFraudWarning,
                &json!({ "actionable": actionable, "created": 7 }),
            ),
            ..Payment::default()
        };
        let review = |open: bool, reason: Value| Payment {
            reviews: row(
                Family::Review,
                &json!({ "open": open, "closed_reason": reason, "created": 7 }),
            ),
            ..Payment::default()
        };
        for (payment, expected) in [
            (dispute("needs_response"), Some(DisputeOpen)),
            (dispute("under_review"), Some(DisputeOpen)),
            (dispute("something_new"), Some(DisputeOpen)),
            (dispute("warning_needs_response"), Some(InquiryOpen)),
            (dispute("warning_under_review"), Some(InquiryOpen)),
            (dispute("warning_closed"), None),
            (dispute("won"), None),
            (dispute("lost"), None),
            (dispute("prevented"), None),
            (warning(json!(true)), Some(EarlyFraudWarning)),
            (warning(json!(false)), None),
            (warning(json!(null)), None),
            (review(true, json!(null)), Some(ReviewOpen)),
            (review(false, json!("approved")), None),
            (review(false, json!("acknowledged")), None),
            (review(false, json!("redacted")), None),
            (review(false, json!(null)), None),
            (review(false, json!("refunded")), Some(ReviewRefused)),
            (
                review(false, json!("refunded_as_fraud")),
                Some(ReviewRefused),
            ),
            (review(false, json!("disputed")), Some(ReviewRefused)),
            (review(false, json!("canceled")), Some(ReviewRefused)),
            (
                review(false, json!("payment_never_settled")),
                Some(ReviewRefused),
            ),
        ] {
            let found: Vec<RuleHold> = holds(&payment).collect();
            let expected: Vec<RuleHold> = expected
                .map(|reason| RuleHold {
                    reason,
                    object: "the_1".to_owned(),
                    since: Some(7),
                })
                .into_iter()
                .collect();
            assert_eq!(found, expected, "{payment:?}");
        }
    }
}
