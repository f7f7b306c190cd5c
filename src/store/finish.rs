//! The end of a run: effects, messages, schedules and holds in one short transaction.

use super::apply::rows::json;
use super::database::{Transaction, args, statements};
use super::error::StoreError;
use super::records::{Action, ClaimedRun, Finish, NewEffect, NewMessage, SHADOW_FROM};
use super::runs::{FREE_LANE, fence};
use super::sql_store::SqlStore;
use super::standing;
use super::telling::Scope;
use crate::clock::Timestamp;
use crate::guardrails::precondition::{Purpose, fallen};
use crate::guardrails::recipient::recipient_key;

statements! {
    /// Where "at most once" is decided.
    INSERT_EFFECT: "INSERT INTO effects (effect_key, tool, run, occurrence, status, proposal, at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (effect_key) DO NOTHING";
    /// Of several calls with one key the first carries the effect.
    MARK_DUPLICATES: "UPDATE tool_calls SET effect = 'duplicate' WHERE run = $1 AND generation = $2 AND effect_key = $3 AND effect IS NULL AND seq > ( \
        SELECT min(first.seq) FROM tool_calls first WHERE first.run = $1 AND first.generation = $2 AND first.effect_key = $3)";
    MARK_ALL: "UPDATE tool_calls SET effect = $4 WHERE run = $1 AND generation = $2 AND effect_key = $3 AND effect IS NULL";
    /// But what was only watched, which never had one.
    MARK_RUN: "UPDATE tool_calls SET effect = $3 WHERE run = $1 AND generation = $2 AND effect_key IS NOT NULL AND effect IS NULL AND seq < $4";
    /// What an earlier generation proposed has the keys of what this one did, and none of its effect.
    MARK_EARLIER: "UPDATE tool_calls SET effect = 'suppressed' WHERE run = $1 AND generation < $2 AND effect_key IS NOT NULL AND effect IS NULL AND seq < $3";
    INSERT_MESSAGE: "INSERT INTO messages (id, effect_key, account, livemode, event, run, occurrence, playbook, purpose, channel, customer, recipient, recipient_key, \
        message_id, subject, text, html, notice, status, reason, not_before, expires_at, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)";
    INSERT_SCHEDULE: "INSERT INTO schedules (effect_key, account, livemode, playbook, customer, subscription, occurrence, run, event, data, due_at, status) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'pending')";
    INSERT_HOLD: "INSERT INTO holds (effect_key, account, livemode, order_id, owner, reason, occurrence, placed_at, ends_at) VALUES ($1, $2, $3, $4, 'model', $5, $6, $7, $8)";
    RELEASE_HOLDS: "UPDATE holds SET released_at = $1 WHERE account = $2 AND livemode = $3 AND owner = 'model' AND released_at IS NULL AND occurrence <> $4 \
        AND (order_id = $5 OR order_id IN (SELECT alias FROM order_aliases WHERE account = $2 AND livemode = $3 AND order_id = $5))";
    END_RUN: "UPDATE runs SET status = $2, reason = $3, usage = $4, ended_at = $5 WHERE id = $1 AND status = 'running'";
    EVENTS_DONE: "UPDATE events SET status = 'done' WHERE occurrence = $1 AND status = 'applied'";
}

/// The generation that a run begins with.
const FIRST_GENERATION: i64 = 1;

/// Whose effect it is: what stands on every row that it writes.
pub(super) struct Source {
    pub(super) account: String,
    pub(super) livemode: bool,
    pub(super) event: String,
    pub(super) run: String,
    pub(super) occurrence: String,
    pub(super) customer: Option<String>,
    pub(super) playbook: String,
}

impl Source {
    fn of(run: &ClaimedRun) -> Self {
        Self {
            account: run.account.clone(),
            livemode: run.livemode,
            event: run.event.clone(),
            run: run.id.clone(),
            occurrence: run.occurrence.clone(),
            customer: run.customer.clone(),
            playbook: run.playbook.clone(),
        }
    }

    fn scope(&self, now: Timestamp) -> Scope<'_> {
        Scope {
            account: &self.account,
            livemode: self.livemode,
            event: &self.event,
            now,
        }
    }
}

impl SqlStore {
    pub(super) async fn finish(&self, run: &ClaimedRun, finish: &Finish) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        // The roots that applying an event locks, and before the lane, as there: the state cannot move until the
        // commit, and the two cannot wait for each other.
        let roots = standing::roots(&mut tx, &run.occurrence).await?;
        tx.lock(&roots).await?;
        fence(&mut tx, run).await?;
        let (_, standing) = self.standing(&mut tx, &run.occurrence).await?;
        let mut status = finish.status;
        let mut reason = finish.reason.clone();
        if let (true, Some(gone)) = (status == "done", fallen(finish.purpose, &standing)) {
            (status, reason) = ("skipped", Some(gone));
        }
        if status == "done" {
            for effect in &finish.effects {
                self.write_effect(&mut tx, run, (effect, finish.purpose), now)
                    .await?;
            }
        } else {
            let marked = args![&run.id, run.generation, "suppressed", SHADOW_FROM];
            tx.run(&MARK_RUN, marked).await?;
        }
        if run.generation > FIRST_GENERATION {
            let marked = args![&run.id, run.generation, SHADOW_FROM];
            tx.run(&MARK_EARLIER, marked).await?;
        }
        let ended = tx
            .run(
                &END_RUN,
                args![&run.id, status, &reason, finish.usage.to_string(), now],
            )
            .await?;
        if ended == 0 {
            return Err(StoreError::Fenced);
        }
        tx.run(&EVENTS_DONE, args![&run.occurrence]).await?;
        tx.run(&FREE_LANE, args![&run.lane, run.epoch]).await?;
        tx.commit().await
    }

    async fn write_effect(
        &self,
        tx: &mut Transaction,
        run: &ClaimedRun,
        (effect, purpose): (&NewEffect, Purpose),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let status = match effect.action {
            Action::Send(_) => "intended",
            Action::Await(_) => "held",
            _ => "done",
        };
        let tool = effect.proposal.tool();
        let proposal = json(&effect.proposal);
        let inserted = tx
            .run(
                &INSERT_EFFECT,
                args![
                    &effect.key,
                    tool,
                    &run.id,
                    &run.occurrence,
                    status,
                    &proposal,
                    now
                ],
            )
            .await?;
        if inserted == 0 {
            tx.run(
                &MARK_ALL,
                args![&run.id, run.generation, &effect.key, "duplicate"],
            )
            .await?;
            return Ok(());
        }
        tx.run(
            &MARK_DUPLICATES,
            args![&run.id, run.generation, &effect.key],
        )
        .await?;
        let source = Source::of(run);
        if let Action::Await(awaited) = &effect.action {
            let what = (effect.key.as_str(), tool, purpose);
            return self.hold(tx, &source, what, awaited, now).await;
        }
        self.act(tx, &source, &effect.key, &effect.action, now)
            .await
    }

    /// Writes what an effect is, once its key is taken.
    pub(super) async fn act(
        &self,
        tx: &mut Transaction,
        source: &Source,
        key: &str,
        action: &Action,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match action {
            Action::Send(message) => self
                .insert_message(tx, source, key, message, (now, None))
                .await
                .map(drop),
            Action::Schedule {
                playbook,
                due_at,
                subscription,
                data,
            } => tx
                .run(
                    &INSERT_SCHEDULE,
                    args![
                        key,
                        &source.account,
                        source.livemode,
                        playbook,
                        &source.customer,
                        subscription,
                        &source.occurrence,
                        &source.run,
                        &source.event,
                        data.to_string(),
                        *due_at,
                    ],
                )
                .await
                .map(drop),
            Action::Hold {
                order,
                reason,
                ends_at,
            } => {
                let hold = args![
                    key,
                    &source.account,
                    source.livemode,
                    order,
                    reason,
                    &source.occurrence,
                    now,
                    *ends_at
                ];
                tx.run(&INSERT_HOLD, hold).await?;
                self.tell_of_hold(tx, source.scope(now), order).await
            }
            Action::Release { order } => {
                let held = args![
                    now,
                    &source.account,
                    source.livemode,
                    &source.occurrence,
                    order
                ];
                if tx.run(&RELEASE_HOLDS, held).await? > 0 {
                    self.tell_of_hold(tx, source.scope(now), order).await?;
                }
                Ok(())
            }
            Action::Await(_) => Err(StoreError::Inconsistent {
                column: "approvals.action",
                what: "what waits for a person cannot be what another waits for",
            }),
        }
    }

    /// Puts a message into the outbox, and says its id. With `held_until` it waits there for a person.
    pub(super) async fn insert_message(
        &self,
        tx: &mut Transaction,
        source: &Source,
        key: &str,
        message: &NewMessage,
        (now, held_until): (Timestamp, Option<Timestamp>),
    ) -> Result<String, StoreError> {
        let id = self.ids.next("msg");
        let (not_before, reason) = if message.first_contact {
            let wait = now.plus(self.policy.first_contact_delay);
            (
                wait,
                Some(
                    "first_contact: this customer has never paid, the payment may still go through"
                        .to_owned(),
                ),
            )
        } else {
            (now, message.reason.clone())
        };
        tx.run(
            &INSERT_MESSAGE,
            args![
                &id,
                key,
                &source.account,
                source.livemode,
                &source.event,
                &source.run,
                &source.occurrence,
                &source.playbook,
                message.purpose.as_str(),
                message.channel.as_str(),
                &source.customer,
                &message.recipient,
                message.recipient.as_deref().map(recipient_key),
                &message.message_id,
                &message.subject,
                &message.text,
                &message.html,
                message.notice.as_ref().map(ToString::to_string),
                held_until.map_or("pending", |_| "held"),
                &reason,
                not_before,
                held_until.unwrap_or_else(|| now.plus(self.policy.expire)),
                now,
            ],
        )
        .await?;
        Ok(id)
    }
}
