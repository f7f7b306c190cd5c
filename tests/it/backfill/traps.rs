//! The nine ways to miss events while looking for missed ones, each by its letter, and what else must hold.
//!
//! Over 400 lines because it is one list.

use std::time::Duration;

use billhook::backfill::Look;
use billhook::store::{Page, Store as _};
use serde_json::json;
use sqlx::{Connection as _, Executor as _, SqliteConnection};

use super::{MANY, Scene, failed, listed, look_with, service, stock};
use crate::support::app::START;
use crate::support::fixture::{Customer, Object, Shape, Subscription, Told};
use crate::support::stripe_api::{Trouble, VERSION};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn a_events_of_the_last_second_and_late_ones_come_in_through_the_overlap() {
    let scene = Scene::start().await;
    scene
        .stripe
        .shelf()
        .add_event(None, listed(&failed("evt_first", 0)));
    let first = scene.look_now().await;
    assert_eq!((first.found, first.new.len()), (1, 1));
    assert_eq!(scene.mark().await, Some(START));
    {
        let mut shelf = scene.stripe.shelf();
        // Of the very second that the mark stands at, and one that Stripe lists half an hour late.
        shelf.add_event(None, listed(&failed("evt_same_second", 0)));
        shelf.add_event(None, listed(&failed("evt_late", -1800)));
    }
    scene.pass(Duration::from_mins(15));
    let second = scene.look_now().await;
    assert_eq!(second.found, 3);
    assert_eq!(second.new["payment_intent.payment_failed"], 2);
    for id in ["evt_same_second", "evt_late"] {
        assert_eq!(scene.arrivals(id).await, 1, "{id}");
    }
    // Found once more, and the same event still.
    assert_eq!(scene.arrivals("evt_first").await, 2);
    let events = scene.app.event("evt_first").await;
    assert!(
        events
            .deliveries
            .iter()
            .all(|delivery| delivery["endpoint"] == "backfill")
    );
}

#[tokio::test]
async fn b_a_cursor_that_stripe_does_not_know_any_more_is_replaced_by_the_time() {
    let scene = Scene::start().await;
    let ids = stock(&scene.stripe);
    // The hundredth newest is what the second page begins behind; before that is asked for, Stripe drops it.
    let cursor = ids[MANY - 100].clone();
    let lost = cursor.clone();
    let first_of_slice = scene.stripe.asked().len() + 1;
    scene.stripe.before(first_of_slice + 2, move |shelf| {
        shelf
            .events
            .retain(|(_, event)| event["id"] != lost.as_str());
    });
    // One slice holds all of them: the walk begins within their hour.
    let look = Look {
        since: Some(HOUR * 3),
        ..Look::default()
    };
    let report = scene.look(look).await.accounts.remove(0);
    assert_eq!(report.status.word(), "done", "{:?}", report.error);
    assert_eq!(scene.stored(&ids).await, MANY);
    let asked = scene.stripe.asked_for("/v1/events");
    let refused = asked
        .iter()
        .filter(|one| one.parameter("starting_after") == Some(&cursor));
    assert_eq!(refused.count(), 1);
    // No id of an event is ever kept for the next time: thirty days later Stripe would refuse it.
    assert!(
        asked
            .iter()
            .all(|one| one.parameter("ending_before").is_none())
    );
    assert!(
        asked
            .iter()
            .all(|one| one.parameter("created[gte]").is_some())
    );
}

#[tokio::test]
async fn c_every_connected_account_is_asked_for_by_its_own_header() {
    let scene = Scene::start().await;
    for account in ["acct_gone", "acct_one", "acct_two"] {
        // Each is known by an object that an earlier event showed.
        let mut known = failed(&format!("evt_known_{account}"), -60);
        known.account = Some(account.to_owned());
        scene.app.deliver(&known.json(Shape::Old)).await;
        let mut shelf = scene.stripe.shelf();
        shelf.add_event(
            Some(account),
            listed(&failed(&format!("evt_{account}"), -60)),
        );
    }
    scene.app.drain().await;
    scene
        .stripe
        .shelf()
        .add_event(None, listed(&failed("evt_own", -60)));
    scene.stripe.shelf().disconnect("acct_gone");
    let report = scene.look(Look::default()).await;
    let shown: Vec<String> = report
        .accounts
        .iter()
        .map(|one| format!("{} {} {}", one.account, one.status.word(), one.new.len()))
        .collect();
    assert_eq!(
        shown,
        [
            "self done 1",
            "acct_gone disconnected 0",
            "acct_one done 1",
            "acct_two done 1"
        ]
    );
    assert!(!report.has_failed());
    for account in ["acct_one", "acct_two"] {
        assert_eq!(
            scene.app.event(&format!("evt_{account}")).await.account,
            account
        );
        let asked = scene.stripe.asked_for("/v1/events");
        assert!(
            asked
                .iter()
                .any(|one| one.header("stripe-account") == Some(account))
        );
    }
    assert_eq!(scene.app.event("evt_own").await.account, "self");

    // Where accounts are named, only they are asked for.
    let named = [("BILLHOOK__STRIPE__ACCOUNTS", "acct_two")];
    let other = service(&scene.stripe, &named).await;
    let report = look_with(&other, Look::default()).await;
    let names: Vec<&str> = report
        .accounts
        .iter()
        .map(|one| one.account.as_str())
        .collect();
    assert_eq!(names, ["self", "acct_two"]);
}

#[tokio::test]
async fn c_an_endpoint_may_give_the_keys_own_account_its_name() {
    let settings = [
        ("BILLHOOK__STRIPE__ENDPOINTS__EU__SECRETS", "whsec_eu"),
        ("BILLHOOK__STRIPE__ENDPOINTS__EU__ACCOUNT", "acct_own"),
    ];
    let scene = Scene::with(&settings).await;
    scene
        .stripe
        .shelf()
        .add_event(None, listed(&failed("evt_1", -60)));
    let report = scene.look_now().await;
    assert_eq!((report.account.as_str(), report.found), ("acct_own", 1));
    assert_eq!(scene.app.event("evt_1").await.account, "acct_own");
}

#[tokio::test]
async fn d_trouble_in_the_middle_marks_nothing_done_and_the_next_look_goes_on() {
    for trouble in [
        Trouble::Limited(Some(3600)),
        Trouble::Fails {
            status: 503,
            again: false,
        },
        Trouble::Garbage,
    ] {
        let scene = Scene::start().await;
        scene.look_now().await;
        // A later time, so that a mark stands and could be moved wrongly.
        scene.pass(HOUR * 10);
        let before = scene.mark().await;
        {
            let mut shelf = scene.stripe.shelf();
            for n in 0..MANY {
                let told = failed(
                    &format!("evt_later_{n:03}"),
                    20_000 + i64::try_from(n / 3).unwrap(),
                );
                shelf.add_event(None, listed(&told));
            }
        }
        let later: Vec<String> = (0..MANY).map(|n| format!("evt_later_{n:03}")).collect();
        // Quiet slices first; then a page, and then trouble.
        let quiet = scene.stripe.asked().len();
        let pages_before = {
            let rehearsal = scene
                .look(Look {
                    dry_run: true,
                    ..Look::default()
                })
                .await;
            assert_eq!(rehearsal.accounts[0].found, MANY as u64, "{trouble:?}");
            let asked = &scene.stripe.asked()[quiet..];
            asked
                .iter()
                .position(|one| one.parameter("starting_after").is_some())
                .unwrap()
        };
        scene.stripe.troubles(
            (0..pages_before)
                .map(|_| None)
                .chain([Some(trouble.clone())]),
        );
        let broken = scene.look_now().await;
        assert_eq!(broken.status.word(), "failed", "{trouble:?}");
        assert_eq!(scene.stored(&later).await, 100, "{trouble:?}");
        let reached = scene.mark().await.unwrap();
        assert!(
            reached < START + 20_000,
            "the mark passed what is not stored: {trouble:?}"
        );
        assert!(Some(reached) >= before);
        let record = scene.records().await.remove(0);
        assert!(record.last_error.is_some() && record.done_at.is_some());
        let whole = scene.look_now().await;
        assert_eq!(whole.status.word(), "done", "{:?}", whole.error);
        assert_eq!(scene.stored(&later).await, MANY);
        assert_eq!(scene.mark().await, Some(START + 36_000));
    }
}

#[tokio::test]
async fn e_the_mark_moves_only_after_the_rows_are_stored() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("b.db").display());
    let scene = Scene::with(&[("DATABASE_URL", &url)]).await;
    let ids = stock(&scene.stripe);
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON events WHEN NEW.id = 'evt_010' BEGIN SELECT RAISE(ABORT, 'no'); END";
    other.execute(refuse).await.unwrap();
    let broken = scene.look_now().await;
    assert_eq!(broken.status.word(), "failed");
    assert!(scene.stored(&ids).await < MANY);
    let reached = scene.mark().await.unwrap_or(0);
    assert!(
        reached <= START - 1800,
        "the mark stands at {}",
        reached - START
    );
    other.execute("DROP TRIGGER refuse").await.unwrap();
    other.close().await.unwrap();
    assert_eq!(scene.look_now().await.status.word(), "done");
    assert_eq!(scene.stored(&ids).await, MANY);
    assert_eq!(scene.mark().await, Some(START));
}

#[tokio::test]
async fn f_what_comes_while_pages_are_turned_is_not_lost_and_shifts_nothing() {
    let scene = Scene::start().await;
    let ids = stock(&scene.stripe);
    for request in 1..40 {
        scene.stripe.before(request, move |shelf| {
            let id = format!("evt_meanwhile_{request}");
            shelf.add_event(None, listed(&failed(&id, 0)));
        });
    }
    let report = scene.look_now().await;
    assert_eq!(report.status.word(), "done", "{:?}", report.error);
    assert_eq!(scene.stored(&ids).await, MANY);
    let asked = scene.stripe.asked().len();
    scene.look_now().await;
    let meanwhile: Vec<String> = (1..=asked).map(|n| format!("evt_meanwhile_{n}")).collect();
    assert_eq!(scene.stored(&meanwhile).await, asked);
}

fn subscription(id: &str, status: &'static str) -> Object {
    Subscription {
        id: id.into(),
        customer: "cus_1".into(),
        status,
        latest_invoice: None,
        period_start: START,
        cancel_at_period_end: false,
        canceled_at: (status == "canceled").then_some(START + 10 * 86_400),
        created: START - 200 * 86_400,
        ..Subscription::default()
    }
    .into()
}

/// Forty days without an event, in which the one subscription ended.
pub(super) async fn away_for_too_long() -> Scene {
    away_with(&[]).await
}

pub(super) async fn away_with(settings: &[(&str, &str)]) -> Scene {
    let scene = Scene::with(settings).await;
    let active = subscription("sub_1", "active");
    let customer = Customer {
        id: "cus_1".into(),
        email: Some("ada.blum@shopper.example".into()),
        name: Some("Ada Blum".into()),
        delinquent: false,
        created: START - 200 * 86_400,
    };
    let customer: Object = customer.into();
    for told in [
        Told::new("evt_cus", "customer.created", START - 10, customer.clone()),
        Told::new(
            "evt_sub",
            "customer.subscription.created",
            START - 5,
            active,
        ),
    ] {
        scene.stripe.shelf().add_event(None, listed(&told));
    }
    scene.look_now().await;
    scene.app.settle().await;
    assert_eq!(scene.app.row("access", "cus_1").await["state"], "granted");
    scene.pass(DAY * 40);
    let mut shelf = scene.stripe.shelf();
    shelf.put(None, customer.json(Shape::Clover));
    shelf.put(None, subscription("sub_1", "canceled").json(Shape::Clover));
    let recent = Told::new(
        "evt_recent",
        "customer.updated",
        START + 39 * 86_400,
        customer,
    );
    shelf.add_event(None, listed(&recent));
    drop(shelf);
    scene
}

#[tokio::test]
async fn g_a_gap_that_stripe_does_not_list_any_more_is_told_and_its_objects_are_looked_up() {
    let scene = away_for_too_long().await;
    let report = scene.look_now().await;
    assert_eq!(report.status.word(), "done", "{:?}", report.error);
    let gap = report.gap.unwrap();
    assert!(
        gap.reconciled && gap.objects == 2 && gap.changed == 1,
        "{gap:?}"
    );
    // What is still listed came in as an event.
    assert_eq!(scene.arrivals("evt_recent").await, 1);
    let ended = scene.app.row("subscription", "sub_1").await;
    assert_eq!(ended["status"], "canceled");
    assert_eq!(scene.app.row("access", "cus_1").await["state"], "denied");
    let asked = scene.stripe.asked_for("/v1/subscriptions");
    assert!(
        asked
            .iter()
            .all(|one| one.parameter("status") == Some("all"))
    );
    // Nobody is written to: what happened then is not known to have happened.
    scene.app.settle().await;
    assert!(scene.app.mails().is_empty());
    let runs = scene
        .app
        .store()
        .runs(&Page {
            limit: 10,
            starting_after: None,
        })
        .await;
    assert!(runs.unwrap().data.is_empty());
    // It is over.
    let next = scene.look_now().await;
    assert!(next.gap.is_none());
    assert_eq!(
        scene.stripe.asked_for("/v1/subscriptions").len(),
        asked.len()
    );
}

#[tokio::test]
async fn g_a_gap_stays_until_every_list_was_looked_up() {
    let scene = away_for_too_long().await;
    scene
        .stripe
        .shelf()
        .forbid("/v1/disputes", "rak_dispute_read");
    let report = scene.look(Look::default()).await;
    let account = &report.accounts[0];
    assert!(account.error.as_ref().unwrap().contains("rak_dispute_read"));
    assert!(
        report
            .failures()
            .all(billhook::backfill::BackfillError::is_configuration)
    );
    assert!(!account.gap.as_ref().unwrap().reconciled);
    assert_eq!(
        scene.app.row("subscription", "sub_1").await["status"],
        "canceled"
    );
    let record = scene.records().await.remove(0);
    let gap = record.progress.gap.unwrap();
    assert!(gap.reconciled.contains("/v1/payouts") && !gap.reconciled.contains("/v1/disputes"));
    // The mark has moved on, and the gap is not forgotten for that.
    assert!(record.progress.mark.unwrap() > gap.to);
    let asked = scene.stripe.asked_for("/v1/customers").len();
    scene.stripe.shelf().allow("/v1/disputes");
    let whole = scene.look_now().await;
    assert!(whole.gap.unwrap().reconciled);
    assert!(scene.records().await[0].progress.gap.is_none());
    assert_eq!(
        scene.stripe.asked_for("/v1/customers").len(),
        asked,
        "asked for twice"
    );
}

#[tokio::test]
async fn h_a_test_key_and_a_live_key_have_marks_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("b.db").display());
    let scene = Scene::with(&[("DATABASE_URL", &url)]).await;
    let mut test = failed("evt_test", -7200);
    test.livemode = false;
    scene.stripe.shelf().add_event(None, listed(&test));
    scene
        .stripe
        .shelf()
        .add_event(None, listed(&failed("evt_live", -7200)));
    assert_eq!(scene.look_now().await.found, 1);
    scene.pass(DAY);
    let sandbox = [
        ("DATABASE_URL", url.as_str()),
        ("STRIPE_SECRET_KEY", "sk_test_1"),
    ];
    let sandbox = service(&scene.stripe, &sandbox).await;
    sandbox.clock.advance(DAY);
    let report = look_with(&sandbox, Look::default()).await;
    // Its first walk, however far the live key has come.
    assert_eq!((report.livemode, report.accounts[0].found), (false, 1));
    let records = scene.records().await;
    let marks: Vec<_> = records
        .iter()
        .map(|one| (one.livemode, one.progress.mark.unwrap().seconds()))
        .collect();
    assert_eq!(marks, [(false, START + 86_400), (true, START)]);
    assert!(!scene.app.event("evt_test").await.livemode);
}

#[tokio::test]
async fn i_what_happened_while_the_endpoint_was_disabled_comes_in() {
    let scene = Scene::start().await;
    {
        let mut shelf = scene.stripe.shelf();
        // Stripe has nothing left to deliver, so only the whole list shows them.
        for told in [failed("evt_fresh", -3600), failed("evt_old", -2 * 86_400)] {
            let mut event = listed(&told);
            event["pending_webhooks"] = json!(0);
            shelf.add_event(None, event);
        }
    }
    assert_eq!(scene.look_now().await.new.values().sum::<u64>(), 2);
    assert!(
        scene
            .stripe
            .asked()
            .iter()
            .all(|one| one.parameter("delivery_success").is_none())
    );
    scene.app.drain().await;
    for id in ["evt_fresh", "evt_old"] {
        let row = scene.app.row("payment_intent", &format!("pi_{id}")).await;
        assert_eq!(row["status"], "requires_payment_method");
    }
    // One is young enough to be followed up, the other is not.
    let runs = scene
        .app
        .store()
        .runs(&Page {
            limit: 10,
            starting_after: None,
        })
        .await;
    let events: Vec<String> = runs
        .unwrap()
        .data
        .into_iter()
        .map(|run| run.event)
        .collect();
    assert_eq!(events, ["evt_fresh"]);
}

#[tokio::test]
async fn an_event_that_was_delivered_in_another_shape_gets_one_more_snapshot() {
    let scene = Scene::start().await;
    let told = failed("evt_1", -60);
    scene.app.deliver(&told.json(Shape::Old)).await;
    scene.app.drain().await;
    scene.stripe.shelf().add_event(None, listed(&told));
    let report = scene.look_now().await;
    assert_eq!((report.found, report.new.len()), (1, 0));
    scene.app.drain().await;
    let event = scene.app.event("evt_1").await;
    assert_eq!(event.status, "applied");
    let versions: Vec<&str> = event
        .deliveries
        .iter()
        .map(|delivery| delivery["api_version"].as_str().unwrap())
        .collect();
    assert_eq!(versions, [Shape::Old.version(), VERSION]);
}

#[tokio::test]
async fn a_rehearsal_writes_nothing_and_says_what_would_come_in() {
    let scene = Scene::start().await;
    let known = failed("evt_known", -60);
    scene.app.deliver(&known.json(Shape::Clover)).await;
    {
        let mut shelf = scene.stripe.shelf();
        shelf.add_event(None, listed(&known));
        shelf.add_event(None, listed(&failed("evt_missed", -50)));
        shelf.add_event(
            None,
            listed(&Told {
                kind: "balance.available",
                ..failed("evt_other", -40)
            }),
        );
    }
    let look = Look {
        dry_run: true,
        ..Look::default()
    };
    let report = scene.look(look).await.accounts.remove(0);
    assert_eq!(report.found, 3);
    let new: Vec<_> = report
        .new
        .iter()
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    assert_eq!(
        new,
        ["balance.available 1", "payment_intent.payment_failed 1"]
    );
    assert_eq!(
        scene.arrivals("evt_missed").await + scene.arrivals("evt_other").await,
        0
    );
    assert_eq!(scene.arrivals("evt_known").await, 1);
    assert!(scene.records().await.is_empty());
    // Then in earnest: what nobody handles is kept and ignored, as if it had been delivered.
    scene.look_now().await;
    assert_eq!(scene.app.event("evt_other").await.status, "ignored");
}

#[tokio::test]
async fn a_look_that_goes_not_far_enough_does_not_move_the_mark() {
    let scene = Scene::start().await;
    scene.look_now().await;
    scene.pass(DAY * 10);
    scene
        .stripe
        .shelf()
        .add_event(None, listed(&failed("evt_five_days", 5 * 86_400)));
    let look = Look {
        since: Some(DAY),
        ..Look::default()
    };
    scene.look(look).await;
    assert_eq!(scene.mark().await, Some(START));
    assert_eq!(scene.look_now().await.found, 1);
    assert_eq!(scene.mark().await, Some(START + 10 * 86_400));
}

#[tokio::test]
async fn who_has_looked_a_moment_ago_is_left_alone_by_the_schedule_only() {
    let scene = Scene::start().await;
    let scheduled = Look {
        unless_within: Some(HOUR),
        ..Look::default()
    };
    assert_eq!(
        scene.look(scheduled).await.accounts[0].status.word(),
        "done"
    );
    assert_eq!(
        scene.look(scheduled).await.accounts[0].status.word(),
        "recent"
    );
    assert_eq!(scene.look_now().await.status.word(), "done");
    scene.pass(HOUR * 2);
    assert_eq!(
        scene.look(scheduled).await.accounts[0].status.word(),
        "done"
    );
}
