//! `billhook suppressions`: mailboxes that are never written to.

use clap::Subcommand;
use serde_json::json;

use super::failure::Failure;
use super::output::{Output, clean};
use super::{Answer, Surroundings};
use crate::guardrails::recipient::{is_address, recipient_key};
use crate::store::{Page, Store as _};

/// What may be done with the list.
#[derive(Debug, Subcommand)]
pub(super) enum Suppressions {
    /// List the mailboxes, the newest first
    List {
        /// How many
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
        /// Go on after this entry
        #[arg(long, value_name = "ID")]
        starting_after: Option<String>,
    },
    /// Never write to a mailbox again, however its address is spelled
    Add {
        /// The address
        address: String,
        /// Why
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Let a mailbox be written to again; what was suppressed meanwhile stays so
    Remove {
        /// The address
        address: String,
    },
}

impl Suppressions {
    pub(super) async fn run(
        self,
        around: &Surroundings,
        output: &mut Output,
    ) -> anyhow::Result<Answer> {
        let (address, reason) = match self {
            Self::List {
                limit,
                starting_after,
            } => {
                let page = Page {
                    limit,
                    starting_after,
                };
                list(&page, around, output).await?;
                return Ok(Answer::Yes);
            }
            Self::Add { address, reason } => (address, Some(reason)),
            Self::Remove { address } => (address, None),
        };
        if !is_address(&address) {
            let what = "that is no mail address; write it as ada@example.com".to_owned();
            return Err(Failure::Usage(what).into());
        }
        let store = around.store().await?;
        let changed = store.suppress(&address, reason.as_deref()).await?;
        let key = recipient_key(&address);
        if output.is_json() {
            let word = if reason.is_some() { "added" } else { "deleted" };
            output.json(&json!({ "object": "suppression", "address": key, word: changed }))?;
        } else {
            output.line(match (reason.is_some(), changed) {
                (true, true) => format!("{} is never written to from now on", clean(&key)),
                (true, false) => format!("{} was on the list already", clean(&key)),
                (false, true) => format!("{} may be written to again", clean(&key)),
                (false, false) => format!("{} is not on the list", clean(&key)),
            })?;
        }
        store.close().await;
        Ok(Answer::Yes)
    }
}

async fn list(page: &Page, around: &Surroundings, output: &mut Output) -> anyhow::Result<()> {
    let store = around.store().await?;
    let found = store.suppressions(page).await?;
    if output.is_json() {
        output.json(&found)?;
    } else if found.data.is_empty() {
        output.line("every mailbox may be written to")?;
    } else {
        let rows = found.data.iter().map(|one| {
            vec![
                clean(&one.id),
                clean(&one.address),
                clean(&one.reason),
                one.created_at.clone(),
            ]
        });
        output.table(&["id", "address", "reason", "since"], rows)?;
        if let Some(last) = found.data.last().filter(|_| found.has_more) {
            output.line(format!("more: add --starting-after {}", clean(&last.id)))?;
        }
    }
    store.close().await;
    Ok(())
}
