//! `notify_finance`: a word to the finance team. It can never choose the channel, nor carry the figures itself.

use futures::future::BoxFuture;
use serde_json::Value;

use crate::notice::{Notice, propose};
use crate::{Context, Contract, Effect, Facts, Outcome, Proposal, Tool, ToolError, arguments};

const NAME: &str = "notify_finance";

const DESCRIPTION: &str = "Tell the finance team about this event, once per occurrence. Use it when money is at stake \
    that the business has to act on: a payment is disputed, money cannot reach the bank, or something has a deadline. \
    The customer, the amounts, the reason and the deadline are added by rule, so the summary only says why it matters, \
    in one or two plain sentences without digits, links, addresses or personal data. It reaches nobody outside the \
    business and cannot change anything.";

/// Proposes a notice to the finance team.
#[derive(Debug, Clone, Copy, Default)]
pub struct NotifyFinance;

impl Tool for NotifyFinance {
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
        let proposal = |priority, summary| Proposal::NotifyFinance { priority, summary };
        Box::pin(async move { propose(NAME, arguments, proposal) })
    }
}
