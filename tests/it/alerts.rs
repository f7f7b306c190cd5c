//! What finance is told of what stands still at Stripe until a person does something about it.

use billhook::agent::rules::Rules;
use serde_json::{Value, json};

use crate::support::app::{START, TestApp, event};
use crate::support::log::Log;

const DAY: i64 = 86_400;

fn payout(status: &str) -> Value {
    let failed = status == "failed";
    json!({ "id": "po_1", "object": "payout", "status": status, "amount": 123_400, "currency": "eur",
        "failure_code": failed.then_some("account_closed"),
        "failure_message": failed.then_some("The account of Ada Lovelace is closed."),
        "destination": "ba_1", "automatic": true, "created": START - 9 * DAY })
}

fn invoice(status: &str, changes: &Value) -> Value {
    let mut invoice = json!({ "id": "in_1", "object": "invoice", "customer": "cus_1", "status": status,
        "amount_due": 4900, "currency": "eur", "created": START - 50, "customer_email": "ada@example.com" });
    let fields = changes.as_object().unwrap().clone();
    invoice.as_object_mut().unwrap().extend(fields);
    invoice
}

fn stuck(id: &str, at: i64, code: &str) -> Value {
    let error = json!({ "last_finalization_error": { "type": "invalid_request_error", "code": code,
        "message": "ada@example.com has no valid address." } });
    event(
        id,
        "invoice.finalization_failed",
        at,
        &invoice("draft", &error),
    )
}

/// The texts of all messages, the oldest first; all of them are notices to finance.
async fn told(app: &TestApp) -> Vec<String> {
    let mut messages = app.messages().await;
    messages.reverse();
    let mut texts = Vec::new();
    for message in messages {
        assert_eq!(message.channel, "finance");
        texts.push(app.store_text(&message.id).await.replace('\u{a0}', "_"));
    }
    texts
}

#[tokio::test]
async fn finance_hears_of_a_failed_payout_with_amount_and_reason() {
    let app = TestApp::start().await;
    app.deliver(&event("evt_1", "payout.failed", 0, &payout("failed")))
        .await;
    app.settle().await;
    let texts = told(&app).await;
    assert_eq!(texts.len(), 1);
    insta::assert_snapshot!(texts[0], @r"
    High priority: Payout failed

    A payout failed, and its amount is back on the Stripe balance. Stripe pays nothing more out to that bank until somebody replaces or confirms it there.

    Amount: EUR_1,234.00
    Reason: account closed
    Payout: po_1
    To do: replace or confirm the bank account in Stripe
    ");
}

#[tokio::test]
async fn of_a_payout_that_takes_money_nothing_is_back() {
    let app = TestApp::start().await;
    let mut debit = payout("failed");
    debit["amount"] = json!(-123_400);
    app.deliver(&event("evt_1", "payout.failed", 0, &debit))
        .await;
    app.settle().await;
    let texts = told(&app).await;
    assert_eq!(texts.len(), 1);
    insta::assert_snapshot!(texts[0], @r"
    High priority: Payout failed

    Stripe could not collect from the business's bank what the Stripe balance lacks, and the balance still lacks it. Somebody has to replace or confirm that bank there.

    Amount: -EUR_1,234.00
    Reason: account closed
    Payout: po_1
    To do: replace or confirm the bank account in Stripe
    ");
}

#[tokio::test]
async fn a_payout_that_fails_is_told_once_in_any_order() {
    // It was paid, and came back; and what changes in a payout that failed long ago is no news.
    let events = [
        event("evt_paid", "payout.paid", -2 * DAY, &payout("paid")),
        event("evt_failed", "payout.failed", 0, &payout("failed")),
        event("evt_updated", "payout.updated", 0, &payout("failed")),
    ];
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let app = TestApp::start().await;
        for at in order {
            app.deliver(&events[at]).await;
            app.deliver(&events[at]).await;
            app.settle().await;
        }
        assert_eq!(told(&app).await.len(), 1, "{order:?}");
        assert_eq!(app.row("payout", "po_1").await["status"], "failed");
    }
    for (kind, status) in [("payout.updated", "in_transit"), ("payout.paid", "paid")] {
        let app = TestApp::start().await;
        app.deliver(&event("evt_1", kind, 0, &payout(status))).await;
        app.settle().await;
        assert_eq!(told(&app).await.len(), 0, "{kind}");
    }
}

#[tokio::test]
async fn a_payout_is_counted_as_payouts_are_and_names_its_account() {
    let app = TestApp::start().await;
    let mut whole = payout("failed");
    whole["currency"] = json!("huf");
    whole["amount"] = json!(1_000_000);
    // What a stranger could have written is no reason.
    whole["failure_code"] = json!("Call +49 30 123 <!channel>");
    let mut told_by_another = event("evt_1", "payout.failed", 0, &whole);
    told_by_another["account"] = json!("acct_workshop");
    app.deliver(&told_by_another).await;
    app.settle().await;
    let texts = told(&app).await;
    assert!(texts[0].contains("Amount: HUF_10,000\n"), "{}", texts[0]);
    assert!(texts[0].contains("Account: acct_workshop"), "{}", texts[0]);
    assert!(!texts[0].contains("Reason"), "{}", texts[0]);
}

#[tokio::test]
async fn a_currency_that_nobody_knows_is_told_in_its_minor_units() {
    let app = TestApp::start().await;
    let mut unknown = payout("failed");
    unknown["currency"] = json!("xyz");
    app.deliver(&event("evt_1", "payout.failed", 0, &unknown))
        .await;
    app.settle().await;
    let texts = told(&app).await;
    let amount = "Amount: 123400_XYZ (minor units)\n";
    assert!(texts[0].contains(amount), "{}", texts[0]);
}

#[tokio::test]
async fn finance_hears_of_an_invoice_that_cannot_be_finalized() {
    let app = TestApp::start().await;
    let event = stuck("evt_1", 0, "customer_tax_location_invalid");
    app.deliver(&event).await;
    app.deliver(&event).await;
    app.settle().await;
    let texts = told(&app).await;
    assert_eq!(texts.len(), 1);
    insta::assert_snapshot!(texts[0], @r"
    High priority: Invoice not finalized

    Stripe could not finalize an invoice. It stays a draft, nobody has been asked to pay it, and its money is not collected until the reason is mended in Stripe.

    Amount: EUR_49.00
    Reason: customer tax location invalid
    Invoice: in_1
    To do: mend the reason in Stripe, and finalize the invoice there
    Customer: cus_1
    ");
}

#[tokio::test]
async fn another_reason_and_another_day_are_told_again() {
    let app = TestApp::start().await;
    let first = "customer_tax_location_invalid";
    app.deliver(&stuck("evt_1", 0, first)).await;
    app.settle().await;
    app.deliver(&stuck("evt_2", 60, first)).await;
    app.settle().await;
    assert_eq!(told(&app).await.len(), 1, "the same reason on the same day");
    app.deliver(&stuck("evt_3", 120, "tax_id_invalid")).await;
    app.settle().await;
    let texts = told(&app).await;
    assert_eq!(texts.len(), 2);
    assert!(texts[1].contains("tax id invalid"), "{}", texts[1]);
    app.clock.advance(std::time::Duration::from_hours(24));
    app.deliver(&stuck("evt_4", DAY, first)).await;
    app.settle().await;
    assert_eq!(told(&app).await.len(), 3);
}

#[tokio::test]
async fn what_became_of_the_invoice_ends_the_notice() {
    for status in ["open", "paid", "void", "uncollectible"] {
        let app = TestApp::start().await;
        app.deliver(&stuck("evt_1", 0, "tax_id_invalid")).await;
        let then = invoice(status, &json!({ "last_finalization_error": null }));
        app.deliver(&event("evt_2", "invoice.updated", 5, &then))
            .await;
        app.settle().await;
        assert_eq!(told(&app).await.len(), 0, "{status}");
        let run = app.event("evt_1").await.run.unwrap();
        let said = format!("the invoice is {status} now");
        assert_eq!(run.reason.as_deref(), Some(said.as_str()));
    }
}

/// Asked once more when it leaves: the way to finance was away meanwhile.
#[tokio::test]
async fn a_notice_that_waits_ends_with_its_reason() {
    let nowhere = [("FINANCE_WEBHOOK_URL", "http://127.0.0.1:9/")];
    let app = TestApp::with(&nowhere, std::sync::Arc::new(Rules)).await;
    app.deliver(&stuck("evt_1", 0, "tax_id_invalid")).await;
    app.settle().await;
    let open = invoice("open", &json!({}));
    app.deliver(&event("evt_2", "invoice.finalized", 5, &open))
        .await;
    app.clock.advance(std::time::Duration::from_hours(2));
    app.drain().await;
    let message = app.messages().await.remove(0);
    assert_eq!(
        (message.status.as_str(), message.reason.as_deref()),
        ("suppressed", Some("the invoice is open now"))
    );
}

#[tokio::test]
async fn finance_hears_once_of_what_was_paid_too_much() {
    let app = TestApp::start().await;
    let over = invoice("paid", &json!({ "amount_overpaid": 100 }));
    for id in ["evt_1", "evt_2"] {
        app.deliver(&event(id, "invoice.overpaid", 0, &over)).await;
        app.settle().await;
    }
    let texts = told(&app).await;
    assert_eq!(texts.len(), 1);
    insta::assert_snapshot!(texts[0], @r"
    Invoice overpaid

    An invoice was paid with more than it asked for. What is over belongs to the customer, and somebody has to decide what becomes of it.

    Overpaid by: EUR_1.00
    Invoice: in_1
    To do: a credit note in Stripe, unless it shall stay for the next invoice
    Customer: cus_1
    ");
    // Older versions do not say how much: the amount of the invoice would be a wrong one.
    let app = TestApp::start().await;
    let silent = invoice("paid", &json!({}));
    app.deliver(&event("evt_1", "invoice.overpaid", 0, &silent))
        .await;
    app.settle().await;
    let texts = told(&app).await;
    assert!(!texts[0].contains("EUR"), "{}", texts[0]);
}

/// After an outage of two days: what only a customer would hear of is too old, what stands still is not.
#[tokio::test]
async fn what_stands_still_is_told_however_late_it_comes() {
    let app = TestApp::start().await;
    let failed = json!({ "id": "in_2", "attempt_count": 1 });
    for late in [
        event("evt_1", "payout.failed", -2 * DAY, &payout("failed")),
        stuck("evt_2", -2 * DAY, "tax_id_invalid"),
        event(
            "evt_3",
            "invoice.payment_failed",
            -2 * DAY,
            &invoice("open", &failed),
        ),
    ] {
        app.deliver(&late).await;
        app.settle().await;
    }
    let texts = told(&app).await;
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].contains("Payout: po_1"), "{}", texts[0]);
    assert!(texts[1].contains("Invoice: in_1"), "{}", texts[1]);
    assert!(app.event("evt_3").await.run.is_none());
}

/// Whoever runs it hears at once, and of nobody by name.
#[tokio::test]
async fn an_alarm_is_logged_and_counted_once() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let metrics = billhook::telemetry::metrics().unwrap();
    let count = |about: &str| {
        let line = format!("billhook_alarms_total{{about=\"{about}\",mode=\"test\"}} ");
        let shown = metrics.render();
        shown
            .lines()
            .find_map(|found| found.strip_prefix(&line)?.parse::<u64>().ok())
            .unwrap_or(0)
    };
    let app = TestApp::start().await;
    for id in ["evt_1", "evt_2"] {
        for mut told in [
            event(id, "payout.failed", -2 * DAY, &payout("failed")),
            stuck(&format!("{id}s"), 0, "tax_id_invalid"),
        ] {
            // Nobody else here tells of this mode.
            told["livemode"] = json!(false);
            app.deliver(&told).await;
        }
        app.drain().await;
    }
    assert_eq!(count("payout_failed"), 1);
    assert_eq!(count("invoice_finalization_failed"), 1);
    let text = log.text();
    for said in ["a payout failed: ", "an invoice could not be finalized: "] {
        assert_eq!(log.count(said), 1, "{text}");
    }
    let warnings = text.lines().filter(|line| line.contains("WARN"));
    for line in warnings {
        assert!(!line.contains("ada@") && !line.contains("Ada"), "{line}");
    }
}
