//! What became of a message, said twice, late, or after somebody else has spoken.

use billhook::store::{Channel, ClaimedMessage, Resolution, SendOutcome, Store, StoreError};

use super::LONG;
use super::queued::{Wanted, claim, queue, shown};
use crate::support::bench::Bench;

on_both!(
    what_is_said_twice_is_said_once,
    a_sender_that_knows_is_believed_after_its_heir,
    an_heir_that_comes_after_the_sender_has_nothing_to_say,
    a_sender_that_does_not_know_is_not,
    a_person_is_believed_before_a_sender,
    what_is_sent_again_is_not_ended_by_the_first_sender,
);

fn unknown() -> SendOutcome {
    SendOutcome::Unknown {
        reason: "no answer to the dot".to_owned(),
    }
}

async fn status(bench: &Bench) -> String {
    shown(&bench.store, "pi_1").await.status
}

async fn settle(bench: &Bench, message: &ClaimedMessage, outcome: &SendOutcome) -> bool {
    match bench.store.settle_message(message, outcome).await {
        Ok(()) => true,
        Err(StoreError::Fenced) => false,
        Err(error) => panic!("{error}"),
    }
}

/// A message that is being sent by one who is taken for dead, and its heir.
async fn inherited(bench: &Bench) -> (ClaimedMessage, ClaimedMessage) {
    let mail = Wanted::failure("cus_1", "pi_1", "ada@example.com");
    queue(bench, &mail).await;
    let lease = bench.short_lease();
    let claimed = bench.store.claim_messages(Channel::Email, 1, lease);
    let first = claimed.await.unwrap().remove(0);
    bench.store.begin_sending(&first, lease).await.unwrap();
    let heir = bench
        .after_lease(async || {
            let claimed = bench.store.claim_messages(Channel::Email, 1, LONG).await;
            claimed.unwrap().pop()
        })
        .await;
    assert!(heir.interrupted);
    (first, heir)
}

async fn what_is_said_twice_is_said_once(bench: Bench) {
    let outcomes = [
        SendOutcome::Sent,
        unknown(),
        SendOutcome::Failed {
            reason: "550".to_owned(),
        },
        SendOutcome::Retry {
            at: bench.now().plus(LONG * 60),
            reason: "450".to_owned(),
        },
    ];
    let expected = ["sent", "unknown", "failed", "pending"];
    for (n, (outcome, expected)) in outcomes.iter().zip(expected).enumerate() {
        let (customer, intent) = (format!("cus_{n}"), format!("pi_{n}"));
        let address = format!("{customer}@example.com");
        queue(&bench, &Wanted::failure(&customer, &intent, &address)).await;
        let message = claim(&bench.store).await.remove(0);
        bench.store.begin_sending(&message, LONG).await.unwrap();
        for _ in 0..2 {
            assert!(settle(&bench, &message, outcome).await, "{outcome:?}");
            assert_eq!(shown(&bench.store, &intent).await.status, expected);
        }
        let other = SendOutcome::Failed {
            reason: "another story".to_owned(),
        };
        assert!(!settle(&bench, &message, &other).await || expected == "failed");
        assert_eq!(shown(&bench.store, &intent).await.status, expected);
    }
}

async fn a_sender_that_knows_is_believed_after_its_heir(bench: Bench) {
    let (first, heir) = inherited(&bench).await;
    assert!(settle(&bench, &heir, &unknown()).await);
    assert_eq!(status(&bench).await, "unknown");
    assert!(settle(&bench, &first, &SendOutcome::Sent).await);
    let sent = shown(&bench.store, "pi_1").await;
    assert_eq!((sent.status.as_str(), sent.reason), ("sent", None));
    assert_eq!(sent.sent_at, Some(bench.now().iso()));
}

async fn an_heir_that_comes_after_the_sender_has_nothing_to_say(bench: Bench) {
    let (first, heir) = inherited(&bench).await;
    assert!(settle(&bench, &first, &SendOutcome::Sent).await);
    let begun = bench.store.begin_sending(&heir, LONG).await;
    assert!(matches!(begun, Err(StoreError::Fenced)), "{begun:?}");
    assert!(!settle(&bench, &heir, &unknown()).await);
    assert_eq!(status(&bench).await, "sent");
}

async fn a_sender_that_does_not_know_is_not(bench: Bench) {
    let (first, heir) = inherited(&bench).await;
    assert!(!settle(&bench, &first, &unknown()).await);
    let later = SendOutcome::Retry {
        at: bench.now(),
        reason: "given back".to_owned(),
    };
    assert!(!settle(&bench, &first, &later).await);
    assert_eq!(status(&bench).await, "sending");
    assert!(settle(&bench, &heir, &unknown()).await);
}

async fn a_person_is_believed_before_a_sender(bench: Bench) {
    let (first, heir) = inherited(&bench).await;
    assert!(settle(&bench, &heir, &unknown()).await);
    let resend = bench.store.resolve_message(&first.id, Resolution::Resend);
    resend.await.unwrap();
    assert!(!settle(&bench, &first, &SendOutcome::Sent).await);
    assert_eq!(status(&bench).await, "pending");
}

async fn what_is_sent_again_is_not_ended_by_the_first_sender(bench: Bench) {
    let (first, heir) = inherited(&bench).await;
    assert!(settle(&bench, &heir, &unknown()).await);
    let resend = bench.store.resolve_message(&first.id, Resolution::Resend);
    resend.await.unwrap();
    let second = claim(&bench.store).await.remove(0);
    bench.store.begin_sending(&second, LONG).await.unwrap();
    assert!(!settle(&bench, &first, &SendOutcome::Sent).await);
    assert!(settle(&bench, &second, &unknown()).await);
    assert!(!settle(&bench, &first, &SendOutcome::Sent).await);
    assert_eq!(status(&bench).await, "unknown");
}
