//! How the process ends: softly at the first signal, at once at the second.
//!
//! Owns the tokens that loops watch and the tracker of their tasks. It decides nothing about the work itself. Three
//! stages: *soft* asks loops to claim no more and to finish; *cut*, when patience is over, asks them to give back what
//! can be given back, so that only what cannot be undone (a mail whose dot is written) is still waited for; *hard*
//! leaves whatever is unfinished to its lease.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Watched by every loop; clones share one state.
#[derive(Debug, Clone)]
pub struct Shutdown {
    hard: CancellationToken,
    // Children of `hard`: who is told to stop at once is also told to stop.
    cut: CancellationToken,
    soft: CancellationToken,
    tasks: TaskTracker,
    failed: Arc<AtomicBool>,
}

/// Hangups (SIGHUP), which ask a service to read again what may change while it runs. From the moment this exists they no
/// longer end the process.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// Catches them from here on.
    pub fn catch() -> std::io::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            // No more can come.
            std::future::pending::<()>().await;
        }
    }
}

/// How the tasks ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every task came to its end.
    Finished,
    /// Time was up or a second signal came; some work is left to its lease.
    Forced,
}

impl Shutdown {
    /// Begins when it is told to: tests, and commands that end by themselves.
    pub fn manual() -> Self {
        let hard = CancellationToken::new();
        let (cut, soft) = (hard.child_token(), hard.child_token());
        Self {
            hard,
            cut,
            soft,
            tasks: TaskTracker::new(),
            failed: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Begins at the first SIGTERM or SIGINT, and is hard at the second. Both are caught from here on.
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::manual();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let watched = shutdown.clone();
        // A tracker of its own: the end of the work must not wait for a signal.
        TaskTracker::new().spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if watched.soft.is_cancelled() {
                    tracing::warn!(
                        "second signal: stopping at once, unfinished work is left to its lease"
                    );
                    watched.force();
                    return;
                }
                tracing::info!("signal: claiming no more work, finishing what has begun");
                watched.begin();
            }
        });
        Ok(shutdown)
    }

    /// Asks everything to come to its end.
    pub fn begin(&self) {
        self.soft.cancel();
    }

    /// Stops everything now.
    pub fn force(&self) {
        self.hard.cancel();
    }

    /// Cancelled when no more work is to be claimed.
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when begun work is to be given back, where it can be.
    pub fn cut(&self) -> &CancellationToken {
        &self.cut
    }

    /// Cancelled when begun work is to be dropped.
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Whether no more work is to be claimed.
    pub fn has_begun(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// Where tasks are spawned that must end before the process does.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Spawns a loop without which the process is of no use. If it panics or returns before a shutdown has begun, the
    /// process is brought down and [`Shutdown::has_failed`]: a supervisor restarts it, whereas a process that answers
    /// webhooks and works on none would go unnoticed.
    pub fn spawn_vital<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let shutdown = self.clone();
        self.tasks.spawn(async move {
            let ended = AssertUnwindSafe(task).catch_unwind().await;
            match ended {
                Ok(()) if shutdown.has_begun() => return,
                Ok(()) => tracing::error!(task = name, "a loop ended by itself, shutting down"),
                Err(panic) => {
                    tracing::error!(
                        task = name,
                        panic = panic_text(&*panic),
                        "a loop crashed, shutting down"
                    );
                }
            }
            shutdown.failed.store(true, Ordering::SeqCst);
            shutdown.begin();
        });
    }

    /// Whether a vital loop ended when it should not have: the process exits with a failure.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// Waits until a shutdown begins, then until all tasks have ended. After `patience` what can be given back is; what
    /// cannot has `last_patience` more, and then the stop is hard. Nothing may be spawned after this.
    pub async fn finish(&self, patience: Duration, last_patience: Duration) -> Ending {
        self.soft.cancelled().await;
        self.tasks.close();
        let stages = async {
            tokio::time::sleep(patience).await;
            tracing::info!(
                "time is up: giving back what can be given back, and waiting for what cannot"
            );
            self.cut.cancel();
            tokio::time::sleep(last_patience).await;
            self.force();
        };
        tokio::select! {
            biased;
            () = self.tasks.wait() => Ending::Finished,
            () = self.hard.cancelled() => Ending::Forced,
            () = stages => Ending::Forced,
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    }

    #[test]
    fn a_soft_shutdown_waits_for_what_has_begun() {
        runtime().block_on(async {
            let shutdown = Shutdown::manual();
            let (finish, finished) = tokio::sync::oneshot::channel::<()>();
            shutdown.tasks().spawn(finished);
            shutdown.begin();
            assert!(shutdown.has_begun());
            assert!(!shutdown.hard().is_cancelled());
            let ending = shutdown.finish(LONG, LONG);
            tokio::pin!(ending);
            assert!(futures::poll!(&mut ending).is_pending());
            finish.send(()).unwrap();
            assert_eq!(ending.await, Ending::Finished);
            assert!(!shutdown.has_failed());
        });
    }

    #[test]
    fn patience_ends_and_then_the_shutdown_is_hard() {
        runtime().block_on(async {
            let shutdown = Shutdown::manual();
            shutdown.tasks().spawn(std::future::pending::<()>());
            shutdown.begin();
            let short = Duration::from_millis(1);
            assert_eq!(shutdown.finish(short, short).await, Ending::Forced);
            assert!(shutdown.hard().is_cancelled());
        });
    }

    #[test]
    fn what_can_be_given_back_is_cut_and_the_rest_is_waited_for() {
        runtime().block_on(async {
            let shutdown = Shutdown::manual();
            let (finish, finished) = tokio::sync::oneshot::channel::<()>();
            let cut = shutdown.cut().clone();
            // It gives back when it is cut, and ends only with what cannot be undone.
            shutdown.tasks().spawn(async move {
                cut.cancelled().await;
                finished.await.unwrap();
            });
            shutdown.begin();
            let ending = shutdown.finish(Duration::from_millis(1), LONG);
            tokio::pin!(ending);
            tokio::select! {
                _ending = &mut ending => panic!("it did not wait"),
                () = shutdown.cut().cancelled() => {}
            }
            assert!(!shutdown.hard().is_cancelled());
            finish.send(()).unwrap();
            assert_eq!(ending.await, Ending::Finished);
        });
    }

    #[test]
    fn hard_implies_soft_and_cut() {
        runtime().block_on(async {
            let shutdown = Shutdown::manual();
            shutdown.tasks().spawn(std::future::pending::<()>());
            shutdown.force();
            assert!(shutdown.has_begun() && shutdown.cut().is_cancelled());
            assert_eq!(shutdown.finish(LONG, LONG).await, Ending::Forced);
        });
    }

    #[test]
    fn a_vital_loop_that_ends_or_crashes_brings_everything_down() {
        runtime().block_on(async {
            for crash in [false, true] {
                let shutdown = Shutdown::manual();
                shutdown.spawn_vital("test", async move { assert!(!crash, "on purpose") });
                assert_eq!(shutdown.finish(LONG, LONG).await, Ending::Finished);
                assert!(shutdown.has_failed());
            }
        });
    }

    #[test]
    fn a_vital_loop_that_ends_in_a_shutdown_is_no_failure() {
        runtime().block_on(async {
            let shutdown = Shutdown::manual();
            let soft = shutdown.soft().clone();
            shutdown.spawn_vital("test", async move { soft.cancelled().await });
            shutdown.begin();
            assert_eq!(shutdown.finish(LONG, LONG).await, Ending::Finished);
            assert!(!shutdown.has_failed());
        });
    }

    #[test]
    fn the_first_signal_is_soft_and_the_second_hard() {
        runtime().block_on(async {
            let shutdown = Shutdown::on_signals().unwrap();
            shutdown.tasks().spawn(std::future::pending::<()>());
            let send = |name: &str| {
                let id = std::process::id().to_string();
                let sent = std::process::Command::new("kill")
                    .args(["-s", name, &id])
                    .status();
                assert!(sent.unwrap().success());
            };
            send("TERM");
            shutdown.soft().cancelled().await;
            assert!(!shutdown.hard().is_cancelled());
            send("INT");
            assert_eq!(shutdown.finish(LONG, LONG).await, Ending::Forced);
        });
    }
}
