//! The view of a charge. Its `invoice` went away with the basil versions, its list of refunds with 2022-11-15.

use serde_json::Value;

use super::{Reading, currency, flag, id, int, text};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(
        id,
        &[
            "customer",
            "payment_intent",
            "invoice",
            "balance_transaction",
            "review",
        ],
    );
    reading.fields(text, &["status", "failure_code", "receipt_email"]);
    reading.fields(currency, &["currency"]);
    reading.fields(flag, &["paid", "captured", "refunded", "disputed"]);
    reading.fields(
        int,
        &["amount", "amount_captured", "amount_refunded", "created"],
    );
    reading.field("refunds_incomplete", flag, &["refunds.has_more"]);
    reading.field_of("decline_code", text, "outcome", "reason");
    reading.field(
        "capture_before",
        int,
        &["payment_method_details.card.capture_before"],
    );

    // The reason of a charge that went through is why Stripe looked twice at it, and no decline.
    let outcome = reading
        .object()
        .get("outcome")
        .and_then(|outcome| outcome.get("type"));
    if matches!(
        outcome.and_then(Value::as_str),
        Some("authorized" | "manual_review")
    ) {
        reading.set("decline_code", super::Found::Null);
    }
}
