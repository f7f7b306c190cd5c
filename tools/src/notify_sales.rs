//! `notify_sales`: a word to the sales team. It can never choose the channel, nor carry the figures itself.

use futures::future::BoxFuture;
use serde_json::Value;

use crate::notice::{Notice, propose};
use crate::{Context, Contract, Effect, Facts, Outcome, Proposal, Tool, ToolError, arguments};

const NAME: &str = "notify_sales";

const DESCRIPTION: &str = "Tell the sales team about this event, once per occurrence. Use it when a person should \
    look: a large customer's payment failed, or somebody valuable left. The customer, the amounts and the reason are \
    added by rule, so the summary only says why it matters, in one or two plain sentences without digits, links, \
    addresses or personal data. It reaches nobody outside the business and cannot change anything.";

/// Proposes a notice to the sales team.
#[derive(Debug, Clone, Copy, Default)]
pub struct NotifySales;

impl Tool for NotifySales {
    fn name(&self) -> &'static str {
        NAME
    }

    fn effect(&self) -> Effect {
        Effect::Outbox
    }

    fn contract(&self) -> Contract {
        arguments::contract::<Notice>(NAME, DESCRIPTION)
    }

    fn call<'a>(
        &'a self,
        arguments: &'a Value,
        _context: &'a Context,
        _facts: &'a dyn Facts,
    ) -> BoxFuture<'a, Result<Outcome, ToolError>> {
        let proposal = |priority, summary| Proposal::NotifySales { priority, summary };
        Box::pin(async move { propose(NAME, arguments, proposal) })
    }
}
