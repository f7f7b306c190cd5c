//! What happens where somebody else has an account.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use billhook::backfill::{Look, Outcome, Report, Stage, Step};
use billhook::clock::{Clock as _, SystemClock, Timestamp};
use billhook::store::{BackfillClaim, ClaimedBackfill, Store as _};
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Scene, command, failed, listed};

const WAITS: Look = Look {
    since: None,
    dry_run: false,
    unless_within: None,
    waits: true,
};
const HOUR: Duration = Duration::from_hours(1);

/// A missed event, and somebody else who has its account for an hour.
async fn taken() -> (Scene, ClaimedBackfill) {
    let scene = Scene::start().await;
    scene
        .stripe
        .shelf()
        .add_event(None, listed(&failed("evt_1", -60)));
    let always = Timestamp(i64::MAX);
    let claim = scene
        .app
        .store()
        .claim_backfill("self", true, always, HOUR, "somebody")
        .await;
    let BackfillClaim::Claimed(claimed) = claim.unwrap() else {
        panic!("nobody has it")
    };
    (scene, claimed)
}

/// Waits, and lets `then` happen as soon as that is said.
async fn wait(scene: &Scene, then: impl AsyncFnOnce()) -> (Report, usize) {
    let (said, waits) = (Notify::new(), AtomicUsize::new(0));
    let watch = |step: &Step<'_>| {
        if let Stage::Waits(holder) = step.stage {
            assert_eq!(holder.by, "somebody");
            waits.fetch_add(1, Ordering::SeqCst);
            said.notify_one();
        }
    };
    let backfill = scene.app.app.backfill.as_ref().unwrap();
    let never = CancellationToken::new();
    let (report, ()) = tokio::join!(backfill.look(WAITS, &watch, &never), async {
        said.notified().await;
        then().await;
    });
    (report.unwrap(), waits.into_inner())
}

#[tokio::test]
async fn whoever_looks_is_waited_for() {
    let (scene, claimed) = taken().await;
    let (report, waits) = wait(&scene, async || {
        let store = scene.app.store();
        store.end_backfill(&claimed, None).await.unwrap();
    })
    .await;
    assert!(waits > 0 && !report.is_busy() && !report.has_failed());
    assert_eq!(scene.arrivals("evt_1").await, 1);
}

#[tokio::test]
async fn whoever_was_killed_is_waited_for() {
    let (scene, _claimed) = taken().await;
    let (report, waits) = wait(&scene, async || scene.pass(HOUR * 2)).await;
    assert!(waits > 0 && !report.is_busy() && !report.has_failed());
    assert_eq!(scene.arrivals("evt_1").await, 1);
}

#[tokio::test]
async fn a_stop_ends_the_waiting() {
    let (scene, _claimed) = taken().await;
    let stop = CancellationToken::new();
    let watch = |step: &Step<'_>| {
        if matches!(step.stage, Stage::Waits(_)) {
            stop.cancel();
        }
    };
    let backfill = scene.app.app.backfill.as_ref().unwrap();
    let report = backfill.look(WAITS, &watch, &stop).await.unwrap();
    assert!(report.has_failed());
    assert_eq!(scene.arrivals("evt_1").await, 0);
}

#[tokio::test]
async fn whoever_does_not_wait_is_told_who_has_it_and_until_when() {
    let (scene, _claimed) = taken().await;
    let report = scene.look_now().await;
    let Outcome::Busy(holder) = &report.status else {
        panic!("{:?}", report.status)
    };
    let until = holder.until;
    assert_eq!(
        report.error.unwrap(),
        format!(
            "somebody is looking for its events; should that have been killed, its claim ends by itself at {until}"
        )
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_answers_no_and_says_what_to_do() {
    let (_stripe, place) = command::place().await;
    let (code, _, error) = command::run(&place, &["migrate"]).await;
    assert_eq!(code, Some(0), "{error}");
    let until = SystemClock.now().plus(HOUR);
    let mut db = SqliteConnection::connect(&place.url()).await.unwrap();
    let taken = "INSERT INTO backfills (account, livemode, lease_until, held_by) VALUES ('self', 1, $1, 'somebody')";
    sqlx::query(taken)
        .bind(until.0)
        .execute(&mut db)
        .await
        .unwrap();
    db.close().await.unwrap();
    let (code, out, error) = command::run(&place, &["backfill", "--no-wait"]).await;
    assert_eq!(code, Some(1), "{out}{error}");
    assert!(
        out.contains("busy") && out.contains("somebody is looking") && out.contains(&until.iso()),
        "{out}"
    );
    assert!(error.contains("run it again when they are done"), "{error}");
    // Nothing is taken from anybody by a rehearsal.
    let (code, out, error) = command::run(&place, &["backfill", "--dry-run"]).await;
    assert_eq!(code, Some(0), "{out}{error}");
}
