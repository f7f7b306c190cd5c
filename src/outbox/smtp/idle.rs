//! Connections that are kept for the next mail: logged in, idle, few, and not for long.
//!
//! A connection comes here only after a mail that ended well on it. It may be dead by the time it is taken out; whoever
//! takes it proves that it lives before a mail depends on it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lettre::transport::smtp::client::AsyncSmtpConnection;
use tokio::time::Instant;

/// As many as one channel sends side by side.
const MOST: usize = 8;
/// Servers allow so many mails on one connection at least.
const MAILS: u32 = 50;
/// However busy: a balancer in front of the servers gets its chance.
const AGE: Duration = Duration::from_mins(5);

/// A connection and how much it has been used.
pub(super) struct Line {
    pub(super) connection: AsyncSmtpConnection,
    opened: Instant,
    used: Instant,
    mails: u32,
}

impl Line {
    pub(super) fn new(connection: AsyncSmtpConnection) -> Self {
        let now = Instant::now();
        Self {
            connection,
            opened: now,
            used: now,
            mails: 0,
        }
    }

    fn is_worn(&self) -> bool {
        self.mails >= MAILS || self.opened.elapsed() >= AGE
    }
}

/// The connections that are idle, the one used last at the end.
#[derive(Default)]
pub(super) struct Idle(Mutex<Vec<Line>>);

impl Idle {
    /// The connection that was used last, of all the likeliest to live, unless that was `rest` ago.
    pub(super) fn take(&self, rest: Duration) -> Option<Line> {
        let line = self.lines().pop()?;
        (line.used.elapsed() < rest && !line.is_worn()).then_some(line)
    }

    /// Keeps a connection on which a mail has just ended well, or hands it back when it has served its time.
    pub(super) fn keep(&self, mut line: Line) -> Option<Line> {
        line.mails += 1;
        line.used = Instant::now();
        let mut lines = self.lines();
        if line.is_worn() || lines.len() >= MOST {
            return Some(line);
        }
        lines.push(line);
        None
    }

    /// Takes out what was used longer than `rest` ago.
    pub(super) fn clear(&self, rest: Duration) -> Vec<Line> {
        let mut lines = self.lines();
        let (gone, kept) = std::mem::take(&mut *lines)
            .into_iter()
            .partition(|line| line.used.elapsed() >= rest);
        *lines = kept;
        gone
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        // Whatever a panic interrupted, the list is whole: it is changed by single pushes and pops.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
