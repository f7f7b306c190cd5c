//! What waits for a person's word: held when a run finishes, and ended by an approval, a denial, or its time.
//!
//! An approval is one row for one effect key, and the key is taken when the run finishes. Whoever ends the wait does so
//! under the locks of finishing and once: what was held leaves as it was shown, or what the rules had ready under the same
//! key is done, never both. Nothing here asks a model or renders anything.

mod ending;
pub(super) mod shown;

use billhook_tools::Proposal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::ending::{Asked, Ending, State, ending};
use super::apply::rows::json as text;
use super::database::{Row, Transaction, args, statements};
use super::error::StoreError;
use super::finish::Source;
use super::records::{Action, Channel, SHADOW_FROM};
use super::sql_store::SqlStore;
use super::standing;
use super::verdicts::{Decision, Verdict};
use crate::clock::Timestamp;
use crate::guardrails::precondition::{Purpose, Standing, fallen, fallen_for_notice};

statements! {
    INSERT: "INSERT INTO approvals (id, effect_key, account, livemode, event, run, occurrence, customer, playbook, purpose, tool, message, action, fallback, \
        hash, status, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 'held', $16, $17)";
    WHOSE: "SELECT occurrence FROM approvals WHERE id = $1";
    HELD: "SELECT * FROM approvals WHERE id = $1",
        postgres: "SELECT * FROM approvals WHERE id = $1 FOR UPDATE";
    MESSAGE: "SELECT effect_key, channel, recipient, message_id, subject, text, html, notice FROM messages WHERE id = $1 AND status = 'held'",
        postgres: "SELECT effect_key, channel, recipient, message_id, subject, text, html, notice FROM messages WHERE id = $1 AND status = 'held' FOR UPDATE";
    END: "UPDATE approvals SET status = $2, reason = $3, decided_at = $4, decided_by = $5 WHERE id = $1 AND status = 'held'";
    /// Its first contact may still have to wait; the wait for a person counts towards it.
    RELEASE: "UPDATE messages SET status = 'pending', not_before = CASE WHEN not_before > $2 THEN not_before ELSE $2 END, expires_at = $3 \
        WHERE id = $1 AND status = 'held'";
    END_MESSAGE: "UPDATE messages SET status = $2, reason = $3 WHERE id = $1 AND status = 'held'";
    /// The message of the rules takes the key over.
    MAKE_ROOM: "UPDATE messages SET effect_key = status || ':' || effect_key WHERE id = $1";
    EFFECT: "UPDATE effects SET status = $2 WHERE effect_key = $1 AND status = 'held'";
    REPLACE_EFFECT: "UPDATE effects SET status = $2, proposal = $3, at = $4 WHERE effect_key = $1 AND status = 'held'";
    /// From here the state of the effect is that of the rules' call.
    END_CALLS: "UPDATE tool_calls SET effect = $3 WHERE run = $1 AND effect_key = $2 AND effect IS NULL";
    CALL_BY_RULES: "INSERT INTO tool_calls (id, run, event, generation, seq, tool, arguments, by, verdict, effect_key, result, at) \
        SELECT $1, r.id, r.event, r.generation, coalesce((SELECT max(c.seq) FROM tool_calls c WHERE c.run = r.id AND c.generation = r.generation AND c.seq < $8), -1) + 1, \
            $3, $4, 'rules', 'allowed', $5, $6, CAST($7 AS BIGINT) FROM runs r WHERE r.id = $2";
    DUE: "SELECT id, expires_at FROM approvals WHERE status = 'held' AND expires_at <= $1 AND (expires_at, id) > ($3, $4) ORDER BY expires_at, id LIMIT $2";
    COUNT: "SELECT count(*) AS n FROM approvals WHERE status = 'held' AND expires_at <= $1";
}

/// An effect that waits for a person, and what is done if nobody approves it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Awaited {
    /// What leaves when it is approved.
    pub action: Action,
    /// What is owed by rule under the same key.
    pub fallback: Option<Fallback>,
}

/// A call that the rules owe, with everything that it needs to be done without an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fallback {
    /// The arguments of the call.
    pub arguments: Value,
    /// What it proposes.
    pub proposal: Proposal,
    /// What it writes.
    pub action: Action,
}

/// One approval's row.
struct Held {
    id: String,
    key: String,
    source: Source,
    purpose: Purpose,
    tool: String,
    message: Option<String>,
    action: Option<String>,
    fallback: Option<Fallback>,
    hash: String,
    expires_at: Timestamp,
}

impl Held {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let purpose = Purpose::of_playbook(&row.text("purpose")?);
        let fallback = row.opt_text("fallback")?;
        Ok(Self {
            id: row.text("id")?,
            key: row.text("effect_key")?,
            source: Source {
                account: row.text("account")?,
                livemode: row.flag("livemode")?,
                event: row.text("event")?,
                run: row.text("run")?,
                occurrence: row.text("occurrence")?,
                customer: row.opt_text("customer")?,
                playbook: row.text("playbook")?,
            },
            purpose: purpose.ok_or(StoreError::Inconsistent {
                column: "approvals.purpose",
                what: "unknown",
            })?,
            tool: row.text("tool")?,
            message: row.opt_text("message")?,
            action: row.opt_text("action")?,
            fallback: fallback.map(|_| row.json("fallback")).transpose()?,
            hash: row.text("hash")?,
            expires_at: row.time("expires_at")?,
        })
    }

    /// The hash of what is held now, and the channel of a message.
    async fn found(
        &self,
        tx: &mut Transaction,
    ) -> Result<(Option<String>, Option<Channel>), StoreError> {
        let Some(message) = &self.message else {
            let action = self.action.as_deref();
            return Ok((action.map(|action| hash_of_action(&self.key, action)), None));
        };
        let Some(row) = tx.row(&MESSAGE, args![message]).await? else {
            return Ok((None, None));
        };
        let channel = Channel::parse(&row.text("channel")?);
        Ok((Some(hash_of_message(&row)?), channel))
    }
}

/// The hash of everything of a message that would leave.
fn hash_of_message(row: &Row) -> Result<String, StoreError> {
    Ok(hash(&json!([
        "message",
        row.text("effect_key")?,
        row.text("channel")?,
        row.opt_text("recipient")?,
        row.text("message_id")?,
        row.text("subject")?,
        row.text("text")?,
        row.opt_text("html")?,
        row.opt_text("notice")?,
    ])))
}

fn hash_of_action(key: &str, action: &str) -> String {
    hash(&json!(["effect", key, action]))
}

fn hash(leaves: &Value) -> String {
    hex::encode(Sha256::digest(leaves.to_string().as_bytes()))
}

fn gone(purpose: Purpose, channel: Option<Channel>, standing: &Standing) -> Option<String> {
    match channel {
        Some(Channel::Sales | Channel::Finance) => fallen_for_notice(purpose, standing),
        _ => fallen(purpose, standing),
    }
}

fn not_held() -> StoreError {
    StoreError::Inconsistent {
        column: "effects.status",
        what: "the effect of an approval that is held is not",
    }
}

impl SqlStore {
    /// Writes what is held, in the transaction that finishes its run.
    pub(super) async fn hold(
        &self,
        tx: &mut Transaction,
        source: &Source,
        (key, tool, purpose): (&str, &str, Purpose),
        awaited: &Awaited,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let expires = now.plus(self.policy.approvals_expire);
        let (message, action, hash) = match &awaited.action {
            Action::Send(message) => {
                let id = self
                    .insert_message(tx, source, key, message, (now, Some(expires)))
                    .await?;
                // As it is stored: a database may take a text otherwise than it was given.
                let row = tx.row(&MESSAGE, args![&id]).await?.ok_or_else(not_held)?;
                (Some(id), None, hash_of_message(&row)?)
            }
            action => {
                let action = text(action);
                let hash = hash_of_action(key, &action);
                (None, Some(action), hash)
            }
        };
        tx.run(
            &INSERT,
            args![
                self.ids.next("appr"),
                key,
                &source.account,
                source.livemode,
                &source.event,
                &source.run,
                &source.occurrence,
                &source.customer,
                &source.playbook,
                purpose.as_str(),
                tool,
                message,
                action,
                awaited.fallback.as_ref().map(text),
                hash,
                now,
                expires,
            ],
        )
        .await
        .map(drop)
    }

    pub(super) async fn decide_held(
        &self,
        id: &str,
        verdict: &Verdict,
        by: &str,
    ) -> Result<Decision, StoreError> {
        self.end_wait(id, Asked::Verdict(verdict), by).await
    }

    /// Each in a transaction of its own, because each has its own locks. One that cannot be read is told of at each look,
    /// and keeps no other waiting, however many there are.
    pub(super) async fn expire_held(&self, limit: u32) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let (mut count, mut behind) = (0, (Timestamp(0), String::new()));
        loop {
            let due = args![now, i64::from(limit), behind.0, &behind.1];
            let due = self.db.rows(&DUE, due).await?;
            for row in &due {
                let id = row.text("id")?;
                match self.end_wait(&id, Asked::Time, "billhook").await {
                    Ok(Decision::Done) => count += 1,
                    Ok(_) => {}
                    Err(error) if error.is_about_the_database() => return Err(error),
                    Err(error) => {
                        let error: &dyn std::error::Error = &error;
                        tracing::error!(approval.id = %id, error, "what waits too long cannot be ended; a person has to look");
                    }
                }
                behind = (row.time("expires_at")?, id);
            }
            if count > 0 || due.len() < usize::try_from(limit).unwrap_or(usize::MAX) {
                return Ok(count);
            }
        }
    }

    /// How many wait whose time is over at `until`.
    pub(super) async fn count_held(&self, until: Timestamp) -> Result<u64, StoreError> {
        let row = self.db.row(&COUNT, args![until]).await?;
        let count = row.map_or(Ok(0), |row| row.int("n"))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn end_wait(&self, id: &str, asked: Asked<'_>, by: &str) -> Result<Decision, StoreError> {
        let Some(found) = self.db.row(&WHOSE, args![id]).await? else {
            return Ok(Decision::Missing);
        };
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        // As when a run finishes: what it is judged by cannot move until the commit.
        let roots = standing::roots(&mut tx, &found.text("occurrence")?).await?;
        tx.lock(&roots).await?;
        let Some(row) = tx.row(&HELD, args![id]).await? else {
            return Ok(Decision::Missing);
        };
        let status = row.text("status")?;
        if status != "held" {
            return Ok(Decision::Over(status));
        }
        let held = Held::read(&row)?;
        let (found, channel) = held.found(&mut tx).await?;
        let (_, standing) = self.standing(&mut tx, &held.source.occurrence).await?;
        let state = State {
            is_due: now >= held.expires_at,
            hash: &held.hash,
            found: found.as_deref(),
            gone: gone(held.purpose, channel, &standing),
        };
        let (status, reason, decision) = match ending(asked, &state) {
            Ending::None(decision) => return Ok(decision),
            Ending::Leaves => {
                self.leave(&mut tx, &held, now).await?;
                ("approved", None, Decision::Done)
            }
            Ending::Ends {
                status,
                reason,
                settles,
                decision,
            } => {
                let but = self
                    .end_held(&mut tx, &held, (status, &reason), settles, now)
                    .await?;
                let reason = but.map_or(reason.clone(), |but| format!("{reason}; {but}"));
                (status, Some(reason), decision)
            }
        };
        tx.run(&END, args![&held.id, status, reason, now, by])
            .await?;
        tx.commit().await?;
        Ok(decision)
    }

    /// What was approved leaves: at once, or through the outbox, which asks again whether it may.
    async fn leave(
        &self,
        tx: &mut Transaction,
        held: &Held,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let status = if held.message.is_some() {
            "intended"
        } else {
            "done"
        };
        if tx.run(&EFFECT, args![&held.key, status]).await? == 0 {
            return Err(not_held());
        }
        if let Some(message) = &held.message {
            let released = args![message, now, now.plus(self.policy.expire)];
            return match tx.run(&RELEASE, released).await? {
                0 => Err(not_held()),
                _ => Ok(()),
            };
        }
        let action = held.action.as_deref().ok_or_else(not_held)?;
        let action: Action = serde_json::from_str(action).map_err(|source| StoreError::Json {
            column: "approvals.action",
            source,
        })?;
        self.act(tx, &held.source, &held.key, &action, now).await
    }

    /// What was held ends, and where it `settles`, what is owed is done. Says why that was left out, if it was.
    async fn end_held(
        &self,
        tx: &mut Transaction,
        held: &Held,
        (status, reason): (&'static str, &str),
        settles: bool,
        now: Timestamp,
    ) -> Result<Option<&'static str>, StoreError> {
        if let Some(message) = &held.message
            && tx.run(&END_MESSAGE, args![message, status, reason]).await? == 0
        {
            // Somebody else has the row: what is owed may be on its way already.
            return Ok(Some("its message was changed by somebody else"));
        }
        let fallback = held.fallback.as_ref().filter(|_| settles);
        let is_late = now > held.expires_at.plus(self.policy.expire);
        let Some(fallback) = fallback.filter(|_| !is_late) else {
            tx.run(&EFFECT, args![&held.key, status]).await?;
            let left_out = fallback.map(|_| "what is owed is too old to be done by now");
            return Ok(left_out);
        };
        if let Some(message) = &held.message {
            tx.run(&MAKE_ROOM, args![message]).await?;
        }
        let becomes = match &fallback.action {
            Action::Send(_) => "intended",
            _ => "done",
        };
        let replaced = args![&held.key, becomes, text(&fallback.proposal), now];
        if tx.run(&REPLACE_EFFECT, replaced).await? == 0 {
            return Err(not_held());
        }
        tx.run(&END_CALLS, args![&held.source.run, &held.key, status])
            .await?;
        let result = json!({ "status": "accepted", "instead_of": held.id });
        tx.run(
            &CALL_BY_RULES,
            args![
                self.ids.next("call"),
                &held.source.run,
                &held.tool,
                fallback.arguments.to_string(),
                &held.key,
                result.to_string(),
                now,
                SHADOW_FROM,
            ],
        )
        .await?;
        self.act(tx, &held.source, &held.key, &fallback.action, now)
            .await?;
        Ok(None)
    }
}
