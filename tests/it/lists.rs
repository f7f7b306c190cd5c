//! Lists over HTTP: after which row a page may go on, which parameters there are, and whose rows are meant.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::identity::get;
use crate::support::app::{START, TestApp, event};

/// Every list, and what Stripe would call a row of it.
const LISTS: [(&str, &str); 13] = [
    ("events", "event"),
    ("runs", "run"),
    ("tool_calls", "tool call"),
    ("outbox", "message"),
    ("customers", "customer"),
    ("orders", "order"),
    ("subscriptions", "subscription"),
    ("invoices", "invoice"),
    ("charges", "charge"),
    ("refunds", "refund"),
    ("disputes", "dispute"),
    ("payouts", "payout"),
    ("ledger", "ledger entry"),
];

fn failed_payment() -> Value {
    event(
        "evt_failed",
        "payment_intent.payment_failed",
        0,
        &json!({
            "id": "pi_1", "object": "payment_intent", "customer": "cus_1", "status": "requires_payment_method",
            "amount": 90_000, "currency": "eur", "created": START - 500, "metadata": { "order_id": "1001" },
            "latest_charge": "ch_1",
        }),
    )
}

#[tokio::test]
async fn a_page_that_goes_on_after_no_row_is_refused() {
    let app = TestApp::start().await;
    app.deliver(&failed_payment()).await;
    app.settle().await;
    for (list, noun) in LISTS {
        let (status, problem) = get(&app, &format!("{list}?starting_after=evt_x")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{list}: {problem}");
        assert_eq!(problem["parameter"], "starting_after", "{list}");
        let detail = problem["detail"].as_str().unwrap();
        let expected = format!("No such {noun}: 'evt_x'");
        assert!(detail.starts_with(&expected), "{list}: {detail}");
    }
    // With every filter that has a statement of its own, and after every row that is there.
    for filtered in [
        "events?status=pending",
        "events?status=dead",
        "events?status=done",
        "events?customer=cus_1",
        "outbox?status=pending",
        "outbox?status=failed",
        "outbox?status=sent",
        "outbox?channel=sales",
        "customers?account=self&livemode=true",
        "ledger?source=ch_1",
    ] {
        let (status, problem) = get(&app, &format!("{filtered}&starting_after=evt_x")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{filtered}: {problem}");
    }
    for list in ["events", "runs", "tool_calls", "outbox", "orders"] {
        let (_, page) = get(&app, &format!("{list}?limit=100")).await;
        let rows = page["data"].as_array().unwrap();
        let last = rows.last().unwrap_or_else(|| panic!("{list} is empty"));
        let after = last["id"].as_str().unwrap();
        let (status, page) = get(&app, &format!("{list}?starting_after={after}")).await;
        assert_eq!(
            (status, &page["data"]),
            (StatusCode::OK, &json!([])),
            "{list}"
        );
    }
    // An order that goes by another id since it was listed.
    let (status, page) = get(&app, "orders?starting_after=pi_1").await;
    assert_eq!((status, &page["data"]), (StatusCode::OK, &json!([])));
}

#[tokio::test]
async fn what_no_list_can_mean_is_refused_by_its_name() {
    let app = TestApp::start().await;
    for (list, _) in LISTS {
        for (query, name) in [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=ten", "limit"),
            ("limit=", "limit"),
            ("ending_before=evt_x", "ending_before"),
            ("colour=red", "colour"),
        ] {
            let (status, problem) = get(&app, &format!("{list}?{query}")).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{list}?{query}: {problem}");
            assert_eq!(problem["parameter"], name, "{list}?{query}");
        }
    }
    let (_, problem) = get(&app, "outbox?channel=application").await;
    let detail = problem["detail"].as_str().unwrap();
    assert_eq!(
        detail,
        "`channel` must be one of email, sales, finance, app"
    );
}

#[tokio::test]
async fn messages_are_listed_by_channel() {
    let app = TestApp::start().await;
    app.deliver(&failed_payment()).await;
    app.settle().await;
    let channels = async |query: &str| {
        let (_, page) = get(&app, &format!("outbox?{query}")).await;
        let rows = page["data"].as_array().unwrap().iter();
        rows.map(|row| row["channel"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(channels("channel=sales").await, ["sales"]);
    assert_eq!(channels("channel=sales&status=pending").await, ["sales"]);
    assert!(channels("channel=sales&status=sent").await.is_empty());
    assert!(channels("channel=email&status=pending").await.is_empty());
    assert!(channels("channel=finance").await.is_empty());
}

#[tokio::test]
async fn movements_that_several_accounts_may_mean_are_asked_about() {
    let app = TestApp::start().await;
    let charge = json!({
        "id": "ch_1", "object": "charge", "amount": 4900, "amount_captured": 4900, "amount_refunded": 0, "captured": true,
        "balance_transaction": "txn_1", "created": START, "currency": "eur", "customer": "cus_1", "paid": true,
        "payment_intent": "pi_1", "refunded": false, "status": "succeeded",
    });
    for account in ["acct_a", "acct_b"] {
        let mut told = event(&format!("evt_{account}"), "charge.succeeded", 0, &charge);
        told["account"] = json!(account);
        app.deliver(&told).await;
    }
    app.drain().await;
    let (_, all) = get(&app, "ledger").await;
    assert_eq!(all["data"].as_array().unwrap().len(), 2, "{all}");
    // As many newer movements of one account as a page has, and the other account behind them.
    let dispute = |ids: std::ops::Range<i64>| {
        let movements: Vec<Value> = ids
            .map(|n| json!({ "id": format!("txn_dp_{n}"), "object": "balance_transaction", "amount": -1, "fee": 0, "currency": "eur", "created": START + n }))
            .collect();
        json!({
            "id": "dp_1", "object": "dispute", "amount": 4900, "balance_transactions": movements, "charge": "ch_1",
            "created": START, "currency": "eur", "payment_intent": null, "reason": "fraudulent", "status": "needs_response",
        })
    };
    for (account, ids) in [("acct_a", 100..200), ("acct_b", 0..1)] {
        let id = format!("evt_dp_{account}");
        let mut told = event(&id, "charge.dispute.created", 0, &dispute(ids));
        told["account"] = json!(account);
        app.deliver(&told).await;
    }
    app.drain().await;
    let (status, problem) = get(&app, "ledger?source=dp_1").await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    let (status, _) = get(&app, "ledger?source=dp_1&account=acct_a").await;
    assert_eq!(status, StatusCode::OK);
    let id = all["data"][0]["id"].as_str().unwrap();
    let after = format!("starting_after={id}");
    for query in ["source=ch_1", &after, &format!("source=ch_1&{after}")] {
        let (status, problem) = get(&app, &format!("ledger?{query}")).await;
        assert_eq!(status, StatusCode::CONFLICT, "{query}: {problem}");
        assert_eq!(problem["type"], "urn:billhook:problem:ambiguous-id");
        let candidates = problem["candidates"].as_array().unwrap().iter();
        let mut accounts: Vec<&Value> = candidates.map(|one| &one["account"]).collect();
        accounts.sort_by_key(ToString::to_string);
        assert_eq!(accounts, ["acct_a", "acct_b"], "{query}");
    }
    let whose = "source=ch_1&account=acct_b&livemode=true";
    let (status, own) = get(&app, &format!("ledger?{whose}")).await;
    assert_eq!(status, StatusCode::OK, "{own}");
    assert_eq!(own["data"].as_array().unwrap().len(), 1);
    assert_eq!(own["data"][0]["account"], "acct_b");
    let (status, rest) = get(&app, &format!("ledger?{whose}&{after}")).await;
    assert_eq!((status, &rest["data"]), (StatusCode::OK, &json!([])));
}
