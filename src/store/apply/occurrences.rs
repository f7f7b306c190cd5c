//! Joining an event's facts to their occurrence, and opening or upgrading its follow-up.

use std::collections::{BTreeMap, BTreeSet};

use super::Work;
use super::graph::{Graph, pays};
use super::rows::json;
use crate::clock::{Timestamp, micros};
use crate::guardrails::mandatory::facts::{FactKind, Lead};
use crate::guardrails::occurrence::{
    Candidate, Occurrence, Placement, SAME_FAILURE, place, rejoin,
};
use crate::store::database::{Transaction, args, list, statements};
use crate::store::error::StoreError;
use crate::store::inbox::WAKE_LANE;
use crate::store::records::ClaimedEvent;
use crate::store::sql_store::SqlStore;
use crate::stripe::links::{Node, NodeKind};

statements! {
    KNOWN: "SELECT o.id, o.data, r.status FROM facts f JOIN occurrences o ON o.id = f.occurrence LEFT JOIN runs r ON r.occurrence = o.id AND r.stage = 'first' \
        WHERE f.account = $1 AND f.livemode = $2 AND f.fact = $3";
    SHARING: "SELECT DISTINCT o.id, o.data, r.status FROM occurrence_nodes n JOIN occurrences o ON o.id = n.occurrence \
        LEFT JOIN runs r ON r.occurrence = o.id AND r.stage = 'first' \
        WHERE n.account = $1 AND n.livemode = $2 AND n.node IN (SELECT value FROM json_each($3)) AND o.merged_into IS NULL";
    NEARBY: "SELECT o.id, o.data, r.status FROM occurrences o LEFT JOIN runs r ON r.occurrence = o.id AND r.stage = 'first' \
        WHERE o.account = $1 AND o.livemode = $2 AND o.customer = $3 AND o.kind = 'failure' AND o.created BETWEEN $4 AND $5 AND o.merged_into IS NULL";
    PUT: "INSERT INTO occurrences (id, account, livemode, kind, customer, created, data) VALUES ($1, $2, $3, $4, $5, $6, $7) \
        ON CONFLICT (id) DO UPDATE SET customer = excluded.customer, created = excluded.created, data = excluded.data";
    PUT_NODE: "INSERT INTO occurrence_nodes (account, livemode, node, occurrence) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    PUT_FACT: "INSERT INTO facts (account, livemode, fact, occurrence) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (account, livemode, fact) DO UPDATE SET occurrence = excluded.occurrence";
    MERGE_OCCURRENCE: "UPDATE occurrences SET merged_into = $2 WHERE id = $1";
    MERGE_FACTS: "UPDATE facts SET occurrence = $4 WHERE account = $1 AND livemode = $2 AND occurrence = $3 AND fact IN (SELECT value FROM json_each($5))";
    FACTS_OF: "SELECT f.fact FROM facts f WHERE f.account = $1 AND f.livemode = $2 AND f.occurrence = $3";
    MERGE_EVENTS: "UPDATE events SET occurrence = $2 WHERE occurrence = $1";
    /// Locked, because a worker may claim it at this moment.
    RUN_OF: "SELECT id, status, playbook, event, lane FROM runs WHERE occurrence = $1 AND stage = 'first'",
        postgres: "SELECT id, status, playbook, event, lane FROM runs WHERE occurrence = $1 AND stage = 'first' FOR UPDATE";
    MOVE_RUN: "UPDATE runs SET occurrence = $2 WHERE id = $1";
    MERGE_RUN: "UPDATE runs SET status = 'merged', reason = $2, ended_at = $3 WHERE id = $1 AND status IN ('waiting', 'deferred')";
    INSERT_RUN: "INSERT INTO runs (id, account, livemode, lane, event, occurrence, playbook, stage, customer, status, due_at, decide_by, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'waiting', $10, $11, $12) ON CONFLICT (occurrence, stage) DO NOTHING";
    UPGRADE_RUN: "UPDATE runs SET playbook = $2, event = $3, customer = coalesce(customer, $4), \
        due_at = CASE WHEN due_at > $5 THEN $5 ELSE due_at END WHERE id = $1 AND status IN ('waiting', 'deferred')";
    /// A lane is held before its runs are written, as whoever claims it does: the two cannot wait for each other.
    HOLD_LANE: "SELECT 1 AS one FROM lanes WHERE lane = $1",
        postgres: "SELECT 1 AS one FROM lanes WHERE lane = $1 FOR UPDATE";
    DONE: "UPDATE events SET status = 'done' WHERE occurrence = $1 AND status = 'applied'";
}

fn candidates(
    rows: &[crate::store::database::Row],
) -> Result<BTreeMap<String, Candidate>, StoreError> {
    rows.iter()
        .map(|row| {
            let occurrence: Occurrence = row.json("data")?;
            let open = matches!(
                row.opt_text("status")?.as_deref(),
                None | Some("waiting" | "deferred")
            );
            Ok((occurrence.id.clone(), Candidate { occurrence, open }))
        })
        .collect()
}

struct Joiner<'a> {
    tx: &'a mut Transaction,
    claimed: &'a ClaimedEvent,
    graph: &'a Graph,
    now: Timestamp,
}

impl Joiner<'_> {
    fn reach(&self, nodes: &BTreeSet<Node>) -> BTreeSet<Node> {
        self.graph.connected(nodes, pays)
    }

    async fn candidates(
        &mut self,
        reach: &BTreeSet<Node>,
        customer: Option<&str>,
        created: Timestamp,
    ) -> Result<Vec<Candidate>, StoreError> {
        let (account, livemode) = (self.claimed.account.as_str(), self.claimed.livemode);
        let names: Vec<String> = reach.iter().map(ToString::to_string).collect();
        let names = list(names.iter().map(String::as_str));
        let mut found = candidates(
            &self
                .tx
                .rows(&SHARING, args![account, livemode, &names])
                .await?,
        )?;
        if let Some(customer) = customer {
            let (from, to) = (created.minus(SAME_FAILURE), created.plus(SAME_FAILURE));
            found.append(&mut candidates(
                &self
                    .tx
                    .rows(&NEARBY, args![account, livemode, customer, from, to])
                    .await?,
            )?);
        }
        Ok(found.into_values().collect())
    }

    async fn write(&mut self, placement: &Placement) -> Result<(), StoreError> {
        let (account, livemode) = (self.claimed.account.as_str(), self.claimed.livemode);
        let occurrence = &placement.occurrence;
        let (kind, data) = (occurrence.kind.as_str(), json(occurrence));
        self.tx
            .run(
                &PUT,
                args![
                    &occurrence.id,
                    account,
                    livemode,
                    kind,
                    &occurrence.customer,
                    occurrence.created,
                    &data
                ],
            )
            .await?;
        for node in &occurrence.nodes {
            self.tx
                .run(
                    &PUT_NODE,
                    args![account, livemode, node.to_string(), &occurrence.id],
                )
                .await?;
        }
        for merged in &placement.merged {
            self.merge(merged, &occurrence.id).await?;
        }
        Ok(())
    }

    async fn merge(&mut self, loser: &str, survivor: &str) -> Result<(), StoreError> {
        let (account, livemode) = (self.claimed.account.as_str(), self.claimed.livemode);
        let facts: Vec<String> = self
            .tx
            .rows(&FACTS_OF, args![account, livemode, loser])
            .await?
            .iter()
            .map(|row| row.text("fact"))
            .collect::<Result<_, _>>()?;
        let facts = list(facts.iter().map(String::as_str));
        self.tx
            .run(
                &MERGE_FACTS,
                args![account, livemode, loser, survivor, &facts],
            )
            .await?;
        self.tx
            .run(&MERGE_OCCURRENCE, args![loser, survivor])
            .await?;
        self.tx.run(&MERGE_EVENTS, args![loser, survivor]).await?;
        let kept = self.tx.row(&RUN_OF, args![survivor]).await?;
        let Some(run) = self.tx.row(&RUN_OF, args![loser]).await? else {
            return Ok(());
        };
        let id = run.text("id")?;
        self.tx.rows(&HOLD_LANE, args![run.text("lane")?]).await?;
        if kept.is_none() {
            self.tx.run(&MOVE_RUN, args![&id, survivor]).await?;
        } else if self
            .tx
            .run(
                &MERGE_RUN,
                args![&id, format!("the same as {survivor}"), self.now],
            )
            .await?
            == 0
        {
            // Both had effects before anything told that they are one; nothing more is sent for either.
            tracing::warn!(
                occurrence = survivor,
                merged = loser,
                "two follow-ups of one business fact had both begun"
            );
        }
        Ok(())
    }
}

impl SqlStore {
    /// Joins the facts, and says which occurrence the event belongs to and whether its follow-up is still to come.
    pub(super) async fn join_occurrences(
        &self,
        tx: &mut Transaction,
        claimed: &ClaimedEvent,
        work: &Work,
        graph: &Graph,
        new_links: bool,
    ) -> Result<(Option<String>, bool), StoreError> {
        let mut joiner = Joiner {
            tx,
            claimed,
            graph,
            now: self.clock.now(),
        };
        let mut joined = None;
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
            let placement = match candidates(&known)?.into_values().next() {
                Some(mut known) => {
                    known.occurrence.add(fact);
                    rejoin(&known, &reach, &found)
                }
                None => place(fact, &reach, &found, self.ids.next("occ")),
            };
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
            self.lead(&mut joiner, work, occurrence, fact.lead, &reach)
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
            return Ok((None, false));
        };
        let run = joiner
            .tx
            .row(&RUN_OF, args![&id])
            .await?
            .map(|run| run.text("status"))
            .transpose()?;
        let open = matches!(run.as_deref(), Some("waiting" | "running" | "deferred"));
        if !open {
            joiner.tx.run(&DONE, args![&id]).await?;
        }
        Ok((Some(id), open))
    }

    /// Opens the follow-up that a leading fact asks for, or upgrades the one that still waits.
    async fn lead(
        &self,
        joiner: &mut Joiner<'_>,
        work: &Work,
        occurrence: &Occurrence,
        lead: Option<Lead>,
        reach: &BTreeSet<Node>,
    ) -> Result<(), StoreError> {
        let claimed = joiner.claimed;
        let run = joiner.tx.row(&RUN_OF, args![&occurrence.id]).await?;
        // A payment of an invoice never leads: the invoice's own event does.
        let of_invoice = reach
            .iter()
            .chain(&occurrence.nodes)
            .any(|node| node.kind == NodeKind::Invoice);
        let Some(lead) = lead.filter(|lead| *lead != Lead::PaymentFailed || !of_invoice) else {
            return Ok(());
        };
        let due = claimed.received_at.plus(self.policy.settle);
        if let Some(run) = run {
            let playbook = run.text("playbook")?;
            let current = [
                Lead::PaymentFailed,
                Lead::SubscriptionPastDue,
                Lead::InvoicePaymentFailed,
            ]
            .into_iter()
            .find(|lead| lead.playbook() == playbook);
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
        if micros(claimed.received_at.since(occurrence.created)) > micros(self.policy.max_age) {
            tracing::info!(event.id = %claimed.id, "older than follow_up.max_age: state is updated, nobody is written to");
            return Ok(());
        }
        let waits_for_invoice = occurrence.kind == FactKind::Failure && lead == Lead::PaymentFailed;
        let due = match &occurrence.customer {
            Some(customer)
                if waits_for_invoice && self.has_subscription(joiner, customer).await? =>
            {
                claimed.received_at.plus(self.policy.patience())
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
