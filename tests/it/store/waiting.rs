//! What a follow-up waits for in the inbox: whatever of its customer's was there before it was due, however long the
//! backlog, but neither for what keeps failing nor for what comes later. And what was too old to be followed up.

use std::time::Duration;

use billhook::store::{ClaimedEvent, Failure, Store};

use super::{LONG, apply, claim_events, failed_payment, ingest, paid};
use crate::support::bench::{Bench, START};
use crate::support::fixture::{Payout, Told};

on_both![
    a_backlog_is_waited_for_however_long_it_is,
    what_keeps_failing_is_not_waited_for,
    what_came_later_is_not_waited_for_long,
    what_stands_still_is_due_however_old_it_is,
];

/// More than any patience.
const MUCH_LATER: Duration = Duration::from_hours(2);

/// Applies the failed payment of `pi_1`, and leaves the other event of its customer where it is.
async fn one_is_applied(bench: &Bench) -> ClaimedEvent {
    let other = paid("cus_1", "pi_2", 0);
    ingest(bench, &[failed_payment("cus_1", "pi_1"), other.clone()]).await;
    let (mine, mut others): (Vec<_>, Vec<_>) = claim_events(bench)
        .await
        .into_iter()
        .partition(|event| event.id != other.id);
    bench.store.apply_event(&mine[0]).await.unwrap();
    others.remove(0)
}

async fn is_due(bench: &Bench) -> bool {
    bench.store.claim_run(LONG).await.unwrap().is_some()
}

async fn a_backlog_is_waited_for_however_long_it_is(bench: Bench) {
    let other = one_is_applied(&bench).await;
    bench.clock.advance(MUCH_LATER);
    assert!(!is_due(&bench).await);
    bench.store.apply_event(&other).await.unwrap();
    assert!(is_due(&bench).await);
}

async fn what_keeps_failing_is_not_waited_for(bench: Bench) {
    let failing = one_is_applied(&bench).await;
    let again = bench.now().plus(MUCH_LATER + LONG);
    bench
        .store
        .fail_event(&failing, "it fails", Failure::Retry(again))
        .await
        .unwrap();
    bench.clock.advance(Duration::from_secs(30));
    assert!(!is_due(&bench).await, "it may still be a matter of seconds");
    bench.clock.advance(MUCH_LATER);
    assert!(is_due(&bench).await);
}

async fn what_came_later_is_not_waited_for_long(bench: Bench) {
    let other = one_is_applied(&bench).await;
    bench.store.apply_event(&other).await.unwrap();
    bench.clock.advance(Duration::from_secs(20));
    ingest(&bench, &[paid("cus_1", "pi_3", 0)]).await;
    assert!(!is_due(&bench).await, "it may be what ends the follow-up");
    bench.clock.advance(MUCH_LATER);
    assert!(is_due(&bench).await);
}

async fn what_stands_still_is_due_however_old_it_is(bench: Bench) {
    let payout = Payout {
        status: "failed",
        ..Payout::default()
    };
    let mut failed = failed_payment("cus_1", "pi_1");
    let mut returned = Told::new("evt_payout".to_owned(), "payout.failed", START, payout);
    for told in [&mut failed, &mut returned] {
        told.created = START - 2 * 86_400;
    }
    apply(&bench, &[failed, returned]).await;
    bench.clock.advance(MUCH_LATER);
    let run = bench.store.claim_run(LONG).await.unwrap().unwrap();
    assert_eq!(run.event, "evt_payout");
    assert!(!is_due(&bench).await, "the payment is too old");
}
