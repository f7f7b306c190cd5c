//! What may be said of a trial that ends: only what is certain of the current rows.

use crate::clock::Timestamp;
use crate::guardrails::precondition::stops::has_a_clock;
use crate::guardrails::precondition::{Purpose, Standing};
use crate::stripe::view::View;

/// An end further away than this is no date to tell anybody: Stripe announces one three days before
/// (docs.stripe.com/billing/subscriptions/trials).
const FARTHEST: i64 = 366 * 86_400;

/// The word that playbooks know the end of a trial by.
pub(super) fn state(purpose: Purpose, standing: &Standing) -> &'static str {
    match &standing.subscription {
        Some((_, row)) if purpose == Purpose::TrialEnding => {
            word(row, standing.customer.as_ref().map(|(_, row)| row))
        }
        _ => "none",
    }
}

/// Whether the subscription goes on by itself, or only with a payment method that nobody knows of.
///
/// Stripe looks for one at the subscription and then at its customer
/// (docs.stripe.com/api/subscriptions/object, `default_payment_method`). Where none is found, `trial_settings` says what
/// happens; what is not said is `create_invoice`, and then it goes on.
pub fn word(subscription: &View, customer: Option<&View>) -> &'static str {
    let ends = matches!(
        subscription.text("missing_payment_method"),
        Some("cancel" | "pause")
    );
    let is_sent = subscription.text("collection_method") == Some("send_invoice");
    let pays = |row: &View| {
        ["default_payment_method", "default_source"]
            .iter()
            .any(|field| row.text(field).is_some())
    };
    if ends && !is_sent && !pays(subscription) && !customer.is_some_and(pays) {
        "lapses"
    } else {
        "goes_on"
    }
}

/// The end as it may be named to a customer, who was told of it by an event of `told`. Under a test clock it is simulated,
/// and that event's time need not be: there it is never absurd.
pub(super) fn end(end: Option<i64>, told: Timestamp, subscription: Option<&View>) -> Option<i64> {
    let simulated = subscription.is_some_and(has_a_clock);
    let ahead = |end: i64| end.saturating_sub(told.seconds());
    end.filter(|end| simulated || (0..=FARTHEST).contains(&ahead(*end)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(fields: serde_json::Value) -> View {
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn a_trial_lapses_only_where_nothing_is_known_to_pay_with() {
        for (subscription, customer, expected) in [
            (json!({}), None, "goes_on"),
            (json!({ "missing_payment_method": null }), None, "goes_on"),
            (
                json!({ "missing_payment_method": "create_invoice" }),
                None,
                "goes_on",
            ),
            (
                json!({ "missing_payment_method": "cancel" }),
                None,
                "lapses",
            ),
            (
                json!({ "missing_payment_method": "pause" }),
                Some(json!({})),
                "lapses",
            ),
            (
                json!({ "missing_payment_method": "pause", "default_payment_method": "pm_1" }),
                None,
                "goes_on",
            ),
            (
                json!({ "missing_payment_method": "cancel", "default_payment_method": null }),
                Some(json!({ "default_payment_method": "pm_1" })),
                "goes_on",
            ),
            (
                json!({ "missing_payment_method": "cancel" }),
                Some(json!({ "default_payment_method": null, "default_source": "card_1" })),
                "goes_on",
            ),
            (
                json!({ "missing_payment_method": "cancel", "collection_method": "send_invoice" }),
                None,
                "goes_on",
            ),
        ] {
            let found = word(
                &row(subscription.clone()),
                customer.clone().map(row).as_ref(),
            );
            assert_eq!(found, expected, "{subscription} {customer:?}");
        }
    }

    #[test]
    fn an_absurd_end_is_not_named() {
        let told = Timestamp::from_seconds(1_000_000_000);
        for (ahead, named) in [
            (0, true),
            (3 * 86_400, true),
            (366 * 86_400, true),
            (366 * 86_400 + 1, false),
            (-1, false),
        ] {
            let moment = 1_000_000_000 + ahead;
            for subscription in [None, Some(row(json!({ "test_clock": null })))] {
                let found = end(Some(moment), told, subscription.as_ref());
                assert_eq!(found.is_some(), named, "{ahead}");
            }
            let simulated = row(json!({ "test_clock": "clock_1" }));
            assert_eq!(end(Some(moment), told, Some(&simulated)), Some(moment));
        }
        assert_eq!(end(Some(i64::MAX), Timestamp::from_seconds(-5), None), None);
        assert_eq!(end(Some(i64::MIN), told, None), None);
        assert_eq!(end(None, told, None), None);
    }
}
