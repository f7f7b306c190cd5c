//! One agent run: ask, journal, judge, journal, until the model is done; then what is owed and missing is added.
//!
//! Nothing here takes effect. Each reply is committed before any call in it is looked at, and each result before the
//! next: a run that dies is taken up from its journal and never asks again for what is in it. The loop knows no store
//! and no mailer, only the ports it is given.

mod arguments;

use std::collections::BTreeSet;

use billhook_tools::{Facts, Proposal, Tool, ToolError, find};
use serde_json::{Value, json};

use self::arguments::{MOST_ARGUMENT_BYTES, parse};
use crate::agent::brief::Brief;
use crate::agent::budget::{Budget, spent};
use crate::agent::journal::{Decided, Entry, Journal, Judged, decided, proposed};
use crate::agent::model::{Call, Message, Model, ModelError, Reply, Request};
use crate::agent::playbook::{OwedCall, Playbook};
use crate::agent::prompts::{Rendered, primary_language};
use crate::guardrails::limits::call::{Allowed, check_proposal, check_tool};
use crate::guardrails::limits::prose::Refusal;

/// Calls in one reply beyond this are not looked at.
const MOST_CALLS: usize = 16;

/// Wrong calls that are answered; after these the rules take over.
const MOST_CORRECTIONS: usize = 2;

/// What a model is told that answers nothing at all, once.
const NUDGE: &str = "You called no tool and wrote nothing. Call the tools that are needed. If none is, answer: done.";

/// Why a run did not come to its end, and what follows.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The model is away: tried again until the rules decide.
    #[error("deferred: {reason}")]
    Deferred {
        /// Why.
        reason: String,
        /// When the model asked to be tried again.
        retry_after: Option<std::time::Duration>,
    },
    /// Something below failed: tried again with backoff.
    #[error("the run could not go on")]
    Retry(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a run is made of.
pub struct Run<'a> {
    /// Its playbook.
    pub playbook: &'a Playbook,
    /// What the model is told.
    pub rendered: &'a Rendered,
    /// What it is decided on.
    pub brief: &'a Brief,
    /// What is owed.
    pub owed: &'a [OwedCall],
    /// Who decides.
    pub model: &'a dyn Model,
    /// Where it asks whether the model may be asked; none where it costs nothing.
    pub budget: Option<&'a dyn Budget>,
    /// Where steps go.
    pub journal: &'a dyn Journal,
    /// When nobody waits for the run any more.
    pub deadline: Option<tokio::time::Instant>,
    /// Where tools read.
    pub facts: &'a dyn Facts,
    /// Renders what a model proposes as it would leave, and refuses what could not.
    pub rehearse: &'a (dyn Fn(&Proposal) -> Result<(), Refusal> + Send + Sync),
}

impl Run<'_> {
    /// Runs from `entries`, which a crashed predecessor may have left, to the end.
    pub async fn decide(&self, mut entries: Vec<Entry>) -> Result<Decided, RunError> {
        let mut cut_short = None;
        loop {
            if let Some((call, by_rules)) = Self::unanswered(&entries) {
                let judged = self.judge(call, by_rules, &entries).await?;
                self.commit(&mut entries, Entry::Result(judged)).await?;
                continue;
            }
            if self.is_over(&entries) {
                break;
            }
            cut_short = spent(self.budget).await?;
            if cut_short.is_some() {
                break;
            }
            let reply = match self.model.reply(&self.request(&entries)).await {
                Ok(reply) => reply,
                Err(ModelError::Unavailable {
                    reason,
                    retry_after,
                }) => {
                    return Err(RunError::Deferred {
                        reason,
                        retry_after,
                    });
                }
                // An answer that will never come is an empty one: the rules add what is owed.
                Err(ModelError::Rejected { reason }) => Reply {
                    refusal: Some(reason),
                    ..Reply::default()
                },
            };
            self.commit(
                &mut entries,
                Entry::Reply {
                    reply: reply.clipped(MOST_CALLS, MOST_ARGUMENT_BYTES),
                    by_rules: self.model.is_rules(),
                },
            )
            .await?;
        }
        for (at, call) in self.missing(&entries).into_iter().enumerate() {
            let call = Call {
                id: format!("owed{at}"),
                name: call.tool.clone(),
                arguments: call.args.to_string(),
            };
            let judged = self.judge(call, true, &entries).await?;
            self.commit(&mut entries, Entry::Result(judged)).await?;
        }
        match self.broken_duty(&entries) {
            Some(reason) => Err(RunError::Retry(reason.into())),
            None => Ok(Decided {
                cut_short,
                ..decided(&entries)
            }),
        }
    }

    async fn commit(&self, entries: &mut Vec<Entry>, entry: Entry) -> Result<(), RunError> {
        self.journal
            .commit(entries.len(), &entry)
            .await
            .map_err(|error| RunError::Retry(Box::new(error)))?;
        entries.push(entry);
        Ok(())
    }

    /// The first call of the last reply that has no result yet.
    fn unanswered(entries: &[Entry]) -> Option<(Call, bool)> {
        let at = entries
            .iter()
            .rposition(|entry| matches!(entry, Entry::Reply { .. }))?;
        let Some(Entry::Reply { reply, by_rules }) = entries.get(at) else {
            return None;
        };
        let answered = entries.len() - at - 1;
        let call = reply.calls.iter().take(MOST_CALLS).nth(answered)?;
        Some((call.clone(), *by_rules))
    }

    fn is_over(&self, entries: &[Entry]) -> bool {
        let turns = entries
            .iter()
            .filter(|entry| matches!(entry, Entry::Reply { .. }))
            .count();
        let last = entries.iter().rev().find_map(|entry| match entry {
            Entry::Reply { reply, .. } => Some(reply),
            Entry::Result(_) => None,
        });
        let quiet = last.is_some_and(|reply| reply.calls.is_empty()) && !is_speechless(entries);
        let wrong = entries
            .iter()
            .filter(|entry| matches!(entry, Entry::Result(judged) if judged.refused.is_some() && !judged.by_rules))
            .count();
        quiet
            || wrong > MOST_CORRECTIONS
            || turns >= usize::try_from(self.playbook.limits.turns).unwrap_or(1)
    }

    fn request(&self, entries: &[Entry]) -> Request {
        // The system prompt and the tools are the same for every run of a playbook, so providers can cache them.
        let data = json!({ "facts": self.brief.context });
        let user = format!(
            "{}\n\nWhat is known, as data:\n{data}",
            self.rendered.instructions
        );
        let mut messages = vec![
            Message::System {
                content: self.rendered.system.clone(),
            },
            Message::User { content: user },
        ];
        let nudge = is_speechless(entries).then(|| Message::User {
            content: NUDGE.to_owned(),
        });
        for entry in entries {
            messages.push(match entry {
                Entry::Reply { reply, .. } => Message::Assistant {
                    content: reply.content.clone().unwrap_or_default(),
                    calls: reply.calls.iter().take(MOST_CALLS).cloned().collect(),
                },
                Entry::Result(judged) => Message::Tool {
                    call_id: judged.call.id.clone(),
                    content: judged.result.to_string(),
                },
            });
        }
        messages.extend(nudge);
        let tools = self
            .playbook
            .tools
            .iter()
            .filter_map(|name| find(name))
            .map(|tool| tool.contract())
            .collect();
        Request {
            messages,
            tools,
            owed: self.owed.to_vec(),
            deadline: self.deadline,
        }
    }

    /// What is owed for sure and was not proposed; what the rules tried already is not tried again.
    fn missing(&self, entries: &[Entry]) -> Vec<OwedCall> {
        let settled: BTreeSet<&str> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Result(judged) if judged.refused.is_none() || judged.by_rules => {
                    Some(judged.call.name.as_str())
                }
                _ => None,
            })
            .collect();
        self.owed
            .iter()
            .filter(|call| call.must && !settled.contains(call.tool.as_str()))
            .cloned()
            .collect()
    }

    /// Why something owed for sure will not happen although the rules called it. That there is nobody to do it for is no
    /// fault; that a template does not pass its own filters is one, and must not end as if all were done.
    fn broken_duty(&self, entries: &[Entry]) -> Option<String> {
        entries.iter().find_map(|entry| match entry {
            Entry::Result(Judged {
                call,
                by_rules: true,
                refused: Some((rule, reason)),
                ..
            }) => {
                let must = self
                    .owed
                    .iter()
                    .any(|owed| owed.must && owed.tool == call.name);
                (must && !rule.starts_with("no_")).then(|| {
                    format!(
                        "the rules' own {} was refused by {rule}: {reason}",
                        call.name
                    )
                })
            }
            _ => None,
        })
    }

    async fn judge(
        &self,
        call: Call,
        by_rules: bool,
        entries: &[Entry],
    ) -> Result<Judged, RunError> {
        let (refused, result, proposal) = match self.weigh(&call, by_rules).await? {
            Weighed::Answer(result, None) => (None, result, None),
            Weighed::Answer(result, Some(proposal)) => {
                let key = proposal.effect_key(&self.brief.bound);
                let first = proposed(entries).find(|(known, _)| **known == key);
                match first {
                    // The first stands; the model is told, so that it does not try yet another way.
                    Some((_, stands)) => {
                        let result =
                            json!({ "status": "duplicate", "conflict": *stands != proposal });
                        (None, result, Some((key, stands.clone())))
                    }
                    None => (None, result, Some((key, proposal))),
                }
            }
            Weighed::Refused(refusal) => {
                let result = json!({ "error": refusal.rule, "reason": refusal.reason });
                (
                    Some((refusal.rule.to_owned(), refusal.reason)),
                    result,
                    None,
                )
            }
        };
        Ok(Judged {
            call,
            by_rules,
            refused,
            result,
            proposal,
        })
    }

    async fn weigh(&self, call: &Call, by_rules: bool) -> Result<Weighed, RunError> {
        let brief = self.brief;
        let offered = Allowed {
            tools: self.playbook.tools.clone(),
            placeholders: brief.placeholders(),
            words: usize::try_from(self.playbook.limits.words).unwrap_or(0),
            // The rules write from a template, which has a language of its own where the reader's is not supported.
            locale: if by_rules {
                brief.language.clone()
            } else {
                brief.locale.clone()
            },
            recipient: brief.recipient.is_some(),
        };
        let allowed = Allowed {
            // A model may write in the template's language too where the customer's locale is one of its regions.
            locale: if primary_language(&offered.locale) == brief.language {
                brief.language.clone()
            } else {
                offered.locale
            },
            ..offered
        };
        if let Err(refusal) = check_tool(&call.name, &allowed) {
            return Ok(Weighed::Refused(refusal));
        }
        let Some(tool) = find(&call.name) else {
            return Ok(Weighed::Refused(Refusal {
                rule: "unknown_tool",
                reason: "there is no such tool".to_owned(),
            }));
        };
        let arguments = match parse(&call.arguments) {
            Ok(arguments) => arguments,
            Err(reason) => {
                return Ok(Weighed::Refused(Refusal {
                    rule: "invalid_arguments",
                    reason,
                }));
            }
        };
        match self.call(tool.as_ref(), &arguments).await? {
            Ok((result, proposal)) => {
                let checked = proposal.as_ref().map_or(Ok(()), |proposal| {
                    check_proposal(proposal, &allowed)?;
                    // What the rules write and cannot be rendered is a fault of the templates, and must be loud.
                    if by_rules {
                        Ok(())
                    } else {
                        (self.rehearse)(proposal)
                    }
                });
                Ok(checked.map_or_else(Weighed::Refused, |()| Weighed::Answer(result, proposal)))
            }
            Err(refusal) => Ok(Weighed::Refused(refusal)),
        }
    }

    async fn call(
        &self,
        tool: &dyn Tool,
        arguments: &Value,
    ) -> Result<Result<(Value, Option<Proposal>), Refusal>, RunError> {
        match tool.call(arguments, &self.brief.bound, self.facts).await {
            Ok(outcome) => Ok(Ok((outcome.result, outcome.proposal))),
            Err(ToolError::TellModel(text)) => {
                let rule = ["no_recipient", "no_order", "no_customer", "no_subscription"]
                    .into_iter()
                    .find(|rule| text.starts_with(rule))
                    .unwrap_or("invalid_arguments");
                Ok(Err(Refusal { rule, reason: text }))
            }
            Err(ToolError::Fatal(error)) => Err(RunError::Retry(Box::new(error))),
        }
    }
}

/// Whether all that a model said in a run is one reply without a word. Some servers lose what their model wrote.
fn is_speechless(entries: &[Entry]) -> bool {
    let [
        Entry::Reply {
            reply,
            by_rules: false,
        },
    ] = entries
    else {
        return false;
    };
    let says = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.trim().is_empty());
    reply.calls.is_empty() && !says(&reply.content) && !says(&reply.refusal)
}

enum Weighed {
    Answer(Value, Option<Proposal>),
    Refused(Refusal),
}
