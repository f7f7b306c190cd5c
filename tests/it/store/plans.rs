//! How both databases go about the statements that must not walk a table, with many rows in it that nobody asks for.
//!
//! Over 400 lines because the rows of every table that grows, and the statements that read them, stand in one place.

use std::collections::BTreeMap;

use billhook::store::{EventFilter, MessageFilter, Page, Store};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

use crate::support::bench::Bench;

on_both!(
    what_is_counted_listed_and_capped_comes_from_an_index,
    what_is_a_range_of_a_key_is_read_as_one,
    every_status_is_counted_and_listed,
);

/// What most rows are, and a few of everything that is counted or listed.
const MANY: &[&str] = &[
    "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) \
        INSERT INTO events (id, account, livemode, type, endpoint, created, received_at, customer, lane, status, occurrence) \
        SELECT 'evt_' || n, '', 0, 'invoice.paid', '', n, n, 'cus_' || (n % 5000), 'cus_' || (n % 5000), \
            CASE n % 500 WHEN 0 THEN 'dead' WHEN 1 THEN 'retrying' WHEN 2 THEN 'applied' WHEN 3 THEN 'pending' ELSE 'done' END, 'occ_' || n FROM n",
    "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) \
        INSERT INTO messages (id, effect_key, account, livemode, event, run, occurrence, playbook, purpose, channel, customer, recipient, recipient_key, \
            message_id, subject, text, status, waits_for_cap, not_before, expires_at, created_at, tried_at) \
        SELECT 'msg_' || n, 'key_' || n, '', 0, 'evt_' || n, 'run_' || n, 'occ_' || n, 'payment_failed', 'payment_failed', 'email', 'cus_' || (n % 5000), \
            'a@example.com', 'key_' || (n % 5000), '<' || n || '>', 'A subject', 'A text', \
            CASE n % 500 WHEN 0 THEN 'unknown' WHEN 1 THEN 'failed' WHEN 2 THEN 'pending' WHEN 3 THEN 'sending' WHEN 4 THEN 'held' ELSE 'sent' END, \
            CASE n % 500 WHEN 2 THEN 'playbook' END, n, n, n, CASE n % 500 WHEN 2 THEN NULL ELSE n END FROM n",
    "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) \
        INSERT INTO messages (id, effect_key, account, livemode, channel, message_id, subject, text, object, version, status, not_before, expires_at, created_at) \
        SELECT 'app_' || n, 'app_' || n, '', 0, 'app', '<app_' || n || '>', 'A subject', '', 'order/A-' || (n % 5000), n, 'sent', 0, 0, 0 FROM n",
    // Questions that a key of the other mode left, beside those that are over.
    "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) \
        INSERT INTO fetches (id, account, livemode, reason, kind, object, event, status, not_before, asked_at, ended_at) \
        SELECT 'fetch_' || n, '', CASE n % 50 WHEN 0 THEN 1 ELSE 0 END, 'links', 'invoice', 'in_' || n, 'evt_' || n, \
            CASE WHEN n % 50 = 0 THEN 'pending' WHEN n % 500 = 1 THEN 'denied' WHEN n % 500 = 2 THEN 'given_up' ELSE 'done' END, n, n, n FROM n",
    "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) \
        INSERT INTO spending (day, shard, currency, replies, input_tokens, output_tokens, cached_tokens, reasoning_tokens, estimated, unpriced, cost) \
        SELECT n / 32, n % 32, 'usd', 1, 1, 1, 1, 1, 0, 0, 1 FROM n",
    "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) \
        INSERT INTO ledger (account, livemode, source_kind, source, id, kind, amount, currency, created) \
        SELECT 'acct_' || (n % 500), 0, 'charge', 'ch_' || (n / 2), 'txn_' || n, 'charge', n, 'eur', n FROM n",
    // Nearly all was decided about long ago.
    "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) \
        INSERT INTO approvals (id, effect_key, account, livemode, event, run, occurrence, playbook, purpose, tool, message, hash, status, created_at, expires_at) \
        SELECT 'appr_' || n, 'held_' || n, '', 0, 'evt_' || n, 'run_' || n, 'occ_' || n, 'payment_failed', 'payment_failed', 'send_email', 'msg_' || n, '', \
            CASE n % 500 WHEN 4 THEN 'held' WHEN 5 THEN 'denied' ELSE 'approved' END, n, n FROM n",
    "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) \
        INSERT INTO suppressions (id, recipient_key, reason, created_at) SELECT 'sup_' || n, n || '@example.com', '', n FROM n",
    // Customers with a thousand payments each, and of everything else a little.
    "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) \
        INSERT INTO links (account, livemode, a, b) SELECT '', 0, 'customer/cus_' || (n % 20), CASE n % 1000 \
            WHEN 0 THEN 'subscription/' WHEN 1 THEN 'dispute/' WHEN 2 THEN 'early_fraud_warning/' WHEN 3 THEN 'review/' ELSE 'payment_intent/' END || n FROM n",
    "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) \
        INSERT INTO objects (account, livemode, kind, id, created, version, tie, data) \
        SELECT '', 0, CASE n % 4 WHEN 1 THEN 'dispute' WHEN 2 THEN 'radar.early_fraud_warning' WHEN 3 THEN 'review' ELSE 'payment_intent' END, n, n, 1, 0, '{}' FROM n",
    "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) \
        INSERT INTO snapshots (account, livemode, kind, object, event, api_version, type, created, fields, previous) \
        SELECT '', 0, 'customer', 'cus_' || (n % 5000), 'evt_' || n, '', 'customer.updated', n, '{}', '{}' FROM n",
];

/// A statement, and for each of the tables that it reads the indexes that it may find rows by.
const FOUND_BY: &[(&str, &str, &[&str])] = &[
    (
        "summary",
        "EVENTS",
        &["events_due", "events_unapplied_of_lane", "events_of_status"],
    ),
    ("summary", "DEAD", &["events_of_status"]),
    ("summary", "MESSAGES", &["messages_due", "messages_unsent"]),
    ("summary", "SENDABLE", &["messages_due"]),
    ("examination", "DEAD", &["events_of_status"]),
    ("examination", "UNKNOWN", &["messages_unsent"]),
    (
        "examination",
        "UNSENT",
        &[
            "messages_of_channel",
            "messages_unsent",
            "approvals_of_message",
        ],
    ),
    (
        "examination",
        "REFUSED",
        &["messages_due", "messages_expiring"],
    ),
    (
        "examination",
        "NO_CHANNEL",
        &["messages_expiring", "messages_due"],
    ),
    (
        "lists",
        "EVENTS_UNAPPLIED",
        &["events_due", "events_unapplied_of_lane"],
    ),
    ("lists", "EVENTS_UNDONE", &["events_of_status"]),
    ("lists", "MESSAGES_WAITING", &["messages_due"]),
    ("lists", "MESSAGES_UNSENT", &["messages_unsent"]),
    (
        "lists",
        "MESSAGES_OF_CHANNEL",
        &["messages_of_channel", "messages_newest"],
    ),
    ("approvals", "DUE", &["approvals_due"]),
    ("approvals", "COUNT", &["approvals_due"]),
    ("approvals/shown", "OF_STATUS", &["approvals_of_status"]),
    ("approvals/shown", "NEWEST", &["approvals_newest"]),
    (
        "approvals/shown",
        "OF_OCCURRENCE",
        &["approvals_of_occurrence"],
    ),
    ("caps", "OF_CUSTOMER", &["messages_of_customer"]),
    ("caps", "OF_RECIPIENT", &["messages_of_recipient"]),
    ("caps", "OF_PLAYBOOK", &["messages_of_playbook"]),
    (
        "caps",
        "QUEUE_OF_PLAYBOOK",
        &["messages_of_playbook", "messages_queued"],
    ),
    ("fetches", "ASK", &["fetches_denied"]),
    ("fetches", "ANY_DUE", &["fetches_due"]),
    ("fetches", "CLAIM", &["fetches_due"]),
    ("fetches", "HURRY", &["fetches_due", "fetches_denied"]),
    ("fetches", "RELEASE", &["fetches_denied"]),
    ("fetches", "COUNTS", &["fetches_due", "fetches_given_up"]),
    ("fetches", "DENIED", &["fetches_due", "fetches_denied"]),
    ("ledger", "BY_ID", &["ledger_by_id"]),
    ("ledger", "OWNERS", &["ledger_of_source"]),
    ("ledger", "NEWEST", &["ledger_newest"]),
    ("ledger", "NEWEST_OF_ACCOUNT", &["ledger_of_account"]),
    ("ledger", "NEWEST_OF_SOURCE", &["ledger_of_source"]),
    (
        "suppressions",
        "OF_RECIPIENT",
        &["suppressions_of_recipient"],
    ),
    ("suppressions", "DELETE", &["suppressions_of_recipient"]),
    ("suppressions", "NEWEST", &["suppressions_newest"]),
    ("telling", "MOVE_ON", &["messages_of_object"]),
    ("telling", "WAITS", &["messages_of_object"]),
    (
        "telling/again",
        "IN_TIME_AGAIN",
        &["messages_of_object", "messages_unsent"],
    ),
    ("telling/again", "GONE_AGAIN", &["messages_unsent"]),
    (
        "examination",
        "UNTOLD",
        &["messages_unsent", "messages_of_object"],
    ),
];

/// A statement, and the conditions by which SQLite and PostgreSQL go into a key: more than its first columns, so that what
/// is not asked for is not read.
const WITHIN: &[(&str, &str, [&str; 2])] = &[
    (
        "apply/rows",
        "SUBSCRIBES",
        [
            "a=? AND b>? AND b<?",
            "(b >= 'subscription/'::text) AND (b < 'subscription0'::text)",
        ],
    ),
    (
        "apply/derived",
        "DISPUTES",
        [
            "a=? AND b>? AND b<?",
            "(b >= 'dispute/'::text) AND (b < 'dispute0'::text)",
        ],
    ),
    (
        "standing",
        "DOUBTS",
        [
            "a=? AND b>? AND b<?",
            "(b >= 'review/'::text) AND (b < 'review0'::text)",
        ],
    ),
    (
        "standing",
        "MOVED",
        ["kind=? AND object=?", "(object = $3)"],
    ),
    (
        "standing",
        "SETTLED",
        ["kind=? AND object=?", "(object = $3)"],
    ),
    ("spending", "DAY", ["day=?", "(day = $1)"]),
    (
        "fetches",
        "ANY_DUE",
        [
            "livemode=? AND not_before<?",
            "(livemode = $1) AND (not_before <= $2)",
        ],
    ),
    (
        "fetches",
        "CLAIM",
        [
            "livemode=? AND not_before<?",
            "(livemode = $2) AND (not_before <= $3)",
        ],
    ),
];

async fn what_is_counted_listed_and_capped_comes_from_an_index(bench: Bench) {
    let mut planner = Planner::over(&bench).await;
    for (file, name, indexes) in FOUND_BY {
        let sql = bench.store.statement(file, name).unwrap();
        let steps = planner.steps(sql).await;
        let read = steps.iter().filter(|step| reads(step));
        let by_index = |step: &&String| indexes.iter().any(|index| uses(step, index));
        let (found, walked): (Vec<_>, Vec<_>) = read.partition(by_index);
        assert!(
            !found.is_empty() && walked.is_empty(),
            "{file}/{name}: {walked:?} in\n{}",
            steps.join("\n")
        );
    }
}

async fn what_is_a_range_of_a_key_is_read_as_one(bench: Bench) {
    let mut planner = Planner::over(&bench).await;
    for (file, name, [sqlite, postgres]) in WITHIN {
        let sql = bench.store.statement(file, name).unwrap();
        let steps = planner.steps(sql).await;
        let goes_in = |step: &String| {
            if bench.is_postgres() {
                step.contains("Index Cond: ") && step.contains(postgres)
            } else {
                step.starts_with("SEARCH ") && step.contains(sqlite)
            }
        };
        let walks = |step: &String| step.starts_with("SCAN ") || step.contains("Seq Scan on ");
        assert!(
            steps.iter().any(goes_in) && !steps.iter().any(walks),
            "{file}/{name}:\n{}",
            steps.join("\n")
        );
    }
}

/// The ranges of links are ranges of bytes. Where the database orders texts as people do, only the column says so.
#[tokio::test]
async fn postgres_orders_links_by_bytes() {
    let Some(bench) = Bench::postgres().await else {
        return;
    };
    let mut db = PgConnection::connect(&bench.url).await.unwrap();
    let (collation,): (String,) = sqlx::query_as(
        "SELECT collation_name::text FROM information_schema.columns WHERE table_name = 'links' AND column_name = 'b'",
    )
    .fetch_one(&mut db)
    .await
    .unwrap();
    assert_eq!(collation, "C");
}

async fn every_status_is_counted_and_listed(bench: Bench) {
    Planner::over(&bench).await;
    let census = bench.store.census().await.unwrap();
    let forty = |statuses: &[&str]| -> BTreeMap<String, u64> {
        let counts = statuses.iter().map(|status| ((*status).to_owned(), 40));
        counts.collect()
    };
    let events = ["pending", "retrying", "applied", "dead"];
    let messages = ["pending", "sending", "unknown", "failed", "held"];
    assert_eq!(census.events, forty(&events));
    assert_eq!(census.messages, forty(&messages));
    for status in events.into_iter().chain(["done"]) {
        let filter = EventFilter {
            status: Some(status.to_owned()),
            ..EventFilter::default()
        };
        let page = |after| bench.store.events(&filter, after);
        let first = page(&Page {
            starting_after: None,
            limit: 2,
        })
        .await
        .unwrap()
        .data;
        let after = Some(first[1].id.clone());
        let next = page(&Page {
            starting_after: after,
            limit: 2,
        })
        .await
        .unwrap()
        .data;
        let rows = first.iter().chain(&next);
        newest_first(
            rows.map(|row| (row.id.as_str(), row.status.as_str())),
            status,
        );
    }
    for status in messages.into_iter().chain(["sent"]) {
        let filter = MessageFilter {
            status: Some(status.to_owned()),
            ..MessageFilter::default()
        };
        let page = |after| bench.store.messages(&filter, after);
        let first = page(&Page {
            starting_after: None,
            limit: 2,
        })
        .await
        .unwrap()
        .data;
        let after = Some(first[1].id.clone());
        let next = page(&Page {
            starting_after: after,
            limit: 2,
        })
        .await
        .unwrap()
        .data;
        let rows = first.iter().chain(&next);
        newest_first(
            rows.map(|row| (row.id.as_str(), row.status.as_str())),
            status,
        );
    }
}

/// Two pages of two rows: all have the status, and the numbers in their ids fall.
fn newest_first<'a>(rows: impl Iterator<Item = (&'a str, &'a str)>, status: &str) {
    let rows: Vec<_> = rows.collect();
    let number = |id: &str| -> u32 { id.split_once('_').unwrap().1.parse().unwrap() };
    let numbers: Vec<u32> = rows.iter().map(|(id, _)| number(id)).collect();
    assert!(rows.iter().all(|(_, found)| *found == status), "{rows:?}");
    assert!(numbers.len() == 4 && numbers[0] > 19_000, "{rows:?}");
    assert!(
        numbers.is_sorted_by(|newer, older| newer > older),
        "{rows:?}"
    );
}

/// Whether a step of a plan reads one of the tables, other than a single row by its key.
fn reads(step: &str) -> bool {
    let words = [
        "SCAN ",
        "SEARCH ",
        "Seq Scan on ",
        "Index Scan ",
        "Index Only Scan ",
    ];
    words.iter().any(|word| step.contains(word))
        && [
            "events",
            "messages",
            "fetches",
            "ledger",
            "approvals",
            "suppressions",
        ]
        .iter()
        .any(|table| step.contains(table))
        && !["autoindex", "_pkey"].iter().any(|key| step.contains(key))
}

/// Whether a step goes by this very index.
fn uses(step: &str, index: &str) -> bool {
    step.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|word| word == index)
}

/// Asks a database with many rows how it would run a statement whose arguments it does not know.
enum Planner {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Planner {
    async fn over(bench: &Bench) -> Self {
        if bench.is_postgres() {
            let mut db = PgConnection::connect(&bench.url).await.unwrap();
            for sql in MANY {
                db.execute(*sql).await.unwrap();
            }
            // The server does so by itself, some time after the rows came.
            db.execute("ANALYZE").await.unwrap();
            db.execute("SET plan_cache_mode = force_generic_plan")
                .await
                .unwrap();
            Self::Postgres(db)
        } else {
            let mut db = SqliteConnection::connect(&bench.url).await.unwrap();
            for sql in MANY {
                db.execute(*sql).await.unwrap();
            }
            Self::Sqlite(db)
        }
    }

    async fn steps(&mut self, sql: &str) -> Vec<String> {
        match self {
            Self::Sqlite(db) => {
                let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
                let rows: Vec<(i64, i64, i64, String)> =
                    sqlx::query_as(explain).fetch_all(db).await.unwrap();
                rows.into_iter().map(|(_, _, _, step)| step).collect()
            }
            Self::Postgres(db) => {
                let most = (1..=16)
                    .take_while(|n| sql.contains(&format!("${n}")))
                    .count();
                let nulls = match most {
                    0 => String::new(),
                    most => format!("({})", vec!["NULL"; most].join(", ")),
                };
                let prepare = AssertSqlSafe(format!("PREPARE asked AS {sql}"));
                sqlx::raw_sql(prepare).execute(&mut *db).await.unwrap();
                let explain = AssertSqlSafe(format!("EXPLAIN EXECUTE asked{nulls}"));
                let rows: Vec<(String,)> = sqlx::query_as(explain)
                    .persistent(false)
                    .fetch_all(&mut *db)
                    .await
                    .unwrap();
                db.execute("DEALLOCATE asked").await.unwrap();
                rows.into_iter().map(|(step,)| step).collect()
            }
        }
    }
}
