//! How many deliveries a second are acknowledged, and how long one waits for it: `cargo bench --bench acknowledge`.
//!
//! A real listener with the real router and the real writer behind it, and 64 keep-alive connections over loopback that
//! post signed events of some 2 KB, each another one. Nothing is worked off meanwhile. Client and server share the
//! machine, so the figures are what both can do together; "database left out" says how much of them is not the
//! database's. SQLite runs in a temporary folder (`TMPDIR`), PostgreSQL where `BILLHOOK_BENCH_POSTGRES` points (the
//! address of a server without a database name; a database is made there and dropped), and only if it syncs.

mod client;
mod left_out;
#[path = "../client/mod.rs"]
mod shared;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use billhook::app::{App, Role};
use billhook::clock::{Clock, SystemClock};
use billhook::config::Config;
use billhook::hints::{Doorbell, Hints};
use billhook::http::serve::serve;
use billhook::http::{Endpoint, HttpLimits, HttpState, router};
use billhook::ids::TimeSortedIds;
use billhook::inbox::{Admission, Inbox, Limits, Receiver, Room};
use billhook::shutdown::Shutdown;
use billhook::store::Reach;
use billhook::stripe::signature::SigningSecrets;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::net::TcpListener;

use crate::client::Figures;
use crate::left_out::NoDatabase;

/// What signs and verifies the events of this bench.
const SECRET: &str = "whsec_secret_of_the_acknowledge_bench";

fn main() -> anyhow::Result<()> {
    // `cargo test --benches` runs this too, to see that it works; figures come only from `cargo bench`.
    let quick = !std::env::args().any(|argument| argument == "--bench");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        say(&disk()?)?;
        say(&measure("database left out", left_out().await?, quick).await?)?;
        let folder = tempfile::tempdir()?;
        let url = format!("sqlite://{}", folder.path().join("bench.db").display());
        say(&measure("SQLite, synchronous FULL", stored(&url).await?, quick).await?)?;
        match postgres() {
            Some(server) => say(&on_postgres(&server, quick).await?),
            None => say("PostgreSQL: not measured, BILLHOOK_BENCH_POSTGRES is not set"),
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
    std::env::var("BILLHOOK_BENCH_POSTGRES")
        .ok()
        .filter(|server| !server.is_empty())
}

/// What one commit can cost at the least: a small write that is synced. Without it no figure below means anything.
fn disk() -> anyhow::Result<String> {
    let mut file = tempfile::tempfile()?;
    let mut times = Vec::new();
    for _ in 0..200 {
        let start = Instant::now();
        file.write_all(&[0x5a; 4096])?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    let figures = Figures::of(times, Duration::ZERO, 0);
    Ok(format!(
        "the disk: 4 KB written and synced in {:.2} ms (p50), {:.2} ms (p99)",
        figures.p50, figures.p99
    ))
}

/// A listener at work, and how it is stopped.
struct Serving {
    address: SocketAddr,
    shutdown: Shutdown,
    service: tokio::task::JoinHandle<anyhow::Result<()>>,
}

/// The service as `serve --role ingest` runs it.
async fn stored(url: &str) -> anyhow::Result<Serving> {
    let env: BTreeMap<String, String> = [
        ("STRIPE_WEBHOOK_SECRET", SECRET),
        ("DATABASE_URL", url),
        ("BILLHOOK_LISTEN", "127.0.0.1:0"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    let config = Config::from_layers(None, &env)?;
    let app = App::build(&config, Arc::new(SystemClock)).await?;
    let listener = TcpListener::bind(config.server.listen).await?;
    let address = listener.local_addr()?;
    let shutdown = Shutdown::manual();
    let watched = shutdown.clone();
    let service = tokio::runtime::Handle::current()
        .spawn(async move { app.serve(listener, Role::Ingest, &watched).await });
    Ok(Serving {
        address,
        shutdown,
        service,
    })
}

/// The same router and the same writer over a store that answers at once.
async fn left_out() -> anyhow::Result<Serving> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = Arc::new(NoDatabase);
    let config = Config::defaults()?;
    let limits = Limits {
        max_backlog: config.inbox.max_backlog,
        backlog_pause: Duration::from_secs(1),
        commit: config.server.request_timeout / 3,
    };
    let (inbox, task) = Inbox::new(store.clone(), limits, Doorbell::default());
    let endpoint = Endpoint {
        secrets: SigningSecrets::new([SECRET])?,
        receiver: Receiver::default(),
    };
    let router = router(HttpState {
        store,
        inbox,
        hints: Hints::default(),
        room: Room::new(config.server.max_bytes_in_flight),
        ids: Arc::new(TimeSortedIds::new(clock.clone())),
        clock,
        endpoints: Arc::new(BTreeMap::from([(String::new(), endpoint)])),
        admission: Arc::new(Admission {
            accept_livemode: true,
            accept_testmode: true,
            accounts: Vec::new(),
            reach: Reach::Nothing,
        }),
        limits: HttpLimits {
            max_body: config.server.max_body,
            tolerance: config.stripe.tolerance,
            request_timeout: config.server.request_timeout,
            max_failed_verifications_per_minute: config.stripe.max_failed_verifications_per_minute,
        },
        admin_token: String::new().into(),
        access: config.access,
        budgets: None,
        metrics: None,
        listens_on_loopback: true,
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let shutdown = Shutdown::manual();
    let stop = shutdown.soft().clone();
    let writing = shutdown.hard().clone();
    let service = tokio::runtime::Handle::current().spawn(async move {
        tokio::select! {
            () = serve(listener, router, config.server.max_connections, stop) => {}
            () = task.run(writing) => {}
        }
        Ok(())
    });
    Ok(Serving {
        address,
        shutdown,
        service,
    })
}

async fn on_postgres(server: &str, quick: bool) -> anyhow::Result<String> {
    let server = server.trim_end_matches('/');
    let mut admin = PgConnection::connect(&format!("{server}/postgres")).await?;
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let value: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(setting)
            .fetch_one(&mut admin)
            .await?;
        ensure!(
            value == "on",
            "{setting} is {value}: what is acknowledged there may be lost, so nothing is measured"
        );
    }
    let version: String = sqlx::query_scalar("SHOW server_version")
        .fetch_one(&mut admin)
        .await?;
    let name = format!("billhook_bench_{}", std::process::id());
    admin
        .execute(AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .await?;
    let measured = async {
        let serving = stored(&format!("{server}/{name}")).await?;
        measure(&format!("PostgreSQL {version}, fsync on"), serving, quick).await
    }
    .await;
    admin
        .execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))
        .await?;
    measured
}

/// Loads a listener from a thread of its own, stops it, and says what it did.
async fn measure(name: &str, serving: Serving, quick: bool) -> anyhow::Result<String> {
    let (warm_up, measured) = if quick {
        (Duration::ZERO, Duration::from_millis(200))
    } else {
        (Duration::from_secs(2), Duration::from_secs(10))
    };
    let address = serving.address;
    let loading =
        tokio::task::spawn_blocking(move || client::load(address, SECRET, warm_up, measured));
    let figures = loading.await??;
    serving.shutdown.begin();
    serving.service.await??;
    Ok(format!("{name}: {figures}"))
}
