//! Messages on their way out: claimed, asked once more whether they may go, and what became of them.

use std::time::Duration;

use super::database::{args, list, statements};
use super::error::StoreError;
use super::records::{Channel, ClaimedMessage, Clearance, SendOutcome};
use super::sql_store::SqlStore;
use super::standing;
use crate::clock::{Timestamp, micros};
use crate::guardrails::precondition::{Purpose, fallen};

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
    MESSAGE: "SELECT status, occurrence, purpose, channel, recipient_key FROM messages WHERE id = $1 AND epoch = $2";
    /// What counts against a recipient's cap: everything that left or may have left.
    FAILURE_MAILS: "SELECT count(*) AS n, min(tried_at) AS oldest FROM messages WHERE recipient_key = $1 AND tried_at > $2 AND id <> $3 \
        AND channel = 'email' AND status IN ('sent', 'sending', 'unknown') AND purpose IN ('payment_failed', 'invoice_payment_failed', 'subscription_past_due')";
    POSTPONE: "UPDATE messages SET not_before = $3, reason = $4, lease_until = 0 WHERE id = $1 AND epoch = $2";
    SENDING: "UPDATE messages SET status = 'sending', attempts = attempts + 1, tried_at = $3, lease_until = $4, reason = NULL WHERE id = $1 AND epoch = $2 AND status IN ('pending', 'sending')";
    /// Only while it is being sent: a renewal that comes late must not lease what was settled.
    RENEW: "UPDATE messages SET lease_until = $3 WHERE id = $1 AND epoch = $2 AND status = 'sending'";
    END: "UPDATE messages SET status = $3, reason = $4, sent_at = $5, lease_until = 0 WHERE id = $1 AND epoch = $2";
    /// Only what is not over: whoever gives back may not know that it was suppressed or expired meanwhile.
    AGAIN: "UPDATE messages SET status = 'pending', reason = $3, not_before = $4, lease_until = 0 WHERE id = $1 AND epoch = $2 AND status IN ('pending', 'sending')";
    EFFECT: "UPDATE effects SET status = $2 WHERE effect_key = $1";
}

const DAY: Duration = Duration::from_hours(24);

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
        let recipient = row.opt_text("recipient_key")?;
        let occurrence = row.text("occurrence")?;
        let mut roots = standing::roots(&mut tx, &occurrence).await?;
        // Two mails to one address must see each other, or both would stay under the cap.
        roots.extend(recipient.as_ref().map(|key| format!("recipient/{key}")));
        tx.lock(&roots).await?;
        let purpose =
            Purpose::of_playbook(&row.text("purpose")?).ok_or(StoreError::Inconsistent {
                column: "messages.purpose",
                what: "unknown",
            })?;
        if message.channel == Channel::Email {
            let (_, standing) = standing::load(&mut tx, &occurrence).await?;
            if let Some(gone) = fallen(purpose, &standing) {
                let none: Option<i64> = None;
                tx.run(
                    &END,
                    args![&message.id, message.epoch, "suppressed", &gone, none],
                )
                .await?;
                tx.run(&EFFECT, args![&message.effect_key, "suppressed"])
                    .await?;
                tx.commit().await?;
                return Ok(Clearance::Stop);
            }
            if let (true, Some(key)) = (purpose.is_failure(), &recipient) {
                let sent = tx
                    .row(&FAILURE_MAILS, args![key, now.minus(DAY), &message.id])
                    .await?;
                let sent = sent.ok_or(StoreError::Inconsistent {
                    column: "n",
                    what: "no row",
                })?;
                if sent.int("n")? >= i64::from(self.policy.failure_mails_per_day) {
                    let again = sent.opt_time("oldest")?.unwrap_or(now).plus(DAY);
                    let reason = "cap: this address had its failure mails of the day";
                    tx.run(&POSTPONE, args![&message.id, message.epoch, again, reason])
                        .await?;
                    tx.commit().await?;
                    return Ok(Clearance::Stop);
                }
            }
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
}
