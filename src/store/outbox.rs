//! Messages on their way out: claimed, asked once more whether they may go, and what became of them.

use std::time::Duration;

use super::caps::Mail;
use super::database::{args, list, statements};
use super::error::StoreError;
use super::records::{Channel, ClaimedMessage, Clearance, SendOutcome};
use super::sql_store::SqlStore;
use super::standing;
use super::telling::About;
use super::verdicts::{Resolution, Resolved};
use crate::clock::micros;
use crate::guardrails::precondition::{Purpose, fallen, fallen_for_notice};

statements! {
    EXPIRE: "UPDATE messages SET status = 'expired', reason = 'not sent in time' || coalesce(': ' || reason, '') WHERE id IN ( \
            SELECT id FROM messages WHERE status = 'pending' AND expires_at <= $1 ORDER BY expires_at LIMIT $2) RETURNING effect_key",
        postgres: "UPDATE messages SET status = 'expired', reason = 'not sent in time' || coalesce(': ' || reason, '') WHERE id = ANY (ARRAY( \
            SELECT id FROM messages WHERE status = 'pending' AND expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING effect_key";
    EXPIRE_EFFECTS: "UPDATE effects SET status = 'expired' WHERE effect_key IN (SELECT value FROM json_each($1))",
        postgres: "UPDATE effects SET status = 'expired' WHERE effect_key = ANY (ARRAY(SELECT value FROM json_each($1)))";
    /// One channel, as a plain comparison: a list of them would have PostgreSQL read and sort all that is due. What has
    /// expired is no longer due, whether or not it is marked yet; what was interrupted is in doubt until somebody has it.
    CLAIM: "UPDATE messages SET lease_until = $1, epoch = epoch + 1 WHERE id IN ( \
            SELECT id FROM messages WHERE status IN ('pending', 'sending') AND channel = $5 AND not_before <= $2 \
            AND lease_until < $3 AND (expires_at > $2 OR status = 'sending') ORDER BY not_before LIMIT $4) \
        RETURNING id, epoch, channel, recipient, message_id, effect_key, subject, text, html, notice, account, livemode, object, version, attempts, status",
        postgres: "UPDATE messages SET lease_until = $1, epoch = epoch + 1 WHERE id = ANY (ARRAY( \
            SELECT id FROM messages WHERE status IN ('pending', 'sending') AND channel = $5 AND not_before <= $2 \
            AND lease_until < $3 AND (expires_at > $2 OR status = 'sending') ORDER BY not_before LIMIT $4 FOR UPDATE SKIP LOCKED)) \
        RETURNING id, epoch, channel, recipient, message_id, effect_key, subject, text, html, notice, account, livemode, object, version, attempts, status";
    /// Held until it is marked: a message that moved on between two looks would be superseded by itself.
    MESSAGE: "SELECT status, account, livemode, occurrence, playbook, purpose, customer, recipient_key, waits_for_cap, expires_at, object, version FROM messages WHERE id = $1 AND epoch = $2",
        postgres: "SELECT status, account, livemode, occurrence, playbook, purpose, customer, recipient_key, waits_for_cap, expires_at, object, version FROM messages WHERE id = $1 AND epoch = $2 FOR UPDATE";
    POSTPONE: "UPDATE messages SET not_before = $3, reason = $4, waits_for_cap = $5, lease_until = 0 WHERE id = $1 AND epoch = $2 AND status = 'pending'";
    SENDING: "UPDATE messages SET status = 'sending', attempts = attempts + 1, tried_at = $3, lease_until = $4, reason = NULL, waits_for_cap = NULL WHERE id = $1 AND epoch = $2 AND status IN ('pending', 'sending')";
    /// Only while it is being sent: a renewal that comes late must not lease what was settled.
    RENEW: "UPDATE messages SET lease_until = $3 WHERE id = $1 AND epoch = $2 AND status = 'sending'";
    END: "UPDATE messages SET status = $3, reason = $4, sent_at = $5, lease_until = 0, epoch = epoch + 1 WHERE id = $1 AND epoch = $2 AND status IN ('pending', 'sending')";
    /// Only what is not over: whoever gives back may not know that it was suppressed or expired meanwhile.
    AGAIN: "UPDATE messages SET status = 'pending', reason = $3, not_before = $4, lease_until = 0, epoch = epoch + 1 WHERE id = $1 AND epoch = $2 AND status IN ('pending', 'sending')";
    /// What whoever held `$2` has ended so, and nobody has touched since.
    SETTLED: "SELECT status FROM messages WHERE id = $1 AND epoch - 1 = $2 AND status = $3 AND lease_until = 0";
    /// What an heir found in doubt, while its sender knows. The attempts say that nobody has begun to send it since: a
    /// person who has it sent again makes it `pending`, and from there every way leads over another attempt.
    SENT_AFTER_ALL: "UPDATE messages SET status = 'sent', reason = NULL, sent_at = $4, lease_until = 0, epoch = epoch + 1 \
        WHERE id = $1 AND epoch > $2 AND attempts = $3 AND status IN ('sending', 'unknown')";
    EFFECT: "UPDATE effects SET status = $2 WHERE effect_key = $1";
    /// The epoch moves on, too: a sender that reports late what it did not know must not undo what a person decided.
    RESOLVE_SENT: "UPDATE messages SET status = 'sent', reason = $2, sent_at = tried_at, epoch = epoch + 1 WHERE id = $1 AND status = 'unknown' RETURNING effect_key";
    /// What did not reach the business's own people may go again, too: no customer is written to, and the application is
    /// told again by a command of its own. What nobody approved stays where it is.
    RESOLVE_RESEND: "UPDATE messages SET status = 'pending', reason = $2, not_before = $3, expires_at = $4, lease_until = 0, epoch = epoch + 1 \
        WHERE id = $1 AND (status = 'unknown' OR (status IN ('failed', 'expired') AND channel IN ('sales', 'finance'))) \
        AND NOT EXISTS (SELECT 1 FROM approvals a WHERE a.message = messages.id AND a.status <> 'approved') RETURNING effect_key";
    STATUS: "SELECT status FROM messages WHERE id = $1";
}

impl SqlStore {
    pub(super) async fn expire_due(&self, limit: u32) -> Result<u64, StoreError> {
        let due = args![self.clock.now(), i64::from(limit)];
        let mut tx = self.db.begin().await?;
        let expired = tx.rows(&EXPIRE, due).await?;
        if expired.is_empty() {
            return Ok(0);
        }
        let keys = expired.iter().map(|row| row.text("effect_key"));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let keys = list(keys.iter().map(String::as_str));
        tx.run(&EXPIRE_EFFECTS, args![&keys]).await?;
        tx.commit().await?;
        Ok(expired.len() as u64)
    }

    /// How the database would look for messages to claim, in its own words. For tests.
    pub async fn plan_of_claim(&self, channel: Channel) -> Result<String, StoreError> {
        let now = self.clock.now();
        let asked = args![now, now, now, 8_i64, channel.as_str()];
        self.db.plan(&CLAIM, asked).await
    }

    pub(super) async fn claim_due_messages(
        &self,
        channel: Channel,
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<ClaimedMessage>, StoreError> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let leased = tx.lease_clock(self.clock.as_ref()).await?;
        let until = leased.0.saturating_add(micros(lease));
        let rows = tx
            .rows(
                &CLAIM,
                args![until, now, leased, i64::from(limit), channel.as_str()],
            )
            .await?;
        if rows.is_empty() {
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
                    about: About::read(row)?,
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
        if let Some(about) = About::read(&row)? {
            return self.clear_for_telling(tx, message, about, lease).await;
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
        let (_, standing) = self.standing(&mut tx, &occurrence).await?;
        let gone = match &mail {
            Some(mail) => match fallen(purpose, &standing) {
                None => mail.suppressed(&mut tx).await?,
                gone => gone,
            },
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
        Ok(Clearance::Go(None))
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
        let (status, effect, reason, at) = match outcome {
            SendOutcome::Sent => ("sent", "done", None, Some(now.0)),
            SendOutcome::Failed { reason } => ("failed", "failed", Some(reason), None),
            SendOutcome::Unknown { reason } => ("unknown", "unknown", Some(reason), None),
            SendOutcome::Retry { reason, .. } => ("pending", "intended", Some(reason), None),
        };
        let reason = reason.cloned();
        let end = if let SendOutcome::Retry { at, .. } = outcome {
            tx.run(&AGAIN, args![id, epoch, reason, *at]).await?
        } else {
            tx.run(&END, args![id, epoch, status, reason, at]).await?
        };
        if end == 0 {
            // The first report was committed, and its answer lost.
            let settled = tx.row(&SETTLED, args![id, epoch, status]).await?;
            if settled.is_some() {
                return Ok(());
            }
            let attempt = i64::from(message.attempts).saturating_add(1);
            let known = args![id, epoch, attempt, now];
            if status != "sent" || tx.run(&SENT_AFTER_ALL, known).await? == 0 {
                return Err(StoreError::Fenced);
            }
        }
        if status != "pending" {
            tx.run(&EFFECT, args![&message.effect_key, effect]).await?;
        }
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
