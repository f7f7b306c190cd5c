//! A connected account that leaves, and comes back.

use std::time::Duration;

use billhook::store::Store;
use serde_json::{Value, json};

use super::queued::{Wanted, claim, done, shown};
use super::{LONG, apply, failed_payment};
use crate::support::bench::{Bench, START};
use crate::support::fixture::{Object, Shape, Told};

on_both!(
    an_account_that_left_is_not_told_about_until_it_is_back,
    whose_leave_it_is_the_way_in_may_say,
);

fn of_account(told: Told) -> Told {
    Told {
        account: Some("acct_1".to_owned()),
        ..told
    }
}

fn about_the_account(id: &str, kind: &'static str, after: i64, object: Value) -> Told {
    of_account(Told::new(
        format!("evt_{id}"),
        kind,
        START + after,
        Object::Other(object),
    ))
}

fn application() -> Value {
    json!({ "id": "ca_1", "object": "application", "name": "Acme" })
}

async fn an_account_that_left_is_not_told_about_until_it_is_back(bench: Bench) {
    let failed = |intent: &str| of_account(failed_payment("cus_1", intent));
    apply(
        &bench,
        &[
            failed("pi_1"),
            of_account(failed_payment("cus_2", "pi_told")),
            failed_payment("cus_1", "pi_own"),
        ],
    )
    .await;
    bench.clock.advance(Duration::from_secs(61));
    while let Some(run) = bench.store.claim_run(LONG).await.unwrap() {
        let effect = match (run.account.as_str(), run.lane.contains("cus_2")) {
            ("acct_1", true) => Wanted::notice("cus_2", "pi_told").effect(),
            ("acct_1", false) => Wanted::failure("cus_1", "pi_1", "one@example.com").effect(),
            _ => Wanted::failure("cus_1", "pi_own", "own@example.com").effect(),
        };
        let finish = done(vec![effect]);
        bench.store.finish_run(&run, &finish).await.unwrap();
    }
    let messages = claim(&bench.store).await;
    assert_eq!(messages.len(), 3);

    let left = about_the_account(
        "left",
        "account.application.deauthorized",
        10,
        application(),
    );
    apply(&bench, &[left]).await;
    for message in &messages {
        bench.store.begin_sending(message, LONG).await.unwrap();
    }
    for intent in ["pi_1", "pi_told"] {
        let message = shown(&bench.store, intent).await;
        assert_eq!(
            (message.status.as_str(), message.reason.as_deref()),
            ("suppressed", Some("account acct_1 has disconnected"))
        );
    }
    assert_eq!(shown(&bench.store, "pi_own").await.status, "sending");

    // What comes later is written, and nobody hears of it.
    assert_eq!(
        follow_up(&bench, failed("pi_2")).await.as_deref(),
        Some("account acct_1 has disconnected")
    );
    let row = bench.store.object("payment_intent", "pi_2").await.unwrap();
    assert_eq!(row.len(), 1);
    let late = bench.store.event("evt_pi_2_failed").await.unwrap().unwrap();
    assert!(!late.stale && late.messages.is_empty(), "{late:?}");

    // An older word of the account does not bring it back, a newer one does.
    let account = || json!({ "id": "acct_1", "object": "account", "charges_enabled": true });
    for (id, after, ends) in [("before", 9, true), ("after", 11, false)] {
        let updated = about_the_account(id, "account.updated", after, account());
        apply(&bench, &[updated]).await;
        let ended = follow_up(&bench, failed(&format!("pi_{id}"))).await;
        assert_eq!(ended.is_some(), ends, "{id}: {ended:?}");
    }
}

/// Finishes the follow-up of a payment that fails now with a mail; says why it ended instead, if it did.
async fn follow_up(bench: &Bench, failed: Told) -> Option<String> {
    apply(bench, &[failed]).await;
    bench.clock.advance(Duration::from_secs(61));
    let run = bench.store.claim_run(LONG).await.unwrap().unwrap();
    let effect = Wanted::failure("cus_1", &run.id, "ada@example.com").effect();
    let finish = done(vec![effect]);
    bench.store.finish_run(&run, &finish).await.unwrap();
    let run = bench.store.run(&run.id).await.unwrap().unwrap();
    assert_eq!(run.status == "skipped", run.reason.is_some(), "{run:?}");
    run.reason
}

/// The body need not name the account: the endpoint does, or the list in which the event was found.
async fn whose_leave_it_is_the_way_in_may_say(bench: Bench) {
    for (kind, after, authorized) in [
        ("account.application.deauthorized", 10, false),
        ("account.application.authorized", 20, true),
    ] {
        let told = Told {
            account: None,
            ..about_the_account(kind, kind, after, application())
        };
        let mut delivery = told.delivery(Shape::Dahlia, bench.now());
        delivery.account = "acct_1".to_owned();
        bench.store.ingest(&[delivery]).await.unwrap();
        apply(&bench, &[]).await;
        let rows = bench.store.object("account", "acct_1").await.unwrap();
        assert_eq!(rows.len(), 1, "{kind}");
        assert_eq!(rows[0].data["authorized"], authorized, "{kind}");
    }
    // The business's own account has no leave to take back.
    let own = Told {
        account: None,
        ..about_the_account("own", "account.application.deauthorized", 30, application())
    };
    apply(&bench, &[own]).await;
    assert!(
        bench
            .store
            .object("account", "self")
            .await
            .unwrap()
            .is_empty()
    );
}
