//! Several accounts: how they are found, and that none of them has to do with the trouble of another.

use std::sync::Mutex;
use std::time::Duration;

use billhook::backfill::{Look, Report, Stage, Step};
use billhook::clock::Timestamp;
use billhook::store::{BackfillClaim, Store as _};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Scene, failed, listed};
use crate::support::fixture::Shape;
use crate::support::log::Log;
use crate::support::stripe_api::Trouble;

const DRY: Look = Look {
    since: None,
    dry_run: true,
    unless_within: None,
    waits: false,
};

/// An account is known by an object that an earlier event showed, and has an event that was missed.
async fn know(scene: &Scene, account: &str) {
    let mut known = failed(&format!("evt_known_{account}"), -60);
    known.account = Some(account.to_owned());
    scene.app.deliver(&known.json(Shape::Clover)).await;
    scene.app.drain().await;
    miss(scene, account);
}

fn miss(scene: &Scene, account: &str) {
    let event = listed(&failed(&format!("evt_{account}"), -60));
    scene.stripe.shelf().add_event(Some(account), event);
}

/// Stripe says that it is connected.
fn connect(scene: &Scene, account: &str) {
    let object = json!({ "id": account, "object": "account" });
    scene.stripe.shelf().put(None, object);
}

fn shown(report: &Report) -> Vec<String> {
    let accounts = report.accounts.iter();
    accounts
        .map(|one| format!("{} {}", one.account, one.status.word()))
        .collect()
}

#[tokio::test]
async fn one_that_connected_while_nobody_listened_is_found() {
    let scene = Scene::start().await;
    know(&scene, "acct_known").await;
    connect(&scene, "acct_known");
    connect(&scene, "acct_new");
    miss(&scene, "acct_new");
    for look in [DRY, Look::default()] {
        let report = scene.look(look).await;
        assert_eq!(
            shown(&report),
            ["self done", "acct_known done", "acct_new done"]
        );
        assert!(report.remarks.is_empty() && !report.has_failed());
    }
    assert_eq!(scene.app.event("evt_acct_new").await.account, "acct_new");
}

#[tokio::test]
async fn connected_accounts_of_which_nothing_was_ever_heard_are_nobodys_business() {
    let scene = Scene::start().await;
    connect(&scene, "acct_new");
    miss(&scene, "acct_new");
    let report = scene.look(Look::default()).await;
    assert_eq!(shown(&report), ["self done"]);
    // A key that may not list them is right, and no remark is due.
    assert!(scene.stripe.asked_for("/v1/accounts").is_empty());
    assert_eq!(scene.arrivals("evt_acct_new").await, 0);
}

#[tokio::test]
async fn an_endpoint_of_another_account_says_nothing_of_those_connected_to_the_key() {
    let scene = Scene::with(&[
        ("BILLHOOK__STRIPE__ENDPOINTS__EU__SECRETS", "whsec_eu"),
        ("BILLHOOK__STRIPE__ENDPOINTS__EU__ACCOUNT", "acct_eu"),
    ])
    .await;
    know(&scene, "acct_eu").await;
    connect(&scene, "acct_new");
    miss(&scene, "acct_new");
    let report = scene.look(Look::default()).await;
    assert_eq!(shown(&report), ["self done", "acct_eu done"]);
    assert!(scene.stripe.asked_for("/v1/accounts").is_empty());
    assert_eq!(scene.arrivals("evt_acct_new").await, 0);
    // One that no endpoint belongs to can only have been told of by a platform's.
    know(&scene, "acct_known").await;
    let report = scene.look(Look::default()).await;
    assert!(shown(&report).contains(&"acct_new done".to_owned()));
}

#[tokio::test]
async fn a_key_that_may_not_list_them_is_told_what_it_lacks_and_looks_at_the_others() {
    let scene = Scene::start().await;
    know(&scene, "acct_known").await;
    connect(&scene, "acct_new");
    scene
        .stripe
        .shelf()
        .forbid("/v1/accounts", "rak_accounts_kyc_basic_read");
    let log = Log::default();
    let lines = tracing_subscriber::fmt().with_writer(log.clone());
    let logging = tracing::subscriber::set_default(lines.with_ansi(false).finish());
    let report = scene.look(Look::default()).await;
    drop(logging);
    // Nobody reads the report of a look by schedule.
    assert_eq!(log.count("WARN"), 1, "{}", log.text());
    assert_eq!(shown(&report), ["self done", "acct_known done"]);
    assert!(!report.has_failed());
    let [remark] = report.remarks.as_slice() else {
        panic!("{:?}", report.remarks)
    };
    assert!(
        log.text().contains(remark)
            && remark.contains("rak_accounts_kyc_basic_read")
            && remark.contains("`stripe.accounts`"),
        "{remark}"
    );
    // Trouble that passes is trouble: it is looked again soon.
    scene.stripe.shelf().allow("/v1/accounts");
    scene.stripe.troubles([Some(Trouble::Limited(Some(3600)))]);
    let report = scene.look(Look::default()).await;
    assert_eq!(shown(&report), ["self done", "acct_known done"]);
    assert!(report.has_failed());
    assert!(report.remarks[0].contains("asked less often"));
}

#[tokio::test]
async fn one_of_which_stripe_says_nothing_holds_up_no_other() {
    // No wait for an answer ends before the test does.
    let patient = [
        ("BILLHOOK__STRIPE__API_TIMEOUT", "2h"),
        ("BILLHOOK__STRIPE__API_DEADLINE", "2h"),
    ];
    let scene = Scene::with(&patient).await;
    let others: Vec<String> = (0..9).map(|n| format!("acct_b{n}")).collect();
    know(&scene, "acct_a_silent").await;
    for account in &others {
        know(&scene, account).await;
    }
    scene.stripe.shelf().silence("acct_a_silent");
    let stop = CancellationToken::new();
    let ended = Mutex::new(Vec::new());
    let watch = |step: &Step<'_>| {
        if matches!(step.stage, Stage::Ended) {
            let mut ended = ended.lock().unwrap();
            ended.push(step.account.to_owned());
            if ended.len() > others.len() {
                stop.cancel();
            }
        }
    };
    let backfill = scene.app.app.backfill.as_ref().unwrap();
    let report = backfill.look(Look::default(), &watch, &stop).await.unwrap();
    let mut expected = vec!["self done".to_owned(), "acct_a_silent failed".to_owned()];
    expected.extend(others.iter().map(|account| format!("{account} done")));
    assert_eq!(shown(&report), expected);
    assert_eq!(
        ended.lock().unwrap().last().map(String::as_str),
        Some("acct_a_silent")
    );
}

#[tokio::test]
async fn who_was_not_looked_at_for_longest_comes_first() {
    let scene = Scene::start().await;
    for account in ["acct_a", "acct_b", "acct_c"] {
        know(&scene, account).await;
    }
    let always = Timestamp(i64::MAX);
    let hour = Duration::from_hours(1);
    for account in ["acct_b", "acct_a"] {
        let store = scene.app.store();
        let claim = store.claim_backfill(account, true, always, hour, "somebody");
        let BackfillClaim::Claimed(claimed) = claim.await.unwrap() else {
            panic!("nobody has it")
        };
        store.end_backfill(&claimed, None).await.unwrap();
        scene.pass(Duration::from_mins(1));
    }
    for account in ["acct_d", "acct_e", "acct_f"] {
        know(&scene, account).await;
    }
    let steps = Mutex::new(Vec::new());
    let watch = |step: &Step<'_>| {
        let is_over = matches!(step.stage, Stage::Ended);
        steps
            .lock()
            .unwrap()
            .push((step.account.to_owned(), is_over));
    };
    let backfill = scene.app.app.backfill.as_ref().unwrap();
    let never = CancellationToken::new();
    backfill
        .look(Look::default(), &watch, &never)
        .await
        .unwrap();
    // It is the last of seven, and four are looked at side by side.
    let steps = steps.into_inner().unwrap();
    let before = steps.iter().take_while(|(account, _)| account != "acct_a");
    let over = before.filter(|(_, is_over)| *is_over).count();
    assert!(over >= 3, "{steps:?}");
}

#[tokio::test]
async fn an_account_that_nobody_looks_at_any_more_has_no_age() {
    let metrics = billhook::telemetry::metrics().unwrap();
    let scene = Scene::with(&[("BILLHOOK__STRIPE__ACCOUNTS", "acct_now")]).await;
    for account in ["acct_before", "acct_now"] {
        let store = scene.app.store();
        let always = Timestamp(i64::MAX);
        let claim =
            store.claim_backfill(account, true, always, Duration::from_hours(1), "somebody");
        let BackfillClaim::Claimed(claimed) = claim.await.unwrap() else {
            panic!("nobody has it")
        };
        store.end_backfill(&claimed, None).await.unwrap();
    }
    scene.pass(Duration::from_hours(45 * 24));
    let report = scene.look(Look::default()).await;
    assert_eq!(shown(&report), ["self done", "acct_now done"]);
    let shown = metrics.render();
    assert!(
        shown.contains("billhook_backfill_age_seconds{mode=\"live\"} 0\n"),
        "{shown}"
    );
}
