//! The load: a rate that does not care how fast it is answered, over a bounded number of connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use billhook::clock::{Clock, SystemClock};
use billhook::stripe::signature::sign;
use futures::future::join_all;
use secrecy::SecretString;

use crate::shared::connection::Connection;
use crate::shared::event::{NUMBER, template};
use crate::shared::percentile::percentile;

/// Fewer than `server.max_connections`, as behind a proxy: what is measured is not who gets a seat.
pub(crate) const CONNECTIONS: usize = 400;
/// The length of most bodies in bytes, about the one of a payment intent.
const SMALL: usize = 2 << 10;
/// The length of every hundredth body: an invoice with many lines.
const LARGE: usize = 256 << 10;

/// What was offered, and what came of it.
#[derive(Default)]
pub(crate) struct Outcome {
    /// How long it took.
    pub(crate) window: Duration,
    /// The ids that were answered 200.
    pub(crate) acknowledged: Vec<String>,
    /// Times of the answers by status; 0 where none came.
    pub(crate) times: BTreeMap<u16, Vec<Duration>>,
}

impl Outcome {
    pub(crate) fn offered(&self) -> usize {
        self.times.values().map(Vec::len).sum()
    }

    fn add(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        for (status, times) in other.times {
            self.times.entry(status).or_default().extend(times);
        }
    }

    /// One line for each status.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        let lines = self.times.iter_mut().map(|(status, times)| {
            times.sort_unstable();
            let what = match status {
                0 => "no answer".to_owned(),
                status => status.to_string(),
            };
            format!(
                "{what}: {}, p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
                times.len(),
                percentile(times, 50),
                percentile(times, 99),
                percentile(times, 100)
            )
        });
        lines.collect()
    }
}

/// Offers `rate` events a second for so long, numbered from `first`.
pub(crate) fn offer(
    address: SocketAddr,
    secret: &str,
    rate: f64,
    window: Duration,
    first: u64,
) -> anyhow::Result<Outcome> {
    if rate <= 0.0 {
        bail!("nothing was worked off, so there is no rate to offer");
    }
    let secret = SecretString::from(secret);
    let now = SystemClock.now();
    let (small, large) = (template(now, SMALL), template(now, LARGE));
    let next = AtomicU64::new(0);
    let start = Instant::now();
    // On one thread: more would only take the server's place on the processors.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let one = async || {
        let mut outcome = Outcome::default();
        let mut connection = None;
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            #[expect(clippy::cast_precision_loss, reason = "a turn is far below 2^52")]
            let due = Duration::from_secs_f64(turn as f64 / rate);
            if due >= window || start.elapsed() >= window {
                return outcome;
            }
            tokio::time::sleep_until((start + due).into()).await;
            let number = format!("{:012}", first + turn);
            let template = if turn.is_multiple_of(100) {
                &large
            } else {
                &small
            };
            let body = template.replace(NUMBER, &number);
            let header = sign(&secret, SystemClock.now(), body.as_bytes());
            let sent = Instant::now();
            let status = post(&mut connection, address, &header, body.as_bytes()).await;
            outcome
                .times
                .entry(status)
                .or_default()
                .push(sent.elapsed());
            if status == 200 {
                outcome.acknowledged.push(format!("evt_bench_{number}"));
            }
        }
    };
    let parts = runtime.block_on(join_all((0..CONNECTIONS).map(|_| one())));
    let mut outcome = Outcome {
        window: start.elapsed(),
        ..Outcome::default()
    };
    for part in parts {
        outcome.add(part);
    }
    Ok(outcome)
}

/// The status of the answer, 0 where none came: a server that refuses a body unread closes the connection, too.
async fn post(
    kept: &mut Option<Connection>,
    address: SocketAddr,
    signature: &str,
    body: &[u8],
) -> u16 {
    let connection = match kept.take() {
        Some(connection) => Ok(connection),
        None => Connection::open(address).await,
    };
    let Ok(mut connection) = connection else {
        return 0;
    };
    let Ok(status) = connection.post(signature, body).await else {
        return 0;
    };
    *kept = Some(connection);
    status
}
