//! The one choke point: every call from every model, the rules included, is judged here before it can propose anything.

use billhook_tools::{Proposal, Tool, find};

use super::prose::{Part, ProseRules, Refusal, check_prose};

/// What the run allows, whatever is called.
#[derive(Debug, Clone)]
pub struct Allowed {
    /// The playbook's tools.
    pub tools: Vec<String>,
    /// Placeholders that will be filled.
    pub placeholders: Vec<String>,
    /// The most words of a body.
    pub words: usize,
    /// The reader's locale, or the template's language for what the rules write.
    pub locale: String,
    /// Whether there is an address to write to.
    pub recipient: bool,
}

/// The tool of that name, where the playbook offers it.
pub fn check_tool(name: &str, allowed: &Allowed) -> Result<Box<dyn Tool>, Refusal> {
    let is_offered = allowed.tools.iter().any(|tool| tool == name);
    let tool = find(name).filter(|_| is_offered);
    tool.ok_or_else(|| Refusal {
        rule: "tool_not_offered",
        reason: format!(
            "there is no such tool here; there are: {}",
            allowed.tools.join(", ")
        ),
    })
}

/// Refuses what a proposal would say or do beyond its bounds.
pub fn check_proposal(proposal: &Proposal, allowed: &Allowed) -> Result<(), Refusal> {
    let placeholders: Vec<&str> = allowed.placeholders.iter().map(String::as_str).collect();
    let rules = ProseRules {
        placeholders: &placeholders,
        words: allowed.words,
        locale: &allowed.locale,
    };
    match proposal {
        Proposal::SendEmail { subject, body, .. } => {
            if !allowed.recipient {
                let reason =
                    "this customer cannot be written to: there is no address, or it is on the suppression list; tell sales instead".to_owned();
                return Err(Refusal {
                    rule: "no_recipient",
                    reason,
                });
            }
            check_prose(subject, Part::Subject, &rules)?;
            check_prose(body, Part::Body, &rules)
        }
        Proposal::NotifySales { summary, .. } | Proposal::NotifyFinance { summary, .. } => {
            // Colleagues read the business's language; facts are added by the renderer, so nothing is to be filled in.
            let rules = ProseRules {
                placeholders: &[],
                locale: "en",
                ..rules
            };
            check_prose(summary, Part::Summary, &rules)
        }
        Proposal::UpdateOrder { .. } | Proposal::ScheduleWinback { .. } => Ok(()),
    }
}
