//! What one call comes to: refused, answered, or an answer with a proposal. Nothing takes effect here.

use billhook_tools::{Proposal, Tool, ToolError};
use serde_json::{Value, json};
use tracing::{Instrument as _, Span};

use super::arguments::parse;
use super::{Run, RunError};
use crate::agent::journal::{Entry, Judged, proposed};
use crate::agent::model::Call;
use crate::agent::prompts::primary_language;
use crate::agent::spans;
use crate::guardrails::limits::call::{Allowed, check_proposal, check_tool};
use crate::guardrails::limits::prose::Refusal;

impl Run<'_> {
    /// The record of a call that was weighed, by what `entries` propose already.
    pub(super) fn judge(
        &self,
        call: Call,
        by_rules: bool,
        weighed: Weighed,
        entries: &[Entry],
    ) -> Judged {
        let (refused, result, proposal) = match weighed.came_to {
            Outcome::Answer(result, None) => (None, result, None),
            Outcome::Answer(result, Some(proposal)) => {
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
            Outcome::Refused(refusal) => {
                let result = json!({ "error": refusal.rule, "reason": refusal.reason });
                (
                    Some((refusal.rule.to_owned(), refusal.reason)),
                    result,
                    None,
                )
            }
        };
        let judged = Judged {
            call,
            by_rules,
            refused,
            result,
            proposal,
        };
        spans::judged(&weighed.span, &judged);
        judged
    }

    /// Tests a call, makes it, and tests what it proposes. It will be step number `step` of its run.
    pub(super) async fn weigh(
        &self,
        call: &Call,
        by_rules: bool,
        step: usize,
    ) -> Result<Weighed, RunError> {
        let span = spans::tool(call, step);
        let came_to = self.make(call, by_rules).instrument(span.clone()).await?;
        Ok(Weighed { came_to, span })
    }

    async fn make(&self, call: &Call, by_rules: bool) -> Result<Outcome, RunError> {
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
        let tool = match check_tool(&call.name, &allowed) {
            Ok(tool) => tool,
            Err(refusal) => return Ok(Outcome::Refused(refusal)),
        };
        let arguments = match parse(&call.arguments) {
            Ok(arguments) => arguments,
            Err(reason) => {
                return Ok(Outcome::Refused(Refusal {
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
                Ok(checked.map_or_else(Outcome::Refused, |()| Outcome::Answer(result, proposal)))
            }
            Err(refusal) => Ok(Outcome::Refused(refusal)),
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

/// A call that was weighed, and the span that tells of it.
pub(super) struct Weighed {
    came_to: Outcome,
    span: Span,
}

/// What a call comes to by itself.
enum Outcome {
    /// An answer and, for a tool that acts, what is proposed.
    Answer(Value, Option<Proposal>),
    /// It was wrong, or not allowed.
    Refused(Refusal),
}
