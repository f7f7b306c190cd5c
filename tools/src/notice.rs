//! What every notice to colleagues is made of: how soon to look, and why it matters. Which team hears is the tool's.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Outcome, Priority, Proposal, ToolError, arguments};

const LONGEST_SUMMARY: usize = 400;

/// The arguments of a notice.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Notice {
    /// How soon to look.
    priority: Priority,
    /// Why it matters, in one or two sentences.
    #[schemars(length(min = 1, max = 400))]
    summary: String,
}

/// Checks the arguments of the tool `name` and proposes what `proposal` makes of them.
pub(crate) fn propose(
    name: &str,
    arguments: &Value,
    proposal: impl FnOnce(Priority, String) -> Proposal,
) -> Result<Outcome, ToolError> {
    let Notice { priority, summary } = arguments::read(name, arguments)?;
    arguments::check_text(name, "summary", &summary, LONGEST_SUMMARY)?;
    Ok(Outcome {
        result: json!({ "status": "proposed", "priority": priority }),
        proposal: Some(proposal(priority, summary)),
    })
}
