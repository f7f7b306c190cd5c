//! What the agent's journal costs: `cargo bench --bench journal`.
//!
//! The model answers at once, so what is measured is billhook's own: a step committed before anything acts on it, and a
//! whole run of eight steps (four replies, two reads, a mail, a notice) from its claim to its finishing transaction, one
//! after the other. SQLite runs in a temporary folder (`TMPDIR`) with `synchronous` FULL, PostgreSQL where
//! `BILLHOOK_TEST_POSTGRES` points (a server without a database name; a database is made there and dropped). A server
//! that does not sync says so in its line: its figures leave the disk out.

#[path = "../client/percentile.rs"]
mod percentile;
mod work;

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::percentile::percentile;
use crate::work::{Size, Times, measure};

fn main() -> anyhow::Result<()> {
    // `cargo test --benches` runs this too, to see that it works; figures come only from `cargo bench`.
    let size = if std::env::args().any(|argument| argument == "--bench") {
        Size {
            runs: 300,
            writes: 2000,
        }
    } else {
        Size { runs: 4, writes: 8 }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        say(&format!(
            "{:<34} {:>22} {:>26}",
            "", "journal write, ms", "run without model, ms"
        ))?;
        say(&format!(
            "{:<34} {:>11}{:>11} {:>15}{:>11}",
            "", "p50", "p99", "p50", "p99"
        ))?;
        let folder = tempfile::tempdir()?;
        let url = format!("sqlite://{}", folder.path().join("bench.db").display());
        say(&line(
            "SQLite, synchronous FULL",
            measure(&url, size).await?,
        ))?;
        match postgres() {
            Some(server) => say(&on_postgres(&server, size).await?),
            None => say("PostgreSQL: not measured, BILLHOOK_TEST_POSTGRES is not set"),
        }
    })
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{line}").context("standard output is closed")
}

fn line(name: &str, mut times: Times) -> String {
    let sorted = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        [percentile(times, 50), percentile(times, 99)]
    };
    let [write, slow_write] = sorted(&mut times.writes);
    let [run, slow_run] = sorted(&mut times.runs);
    format!("{name:<34} {write:>11.2}{slow_write:>11.2} {run:>15.2}{slow_run:>11.2}")
}

#[expect(
    clippy::disallowed_methods,
    reason = "a bench is told where its server is; billhook itself reads the environment in config.rs"
)]
fn postgres() -> Option<String> {
    std::env::var("BILLHOOK_TEST_POSTGRES")
        .ok()
        .filter(|server| !server.is_empty())
}

async fn on_postgres(server: &str, size: Size) -> anyhow::Result<String> {
    let server = server.trim_end_matches('/');
    let mut admin = PgConnection::connect(&format!("{server}/postgres")).await?;
    let version: String = sqlx::query_scalar("SHOW server_version")
        .fetch_one(&mut admin)
        .await?;
    let syncs: String = sqlx::query_scalar(
        "SELECT min(setting) FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit')",
    )
    .fetch_one(&mut admin)
    .await?;
    let version = version.split(' ').next().unwrap_or_default();
    let name = format!("billhook_bench_{}", std::process::id());
    admin
        .execute(AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .await?;
    let measured = measure(&format!("{server}/{name}"), size).await;
    admin
        .execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))
        .await?;
    Ok(line(
        &format!("PostgreSQL {version}, syncs: {syncs}"),
        measured?,
    ))
}
