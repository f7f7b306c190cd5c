//! What finance is told of disputes, and whom a dispute, a warning or a review keeps from being asked for money.

use serde_json::{Value, json};

use crate::support::app::{START, TestApp, event};

/// When evidence is due.
const DUE: i64 = START + 9 * 86_400;

fn customer() -> Value {
    json!({ "id": "cus_1", "object": "customer", "email": "ada@example.com", "name": "Ada Lovelace",
        "created": START - 1000, "preferred_locales": ["en"] })
}

fn charge() -> Value {
    json!({ "id": "ch_1", "object": "charge", "customer": "cus_1", "payment_intent": "pi_1", "status": "succeeded",
        "amount": 4900, "amount_refunded": 0, "currency": "eur", "paid": true, "captured": true, "refunded": false,
        "disputed": false, "created": START - 400 })
}

fn dispute(status: &str) -> Value {
    json!({ "id": "dp_1", "object": "dispute", "charge": "ch_1", "payment_intent": "pi_1", "status": status,
        "amount": 4900, "currency": "eur", "reason": "product_not_received", "created": START - 10,
        "evidence_details": { "due_by": DUE, "has_evidence": false, "past_due": false, "submission_count": 0 },
        "balance_transactions": [] })
}

fn failed(id: &str) -> Value {
    json!({ "id": id, "object": "payment_intent", "customer": "cus_1", "status": "requires_payment_method",
        "amount": 2500, "amount_received": 0, "currency": "eur", "created": START - 5, "metadata": {},
        "latest_charge": format!("ch_{id}") })
}

async fn with_a_payment() -> TestApp {
    let app = TestApp::start().await;
    app.deliver(&event("evt_cus", "customer.created", -100, &customer()))
        .await;
    app.deliver(&event("evt_charge", "charge.succeeded", -90, &charge()))
        .await;
    app.settle().await;
    app
}

/// Title, first line of the text and status of every notice to finance, the oldest first.
async fn told(app: &TestApp) -> Vec<(String, String)> {
    let mut messages = app.messages().await;
    messages.retain(|message| message.channel == "finance");
    messages.reverse();
    let line = |message: billhook::store::MessageRecord| (message.subject, message.status);
    messages.into_iter().map(line).collect()
}

fn once(title: &str) -> Vec<(String, String)> {
    vec![(title.to_owned(), "pending".to_owned())]
}

#[tokio::test]
async fn finance_hears_of_a_dispute_with_amount_reason_and_deadline() {
    let app = with_a_payment().await;
    let created = event(
        "evt_d",
        "charge.dispute.created",
        0,
        &dispute("needs_response"),
    );
    app.deliver(&created).await;
    app.settle().await;
    let message = app.messages().await.remove(0);
    assert_eq!(
        message.reason.as_deref(),
        Some("no_channel: set FINANCE_WEBHOOK_URL or FINANCE_EMAIL to have it sent")
    );
    insta::assert_snapshot!(app.store_text(&message.id).await, @r"
    High priority: Payment disputed

    A payment is disputed. The bank takes its amount back until it has decided, and evidence has to be there in time.

    Amount: EUR 49.00
    Reason: product not received
    Answer by: 24 January 2027
    Dispute: dp_1
    Charge: ch_1
    Customer: cus_1
    ");
    assert!(app.mails().is_empty(), "nobody writes to the customer");
}

#[tokio::test]
async fn whatever_comes_first_finance_is_told_once() {
    let kinds = [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
    ];
    for first in 0..kinds.len() {
        for only in [true, false] {
            let app = with_a_payment().await;
            let order = (0..kinds.len()).map(|at| kinds[(first + at) % kinds.len()]);
            let count = if only { 1 } else { kinds.len() };
            for (at, kind) in order.take(count).enumerate() {
                let id = format!("evt_{at}");
                let told = event(&id, kind, 0, &dispute("needs_response"));
                app.deliver(&told).await;
                app.deliver(&told).await;
                // The others come when the first was long acted on.
                app.settle().await;
            }
            let expected = once("High priority: Payment disputed");
            assert_eq!(
                told(&app).await,
                expected,
                "{} first, alone: {only}",
                kinds[first]
            );
        }
    }
}

#[tokio::test]
async fn an_inquiry_and_the_dispute_it_becomes_are_told_as_what_they_are() {
    let asked = || {
        event(
            "evt_1",
            "charge.dispute.created",
            0,
            &dispute("warning_needs_response"),
        )
    };
    let taken = || {
        event(
            "evt_2",
            "charge.dispute.funds_withdrawn",
            5,
            &dispute("needs_response"),
        )
    };
    let (inquiry, disputed) = (
        "A bank asks about a payment",
        "High priority: Payment disputed",
    );

    let app = with_a_payment().await;
    app.deliver(&asked()).await;
    app.settle().await;
    assert_eq!(told(&app).await, once(inquiry));
    // The money has left and the deadline is another: that is news.
    app.deliver(&taken()).await;
    app.settle().await;
    assert_eq!(told(&app).await, [once(inquiry), once(disputed)].concat());

    // Before anybody was told of the inquiry, or after: the dispute is one word.
    for order in [[asked(), taken()], [taken(), asked()]] {
        let app = with_a_payment().await;
        for event in &order {
            app.deliver(event).await;
        }
        app.settle().await;
        assert_eq!(told(&app).await, once(disputed));
        let run = app.event("evt_1").await.run.unwrap();
        assert_eq!(run.status, "skipped");
        assert_eq!(
            run.reason.as_deref(),
            Some("the inquiry is a dispute now: needs_response")
        );
    }
}

#[tokio::test]
async fn a_dispute_that_is_over_is_told_only_where_the_money_is_gone() {
    for (status, title) in [
        ("won", None),
        ("warning_closed", None),
        ("prevented", None),
        ("lost", Some("High priority: Dispute lost")),
    ] {
        let app = with_a_payment().await;
        app.deliver(&event(
            "evt_c",
            "charge.dispute.closed",
            0,
            &dispute(status),
        ))
        .await;
        app.settle().await;
        let expected = title.map(once).unwrap_or_default();
        assert_eq!(told(&app).await, expected, "{status}");
    }
}

/// The event that opens it, and the one that ends it.
fn doubts() -> [(&'static str, Value, Value); 3] {
    let warning = |actionable: bool| json!({ "id": "issfr_1", "object": "radar.early_fraud_warning", "charge": "ch_1", "actionable": actionable });
    let review = |open: bool| {
        json!({ "id": "prv_1", "object": "review", "charge": "ch_1", "payment_intent": "pi_1", "open": open,
        "closed_reason": (!open).then_some("approved") })
    };
    [
        (
            "a payment of the customer is disputed: needs_response",
            event(
                "evt_o",
                "charge.dispute.created",
                0,
                &dispute("needs_response"),
            ),
            event("evt_e", "charge.dispute.closed", 100, &dispute("won")),
        ),
        (
            "a card issuer warns of a payment of the customer",
            event(
                "evt_o",
                "radar.early_fraud_warning.created",
                0,
                &warning(true),
            ),
            event(
                "evt_e",
                "radar.early_fraud_warning.updated",
                100,
                &warning(false),
            ),
        ),
        (
            "a payment of the customer is under review",
            event("evt_o", "review.opened", 0, &review(true)),
            event("evt_e", "review.closed", 100, &review(false)),
        ),
    ]
}

#[tokio::test]
async fn a_doubted_payment_keeps_its_customer_from_being_asked_until_it_is_over() {
    for (said, opened, ended) in doubts() {
        let app = with_a_payment().await;
        app.deliver(&opened).await;
        app.settle().await;
        app.deliver(&event(
            "evt_f1",
            "payment_intent.payment_failed",
            70,
            &failed("pi_2"),
        ))
        .await;
        app.settle().await;
        assert_eq!(app.mails().len(), 0, "{said}");
        let run = app.event("evt_f1").await.run.unwrap();
        assert_eq!(
            (run.status.as_str(), run.reason.as_deref()),
            ("skipped", Some(said))
        );
        app.deliver(&ended).await;
        app.deliver(&event(
            "evt_f2",
            "payment_intent.payment_failed",
            140,
            &failed("pi_3"),
        ))
        .await;
        app.settle().await;
        // Its customer has not paid by any row of ours, so the first mail waits a little longer.
        app.clock.advance(std::time::Duration::from_mins(11));
        app.drain().await;
        assert_eq!(
            app.mails().len(),
            1,
            "{said}: {:#?}",
            app.event("evt_f2").await
        );
    }
}

#[tokio::test]
async fn whose_payment_it_is_shows_in_any_order() {
    for (said, opened, _) in doubts() {
        let app = TestApp::start().await;
        app.deliver(&event("evt_cus", "customer.created", -100, &customer()))
            .await;
        app.deliver(&opened).await;
        app.settle().await;
        // Only now is it known whose charge that is.
        app.deliver(&event("evt_charge", "charge.succeeded", -90, &charge()))
            .await;
        app.deliver(&event(
            "evt_f",
            "payment_intent.payment_failed",
            60,
            &failed("pi_2"),
        ))
        .await;
        app.settle().await;
        let run = app.event("evt_f").await.run.unwrap();
        assert_eq!(run.reason.as_deref(), Some(said));
    }
}
