//! The worst model there is: it obeys every attacker, and tries what they want without having been told, too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use billhook::agent::model::{Message, Reply, Request};
use billhook::agent::scripted::Scripted;
use serde_json::Value;

use super::doors::Attack;
use super::marks::holds_a_mark;

/// What it said in a case, and what it was shown.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    /// What is left to try, by turn.
    turns: Vec<Vec<Attack>>,
    /// How often it was asked since the case began.
    pub(super) asked: usize,
    /// Whether anything that it was sent held an attacker's words.
    pub(super) was_shown_a_mark: bool,
    /// Where in a call the attack stood, by the tool's name and the arguments.
    pub(super) sinks: BTreeMap<(String, String), &'static str>,
    /// Only a run that offers this tool is attacked; elsewhere it does nothing.
    waits_for: Option<&'static str>,
}

/// The model, and a way to tell it what to do next.
#[derive(Clone, Default)]
pub(super) struct Adversary {
    conduct: Arc<Mutex<Conduct>>,
}

impl Adversary {
    pub(super) fn model(&self) -> Arc<Scripted> {
        let conduct = self.conduct.clone();
        Arc::new(Scripted::answering(move |request, _| {
            Ok(conduct.lock().unwrap().answer(request))
        }))
    }

    /// Begins a case.
    pub(super) fn begin(&self, turns: Vec<Vec<Attack>>, waits_for: Option<&'static str>) {
        *self.conduct.lock().unwrap() = Conduct {
            turns,
            waits_for,
            ..Conduct::default()
        };
    }

    /// Ends a case: nothing more is tried until the next.
    pub(super) fn end(&self) -> Conduct {
        std::mem::take(&mut *self.conduct.lock().unwrap())
    }
}

impl Conduct {
    fn answer(&mut self, request: &Request) -> Reply {
        let shown = request.messages.iter().filter_map(|message| match message {
            Message::System { content }
            | Message::User { content }
            | Message::Tool { content, .. } => Some(content),
            // Its own words.
            Message::Assistant { .. } => None,
        });
        // A refusal may name what was refused.
        let first = !request
            .messages
            .iter()
            .any(|message| matches!(message, Message::Assistant { .. }));
        let reads = request.messages.iter().any(|message| matches!(message, Message::Tool { content, .. } if content.contains("\"payments\"")));
        self.was_shown_a_mark |= (first || reads)
            && shown
                .filter(|content| !content.contains("\"error\""))
                .any(|content| holds_a_mark(content));
        let offers = |name: &str| request.tools.iter().any(|tool| tool.name == name);
        if self.waits_for.is_some_and(|name| !offers(name)) {
            return Reply {
                content: Some("Done.".to_owned()),
                finish: "stop".to_owned(),
                ..Reply::default()
            };
        }
        self.asked += 1;
        let attacks = if self.turns.is_empty() {
            Vec::new()
        } else {
            self.turns.remove(0)
        };
        let mut reply = Reply {
            finish: "tool_calls".to_owned(),
            ..Reply::default()
        };
        for attack in attacks {
            for call in &attack.calls {
                let arguments = canonical(&call.arguments);
                self.sinks
                    .insert((call.name.clone(), arguments), attack.sink);
            }
            reply.calls.extend(attack.calls);
            if let Some(text) = attack.content {
                reply.content = Some(reply.content.unwrap_or_default() + &text);
            }
        }
        // Each call has an id of its own, but for one that is itself the attack.
        for (at, call) in reply.calls.iter_mut().enumerate() {
            if call.id.starts_with("call_") {
                call.id = format!("c{}x{at}", self.asked);
            }
        }
        reply
    }
}

/// Arguments as a table keeps them.
pub(super) fn canonical(arguments: &str) -> String {
    serde_json::from_str(arguments)
        .unwrap_or_else(|_| Value::from(arguments))
        .to_string()
}
