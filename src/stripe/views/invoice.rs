//! The view of an invoice. The basil versions moved its subscription to `parent` and its payment to `payments`, a
//! list that webhooks show only where it was asked for.

use serde_json::Value;

use super::{Found, Reading, currency, flag, id, int, text};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(id, &["customer"]);
    reading.field(
        "subscription",
        id,
        &["subscription", "parent.subscription_details.subscription"],
    );
    reading.field(
        "payment_intent",
        id,
        &["payment_intent", "payments.data[].payment.payment_intent"],
    );
    reading.field("charge", id, &["charge", "payments.data[].payment.charge"]);

    // Before there was a status, an invoice only said whether it was paid.
    let paid = reading.object().get("paid").and_then(Value::as_bool) == Some(true);
    let status = reading.find(text, &["status"]).or_else(|| {
        if paid {
            Found::Value(Value::from("paid"))
        } else {
            Found::Absent
        }
    });
    reading.set("status", status);

    reading.fields(
        text,
        &[
            "billing_reason",
            "hosted_invoice_url",
            "number",
            "customer_email",
        ],
    );
    // Before 2019-10-17 it was called `billing`.
    reading.field("collection_method", text, &["collection_method", "billing"]);
    reading.fields(currency, &["currency"]);
    reading.fields(flag, &["attempted"]);
    reading.fields(
        int,
        &[
            "amount_due",
            "amount_paid",
            "amount_remaining",
            "amount_overpaid",
            "total",
            "attempt_count",
            "next_payment_attempt",
            "due_date",
            "period_end",
        ],
    );
    reading.field_of(
        "finalization_error",
        text,
        "last_finalization_error",
        "code",
    );
    reading.field("lines_incomplete", flag, &["lines.has_more"]);
    reading.field("payments_incomplete", flag, &["payments.has_more"]);
    // Before 2019-03-14 it was called `date`.
    reading.field("created", int, &["created", "date"]);
}
