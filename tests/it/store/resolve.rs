//! What a person says of a message whose fate nobody knows.

use std::time::Duration;

use billhook::store::{
    ClaimedMessage, Clearance, Resolution, Resolved, SendOutcome, Store, StoreError, UnsentNotices,
};
use sqlx::{Connection, PgConnection, SqliteConnection};

use super::queued::{Wanted, claim, go, queue, shown};
use super::{LONG, apply, paid};
use crate::support::bench::{Bench, policy};

on_both!(
    sent_ends_it,
    resend_starts_it_afresh,
    resend_asks_stop_conditions_and_caps_again,
    of_two_who_resolve_at_once_one_wins,
    a_late_report_does_not_undo_it,
    only_what_is_unknown_is_resolved,
    a_notice_that_did_not_arrive_is_sent_again,
    a_mail_that_did_not_arrive_is_left_alone,
);

/// What became of the effect behind the message.
async fn effect(bench: &Bench) -> String {
    let sql = "SELECT status FROM effects WHERE effect_key = 'key_pi_1'";
    let (status,): (String,) = if bench.is_postgres() {
        let mut db = PgConnection::connect(&bench.url).await.unwrap();
        sqlx::query_as(sql).fetch_one(&mut db).await.unwrap()
    } else {
        let mut db = SqliteConnection::connect(&bench.url).await.unwrap();
        sqlx::query_as(sql).fetch_one(&mut db).await.unwrap()
    };
    status
}

async fn unknown(bench: &Bench) -> ClaimedMessage {
    let mail = Wanted::failure("cus_1", "pi_1", "ada@example.com");
    queue(bench, &mail).await;
    let claimed = claim(&bench.store).await.remove(0);
    let clearance = bench.store.begin_sending(&claimed, LONG).await.unwrap();
    assert_eq!(clearance, Clearance::Go(None));
    let outcome = SendOutcome::Unknown {
        reason: "no answer to the dot".to_owned(),
    };
    bench
        .store
        .settle_message(&claimed, &outcome)
        .await
        .unwrap();
    assert_eq!(effect(bench).await, "unknown");
    claimed
}

async fn sent_ends_it(bench: Bench) {
    let message = unknown(&bench).await;
    let tried = bench.now();
    bench.clock.advance(Duration::from_hours(1));
    let resolved = bench.store.resolve_message(&message.id, Resolution::Sent);
    assert_eq!(resolved.await.unwrap(), Resolved::Done);
    let shown = shown(&bench.store, "pi_1").await;
    assert_eq!(
        (shown.status.as_str(), shown.reason.as_deref()),
        ("sent", Some("resolved: a person said that it was sent"))
    );
    assert_eq!(
        shown.sent_at,
        Some(tried.iso()),
        "it went when it was tried"
    );
    assert_eq!(effect(&bench).await, "done");
    bench.clock.advance(policy().expire * 2);
    assert!(claim(&bench.store).await.is_empty());
}

async fn resend_starts_it_afresh(bench: Bench) {
    let message = unknown(&bench).await;
    // Long after it would have expired.
    bench.clock.advance(policy().expire * 2);
    let resolved = bench.store.resolve_message(&message.id, Resolution::Resend);
    assert_eq!(resolved.await.unwrap(), Resolved::Done);
    let pending = shown(&bench.store, "pi_1").await;
    assert_eq!(pending.status, "pending");
    assert_eq!(pending.not_before, Some(bench.now().iso()));
    assert_eq!(
        pending.expires_at,
        Some(bench.now().plus(policy().expire).iso())
    );
    assert_eq!(effect(&bench).await, "intended");
    let again = claim(&bench.store).await.remove(0);
    assert!(!again.interrupted, "it is not in doubt any more");
    assert_eq!(again.message_id, message.message_id);
    bench.store.begin_sending(&again, LONG).await.unwrap();
    bench
        .store
        .settle_message(&again, &SendOutcome::Sent)
        .await
        .unwrap();
    let sent = shown(&bench.store, "pi_1").await;
    assert_eq!((sent.status.as_str(), sent.attempts), ("sent", 2));
    assert_eq!(effect(&bench).await, "done");
}

async fn resend_asks_stop_conditions_and_caps_again(bench: Bench) {
    let message = unknown(&bench).await;
    // It may have left, so it counts; sent again it does not count against itself.
    let other = Wanted::failure("cus_2", "pi_2", "ada@example.com");
    queue(&bench, &other).await;
    assert_eq!(go(&bench.store).await, 0);
    bench
        .store
        .resolve_message(&message.id, Resolution::Resend)
        .await
        .unwrap();
    apply(&bench, &[paid("cus_1", "pi_1", 60)]).await;
    assert_eq!(go(&bench.store).await, 0);
    assert_eq!(shown(&bench.store, "pi_1").await.status, "suppressed");
    assert_eq!(effect(&bench).await, "suppressed");
}

async fn of_two_who_resolve_at_once_one_wins(bench: Bench) {
    let message = unknown(&bench).await;
    let other = bench.another_process().await;
    let (one, two) = tokio::join!(
        bench.store.resolve_message(&message.id, Resolution::Sent),
        other.resolve_message(&message.id, Resolution::Resend),
    );
    let status = shown(&bench.store, "pi_1").await.status;
    let lost = Resolved::NotUnknown(status.clone());
    let expected = if status == "sent" {
        (Resolved::Done, lost)
    } else {
        (lost, Resolved::Done)
    };
    assert_eq!((one.unwrap(), two.unwrap()), expected);
}

async fn a_late_report_does_not_undo_it(bench: Bench) {
    let message = unknown(&bench).await;
    bench
        .store
        .resolve_message(&message.id, Resolution::Sent)
        .await
        .unwrap();
    // The sender's first report was committed and its answer lost; it reports again.
    let again = SendOutcome::Unknown {
        reason: "no answer to the dot".to_owned(),
    };
    let late = bench.store.settle_message(&message, &again).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    assert_eq!(shown(&bench.store, "pi_1").await.status, "sent");
}

async fn only_what_is_unknown_is_resolved(bench: Bench) {
    let resolved = bench.store.resolve_message("msg_none", Resolution::Sent);
    assert_eq!(resolved.await.unwrap(), Resolved::Missing);
    let mail = Wanted::failure("cus_1", "pi_1", "ada@example.com");
    queue(&bench, &mail).await;
    let id = shown(&bench.store, "pi_1").await.id;
    let refused = bench.store.resolve_message(&id, Resolution::Resend).await;
    assert_eq!(refused.unwrap(), Resolved::NotUnknown("pending".to_owned()));
    let claimed = claim(&bench.store).await.remove(0);
    bench.store.begin_sending(&claimed, LONG).await.unwrap();
    let refused = bench.store.resolve_message(&id, Resolution::Sent).await;
    assert_eq!(refused.unwrap(), Resolved::NotUnknown("sending".to_owned()));
    assert_eq!(effect(&bench).await, "intended");
}

/// A message that is over and was not sent: refused for good, or too old.
async fn ended(bench: &Bench, wanted: &Wanted<'_>, status: &str) -> String {
    queue(bench, wanted).await;
    if status == "expired" {
        bench.clock.advance(policy().expire * 2);
        assert!(claim(&bench.store).await.is_empty());
    } else {
        let claimed = claim(&bench.store).await.remove(0);
        bench.store.begin_sending(&claimed, LONG).await.unwrap();
        let reason = "the chat webhook answered 400".to_owned();
        let outcome = SendOutcome::Failed { reason };
        let settled = bench.store.settle_message(&claimed, &outcome).await;
        settled.unwrap();
    }
    let shown = shown(&bench.store, wanted.intent).await;
    assert_eq!(shown.status, status);
    shown.id
}

async fn a_notice_that_did_not_arrive_is_sent_again(bench: Bench) {
    for (intent, status) in [("pi_1", "failed"), ("pi_2", "expired")] {
        let id = ended(&bench, &Wanted::notice("cus_1", intent), status).await;
        let unsent = bench.store.examine().await.unwrap().unsent_notices;
        let expected = UnsentNotices {
            channel: "sales".to_owned(),
            status: status.to_owned(),
            count: 1,
        };
        assert_eq!(unsent, [expected]);
        let refused = bench.store.resolve_message(&id, Resolution::Sent).await;
        assert_eq!(refused.unwrap(), Resolved::NotUnknown(status.to_owned()));
        if status == "expired" {
            // What is older than a month is history, and may still be sent.
            bench.clock.advance(Duration::from_hours(31 * 24));
            let unsent = bench.store.examine().await.unwrap().unsent_notices;
            assert!(unsent.is_empty(), "{unsent:?}");
        }

        let resolved = bench.store.resolve_message(&id, Resolution::Resend);
        assert_eq!(resolved.await.unwrap(), Resolved::Done);
        let pending = shown(&bench.store, intent).await;
        assert_eq!(pending.not_before, Some(bench.now().iso()));
        let expires = bench.now().plus(policy().expire).iso();
        assert_eq!(pending.expires_at, Some(expires));
        assert_eq!(go(&bench.store).await, 1);
        assert_eq!(shown(&bench.store, intent).await.status, "sent");
        let unsent = bench.store.examine().await.unwrap().unsent_notices;
        assert!(unsent.is_empty(), "{unsent:?}");
    }
    assert_eq!(effect(&bench).await, "done");
}

async fn a_mail_that_did_not_arrive_is_left_alone(bench: Bench) {
    for (intent, status) in [("pi_1", "failed"), ("pi_2", "expired")] {
        let mail = Wanted::failure("cus_1", intent, "ada@example.com");
        let id = ended(&bench, &mail, status).await;
        for resolution in [Resolution::Sent, Resolution::Resend] {
            let refused = bench.store.resolve_message(&id, resolution).await;
            assert_eq!(refused.unwrap(), Resolved::NotUnknown(status.to_owned()));
        }
        assert_eq!(shown(&bench.store, intent).await.status, status);
    }
    let unsent = bench.store.examine().await.unwrap().unsent_notices;
    assert!(unsent.is_empty(), "{unsent:?}");
}
