//! The load: 64 connections, one request at a time on each, all of them as fast as they are answered.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use billhook::clock::{Clock, SystemClock};
use billhook::stripe::signature::sign;
use futures::future::try_join_all;
use secrecy::SecretString;

use crate::shared::connection::Connection;
use crate::shared::event::{NUMBER, template};
use crate::shared::percentile::percentile;

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
        let at = |percent| percentile(&times, percent);
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
    let template = template(now, BODY);
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
