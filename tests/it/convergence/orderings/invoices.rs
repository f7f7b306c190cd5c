//! Invoices: what was paid is paid, whatever is told later of the time before.

use std::time::Duration;

use billhook::guardrails::precondition::{Purpose, fallen};
use billhook::store::Store;
use serde_json::json;

use super::{always, always_on_both, apply_all, invoice, permutations, told};
use crate::support::bench::Bench;
use crate::support::fixture::Shape;

#[tokio::test]
async fn an_invoice_paid_before_it_was_created_is_paid() {
    let events = [
        told("3", "invoice.created", 0, invoice("draft", 0)),
        told("2", "invoice.finalized", 0, invoice("open", 0)),
        told("1", "invoice.paid", 0, invoice("paid", 1)),
    ];
    always(&events, ("invoice", "in_1"), "status", json!("paid")).await;
}

#[tokio::test]
async fn a_failure_told_after_the_payment_is_not_written_about() {
    let events = [
        told("1", "invoice.payment_failed", 0, invoice("open", 1)),
        told("2", "invoice.paid", 60, invoice("paid", 2)),
    ];
    always(&events, ("invoice", "in_1"), "status", json!("paid")).await;
    for order in permutations(&events) {
        let bench = Bench::in_memory().await;
        for told in &order {
            bench
                .store
                .ingest(&[told.delivery(Shape::Dahlia, bench.now())])
                .await
                .unwrap();
            apply_all(&bench).await;
        }
        bench.clock.advance(Duration::from_secs(61));
        let run = bench
            .store
            .claim_run(Duration::from_mins(1))
            .await
            .unwrap()
            .unwrap();
        let input = bench.store.load_run(&run).await.unwrap();
        assert_eq!(
            fallen(Purpose::InvoicePaymentFailed, &input.standing).as_deref(),
            Some("the invoice is paid now")
        );
    }
}

#[tokio::test]
async fn an_invoice_paid_and_updated_in_one_second_is_paid() {
    let events = [
        told("1", "invoice.paid", 0, invoice("paid", 1)),
        told("2", "invoice.updated", 0, invoice("open", 1)).was(json!({ "attempt_count": 0 })),
    ];
    always(&events, ("invoice", "in_1"), "status", json!("paid")).await;
}

#[tokio::test]
async fn an_uncollectible_invoice_may_still_be_paid() {
    let events = [
        told("1", "invoice.finalized", 0, invoice("open", 0)),
        told("2", "invoice.updated", 5, invoice("uncollectible", 3)),
        told("3", "invoice.paid", 9, invoice("paid", 4)),
    ];
    always_on_both(&events, ("invoice", "in_1"), "status", json!("paid")).await;
}
