//! Joining an event's facts to their occurrence, and opening or upgrading its follow-up.

use std::collections::BTreeSet;

use super::Work;
use super::graph::{Graph, pays};
use super::joiner::{Joiner, UPGRADE_RUN, candidates, lead_of};
use crate::clock::micros;
use crate::guardrails::mandatory::facts::{Fact, FactKind, Lead};
use crate::guardrails::occurrence::{Candidate, Occurrence, place, rejoin};
use crate::store::database::{Transaction, args, statements};
use crate::store::error::StoreError;
use crate::store::inbox::WAKE_LANE;
use crate::store::records::ClaimedEvent;
use crate::store::sql_store::SqlStore;
use crate::stripe::links::{Node, NodeKind};

statements! {
    KNOWN: "SELECT o.id, o.data, r.status FROM facts f JOIN occurrences o ON o.id = f.occurrence LEFT JOIN runs r ON r.occurrence = o.id AND r.stage = 'first' \
        WHERE f.account = $1 AND f.livemode = $2 AND f.fact = $3";
    PUT_FACT: "INSERT INTO facts (account, livemode, fact, occurrence) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (account, livemode, fact) DO UPDATE SET occurrence = excluded.occurrence";
    INSERT_RUN: "INSERT INTO runs (id, account, livemode, lane, event, occurrence, playbook, stage, customer, status, due_at, decide_by, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'waiting', $10, $11, $12) ON CONFLICT (occurrence, stage) DO NOTHING";
    DONE: "UPDATE events SET status = 'done' WHERE occurrence = $1 AND status = 'applied'";
}

/// What an event's facts were joined to.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// The occurrence that the event belongs to.
    pub(super) occurrence: Option<String>,
    /// Its follow-up is still to come.
    pub(super) open: bool,
    /// What this event was the first to tell of.
    pub(super) news: Vec<Lead>,
}

impl SqlStore {
    /// Joins the facts, and says what they were joined to.
    pub(super) async fn join_occurrences(
        &self,
        tx: &mut Transaction,
        claimed: &ClaimedEvent,
        work: &Work,
        graph: &Graph,
        new_links: bool,
    ) -> Result<Joined, StoreError> {
        let mut joiner = Joiner {
            tx,
            claimed,
            graph,
            now: self.clock.now(),
        };
        let (mut joined, mut news) = (None, Vec::new());
        for fact in &work.facts {
            let reach = joiner.reach(&fact.nodes);
            let known = joiner
                .tx
                .rows(
                    &KNOWN,
                    args![&claimed.account, claimed.livemode, &fact.name],
                )
                .await?;
            let found = joiner
                .candidates(&reach, fact.customer.as_deref(), fact.created)
                .await?;
            let known = candidates(&known)?.into_values().next();
            news.extend(fact.lead.filter(|_| known.is_none()));
            let mut placement = match known {
                Some(mut known) => {
                    known.occurrence.add(fact);
                    rejoin(&known, &reach, &found)
                }
                None => place(fact, &reach, &found, self.ids.next("occ")),
            };
            placement.occurrence.hear(claimed.received_at);
            joiner.write(&placement).await?;
            let occurrence = &placement.occurrence;
            joiner
                .tx
                .run(
                    &PUT_FACT,
                    args![
                        &claimed.account,
                        claimed.livemode,
                        &fact.name,
                        &occurrence.id
                    ],
                )
                .await?;
            self.lead(&mut joiner, work, occurrence, fact, &reach)
                .await?;
            joined = Some(occurrence.id.clone());
        }
        if new_links {
            let touched: BTreeSet<Node> = graph
                .nodes()
                .filter(|node| pays(node.kind))
                .cloned()
                .collect();
            for found in joiner
                .candidates(&touched, None, claimed.received_at)
                .await?
            {
                let reach = joiner.reach(&found.occurrence.nodes);
                let others = joiner.candidates(&reach, None, claimed.received_at).await?;
                if !others
                    .iter()
                    .any(|other| other.occurrence.id == found.occurrence.id)
                {
                    // It was merged away by one of the others a moment ago.
                    continue;
                }
                let linked: Vec<Candidate> = others
                    .into_iter()
                    .filter(|o| o.occurrence.id != found.occurrence.id)
                    .collect();
                let placement = rejoin(&found, &reach, &linked);
                if !placement.merged.is_empty() {
                    joiner.write(&placement).await?;
                    if joined
                        .as_ref()
                        .is_some_and(|id| placement.merged.contains(id))
                    {
                        joined = Some(placement.occurrence.id.clone());
                    }
                }
            }
        }
        let Some(id) = joined else {
            return Ok(Joined::default());
        };
        let run = joiner
            .run_of(&id)
            .await?
            .map(|run| run.text("status"))
            .transpose()?;
        let open = matches!(run.as_deref(), Some("waiting" | "running" | "deferred"));
        if !open {
            joiner.tx.run(&DONE, args![&id]).await?;
        }
        Ok(Joined {
            occurrence: Some(id),
            open,
            news,
        })
    }

    /// Opens the follow-up that a leading fact asks for, or upgrades the one that still waits.
    async fn lead(
        &self,
        joiner: &mut Joiner<'_>,
        work: &Work,
        occurrence: &Occurrence,
        fact: &Fact,
        reach: &BTreeSet<Node>,
    ) -> Result<(), StoreError> {
        let claimed = joiner.claimed;
        let run = joiner.run_of(&occurrence.id).await?;
        // A payment of an invoice never leads: the invoice's own event does.
        let of_invoice = reach
            .iter()
            .chain(&occurrence.nodes)
            .any(|node| node.kind == NodeKind::Invoice);
        let Some(lead) = fact
            .lead
            .filter(|lead| *lead != Lead::PaymentFailed || !of_invoice)
        else {
            return Ok(());
        };
        // The window is open from the first event that told of it.
        let first = occurrence.received.unwrap_or(claimed.received_at);
        let due = first.plus(self.policy.settle);
        if let Some(run) = run {
            let current = lead_of(&run)?;
            if current.is_some_and(|current| lead > current) {
                let id = run.text("id")?;
                joiner
                    .tx
                    .run(&WAKE_LANE, args![run.text("lane")?, due])
                    .await?;
                joiner
                    .tx
                    .run(
                        &UPGRADE_RUN,
                        args![&id, lead.playbook(), &claimed.id, &occurrence.customer, due],
                    )
                    .await?;
            }
            return Ok(());
        }
        // What a person has to mend stands still however late it is told.
        let is_old =
            micros(claimed.received_at.since(occurrence.created)) > micros(self.policy.max_age);
        if is_old && fact.kind != FactKind::Alert {
            tracing::info!(event.id = %claimed.id, "older than follow_up.max_age: state is updated, nobody is written to");
            return Ok(());
        }
        let waits_for_invoice = occurrence.kind == FactKind::Failure && lead == Lead::PaymentFailed;
        let due = match &occurrence.customer {
            Some(customer)
                if waits_for_invoice && self.has_subscription(joiner, customer).await? =>
            {
                first.plus(self.policy.patience())
            }
            _ => due,
        };
        let mode = if claimed.livemode { "live" } else { "test" };
        let lane = match &occurrence.customer {
            Some(customer) => format!("{}/{mode}/customer/{customer}", claimed.account),
            None => format!("{}/{mode}/object/{}", claimed.account, work.object.id),
        };
        let decide_by = due.plus(self.policy.decide_by);
        let run = self.ids.next("run");
        let inserted = joiner
            .tx
            .run(
                &INSERT_RUN,
                args![
                    &run,
                    &claimed.account,
                    claimed.livemode,
                    &lane,
                    &claimed.id,
                    &occurrence.id,
                    lead.playbook(),
                    "first",
                    &occurrence.customer,
                    due,
                    decide_by,
                    joiner.now,
                ],
            )
            .await?;
        if inserted > 0 {
            joiner.tx.run(&WAKE_LANE, args![&lane, due]).await?;
        }
        Ok(())
    }

    async fn has_subscription(
        &self,
        joiner: &mut Joiner<'_>,
        customer: &str,
    ) -> Result<bool, StoreError> {
        let claimed = joiner.claimed;
        let row = joiner
            .tx
            .row(
                &super::rows::SUBSCRIBES,
                args![&claimed.account, claimed.livemode, customer],
            )
            .await?;
        Ok(row.is_some())
    }
}
