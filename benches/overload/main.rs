//! Ten times what can be worked off, for a minute: `cargo bench --bench overload -- [--seconds N]`.
//!
//! The real `serve` in a process of its own. First it is measured what it works off; then ten times that is offered
//! over 400 connections, every hundredth event with a body of 256 KiB, while at most some seconds of work may wait.
//! Printed are what came of it and the most memory that was used, beside the bound that follows from the
//! configuration. It fails when the bound was passed or an event that was answered 200 is not in the database. SQLite
//! runs in a temporary folder (`TMPDIR`), PostgreSQL where `BILLHOOK_TEST_POSTGRES` points (the address of a server
//! without a database name; a database is made there and dropped).

mod load;
mod service;
#[path = "../client/mod.rs"]
mod shared;

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use billhook::config::Config;
use billhook::http::serve::CONNECTION_BUFFER;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::load::{CONNECTIONS, offer};
use crate::service::{Service, stored};

const SECRET: &str = "whsec_secret_of_the_overload_bench";

/// How many times what can be worked off is offered.
const TIMES: f64 = 10.0;
/// Events to be worked off when it is measured how quickly, and how long they are offered for that. As many as a machine
/// takes in would take it many minutes to work off.
const ENOUGH: u32 = 4000;
const FILLING: Duration = Duration::from_secs(3);
/// How many seconds of work may wait.
const BACKLOG_SECONDS: f64 = 5.0;

/// The program itself, its threads, the caches of five SQLite connections, and what an allocator keeps.
const BASE: usize = 96 << 20;
/// A parsed event takes at most so many times its text.
const PARSED: usize = 16;
/// Copies of one transaction's bodies on their way into a database.
const COPIES: usize = 4;
/// What `inbox.rs` and `store/inbox.rs` allow in one transaction and in one claim.
const BATCH: usize = 8 << 20;
/// Events applied at once, and requests parsed at once by a runtime of so many threads.
const APPLIED_AT_ONCE: usize = 8;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo test --benches` runs this too, to see that it works; figures come only from `cargo bench`.
    let quick = !arguments.iter().any(|argument| argument == "--bench");
    let seconds = arguments
        .iter()
        .position(|argument| argument == "--seconds")
        .and_then(|at| arguments.get(at + 1))
        .map(|seconds| seconds.parse().context("--seconds takes a number"))
        .transpose()?
        .unwrap_or(if quick { 3 } else { 60 });
    let window = Duration::from_secs(seconds);
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let folder = tempfile::tempdir()?;
        let url = format!("sqlite://{}", folder.path().join("overload.db").display());
        say("SQLite")?;
        measure(&url, window).await?;
        match postgres() {
            Some(server) => {
                say("PostgreSQL")?;
                on_postgres(&server, window).await
            }
            None => say("PostgreSQL: not measured, BILLHOOK_TEST_POSTGRES is not set"),
        }
    })
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{line}").context("standard output is closed")
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

async fn on_postgres(server: &str, window: Duration) -> anyhow::Result<()> {
    let server = server.trim_end_matches('/');
    let mut admin = PgConnection::connect(&format!("{server}/postgres")).await?;
    let name = format!("billhook_overload_{}", std::process::id());
    admin
        .execute(AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .await?;
    let measured = measure(&format!("{server}/{name}"), window).await;
    admin
        .execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))
        .await?;
    measured
}

/// The most that a service with this configuration may hold in memory.
fn bound(config: &Config) -> usize {
    let server = &config.server;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    BASE + server.max_connections * 3 * CONNECTION_BUFFER
        + server.max_bytes_in_flight
        + threads * server.max_body * PARSED
        + BATCH * COPIES
        + BATCH
        + APPLIED_AT_ONCE * server.max_body * PARSED
}

fn megabytes(bytes: u64) -> u64 {
    bytes >> 20
}

async fn measure(database: &str, window: Duration) -> anyhow::Result<()> {
    let capacity = capacity(database, window.min(FILLING)).await?;
    say(&format!("  works off {capacity:.0} events/s"))?;

    let backlog = (capacity * BACKLOG_SECONDS).ceil();
    let settings = [("BILLHOOK__INBOX__MAX_BACKLOG", format!("{backlog}"))];
    let service = Service::start(database, SECRET, &settings)?;
    let bound = u64::try_from(bound(&Config::defaults()?))?;
    let before = service.metric("billhook_events_applied_total").await?;
    let (address, first) = (service.address, 1 << 32);
    let started = Instant::now();
    let offering = tokio::task::spawn_blocking(move || {
        offer(address, SECRET, capacity * TIMES, window, first)
    });
    let mut samples = Vec::new();
    while !offering.is_finished() {
        samples.push(service.memory()?.0);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut outcome = offering.await??;
    let applied = service.metric("billhook_events_applied_total").await? - before;
    let while_offered = started.elapsed();
    let offered = outcome.offered();
    let per_second =
        u32::try_from(offered).map_or(f64::INFINITY, f64::from) / outcome.window.as_secs_f64();
    say(&format!(
        "  offered {offered} events in {:.1} s over {CONNECTIONS} connections: {per_second:.0}/s, {:.1} times what it works off; {applied:.0} applied meanwhile, {:.0}/s",
        outcome.window.as_secs_f64(),
        per_second / capacity,
        applied / while_offered.as_secs_f64()
    ))?;
    for line in outcome.lines() {
        say(&format!("  answered {line}"))?;
    }

    let drained = Instant::now();
    service.drain().await?;
    let (last, peak) = service.memory()?;
    samples.sort_unstable();
    let median = samples.get(samples.len() / 2).copied().unwrap_or(last);
    say(&format!(
        "  memory: {} MiB at its peak, {} MiB in the middle, {} MiB when all was worked off {:.1} s later; bound {} MiB",
        megabytes(peak),
        megabytes(median),
        megabytes(last),
        drained.elapsed().as_secs_f64(),
        megabytes(bound)
    ))?;
    let known = stored(database).await?;
    let lost = outcome
        .acknowledged
        .iter()
        .filter(|id| !known.contains(*id))
        .count();
    say(&format!(
        "  {} events answered 200, {lost} of them are not in the database",
        outcome.acknowledged.len()
    ))?;
    ensure!(lost == 0, "events that were answered 200 are lost");
    ensure!(
        peak <= bound,
        "more memory was used than the configuration allows"
    );
    Ok(())
}

/// Events applied a second, when there are always some to apply and nothing comes in.
async fn capacity(database: &str, window: Duration) -> anyhow::Result<f64> {
    let settings = [("BILLHOOK__INBOX__MAX_BACKLOG", ENOUGH.to_string())];
    let service = Service::start(database, SECRET, &settings)?;
    let address = service.address;
    let all = |outcome: load::Outcome| outcome.acknowledged.len();
    let filling =
        tokio::task::spawn_blocking(move || offer(address, SECRET, 1e5, window, 0).map(all));
    let taken = filling.await??;
    let before = service.metric("billhook_events_applied_total").await?;
    let started = Instant::now();
    service.drain().await?;
    let applied = service.metric("billhook_events_applied_total").await? - before;
    ensure!(
        applied > 0.0,
        "all {taken} events were applied as fast as they came: there is nothing to overload with"
    );
    Ok(applied / started.elapsed().as_secs_f64())
}
