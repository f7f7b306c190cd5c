//! Several accounts, and that none of them has to do with the trouble of another.

use std::sync::Mutex;
use std::time::Duration;

use billhook::backfill::{Look, Report, Stage, Step};
use billhook::clock::Timestamp;
use billhook::store::{BackfillClaim, Store as _};
use tokio_util::sync::CancellationToken;

use super::{Scene, failed, listed};
use crate::support::fixture::Shape;

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

fn shown(report: &Report) -> Vec<String> {
    let accounts = report.accounts.iter();
    accounts
        .map(|one| format!("{} {}", one.account, one.status.word()))
        .collect()
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
