//! The views that other programs read: their columns, and what stands in them.

use insta::assert_snapshot;
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection, Row, SqliteConnection};

use super::apply;
use crate::support::bench::{Bench, START};
use crate::support::fixture::{Customer, Intent, Invoice, Object, Subscription, Told};

on_both!(every_view_shows_what_is_there);

/// The promise: names and types stay. `docs/views.md` says what they mean.
const COLUMNS: &str = "
    billhook_access: account text, livemode boolean, customer text, state text, subscription text, status text, past_due_since timestamp with time zone, reason text, version bigint, lost_disputes bigint
    billhook_customers: account text, livemode boolean, id text, email text, name text, deleted boolean, created timestamp with time zone, version bigint
    billhook_disputes: account text, livemode boolean, id text, charge text, payment_intent text, status text, reason text, amount bigint, currency text, due_by timestamp with time zone, created timestamp with time zone, version bigint
    billhook_invoices: account text, livemode boolean, id text, customer text, subscription text, status text, attempt_count bigint, amount_due bigint, amount_paid bigint, currency text, next_payment_attempt timestamp with time zone, created timestamp with time zone, version bigint
    billhook_ledger: account text, livemode boolean, id text, type text, source text, source_object text, amount bigint, fee bigint, currency text, created timestamp with time zone
    billhook_orders: account text, livemode boolean, id text, customer text, status text, amount bigint, amount_refunded bigint, currency text, on_hold boolean, created timestamp with time zone, version bigint
    billhook_subscriptions: account text, livemode boolean, id text, customer text, status text, plan text, current_period_end timestamp with time zone, cancel_at_period_end boolean, past_due_since timestamp with time zone, ended_at timestamp with time zone, created timestamp with time zone, version bigint
";

/// The columns without their types.
fn names(columns: &str) -> Vec<(String, Vec<String>)> {
    let lines = columns
        .lines()
        .filter_map(|line| line.trim().split_once(": "));
    lines
        .map(|(view, columns)| {
            let columns = columns.split(", ");
            let names = columns.map(|column| column.split(' ').next().unwrap().to_owned());
            (view.to_owned(), names.collect())
        })
        .collect()
}

#[tokio::test]
async fn on_postgres_columns_have_the_promised_names_and_types() {
    let Some(bench) = Bench::postgres().await else {
        return;
    };
    let mut db = PgConnection::connect(&bench.url).await.unwrap();
    let found: Vec<(String,)> = sqlx::query_as(
        "SELECT c.relname || ': ' || string_agg(a.attname || ' ' || format_type(a.atttypid, NULL), ', ' ORDER BY a.attnum) \
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
         WHERE c.relkind = 'v' AND c.relnamespace = 'public'::regnamespace GROUP BY c.relname ORDER BY c.relname",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    let found: Vec<&str> = found.iter().map(|(line,)| line.as_str()).collect();
    let promised: Vec<&str> = COLUMNS
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(found, promised);
}

#[tokio::test]
async fn on_sqlite_columns_have_the_same_names() {
    let bench = Bench::sqlite().await;
    let mut db = SqliteConnection::connect(&bench.url).await.unwrap();
    let found: Vec<(String, String)> = sqlx::query_as(
        "SELECT m.name, (SELECT group_concat(name, ' ') FROM (SELECT name FROM pragma_table_info(m.name) ORDER BY cid)) \
         FROM sqlite_schema m WHERE m.type = 'view' ORDER BY m.name",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    let promised: Vec<(String, String)> = names(COLUMNS)
        .into_iter()
        .map(|(view, columns)| (view, columns.join(" ")))
        .collect();
    assert_eq!(found, promised);
}

/// Every row of a view as one line.
async fn lines(bench: &Bench, view: &str) -> Vec<String> {
    let all = names(COLUMNS);
    let (_, columns) = all.iter().find(|(known, _)| known == view).unwrap();
    // Text, so that both databases say the same.
    let as_text = |column: &String| {
        let flag = matches!(
            column.as_str(),
            "livemode" | "deleted" | "on_hold" | "cancel_at_period_end"
        );
        let time = matches!(
            column.as_str(),
            "created"
                | "due_by"
                | "ended_at"
                | "past_due_since"
                | "current_period_end"
                | "next_payment_attempt"
        );
        match (bench.is_postgres(), flag, time) {
            (false, true, _) => format!("CASE {column} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"),
            (true, _, true) => {
                format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
            }
            _ => format!("CAST({column} AS TEXT)"),
        }
    };
    let shown: Vec<String> = columns
        .iter()
        .map(|column| format!("coalesce({}, '-')", as_text(column)))
        .collect();
    let sql = format!(
        "SELECT {} AS line FROM {view} ORDER BY 1",
        shown.join(" || ' ' || ")
    );
    let sql = sqlx::AssertSqlSafe(sql);
    if bench.is_postgres() {
        let mut db = PgConnection::connect(&bench.url).await.unwrap();
        let rows = db.fetch_all(sqlx::query(sql)).await.unwrap();
        rows.iter().map(|row| row.get("line")).collect()
    } else {
        let mut db = SqliteConnection::connect(&bench.url).await.unwrap();
        let rows = db.fetch_all(sqlx::query(sql)).await.unwrap();
        rows.iter().map(|row| row.get("line")).collect()
    }
}

fn told(id: &str, kind: &'static str, object: impl Into<Object>) -> Told {
    Told::new(id, kind, START, object)
}

fn history() -> Vec<Told> {
    let customer = Customer {
        id: "cus_1".into(),
        email: Some("ada@shopper.example".into()),
        name: Some("A\u{0}da".into()),
        delinquent: false,
        created: START - 100,
    };
    let subscription = Subscription {
        id: "sub_1".into(),
        customer: "cus_1".into(),
        status: "past_due",
        latest_invoice: Some("in_1".into()),
        period_start: START,
        cancel_at_period_end: false,
        canceled_at: None,
        created: START - 50,
        ..Subscription::default()
    };
    let invoice = Invoice {
        id: "in_1".into(),
        customer: "cus_1".into(),
        subscription: Some("sub_1".into()),
        intent: None,
        charge: None,
        status: "open",
        amount: 4900,
        attempts: 1,
        shows_payments: false,
        created: START - 40,
        ..Invoice::default()
    };
    let intent = Intent {
        id: "pi_1".into(),
        customer: Some("cus_2".into()),
        invoice: None,
        order: Some("A-1".into()),
        status: "succeeded",
        amount: 900,
        received: 900,
        charge: Some("ch_1".into()),
        declined: false,
        created: START - 30,
        ..Intent::default()
    };
    let dispute = json!({
        "id": "dp_1", "object": "dispute", "charge": "ch_1", "payment_intent": "pi_1", "status": "needs_response",
        "reason": "fraudulent", "amount": 900, "currency": "eur", "created": START - 20,
        "evidence_details": { "due_by": START + 7 * 86_400 }, "balance_transactions": [], "metadata": {},
    });
    let paid = Intent {
        id: "pi_2".into(),
        customer: Some("cus_1".into()),
        order: Some("B-1".into()),
        charge: Some("ch_2".into()),
        ..intent.clone()
    };
    let mut lost = dispute.clone();
    for (field, is) in [
        ("id", "dp_3"),
        ("charge", "ch_2"),
        ("payment_intent", "pi_2"),
        ("status", "lost"),
    ] {
        lost[field] = json!(is);
    }
    let mut odd = dispute.clone();
    odd["id"] = json!("dp_2");
    odd["amount"] = json!("nine");
    odd["evidence_details"]["due_by"] = json!(i64::MAX);
    odd["balance_transactions"] = json!([{
        "id": "txn_1", "object": "balance_transaction", "amount": -900, "fee": 1500, "currency": "eur", "created": START - 10,
    }]);
    vec![
        told("evt_1", "customer.created", customer),
        told("evt_2", "customer.subscription.updated", subscription),
        told("evt_3", "invoice.updated", invoice),
        told("evt_4", "payment_intent.succeeded", intent),
        told("evt_5", "charge.dispute.created", Object::Other(dispute)),
        // What no calendar has, and an amount that is none, must not break the view.
        told("evt_6", "charge.dispute.created", Object::Other(odd)),
        told("evt_7", "payment_intent.succeeded", paid),
        told("evt_8", "charge.dispute.closed", Object::Other(lost)),
    ]
}

async fn every_view_shows_what_is_there(bench: Bench) {
    apply(&bench, &history()).await;
    let mut all = Vec::new();
    for (view, _) in names(COLUMNS) {
        for line in lines(&bench, &view).await {
            all.push(format!("{view}: {line}"));
        }
    }
    assert_snapshot!(all.join("\n"), @r"
    billhook_access: self true cus_1 grace sub_1 - 2026-02-03T04:05:06Z - 3 1
    billhook_access: self true cus_2 denied - - - no subscription 1 0
    billhook_customers: self true cus_1 ada@shopper.example Ada false 2026-02-03T04:03:26Z 1
    billhook_disputes: self true dp_1 ch_1 pi_1 needs_response fraudulent 900 eur 2026-02-10T04:05:06Z 2026-02-03T04:04:46Z 1
    billhook_disputes: self true dp_2 ch_1 pi_1 needs_response fraudulent - eur - 2026-02-03T04:04:46Z 1
    billhook_disputes: self true dp_3 ch_2 pi_2 lost fraudulent 900 eur 2026-02-10T04:05:06Z 2026-02-03T04:04:46Z 1
    billhook_invoices: self true in_1 cus_1 sub_1 open 1 4900 0 eur 2026-02-06T04:04:26Z 2026-02-03T04:04:26Z 1
    billhook_ledger: self true txn_1 funds_withdrawn dp_2 dispute -900 1500 eur 2026-02-03T04:04:56Z
    billhook_orders: self true A-1 cus_2 disputed 900 0 eur true 2026-02-03T04:04:36Z 3
    billhook_orders: self true B-1 cus_1 charged_back 900 0 eur false 2026-02-03T04:04:36Z 2
    billhook_subscriptions: self true sub_1 cus_1 past_due price_team_monthly 2026-03-05T04:05:06Z false 2026-02-03T04:05:06Z - 2026-02-03T04:04:16Z 1
    ");
}
