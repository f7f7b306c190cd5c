//! The sender: 64 connections, one request at a time on each, as little work as possible beside the server's.
//!
//! It reads the status and the length of an answer and nothing else, so that what is measured is the server.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use billhook::clock::{Clock, SystemClock, Timestamp};
use billhook::stripe::signature::sign;
use futures::future::try_join_all;
use secrecy::SecretString;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Connections that are open at once.
const CONNECTIONS: usize = 64;
/// The length of an event's body in bytes, about the one of a payment intent.
const BODY: usize = 2048;

/// What a load came to; times in milliseconds.
pub(crate) struct Figures {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    max: f64,
    per_second: f64,
    acknowledged: usize,
    refused: u64,
}

impl Figures {
    /// Of the answers that were 200, in `window`, and of how many were not.
    pub(crate) fn of(mut times: Vec<Duration>, window: Duration, refused: u64) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100).saturating_sub(1);
            times
                .get(rank)
                .map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
        };
        let count = u32::try_from(times.len()).map_or(f64::INFINITY, f64::from);
        Self {
            p50: at(50),
            p99: at(99),
            max: at(100),
            per_second: count / window.as_secs_f64(),
            acknowledged: times.len(),
            refused,
        }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.0} acknowledgements/s, p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms, {} acknowledged, {} answers other than 200",
            self.per_second, self.p50, self.p99, self.max, self.acknowledged, self.refused
        )
    }
}

/// Posts to `address` for `warm_up` and then `measured`, and reports the second part.
pub(crate) fn load(
    address: SocketAddr,
    secret: &str,
    warm_up: Duration,
    measured: Duration,
) -> anyhow::Result<Figures> {
    let secret = SecretString::from(secret);
    let now = SystemClock.now();
    let template = template(now);
    let next = AtomicU64::new(0);
    // On one thread: more would only take the server's place on the processors.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let begin = Instant::now() + warm_up;
    let end = begin + measured;
    let one = async || {
        let mut connection = Connection::open(address).await?;
        let mut times = Vec::new();
        let mut refused = 0;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let body = template.replace(NUMBER, &format!("{number:012}"));
            let header = sign(&secret, SystemClock.now(), body.as_bytes());
            let start = Instant::now();
            if start >= end {
                break;
            }
            let status = connection.post(&header, body.as_bytes()).await?;
            if start >= begin {
                if status == 200 {
                    times.push(start.elapsed());
                } else {
                    refused += 1;
                }
            }
        }
        anyhow::Ok((times, refused))
    };
    let parts = runtime.block_on(try_join_all((0..CONNECTIONS).map(|_| one())))?;
    // The last answers come after the end: the window is as long as it really was.
    let window = begin.elapsed();
    let mut all = Vec::new();
    let mut refused = 0;
    for (times, not_taken) in parts {
        all.extend(times);
        refused += not_taken;
    }
    Ok(Figures::of(all, window, refused))
}

/// Stands in the template for an event's number, with as many bytes as the number has.
const NUMBER: &str = "@@@@@@@@@@@@";

fn template(now: Timestamp) -> String {
    let event = |filling: usize| {
        json!({
            "id": format!("evt_bench_{NUMBER}"), "object": "event", "api_version": "2020-08-27", "created": now.seconds(),
            "livemode": true, "pending_webhooks": 1, "request": { "id": null, "idempotency_key": null },
            "type": "payment_intent.succeeded",
            "data": { "object": {
                "id": format!("pi_bench_{NUMBER}"), "object": "payment_intent", "customer": "cus_bench", "status": "succeeded",
                "amount": 4900, "amount_received": 4900, "currency": "eur", "created": now.seconds(), "metadata": {},
                "description": "x".repeat(filling),
            } },
        })
        .to_string()
    };
    let bare = event(0).len();
    event(BODY.saturating_sub(bare))
}

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
    host: String,
}

impl Connection {
    async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            request: Vec::new(),
            answer: Vec::new(),
            host: address.to_string(),
        })
    }

    /// Posts one event and reads the whole answer; says its status.
    async fn post(&mut self, signature: &str, body: &[u8]) -> anyhow::Result<u16> {
        self.request.clear();
        self.request.extend_from_slice(
            format!(
                "POST /stripe/webhook HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nStripe-Signature: {signature}\r\nContent-Length: {}\r\n\r\n",
                self.host,
                body.len()
            )
            .as_bytes(),
        );
        self.request.extend_from_slice(body);
        self.stream.write_all(&self.request).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                bail!("the server closed a connection that was to be kept");
            }
            if let Some(status) = complete(&self.answer)? {
                return Ok(status);
            }
        }
    }
}

/// The status of an answer that is there as a whole.
fn complete(answer: &[u8]) -> anyhow::Result<Option<u16>> {
    let Some(split) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, rest) = answer.split_at(split);
    let head = std::str::from_utf8(head).context("the head of an answer is no text")?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .context("an answer without a status")?;
    let length: usize = lines
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.parse().ok())
        .context("an answer without a length")?;
    Ok((rest.len() >= length + 4).then_some(status))
}
