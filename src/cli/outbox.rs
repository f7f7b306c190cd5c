//! `billhook outbox`: messages, as they were rendered and where they are.

use clap::Subcommand;

use super::failure::Failure;
use super::output::{Output, clean, clean_lines};
use super::{Answer, Surroundings};
use crate::store::{MessageRecord, Page, Store as _};

/// What may be asked for.
const STATUSES: [&str; 9] = [
    "pending",
    "sending",
    "sent",
    "failed",
    "unknown",
    "suppressed",
    "held",
    "denied",
    "expired",
];

#[derive(Debug, Subcommand)]
pub(super) enum Outbox {
    /// List messages, newest first
    List {
        /// Only those in this status
        #[arg(long, value_parser = STATUSES)]
        status: Option<String>,
        /// How many
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
        /// Go on after this message
        #[arg(long, value_name = "ID")]
        starting_after: Option<String>,
    },
    /// Show one message as it was rendered
    Show {
        /// The message
        id: String,
    },
}

impl Outbox {
    pub(super) async fn run(
        self,
        around: &Surroundings,
        output: &mut Output,
    ) -> anyhow::Result<Answer> {
        let store = around.store().await?;
        match self {
            Self::List {
                status,
                limit,
                starting_after,
            } => {
                let page = Page {
                    limit,
                    starting_after,
                };
                let messages = store.messages(status.as_deref(), &page).await?;
                if output.is_json() {
                    output.json(&messages)?;
                    return Ok(Answer::Yes);
                }
                if messages.data.is_empty() {
                    output.line("no messages")?;
                    return Ok(Answer::Yes);
                }
                output.table(
                    &["id", "to", "subject", "status", "why", "event"],
                    messages.data.iter().map(row),
                )?;
                if let Some(last) = messages.data.last().filter(|_| messages.has_more) {
                    output.line(format!("more: add --starting-after {}", clean(&last.id)))?;
                }
            }
            Self::Show { id } => {
                let Some(message) = store.message(&id).await? else {
                    return Err(Failure::No(format!(
                        "there is no message `{id}`; `billhook outbox list` names those there are"
                    ))
                    .into());
                };
                if output.is_json() {
                    output.json(&message)?;
                } else {
                    show(&message, output)?;
                }
            }
        }
        store.close().await;
        Ok(Answer::Yes)
    }
}

fn row(message: &MessageRecord) -> Vec<String> {
    vec![
        clean(&message.id),
        recipient(message),
        clean(&message.subject),
        message.status.clone(),
        clean(message.reason.as_deref().unwrap_or_default()),
        clean(&message.event),
    ]
}

/// Who gets it: an address, or the business's own people.
pub(super) fn recipient(message: &MessageRecord) -> String {
    message
        .to
        .as_deref()
        .map_or_else(|| message.channel.clone(), clean)
}

fn show(message: &MessageRecord, output: &mut Output) -> anyhow::Result<()> {
    let mut field = |name: &str, value: Option<&str>| {
        value.map_or(Ok(()), |value| {
            output.line(format!("{name:<12}{}", clean(value)))
        })
    };
    field("message", Some(&message.id))?;
    field("to", Some(&recipient(message)))?;
    field("subject", Some(&message.subject))?;
    field("status", Some(&message.status))?;
    field("because", message.reason.as_deref())?;
    field("not before", message.not_before.as_deref())?;
    field("sent", message.sent_at.as_deref())?;
    field("attempts", Some(&message.attempts.to_string()))?;
    field("event", Some(&message.event))?;
    field("playbook", Some(&message.playbook))?;
    field("message id", Some(&message.message_id))?;
    output.line(format!(
        "\n{}",
        clean_lines(message.text.as_deref().unwrap_or_default()).trim_end()
    ))
}
