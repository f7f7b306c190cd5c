//! `billhook outbox`: messages, as they were rendered and where they are.

use clap::{Subcommand, ValueEnum};

use super::failure::Failure;
use super::output::{Output, clean, clean_lines};
use super::{Answer, Surroundings};
use crate::store::{
    Channel, MESSAGE_STATUSES, MessageFilter, MessageRecord, Page, Resolution, Resolved, Store as _,
};

/// What may be asked for.
#[derive(Debug, Subcommand)]
pub(super) enum Outbox {
    /// List messages, newest first
    List {
        /// Only those in this status
        #[arg(long, value_parser = MESSAGE_STATUSES)]
        status: Option<String>,
        /// Only those to customers (`email`), to colleagues, or to the business's own application
        #[arg(long, value_parser = Channel::WORDS)]
        channel: Option<String>,
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
    /// Say what became of a message whose fate nobody knows, or send a notice again
    Resolve {
        /// The message
        id: String,
        /// `sent`: it went out, nothing more is done. `resend`: it goes again, and may so arrive twice; also for
        /// a notice to sales or finance that is failed or expired
        resolution: Word,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Word {
    Sent,
    Resend,
}

impl From<Word> for Resolution {
    fn from(word: Word) -> Self {
        match word {
            Word::Sent => Self::Sent,
            Word::Resend => Self::Resend,
        }
    }
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
                channel,
                limit,
                starting_after,
            } => {
                let page = Page {
                    limit,
                    starting_after,
                };
                let filter = MessageFilter {
                    status,
                    channel: channel.as_deref().and_then(Channel::parse),
                };
                let messages = store.messages(&filter, &page).await?;
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
                    return Err(missing(&id).into());
                };
                if output.is_json() {
                    output.json(&message)?;
                } else {
                    show(&message, output)?;
                }
            }
            Self::Resolve { id, resolution } => {
                let resolved = store.resolve_message(&id, resolution.into()).await?;
                let message = match resolved {
                    Resolved::Done => store.message(&id).await?,
                    Resolved::NotUnknown(status) => {
                        return Err(not_unknown(&id, &status).into());
                    }
                    Resolved::Missing => None,
                };
                let Some(message) = message else {
                    return Err(missing(&id).into());
                };
                if output.is_json() {
                    output.json(&message)?;
                } else {
                    output.line(match resolution {
                        Word::Sent => format!("{id} is sent; nothing more is done about it"),
                        Word::Resend => format!("{id} goes again as soon as a worker is free"),
                    })?;
                }
            }
        }
        store.close().await;
        Ok(Answer::Yes)
    }
}

fn missing(id: &str) -> Failure {
    Failure::No(format!(
        "there is no message `{id}`; `billhook outbox list` names those there are"
    ))
}

fn not_unknown(id: &str, status: &str) -> Failure {
    Failure::No(format!(
        "`{id}` is {status}, and only an unknown message can be resolved, or a failed or expired notice to sales or finance sent again; see `billhook outbox show {id}`"
    ))
}

fn row(message: &MessageRecord) -> Vec<String> {
    vec![
        clean(&message.id),
        recipient(message),
        clean(&message.subject),
        message.status.clone(),
        why(message).unwrap_or_default(),
        message.event.as_deref().map(clean).unwrap_or_default(),
    ]
}

/// Who gets it: an address, or the business's own people.
pub(super) fn recipient(message: &MessageRecord) -> String {
    message
        .to
        .as_deref()
        .map_or_else(|| message.channel.clone(), clean)
}

/// What it waits for, which names the reason; else the reason alone.
pub(super) fn why(message: &MessageRecord) -> Option<String> {
    let why = message.waits_for.as_ref().or(message.reason.as_ref());
    why.map(|why| clean(why))
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
    field("waits", message.waits_for.as_deref())?;
    field("because", message.reason.as_deref())?;
    field("not before", message.not_before.as_deref())?;
    field("expires", message.expires_at.as_deref())?;
    field("sent", message.sent_at.as_deref())?;
    field("attempts", Some(&message.attempts.to_string()))?;
    field("event", message.event.as_deref())?;
    field("playbook", message.playbook.as_deref())?;
    field("about", message.about.as_deref())?;
    let version = message.version.map(|version| version.to_string());
    field("version", version.as_deref())?;
    field("message id", Some(&message.message_id))?;
    output.line(format!(
        "\n{}",
        clean_lines(message.text.as_deref().unwrap_or_default()).trim_end()
    ))
}
