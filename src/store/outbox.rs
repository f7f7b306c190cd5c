//! Messages on their way out: claimed, asked once more whether they may go, and what became of them.

use std::time::Duration;

use super::caps::Mail;
use super::database::{args, list, statements};
use super::error::StoreError;
use super::records::{Channel, ClaimedMessage, Clearance, Resolution, Resolved, SendOutcome};
use super::sql_store::SqlStore;
use super::standing;
use crate::clock::{Timestamp, micros};
use crate::guardrails::precondition::{Purpose, fallen, fallen_for_notice};

statements! {
    EXPIRE: "UPDATE messages SET status = 'expired', reason = coalesce(reason, 'not sent in time') WHERE status = 'pending' AND expires_at <= $1 RETURNING effect_key";
    CLAIM: "UPDATE messages SET lease_until = $1, epoch = epoch + 1 WHERE id IN ( \
            SELECT id FROM messages WHERE status IN ('pending', 'sending') AND channel IN (SELECT value FROM json_each($5)) \
            AND not_before <= $2 AND lease_until < $3 ORDER BY not_before LIMIT $4) \
        RETURNING id, epoch, channel, recipient, message_id, effect_key, subject, text, html, notice, attempts, status",
        postgres: "UPDATE messages SET lease_until = $1, epoch = epoch + 1 WHERE id = ANY (ARRAY( \
            SELECT id FROM messages WHERE status IN ('pending', 'sending') AND channel IN (SELECT value FROM json_each($5)) \
            AND not_before <= $2 AND lease_until < $3 ORDER BY not_before LIMIT $4 FOR UPDATE SKIP LOCKED)) \
        RETURNING id, epoch, channel, recipient, message_id, effect_key, subject, text, html, notice, attempts, status";
    MESSAGE: "SELECT status, account, livemode, occurrence, playbook, purpose, customer, recipient_key, waits_for_cap, expires_at FROM messages WHERE id = $1 AND epoch = $2";
    POSTPONE: "UPDATE messages SET not_before = $3, reason = $4, waits_for_cap = $5, lease_until = 0 WHERE id = $1 AND epoch = $2 AND status = 'pending'";
    SENDING: "UPDATE messages SET status = 'sending', attempts = attempts + 1, tried_at = $3, lease_until = $4, reason = NULL, waits_for_cap = NULL WHERE id = $1 AND epoch = $2 AND status IN ('pending', 'sending')";
    /// Only while it is being sent: a renewal that comes late must not lease what was settled.
    RENEW: "UPDATE messages SET lease_until = $3 WHERE id = $1 AND epoch = $2 AND status = 'sending'";
    END: "UPDATE messages SET status = $3, reason = $4, sent_at = $5, lease_until = 0 WHERE id = $1 AND epoch = $2 AND status IN ('pending', 'sending')";
    /// Only what is not over: whoever gives back may not know that it was suppressed or expired meanwhile.
    AGAIN: "UPDATE messages SET status = 'pending', reason = $3, not_before = $4, lease_until = 0 WHERE id = $1 AND epoch = $2 AND status IN ('pending', 'sending')";
    EFFECT: "UPDATE effects SET status = $2 WHERE effect_key = $1";
    /// The epoch moves on, too: a sender that reports late what it did not know must not undo what a person decided.
    RESOLVE_SENT: "UPDATE messages SET status = 'sent', reason = $2, sent_at = tried_at, epoch = epoch + 1 WHERE id = $1 AND status = 'unknown' RETURNING effect_key";
    RESOLVE_RESEND: "UPDATE messages SET status = 'pending', reason = $2, not_before = $3, expires_at = $4, lease_until = 0, epoch = epoch + 1 \
        WHERE id = $1 AND status = 'unknown' RETURNING effect_key";
    STATUS: "SELECT status FROM messages WHERE id = $1";
}

impl SqlStore {
    pub(super) async fn claim_due_messages(
        &self,
        channels: &[Channel],
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<ClaimedMessage>, StoreError> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let leased = tx.lease_clock(self.clock.as_ref()).await?;
        let expired = tx.rows(&EXPIRE, args![now]).await?;
        for row in &expired {
            tx.run(&EFFECT, args![row.text("effect_key")?, "expired"])
                .await?;
        }
        let channels = list(channels.iter().map(|channel| channel.as_str()));
        let until = leased.0.saturating_add(micros(lease));
        let rows = tx
            .rows(
                &CLAIM,
                args![until, now, leased, i64::from(limit), &channels],
            )
            .await?;
        if rows.is_empty() && expired.is_empty() {
            return Ok(Vec::new());
        }
        let claimed = rows
            .iter()
            .map(|row| {
                let notice = row
                    .opt_text("notice")?
                    .map(|_| row.json("notice"))
                    .transpose()?;
                Ok(ClaimedMessage {
                    id: row.text("id")?,
                    epoch: row.int("epoch")?,
                    channel: Channel::parse(&row.text("channel")?).ok_or(
                        StoreError::Inconsistent {
                            column: "messages.channel",
                            what: "unknown",
                        },
                    )?,
                    recipient: row.opt_text("recipient")?,
                    message_id: row.text("message_id")?,
                    effect_key: row.text("effect_key")?,
                    subject: row.text("subject")?,
                    text: row.text("text")?,
                    html: row.opt_text("html")?,
                    notice,
                    attempts: u32::try_from(row.int("attempts")?).unwrap_or(u32::MAX),
                    interrupted: row.text("status")? == "sending",
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        tx.commit().await?;
        Ok(claimed)
    }

    pub(super) async fn clear_for_sending(
        &self,
        message: &ClaimedMessage,
        lease: Duration,
    ) -> Result<Clearance, StoreError> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let row = tx
            .row(&MESSAGE, args![&message.id, message.epoch])
            .await?
            .ok_or(StoreError::Fenced)?;
        if !matches!(row.text("status")?.as_str(), "pending" | "sending") {
            // It expired between the claim and now.
            return Ok(Clearance::Stop);
        }
        // What was found `sending` counts already, from when it began.
        let begins = row.text("status")? == "pending";
        let purpose =
            Purpose::of_playbook(&row.text("purpose")?).ok_or(StoreError::Inconsistent {
                column: "messages.purpose",
                what: "unknown",
            })?;
        let occurrence = row.text("occurrence")?;
        let mut roots = standing::roots(&mut tx, &occurrence).await?;
        let mail = (message.channel == Channel::Email)
            .then(|| Mail::read(&message.id, purpose, &row))
            .transpose()?;
        roots.extend(mail.iter().flat_map(Mail::roots));
        tx.lock(&roots).await?;
        let (_, standing) = standing::load(&mut tx, &occurrence).await?;
        let gone = match &mail {
            Some(_) => fallen(purpose, &standing),
            None => fallen_for_notice(purpose, &standing),
        };
        if let Some(gone) = gone {
            let none: Option<i64> = None;
            let end = args![&message.id, message.epoch, "suppressed", &gone, none];
            if tx.run(&END, end).await? == 0 {
                return Err(StoreError::Fenced);
            }
            tx.run(&EFFECT, args![&message.effect_key, "suppressed"])
                .await?;
            tx.commit().await?;
            return Ok(Clearance::Stop);
        }
        if let Some(mail) = mail.filter(|_| begins)
            && let Some(full) = mail.full(&mut tx, &self.policy.caps, now).await?
        {
            let until = full.until.min(row.time("expires_at")?);
            let later = args![&message.id, message.epoch, until, &full.reason, full.cap];
            if tx.run(&POSTPONE, later).await? == 0 {
                return Err(StoreError::Fenced);
            }
            tx.commit().await?;
            return Ok(Clearance::Stop);
        }
        let until = tx.lease_clock(self.clock.as_ref()).await?.plus(lease);
        let sending = args![&message.id, message.epoch, now, until];
        if tx.run(&SENDING, sending).await? == 0 {
            return Err(StoreError::Fenced);
        }
        tx.commit().await?;
        Ok(Clearance::Go)
    }

    pub(super) async fn renew_sending(
        &self,
        message: &ClaimedMessage,
        lease: Duration,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        let until = tx.lease_clock(self.clock.as_ref()).await?.plus(lease);
        let renewed = args![&message.id, message.epoch, until];
        if tx.run(&RENEW, renewed).await? == 0 {
            return Err(StoreError::Fenced);
        }
        tx.commit().await
    }

    pub(super) async fn settle(
        &self,
        message: &ClaimedMessage,
        outcome: &SendOutcome,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let (id, epoch) = (&message.id, message.epoch);
        let ended = |status: &'static str, reason: Option<String>, at: Option<Timestamp>| {
            (status, reason, at.map(|at| at.0))
        };
        let (effect, end) = match outcome {
            SendOutcome::Sent => ("done", ended("sent", None, Some(now))),
            SendOutcome::Failed { reason } => {
                ("failed", ended("failed", Some(reason.clone()), None))
            }
            SendOutcome::Unknown { reason } => {
                ("unknown", ended("unknown", Some(reason.clone()), None))
            }
            SendOutcome::Retry { at, reason } => {
                if tx.run(&AGAIN, args![id, epoch, reason, *at]).await? == 0 {
                    return Err(StoreError::Fenced);
                }
                return tx.commit().await;
            }
        };
        let (status, reason, at) = end;
        if tx.run(&END, args![id, epoch, status, reason, at]).await? == 0 {
            return Err(StoreError::Fenced);
        }
        tx.run(&EFFECT, args![&message.effect_key, effect]).await?;
        tx.commit().await
    }

    pub(super) async fn resolve(
        &self,
        id: &str,
        resolution: Resolution,
    ) -> Result<Resolved, StoreError> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let (row, effect) = match resolution {
            Resolution::Sent => {
                let reason = "resolved: a person said that it was sent";
                (tx.row(&RESOLVE_SENT, args![id, reason]).await?, "done")
            }
            Resolution::Resend => {
                let reason = "resolved: a person had it sent again";
                let expires = now.plus(self.policy.expire);
                let due = args![id, reason, now, expires];
                (tx.row(&RESOLVE_RESEND, due).await?, "intended")
            }
        };
        if let Some(row) = row {
            tx.run(&EFFECT, args![row.text("effect_key")?, effect])
                .await?;
            tx.commit().await?;
            return Ok(Resolved::Done);
        }
        match tx.row(&STATUS, args![id]).await? {
            Some(row) => Ok(Resolved::NotUnknown(row.text("status")?)),
            None => Ok(Resolved::Missing),
        }
    }
}
