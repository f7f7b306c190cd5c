//! Caps: how many mails to customers may leave in a while.
//!
//! A cap is asked in the transaction that lets a mail go, under a lock of what it counts by, so that two processes
//! cannot both stay under it. It reads no more mails than it allows, however many there are.

use std::collections::BTreeSet;
use std::time::Duration;

use super::database::{Arg, Row, Sql, Transaction, list, statements};
use super::error::StoreError;
use super::suppressions;
use crate::clock::Timestamp;
use crate::config::CapsConfig;
use crate::guardrails::precondition::Purpose;

statements! {
    /// Of the last mails that a cap allows, the oldest: it has to leave the window before the next may go. What left
    /// counts, and what may have left.
    OF_CUSTOMER: "SELECT tried_at AS slot FROM messages WHERE account = $4 AND livemode = $5 AND customer = $6 AND tried_at > $2 AND id <> $1 \
        AND channel = 'email' AND status IN ('sent', 'sending', 'unknown') ORDER BY tried_at DESC LIMIT 1 OFFSET $3";
    /// Whatever the customer and the account: a person is one person. A test mail uses up no room of a live one.
    OF_RECIPIENT: "SELECT tried_at AS slot FROM messages WHERE recipient_key = $4 AND livemode = $5 AND purpose IN (SELECT value FROM json_each($6)) AND tried_at > $2 AND id <> $1 \
        AND channel = 'email' AND status IN ('sent', 'sending', 'unknown') ORDER BY tried_at DESC LIMIT 1 OFFSET $3";
    OF_PLAYBOOK: "SELECT tried_at AS slot FROM messages WHERE account = $4 AND livemode = $5 AND playbook = $6 AND tried_at > $2 AND id <> $1 \
        AND channel = 'email' AND status IN ('sent', 'sending', 'unknown') ORDER BY tried_at DESC LIMIT 1 OFFSET $3";
    /// The same, with the slots of those that wait for this very cap. Were they left out, a whole flood would be given one
    /// moment, come back at it together, and all but one be sent away again. What waits for something else takes no slot:
    /// it is asked when its time has come.
    QUEUE_OF_PLAYBOOK: "SELECT slot FROM ( \
            SELECT * FROM (SELECT tried_at AS slot FROM messages WHERE account = $4 AND livemode = $5 AND playbook = $6 AND tried_at > $2 AND id <> $1 \
                AND channel = 'email' AND status IN ('sent', 'sending', 'unknown') ORDER BY tried_at DESC LIMIT CAST($3 AS BIGINT) + 1) AS gone \
            UNION ALL \
            SELECT * FROM (SELECT not_before AS slot FROM messages WHERE account = $4 AND livemode = $5 AND playbook = $6 AND not_before > $7 AND id <> $1 \
                AND status = 'pending' AND waits_for_cap = 'playbook' ORDER BY not_before DESC LIMIT CAST($3 AS BIGINT) + 1) AS waiting \
        ) AS slots ORDER BY slot DESC LIMIT 1 OFFSET $3";
}

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// A mail that asks whether it may go, as caps see it.
pub(super) struct Mail {
    id: String,
    account: String,
    livemode: bool,
    customer: Option<String>,
    recipient_key: Option<String>,
    playbook: String,
    purpose: Purpose,
    /// The cap that it waited for until now.
    waited_for: Option<String>,
}

/// One cap, about to be asked about one mail.
struct Cap<'a> {
    key: &'static str,
    /// What a mail that waits for it says so with, in `waits_for_cap`.
    word: &'static str,
    most: u32,
    window: Duration,
    /// Whose mails it counts, in words.
    whose: String,
    sql: &'static Sql,
    /// With the mails that wait, where there may be many of them.
    queue: Option<&'static Sql>,
    /// What the statements count by.
    by: Vec<Arg<'a>>,
}

/// There is no room under a cap.
pub(super) struct Full {
    /// When there is.
    pub(super) until: Timestamp,
    /// The cap's word for `waits_for_cap`.
    pub(super) cap: &'static str,
    /// Which cap, and whose mails it counted.
    pub(super) reason: String,
}

impl Mail {
    /// Reads what caps need of a message's row.
    pub(super) fn read(id: &str, purpose: Purpose, row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: id.to_owned(),
            account: row.text("account")?,
            livemode: row.flag("livemode")?,
            customer: row.opt_text("customer")?,
            recipient_key: row.opt_text("recipient_key")?,
            playbook: row.text("playbook")?,
            purpose,
            waited_for: row.opt_text("waits_for_cap")?,
        })
    }

    /// Why its mailbox is never written to, if it is not.
    pub(super) async fn suppressed(
        &self,
        tx: &mut Transaction,
    ) -> Result<Option<String>, StoreError> {
        let Some(key) = &self.recipient_key else {
            return Ok(None);
        };
        let reason = suppressions::reason(tx, key).await?;
        Ok(reason.map(|reason| format!("the recipient is on the suppression list: {reason}")))
    }

    /// What must be locked before [`Mail::full`]: two mails that count together must see each other.
    pub(super) fn roots(&self) -> BTreeSet<String> {
        let scope = format!("mails/{}/{}", self.account, self.livemode);
        let customer = self.customer.as_ref();
        let recipient = self.recipient_key.as_ref();
        [
            Some(format!("{scope}/playbook/{}", self.playbook)),
            customer.map(|id| format!("{scope}/customer/{id}")),
            recipient.map(|key| format!("mails/recipient/{}/{key}", self.livemode)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn caps(&self, caps: &CapsConfig) -> Vec<Cap<'_>> {
        let mut asked = vec![Cap {
            key: "caps.mails_per_playbook_per_hour",
            word: "playbook",
            most: caps.mails_per_playbook_per_hour,
            window: HOUR,
            whose: format!("playbook {}", self.playbook),
            sql: &OF_PLAYBOOK,
            queue: Some(&QUEUE_OF_PLAYBOOK),
            by: self.within(&self.playbook),
        }];
        if let Some(customer) = &self.customer {
            asked.push(Cap {
                key: "caps.mails_per_customer_per_day",
                word: "customer",
                most: caps.mails_per_customer_per_day,
                window: DAY,
                whose: format!("customer {customer}"),
                sql: &OF_CUSTOMER,
                queue: None,
                by: self.within(customer),
            });
        }
        if let (true, Some(key)) = (self.purpose.is_failure(), &self.recipient_key) {
            let failures = Purpose::ALL
                .into_iter()
                .filter(|purpose| purpose.is_failure());
            asked.push(Cap {
                key: "caps.failure_mails_per_recipient_per_day",
                word: "recipient",
                most: caps.failure_mails_per_recipient_per_day,
                window: DAY,
                whose: "this address, for failure mails".to_owned(),
                sql: &OF_RECIPIENT,
                queue: None,
                by: vec![
                    Arg::Text(key),
                    self.livemode.into(),
                    Arg::Owned(list(failures.map(Purpose::as_str))),
                ],
            });
        }
        asked
    }

    fn within<'a>(&'a self, name: &'a str) -> Vec<Arg<'a>> {
        vec![
            Arg::Text(&self.account),
            self.livemode.into(),
            Arg::Text(name),
        ]
    }

    /// The cap that keeps it back the longest, if any has no room.
    pub(super) async fn full(
        &self,
        tx: &mut Transaction,
        caps: &CapsConfig,
        now: Timestamp,
    ) -> Result<Option<Full>, StoreError> {
        let mut longest: Option<Full> = None;
        for cap in self.caps(caps) {
            if let Some(until) = cap.full_until(tx, self, now).await?
                && longest.as_ref().is_none_or(|full| full.until < until)
            {
                let (key, most, whose) = (cap.key, cap.most, cap.whose);
                let reason = format!("{key} = {most}: no room for {whose}");
                longest = Some(Full {
                    until,
                    cap: cap.word,
                    reason,
                });
            }
        }
        Ok(longest)
    }
}

impl Cap<'_> {
    async fn full_until(
        &self,
        tx: &mut Transaction,
        mail: &Mail,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let Some(others) = self.most.checked_sub(1) else {
            // None may go; it is asked again in case that changes.
            return Ok(Some(now.plus(self.window)));
        };
        let mut args = vec![
            Arg::Text(&mail.id),
            Arg::from(now.minus(self.window)),
            Arg::Int(i64::from(others)),
        ];
        args.extend(self.by.iter().cloned());
        let Some(oldest) = tx.row(self.sql, &args).await? else {
            return Ok(None);
        };
        let mut slot = oldest.time("slot")?;
        // Whoever waited for this cap already keeps its place; only who is new to it queues up behind the others.
        if let Some(queue) = self
            .queue
            .filter(|_| mail.waited_for.as_deref() != Some(self.word))
        {
            args.push(now.into());
            if let Some(last) = tx.row(queue, &args).await? {
                slot = last.time("slot")?;
            }
        }
        Ok(Some(slot.plus(self.window)))
    }
}
