//! Mailboxes that are never written to: the list, and what it keeps from leaving.

use billhook::store::{Clearance, Page, Store, Suppression};

use super::LONG;
use super::queued::{Wanted, claim, queue, shown};
use crate::support::bench::Bench;

on_both!(
    a_mailbox_is_listed_once_however_it_is_spelled,
    pages_go_on_after_an_entry,
    a_mail_to_a_listed_mailbox_does_not_leave,
    a_notice_leaves_whoever_is_listed,
);

async fn listed(bench: &Bench, limit: u32, after: Option<&str>) -> (Vec<Suppression>, bool) {
    let page = Page {
        limit,
        starting_after: after.map(str::to_owned),
    };
    let found = bench.store.suppressions(&page).await.unwrap();
    (found.data, found.has_more)
}

async fn suppress(bench: &Bench, address: &str, reason: Option<&str>) -> bool {
    bench.store.suppress(address, reason).await.unwrap()
}

async fn a_mailbox_is_listed_once_however_it_is_spelled(bench: Bench) {
    assert!(suppress(&bench, "Ada+shop@Example.com", Some("asked\0 for it")).await);
    assert!(!suppress(&bench, "ada@example.com", Some("another")).await);
    let (found, _) = listed(&bench, 10, None).await;
    assert_eq!(found.len(), 1);
    let first = found.first().unwrap();
    assert_eq!(
        (first.address.as_str(), first.reason.as_str()),
        ("ada@example.com", "asked for it")
    );
    assert!(suppress(&bench, "ADA@example.com.", None).await);
    assert!(!suppress(&bench, "ada@example.com", None).await);
    assert_eq!(listed(&bench, 10, None).await.0, []);
}

async fn pages_go_on_after_an_entry(bench: Bench) {
    for name in ["a", "b", "c"] {
        suppress(&bench, &format!("{name}@example.com"), Some("")).await;
    }
    let (first, more) = listed(&bench, 2, None).await;
    assert!(more);
    let (rest, more) = listed(&bench, 2, Some(&first[1].id)).await;
    assert!(!more);
    let addresses: Vec<&str> = first
        .iter()
        .chain(&rest)
        .map(|one| one.address.as_str())
        .collect();
    assert_eq!(
        addresses,
        ["c@example.com", "b@example.com", "a@example.com"]
    );
    let page = Page {
        limit: 2,
        starting_after: Some("sup_none".to_owned()),
    };
    assert!(bench.store.suppressions(&page).await.is_err());
}

async fn a_mail_to_a_listed_mailbox_does_not_leave(bench: Bench) {
    queue(
        &bench,
        &Wanted::failure("cus_1", "pi_1", "ada+x@example.com"),
    )
    .await;
    let claimed = claim(&bench.store).await.remove(0);
    // After it was rendered and claimed, and right before it leaves.
    suppress(&bench, "ada@example.com", Some("hard bounce")).await;
    let clearance = bench.store.begin_sending(&claimed, LONG).await.unwrap();
    assert_eq!(clearance, Clearance::Stop);
    let message = shown(&bench.store, "pi_1").await;
    assert_eq!(message.status, "suppressed");
    let reason = message.reason.unwrap();
    assert!(reason.contains("suppression list: hard bounce"), "{reason}");
}

async fn a_notice_leaves_whoever_is_listed(bench: Bench) {
    suppress(&bench, "ada@example.com", Some("hard bounce")).await;
    queue(&bench, &Wanted::notice("cus_1", "pi_1")).await;
    let claimed = bench
        .store
        .claim_messages(billhook::store::Channel::Sales, 10, LONG);
    let claimed = claimed.await.unwrap().remove(0);
    let clearance = bench.store.begin_sending(&claimed, LONG).await.unwrap();
    assert_eq!(clearance, Clearance::Go(None));
}
