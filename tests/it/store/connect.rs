//! A connected account that leaves, and comes back.

use std::time::Duration;

use billhook::store::Store;
use serde_json::{Value, json};

use super::queued::{Wanted, claim, done, shown};
use super::{LONG, apply, failed_payment, paid, status};
use crate::support::bench::{Bench, START};
use crate::support::fixture::{Object, Told};

on_both!(an_account_that_left_is_not_worked_on_until_it_is_back);

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

async fn an_account_that_left_is_not_worked_on_until_it_is_back(bench: Bench) {
    let application = || json!({ "id": "ca_1", "object": "application", "name": "Acme" });
    let failed = |intent: &str| of_account(failed_payment("cus_1", intent));
    apply(&bench, &[failed("pi_1"), failed_payment("cus_1", "pi_own")]).await;
    bench.clock.advance(Duration::from_secs(61));
    let mut runs = Vec::new();
    while let Some(run) = bench.store.claim_run(LONG).await.unwrap() {
        runs.push(run);
    }
    runs.sort_by(|a, b| a.account.cmp(&b.account));
    let accounts: Vec<&str> = runs.iter().map(|run| run.account.as_str()).collect();
    assert_eq!(accounts, ["acct_1", "self"]);
    for (run, intent) in runs.iter().zip(["pi_1", "pi_own"]) {
        let mail = Wanted::failure("cus_1", intent, &format!("{intent}@example.com")).effect();
        bench
            .store
            .finish_run(run, &done(vec![mail]))
            .await
            .unwrap();
    }
    let mails = claim(&bench.store).await;

    let left = about_the_account(
        "left",
        "account.application.deauthorized",
        10,
        application(),
    );
    apply(&bench, &[left]).await;
    for mail in &mails {
        bench.store.begin_sending(mail, LONG).await.unwrap();
    }
    let mail = shown(&bench.store, "pi_1").await;
    assert_eq!(
        (mail.status.as_str(), mail.reason.as_deref()),
        ("suppressed", Some("account acct_1 has disconnected"))
    );
    assert_eq!(shown(&bench.store, "pi_own").await.status, "sending");

    let late = of_account(paid("cus_1", "pi_2", 5));
    apply(&bench, &[late]).await;
    let ignored = bench.store.event("evt_pi_2_paid").await.unwrap().unwrap();
    assert_eq!(
        (ignored.status.as_str(), ignored.last_error.as_deref()),
        (
            "ignored",
            Some(
                "account acct_1 has disconnected; nothing of it is worked on until it connects again"
            )
        )
    );
    assert!(ignored.changes.is_empty());
    assert!(
        bench
            .store
            .object("payment_intent", "pi_2")
            .await
            .unwrap()
            .is_empty()
    );

    // An older word of the account does not bring it back, a newer one does.
    let account = || json!({ "id": "acct_1", "object": "account", "charges_enabled": true });
    for (id, after, expected) in [("before", 9, "ignored"), ("after", 11, "done")] {
        let updated = about_the_account(id, "account.updated", after, account());
        apply(&bench, &[updated]).await;
        let intent = format!("pi_{id}");
        let event = Told {
            id: format!("evt_{intent}"),
            ..of_account(charge(&intent))
        };
        apply(&bench, &[event]).await;
        assert_eq!(status(&bench, &format!("evt_{intent}")).await, expected);
    }
}

fn charge(intent: &str) -> Told {
    let object = json!({
        "id": format!("ch_{intent}"), "object": "charge", "amount": 900, "captured": true, "currency": "eur",
        "payment_intent": intent, "status": "succeeded", "created": START,
    });
    Told::new("", "charge.succeeded", START, Object::Other(object))
}
