//! Statements, migrations, and schemas of other versions.

use std::collections::BTreeSet;
use std::sync::Arc;

use billhook::clock::{ManualClock, Timestamp};
use billhook::ids::CountedIds;
use billhook::store::{SqlStore, Store, StoreError};
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};

use crate::support::bench::{Bench, START, open, policy};
use crate::support::services::PostgresDatabase;

async fn every_statement_is_understood(bench: Bench) {
    let count = bench
        .store
        .prepare_all()
        .await
        .unwrap_or_else(|(name, error)| panic!("{name}: {error:?}"));
    assert!(count > 80, "{count} statements");
}

#[tokio::test]
async fn sqlite_understands_every_statement() {
    every_statement_is_understood(Bench::sqlite().await).await;
}

#[tokio::test]
async fn postgres_understands_every_statement() {
    if let Some(bench) = Bench::postgres().await {
        every_statement_is_understood(bench).await;
    }
}

/// The migrations of each database: number and name.
#[test]
fn both_databases_have_the_same_migrations() {
    let names = |migrator: sqlx::migrate::Migrator| -> Vec<(i64, String)> {
        migrator
            .iter()
            .map(|m| (m.version, m.description.to_string()))
            .collect()
    };
    let sqlite = names(sqlx::migrate!("migrations/sqlite"));
    assert!(!sqlite.is_empty());
    assert_eq!(sqlite, names(sqlx::migrate!("migrations/postgres")));
}

/// Tables, columns with what they may hold, keys and indexes, in words that both databases share.
#[tokio::test]
async fn both_databases_have_the_same_tables() {
    let Some(postgres) = Bench::postgres().await else {
        return;
    };
    let sqlite = Bench::sqlite().await;
    let (sqlite, postgres) = (
        sqlite_schema(&sqlite.url).await,
        postgres_schema(&postgres.url).await,
    );
    assert!(sqlite.len() > 150, "{} lines", sqlite.len());
    assert_eq!(sqlite, postgres);
}

async fn sqlite_schema(url: &str) -> BTreeSet<String> {
    let mut db = SqliteConnection::connect(url).await.unwrap();
    let columns: Vec<(String,)> = sqlx::query_as(
        "SELECT m.name || '.' || c.name || ' ' || c.type || CASE WHEN c.pk > 0 THEN ' key ' || c.pk ELSE '' END \
           || CASE WHEN c.\"notnull\" = 1 OR c.pk > 0 THEN ' not null' ELSE '' END || coalesce(' default ' || c.dflt_value, '') \
         FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE '\\_%' ESCAPE '\\' AND m.name NOT LIKE 'sqlite%'",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    let indexes: Vec<(String,)> = sqlx::query_as(
        "SELECT CASE WHEN i.origin = 'c' THEN i.name ELSE 'constraint' END || ' on ' || m.name || ' (' \
           || (SELECT group_concat(name, ', ') FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno)) || ')' \
           || CASE WHEN i.\"unique\" = 1 THEN ' unique' ELSE '' END || CASE WHEN i.partial = 1 THEN ' partial' ELSE '' END \
         FROM sqlite_schema m JOIN pragma_index_list(m.name) i WHERE m.type = 'table' AND m.name NOT LIKE '\\_%' ESCAPE '\\' AND i.origin <> 'pk'",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    let renamed = columns.into_iter().map(|(line,)| {
        line.replace(" INTEGER", " number")
            .replace(" BLOB", " bytes")
            .replace(" TEXT", " text")
    });
    renamed
        .chain(indexes.into_iter().map(|(line,)| line))
        .collect()
}

async fn postgres_schema(url: &str) -> BTreeSet<String> {
    let mut db = PgConnection::connect(url).await.unwrap();
    let columns: Vec<(String,)> = sqlx::query_as(
        "SELECT c.relname || '.' || a.attname || ' ' || CASE format_type(a.atttypid, NULL) WHEN 'bigint' THEN 'number' WHEN 'bytea' THEN 'bytes' ELSE format_type(a.atttypid, NULL) END \
           || coalesce(' key ' || array_position(k.conkey, a.attnum), '') || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END \
           || coalesce(' default ' || trim('()' FROM pg_get_expr(d.adbin, d.adrelid)), '') \
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
         LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p' \
         WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE '\\_%'",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    let indexes: Vec<(String,)> = sqlx::query_as(
        "SELECT CASE WHEN k.oid IS NULL THEN i.relname ELSE 'constraint' END || ' on ' || c.relname || ' (' \
           || (SELECT string_agg(a.attname, ', ' ORDER BY n.at) FROM unnest(x.indkey::int2[]) WITH ORDINALITY AS n(attnum, at) \
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = n.attnum) || ')' \
           || CASE WHEN x.indisunique THEN ' unique' ELSE '' END || CASE WHEN x.indpred IS NOT NULL THEN ' partial' ELSE '' END \
         FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid \
         LEFT JOIN pg_constraint k ON k.conindid = i.oid AND k.contype = 'u' \
         WHERE c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE '\\_%' AND NOT x.indisprimary",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    columns
        .into_iter()
        .chain(indexes)
        .map(|(line,)| line)
        .collect()
}

on_both![
    migrating_twice_is_nothing,
    a_newer_schema_is_refused_by_both_numbers
];

async fn migrating_twice_is_nothing(bench: Bench) {
    bench.store.migrate().await.unwrap();
    bench.store.check().await.unwrap();
    let other = bench.another_process().await;
    let (one, two) = tokio::join!(bench.store.migrate(), other.migrate());
    one.unwrap();
    two.unwrap();
}

async fn a_newer_schema_is_refused_by_both_numbers(bench: Bench) {
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) SELECT 9001, 'newer', success, checksum, 0 FROM _sqlx_migrations LIMIT 1";
    if bench.is_postgres() {
        PgConnection::connect(&bench.url)
            .await
            .unwrap()
            .execute(newer)
            .await
            .unwrap();
    } else {
        SqliteConnection::connect(&bench.url)
            .await
            .unwrap()
            .execute(newer)
            .await
            .unwrap();
    }
    for refused in [bench.store.check().await, bench.store.migrate().await] {
        let error = refused.unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::SchemaTooNew {
                    found: 9001,
                    known: 1..
                }
            ),
            "{error:?}"
        );
        let text = error.to_string();
        assert!(
            text.contains("9001") && text.contains("knows up to"),
            "{text}"
        );
    }
}

async fn without_schema(store: SqlStore) {
    let error = store.check().await.unwrap_err();
    assert!(matches!(error, StoreError::SchemaMissing), "{error:?}");
    // Two processes that start at once on a new database.
    let (one, two) = tokio::join!(store.migrate(), store.migrate());
    one.unwrap();
    two.unwrap();
    store.check().await.unwrap();
}

#[tokio::test]
async fn sqlite_without_schema_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("new.db").display());
    without_schema(open(&url).await).await;
}

#[tokio::test]
async fn postgres_without_schema_says_so() {
    if let Some(database) = PostgresDatabase::empty().await {
        without_schema(open(&database.url()).await).await;
    }
}

#[tokio::test]
async fn what_cannot_be_opened_says_what_to_do() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(START)));
    for (url, expected) in [
        (
            "mysql://localhost/x",
            "must start with sqlite:// or postgres://",
        ),
        ("postgres://nobody@127.0.0.1:1/none", "cannot be opened"),
        ("sqlite:///nowhere/at/all/x.db", "cannot be opened"),
    ] {
        let ids = Arc::new(CountedIds::default());
        let error = match SqlStore::open(url, clock.clone(), ids, policy()).await {
            Ok(_) => panic!("{url} was opened"),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(expected), "{url}: {error}");
    }
}
