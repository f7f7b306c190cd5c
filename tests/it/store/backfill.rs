//! How far an account's events are complete, and who may say so.

use std::collections::BTreeSet;
use std::time::Duration;

use billhook::clock::Timestamp;
use billhook::store::{BackfillClaim, ClaimedBackfill, Gap, Holder, Progress, Store, StoreError};

use super::{LONG, apply, failed_payment, ingest};
use crate::support::bench::{Bench, START};

on_both!(
    one_looks_and_another_takes_over_when_the_lease_has_ended,
    a_mark_moves_forward_only_and_by_account_and_mode,
    what_a_walk_came_to_is_kept,
    accounts_and_events_that_are_known_are_found,
);

/// Whoever has come to an end, whenever it was.
const ALWAYS: Timestamp = Timestamp(i64::MAX);

/// How whoever asks calls themselves.
const ME: &str = "`billhook serve` (process 1)";

async fn claim(bench: &Bench, account: &str) -> Option<ClaimedBackfill> {
    let claimed = bench.store.claim_backfill(account, true, ALWAYS, LONG, ME);
    mine(claimed.await.unwrap())
}

fn mine(claim: BackfillClaim) -> Option<ClaimedBackfill> {
    match claim {
        BackfillClaim::Claimed(claimed) => Some(claimed),
        BackfillClaim::Held(_) | BackfillClaim::Recent => None,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(START + seconds)
}

fn marked(seconds: i64) -> Progress {
    Progress {
        mark: Some(at(seconds)),
        gap: None,
    }
}

async fn one_looks_and_another_takes_over_when_the_lease_has_ended(bench: Bench) {
    let other = bench.another_process().await;
    let lease = bench.short_lease();
    let zombie = bench
        .store
        .claim_backfill("self", true, ALWAYS, lease, ME)
        .await;
    let zombie = mine(zombie.unwrap()).unwrap();
    let meanwhile = other
        .claim_backfill("self", true, ALWAYS, lease, "another")
        .await;
    let BackfillClaim::Held(Holder { by, until }) = meanwhile.unwrap() else {
        panic!("claimed twice")
    };
    // PostgreSQL counts a lease by a clock of its own.
    assert_eq!(by, ME);
    assert!(
        bench.is_postgres() || until == bench.now().plus(lease),
        "{until}"
    );
    // Another account, and the other mode, are nobody's yet.
    assert!(claim(&bench, "acct_1").await.is_some());
    let test = bench
        .store
        .claim_backfill("self", false, ALWAYS, LONG, ME)
        .await;
    assert!(mine(test.unwrap()).is_some());
    let heir = bench
        .after_lease(async || {
            let claimed = other
                .claim_backfill("self", true, ALWAYS, LONG, "another")
                .await;
            mine(claimed.unwrap())
        })
        .await;
    let late = bench
        .store
        .advance_backfill(&zombie, &marked(50), LONG)
        .await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    let late = bench.store.end_backfill(&zombie, None).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    other
        .advance_backfill(&heir, &marked(10), LONG)
        .await
        .unwrap();
    other.end_backfill(&heir, None).await.unwrap();
    // What ends a claim spends its epoch, and gives it back at once.
    let again = other.end_backfill(&heir, None).await;
    assert!(matches!(again, Err(StoreError::Fenced)), "{again:?}");
    assert_eq!(claim(&bench, "self").await.unwrap().progress, marked(10));
}

async fn a_mark_moves_forward_only_and_by_account_and_mode(bench: Bench) {
    let claimed = claim(&bench, "self").await.unwrap();
    assert_eq!(claimed.progress, Progress::default());
    for (mark, expected) in [(10, 10), (5, 10), (20, 20)] {
        let progress = marked(mark);
        let advanced = bench.store.advance_backfill(&claimed, &progress, LONG);
        advanced.await.unwrap();
        let records = bench.store.backfills().await.unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].progress, marked(expected));
    }
    let test = bench
        .store
        .claim_backfill("self", false, ALWAYS, LONG, ME)
        .await;
    assert_eq!(mine(test.unwrap()).unwrap().progress, Progress::default());
    assert_eq!(
        claim(&bench, "acct_1").await.unwrap().progress,
        Progress::default()
    );
}

async fn what_a_walk_came_to_is_kept(bench: Bench) {
    let claimed = claim(&bench, "self").await.unwrap();
    let gap = Progress {
        mark: Some(at(100)),
        gap: Some(Gap {
            from: at(0),
            to: at(50),
            reconciled: BTreeSet::from(["/v1/customers".to_owned()]),
            places: [("/v1/subscriptions", "sub_1"), ("/v1/invoices", "in_1")]
                .map(|(list, id)| (list.to_owned(), id.to_owned()))
                .into(),
        }),
    };
    bench
        .store
        .advance_backfill(&claimed, &gap, LONG)
        .await
        .unwrap();
    bench
        .store
        .end_backfill(&claimed, Some("Stripe is away"))
        .await
        .unwrap();
    let record = bench.store.backfills().await.unwrap().remove(0);
    assert_eq!((&record.progress, record.done_at), (&gap, None));
    assert_eq!(record.last_error.as_deref(), Some("Stripe is away"));

    let claimed = claim(&bench, "self").await.unwrap();
    assert_eq!(claimed.progress, gap);
    bench
        .store
        .advance_backfill(&claimed, &marked(100), LONG)
        .await
        .unwrap();
    bench.store.end_backfill(&claimed, None).await.unwrap();
    let record = bench.store.backfills().await.unwrap().remove(0);
    assert_eq!((record.progress, record.last_error), (marked(100), None));
    assert_eq!(record.done_at, Some(bench.now()));
    // Whoever only wants it done now and then leaves it alone.
    let before = bench.now().minus(Duration::from_mins(1));
    let scheduled = bench
        .store
        .claim_backfill("self", true, before, LONG, ME)
        .await;
    assert!(
        matches!(scheduled, Ok(BackfillClaim::Recent)),
        "{scheduled:?}"
    );
    bench.clock.advance(Duration::from_hours(1));
    let before = bench.now().minus(Duration::from_mins(1));
    let scheduled = bench
        .store
        .claim_backfill("self", true, before, LONG, ME)
        .await;
    assert!(mine(scheduled.unwrap()).is_some());
}

async fn accounts_and_events_that_are_known_are_found(bench: Bench) {
    assert!(bench.store.accounts(true).await.unwrap().is_empty());
    for (n, account) in [
        (1, Some("acct_b")),
        (2, None),
        (3, Some("acct_a")),
        (4, Some("acct_a")),
    ] {
        let mut told = failed_payment(&format!("cus_{n}"), &format!("pi_{n}"));
        told.account = account.map(str::to_owned);
        apply(&bench, &[told]).await;
    }
    let mut test = failed_payment("cus_5", "pi_5");
    test.account = Some("acct_c".to_owned());
    test.livemode = false;
    apply(&bench, &[test]).await;
    // Stored, and nothing is known of its account yet.
    let mut waiting = failed_payment("cus_6", "pi_6");
    waiting.account = Some("acct_d".to_owned());
    ingest(&bench, &[waiting]).await;
    assert_eq!(
        bench.store.accounts(true).await.unwrap(),
        ["acct_a", "acct_b", "self"]
    );
    assert_eq!(bench.store.accounts(false).await.unwrap(), ["acct_c"]);
    let asked = ["evt_pi_1_failed", "evt_pi_6_failed", "evt_none"].map(str::to_owned);
    let known = bench.store.known_events(&asked).await.unwrap();
    assert_eq!(known.len(), 2);
    assert!(!known.contains("evt_none"));
}
