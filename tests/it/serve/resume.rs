//! A run that a model decides, in a process that is killed after each step of its journal: it goes on from there.
//!
//! Nothing is left to chance. A trigger keeps the process inside the statement that would write the next step, so it is
//! killed with exactly so many steps committed, or while the model has its question and does not answer. Its lease is
//! ended by hand, so nobody waits for it.

use std::fmt;
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::{customer, intent, on_both};
use crate::support::chat::ChatServer;
use crate::support::model_server::{Answer, ModelServer, completion};
use crate::support::place::Place;
use crate::support::process::{PATIENCE, fresh_event};
use crate::support::tables::{execute, select};

on_both!(a_run_goes_on_from_every_step_of_its_journal);

/// What the model says: two reads, a mail, a notice, and that it is done.
const REPLIES: usize = 4;
/// The steps of the whole run. These are replies: 0, 3, 5, 7.
const STEPS: usize = 8;
/// Kill points that are tried at once.
const AT_ONCE: usize = 4;

/// When the process is killed.
#[derive(Debug, Clone, Copy)]
enum Kill {
    /// So many steps are committed, and the next is being written; after the last, the end of the run.
    After(usize),
    /// The model was asked for this reply, counted from 0, and has not answered.
    Asking(usize),
}

impl Kill {
    /// The steps that are committed when it strikes.
    fn steps(self) -> usize {
        match self {
            Self::After(steps) => steps,
            Self::Asking(reply) => REPLY_AT[reply],
        }
    }

    /// Replies that the model was asked for when it strikes.
    fn asked(self) -> usize {
        match self {
            Self::After(steps) => REPLY_AT.iter().filter(|at| **at <= steps).count(),
            Self::Asking(reply) => reply + 1,
        }
    }

    /// Whether a reply is lost: it was asked for, and is not in the journal.
    fn loses_a_reply(self) -> bool {
        let known = REPLY_AT.iter().filter(|at| **at < self.steps()).count();
        self.asked() > known
    }
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(STEPS) => write!(f, "before the end"),
            Self::After(steps) => write!(f, "after {steps} steps"),
            Self::Asking(reply) => write!(f, "in reply {}", reply + 1),
        }
    }
}

/// Where in the journal each reply stands.
const REPLY_AT: [usize; REPLIES] = [0, 3, 5, 7];

/// What came of a run.
struct Outcome {
    kill: Kill,
    paid: usize,
    steps: Vec<Vec<String>>,
    effects: Vec<Vec<String>>,
    calls: Vec<Vec<String>>,
    runs: Vec<Vec<String>>,
    mails: usize,
    notices: usize,
}

fn call(id: &str, name: &str, arguments: &Value) -> Value {
    let function = json!({ "name": name, "arguments": arguments.to_string() });
    json!({ "id": id, "type": "function", "function": function })
}

fn reply(number: usize) -> Value {
    let calls = match number {
        0 => vec![
            call("a", "get_payment_history", &json!({ "limit": 5 })),
            call("b", "get_payment_history", &json!({ "limit": 50 })),
        ],
        1 => {
            let body = "Sadly this payment did not go through.\n\nA reply reaches a person.";
            let words = json!({ "subject": "About your payment", "body": body });
            vec![call("c", "send_email", &words)]
        }
        2 => {
            let words = json!({ "priority": "normal", "summary": "A call may help." });
            vec![call("d", "notify_sales", &words)]
        }
        _ => {
            let message = json!({ "role": "assistant", "content": "Done." });
            return completion(&message, &json!("stop"));
        }
    };
    let message = json!({ "role": "assistant", "content": null, "tool_calls": calls });
    completion(&message, &json!("tool_calls"))
}

/// Answers by how many of its replies it is reminded of; the request of `silent_at` gets no answer, the first time.
async fn model(silent_at: Option<usize>) -> ModelServer {
    ModelServer::start(move |body, before| {
        let messages = body["messages"].as_array().unwrap();
        let known = messages.iter().filter(|m| m["role"] == "assistant").count();
        if silent_at == Some(before) {
            return Answer::Silence;
        }
        Answer::Json(reply(known))
    })
    .await
}

/// Keeps whoever writes a step after so many, or an effect, inside that statement.
async fn hold(url: &str, steps: usize) {
    if url.starts_with("sqlite:") {
        let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) AS c FROM n";
        execute(
            url,
            &format!(
                "CREATE VIEW endless AS {endless}; \
                 CREATE TRIGGER hold_steps BEFORE INSERT ON steps WHEN (SELECT count(*) FROM steps) >= {steps} \
                 BEGIN SELECT c FROM endless; END; \
                 CREATE TRIGGER hold_effects BEFORE INSERT ON effects BEGIN SELECT c FROM endless; END;"
            ),
        )
        .await;
    } else {
        execute(
            url,
            &format!(
                "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF TG_TABLE_NAME = 'effects' OR (SELECT count(*) FROM steps) >= {steps} THEN PERFORM pg_sleep(3600); END IF; \
                 RETURN NEW; END $$; \
                 CREATE TRIGGER hold_steps BEFORE INSERT ON steps FOR EACH ROW EXECUTE FUNCTION hold(); \
                 CREATE TRIGGER hold_effects BEFORE INSERT ON effects FOR EACH ROW EXECUTE FUNCTION hold();"
            ),
        )
        .await;
    }
}

/// Lets everybody go on, the dead process's statement excepted, and ends its leases.
async fn let_go(url: &str) {
    if url.starts_with("sqlite:") {
        execute(
            url,
            "DROP TRIGGER hold_steps; DROP TRIGGER hold_effects; DROP VIEW endless;",
        )
        .await;
    } else {
        // Its server does not notice by itself that nobody waits for the statement any more.
        execute(
            url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
        execute(
            url,
            "DROP TRIGGER hold_steps ON steps; DROP TRIGGER hold_effects ON effects; DROP FUNCTION hold();",
        )
        .await;
    }
    execute(url, "UPDATE lanes SET lease_until = 0").await;
}

async fn count(url: &str, table: &str) -> usize {
    let sql = format!("SELECT CAST(count(*) AS TEXT) FROM {table}");
    select(url, &sql).await[0][0].parse().unwrap()
}

/// Kills a process at that moment, starts another, and reads what came of it all.
async fn killed(mut place: Place, kill: Kill) -> Outcome {
    let silent_at = match kill {
        Kill::Asking(reply) => Some(reply),
        Kill::After(_) => None,
    };
    let (model, chat) = (model(silent_at).await, Arc::new(ChatServer::start().await));
    place.set("OPENAI_BASE_URL", model.url());
    place.set("OPENAI_MODEL", "test-model");
    place.set("SALES_WEBHOOK_URL", chat.url());
    // Nobody takes over what a slow machine only keeps waiting.
    place.set("BILLHOOK__WORKER__LEASE", "10m");
    let url = place.url();

    let mut process = place.serve().await;
    let created = fresh_event("evt_cus", "customer.created", &customer("cus_1"));
    process.deliver(&created).await;
    process.event_when("evt_cus", "done").await;
    hold(&url, kill.steps()).await;
    let failed = intent("pi_1", Some("cus_1"), "requires_payment_method");
    let failed = fresh_event("evt_1", "payment_intent.payment_failed", &failed);
    process.deliver(&failed).await;
    process
        .wait_until(&format!("its time has come: {kill}"), async |_| {
            count(&url, "steps").await == kill.steps() && model.count() == kill.asked()
        })
        .await;
    process.signal("KILL");
    process.ends_within(PATIENCE).await;
    assert_eq!(count(&url, "steps").await, kill.steps(), "{kill}");
    assert_eq!(count(&url, "effects").await, 0, "{kill}");
    let_go(&url).await;

    let process = place.serve().await;
    process.event_when("evt_1", "done").await;
    process
        .wait_until("all messages are sent", async |process| {
            let messages = process.all("/outbox").await;
            messages.iter().all(|message| message["status"] == "sent")
        })
        .await;
    Outcome {
        kill,
        paid: model.asked().len(),
        steps: select(
            &url,
            "SELECT CAST(generation AS TEXT), CAST(seq AS TEXT) FROM steps ORDER BY generation, seq",
        )
        .await,
        effects: select(&url, "SELECT effect_key, tool FROM effects ORDER BY tool").await,
        calls: select(&url, "SELECT tool, by, verdict FROM tool_calls ORDER BY seq").await,
        runs: select(
            &url,
            "SELECT status, model, CAST(generation AS TEXT) FROM runs",
        )
        .await,
        mails: place.mails().len(),
        notices: chat.count(),
    }
}

impl Outcome {
    fn check(&self) {
        let Self { kill, .. } = self;
        let lost = usize::from(kill.loses_a_reply());
        assert_eq!(self.paid, REPLIES + lost, "{kill}");
        // One journal, each step of it once.
        let journal: Vec<_> = (0..STEPS)
            .map(|seq| ["1".to_owned(), seq.to_string()])
            .collect();
        assert_eq!(self.steps, journal, "{kill}");
        assert_eq!(self.runs, [["done", "test-model", "1"]], "{kill}");
        let by_model = |tool| [tool, "model", "allowed"];
        let read = by_model("get_payment_history");
        let calls = [read, read, by_model("send_email"), by_model("notify_sales")];
        assert_eq!(self.calls, calls, "{kill}");
        let tools: Vec<_> = self.effects.iter().map(|row| row[1].as_str()).collect();
        assert_eq!(tools, ["notify_sales", "send_email"], "{kill}");
        assert_eq!((self.mails, self.notices), (1, 1), "{kill}");
    }
}

async fn a_run_goes_on_from_every_step_of_its_journal(place: Place) {
    let after = (0..=STEPS).map(Kill::After);
    let kills = after.chain((0..REPLIES).map(Kill::Asking));
    let mut killing = Vec::new();
    for kill in kills {
        killing.push(killed(place.another().await, kill));
    }
    let mut outcomes: Vec<Outcome> = stream::iter(killing)
        .buffered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    println!("\nkilled           replies paid  steps  effects  mails  notices");
    for outcome in &mut outcomes {
        let Outcome { kill, paid, .. } = outcome;
        let (steps, effects) = (outcome.steps.len(), outcome.effects.len());
        let (mails, notices) = (outcome.mails, outcome.notices);
        let kill = kill.to_string();
        println!("{kill:<16} {paid:>12} {steps:>6} {effects:>8} {mails:>6} {notices:>8}");
    }
    assert_eq!(outcomes.len(), STEPS + 1 + REPLIES);
    for outcome in &outcomes {
        outcome.check();
    }
}
