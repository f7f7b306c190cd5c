//! What messages wait for, from the claim to the word of a person.

use std::time::Duration;

use billhook::store::{Action, Channel, SendOutcome, Store};

use super::{EVENT, at, starts};
use crate::store::LONG;
use crate::store::queued::{Wanted, claim, done, go, queue, run_of, shown};
use crate::support::bench::{Bench, policy};

on_both!(
    a_mail_waits_for_its_first_contact_and_for_room,
    a_mail_waits_for_its_next_try,
    a_mail_that_expired_waits_for_nothing,
    a_notice_waits_for_a_way,
    a_message_on_its_way_says_so,
    an_unknown_message_waits_for_a_person,
);

async fn message_waits(bench: &Bench) -> String {
    let message = shown(&bench.store, "pi_1").await;
    message.waits_for.unwrap()
}

async fn a_mail_waits_for_its_first_contact_and_for_room(bench: Bench) {
    let first = Wanted {
        first_contact: true,
        ..Wanted::failure("cus_1", "pi_1", "ada@example.com")
    };
    queue(&bench, &first).await;
    assert_eq!(
        message_waits(&bench).await,
        format!(
            "waits until {}, and expires at {} (first_contact: this customer has never paid, the payment may still go through)",
            at(610),
            at(10 + 72 * 3600)
        )
    );
    let other = Wanted::failure("cus_2", "pi_2", "ada@example.com");
    queue(&bench, &other).await;
    assert_eq!(go(&bench.store).await, 1);
    bench.clock.advance(Duration::from_mins(10));
    assert_eq!(go(&bench.store).await, 0);
    assert_eq!(
        message_waits(&bench).await,
        format!(
            "waits until {}, and expires at {} (caps.failure_mails_per_recipient_per_day = 1: no room for this address, for failure mails)",
            at(20 + 24 * 3600),
            at(10 + 72 * 3600)
        )
    );
    let event = bench.store.event(EVENT).await.unwrap().unwrap();
    assert_eq!(
        event.waits_for, None,
        "the event is done: only its mail waits"
    );
}

async fn a_mail_waits_for_its_next_try(bench: Bench) {
    let mail = Wanted::failure("cus_1", "pi_1", "ada@example.com");
    queue(&bench, &mail).await;
    assert_eq!(
        message_waits(&bench).await,
        format!("is due since {} and waits for a free worker", at(10))
    );
    let claimed = claim(&bench.store).await.remove(0);
    assert_eq!(
        message_waits(&bench).await,
        "is about to be sent by a worker"
    );
    bench.store.begin_sending(&claimed, LONG).await.unwrap();
    let retry = SendOutcome::Retry {
        at: bench.now().plus(Duration::from_secs(2)),
        reason: "smtp 450 at RCPT".to_owned(),
    };
    bench.store.settle_message(&claimed, &retry).await.unwrap();
    assert_eq!(
        message_waits(&bench).await,
        format!(
            "attempt 1 failed (smtp 450 at RCPT); it is tried again at {}, until {}",
            at(12),
            at(10 + 72 * 3600)
        )
    );
}

async fn a_mail_that_expired_waits_for_nothing(bench: Bench) {
    let mail = Wanted::failure("cus_1", "pi_1", "ada@example.com");
    queue(&bench, &mail).await;
    bench.clock.advance(policy().expire);
    assert_eq!(
        message_waits(&bench).await,
        format!(
            "expired at {}, and will be marked as such in some seconds",
            at(10 + 72 * 3600)
        )
    );
    bench.store.expire_messages(10).await.unwrap();
    assert_eq!(shown(&bench.store, "pi_1").await.waits_for, None);
}

async fn a_notice_waits_for_a_way(bench: Bench) {
    let run = run_of(&bench, "cus_1", "pi_1").await;
    let mut notice = Wanted::notice("cus_1", "pi_1").effect();
    if let Action::Send(message) = &mut notice.action {
        message.reason = Some("no_channel: set SALES_WEBHOOK_URL".to_owned());
    }
    let finish = done(vec![notice]);
    bench.store.finish_run(&run, &finish).await.unwrap();
    let claimed = bench.store.claim_messages(Channel::Email, 10, LONG);
    assert!(claimed.await.unwrap().is_empty());
    assert_eq!(
        message_waits(&bench).await,
        format!(
            "waits for a way to leave (no_channel: set SALES_WEBHOOK_URL), until {}",
            at(10 + 72 * 3600)
        )
    );
}

async fn a_message_on_its_way_says_so(bench: Bench) {
    let mail = Wanted::failure("cus_1", "pi_1", "ada@example.com");
    queue(&bench, &mail).await;
    let claimed = claim(&bench.store).await.remove(0);
    let lease = bench.short_lease();
    bench.store.begin_sending(&claimed, lease).await.unwrap();
    let said = message_waits(&bench).await;
    let (said, until) = said.rsplit_once(' ').unwrap();
    assert_eq!(
        said,
        format!(
            "is being sent since {}, attempt 1; the answer is waited for, under a lease until",
            at(10)
        )
    );
    if !bench.is_postgres() {
        assert_eq!(until, at(40));
    }
    let said = bench
        .after_lease(async || {
            let said = message_waits(&bench).await;
            (!said.starts_with("is being sent")).then_some(said)
        })
        .await;
    let expected = format!("was being sent at {} when its worker gave no sign", at(10));
    starts(Some(said), &expected);
}

async fn an_unknown_message_waits_for_a_person(bench: Bench) {
    let mail = Wanted::failure("cus_1", "pi_1", "ada@example.com");
    queue(&bench, &mail).await;
    let claimed = claim(&bench.store).await.remove(0);
    bench.store.begin_sending(&claimed, LONG).await.unwrap();
    let unknown = SendOutcome::Unknown {
        reason: "no answer to the dot".to_owned(),
    };
    bench
        .store
        .settle_message(&claimed, &unknown)
        .await
        .unwrap();
    assert_eq!(
        message_waits(&bench).await,
        format!(
            "waits for a person: look for Message-ID <pi_1@acme.example> at the mail server, then `billhook outbox resolve {} sent` or `resend`",
            claimed.id
        )
    );
    let message = shown(&bench.store, "pi_1").await;
    assert_eq!(message.reason.as_deref(), Some("no answer to the dot"));
}
