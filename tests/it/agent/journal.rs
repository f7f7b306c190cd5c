//! Runs that die in the middle, runs that wait for each other, and runs whose worker is stopped or panics.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use billhook::agent::model::{Message, Model, ModelError, Reply, Request};
use billhook::agent::scripted::Scripted;
use billhook::store::{RunRecord, Store as _};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::scene::{call, done, intent, introduce, kind_mail, lead, reply, shown, start};
use crate::support::app::{TestApp, event};
use crate::support::tables::execute;

fn conduct() -> [Reply; 3] {
    [
        reply([call("get_payment_history", &json!({ "limit": 10 }))]),
        reply([kind_mail()]),
        Reply::default(),
    ]
}

/// Polls a future `times` times and drops it, as a process that is killed does.
async fn killed_after<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

#[tokio::test]
async fn a_run_that_dies_anywhere_is_taken_up_from_its_journal() {
    // Three replies and three results: it is to die with each number of them in its journal. How many polls lead there
    // is a matter of chance, so one sweep may step over one.
    let mut died_with = BTreeSet::new();
    for _sweep in 0..5 {
        for polls in 1.. {
            let (steps, finished) = dies_after(polls).await;
            died_with.insert(steps);
            if finished {
                break;
            }
        }
        if died_with.len() == 7 {
            break;
        }
    }
    assert_eq!(
        died_with.into_iter().collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5, 6]
    );
}

/// Waits until no statement of the killed worker is under way: its connection may still be committing, and lets the next
/// one write only afterwards.
async fn landed(folder: &TempDir) {
    let url = format!("sqlite://{}", folder.path().join("b.db").display());
    execute(&url, "BEGIN IMMEDIATE; ROLLBACK").await;
}

/// A service with a run that is due, on a file: a killed worker may take its connection with it.
async fn due() -> (TestApp, Arc<Scripted>, TempDir) {
    let model = Arc::new(Scripted::answering(|request, _| {
        let turn = replies_known(request);
        Ok(conduct().into_iter().nth(turn).unwrap_or_default())
    }));
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite://{}", folder.path().join("b.db").display());
    let settings = [
        ("BILLHOOK__LINKS__UPDATE_PAYMENT", super::scene::CARD_PAGE),
        ("DATABASE_URL", url.as_str()),
    ];
    let app = TestApp::with(&settings, model.clone()).await;
    introduce(&app).await;
    app.deliver(&lead("payment_failed")).await;
    app.drain().await;
    app.clock.advance(Duration::from_secs(61));
    (app, model, folder)
}

/// Lets a run die, checks how it is taken up, and says with how many steps it died, and whether it had ended before.
async fn dies_after(polls: usize) -> (usize, bool) {
    let (app, model, folder) = due().await;
    let finished = killed_after(polls, app.app.worker.decide_due()).await;
    landed(&folder).await;
    let begun = run_of(&app).await;
    let steps = begun.steps;
    let journaled = replies(&steps);
    let asked = model.asked().len();
    assert!(asked <= journaled + 1, "{polls}");

    // Another worker has nothing to do before the lease ends.
    if begun.status == "running" {
        assert_eq!(app.app.worker.decide_due().await.unwrap(), 0, "{polls}");
    }
    app.clock.advance(Duration::from_secs(62));
    app.drain().await;
    let event = shown(&app).await;
    let run = run_of(&app).await;
    assert_eq!(run.status, "done", "{polls}: {:?}", run.reason);
    assert_eq!(run.generation, begun.generation, "{polls}");
    assert_eq!(replies(&run.steps), 3, "{polls}");
    // What was journaled is not asked for again: each turn is asked for once, but for one whose reply was lost.
    let known: Vec<usize> = model.asked().iter().map(replies_known).collect();
    let resumed: Vec<usize> = known.iter().skip(asked).copied().collect();
    let from = resumed.first().copied().unwrap_or(3);
    assert!(from >= journaled, "{polls}: {known:?}");
    assert_eq!(resumed, (from..3).collect::<Vec<_>>(), "{polls}");
    assert_eq!(known[..asked], (0..asked).collect::<Vec<_>>(), "{polls}");
    assert_eq!(app.mails().len(), 1, "{polls}");
    assert!(app.mails()[0].contains("A small hiccup"), "{polls}");
    assert_eq!(app.messages().await.len(), 2, "{polls}");
    let calls: Vec<_> = event
        .tool_calls
        .iter()
        .map(|call| call.tool.as_str())
        .collect();
    assert_eq!(
        calls,
        ["get_payment_history", "send_email", "notify_sales"],
        "{polls}"
    );
    (steps.len(), finished.is_some())
}

#[tokio::test]
async fn a_run_that_is_taken_up_late_starts_over_and_doubles_nothing() {
    let mut started_over = 0;
    for polls in (1..).step_by(4) {
        let (app, model, folder) = due().await;
        let finished = killed_after(polls, app.app.worker.decide_due()).await;
        landed(&folder).await;
        let begun = run_of(&app).await;
        // What was read is too old to act on by now.
        app.clock.advance(Duration::from_mins(6));
        app.drain().await;
        let run = run_of(&app).await;
        assert_eq!(run.status, "done", "{polls}: {:?}", run.reason);
        if begun.status == "running" {
            assert_eq!(run.generation, begun.generation + 1, "{polls}");
            started_over += usize::from(!begun.steps.is_empty());
        }
        let known: Vec<usize> = model.asked().iter().map(replies_known).collect();
        assert_eq!(known[known.len() - 3..], [0, 1, 2], "{polls}");
        assert_eq!(app.mails().len(), 1, "{polls}");
        assert_eq!(app.messages().await.len(), 2, "{polls}");
        if finished.is_some() {
            break;
        }
    }
    assert!(started_over > 0, "no journal was begun before a kill");
}

/// The run with its journal, which an event's page leaves out.
async fn run_of(app: &TestApp) -> RunRecord {
    let run = shown(app).await.run.unwrap();
    app.store().run(&run.id).await.unwrap().unwrap()
}

/// How many of its replies a request reminds the model of.
fn replies_known(request: &Request) -> usize {
    let replies = |message: &&Message| matches!(message, Message::Assistant { .. });
    request.messages.iter().filter(replies).count()
}

fn replies(steps: &[serde_json::Value]) -> usize {
    steps
        .iter()
        .filter(|step| step["data"]["step"] == "reply")
        .count()
}

/// A model that takes its time, and notes how many ask it at once.
#[derive(Default)]
struct Slow {
    inside: AtomicUsize,
    most: AtomicUsize,
    asked: AtomicUsize,
}

#[async_trait]
impl Model for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    async fn reply(&self, _: &Request) -> Result<Reply, ModelError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.inside.fetch_sub(1, Ordering::SeqCst);
        Ok(done())
    }
}

#[tokio::test]
async fn two_runs_of_one_customer_never_overlap() {
    let model = Arc::new(Slow::default());
    let app = start(model.clone()).await;
    app.deliver(&lead("payment_failed")).await;
    app.deliver(&event(
        "evt_2",
        "payment_intent.succeeded",
        1,
        &intent("pi_2", "succeeded", 99_000),
    ))
    .await;
    app.drain().await;
    app.clock.advance(Duration::from_secs(61));
    // Two workers look for work at the same time.
    let (first, second) = tokio::join!(app.app.worker.decide_due(), app.app.worker.decide_due());
    first.unwrap();
    second.unwrap();
    app.drain().await;
    assert_eq!(model.asked.load(Ordering::SeqCst), 2);
    assert_eq!(model.most.load(Ordering::SeqCst), 1);
    for id in ["evt_1", "evt_2"] {
        assert_eq!(app.event(id).await.run.unwrap().status, "done", "{id}");
    }
}

#[tokio::test]
async fn a_run_that_takes_long_is_not_taken_over() {
    let model = Arc::new(Slow::default());
    let settings = [
        ("BILLHOOK__WORKER__LEASE", "120ms"),
        ("BILLHOOK__WORKER__POLL", "10ms"),
    ];
    let app = TestApp::with(&settings, model.clone()).await;
    introduce(&app).await;
    app.deliver(&lead("payment_failed")).await;
    app.drain().await;
    app.clock.advance(Duration::from_secs(61));
    let looking = async {
        // The lease is renewed every 40 ms; on the stopped clock it would end after 120.
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(45)).await;
            if model.inside.load(Ordering::SeqCst) == 1 {
                app.clock.advance(Duration::from_millis(60));
                assert_eq!(app.app.worker.decide_due().await.unwrap(), 0);
            }
        }
    };
    let (decided, ()) = tokio::join!(app.app.worker.decide_due(), looking);
    assert_eq!(decided.unwrap(), 1);
    assert_eq!(model.asked.load(Ordering::SeqCst), 1);
    app.drain().await;
    assert_eq!(app.mails().len(), 1);
}

/// A model that does not answer when it is asked for the first time.
#[derive(Default)]
struct Silent {
    asked: AtomicUsize,
    entered: Notify,
}

#[async_trait]
impl Model for Silent {
    fn name(&self) -> &'static str {
        "silent"
    }

    async fn reply(&self, _: &Request) -> Result<Reply, ModelError> {
        if self.asked.fetch_add(1, Ordering::SeqCst) == 0 {
            self.entered.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(done())
    }
}

#[tokio::test]
async fn what_is_cut_is_given_back_and_goes_on_at_once() {
    let model = Arc::new(Silent::default());
    let app = start(model.clone()).await;
    app.deliver(&lead("payment_failed")).await;
    app.drain().await;
    app.clock.advance(Duration::from_secs(61));
    let (soft, cut) = (CancellationToken::new(), CancellationToken::new());
    let mut working = pin!(app.app.worker.clone().work(soft.clone(), cut.clone()));
    tokio::select! {
        () = &mut working => panic!("nobody stopped it"),
        () = model.entered.notified() => {}
    }
    soft.cancel();
    let gone = tokio::time::timeout(Duration::from_millis(50), &mut working).await;
    assert!(gone.is_err(), "it did not wait for the run that it holds");
    cut.cancel();
    working.await;
    let run = run_of(&app).await;
    assert_eq!(run.status, "waiting");
    assert!(run.reason.unwrap().contains("stopped"));

    // Nobody waits for a lease: the next process has it at once.
    assert_eq!(app.app.worker.decide_due().await.unwrap(), 1);
    assert_eq!(run_of(&app).await.status, "done");
    assert_eq!(model.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_stop_ends_claiming_though_more_is_due() {
    let (soft, cut) = (CancellationToken::new(), CancellationToken::new());
    let stop = soft.clone();
    let model = Arc::new(Scripted::answering(move |_, _| {
        stop.cancel();
        Ok(done())
    }));
    let settings = [("BILLHOOK__FOLLOW_UP__CONCURRENCY", "1")];
    let app = TestApp::with(&settings, model.clone()).await;
    for customer in ["cus_1", "cus_2", "cus_3"] {
        let mut object = intent(&format!("pi_{customer}"), "requires_payment_method", 900);
        object["customer"] = customer.into();
        let id = format!("evt_{customer}");
        app.deliver(&event(&id, "payment_intent.payment_failed", 0, &object))
            .await;
    }
    app.drain().await;
    app.clock.advance(Duration::from_secs(61));
    app.app.worker.clone().work(soft, cut).await;
    let mut statuses = Vec::new();
    for customer in ["cus_1", "cus_2", "cus_3"] {
        let run = app.event(&format!("evt_{customer}")).await.run.unwrap();
        statuses.push(run.status);
    }
    statuses.sort();
    assert_eq!(statuses, ["done", "waiting", "waiting"]);
    assert_eq!(model.asked().len(), 1);
}

#[tokio::test]
async fn a_run_that_panics_is_dead_in_the_end_and_keeps_nobody_waiting() {
    let model = Arc::new(Scripted::answering(|request, _| {
        let writes_to_customers = request.tools.iter().any(|tool| tool.name == "send_email");
        assert!(!writes_to_customers, "ada@example.com makes it stumble");
        Ok(done())
    }));
    let settings = [("BILLHOOK__RETRY__ATTEMPTS", "2")];
    let app = TestApp::with(&settings, model).await;
    introduce(&app).await;
    app.deliver(&lead("payment_failed")).await;
    let paid = intent("pi_2", "succeeded", 99_000);
    app.deliver(&event("evt_2", "payment_intent.succeeded", 1, &paid))
        .await;
    app.settle().await;
    assert_eq!(run_of(&app).await.status, "waiting");
    let neighbour = app.event("evt_2").await;
    assert_eq!(neighbour.run.unwrap().status, "done");
    app.clock.advance(Duration::from_secs(3));
    app.drain().await;
    let dead = shown(&app).await;
    assert_eq!(
        (dead.status.as_str(), dead.run.unwrap().status.as_str()),
        ("dead", "failed")
    );
    let reason = dead.last_error.unwrap();
    assert!(
        reason.contains("panicked") && !reason.contains("ada"),
        "{reason}"
    );
}
