//! `notify_sales`: a word to the sales team. It can never choose the channel, nor carry the figures itself.

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Context, Contract, Effect, Facts, Outcome, Priority, Proposal, Tool, ToolError, arguments,
};

const NAME: &str = "notify_sales";

const DESCRIPTION: &str = "Tell the sales team about this event, once per occurrence. Use it when a person should \
    look: a large customer's payment failed, or somebody valuable left. The customer, the amounts and the reason are \
    added by rule, so the summary only says why it matters, in one or two plain sentences without digits, links, \
    addresses or personal data. It reaches nobody outside the business and cannot change anything.";

const LONGEST_SUMMARY: usize = 400;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// How soon to look.
    priority: Priority,
    /// Why it matters, in one or two sentences.
    #[schemars(length(min = 1, max = 400))]
    summary: String,
}

/// Proposes a notice to the sales team.
#[derive(Debug, Clone, Copy, Default)]
pub struct NotifySales;

impl NotifySales {
    fn propose(arguments: &Value) -> Result<Outcome, ToolError> {
        let Arguments { priority, summary } = arguments::read(NAME, arguments)?;
        arguments::check_text(NAME, "summary", &summary, LONGEST_SUMMARY)?;
        Ok(Outcome {
            result: json!({ "status": "proposed", "priority": priority }),
            proposal: Some(Proposal::NotifySales { priority, summary }),
        })
    }
}

impl Tool for NotifySales {
    fn name(&self) -> &'static str {
        NAME
    }

    fn effect(&self) -> Effect {
        Effect::Outbox
    }

    fn contract(&self) -> Contract {
        arguments::contract::<Arguments>(NAME, DESCRIPTION)
    }

    fn call<'a>(
        &'a self,
        arguments: &'a Value,
        _context: &'a Context,
        _facts: &'a dyn Facts,
    ) -> BoxFuture<'a, Result<Outcome, ToolError>> {
        Box::pin(async move { Self::propose(arguments) })
    }
}
