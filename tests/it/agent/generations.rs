//! Journals that are not gone on with: what was read too long ago, or decided under other prompts, is read and decided
//! anew, under the same effect keys, and what was written before stays to be read.

use std::sync::Arc;
use std::time::Duration;

use billhook::agent::model::{Message, ModelError, Reply, Request};
use billhook::agent::scripted::Scripted;
use billhook::store::{RunRecord, Store as _, ToolCallRecord};
use serde_json::json;
use tempfile::TempDir;

use super::scene::{CARD_PAGE, call, introduce, lead, mail, reply, shown};
use crate::support::app::TestApp;
use crate::support::services::PostgresDatabase;

/// Each case on both databases, as two tests.
macro_rules! on_both {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $case() {
                let folder = tempfile::tempdir().unwrap();
                let file = folder.path().join("b.db");
                super::$case(&format!("sqlite://{}", file.display())).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $case() {
                if let Some(database) = super::PostgresDatabase::migrated().await {
                    super::$case(&database.url()).await;
                }
            })+
        }
    };
}

on_both!(
    a_journal_of_minutes_ago_is_gone_on_with,
    what_was_read_too_long_ago_is_read_again,
    other_prompts_start_over,
    rules_that_take_over_keep_what_was_proposed,
    what_was_held_stays_held_whoever_ends_the_run,
);

/// A model that reads and writes `words`, is away when asked for more so many times, and then is done.
fn writing(words: &'static str, away: usize) -> Arc<Scripted> {
    let away = std::sync::atomic::AtomicUsize::new(away);
    Arc::new(Scripted::answering(move |request, _| {
        use std::sync::atomic::Ordering::SeqCst;
        if replies_known(request) == 0 {
            return Ok(reply([
                call("get_payment_history", &json!({ "limit": 10 })),
                mail("About your payment", words),
            ]));
        }
        match away.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Err(ModelError::Unavailable {
                reason: "the endpoint answers 503".to_owned(),
                retry_after: None,
            }),
            Err(_) => Ok(Reply::default()),
        }
    }))
}

/// How many of its replies a request reminds the model of.
fn replies_known(request: &Request) -> usize {
    let replies = |message: &&Message| matches!(message, Message::Assistant { .. });
    request.messages.iter().filter(replies).count()
}

async fn service(url: &str, settings: &[(&str, &str)], model: Arc<Scripted>) -> TestApp {
    let own = [
        ("BILLHOOK__LINKS__UPDATE_PAYMENT", CARD_PAGE),
        ("DATABASE_URL", url),
    ];
    TestApp::with(&[&own, settings].concat(), model).await
}

/// A run whose model left after its first reply.
async fn deferred(url: &str, settings: &[(&str, &str)], model: &Arc<Scripted>) -> TestApp {
    let app = service(url, settings, model.clone()).await;
    introduce(&app).await;
    app.deliver(&lead("payment_failed")).await;
    app.settle().await;
    let run = run_of(&app).await;
    assert_eq!((run.status.as_str(), run.generation), ("deferred", 1));
    assert_eq!(steps_of(&run), [(1, 0), (1, 1), (1, 2)]);
    assert!(app.mails().is_empty());
    app
}

async fn run_of(app: &TestApp) -> RunRecord {
    let run = shown(app).await.run.unwrap();
    app.store().run(&run.id).await.unwrap().unwrap()
}

/// Generation and number of each step that can be read.
fn steps_of(run: &RunRecord) -> Vec<(i64, i64)> {
    let number = |step: &serde_json::Value, name: &str| step[name].as_i64().unwrap();
    let steps = run.steps.iter();
    let steps = steps.map(|step| (number(step, "generation"), number(step, "seq")));
    steps.collect()
}

/// The calls of one tool, whichever generation they are of.
async fn calls_of(app: &TestApp, tool: &str) -> Vec<ToolCallRecord> {
    let calls = shown(app).await.tool_calls.into_iter();
    calls.filter(|call| call.tool == tool).collect()
}

/// The journal began again: all of both can be read, and the later mail is the one that left.
async fn started_over(app: &TestApp, said: &str) {
    let run = run_of(app).await;
    assert_eq!((run.status.as_str(), run.generation), ("done", 2));
    // The notice to sales is the rules' own.
    let second = (0..5).map(|seq| (2, seq));
    let steps: Vec<_> = (0..3).map(|seq| (1, seq)).chain(second).collect();
    assert_eq!(steps_of(&run), steps);
    assert_eq!(calls_of(app, "get_payment_history").await.len(), 2);
    let mails = calls_of(app, "send_email").await;
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].effect_key, mails[1].effect_key);
    assert_eq!(mails[0].effect.as_deref(), Some("suppressed"));
    assert_eq!(mails[1].effect.as_deref(), Some("done"));
    assert_eq!(mails[1].result.get("status"), mails[0].result.get("status"));
    let sent = app.mails();
    assert_eq!(sent.len(), 1);
    assert!(sent[0].contains(said), "{}", sent[0]);
}

async fn a_journal_of_minutes_ago_is_gone_on_with(url: &str) {
    let model = writing("The first words.", 1);
    let app = deferred(url, &[], &model).await;
    app.clock.advance(Duration::from_mins(4));
    app.drain().await;
    let run = run_of(&app).await;
    assert_eq!((run.status.as_str(), run.generation), ("done", 1));
    let known: Vec<_> = model.asked().iter().map(replies_known).collect();
    assert_eq!(known, [0, 1, 1]);
    assert_eq!(calls_of(&app, "get_payment_history").await.len(), 1);
    assert!(app.mails()[0].contains("The first words."));
}

async fn what_was_read_too_long_ago_is_read_again(url: &str) {
    let model = writing("The words.", 1);
    let app = deferred(url, &[], &model).await;
    app.clock.advance(Duration::from_mins(6));
    app.drain().await;
    // Nothing of the first journal is told to the model again.
    let known: Vec<_> = model.asked().iter().map(replies_known).collect();
    assert_eq!(known, [0, 1, 0, 1]);
    started_over(&app, "The words.").await;
}

async fn other_prompts_start_over(url: &str) {
    let first = writing("The first words.", usize::MAX);
    let app = deferred(url, &[], &first).await;
    let old = run_of(&app).await.prompt_hash;

    // Another process, with other prompts, takes it up a minute later.
    let folder = TempDir::new().unwrap();
    let system = format!(
        "{}\nAnother rule.\n",
        include_str!("../../../prompts/system.md")
    );
    std::fs::write(folder.path().join("system.md"), system).unwrap();
    let settings = [("BILLHOOK__PROMPTS__FOLDER", folder.path().to_str().unwrap())];
    let second = writing("The second words.", 0);
    let other = service(url, &settings, second.clone()).await;
    let asked = first.asked().len();
    other.clock.advance(Duration::from_mins(3));
    other.drain().await;
    assert_eq!(first.asked().len(), asked);
    let asked = second.asked();
    let known: Vec<_> = asked.iter().map(replies_known).collect();
    assert_eq!(known, [0, 1]);
    for request in &asked {
        let Message::System { content } = &request.messages[0] else {
            panic!("{request:?}");
        };
        assert!(content.contains("Another rule."));
    }
    started_over(&other, "The second words.").await;
    let new = run_of(&other).await.prompt_hash;
    assert!(new.is_some() && new != old, "{new:?}");
}

async fn rules_that_take_over_keep_what_was_proposed(url: &str) {
    let model = writing("The model's own words.", usize::MAX);
    let settings = [("BILLHOOK__FOLLOW_UP__DECIDE_BY", "2m")];
    let app = deferred(url, &settings, &model).await;
    let asked = model.asked().len();
    // In the same generation, past the moment until which a model is waited for.
    app.clock.advance(Duration::from_mins(2));
    app.drain().await;
    assert_eq!(model.asked().len(), asked);
    let run = run_of(&app).await;
    assert_eq!((run.status.as_str(), run.generation), ("done", 1));
    let by: Vec<_> = shown(&app).await.tool_calls;
    let by: Vec<_> = by
        .iter()
        .map(|c| (c.tool.as_str(), c.by.as_str()))
        .collect();
    let expected = [
        ("get_payment_history", "model"),
        ("send_email", "model"),
        ("notify_sales", "rules"),
    ];
    assert_eq!(by, expected);
    assert!(app.mails()[0].contains("The model's own words."));
    assert_eq!(app.messages().await.len(), 2);
}

/// What a model wrote under `approve` waits for a person even where the rules end its run: the endpoint that wrote it was
/// away until nobody waited for it any more, or the service came back without a model.
async fn what_was_held_stays_held_whoever_ends_the_run(url: &str) {
    let folder = TempDir::new().unwrap();
    let playbook = include_str!("../../../prompts/playbooks/payment_failed.md");
    let playbook = playbook.replace("\nmode: live\n", "\nmode: approve\n");
    std::fs::create_dir(folder.path().join("playbooks")).unwrap();
    std::fs::write(folder.path().join("playbooks/payment_failed.md"), playbook).unwrap();
    let settings = [
        ("BILLHOOK__FOLLOW_UP__DECIDE_BY", "2m"),
        ("BILLHOOK__PROMPTS__FOLDER", folder.path().to_str().unwrap()),
    ];
    let model = writing("The model's own words.", usize::MAX);
    let app = deferred(url, &settings, &model).await;
    app.clock.advance(Duration::from_mins(2));
    app.drain().await;
    let run = run_of(&app).await;
    assert_eq!((run.status.as_str(), run.generation), ("done", 1));
    assert!(app.mails().is_empty(), "{:?}", app.mails());
    let approvals = shown(&app).await.approvals;
    let waiting: Vec<_> = approvals
        .iter()
        .map(|one| (one.tool.as_str(), one.status.as_str()))
        .collect();
    assert_eq!(waiting, [("send_email", "held")]);
}
