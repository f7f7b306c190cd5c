//! One fault at one call, and how it strikes.

use std::collections::BTreeMap;
use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// What befalls a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// Nothing is done, and an error is the answer.
    FailsBefore,
    /// It is done, and its answer is lost.
    FailsAfter,
    /// It is done twice; the second answer counts.
    Repeats,
    /// Before it is done the process sleeps past its leases, and another works meanwhile.
    StallsBefore,
    /// The same after it is done, before the answer is seen.
    StallsAfter,
    /// The process dies before it is done.
    DiesBefore,
    /// The process dies after it is done.
    DiesAfter,
    /// It panics.
    Panics,
}

/// A fault at the `nth` call of a verb, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Point {
    pub(super) verb: &'static str,
    pub(super) nth: usize,
    pub(super) fault: Fault,
}

impl Point {
    /// Whether an item of work really fails here, which spends one of its attempts. Where this is false none may be
    /// spent: a broken connection is no failure of the item, nor is what was done twice, given up or taken over.
    pub(super) fn is_failure(self) -> bool {
        self.fault == Fault::Panics
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{} {:?}", self.verb, self.nth, self.fault)
    }
}

/// Works in another process while this one stalls.
type Rescue = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// Counts every call, and lets the one fault strike.
#[derive(Default)]
pub(super) struct Faults {
    point: Option<Point>,
    calls: Mutex<BTreeMap<&'static str, usize>>,
    struck: AtomicBool,
    rescue: Mutex<Option<Rescue>>,
    /// The process is dead; whoever drives it starts another.
    pub(super) died: Notify,
    called: Notify,
}

impl Faults {
    pub(super) fn at(point: Option<Point>) -> Self {
        Self {
            point,
            ..Self::default()
        }
    }

    pub(super) fn rescue_by(
        &self,
        rescue: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) {
        *self.rescue.lock().unwrap() = Some(Arc::new(rescue));
    }

    pub(super) fn calls(&self) -> BTreeMap<&'static str, usize> {
        self.calls.lock().unwrap().clone()
    }

    /// Whether the fault has struck.
    pub(super) fn has_struck(&self) -> bool {
        self.struck.load(Ordering::SeqCst)
    }

    /// Waits until a verb was called.
    pub(super) async fn wait_for(&self, verb: &'static str) {
        loop {
            let mut called = std::pin::pin!(self.called.notified());
            called.as_mut().enable();
            if self.calls.lock().unwrap().contains_key(verb) {
                return;
            }
            called.await;
        }
    }

    /// Ends at the next call of any verb.
    pub(super) fn next_call(&self) -> Notified<'_> {
        self.called.notified()
    }

    fn strike(&self, verb: &'static str) -> Option<Fault> {
        let nth = {
            let mut calls = self.calls.lock().unwrap();
            let count = calls.entry(verb).or_default();
            *count += 1;
            *count
        };
        self.called.notify_waiters();
        let struck = self.point.filter(|p| p.verb == verb && p.nth == nth)?;
        self.struck.store(true, Ordering::SeqCst);
        Some(struck.fault)
    }

    async fn stall(&self) {
        let rescue = self.rescue.lock().unwrap().clone();
        rescue.expect("a stage rescues")().await;
    }

    async fn die(&self) {
        self.died.notify_one();
        // Whoever waits for this is dropped with its process.
        pending::<()>().await;
    }

    /// Does `call`, as the fault at this point has it. `lost` makes the error: was it done all the same?
    pub(super) async fn around<T, E, F>(
        &self,
        verb: &'static str,
        call: impl Fn() -> F + Send + Sync,
        lost: impl Fn(bool) -> E + Send + Sync,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: Send,
    {
        match self.strike(verb) {
            None => call().await,
            Some(Fault::FailsBefore) => Err(lost(false)),
            Some(Fault::FailsAfter) => {
                call().await?;
                Err(lost(true))
            }
            Some(Fault::Repeats) => {
                drop(call().await);
                call().await
            }
            Some(Fault::StallsBefore) => {
                self.stall().await;
                call().await
            }
            Some(Fault::StallsAfter) => {
                let answer = call().await;
                self.stall().await;
                answer
            }
            Some(Fault::DiesBefore) => {
                self.die().await;
                Err(lost(false))
            }
            Some(Fault::DiesAfter) => {
                drop(call().await);
                self.die().await;
                Err(lost(true))
            }
            Some(Fault::Panics) => panic!("{verb} panics on purpose"),
        }
    }
}
