//! The real `serve` in a process of its own, and what can be seen of it from outside.

use std::collections::BTreeSet;
use std::io::BufReader;
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take that should be over by itself.
const PATIENCE: Duration = Duration::from_mins(5);

/// A running service; killed with this value.
pub(crate) struct Service {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Where it runs; gone with this value.
    _home: TempDir,
    client: reqwest::Client,
    /// Kept open: a service must not end because nobody reads what it says.
    _stdout: BufReader<ChildStdout>,
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Service {
    /// Starts `serve` over a database, with the default configuration but for `settings`.
    pub(crate) fn start(
        database: &str,
        secret: &str,
        settings: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let home = tempfile::tempdir()?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_billhook"))
            .args(["--json", "serve"])
            .current_dir(home.path())
            .env_clear()
            .env("DATABASE_URL", database)
            .env("STRIPE_WEBHOOK_SECRET", secret)
            .env("BILLHOOK_LISTEN", "127.0.0.1:0")
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(home.path().join("serve.log"))?)
            .spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut told = serde_json::Deserializer::from_reader(&mut stdout).into_iter::<Value>();
        let started = told.next();
        let log = || std::fs::read_to_string(home.path().join("serve.log")).unwrap_or_default();
        let listen = started
            .and_then(Result::ok)
            .and_then(|started| Some(started.get("listen")?.as_str()?.to_owned()))
            .with_context(|| format!("serve did not start: {}", log()))?;
        Ok(Self {
            child,
            address: listen.trim_start_matches("http://").parse()?,
            _home: home,
            client: reqwest::Client::builder().no_proxy().build()?,
            _stdout: stdout,
        })
    }

    /// A number of `/metrics`; 0 while nothing was counted.
    pub(crate) async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let text = self
            .client
            .get(format!("http://{}/metrics", self.address))
            .send()
            .await?
            .text()
            .await?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.map_or(Ok(0.0), str::parse)?)
    }

    /// Waits until everything that was taken in is applied.
    pub(crate) async fn drain(&self) -> anyhow::Result<()> {
        let start = Instant::now();
        for status in ["pending", "retrying"] {
            let name = format!("billhook_events{{status=\"{status}\"}}");
            while self.metric(&name).await? > 0.0 {
                ensure!(start.elapsed() < PATIENCE, "the backlog is not worked off");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    /// What it holds in memory now, and the most it ever held, in bytes.
    pub(crate) fn memory(&self) -> anyhow::Result<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kilobytes = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.split_whitespace().next())
                .and_then(|number| number.parse::<u64>().ok())
                .map(|number| number << 10)
                .with_context(|| format!("/proc has no {name}"))
        };
        Ok((kilobytes("VmRSS:")?, kilobytes("VmHWM:")?))
    }
}

/// The ids of all events in a database, read without asking the service.
pub(crate) async fn stored(database: &str) -> anyhow::Result<BTreeSet<String>> {
    const IDS: &str = "SELECT id FROM events";
    let ids: Vec<String> = if database.starts_with("sqlite:") {
        let pool = sqlx::SqlitePool::connect(database).await?;
        let ids = sqlx::query_scalar(IDS).fetch_all(&pool).await?;
        pool.close().await;
        ids
    } else {
        let pool = sqlx::PgPool::connect(database).await?;
        let ids = sqlx::query_scalar(IDS).fetch_all(&pool).await?;
        pool.close().await;
        ids
    };
    Ok(ids.into_iter().collect())
}
