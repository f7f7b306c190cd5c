//! Prompts and tools that change between two runs, and in the middle of one.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use billhook::agent::journal::Entry;
use billhook::agent::prompts::{Print, Prompts};
use billhook::agent::scripted::Scripted;
use billhook::clock::Clock as _;
use billhook::store::{NewStep, Release, Store as _};
use billhook::worker::Worker;

use super::scene::{done, intent, lead, shown, start};
use crate::support::app::{TestApp, event};

const LEASE: Duration = Duration::from_mins(1);

/// The built-in prompts with other words in a mail and in the frame of all.
fn other_words() -> Prompts {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("emails")).unwrap();
    for (file, from, to) in [
        (
            "emails/payment_failed.md",
            "usually quick to fix",
            "soon fixed",
        ),
        ("emails/layout.txt", "Kind regards", "Best regards"),
    ] {
        let text = std::fs::read_to_string(built_in.join(file)).unwrap();
        assert!(text.contains(from), "{file}");
        std::fs::write(folder.path().join(file), text.replace(from, to)).unwrap();
    }
    Prompts::checked(Some(folder.path())).unwrap()
}

fn print(app: &TestApp) -> Print {
    let prompts = app.app.worker.prompts();
    prompts.print("payment_failed").unwrap().clone()
}

/// The text of an event's only mail, and what its run was decided with.
async fn told(app: &TestApp, id: &str) -> (String, Print) {
    let event = app.event(id).await;
    let mails = event.messages.iter().filter(|m| m.channel == "email");
    let [mail] = mails.collect::<Vec<_>>()[..] else {
        panic!("{event:#?}");
    };
    let run = event.run.unwrap();
    let print = Print {
        prompts: run.prompt_hash.unwrap(),
        tools: run.tools_hash.unwrap(),
    };
    (app.store_text(&mail.id).await, print)
}

#[tokio::test]
async fn a_run_ends_with_the_prompts_that_it_began_with() {
    let worker: Arc<OnceLock<Arc<Worker>>> = Arc::default();
    let meanwhile = worker.clone();
    // While the model thinks, the prompts are exchanged.
    let model = Arc::new(Scripted::answering(move |_, before| {
        if before == 0 {
            meanwhile.get().unwrap().adopt(other_words());
        }
        Ok(done())
    }));
    let app = start(model).await;
    assert!(worker.set(app.app.worker.clone()).is_ok());
    let old = print(&app);
    app.deliver(&lead("payment_failed")).await;
    app.settle().await;
    let new = print(&app);
    assert_ne!(old.prompts, new.prompts);
    assert_eq!(old.tools, new.tools);
    let (text, with) = told(&app, "evt_1").await;
    assert_eq!(with, old);
    assert!(
        text.contains("usually quick to fix") && text.contains("Kind regards"),
        "{text}"
    );

    let second = intent("pi_2", "requires_payment_method", 1200);
    app.deliver(&event(
        "evt_2",
        "payment_intent.payment_failed",
        90,
        &second,
    ))
    .await;
    app.settle().await;
    let (text, with) = told(&app, "evt_2").await;
    assert_eq!(with, new);
    assert!(
        text.contains("soon fixed") && text.contains("Best regards"),
        "{text}"
    );
}

/// A run is taken up that has one reply in its journal, written with these; says whether it started over.
async fn starts_over(prompts: Option<&str>, tools: Option<&str>) -> bool {
    let model = Arc::new(Scripted::answering(|_, _| Ok(done())));
    let app = start(model.clone()).await;
    app.deliver(&lead("payment_failed")).await;
    app.drain().await;
    app.clock.advance(Duration::from_secs(61));
    let run = app.store().claim_run(LEASE).await.unwrap().unwrap();
    let reply = Entry::Reply {
        reply: done(),
        by_rules: false,
    };
    let now = print(&app);
    let step = NewStep {
        seq: 0,
        data: serde_json::to_value(reply).unwrap(),
        prompt_hash: prompts.unwrap_or(&now.prompts).to_owned(),
        tools_hash: tools.unwrap_or(&now.tools).to_owned(),
        model: Some("scripted".to_owned()),
        spending: None,
        call: None,
    };
    app.store().journal(&run, &step).await.unwrap();
    let release = Release {
        status: "waiting",
        due_at: app.clock.now(),
        error: "its process was stopped".to_owned(),
        start_over: false,
        is_failure: false,
    };
    app.store().release_run(&run, &release).await.unwrap();
    app.drain().await;
    let taken_up = shown(&app).await.run.unwrap();
    assert_eq!(taken_up.status, "done");
    // What it was decided with at last is what is in use now.
    assert_eq!(taken_up.prompt_hash.as_ref(), Some(&now.prompts));
    assert_eq!(taken_up.tools_hash.as_ref(), Some(&now.tools));
    assert_eq!(app.mails().len(), 1);
    let started_over = taken_up.generation > run.generation;
    assert_eq!(model.asked().len(), usize::from(started_over));
    started_over
}

#[tokio::test]
async fn a_journal_that_was_written_with_something_else_is_started_over() {
    assert!(!starts_over(None, None).await);
    assert!(starts_over(Some("another"), None).await);
    assert!(starts_over(None, Some("another")).await);
}
