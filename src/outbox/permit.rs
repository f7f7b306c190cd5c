//! The leave to hand a message over, which may end before the message is out.
//!
//! Whoever sends asks this and knows neither a store nor a lease. Without a permit nothing may be handed over; once a
//! message is handed over, the end of its permit changes nothing any more.

use std::future::{Future as _, poll_fn};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Of a lease the last sixth is never used: timers are late, and clocks do not run at one speed.
const SIXTHS: u32 = 5;

/// The leave to hand one message over.
#[derive(Debug)]
pub struct Permit {
    until: watch::Sender<Instant>,
    withdrawn: CancellationToken,
}

impl Permit {
    /// A permit for as long as a lease holds that was asked for at `asked`; it ends sooner when `withdrawn` is cancelled.
    ///
    /// `asked` is a moment *before* the database was asked: when it granted the lease can only be later.
    pub fn of_lease(asked: Instant, lease: Duration, withdrawn: CancellationToken) -> Self {
        Self {
            until: watch::Sender::new(certain(asked, lease)),
            withdrawn,
        }
    }

    /// A permit that nobody takes back, for whoever sends without a lease.
    pub fn unlimited() -> Self {
        Self::of_lease(
            Instant::now(),
            Duration::from_hours(24 * 365),
            CancellationToken::new(),
        )
    }

    /// The lease was renewed, asked for at `asked`.
    pub fn renewed(&self, asked: Instant, lease: Duration) {
        self.until.send_replace(certain(asked, lease));
    }

    /// Takes it back.
    pub fn withdraw(&self) {
        self.withdrawn.cancel();
    }

    /// For how long the message may still be handed over; zero when it may not.
    pub fn left(&self) -> Duration {
        if self.withdrawn.is_cancelled() {
            return Duration::ZERO;
        }
        self.until
            .borrow()
            .saturating_duration_since(Instant::now())
    }

    /// Ends when the permit is taken back. A lease that merely runs out may be renewed, and ends nothing.
    pub async fn withdrawn(&self) {
        self.withdrawn.cancelled().await;
    }
}

fn certain(asked: Instant, lease: Duration) -> Instant {
    asked + lease / 6 * SIXTHS
}

/// Ends at a moment. Told by the clock itself, because a process that wakes after it has slept runs before its timers do.
pub(super) async fn reached(moment: Instant) {
    let mut timer = std::pin::pin!(sleep_until(moment));
    poll_fn(|context| {
        if Instant::now() >= moment {
            Poll::Ready(())
        } else {
            timer.as_mut().poll(context)
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_mins(1);

    #[test]
    fn a_permit_ends_before_its_lease_unless_that_is_renewed() {
        let ago = |seconds| Instant::now() - Duration::from_secs(seconds);
        let left_of = |asked| Permit::of_lease(asked, LEASE, CancellationToken::new()).left();
        let about = |left: Duration, seconds| {
            let expected = Duration::from_secs(seconds);
            assert!(left <= expected, "{left:?}");
            assert!(left.abs_diff(expected) < Duration::from_secs(5), "{left:?}");
        };
        about(left_of(ago(0)), 50);
        about(left_of(ago(20)), 30);
        assert_eq!(left_of(ago(50)), Duration::ZERO);
        let permit = Permit::of_lease(ago(55), LEASE, CancellationToken::new());
        permit.renewed(ago(10), LEASE);
        about(permit.left(), 40);
    }

    #[tokio::test]
    async fn a_permit_that_was_taken_back_is_none() {
        let cut = CancellationToken::new();
        let one = Permit::of_lease(Instant::now(), LEASE, cut.child_token());
        let other = Permit::of_lease(Instant::now(), LEASE, cut.child_token());
        one.withdraw();
        one.withdrawn().await;
        assert_eq!(one.left(), Duration::ZERO);
        assert!(other.left() > Duration::ZERO, "it was another's");
        cut.cancel();
        other.withdrawn().await;
        assert_eq!(other.left(), Duration::ZERO);
    }
}
