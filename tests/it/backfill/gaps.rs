//! What is looked up of a time without events, when somebody is stopped in it or nothing has changed.

use std::time::Duration;

use billhook::backfill::{AccountReport, Look};
use serde_json::json;
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use tempfile::TempDir;

use super::traps::away_with;
use super::{MANY, Scene};
use crate::support::app::START;

const DAY: Duration = Duration::from_hours(24);
const CUSTOMERS: &str = "/v1/customers";
/// The last object of the first page.
const TURNED: &str = "cus_150";
/// Everything that an answer may write, but for how new what is known is.
const WRITTEN: &str = "SELECT (SELECT count(*) FROM snapshots) + (SELECT count(*) FROM changes) + (SELECT count(*) FROM links) \
    + (SELECT count(*) FROM objects) + (SELECT sum(version) FROM objects)";

/// Forty days without an event, more customers than a page holds, and the database that they are looked up for.
async fn many_customers() -> (Scene, SqliteConnection, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("b.db").display());
    let scene = away_with(&[("DATABASE_URL", &url)]).await;
    for n in 0..MANY {
        let customer = json!({
            "id": format!("cus_{n:03}"), "object": "customer", "livemode": true, "created": START - 86_400, "delinquent": false,
        });
        scene.stripe.shelf().put(None, customer);
    }
    let db = SqliteConnection::connect(&url).await.unwrap();
    (scene, db, folder)
}

/// Somebody is stopped on the second page of customers.
async fn stopped_halfway() -> (Scene, SqliteConnection, TempDir) {
    let (scene, mut db, folder) = many_customers().await;
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON objects WHEN NEW.id = 'cus_120' BEGIN SELECT RAISE(ABORT, 'no'); END";
    db.execute(refuse).await.unwrap();
    let broken = scene.look_now().await;
    assert_eq!(broken.status.word(), "failed");
    let gap = scene.records().await.remove(0).progress.gap.unwrap();
    assert_eq!(gap.places[CUSTOMERS], TURNED);
    db.execute("DROP TRIGGER refuse").await.unwrap();
    (scene, db, folder)
}

/// Behind which customers pages were begun since, and how the look ended.
async fn look_again(scene: &Scene, look: Look) -> (Vec<Option<String>>, AccountReport) {
    let before = scene.stripe.asked_for(CUSTOMERS).len();
    let report = scene.look(look).await.accounts.remove(0);
    assert_eq!(report.status.word(), "done", "{:?}", report.error);
    assert!(report.gap.as_ref().unwrap().reconciled);
    for n in 0..MANY {
        scene.app.row("customer", &format!("cus_{n:03}")).await;
    }
    let asked = scene.stripe.asked_for(CUSTOMERS);
    let cursors = asked[before..].iter().map(|one| {
        let cursor = one.parameter("starting_after");
        cursor.map(str::to_owned)
    });
    (cursors.collect(), report)
}

#[tokio::test]
async fn a_list_is_gone_on_with_where_somebody_was_stopped() {
    for look in [
        Look::default(),
        // Whoever asks for the same again, days later, goes on, too.
        Look {
            since: Some(DAY * 41),
            ..Look::default()
        },
    ] {
        let (scene, _db, _folder) = stopped_halfway().await;
        scene.pass(DAY);
        let (cursors, report) = look_again(&scene, look).await;
        assert_eq!(cursors[0].as_deref(), Some(TURNED), "{cursors:?}");
        assert_eq!(cursors.len(), 2, "{cursors:?}");
        assert!(report.remarks.is_empty());
        assert!(scene.records().await[0].progress.gap.is_none());
    }
}

#[tokio::test]
async fn a_list_whose_place_stripe_does_not_know_any_more_begins_anew_and_says_so() {
    for is_gone in [false, true] {
        let (scene, _db, _folder) = stopped_halfway().await;
        {
            let mut shelf = scene.stripe.shelf();
            shelf.lost_place_is_gone = is_gone;
            // Deleted meanwhile; its row stands from the page before.
            shelf.remove(&format!("{CUSTOMERS}/{TURNED}"));
        }
        let (cursors, report) = look_again(&scene, Look::default()).await;
        assert_eq!(cursors[0].as_deref(), Some(TURNED), "{cursors:?}");
        assert_eq!(cursors[1], None, "{cursors:?}");
        assert_eq!(
            report.remarks,
            [
                "Stripe does not know any more how far /v1/customers was looked up, so it was begun anew"
            ]
        );
    }
}

/// The lists after it are looked up meanwhile, one of them halfway, too.
#[tokio::test]
async fn a_list_that_was_refused_halfway_keeps_its_place_beside_the_others() {
    const INVOICES: &str = "/v1/invoices";
    let fill = |scene: &Scene| {
        for n in 0..MANY {
            let invoice = json!({
                "id": format!("in_{n:03}"), "object": "invoice", "livemode": true, "created": START - 86_400, "status": "open",
            });
            scene.stripe.shelf().put(None, invoice);
        }
    };
    // When the second pages are asked for.
    let (scene, _db, _folder) = many_customers().await;
    fill(&scene);
    scene.look_now().await;
    let asked = scene.stripe.asked();
    let second = |path: &str| {
        let pages = (1..).zip(&asked).filter(|(_, one)| one.path == path);
        pages.map(|(number, _)| number).nth(1).unwrap()
    };
    let (customers, invoices) = (second(CUSTOMERS), second(INVOICES));
    let skipped = asked.iter().filter(|one| one.path == CUSTOMERS).count() - 2;

    let (scene, _db, _folder) = many_customers().await;
    fill(&scene);
    let forbid = |path: &'static str| {
        move |shelf: &mut crate::support::stripe_api::Shelf| shelf.forbid(path, "rak_any_read")
    };
    scene.stripe.before(customers, forbid(CUSTOMERS));
    scene.stripe.before(invoices - skipped, forbid(INVOICES));
    assert_eq!(scene.look_now().await.status.word(), "failed");
    let gap = scene.records().await.remove(0).progress.gap.unwrap();
    assert_eq!(gap.places[CUSTOMERS], TURNED);
    assert_eq!(gap.places[INVOICES], "in_150");
    for path in [CUSTOMERS, INVOICES] {
        scene.stripe.shelf().allow(path);
    }
    let before = scene.stripe.asked_for(INVOICES).len();
    let (cursors, _) = look_again(&scene, Look::default()).await;
    assert_eq!(cursors[0].as_deref(), Some(TURNED), "{cursors:?}");
    let invoices = scene.stripe.asked_for(INVOICES);
    assert_eq!(invoices[before].parameter("starting_after"), Some("in_150"));
}

#[tokio::test]
async fn what_nobody_changed_adds_no_row() {
    let (scene, mut db, _folder) = many_customers().await;
    let first = scene.look_now().await.gap.unwrap();
    assert!(first.reconciled && first.changed > MANY as u64, "{first:?}");
    let written: i64 = sqlx::query_scalar(WRITTEN)
        .fetch_one(&mut db)
        .await
        .unwrap();
    scene.pass(DAY);
    let look = Look {
        since: Some(DAY * 60),
        ..Look::default()
    };
    let again = look_again(&scene, look).await.1.gap.unwrap();
    assert_eq!((again.objects, again.changed), (first.objects, 0));
    let since: i64 = sqlx::query_scalar(WRITTEN)
        .fetch_one(&mut db)
        .await
        .unwrap();
    assert_eq!(since, written);
}
