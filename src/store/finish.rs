//! The end of a run: effects, messages, schedules and holds in one short transaction.

use super::apply::rows::json;
use super::database::{Transaction, args, statements};
use super::error::StoreError;
use super::records::{Action, ClaimedRun, Finish, NewEffect, NewMessage};
use super::runs::{FREE_LANE, fence};
use super::sql_store::SqlStore;
use super::standing;
use super::telling::Scope;
use crate::clock::Timestamp;
use crate::guardrails::precondition::fallen;
use crate::guardrails::recipient::recipient_key;

statements! {
    /// Where "at most once" is decided.
    INSERT_EFFECT: "INSERT INTO effects (effect_key, tool, run, occurrence, status, proposal, at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (effect_key) DO NOTHING";
    /// Of several calls with one key the first carries the effect.
    MARK_DUPLICATES: "UPDATE tool_calls SET effect = 'duplicate' WHERE run = $1 AND generation = $2 AND effect_key = $3 AND effect IS NULL AND seq > ( \
        SELECT min(first.seq) FROM tool_calls first WHERE first.run = $1 AND first.generation = $2 AND first.effect_key = $3)";
    MARK_ALL: "UPDATE tool_calls SET effect = $4 WHERE run = $1 AND generation = $2 AND effect_key = $3 AND effect IS NULL";
    MARK_RUN: "UPDATE tool_calls SET effect = $3 WHERE run = $1 AND generation = $2 AND effect_key IS NOT NULL AND effect IS NULL";
    /// What an earlier generation proposed has the keys of what this one did, and none of its effect.
    MARK_EARLIER: "UPDATE tool_calls SET effect = 'suppressed' WHERE run = $1 AND generation < $2 AND effect_key IS NOT NULL AND effect IS NULL";
    INSERT_MESSAGE: "INSERT INTO messages (id, effect_key, account, livemode, event, run, occurrence, playbook, purpose, channel, customer, recipient, recipient_key, \
        message_id, subject, text, html, notice, status, reason, not_before, expires_at, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, 'pending', $19, $20, $21, $22)";
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

fn scope(run: &ClaimedRun, now: Timestamp) -> Scope<'_> {
    Scope {
        account: &run.account,
        livemode: run.livemode,
        event: &run.event,
        now,
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
                self.write_effect(&mut tx, run, effect, now).await?;
            }
        } else {
            tx.run(&MARK_RUN, args![&run.id, run.generation, "suppressed"])
                .await?;
        }
        if run.generation > FIRST_GENERATION {
            tx.run(&MARK_EARLIER, args![&run.id, run.generation])
                .await?;
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
        effect: &NewEffect,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let status = if matches!(effect.action, Action::Send(_)) {
            "intended"
        } else {
            "done"
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
        match &effect.action {
            Action::Send(message) => {
                self.insert_message(tx, run, &effect.key, message, now)
                    .await
            }
            Action::Schedule {
                playbook,
                due_at,
                subscription,
                data,
            } => tx
                .run(
                    &INSERT_SCHEDULE,
                    args![
                        &effect.key,
                        &run.account,
                        run.livemode,
                        playbook,
                        &run.customer,
                        subscription,
                        &run.occurrence,
                        &run.id,
                        &run.event,
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
                    &effect.key,
                    &run.account,
                    run.livemode,
                    order,
                    reason,
                    &run.occurrence,
                    now,
                    *ends_at
                ];
                tx.run(&INSERT_HOLD, hold).await?;
                self.tell_of_hold(tx, scope(run, now), order).await
            }
            Action::Release { order } => {
                let held = args![now, &run.account, run.livemode, &run.occurrence, order];
                if tx.run(&RELEASE_HOLDS, held).await? > 0 {
                    self.tell_of_hold(tx, scope(run, now), order).await?;
                }
                Ok(())
            }
        }
    }

    async fn insert_message(
        &self,
        tx: &mut Transaction,
        run: &ClaimedRun,
        key: &str,
        message: &NewMessage,
        now: Timestamp,
    ) -> Result<(), StoreError> {
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
                self.ids.next("msg"),
                key,
                &run.account,
                run.livemode,
                &run.event,
                &run.id,
                &run.occurrence,
                &run.playbook,
                message.purpose.as_str(),
                message.channel.as_str(),
                &run.customer,
                &message.recipient,
                message.recipient.as_deref().map(recipient_key),
                &message.message_id,
                &message.subject,
                &message.text,
                &message.html,
                message.notice.as_ref().map(ToString::to_string),
                &reason,
                not_before,
                now.plus(self.policy.expire),
                now,
            ],
        )
        .await
        .map(drop)
    }
}
