//! The program itself in a process of its own, over a database of its own, spoken to over HTTP and with signals.

use std::io::BufReader;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use billhook::clock::{Clock, SystemClock};
use billhook::stripe::signature::sign;
use reqwest::StatusCode;
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::services::{PostgresDatabase, variable};

/// What signs and verifies the events of these tests.
pub(crate) const SECRET: &str = "whsec_secret_of_the_process_tests";
/// A Redis that every process uses whose test has none of its own; it may vanish at any moment, and does.
const REDIS: &str = "BILLHOOK_TEST_SERVE_REDIS";
const TOKEN: &str = "token-of-the-process-tests";
/// Names another build of the program, such as an optimized one.
const PROGRAM: &str = "BILLHOOK_TEST_PROGRAM";
/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A folder and a database that outlive the processes that a test starts and kills.
pub(crate) struct Place {
    home: TempDir,
    postgres: Option<PostgresDatabase>,
    settings: Vec<(String, String)>,
}

impl Place {
    /// A SQLite file that does not exist yet.
    pub(crate) fn sqlite() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            postgres: None,
            settings: Vec::new(),
        }
    }

    /// A variable of the environment for every process that is started from now on.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.settings.push((name.to_owned(), value.into()));
    }

    /// An empty database; `None` only where skipping was asked for.
    pub(crate) async fn postgres() -> Option<Self> {
        let postgres = Some(PostgresDatabase::empty().await?);
        Some(Self {
            postgres,
            ..Self::sqlite()
        })
    }

    /// Another place of the same kind, with the same settings and an empty database.
    pub(crate) async fn another(&self) -> Self {
        let mut place = Self::sqlite();
        if self.postgres.is_some() {
            place.postgres = PostgresDatabase::empty().await;
        }
        place.settings.clone_from(&self.settings);
        place
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn url(&self) -> String {
        match &self.postgres {
            Some(database) => database.url(),
            None => format!("sqlite://{}", self.home().join("billhook.db").display()),
        }
    }

    /// The program with this place's configuration, and nothing of whoever runs the tests.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let program =
            variable(PROGRAM).unwrap_or_else(|| env!("CARGO_BIN_EXE_billhook").to_owned());
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.home())
            .env_clear()
            .env("DATABASE_URL", self.url())
            .env("STRIPE_WEBHOOK_SECRET", SECRET)
            .env("BILLHOOK_ADMIN_TOKEN", TOKEN)
            .env("BILLHOOK_LISTEN", "127.0.0.1:0")
            .env("EMAIL_FROM", "Acme Billing <billing@acme.example>")
            // The same stages as ever, only sooner.
            .env("BILLHOOK__FOLLOW_UP__SETTLE", "200ms")
            .env("BILLHOOK__FOLLOW_UP__FIRST_CONTACT_DELAY", "0s")
            .env("BILLHOOK__WORKER__POLL", "50ms")
            .env("BILLHOOK__WORKER__LEASE", "2s")
            .env("BILLHOOK__RETRY__BASE", "100ms")
            .envs(variable(REDIS).map(|url| ("REDIS_URL", url)))
            .envs(self.settings.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// Starts `serve` and waits until it is ready.
    pub(crate) async fn serve(&self) -> Process {
        self.serve_as("all").await
    }

    /// Starts `serve` with a role and waits until it is ready. Several may run at once over PostgreSQL.
    pub(crate) async fn serve_as(&self, role: &str) -> Process {
        let log = self.home().join("serve.log");
        let written = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let mut child = self
            .command(&["--json", "serve", "--role", role])
            .stdout(Stdio::piped())
            .stderr(written)
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (started, stdout) = tokio::task::spawn_blocking(move || {
            let mut reader = BufReader::new(stdout);
            let told = serde_json::Deserializer::from_reader(&mut reader);
            let started = told.into_iter::<Value>().next();
            (started, reader)
        })
        .await
        .unwrap();
        let mut process = Process {
            child,
            base: String::new(),
            client: client(),
            log,
            _stdout: stdout,
        };
        let Some(Ok(started)) = started else {
            panic!("it did not start: {started:?}; log:\n{}", process.log());
        };
        process.base = started["listen"].as_str().unwrap().to_owned();
        process
            .wait_until("/readyz answers", async |process| {
                let answer = process.client.get(process.at("/readyz")).send().await;
                answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
            })
            .await;
        process
    }

    /// Runs a command to its end: exit code and standard error.
    pub(crate) async fn run(&self, mut command: Command) -> (Option<i32>, String) {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let status = ended(&mut child, PATIENCE).await;
        let Some(status) = status else {
            child.kill().unwrap();
            panic!("{command:?} did not end");
        };
        let mut told = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut told).unwrap();
        (status.code(), told)
    }

    /// Every mail that was written, by its file's name, which is its Message-ID.
    pub(crate) fn mails(&self) -> Vec<String> {
        let Ok(folder) = std::fs::read_dir(self.home().join("mail")) else {
            return Vec::new();
        };
        folder
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| {
                std::path::Path::new(name)
                    .extension()
                    .is_some_and(|ending| ending == "eml")
            })
            .collect()
    }
}

fn client() -> reqwest::Client {
    // Whoever was first has installed the same one.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .unwrap()
}

async fn ended(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < patience {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    None
}

/// A running `serve`; killed with this value.
pub(crate) struct Process {
    child: Child,
    base: String,
    client: reqwest::Client,
    log: PathBuf,
    /// Kept open: a service must not end because nobody reads what it says.
    _stdout: BufReader<ChildStdout>,
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Process {
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.base.trim_start_matches("http://").parse().unwrap()
    }

    /// What every process of this place has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Posts a body to a path, signed as Stripe signs, and answers status and body; an error when nothing answered.
    pub(crate) async fn try_post(
        &self,
        path: &str,
        body: Vec<u8>,
    ) -> reqwest::Result<(u16, Value)> {
        let header = signature(&body);
        self.post_with(path, &header, body).await
    }

    /// The same with a signature of the caller's choice.
    pub(crate) async fn post_with(
        &self,
        path: &str,
        signature: &str,
        body: Vec<u8>,
    ) -> reqwest::Result<(u16, Value)> {
        let answer = self
            .client
            .post(self.at(path))
            .header("Stripe-Signature", signature)
            .body(body)
            .send()
            .await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    }

    /// Delivers an event that must be taken, and answers how.
    pub(crate) async fn deliver(&self, event: &Value) -> String {
        let (status, answer) = self
            .try_post("/stripe/webhook", event.to_string().into_bytes())
            .await
            .unwrap();
        assert_eq!(status, 200, "{answer}; log:\n{}", self.log());
        answer["status"].as_str().unwrap().to_owned()
    }

    /// What an address answers to whoever watches it.
    pub(crate) async fn status(&self, path: &str) -> u16 {
        let answer = self.client.get(self.at(path)).send().await;
        answer
            .unwrap_or_else(|error| panic!("{path}: {error}"))
            .status()
            .as_u16()
    }

    /// Reads from the API; a 404 is `None`.
    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        let path = format!("/api/v1{path}");
        let answer = self
            .client
            .get(self.at(&path))
            .bearer_auth(TOKEN)
            .send()
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}; log:\n{}", self.log()));
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        if status == StatusCode::NOT_FOUND {
            return None;
        }
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        Some(body)
    }

    /// What `/readyz` says, whatever its status.
    pub(crate) async fn ready(&self) -> (u16, Value) {
        let answer = self.client.get(self.at("/readyz")).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// One line of `/metrics`, by all that stands before its value; 0 when it is not there yet.
    pub(crate) async fn metric(&self, series: &str) -> u64 {
        let answer = self.client.get(self.at("/metrics")).send().await.unwrap();
        let text = answer.text().await.unwrap();
        let found = text.lines().find_map(|line| line.strip_prefix(series));
        found.map_or(0, |value| value.trim().parse().unwrap())
    }

    /// Deliveries of the only event that was delivered twice: those that were kept, and those that were only counted.
    pub(crate) async fn arrivals(&self, event: &str) -> u64 {
        let shown = self.get(&format!("/events/{event}")).await.unwrap();
        let kept = shown["deliveries"].as_array().unwrap().len();
        let counted = "billhook_inbox_deliveries_total{result=\"remembered\"}";
        kept as u64 + self.metric(counted).await
    }

    /// Asks the API for a change, and answers status and body.
    pub(crate) async fn change(&self, path: &str, body: &Value) -> (u16, Value) {
        let path = format!("/api/v1{path}");
        let request = self.client.post(self.at(&path)).bearer_auth(TOKEN);
        let answer = request.body(body.to_string()).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{path}: {error}; log:\n{}", self.log()));
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Every row of a list, page by page.
    pub(crate) async fn all(&self, list: &str) -> Vec<Value> {
        let mut rows: Vec<Value> = Vec::new();
        loop {
            let after = rows.last().map_or_else(String::new, |row| {
                format!("&starting_after={}", row["id"].as_str().unwrap())
            });
            let mark = if list.contains('?') { '&' } else { '?' };
            let page = self
                .get(&format!("{list}{mark}limit=100{after}"))
                .await
                .unwrap();
            rows.extend(page["data"].as_array().unwrap().iter().cloned());
            if page["has_more"] == json!(false) {
                return rows;
            }
        }
    }

    /// An event, once it has one of these statuses.
    pub(crate) async fn event_when(&self, id: &str, status: &str) -> Value {
        self.wait_until(&format!("{id} is {status}"), async |process| {
            process
                .get(&format!("/events/{id}"))
                .await
                .is_some_and(|event| event["status"] == status)
        })
        .await;
        self.get(&format!("/events/{id}")).await.unwrap()
    }

    /// Asks until it is so.
    pub(crate) async fn wait_until(&self, what: &str, so: impl AsyncFn(&Self) -> bool) {
        let start = Instant::now();
        while !so(self).await {
            assert!(
                start.elapsed() < PATIENCE,
                "waited in vain: {what}; log:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Whether the process still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end; panics when it does not come in time.
    pub(crate) async fn ends_within(&mut self, patience: Duration) -> ExitStatus {
        ended(&mut self.child, patience)
            .await
            .unwrap_or_else(|| panic!("still runs after {patience:?}; log:\n{}", self.log()))
    }
}

/// The header with which Stripe would send this body now.
pub(crate) fn signature(body: &[u8]) -> String {
    sign(&SecretString::from(SECRET), SystemClock.now(), body)
}

/// An event that was created just now.
pub(crate) fn fresh_event(id: &str, kind: &str, object: &Value) -> Value {
    json!({
        "id": id, "object": "event", "api_version": "2020-08-27", "created": SystemClock.now().seconds(), "livemode": true,
        "pending_webhooks": 1, "request": { "id": null, "idempotency_key": null }, "type": kind,
        "data": { "object": object },
    })
}
