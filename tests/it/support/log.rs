//! What is logged while a test runs.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tracing_subscriber::fmt::MakeWriter;

use super::process::PATIENCE;

/// What was logged on this thread.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    pub(crate) fn count(&self, words: &str) -> usize {
        self.text().matches(words).count()
    }

    /// Waits until it is said `more` times as often as now.
    pub(crate) async fn says_again(&self, words: &str, more: usize) {
        let (start, now) = (Instant::now(), self.count(words));
        while self.count(words) < now + more {
            assert!(start.elapsed() < PATIENCE, "not said again: {words}");
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn says(&self, words: &str) {
        let start = Instant::now();
        while !self.text().contains(words) {
            assert!(start.elapsed() < PATIENCE, "nothing said: {words}");
            tokio::task::yield_now().await;
        }
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
