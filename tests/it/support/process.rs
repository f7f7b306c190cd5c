//! The program itself in a process of its own, spoken to over HTTP and with signals.

use std::io::BufReader;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use billhook::clock::{Clock, SystemClock};
use billhook::stripe::signature::sign;
use reqwest::StatusCode;
use secrecy::SecretString;
use serde_json::{Value, json};

/// What signs and verifies the events of these tests.
pub(crate) const SECRET: &str = "whsec_secret_of_the_process_tests";
pub(super) const TOKEN: &str = "token-of-the-process-tests";
/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

fn client() -> reqwest::Client {
    // Whoever was first has installed the same one.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .unwrap()
}

pub(super) async fn ended(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
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
    /// Starts a `serve` that tells in JSON, and waits until it is ready. What it logs is appended to `log`.
    pub(super) async fn start(mut command: Command, log: PathBuf) -> Self {
        let written = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let mut child = command
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
        let mut process = Self {
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

    /// Asks the API, and answers status and body.
    pub(crate) async fn ask(&self, path: &str) -> (StatusCode, Value) {
        let answer = self
            .client
            .get(self.at(&format!("/api/v1{path}")))
            .bearer_auth(TOKEN)
            .send()
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}; log:\n{}", self.log()));
        (answer.status(), answer.json().await.unwrap())
    }

    /// Reads from the API; a 404 is `None`.
    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        let (status, body) = self.ask(path).await;
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

    /// All of `/metrics`.
    pub(crate) async fn metrics(&self) -> String {
        let answer = self.client.get(self.at("/metrics")).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// One line of `/metrics`, by all that stands before its value; 0 when it is not there yet.
    pub(crate) async fn metric(&self, series: &str) -> u64 {
        let text = self.metrics().await;
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

    /// An event, once it has this status. A database that is away for a moment is waited for, too.
    pub(crate) async fn event_when(&self, id: &str, status: &str) -> Value {
        let path = format!("/events/{id}");
        let found = std::cell::RefCell::default();
        self.wait_until(&format!("{id} is {status}"), async |process| {
            let (_, event) = process.ask(&path).await;
            let so = event["status"] == status;
            found.replace(event);
            so
        })
        .await;
        found.into_inner()
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

    /// What it holds in memory now, and the most it ever held, in bytes.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kilobytes = line.unwrap().split_whitespace().next().unwrap();
            kilobytes.parse::<u64>().unwrap() << 10
        };
        (bytes("VmRSS:"), bytes("VmHWM:"))
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
