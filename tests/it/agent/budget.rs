//! A model that costs too much, for a run, a customer or a day: the rules do what is owed, and nobody is asked in vain.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use billhook::agent::model::{Model, ModelError, Reply, Request, Usage};
use billhook::agent::scripted::Scripted;
use billhook::clock::Clock as _;
use billhook::store::{EventRecord, Page, Store as _};
use serde_json::json;
use tokio::sync::Barrier;

use super::scene::{CARD_PAGE, call, done, intent, introduce, kind_mail, lead, reply, shown};
use crate::support::app::{START, TestApp, event};
use crate::support::services::PostgresDatabase;

/// Tokens of each reply of a costly model: 900 read and 100 written.
const TOKENS: u64 = 1000;

/// A model that reads the history again and again, and writes only where it is told to.
#[derive(Default)]
struct Costly {
    asked: AtomicUsize,
    /// From this question on it writes a mail, and then has done.
    writes_at: Option<usize>,
    /// Everybody asks before anybody is answered.
    together: Option<Barrier>,
}

impl Costly {
    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Model for Costly {
    fn name(&self) -> &'static str {
        "costly"
    }

    async fn reply(&self, _: &Request) -> Result<Reply, ModelError> {
        let before = self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some(together) = &self.together {
            together.wait().await;
        }
        let said = match self.writes_at {
            Some(at) if before == at => reply([kind_mail()]),
            Some(at) if before > at => done(),
            _ => reply([call(
                "get_payment_history",
                &json!({ "limit": before % 50 + 1 }),
            )]),
        };
        Ok(Reply {
            usage: Usage {
                input_tokens: 900,
                output_tokens: 100,
                estimated: true,
                ..Usage::default()
            },
            model: "costly-1".to_owned(),
            ..said
        })
    }
}

const PRICES: [(&str, &str); 2] = [
    // 900 tokens at 1 and 100 at 11 for a million: 0.002 for each reply.
    ("BILLHOOK__MODEL__PRICES__COSTLY__INPUT", "1"),
    ("BILLHOOK__MODEL__PRICES__COSTLY__OUTPUT", "11"),
];

async fn start(model: Arc<dyn Model>, settings: &[(&str, &str)]) -> TestApp {
    let own = [("BILLHOOK__LINKS__UPDATE_PAYMENT", CARD_PAGE)];
    let app = TestApp::with(&[&own, settings].concat(), model).await;
    introduce(&app).await;
    let grace = json!({
        "id": "cus_2", "object": "customer", "email": "grace@example.com", "name": "Grace Hopper", "created": START - 1000,
    });
    app.deliver(&event("evt_cus_2", "customer.created", -100, &grace))
        .await;
    app.settle().await;
    app
}

fn is_the_templates(mail: &str) -> bool {
    !mail.contains("small hiccup")
}

#[tokio::test]
async fn a_run_that_used_up_its_budget_keeps_what_it_has_and_the_rules_add_the_rest() {
    for (key, bound, asked) in [
        ("TOKENS_PER_RUN", "2000", 2),
        ("CALLS_PER_RUN", "3", 3),
        ("COST_PER_RUN", "0.0079", 4),
    ] {
        let name = format!("BILLHOOK__MODEL__BUDGETS__{key}");
        let settings = [&PRICES[..], &[(name.as_str(), bound)]].concat();
        let model = Arc::new(Costly::default());
        let app = start(model.clone(), &settings).await;
        app.deliver(&lead("payment_failed")).await;
        app.settle().await;
        assert_eq!(model.asked(), asked, "{key}");
        let told = shown(&app).await;
        let run = told.run.unwrap();
        assert_eq!(run.status, "done", "{key}");
        let reason = run.reason.unwrap();
        let named = format!("model.budgets.{} = {bound}", key.to_lowercase());
        assert!(reason.starts_with(&named), "{reason}");
        let mails = app.mails();
        assert!(mails.len() == 1 && is_the_templates(&mails[0]), "{mails:?}");
        // Who really decided, what it used and what that cost, estimated as its tokens are.
        assert_eq!(run.model.as_deref(), Some("costly-1"));
        let turns = u64::try_from(asked).unwrap();
        assert_eq!(run.usage["turns"], json!(turns));
        assert_eq!(run.usage["tokens"]["input_tokens"], json!(900 * turns));
        assert_eq!(
            run.cost.unwrap(),
            json!({ "micros": 2000 * turns, "currency": "usd", "estimated": true })
        );
    }
}

/// A refusal costs nothing, and leaves what the replies before it cost.
#[tokio::test]
async fn a_model_that_refuses_at_last_cost_what_it_cost_until_then() {
    let model = Scripted::answering(|_, before| match before {
        0 => Ok(Reply {
            usage: Usage {
                input_tokens: 900,
                output_tokens: 100,
                ..Usage::default()
            },
            model: "costly-1".to_owned(),
            ..reply([kind_mail()])
        }),
        _ => Err(ModelError::Rejected {
            reason: "answered 400".to_owned(),
        }),
    });
    let app = start(Arc::new(model), &PRICES).await;
    app.deliver(&lead("payment_failed")).await;
    app.settle().await;
    let run = shown(&app).await.run.unwrap();
    let cost = json!({ "micros": 2000, "currency": "usd", "estimated": false });
    assert_eq!((run.status.as_str(), run.cost), ("done", Some(cost)));
    assert_eq!(run.model.as_deref(), Some("costly-1"));
}

#[tokio::test]
async fn what_a_run_proposed_before_its_budget_was_spent_stands() {
    let model = Arc::new(Costly {
        writes_at: Some(1),
        ..Costly::default()
    });
    let settings = [("BILLHOOK__MODEL__BUDGETS__TOKENS_PER_RUN", "2000")];
    let app = start(model.clone(), &settings).await;
    app.deliver(&lead("payment_failed")).await;
    app.settle().await;
    assert_eq!(model.asked(), 2);
    let mails = app.mails();
    assert!(
        mails.len() == 1 && !is_the_templates(&mails[0]),
        "{mails:?}"
    );
    let calls = shown(&app).await.tool_calls;
    let by_rules: Vec<_> = calls.iter().filter(|call| call.by == "rules").collect();
    assert!(
        by_rules.iter().all(|call| call.tool == "notify_sales"),
        "{by_rules:?}"
    );
    assert_eq!(by_rules.len(), 1, "sales are owed a word");
}

/// The follow-ups of one customer one after the other, until a budget is spent.
async fn fails(app: &TestApp, id: &str, customer: &str) {
    let at = app.clock.now().seconds() - START;
    let mut object = intent(&format!("pi_{id}"), "requires_payment_method", 99_000);
    object["customer"] = customer.into();
    app.deliver(&event(id, "payment_intent.payment_failed", at, &object))
        .await;
    app.settle().await;
}

async fn follow_up(app: &TestApp, id: &str) -> EventRecord {
    app.event(id).await
}

async fn a_spent_day_defers(settings: &[(&str, &str)], budget: &str, other: &str) {
    let model = Arc::new(Costly {
        writes_at: Some(0),
        ..Costly::default()
    });
    let app = start(model.clone(), settings).await;
    fails(&app, "evt_a", "cus_1").await;
    assert_eq!((model.asked(), app.mails().len()), (2, 1));

    // Nobody is asked, and not once more before the rules decide, however often somebody looks.
    fails(&app, "evt_b", other).await;
    let waiting = follow_up(&app, "evt_b").await;
    // What must happen happened, and was acknowledged.
    assert_eq!(waiting.status, "applied");
    assert_eq!(app.row("order", "pi_evt_b").await["status"], "pending");
    let run = waiting.run.unwrap();
    assert_eq!(run.status, "deferred");
    let reason = run.reason.unwrap();
    let expected = format!("{budget} is spent; there is room again at 2027-01-16T00:00:00Z");
    assert_eq!(reason, format!("model.budgets.{expected}"));
    let waits = run.waits_for.unwrap();
    assert!(
        waits.contains("; the rules decide at 2027-01-15T09:"),
        "{waits}"
    );
    for _ in 0..50 {
        app.clock.advance(Duration::from_mins(1));
        assert_eq!(
            app.app.worker.decide_due().await.unwrap(),
            0,
            "asked in vain"
        );
    }
    app.clock.advance(Duration::from_mins(15));
    app.drain().await;
    assert_eq!(model.asked(), 2);
    let over = follow_up(&app, "evt_b").await;
    assert_eq!(over.status, "done");
    let run = over.run.unwrap();
    assert_eq!((run.model.as_deref(), run.cost), (Some("rules"), None));
    let owed = over
        .messages
        .iter()
        .find(|message| message.channel == "email");
    assert!(
        owed.is_some_and(|mail| mail.status == "sent" || mail.status == "pending"),
        "{owed:?}"
    );

    // The next day there is room again.
    app.clock.advance(Duration::from_hours(24));
    fails(&app, "evt_c", other).await;
    assert!(model.asked() > 2);
    assert_eq!(follow_up(&app, "evt_c").await.status, "done");
}

#[tokio::test]
async fn a_day_that_is_spent_defers_everybody_until_the_rules_decide() {
    let tokens = [("BILLHOOK__MODEL__BUDGETS__TOKENS_PER_DAY", "2000")];
    a_spent_day_defers(&tokens, "tokens_per_day = 2000", "cus_2").await;
    let money = [
        &PRICES[..],
        &[("BILLHOOK__MODEL__BUDGETS__COST_PER_DAY", "0.004")],
    ]
    .concat();
    a_spent_day_defers(&money, "cost_per_day = 0.004 usd", "cus_2").await;
}

#[tokio::test]
async fn a_customer_whose_day_is_spent_is_deferred_and_nobody_else() {
    let key = "BILLHOOK__MODEL__BUDGETS__REPLIES_PER_CUSTOMER_PER_DAY";
    let settings = [
        (key, "2"),
        ("BILLHOOK__CAPS__FAILURE_MAILS_PER_RECIPIENT_PER_DAY", "9"),
    ];
    a_spent_day_defers(&settings, "replies_per_customer_per_day = 2", "cus_1").await;
    let model = Arc::new(Costly::default());
    let settings = [(
        "BILLHOOK__MODEL__BUDGETS__TOKENS_PER_CUSTOMER_PER_DAY",
        "1000",
    )];
    let app = start(model.clone(), &settings).await;
    fails(&app, "evt_a", "cus_1").await;
    assert_eq!(
        (
            model.asked(),
            follow_up(&app, "evt_a").await.run.unwrap().status.as_str()
        ),
        (1, "deferred")
    );
    fails(&app, "evt_b", "cus_2").await;
    assert_eq!(
        model.asked(),
        2,
        "another customer has a budget of their own"
    );
}

/// Both databases: processes that end and begin in the middle of a day, over the same data.
async fn outlives_a_restart(url: &str) {
    let budget = ("BILLHOOK__MODEL__BUDGETS__TOKENS_PER_DAY", "2000");
    let settings = [("DATABASE_URL", url), budget];
    let model = Arc::new(Costly {
        writes_at: Some(0),
        ..Costly::default()
    });
    let app = start(model.clone(), &settings).await;
    fails(&app, "evt_a", "cus_1").await;
    assert_eq!(model.asked(), 2);
    drop(app);
    let heir = Arc::new(Costly::default());
    let own = [("BILLHOOK__LINKS__UPDATE_PAYMENT", CARD_PAGE)];
    let app = TestApp::with(&[&own[..], &settings].concat(), heir.clone()).await;
    fails(&app, "evt_b", "cus_2").await;
    assert_eq!(heir.asked(), 0);
    assert_eq!(
        follow_up(&app, "evt_b").await.run.unwrap().status,
        "deferred"
    );
    app.clock.advance(Duration::from_hours(2));
    app.drain().await;
    assert_eq!(
        (heir.asked(), follow_up(&app, "evt_b").await.status.as_str()),
        (0, "done")
    );
}

#[tokio::test]
async fn a_budget_outlives_a_restart_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    outlives_a_restart(&format!(
        "sqlite://{}",
        folder.path().join("b.db").display()
    ))
    .await;
}

#[tokio::test]
async fn a_budget_outlives_a_restart_on_postgres() {
    if let Some(database) = PostgresDatabase::migrated().await {
        outlives_a_restart(&database.url()).await;
    }
}

/// All ask while there is room, and each gets one reply more than there was room for; then nobody asks.
async fn is_overrun_by_one_reply_each(url: &str) {
    const RUNS: usize = 32;
    let settings = [
        ("DATABASE_URL", url),
        ("BILLHOOK__MODEL__BUDGETS__TOKENS_PER_DAY", "1"),
        ("BILLHOOK__WORKER__LEASE", "10m"),
    ];
    let model = Arc::new(Costly {
        together: Some(Barrier::new(RUNS)),
        ..Costly::default()
    });
    let app = TestApp::with(&settings, model.clone()).await;
    for n in 0..RUNS {
        let mut object = intent(&format!("pi_{n}"), "succeeded", 99_000);
        object["customer"] = format!("cus_{n}").into();
        let paid = event(&format!("evt_{n}"), "payment_intent.succeeded", 0, &object);
        app.deliver(&paid).await;
    }
    app.settle().await;
    assert_eq!(model.asked(), RUNS);
    let used = app.store().census().await.unwrap().decisions;
    let runs = u64::try_from(RUNS).unwrap();
    assert_eq!((used.replies, used.tokens), (runs, runs * TOKENS));
    assert_eq!(used.deferred["day_budget"].count, runs);
    app.clock.advance(Duration::from_hours(2));
    app.drain().await;
    let page = Page {
        limit: 100,
        starting_after: None,
    };
    let runs = app.store().runs(&page).await.unwrap().data;
    assert!(runs.len() == RUNS && runs.iter().all(|run| run.status == "done"));
    assert_eq!(model.asked(), RUNS);
}

#[tokio::test]
async fn runs_at_once_overrun_a_budget_by_one_reply_each_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    is_overrun_by_one_reply_each(&format!(
        "sqlite://{}",
        folder.path().join("b.db").display()
    ))
    .await;
}

#[tokio::test]
async fn runs_at_once_overrun_a_budget_by_one_reply_each_on_postgres() {
    if let Some(database) = PostgresDatabase::migrated().await {
        is_overrun_by_one_reply_each(&database.url()).await;
    }
}
