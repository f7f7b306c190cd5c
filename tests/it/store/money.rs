//! What refunds, disputes, reviews and warnings do to an order, its holds, its customer's access and the ledger.

use billhook::config::{AccessConfig, OnLostDispute};
use billhook::guardrails::derive::access::AccessRow;
use billhook::store::{Action, LedgerEntry, LedgerFilter, NewEffect, Page, Store};
use billhook_tools::{OrderChange, OrderNote, Proposal};
use serde_json::{Value, json};
use std::time::Duration;

use super::queued::{done, run_of};
use super::{apply, paid};
use crate::support::bench::{Bench, START};
use crate::support::fixture::{Object, Told};

on_both!(
    a_refund_that_fails_opens_the_order_again,
    a_dispute_is_known_before_its_charge,
    funds_that_are_told_backwards_come_to_nothing,
    what_is_captured_in_part_is_kept,
    movements_of_accounts_and_modes_are_told_apart,
    a_hold_by_rule_is_out_of_a_models_reach,
    a_lost_dispute_is_a_reason_where_policy_says_so,
    a_payment_that_a_session_gave_up_is_canceled,
);

pub(super) fn told(id: &str, kind: &'static str, after: i64, object: &Value) -> Told {
    let id = format!("evt_{id}");
    Told::new(id, kind, START + after, Object::Other(object.clone()))
}

fn charge(refunded: i64) -> Value {
    json!({
        "id": "ch_1", "object": "charge", "amount": 4900, "amount_captured": 4900, "amount_refunded": refunded,
        "balance_transaction": "txn_0", "captured": true, "created": START, "currency": "eur", "customer": "cus_1",
        "paid": true, "payment_intent": "pi_1", "refunded": refunded == 4900, "status": "succeeded",
    })
}

fn refund(status: &str) -> Value {
    json!({
        "id": "re_1", "object": "refund", "amount": 4900, "charge": "ch_1", "created": START, "currency": "eur",
        "payment_intent": null, "status": status,
        "failure_balance_transaction": if status == "failed" { json!("txn_9") } else { Value::Null },
    })
}

fn dispute(status: &str, movements: &[(&str, i64)]) -> Value {
    let movements: Vec<Value> = movements
        .iter()
        .map(|(id, amount)| {
            json!({"id": id, "object": "balance_transaction", "amount": amount, "fee": 1500, "currency": "eur", "created": START})
        })
        .collect();
    json!({
        "id": "dp_1", "object": "dispute", "amount": 4900, "balance_transactions": movements, "charge": "ch_1",
        "created": START, "currency": "eur", "payment_intent": null, "reason": "fraudulent", "status": status,
        "evidence_details": { "due_by": START + 700_000 },
    })
}

async fn order(bench: &Bench) -> Value {
    let mut rows = bench.store.object("order", "pi_1").await.unwrap();
    assert_eq!(rows.len(), 1);
    rows.remove(0).data
}

async fn ledger(bench: &Bench, source: Option<&str>) -> Vec<LedgerEntry> {
    let page = Page {
        limit: 10,
        starting_after: None,
    };
    let filter = LedgerFilter {
        source: source.map(str::to_owned),
        ..LedgerFilter::default()
    };
    bench.store.ledger(&filter, &page).await.unwrap().data
}

async fn a_refund_that_fails_opens_the_order_again(bench: Bench) {
    // The refund names only the charge, and comes before anything says whose that is.
    let events = [
        told("re", "refund.created", 10, &refund("succeeded")),
        paid("cus_1", "pi_1", 0),
        told("ch", "charge.succeeded", 0, &charge(0)),
    ];
    for event in events {
        apply(&bench, &[event]).await;
    }
    let paid_back = order(&bench).await;
    assert_eq!(
        (&paid_back["status"], &paid_back["amount_refunded"]),
        (&json!("refunded"), &json!(4900))
    );
    let refunded = told("chr", "charge.refunded", 11, &charge(4900));
    apply(&bench, &[refunded]).await;
    let failed = told("ref", "refund.failed", 90, &refund("failed"));
    apply(&bench, &[failed]).await;
    let again = order(&bench).await;
    assert_eq!(
        (&again["status"], &again["amount_refunded"]),
        (&json!("paid"), &json!(0))
    );
    let moved: i64 = ledger(&bench, Some("re_1"))
        .await
        .iter()
        .map(|entry| entry.amount)
        .sum();
    assert_eq!(moved, 0);
    let all = ledger(&bench, None).await;
    let all: Vec<&str> = all.iter().map(|entry| entry.r#type.as_str()).collect();
    assert_eq!(all.len(), 3, "{all:?}");
    let event = bench.store.event("evt_ref").await.unwrap().unwrap();
    let change = |field: &str| {
        let mut changes = event.changes.iter();
        changes.find(|change| change["entity"] == "order" && change["field"] == field)
    };
    assert_eq!(change("status").unwrap()["to"], "paid");
}

async fn a_dispute_is_known_before_its_charge(bench: Bench) {
    let opened = told(
        "dp",
        "charge.dispute.created",
        20,
        &dispute("needs_response", &[]),
    );
    apply(&bench, &[opened]).await;
    apply(&bench, &[paid("cus_1", "pi_1", 0)]).await;
    assert_eq!(
        order(&bench).await["status"],
        "paid",
        "nothing links them yet"
    );
    apply(&bench, &[told("ch", "charge.succeeded", 0, &charge(0))]).await;
    let disputed = order(&bench).await;
    assert_eq!(disputed["status"], "disputed");
    assert_eq!(
        disputed["holds"],
        json!([{"reason": "dispute_open", "object": "dp_1", "since": START}])
    );
    // Told out of order: the end, and then what led to it.
    for (id, kind, after, status, expected) in [
        ("won", "charge.dispute.closed", 99, "won", "paid"),
        ("rev", "charge.dispute.updated", 50, "under_review", "paid"),
        ("lost", "charge.dispute.closed", 200, "lost", "charged_back"),
    ] {
        let event = told(id, kind, after, &dispute(status, &[]));
        apply(&bench, &[event]).await;
        let order = order(&bench).await;
        assert_eq!(order["status"], expected, "{id}");
        assert_eq!(order["holds"], json!([]), "{id}");
    }
}

async fn funds_that_are_told_backwards_come_to_nothing(bench: Bench) {
    let (out, back) = (("txn_1", -4900), ("txn_2", 4900));
    let reinstated = told(
        "in",
        "charge.dispute.funds_reinstated",
        60,
        &dispute("won", &[back]),
    );
    apply(&bench, &[reinstated]).await;
    assert_eq!(ledger(&bench, Some("dp_1")).await.len(), 1);
    let withdrawn = told(
        "out",
        "charge.dispute.funds_withdrawn",
        30,
        &dispute("needs_response", &[out]),
    );
    apply(&bench, std::slice::from_ref(&withdrawn)).await;
    apply(&bench, &[withdrawn]).await;
    let entries = ledger(&bench, Some("dp_1")).await;
    let shown: Vec<_> = entries
        .iter()
        .map(|entry| {
            (
                entry.id.as_str(),
                entry.r#type.as_str(),
                entry.amount,
                entry.fee,
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("txn_2", "funds_reinstated", 4900, Some(1500)),
            ("txn_1", "funds_withdrawn", -4900, Some(1500))
        ]
    );
    let page = Page {
        limit: 1,
        starting_after: Some("txn_2".to_owned()),
    };
    let next = bench
        .store
        .ledger(&LedgerFilter::default(), &page)
        .await
        .unwrap();
    assert_eq!((next.data[0].id.as_str(), next.has_more), ("txn_1", false));
    let event = bench.store.event("evt_out").await.unwrap().unwrap();
    let noted = |change: &Value| change["entity"] == "ledger" && change["to"] == -4900;
    assert!(event.changes.iter().any(noted), "{:?}", event.changes);
}

async fn what_is_captured_in_part_is_kept(bench: Bench) {
    let mut part = charge(4600);
    part["amount_captured"] = json!(300);
    let mut release = refund("succeeded");
    release["amount"] = json!(4600);
    release["balance_transaction"] = json!("txn_1");
    let events = [
        told("re", "refund.created", 10, &release),
        paid("cus_1", "pi_1", 0),
        told("ch", "charge.captured", 10, &part),
    ];
    for event in events {
        apply(&bench, &[event]).await;
    }
    assert_eq!(order(&bench).await["amount_refunded"], 0);
    let moved = ledger(&bench, None).await;
    assert_eq!(moved.iter().map(|entry| entry.amount).sum::<i64>(), 300);
}

async fn movements_of_accounts_and_modes_are_told_apart(bench: Bench) {
    for (id, account) in [("a", None), ("b", Some("acct_1")), ("c", Some("acct_2"))] {
        let mut event = told(id, "charge.succeeded", 0, &charge(0));
        event.account = account.map(str::to_owned);
        apply(&bench, &[event]).await;
    }
    let all = LedgerFilter {
        source: Some("ch_1".to_owned()),
        ..LedgerFilter::default()
    };
    let owners = bench.store.ledger_owners(&all).await.unwrap();
    let accounts: Vec<_> = owners.iter().map(|(account, _)| account.as_str()).collect();
    assert_eq!(accounts, ["acct_1", "acct_2", "self"]);
    let one = LedgerFilter {
        account: Some("acct_1".to_owned()),
        livemode: Some(true),
        ..all
    };
    let owners = bench.store.ledger_owners(&one).await.unwrap();
    assert_eq!(owners, [("acct_1".to_owned(), true)]);
    let list = |filter: LedgerFilter, after: Option<&str>| {
        let page = Page {
            limit: 2,
            starting_after: after.map(str::to_owned),
        };
        let store = bench.store.clone();
        async move {
            let rows = store.ledger(&filter, &page).await.unwrap();
            let whose: Vec<String> = rows.data.into_iter().map(|row| row.account).collect();
            (whose, rows.has_more)
        }
    };
    let of = |account: &str, livemode| LedgerFilter {
        account: Some(account.to_owned()),
        livemode,
        ..LedgerFilter::default()
    };
    let all = list(LedgerFilter::default(), None).await;
    assert_eq!((all.0.len(), all.1), (2, true));
    for livemode in [None, Some(true)] {
        let own = list(of("acct_1", livemode), None).await;
        assert_eq!(own, (vec!["acct_1".to_owned()], false));
        let after = list(of("acct_1", livemode), Some("ch_1")).await;
        assert_eq!(after, (vec![], false), "the cursor is its own row");
    }
    assert_eq!(
        list(of("acct_1", Some(false)), None).await.0,
        Vec::<String>::new()
    );
    let of_source = LedgerFilter {
        source: Some("ch_1".to_owned()),
        ..of("acct_2", None)
    };
    assert_eq!(list(of_source, None).await.0, ["acct_2"]);
    let named = LedgerFilter {
        id: Some("ch_1".to_owned()),
        ..LedgerFilter::default()
    };
    assert!(list(named, None).await.1, "three have this id");
}

async fn a_hold_by_rule_is_out_of_a_models_reach(bench: Bench) {
    let run = run_of(&bench, "cus_1", "pi_1").await;
    let opened = json!({
        "id": "prv_1", "object": "review", "charge": null, "created": START, "open": true, "payment_intent": "pi_1",
        "reason": "rule", "closed_reason": null,
    });
    apply(&bench, &[told("prv", "review.opened", 5, &opened)]).await;
    let release = NewEffect {
        key: "key_release".to_owned(),
        proposal: Proposal::UpdateOrder {
            order: "pi_1".to_owned(),
            change: OrderChange::Release,
            note: OrderNote::Resolved,
        },
        action: Action::Release {
            order: "pi_1".to_owned(),
        },
    };
    bench
        .store
        .finish_run(&run, &done(vec![release]))
        .await
        .unwrap();
    assert_eq!(order(&bench).await["holds"][0]["reason"], "review_open");
    let mut approved = opened;
    approved["open"] = json!(false);
    approved["closed_reason"] = json!("approved");
    apply(&bench, &[told("prv_c", "review.closed", 9, &approved)]).await;
    assert_eq!(order(&bench).await["holds"], json!([]));
}

async fn a_lost_dispute_is_a_reason_where_policy_says_so(bench: Bench) {
    let subscription = json!({
        "id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "active", "created": START - 1000,
    });
    let customer = json!({ "id": "cus_1", "object": "customer", "created": START - 2000 });
    let events = [
        told("cus", "customer.created", -2000, &customer),
        told("dp", "charge.dispute.closed", 20, &dispute("lost", &[])),
        told("sub", "customer.subscription.created", -1000, &subscription),
        told("ch", "charge.succeeded", 0, &charge(0)),
    ];
    for event in events {
        apply(&bench, &[event]).await;
    }
    let access = |bench: &Bench, on_lost_dispute| {
        let (store, now) = (bench.store.clone(), bench.now());
        async move {
            let rows = store.object("customer", "cus_1").await.unwrap();
            let row: AccessRow = serde_json::from_value(rows[0].beside.clone()).unwrap();
            let policy = AccessConfig {
                past_due_grace: Duration::from_hours(1),
                on_lost_dispute,
            };
            row.at(now, &policy).granted
        }
    };
    assert!(access(&bench, OnLostDispute::Keep).await);
    assert!(!access(&bench, OnLostDispute::End).await);
    // Stripe corrects itself.
    let won = told(
        "won",
        "charge.dispute.funds_reinstated",
        90,
        &dispute("won", &[]),
    );
    apply(&bench, &[won]).await;
    assert!(access(&bench, OnLostDispute::End).await);
}

async fn a_payment_that_a_session_gave_up_is_canceled(bench: Bench) {
    let session = |payment_status: &str| {
        json!({
            "id": "cs_1", "object": "checkout.session", "mode": "payment", "status": "complete", "amount_total": 4900,
            "currency": "eur", "created": START, "payment_intent": "pi_1", "payment_status": payment_status,
        })
    };
    let waiting = json!({
        "id": "pi_1", "object": "payment_intent", "amount": 4900, "currency": "eur", "created": START,
        "status": "requires_payment_method", "customer": "cus_1",
    });
    let steps = [
        told(
            "f",
            "checkout.session.async_payment_failed",
            90,
            &session("unpaid"),
        ),
        told("c", "checkout.session.completed", 1, &session("unpaid")),
        told("pf", "payment_intent.payment_failed", 89, &waiting),
    ];
    for event in steps {
        apply(&bench, &[event]).await;
        assert_eq!(order(&bench).await["status"], "canceled");
    }
    apply(&bench, &[paid("cus_1", "pi_1", 100)]).await;
    assert_eq!(order(&bench).await["status"], "paid");
}
