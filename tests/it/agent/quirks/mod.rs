//! What servers of chat completions do that the protocol does not say, each emitted by a local one, as JSON and as a
//! stream: a run goes on as far as it is safe, and what is owed is done once whatever happens.

mod answers;
mod calls;
mod lines;
mod requests;

use std::collections::BTreeMap;
use std::sync::Arc;

use billhook::agent::openai::OpenAi;
use billhook::clock::{ManualClock, Timestamp};
use billhook::config::Config;
use serde_json::{Value, json};

use super::scene::{kind_mail, play, refusals, shown};
use crate::support::app::{START, TestApp};
use crate::support::model_server::{Answer, ModelServer, completion, events};

/// One that answers within a minute on any machine, with settings on top.
pub(super) fn model(settings: &[(&str, &str)]) -> (Arc<OpenAi>, Arc<ManualClock>) {
    let env: BTreeMap<String, String> = [("OPENAI_MODEL", "test-model")]
        .iter()
        .chain(settings)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let config = Config::from_layers(None, &env).unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(START)));
    let model = OpenAi::new(&config.model, clock.clone()).unwrap().unwrap();
    (Arc::new(model), clock)
}

/// A failed payment, decided by a model at `server`.
async fn decided_at(server: &ModelServer, settings: &[(&str, &str)]) -> TestApp {
    let settings: Vec<(&str, &str)> = [("OPENAI_BASE_URL", server.url())]
        .into_iter()
        .chain(settings.iter().copied())
        .collect();
    play("payment_failed", model(&settings).0).await
}

/// How an answer arrives.
#[derive(Debug, Clone, Copy)]
enum Form {
    Whole,
    Streamed,
}

const FORMS: [Form; 2] = [Form::Whole, Form::Streamed];

impl Form {
    fn of(self, completion: &Value) -> Answer {
        match self {
            Self::Whole => Answer::Json(completion.clone()),
            Self::Streamed => Answer::Events(events(completion)),
        }
    }
}

/// A server that gives completions in order, then says that it is done.
async fn giving(form: Form, completions: Vec<Value>) -> ModelServer {
    ModelServer::start(move |_, before| {
        let done = done();
        form.of(completions.get(before).unwrap_or(&done))
    })
    .await
}

fn done() -> Value {
    completion(
        &json!({"role": "assistant", "content": "done"}),
        &json!("stop"),
    )
}

/// A completion that makes calls.
fn calling(calls: &Value) -> Value {
    let message = json!({"role": "assistant", "content": null, "tool_calls": calls});
    completion(&message, &json!("tool_calls"))
}

fn call(name: &str, arguments: &Value) -> Value {
    let function = json!({"name": name, "arguments": arguments});
    json!({"id": format!("call_{name}"), "type": "function", "function": function})
}

/// The arguments of a mail that is fine, as text.
fn mail_arguments() -> String {
    kind_mail().arguments
}

fn mail_call() -> Value {
    call("send_email", &mail_arguments().into())
}

fn notice_call() -> Value {
    let arguments = json!({"priority": "high", "summary": "A loyal customer; a call may help."});
    call("notify_sales", &arguments.to_string().into())
}

/// Whose words the one mail has, and which rules refused a call before it.
#[derive(Debug, PartialEq)]
struct Ended {
    mail_by: String,
    refused: Vec<String>,
}

impl Ended {
    fn by_model(refused: &[&str]) -> Self {
        Self {
            mail_by: "model".to_owned(),
            refused: refused.iter().map(|&rule| rule.to_owned()).collect(),
        }
    }

    fn by_rules(refused: &[&str]) -> Self {
        Self {
            mail_by: "rules".to_owned(),
            ..Self::by_model(refused)
        }
    }
}

/// How it ended, where it ended as it must: one mail, one notice, nothing left to do.
async fn ended(app: &TestApp) -> Ended {
    let event = shown(app).await;
    let run = event.run.unwrap();
    assert_eq!((run.status.as_str(), run.reason), ("done", None));
    assert_eq!((event.status.as_str(), app.mails().len()), ("done", 1));
    let of = |tool: &str| {
        let calls = event.tool_calls.iter();
        let done: Vec<_> = calls
            .filter(|call| call.tool == tool && call.verdict == "allowed")
            .filter(|call| call.effect.as_deref() != Some("duplicate"))
            .map(|call| call.by.clone())
            .collect();
        assert_eq!(done.len(), 1, "{tool}: {:#?}", event.tool_calls);
        done.into_iter().next().unwrap()
    };
    of("notify_sales");
    Ended {
        mail_by: of("send_email"),
        refused: refusals(app).await,
    }
}
