//! What Stripe's API answers about an object, beside what its events say.
//!
//! Over 400 lines because each way in which an answer and events may meet is a story of its own.

use std::time::Duration;

use billhook::clock::Timestamp;
use billhook::guardrails::precondition::Purpose;
use billhook::store::{Observation, Observed, Page, Store};
use billhook::stripe::view::Family;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};

use super::queued::{done, run_of};
use super::{LONG, apply, failed_payment, ingest, paid};
use crate::support::bench::{Bench, START};
use crate::support::fixture::{Customer, Intent, Invoice, Object, Shape, Subscription, Told};

on_both!(
    an_answer_stands_above_the_events_of_the_second_before_it,
    what_an_object_cannot_leave_no_answer_takes_back,
    an_answer_settles_a_tie,
    an_answer_derives_what_an_event_would_and_writes_to_nobody,
    links_of_an_answer_join_what_waits,
    when_stripe_was_asked_does_not_matter,
    the_same_second_is_one_observation,
    an_object_without_an_id_is_nobody,
    a_late_event_does_not_overtake_a_row_of_an_older_billhook,
    an_event_writes_its_row_once,
    of_answers_that_say_the_same_the_last_is_kept,
    an_answer_that_repeats_the_row_stands_whatever_comes_first,
    grace_counts_from_the_first_answer_that_said_past_due,
    an_address_that_an_answer_brought_has_not_paid,
);

/// Counts how often a subscription's row is written.
const COUNT_ON_SQLITE: &str = "CREATE TABLE writes (n INTEGER); \
    CREATE TRIGGER counted AFTER UPDATE ON objects WHEN NEW.kind = 'subscription' BEGIN INSERT INTO writes VALUES (1); END";
const COUNT_ON_POSTGRES: &str = "CREATE TABLE writes (n BIGINT); \
    CREATE FUNCTION count_write() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO writes VALUES (1); RETURN NULL; END'; \
    CREATE TRIGGER counted AFTER UPDATE ON objects FOR EACH ROW WHEN (NEW.kind = 'subscription') EXECUTE FUNCTION count_write()";

fn subscription(status: &'static str) -> Subscription {
    Subscription {
        id: "sub_1".into(),
        customer: "cus_1".into(),
        status,
        latest_invoice: Some("in_1".into()),
        period_start: START,
        cancel_at_period_end: false,
        canceled_at: None,
        created: START - 86_400,
        ..Subscription::default()
    }
}

fn updated(id: &str, at: i64, status: &'static str) -> Told {
    Told::new(
        id,
        "customer.subscription.updated",
        START + at,
        subscription(status),
    )
}

/// `object` as Stripe answers it, `at` seconds after the start.
fn answered(family: Family, at: i64, object: impl Into<Object>) -> Observation {
    Observation {
        account: "self".to_owned(),
        livemode: true,
        family,
        object: object.into().json(Shape::Clover),
        date: Timestamp::from_seconds(START + at),
        api_version: Some(Shape::Clover.version().to_owned()),
    }
}

async fn observe(bench: &Bench, observation: &Observation) -> Observed {
    bench.store.observe(observation).await.unwrap()
}

async fn row(bench: &Bench, kind: &str, id: &str) -> Value {
    let mut rows = bench.store.object(kind, id).await.unwrap();
    assert_eq!(rows.len(), 1, "{kind} {id}");
    rows.remove(0).data
}

async fn status(bench: &Bench) -> Value {
    row(bench, "subscription", "sub_1").await["status"].clone()
}

async fn an_answer_stands_above_the_events_of_the_second_before_it(bench: Bench) {
    apply(&bench, &[updated("evt_1", 9, "active")]).await;
    let answer = answered(Family::Subscription, 10, subscription("past_due"));
    assert_eq!(observe(&bench, &answer).await, Observed::Changed);
    assert_eq!(status(&bench).await, "past_due");
    // Created in a second that the answer knows all of, and late.
    apply(&bench, &[updated("evt_2", 9, "trialing")]).await;
    assert_eq!(status(&bench).await, "past_due");
    // Created in the second of the answer: it may have happened after it.
    apply(&bench, &[updated("evt_3", 10, "active")]).await;
    assert_eq!(status(&bench).await, "active");
}

async fn what_an_object_cannot_leave_no_answer_takes_back(bench: Bench) {
    apply(&bench, &[updated("evt_1", 0, "canceled")]).await;
    let late = answered(Family::Subscription, 100, subscription("active"));
    assert_eq!(observe(&bench, &late).await, Observed::Known);
    assert_eq!(status(&bench).await, "canceled");
}

async fn an_answer_settles_a_tie(bench: Bench) {
    let one = updated("evt_1", 0, "active");
    let two = updated("evt_2", 0, "past_due");
    apply(&bench, &[one, two]).await;
    let tied = async || {
        let state = bench.store.business_state().await.unwrap();
        state.iter().any(|line| line.contains(" tie 1:"))
    };
    assert!(tied().await);
    observe(
        &bench,
        &answered(Family::Subscription, 1, subscription("active")),
    )
    .await;
    assert!(!tied().await);
    assert_eq!(status(&bench).await, "active");
}

async fn an_answer_derives_what_an_event_would_and_writes_to_nobody(bench: Bench) {
    let answer = answered(Family::Subscription, 0, subscription("past_due"));
    assert_eq!(observe(&bench, &answer).await, Observed::Changed);
    let access = row(&bench, "access", "cus_1").await;
    assert_eq!(access["state"], "grace", "{access}");
    let intent = Intent {
        id: "pi_1".into(),
        customer: None,
        invoice: None,
        order: Some("1001".into()),
        status: "succeeded",
        amount: 4900,
        received: 4900,
        charge: Some("ch_1".into()),
        declined: false,
        created: START,
        ..Intent::default()
    };
    observe(&bench, &answered(Family::PaymentIntent, 0, intent)).await;
    assert_eq!(row(&bench, "order", "1001").await["status"], "paid");
    let ada = Customer {
        id: "cus_1".into(),
        email: Some("ada.blum@shopper.example".into()),
        name: Some("Ada Blum".into()),
        delinquent: false,
        created: START,
    };
    observe(&bench, &answered(Family::Customer, 0, ada)).await;
    let mut gone = answered(Family::Customer, 5, subscription("active"));
    // A customer that was deleted is still answered, and hardly more than that is left of it.
    gone.object = json!({ "id": "cus_1", "object": "customer", "deleted": true });
    assert_eq!(observe(&bench, &gone).await, Observed::Changed);
    assert_eq!(row(&bench, "access", "cus_1").await["state"], "denied");
    let page = Page {
        limit: 100,
        starting_after: None,
    };
    assert!(bench.store.runs(&page).await.unwrap().data.is_empty());
    assert_eq!(bench.store.backlog(10).await.unwrap(), 0);
}

/// An invoice and a payment failed, and nothing said that they are one failure.
async fn links_of_an_answer_join_what_waits(bench: Bench) {
    let invoice = |payments| Invoice {
        id: "in_1".into(),
        customer: "cus_1".into(),
        subscription: None,
        intent: Some("pi_1".into()),
        charge: Some("ch_pi_1".into()),
        status: "open",
        // Another amount than the payment's, as after a credit: nobody could guess.
        amount: 5900,
        attempts: 1,
        shows_payments: payments,
        created: START,
        ..Invoice::default()
    };
    let unpaid = Told::new(
        "evt_in",
        "invoice.payment_failed",
        START + 1,
        invoice(false),
    );
    apply(&bench, &[failed_payment("cus_1", "pi_1"), unpaid]).await;
    let waiting = async || {
        let page = Page {
            limit: 100,
            starting_after: None,
        };
        let runs = bench.store.runs(&page).await.unwrap().data;
        runs.iter().filter(|run| run.status == "waiting").count()
    };
    assert_eq!(waiting().await, 2);
    observe(&bench, &answered(Family::Invoice, 3, invoice(true))).await;
    assert_eq!(waiting().await, 1);
}

async fn when_stripe_was_asked_does_not_matter(bench: Bench) {
    let events = [
        updated("evt_1", 0, "active"),
        updated("evt_2", 5, "past_due"),
        updated("evt_3", 20, "active"),
    ];
    let answer = answered(Family::Subscription, 11, subscription("unpaid"));
    let mut states = Vec::new();
    for asked_after in 0..=events.len() {
        let fresh = if bench.is_postgres() {
            Bench::postgres().await.unwrap()
        } else {
            Bench::sqlite().await
        };
        for (at, event) in events.iter().enumerate() {
            if at == asked_after {
                observe(&fresh, &answer).await;
            }
            apply(&fresh, std::slice::from_ref(event)).await;
        }
        // A repeat, or the first time.
        observe(&fresh, &answer).await;
        states.push(fresh.store.business_state().await.unwrap());
    }
    assert!(
        states.windows(2).all(|pair| pair[0] == pair[1]),
        "{states:#?}"
    );
}

async fn the_same_second_is_one_observation(bench: Bench) {
    let answer = answered(Family::Subscription, 10, subscription("active"));
    assert_eq!(observe(&bench, &answer).await, Observed::Changed);
    assert_eq!(observe(&bench, &answer).await, Observed::Known);
    // Another process, at the same time.
    let other = bench.another_process().await;
    let (one, two) = tokio::join!(other.observe(&answer), bench.store.observe(&answer));
    assert_eq!(
        (one.unwrap(), two.unwrap()),
        (Observed::Known, Observed::Known)
    );
    let later = answered(Family::Subscription, 11, subscription("active"));
    assert_eq!(observe(&bench, &later).await, Observed::Known);
}

async fn an_object_without_an_id_is_nobody(bench: Bench) {
    for object in [json!({}), json!({ "id": 5 }), json!(null), json!([])] {
        let mut answer = answered(Family::Invoice, 0, subscription("active"));
        answer.object = object;
        assert_eq!(observe(&bench, &answer).await, Observed::Nameless);
    }
    ingest(&bench, &[updated("evt_1", 0, "active")]).await;
    assert!(bench.store.object("invoice", "").await.unwrap().is_empty());
}

async fn execute(bench: &Bench, sql: &'static str) {
    if bench.is_postgres() {
        let mut db = PgConnection::connect(&bench.url).await.unwrap();
        db.execute(sql).await.unwrap();
    } else {
        let mut db = SqliteConnection::connect(&bench.url).await.unwrap();
        db.execute(sql).await.unwrap();
    }
}

async fn number(bench: &Bench, sql: &'static str) -> i64 {
    if bench.is_postgres() {
        let mut db = PgConnection::connect(&bench.url).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut db).await.unwrap()
    } else {
        let mut db = SqliteConnection::connect(&bench.url).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut db).await.unwrap()
    }
}

const NEWEST: &str = "SELECT newest FROM objects WHERE kind = 'subscription'";

async fn a_late_event_does_not_overtake_a_row_of_an_older_billhook(bench: Bench) {
    apply(&bench, &[updated("evt_2", 20, "past_due")]).await;
    execute(&bench, "UPDATE objects SET newest = 0").await;
    apply(&bench, &[updated("evt_1", 10, "active")]).await;
    assert_eq!(status(&bench).await, "past_due");
    // The first that looked filled it in, though nothing else of the row changed.
    let newest = Timestamp::from_seconds(START + 20);
    assert_eq!(number(&bench, NEWEST).await, newest.0);
}

async fn an_event_writes_its_row_once(bench: Bench) {
    apply(&bench, &[updated("evt_1", 0, "active")]).await;
    if bench.is_postgres() {
        execute(&bench, COUNT_ON_POSTGRES).await;
    } else {
        execute(&bench, COUNT_ON_SQLITE).await;
    }
    // The third says nothing new: it is the newest, and the row's version stays.
    for (event, at, version, writes) in [("evt_2", 10, 2, 1), ("evt_3", 20, 2, 2)] {
        apply(&bench, &[updated(event, at, "past_due")]).await;
        let rows = bench.store.object("subscription", "sub_1").await.unwrap();
        assert_eq!(rows[0].version, version);
        let written = number(&bench, "SELECT count(*) FROM writes").await;
        assert_eq!(written, writes);
        let newest = Timestamp::from_seconds(START + at);
        assert_eq!(number(&bench, NEWEST).await, newest.0);
    }
}

async fn of_answers_that_say_the_same_the_last_is_kept(bench: Bench) {
    const WRITTEN: &str = "SELECT (SELECT count(*) FROM snapshots) + (SELECT count(*) FROM changes) + (SELECT count(*) FROM links) \
        + (SELECT CAST(sum(version) AS BIGINT) FROM objects) + (SELECT count(*) FROM fetches)";
    const SNAPSHOTS: &str = "SELECT count(*) FROM snapshots";
    const TIES: &str = "SELECT count(*) FROM objects WHERE tie > 0";
    let says = |at, status| answered(Family::Subscription, at, subscription(status));
    apply(&bench, &[updated("evt_0", 0, "active")]).await;
    // The event's is the newest, so the first answer is one more.
    observe(&bench, &says(10, "active")).await;
    assert_eq!(number(&bench, SNAPSHOTS).await, 2);
    let written = number(&bench, WRITTEN).await;
    for at in [20, 20, 30] {
        let observed = observe(&bench, &says(at, "active")).await;
        assert_eq!(observed, Observed::Known);
    }
    assert_eq!(number(&bench, WRITTEN).await, written);
    let newest = Timestamp::from_seconds(START + 29);
    assert_eq!(number(&bench, NEWEST).await, newest.0);
    // What comes late does not overtake an answer, though that only repeated the row.
    apply(&bench, &[updated("evt_1", 25, "past_due")]).await;
    assert_eq!(status(&bench).await, "active");
    // An event between two answers leaves both.
    apply(&bench, &[updated("evt_2", 35, "active")]).await;
    observe(&bench, &says(40, "active")).await;
    assert_eq!(number(&bench, SNAPSHOTS).await, 5);

    // Two events of one second say different things: an answer that agrees with the row settles that.
    let (one, two) = (
        updated("evt_3", 60, "active"),
        updated("evt_4", 60, "past_due"),
    );
    apply(&bench, &[one, two]).await;
    assert_eq!(number(&bench, TIES).await, 1);
    observe(&bench, &says(70, "past_due")).await;
    assert_eq!(number(&bench, TIES).await, 0);
}

async fn an_answer_that_repeats_the_row_stands_whatever_comes_first(bench: Bench) {
    let late = updated("evt_2", 25, "past_due");
    let answer = answered(Family::Subscription, 30, subscription("active"));
    apply(&bench, &[updated("evt_1", 0, "active")]).await;
    observe(&bench, &answer).await;
    apply(&bench, std::slice::from_ref(&late)).await;
    let other = if bench.is_postgres() {
        Bench::postgres().await.unwrap()
    } else {
        Bench::in_memory().await
    };
    apply(&other, &[updated("evt_1", 0, "active"), late]).await;
    observe(&other, &answer).await;
    for bench in [&bench, &other] {
        assert_eq!(status(bench).await, "active");
    }
}

async fn grace_counts_from_the_first_answer_that_said_past_due(bench: Bench) {
    for at in [10, 20, 30] {
        let answer = answered(Family::Subscription, at, subscription("past_due"));
        observe(&bench, &answer).await;
    }
    // It comes late, and all is projected anew.
    apply(&bench, &[updated("evt_1", 0, "active")]).await;
    let row = row(&bench, "subscription", "sub_1").await;
    assert_eq!(row["past_due_since"], START + 9);
}

/// An answer tells of no change, and yet the address in it may be another than that which paid.
async fn an_address_that_an_answer_brought_has_not_paid(bench: Bench) {
    let customer = |id: &str, email: Option<&str>| Customer {
        id: id.to_owned(),
        email: email.map(str::to_owned),
        created: START - 500,
        ..Customer::default()
    };
    let eve = Some("eve@evil.example");
    let cases = [
        // Who had another, or none, when the money came.
        ("cus_moved", eve, "victim@customer.example", false),
        ("cus_new", None, "victim@customer.example", false),
        // Who has the same still; signs of patterns are nothing but signs.
        ("cus_same", eve, "eve@evil.example", true),
        (
            "cus_signs",
            Some("a_%\"b\\@é.example"),
            "a_%\"b\\@é.example",
            true,
        ),
    ];
    let mut runs = Vec::new();
    for (id, before, now, has_paid) in cases {
        let told = Told::new(
            format!("evt_{id}"),
            "customer.created",
            START - 500,
            customer(id, before),
        );
        apply(&bench, &[told, paid(id, &format!("pi_old_{id}"), 1)]).await;
        bench.clock.advance(Duration::from_secs(10));
        let run = bench.store.claim_run(LONG).await.unwrap().unwrap();
        let mut nothing = done(Vec::new());
        nothing.purpose = Purpose::PaymentSucceeded;
        bench.store.finish_run(&run, &nothing).await.unwrap();
        observe(
            &bench,
            &answered(Family::Customer, 100, customer(id, Some(now))),
        )
        .await;
        let run = run_of(&bench, id, &format!("pi_{id}")).await;
        let standing = bench.store.load_run(&run).await.unwrap().standing;
        assert_eq!(standing.has_paid, has_paid, "{id}");
        runs.push((id, run));
    }
    // Whoever pays from there on has paid.
    for (id, run) in &runs {
        let again = Intent {
            id: format!("pi_again_{id}"),
            customer: Some((*id).to_owned()),
            status: "succeeded",
            amount: 4900,
            received: 4900,
            created: START + 100,
            ..Intent::default()
        };
        let kind = "payment_intent.succeeded";
        let told = Told::new(format!("evt_again_{id}"), kind, START + 110, again);
        apply(&bench, &[told]).await;
        let standing = bench.store.load_run(run).await.unwrap().standing;
        assert!(standing.has_paid, "{id}");
    }
}
