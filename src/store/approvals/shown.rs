//! Approvals as people and programs see them.

use super::{Awaited, Fallback};
use crate::clock::Timestamp;
use crate::store::database::{Row, args, statements};
use crate::store::error::StoreError;
use crate::store::records::{Action, NewMessage};
use crate::store::shown::rows::parsed;
use crate::store::shown::{Listing, Page};
use crate::store::sql_store::SqlStore;
use crate::store::verdicts::{ApprovalFilter, ApprovalRecord, HeldMessage};

statements! {
    NEWEST: "SELECT a.*, m.channel, m.recipient, m.subject, m.text, m.html, m.notice FROM approvals a LEFT JOIN messages m ON m.id = a.message \
        WHERE (a.created_at, a.id) < ($1, $2) ORDER BY a.created_at DESC, a.id DESC LIMIT $3";
    OF_STATUS: "SELECT a.*, m.channel, m.recipient, m.subject, m.text, m.html, m.notice FROM approvals a LEFT JOIN messages m ON m.id = a.message \
        WHERE a.status = $4 AND (a.created_at, a.id) < ($1, $2) ORDER BY a.created_at DESC, a.id DESC LIMIT $3";
    ONE: "SELECT a.*, m.channel, m.recipient, m.subject, m.text, m.html, m.notice FROM approvals a LEFT JOIN messages m ON m.id = a.message WHERE a.id = $1";
    OF_OCCURRENCE: "SELECT a.*, m.channel, m.recipient, m.subject, m.text, m.html, m.notice FROM approvals a LEFT JOIN messages m ON m.id = a.message \
        WHERE a.occurrence = $1 ORDER BY a.created_at, a.id";
    AT: "SELECT created_at AS place FROM approvals WHERE id = $1";
}

impl SqlStore {
    pub(in crate::store) async fn list_approvals(
        &self,
        filter: &ApprovalFilter,
        page: &Page,
    ) -> Result<Listing<ApprovalRecord>, StoreError> {
        let (at, id) = self.place(page, "approval", &AT, &[]).await?;
        let most = i64::from(page.limit) + 1;
        let rows = match &filter.status {
            None => self.db.rows(&NEWEST, args![at, id, most]).await?,
            Some(status) => {
                let asked = args![at, id, most, status];
                self.db.rows(&OF_STATUS, asked).await?
            }
        };
        let now = self.clock.now();
        let approvals = rows.iter().map(|row| approval(row, now, false));
        Ok(Listing::new(
            approvals.collect::<Result<_, _>>()?,
            page.limit,
        ))
    }

    pub(in crate::store) async fn read_approval(
        &self,
        id: &str,
    ) -> Result<Option<ApprovalRecord>, StoreError> {
        let row = self.db.row(&ONE, args![id]).await?;
        let now = self.clock.now();
        row.map(|row| approval(&row, now, true)).transpose()
    }

    /// What was held of the runs of an occurrence.
    pub(in crate::store) async fn approvals_of(
        &self,
        occurrence: &str,
    ) -> Result<Vec<ApprovalRecord>, StoreError> {
        let rows = self.db.rows(&OF_OCCURRENCE, args![occurrence]).await?;
        let now = self.clock.now();
        rows.iter().map(|row| approval(row, now, false)).collect()
    }
}

fn approval(row: &Row, now: Timestamp, is_whole: bool) -> Result<ApprovalRecord, StoreError> {
    let id = row.text("id")?;
    let status = row.text("status")?;
    let expires_at = row.time("expires_at")?;
    let fallback = row.opt_text("fallback")?;
    let fallback: Option<Fallback> = fallback.map(|_| row.json("fallback")).transpose()?;
    let message = message(row, is_whole)?;
    let what = match &message {
        Some(message) => {
            let whom = message.to.as_deref().unwrap_or(&message.channel);
            format!("send \"{}\" to {whom}", message.subject)
        }
        None => in_words(&row.json("action")?),
    };
    let waits_for = (status == "held").then(|| {
        let end = Timestamp::from_seconds(expires_at.seconds());
        if expires_at <= now {
            return format!("expired at {end}, and will be marked as such in some seconds");
        }
        let then = match &fallback {
            Some(_) => "the rules do what is owed",
            None => "nothing is done",
        };
        format!(
            "waits for a person until {end}, then {then}: `billhook approvals show {id}` shows all that would leave"
        )
    });
    Ok(ApprovalRecord {
        object: "approval",
        status,
        event: row.text("event")?,
        run: row.text("run")?,
        occurrence: row.text("occurrence")?,
        account: row.text("account")?,
        livemode: row.flag("livemode")?,
        customer: row.opt_text("customer")?,
        playbook: row.text("playbook")?,
        tool: row.text("tool")?,
        effect_key: row.text("effect_key")?,
        hash: row.text("hash")?,
        what,
        message,
        fallback: fallback.map(|fallback| in_words(&fallback.action)),
        reason: row.opt_text("reason")?,
        waits_for,
        created_at: row.time("created_at")?.iso(),
        expires_at: expires_at.iso(),
        decided_at: row.opt_time("decided_at")?.map(Timestamp::iso),
        decided_by: row.opt_text("decided_by")?,
        id,
    })
}

fn message(row: &Row, is_whole: bool) -> Result<Option<HeldMessage>, StoreError> {
    let (Some(id), Some(channel)) = (row.opt_text("message")?, row.opt_text("channel")?) else {
        return Ok(None);
    };
    let whole = |column| {
        if is_whole {
            row.opt_text(column)
        } else {
            Ok(None)
        }
    };
    Ok(Some(HeldMessage {
        id,
        channel,
        to: row.opt_text("recipient")?,
        subject: row.text("subject")?,
        text: whole("text")?,
        html: whole("html")?,
        notice: whole("notice")?.map(|notice| parsed(Some(notice))),
    }))
}

/// What an action does, for whoever is to decide about it.
fn in_words(action: &Action) -> String {
    match action {
        Action::Send(message) => {
            let NewMessage {
                channel,
                recipient,
                subject,
                ..
            } = message.as_ref();
            let whom = recipient.as_deref().unwrap_or(channel.as_str());
            format!("send \"{subject}\" to {whom}")
        }
        Action::Schedule {
            playbook,
            due_at,
            subscription,
            data,
        } => {
            let campaign = data.get("campaign").and_then(serde_json::Value::as_str);
            let campaign = campaign.map_or_else(String::new, |name| format!(", campaign {name}"));
            format!("start {playbook} for subscription {subscription} at {due_at}{campaign}")
        }
        Action::Hold {
            order,
            reason,
            ends_at,
        } => format!("hold order {order} until {ends_at}: {reason}"),
        Action::Release { order } => {
            format!("end the holds that a model placed on order {order}")
        }
        Action::Await(awaited) => {
            let Awaited { action, .. } = awaited.as_ref();
            in_words(action)
        }
    }
}
