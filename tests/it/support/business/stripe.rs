//! Stripe's side: posts each event until it is answered 200, to whichever process takes connections.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::stories::{Event, Owed, Stories, Story};
use crate::support::process::{PATIENCE, signature};

/// From one story to the next: some thirty events a second.
const BEAT: Duration = Duration::from_millis(150);
/// Stories that are being told: more wait until the service has taken in what it was given.
const AT_ONCE: usize = 50;
/// Stripe waits for hours before it sends again; here only the order of things counts.
const AGAIN: Duration = Duration::from_millis(50);

/// Whoever posts the events.
pub(crate) struct Stripe {
    client: reqwest::Client,
    /// Where each process listens, while it does.
    doors: Mutex<Vec<Option<String>>>,
    turn: AtomicUsize,
    /// Requests without an answer at this moment.
    pub(crate) in_flight: AtomicUsize,
    /// Requests that nobody answered.
    pub(crate) unanswered: AtomicUsize,
    /// Requests that were answered 503.
    pub(crate) refused: AtomicUsize,
    /// The longest that any answer took.
    slowest: Mutex<Duration>,
    /// The ids of events that were answered 200.
    pub(crate) answered: Mutex<BTreeSet<String>>,
}

impl Stripe {
    pub(crate) fn new(processes: usize) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        Self {
            client: reqwest::Client::builder()
                .no_proxy()
                .timeout(PATIENCE)
                .build()
                .unwrap(),
            doors: Mutex::new(vec![None; processes]),
            turn: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            slowest: Mutex::default(),
            answered: Mutex::default(),
        }
    }

    /// A process listens at this address, or not any more.
    pub(crate) fn door(&self, process: usize, base: Option<String>) {
        self.doors.lock().unwrap()[process] = base;
    }

    fn open_door(&self) -> Option<String> {
        let doors = self.doors.lock().unwrap();
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        (0..doors.len()).find_map(|next| doors[(first + next) % doors.len()].clone())
    }

    /// How many events were answered 200 so far.
    pub(crate) fn accepted(&self) -> usize {
        self.answered.lock().unwrap().len()
    }

    /// The longest that any answer took.
    pub(crate) fn slowest(&self) -> Duration {
        *self.slowest.lock().unwrap()
    }

    async fn deliver(&self, event: &Event) {
        while !self.post(event).await {
            tokio::time::sleep(AGAIN).await;
        }
        self.answered.lock().unwrap().insert(event.id.clone());
    }

    async fn post(&self, event: &Event) -> bool {
        let Some(base) = self.open_door() else {
            return false;
        };
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let answer = self
            .client
            .post(format!("{base}/stripe/webhook"))
            .header("Stripe-Signature", signature(&event.body))
            .body(event.body.clone())
            .send()
            .await;
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        let Ok(answer) = answer else {
            self.unanswered.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        let mut slowest = self.slowest.lock().unwrap();
        *slowest = began.elapsed().max(*slowest);
        match answer.status() {
            StatusCode::OK => true,
            StatusCode::SERVICE_UNAVAILABLE => {
                assert!(
                    answer.headers().contains_key("Retry-After"),
                    "{} is to be sent again, but when?",
                    event.id
                );
                self.refused.fetch_add(1, Ordering::Relaxed);
                false
            }
            other => panic!("{} was answered {other}", event.id),
        }
    }

    async fn act_out(&self, story: Story) {
        self.deliver(&story.opening).await;
        futures::future::join_all(story.rest.iter().map(|event| self.deliver(event))).await;
    }

    /// Tells story after story until the stream is stopped.
    pub(crate) fn tell(self: &Arc<Self>, mut stories: Stories) -> Stream {
        let (stop, stripe) = (CancellationToken::new(), self.clone());
        let stopped = stop.clone();
        let telling = TaskTracker::new().spawn(async move {
            let mut told = BTreeMap::new();
            let (acts, mut beat) = (TaskTracker::new(), tokio::time::interval(BEAT));
            let room = Arc::new(Semaphore::new(AT_ONCE));
            let mut begun = Vec::new();
            while let Some(place) = stopped
                .run_until_cancelled(room.clone().acquire_owned())
                .await
                && stopped.run_until_cancelled(beat.tick()).await.is_some()
            {
                let story = stories.next();
                told.insert(story.customer.clone(), story.owed.clone());
                let stripe = stripe.clone();
                begun.push(acts.spawn(async move {
                    stripe.act_out(story).await;
                    drop(place);
                }));
            }
            for act in begun {
                act.await.unwrap();
            }
            told
        });
        Stream { stop, telling }
    }
}

/// A stream of stories that goes on.
pub(crate) struct Stream {
    stop: CancellationToken,
    telling: JoinHandle<BTreeMap<String, Owed>>,
}

impl Stream {
    /// Begins no more stories, tells those that were begun to their end, and says what is owed to whom.
    pub(crate) async fn stop(self) -> BTreeMap<String, Owed> {
        self.stop.cancel();
        self.telling.await.unwrap()
    }
}
