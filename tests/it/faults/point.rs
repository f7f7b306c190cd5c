//! One fault at one call, and how it strikes.

use std::collections::{BTreeMap, BTreeSet};
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

/// What a call answers.
pub(super) trait Answer {
    /// Whether it looked for something and there was none.
    fn is_nothing(&self) -> bool {
        false
    }
}

impl<T> Answer for Vec<T> {
    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}

impl<T> Answer for Option<T> {
    fn is_nothing(&self) -> bool {
        self.is_none()
    }
}

impl Answer for u64 {
    fn is_nothing(&self) -> bool {
        *self == 0
    }
}

/// The calls of one verb.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls {
    pub(super) made: usize,
    /// Those that looked for something and found none.
    idle: BTreeSet<usize>,
}

impl Calls {
    /// The calls that are each a case of its own: whatever did or found something, and of those that found nothing, which
    /// leave the world as it was and are most, the first and the last; and the first and the last of all.
    pub(super) fn telling(&self) -> Vec<usize> {
        let ends = [
            self.idle.first(),
            self.idle.last(),
            Some(&1),
            Some(&self.made),
        ];
        let is_telling = |nth: &usize| !self.idle.contains(nth) || ends.contains(&Some(nth));
        (1..=self.made).filter(is_telling).collect()
    }
}

/// Works in another process while this one stalls.
type Rescue = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// Counts every call, and lets the one fault strike.
#[derive(Default)]
pub(super) struct Faults {
    point: Option<Point>,
    calls: Mutex<BTreeMap<&'static str, Calls>>,
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

    pub(super) fn calls(&self) -> BTreeMap<&'static str, Calls> {
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

    /// Which call of its verb this is, and what befalls it.
    fn strike(&self, verb: &'static str) -> (usize, Option<Fault>) {
        let nth = {
            let mut calls = self.calls.lock().unwrap();
            let calls = calls.entry(verb).or_default();
            calls.made += 1;
            calls.made
        };
        self.called.notify_waiters();
        let struck = self.point.filter(|p| p.verb == verb && p.nth == nth);
        self.struck.fetch_or(struck.is_some(), Ordering::SeqCst);
        (nth, struck.map(|point| point.fault))
    }

    fn note_idle(&self, verb: &'static str, nth: usize) {
        let mut calls = self.calls.lock().unwrap();
        calls.entry(verb).or_default().idle.insert(nth);
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
        T: Answer + Send,
        E: Send,
    {
        let (nth, fault) = self.strike(verb);
        match fault {
            None => {
                let answer = call().await;
                if answer.as_ref().is_ok_and(Answer::is_nothing) {
                    self.note_idle(verb, nth);
                }
                answer
            }
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

#[tokio::test]
async fn of_the_looks_that_find_nothing_the_first_and_the_last_are_taken() {
    let faults = Faults::at(None);
    for found in [1, 0, 0, 3, 0, 0, 0, 2] {
        let look = || async move { Ok::<u64, ()>(found) };
        faults.around("look", look, |_| ()).await.unwrap();
    }
    assert_eq!(faults.calls()["look"].telling(), [1, 2, 4, 7, 8]);
}
