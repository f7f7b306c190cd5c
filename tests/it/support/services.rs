//! A database of its own for each test. It never skips a test in silence: without a server the test fails and says how
//! to start one.

use std::sync::atomic::{AtomicU32, Ordering};

use billhook::store::Store as _;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::bench;

/// Where the tests' PostgreSQL server is, without a database name; `scripts/test` sets it.
const POSTGRES: &str = "BILLHOOK_TEST_POSTGRES";
/// Set to 1 it lets the tests that need PostgreSQL pass without it, with a line that says so.
pub(crate) const SKIP_POSTGRES: &str = "BILLHOOK_TEST_SKIP_POSTGRES";
/// Guards the making of databases on one server, whichever process makes them.
const LOCK: i64 = 0x6269_6c6c;

#[expect(
    clippy::disallowed_methods,
    reason = "tests learn from scripts/test where their services are; billhook itself reads the environment in config.rs"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A PostgreSQL database of one test, with the current schema; dropped with this value.
#[derive(Debug)]
pub(crate) struct PostgresDatabase {
    server: String,
    name: String,
}

impl PostgresDatabase {
    /// Makes a migrated database. `None` only where skipping was asked for.
    pub(crate) async fn migrated() -> Option<Self> {
        Self::copied_from(&template_name()).await
    }

    /// Makes a database without any table.
    pub(crate) async fn empty() -> Option<Self> {
        Self::copied_from("template0").await
    }

    /// What to connect to.
    pub(crate) fn url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    async fn copied_from(template: &str) -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let Some(server) = variable(POSTGRES) else {
            if variable(SKIP_POSTGRES).as_deref() == Some("1") {
                println!("skipped: {SKIP_POSTGRES}=1 and no {POSTGRES}");
                return None;
            }
            panic!(
                "this test needs PostgreSQL: run `scripts/test --services cargo nextest run`, or set {SKIP_POSTGRES}=1 to go without"
            );
        };
        let server = server.trim_end_matches('/').to_owned();
        let mut admin = administrator(&server).await;
        sqlx::query("SELECT pg_advisory_lock($1)")
            .bind(LOCK)
            .execute(&mut admin)
            .await
            .unwrap();
        make_template(&mut admin, &server).await;
        let name = format!(
            "t_{}_{}",
            std::process::id(),
            MADE.fetch_add(1, Ordering::SeqCst)
        );
        run(
            &mut admin,
            format!("CREATE DATABASE {name} TEMPLATE {template}"),
        )
        .await;
        // Closing the connection gives the lock back.
        admin.close().await.unwrap();
        Some(Self { server, name })
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // The test's own runtime may be on its way out, so the database is dropped from another one.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut admin = administrator(&server).await;
                run(
                    &mut admin,
                    format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
                )
                .await;
            });
        })
        .join();
        if dropped.is_err() {
            eprintln!("database {} was left behind", self.name);
        }
    }
}

async fn administrator(server: &str) -> PgConnection {
    PgConnection::connect(&format!("{server}/postgres"))
        .await
        .unwrap_or_else(|error| panic!("{POSTGRES} does not answer: {error}"))
}

async fn run(admin: &mut PgConnection, sql: String) {
    let shown = sql.clone();
    admin
        .execute(AssertSqlSafe(sql))
        .await
        .unwrap_or_else(|error| panic!("{shown}: {error}"));
}

/// Named after the newest migration, so that a server that outlives a change of the schema makes a new template.
fn template_name() -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for migration in sqlx::migrate!("migrations/postgres").iter() {
        hash.update(migration.checksum.as_ref());
    }
    let hash = hex::encode(hash.finalize());
    format!("base_{}", hash.get(..16).unwrap())
}

async fn make_template(admin: &mut PgConnection, server: &str) {
    let template = template_name();
    let exists: Option<(i32,)> = sqlx::query_as("SELECT 1 FROM pg_database WHERE datname = $1")
        .bind(&template)
        .fetch_optional(&mut *admin)
        .await
        .unwrap();
    if exists.is_some() {
        return;
    }
    // Under another name until it is complete: a test that is stopped halfway must not leave half a template.
    let building = format!("{template}_building");
    run(
        admin,
        format!("DROP DATABASE IF EXISTS {building} WITH (FORCE)"),
    )
    .await;
    run(
        admin,
        format!("CREATE DATABASE {building} TEMPLATE template0"),
    )
    .await;
    let store = bench::open(&format!("{server}/{building}")).await;
    store.migrate().await.unwrap();
    store.close().await;
    run(
        admin,
        format!("ALTER DATABASE {building} RENAME TO {template}"),
    )
    .await;
}
