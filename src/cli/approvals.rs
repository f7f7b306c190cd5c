//! `billhook approvals`: what a model proposed and a person decides about.

use std::io::{IsTerminal as _, Write as _};

use clap::Subcommand;

use super::failure::Failure;
use super::output::{Output, clean, clean_lines};
use super::timeline::short;
use super::{Answer, Surroundings};
use crate::store::{
    APPROVAL_STATUSES, ApprovalFilter, ApprovalRecord, Decision, HeldMessage, Page, SqlStore,
    Store as _, Verdict,
};

/// As what a decision on the command line is recorded.
const BY: &str = "cli";

/// What may be asked for.
#[derive(Debug, Subcommand)]
pub(super) enum Approvals {
    /// List what waits for a person and what waited, newest first
    List {
        /// Only those in this status
        #[arg(long, value_parser = APPROVAL_STATUSES)]
        status: Option<String>,
        /// How many
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
        /// Go on after this one
        #[arg(long, value_name = "ID")]
        starting_after: Option<String>,
    },
    /// Show everything that would leave, and what is done if nobody approves
    Show {
        /// The approval
        id: String,
    },
    /// Let it leave, exactly as it is shown
    Approve {
        /// The approval
        id: String,
        /// The hash that `show` printed; anything else that is held is refused
        #[arg(long)]
        hash: Option<String>,
        /// Approve what is held, without being asked
        #[arg(long)]
        yes: bool,
    },
    /// Keep it from leaving; the rules do what is owed in its place
    Deny {
        /// The approval
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

impl Approvals {
    pub(super) async fn run(
        self,
        around: &Surroundings,
        output: &mut Output,
    ) -> anyhow::Result<Answer> {
        let store = around.store().await?;
        let answer = match self {
            Self::List {
                status,
                limit,
                starting_after,
            } => {
                let page = Page {
                    limit,
                    starting_after,
                };
                list(&store, &ApprovalFilter { status }, &page, output).await?;
                Answer::Yes
            }
            Self::Show { id } => {
                let approval = find(&store, &id).await?;
                if output.is_json() {
                    output.json(&approval)?;
                } else {
                    show(&approval, output)?;
                }
                Answer::Yes
            }
            Self::Approve { id, hash, yes } => {
                let approval = find(&store, &id).await?;
                match seen(&approval, hash, yes, output)? {
                    Some(hash) => decide(&store, &id, &Verdict::Approve { hash }, output).await?,
                    None => Answer::No,
                }
            }
            Self::Deny { id, reason } => {
                decide(&store, &id, &Verdict::Deny { reason }, output).await?
            }
        };
        store.close().await;
        Ok(answer)
    }
}

async fn find(store: &SqlStore, id: &str) -> anyhow::Result<ApprovalRecord> {
    let approval = store.approval(id).await?;
    approval.ok_or_else(|| missing(id).into())
}

fn missing(id: &str) -> Failure {
    Failure::No(format!(
        "there is no approval `{id}`; `billhook approvals list` names those there are"
    ))
}

/// The hash of what the person saw: named, or shown now and confirmed. Nothing, where they think better of it.
fn seen(
    approval: &ApprovalRecord,
    hash: Option<String>,
    yes: bool,
    output: &mut Output,
) -> anyhow::Result<Option<String>> {
    if let Some(hash) = hash {
        return Ok(Some(hash));
    }
    let held = approval.status == "held";
    let asks = held && !yes && !output.is_json();
    if !asks {
        if yes || !held {
            return Ok(Some(approval.hash.clone()));
        }
        return Err(unseen(approval).into());
    }
    if !std::io::stdin().is_terminal() {
        return Err(unseen(approval).into());
    }
    show(approval, output)?;
    output.flush()?;
    // Not part of the answer: it is for whoever sits at the terminal.
    let mut terminal = std::io::stderr();
    write!(terminal, "\nLet this leave? [y/N] ").map_err(Failure::Stdout)?;
    terminal.flush().map_err(Failure::Stdout)?;
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Failure::Outside(format!("the answer cannot be read: {error}")))?;
    let agreed = matches!(answer.trim(), "y" | "Y" | "yes");
    if !agreed {
        output.line(format!(
            "{} still waits; `billhook approvals deny` ends it",
            clean(&approval.id)
        ))?;
    }
    Ok(agreed.then(|| approval.hash.clone()))
}

fn unseen(approval: &ApprovalRecord) -> Failure {
    let id = &approval.id;
    Failure::Usage(format!(
        "say what you have seen: `billhook approvals show {id}` prints it with its hash, then `billhook approvals approve {id} --hash HASH`; or `--yes` for whatever is held"
    ))
}

async fn decide(
    store: &SqlStore,
    id: &str,
    verdict: &Verdict,
    output: &mut Output,
) -> anyhow::Result<Answer> {
    let no = |text: String| Err(Failure::No(text).into());
    match store.decide_approval(id, verdict, BY).await? {
        Decision::Done => {}
        Decision::Missing => return Err(missing(id).into()),
        Decision::Over(status) => {
            return no(format!(
                "`{id}` is {status}, and is decided once; see `billhook approvals show {id}`"
            ));
        }
        Decision::OtherHash(_) => {
            return no(format!(
                "that is not the hash of what is held; look at `billhook approvals show {id}` again and approve what it prints"
            ));
        }
        Decision::Changed => {
            return no(format!(
                "what is held is not what was proposed: its row was changed in the database; `billhook approvals deny {id}` has the rules do what is owed"
            ));
        }
    }
    let approval = find(store, id).await?;
    if output.is_json() {
        output.json(&approval)?;
        return Ok(Answer::Yes);
    }
    let id = clean(&approval.id);
    output.line(match (verdict, &approval.message) {
        (Verdict::Approve { .. }, Some(message)) => format!(
            "{id} is approved; message {} leaves as soon as a worker is free, if nothing stands against it then",
            clean(&message.id)
        ),
        (Verdict::Approve { .. }, None) => format!("{id} is approved and done: {}", clean(&approval.what)),
        (Verdict::Deny { .. }, _) => {
            let reason = clean(approval.reason.as_deref().unwrap_or_default());
            match &approval.fallback {
                Some(fallback) => format!("{id} is denied ({reason}); in its place the rules have: {}", clean(fallback)),
                None => format!("{id} is denied ({reason}); nothing is owed in its place"),
            }
        }
    })?;
    Ok(Answer::Yes)
}

async fn list(
    store: &SqlStore,
    filter: &ApprovalFilter,
    page: &Page,
    output: &mut Output,
) -> anyhow::Result<()> {
    let approvals = store.approvals(filter, page).await?;
    if output.is_json() {
        return output.json(&approvals);
    }
    if approvals.data.is_empty() {
        return output.line("nothing was held");
    }
    output.table(
        &["id", "what", "status", "why", "event"],
        approvals.data.iter().map(|approval| {
            let why = approval.waits_for.as_ref().or(approval.reason.as_ref());
            vec![
                clean(&approval.id),
                clean(&approval.what),
                approval.status.clone(),
                why.map(|why| clean(why)).unwrap_or_default(),
                clean(&approval.event),
            ]
        }),
    )?;
    match approvals.data.last().filter(|_| approvals.has_more) {
        Some(last) => output.line(format!("more: add --starting-after {}", clean(&last.id))),
        None => Ok(()),
    }
}

fn show(approval: &ApprovalRecord, output: &mut Output) -> anyhow::Result<()> {
    let mut field = |name: &str, value: Option<&str>| {
        value.map_or(Ok(()), |value| {
            output.line(format!("{name:<12}{}", clean(value)))
        })
    };
    field("approval", Some(&approval.id))?;
    field("status", Some(&approval.status))?;
    field("waits", approval.waits_for.as_deref())?;
    field("because", approval.reason.as_deref())?;
    field("would", Some(&approval.what))?;
    let fallback = approval.fallback.as_deref();
    field("else rules", Some(fallback.unwrap_or("nothing is owed")))?;
    field("tool", Some(&approval.tool))?;
    field("playbook", Some(&approval.playbook))?;
    field("event", Some(&approval.event))?;
    field("customer", approval.customer.as_deref())?;
    field("proposed", Some(&short(&approval.created_at)))?;
    field("expires", Some(&short(&approval.expires_at)))?;
    let decided = approval.decided_at.as_deref().map(short);
    field("decided", decided.as_deref())?;
    field("by", approval.decided_by.as_deref())?;
    field("hash", Some(&approval.hash))?;
    match &approval.message {
        Some(message) => leaves(message, output),
        None => Ok(()),
    }
}

/// All of a message that would leave, with the parts that a terminal shows badly beside the text.
fn leaves(message: &HeldMessage, output: &mut Output) -> anyhow::Result<()> {
    let whom = message.to.as_deref().unwrap_or(&message.channel);
    output.line(format!("\nTo: {}", clean(whom)))?;
    output.line(format!("Subject: {}", clean(&message.subject)))?;
    let text = message.text.as_deref().unwrap_or_default();
    output.line(format!("\n{}", clean_lines(text).trim_end()))?;
    if let Some(html) = &message.html {
        output.line(format!("\nHTML part:\n{}", clean_lines(html).trim_end()))?;
    }
    if let Some(notice) = &message.notice {
        let notice = serde_json::to_string_pretty(notice)?;
        output.line(format!("\nChat message:\n{}", clean_lines(&notice)))?;
    }
    Ok(())
}
