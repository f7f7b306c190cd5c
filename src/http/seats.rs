//! Who may be connected: so many at once, and a newcomer takes the place of whoever does nothing.
//!
//! A connection *waits* while there is no whole request of its client: it is kept alive for a next one, or its client
//! takes its time with headers or body. When all seats are taken, the one that has waited longest is closed. So
//! thousands of idle or dripping connections cannot keep out somebody who has something to say, and no request is lost
//! that was received.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{counter, gauge};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// The seats of a listener.
pub(super) struct Seats {
    free: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
    /// Rung when somebody begins to wait, whom a newcomer may replace.
    waits: Notify,
    /// Rung when somebody was told to leave and is served instead.
    stays: Notify,
}

/// Those who wait, the longest first, and what tells them to leave.
#[derive(Default)]
struct Waiting {
    turn: u64,
    leave: BTreeMap<u64, CancellationToken>,
}

/// One connection's seat, free again with this value.
pub(super) struct Seat {
    seats: Arc<Seats>,
    leave: CancellationToken,
    /// Since when it waits; none from when a request is received until its answer left.
    turn: Mutex<Option<u64>>,
    _permit: OwnedSemaphorePermit,
}

impl Seats {
    pub(super) fn new(seats: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(seats.min(Semaphore::MAX_PERMITS))),
            waiting: Mutex::default(),
            waits: Notify::new(),
            stays: Notify::new(),
        })
    }

    /// A seat for a newcomer. When everybody is served just now it waits; what is served has a time limit.
    pub(super) async fn take(self: &Arc<Self>) -> Arc<Seat> {
        // One is asked for one seat: whoever was told to leave may take a moment to be gone.
        let mut asked = false;
        let permit = loop {
            // Registered before looking: what happens meanwhile still wakes us.
            let mut waits = std::pin::pin!(self.waits.notified());
            let mut stays = std::pin::pin!(self.stays.notified());
            waits.as_mut().enable();
            stays.as_mut().enable();
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                break permit;
            }
            asked = asked || self.make_room();
            tokio::select! {
                // The semaphore is never closed.
                Ok(permit) = Arc::clone(&self.free).acquire_owned() => break permit,
                () = waits, if !asked => {}
                () = stays => asked = false,
            }
        };
        let seat = Seat {
            seats: Arc::clone(self),
            leave: CancellationToken::new(),
            turn: Mutex::default(),
            _permit: permit,
        };
        seat.wait();
        gauge!("billhook_http_connections").increment(1.0);
        Arc::new(seat)
    }

    /// Tells the one that has waited longest to leave; says whether anybody waits.
    pub(super) fn make_room(&self) -> bool {
        let Some((_, leave)) = self.waiting().leave.pop_first() else {
            return false;
        };
        leave.cancel();
        counter!("billhook_http_connections_replaced_total").increment(1);
        true
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// It has done something, and begins to wait anew.
    pub(super) fn wait(&self) {
        let mut own = self.turn();
        let mut waiting = self.seats.waiting();
        if let Some(before) = own.take() {
            waiting.leave.remove(&before);
        }
        waiting.turn += 1;
        *own = Some(waiting.turn);
        let turn = waiting.turn;
        waiting.leave.insert(turn, self.leave.clone());
        drop(waiting);
        self.seats.waits.notify_waiters();
    }

    /// A whole request was received: nobody takes this seat until its answer left.
    pub(super) fn serve(&self) {
        if let Some(turn) = self.turn().take() {
            self.seats.waiting().leave.remove(&turn);
            if self.leave.is_cancelled() {
                self.seats.stays.notify_waiters();
            }
        }
    }

    /// Comes to its end when a newcomer is to have this seat.
    pub(super) async fn is_needed(&self) {
        self.leave.cancelled().await;
    }

    /// Whether it waits. It may have received a request in the moment in which its seat was asked for.
    pub(super) fn waits(&self) -> bool {
        self.turn().is_some()
    }

    fn turn(&self) -> MutexGuard<'_, Option<u64>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.serve();
        gauge!("billhook_http_connections").decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn is_needed(seat: &Seat) -> bool {
        seat.is_needed().now_or_never().is_some()
    }

    #[tokio::test]
    async fn a_newcomer_takes_the_seat_of_whoever_has_waited_longest() {
        let seats = Seats::new(2);
        let (first, second) = (seats.take().await, seats.take().await);
        first.serve();
        first.wait();
        let mut newcomer = Box::pin(seats.take());
        assert!(futures::poll!(&mut newcomer).is_pending());
        assert!(is_needed(&second) && !is_needed(&first));
        drop(second);
        let third = newcomer.await;
        assert!(!is_needed(&first) && !is_needed(&third));
    }

    #[tokio::test]
    async fn whoever_is_served_stays_until_its_answer_left() {
        let seats = Seats::new(1);
        let seat = seats.take().await;
        seat.serve();
        let mut newcomer = Box::pin(seats.take());
        assert!(futures::poll!(&mut newcomer).is_pending());
        assert!(!is_needed(&seat) && !seat.waits());
        seat.wait();
        assert!(futures::poll!(&mut newcomer).is_pending());
        assert!(is_needed(&seat) && seat.waits());
        drop(seat);
        newcomer.await;
    }

    #[tokio::test]
    async fn a_seat_that_was_left_is_forgotten() {
        let seats = Seats::new(3);
        drop((seats.take().await, seats.take().await));
        let seat = seats.take().await;
        seat.wait();
        seat.serve();
        drop(seat);
        assert!(seats.waiting().leave.is_empty());
        assert_eq!(seats.free.available_permits(), 3);
    }
}
