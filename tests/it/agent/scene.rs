//! One event per playbook, a customer to write to, and short ways to say what a model answers.

use std::sync::Arc;

use billhook::agent::model::{Call, Model, Reply};
use billhook::store::{EventRecord, Store as _};
use serde_json::{Value, json};

use crate::support::app::{START, TestApp, event};

pub(crate) const CARD_PAGE: &str = "https://acme.example/card";

/// Every playbook that an event leads.
pub(crate) const LED: [&str; 10] = [
    "payment_failed",
    "payment_succeeded",
    "invoice_payment_failed",
    "subscription_past_due",
    "subscription_ended",
    "dispute_opened",
    "trial_ending",
    "payout_failed",
    "invoice_finalization_failed",
    "invoice_overpaid",
];

pub(crate) async fn start(model: Arc<dyn Model>) -> TestApp {
    let app = TestApp::with(&[("BILLHOOK__LINKS__UPDATE_PAYMENT", CARD_PAGE)], model).await;
    introduce(&app).await;
    app
}

/// A customer with an address who has paid before.
pub(crate) async fn introduce(app: &TestApp) {
    let customer = json!({
        "id": "cus_1", "object": "customer", "email": "ada@example.com", "name": "Ada Lovelace", "created": START - 1000,
        "preferred_locales": ["en"],
    });
    app.deliver(&event("evt_cus", "customer.created", -100, &customer))
        .await;
    // Received too late for a follow-up of its own: no model is asked about it.
    let paid = intent("pi_old", "succeeded", 1000);
    app.deliver(&event(
        "evt_old",
        "payment_intent.succeeded",
        -90_000,
        &paid,
    ))
    .await;
    app.settle().await;
}

pub(crate) fn intent(id: &str, status: &str, amount: i64) -> Value {
    json!({
        "id": id, "object": "payment_intent", "customer": "cus_1", "status": status, "amount": amount, "currency": "eur",
        "amount_received": if status == "succeeded" { amount } else { 0 }, "created": START - 500, "metadata": {},
        "latest_charge": format!("ch_{id}"),
    })
}

/// The event that leads a playbook, large enough for sales.
pub(crate) fn lead(playbook: &str) -> Value {
    let subscription = |status: &str| {
        json!({
            "id": "sub_1", "object": "subscription", "customer": "cus_1", "status": status, "created": START - 5000,
            "current_period_start": START - 100, "ended_at": if status == "canceled" { json!(START) } else { Value::Null },
        })
    };
    match playbook {
        "payment_failed" => event(
            "evt_1",
            "payment_intent.payment_failed",
            0,
            &intent("pi_1", "requires_payment_method", 99_000),
        ),
        "payment_succeeded" => event(
            "evt_1",
            "payment_intent.succeeded",
            0,
            &intent("pi_1", "succeeded", 99_000),
        ),
        "invoice_payment_failed" => {
            let invoice = json!({
                "id": "in_1", "object": "invoice", "customer": "cus_1", "status": "open", "amount_due": 99_000,
                "amount_remaining": 99_000, "amount_paid": 0, "currency": "eur", "created": START - 50, "attempted": true,
                "attempt_count": 1, "number": "C93E45D7-0001", "next_payment_attempt": START + 200_000,
                "hosted_invoice_url": "https://invoice.stripe.com/i/acct_1/test_x", "metadata": {},
            });
            event("evt_1", "invoice.payment_failed", 0, &invoice)
        }
        "subscription_past_due" => {
            let mut event = event(
                "evt_1",
                "customer.subscription.updated",
                0,
                &subscription("past_due"),
            );
            event["data"]["previous_attributes"] = json!({ "status": "active" });
            event
        }
        "subscription_ended" => event(
            "evt_1",
            "customer.subscription.deleted",
            0,
            &subscription("canceled"),
        ),
        "dispute_opened" => {
            let dispute = json!({
                "id": "dp_1", "object": "dispute", "charge": "ch_pi_old", "payment_intent": "pi_old", "status": "needs_response",
                "amount": 1000, "currency": "eur", "reason": "fraudulent", "created": START - 50,
            });
            event("evt_1", "charge.dispute.created", 0, &dispute)
        }
        "trial_ending" => {
            let mut trial = subscription("trialing");
            trial["trial_end"] = json!(START + 200_000);
            event("evt_1", "customer.subscription.trial_will_end", 0, &trial)
        }
        "payout_failed" => {
            let payout = json!({
                "id": "po_1", "object": "payout", "status": "failed", "amount": 99_000, "currency": "eur",
                "failure_code": "account_closed", "created": START - 50,
            });
            event("evt_1", "payout.failed", 0, &payout)
        }
        "invoice_finalization_failed" | "invoice_overpaid" => {
            let (status, kind) = match playbook {
                "invoice_overpaid" => ("paid", "invoice.overpaid"),
                _ => ("draft", "invoice.finalization_failed"),
            };
            let invoice = json!({
                "id": "in_1", "object": "invoice", "customer": "cus_1", "status": status, "amount_due": 99_000,
                "amount_overpaid": 100, "currency": "eur", "created": START - 50,
                "last_finalization_error": { "type": "invalid_request_error", "code": "customer_tax_location_invalid" },
            });
            event("evt_1", kind, 0, &invoice)
        }
        other => panic!("no event leads {other}"),
    }
}

/// Delivers the event of a playbook and decides it.
pub(crate) async fn play(playbook: &str, model: Arc<dyn Model>) -> TestApp {
    let app = start(model).await;
    app.deliver(&lead(playbook)).await;
    app.settle().await;
    let run = shown(&app).await.run.unwrap();
    assert_eq!(run.playbook, playbook);
    app
}

pub(crate) async fn shown(app: &TestApp) -> EventRecord {
    app.event("evt_1").await
}

/// The rules that refused calls of the model, in order.
pub(crate) async fn refusals(app: &TestApp) -> Vec<String> {
    let page = billhook::store::Page {
        limit: 100,
        starting_after: None,
    };
    let calls = app.store().tool_calls(&page).await.unwrap().data;
    calls
        .into_iter()
        .rev()
        .filter(|call| call.by == "model")
        .filter_map(|call| call.rule)
        .collect()
}

pub(crate) fn call(name: &str, arguments: &Value) -> Call {
    raw(name, &arguments.to_string())
}

pub(crate) fn raw(name: &str, arguments: &str) -> Call {
    Call {
        id: format!("call_{name}"),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    }
}

pub(crate) fn reply(calls: impl IntoIterator<Item = Call>) -> Reply {
    Reply {
        calls: calls.into_iter().collect(),
        finish: "tool_calls".to_owned(),
        ..Reply::default()
    }
}

/// What a model says that has nothing more to do.
pub(crate) fn done() -> Reply {
    Reply {
        content: Some("Done.".to_owned()),
        finish: "stop".to_owned(),
        ..Reply::default()
    }
}

pub(crate) fn mail(subject: &str, body: &str) -> Call {
    call("send_email", &json!({ "subject": subject, "body": body }))
}

/// A mail that is fine.
pub(crate) fn kind_mail() -> Call {
    mail(
        "A small hiccup with your payment",
        "Thank you for your many payments with {{business_name}}. Sadly this one did not go through.\n\n\
         {{update_payment_link}}\n\nA reply reaches a person.",
    )
}
