//! The occurrences round an event: found, written, and merged where they turn out to be one.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::{Graph, pays};
use super::rows::json;
use crate::clock::Timestamp;
use crate::guardrails::mandatory::facts::Lead;
use crate::guardrails::occurrence::{Candidate, Occurrence, Placement, SAME_FAILURE};
use crate::store::database::{Row, Transaction, args, list, statements};
use crate::store::error::StoreError;
use crate::store::inbox::{HOLD_LANES, WAKE_LANE};
use crate::store::records::ClaimedEvent;
use crate::stripe::links::Node;

statements! {
    SHARING: "SELECT DISTINCT o.id, o.data, r.status FROM occurrence_nodes n JOIN occurrences o ON o.id = n.occurrence \
        LEFT JOIN runs r ON r.occurrence = o.id AND r.stage = 'first' \
        WHERE n.account = $1 AND n.livemode = $2 AND n.node IN (SELECT value FROM json_each($3)) AND o.merged_into IS NULL";
    NEARBY: "SELECT o.id, o.data, r.status FROM occurrences o LEFT JOIN runs r ON r.occurrence = o.id AND r.stage = 'first' \
        WHERE o.account = $1 AND o.livemode = $2 AND o.customer = $3 AND o.kind = 'failure' AND o.created BETWEEN $4 AND $5 AND o.merged_into IS NULL";
    PUT: "INSERT INTO occurrences (id, account, livemode, kind, customer, created, data) VALUES ($1, $2, $3, $4, $5, $6, $7) \
        ON CONFLICT (id) DO UPDATE SET customer = excluded.customer, created = excluded.created, data = excluded.data";
    PUT_NODE: "INSERT INTO occurrence_nodes (account, livemode, node, occurrence) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    MERGE_OCCURRENCE: "UPDATE occurrences SET merged_into = $2 WHERE id = $1";
    MERGE_FACTS: "UPDATE facts SET occurrence = $4 WHERE account = $1 AND livemode = $2 AND occurrence = $3 AND fact IN (SELECT value FROM json_each($5))";
    FACTS_OF: "SELECT f.fact FROM facts f WHERE f.account = $1 AND f.livemode = $2 AND f.occurrence = $3";
    MERGE_EVENTS: "UPDATE events SET occurrence = $2 WHERE occurrence = $1";
    /// Locked, because a worker may claim it at this moment.
    RUN_OF: "SELECT id, status, playbook, event, lane, customer, due_at FROM runs WHERE occurrence = $1 AND stage = 'first'",
        postgres: "SELECT id, status, playbook, event, lane, customer, due_at FROM runs WHERE occurrence = $1 AND stage = 'first' FOR UPDATE";
    MOVE_RUN: "UPDATE runs SET occurrence = $2 WHERE id = $1";
    MERGE_RUN: "UPDATE runs SET status = 'merged', reason = $2, ended_at = $3 WHERE id = $1 AND status IN ('waiting', 'deferred')";
    UPGRADE_RUN: "UPDATE runs SET playbook = $2, event = $3, customer = coalesce(customer, $4), \
        due_at = CASE WHEN due_at > $5 THEN $5 ELSE due_at END WHERE id = $1 AND status IN ('waiting', 'deferred')";
}

pub(super) fn candidates(rows: &[Row]) -> Result<BTreeMap<String, Candidate>, StoreError> {
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

/// Joins what one event says, in its transaction.
pub(super) struct Joiner<'a> {
    pub(super) tx: &'a mut Transaction,
    pub(super) claimed: &'a ClaimedEvent,
    pub(super) graph: &'a Graph,
    pub(super) now: Timestamp,
}

impl Joiner<'_> {
    /// Everything that links connect to `nodes` through payments.
    pub(super) fn reach(&self, nodes: &BTreeSet<Node>) -> BTreeSet<Node> {
        self.graph.connected(nodes, pays)
    }

    /// The occurrences that share an object with `reach`, and the failures of a customer of about a second.
    pub(super) async fn candidates(
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

    /// Writes an occurrence, and merges into it what turned out to be the same.
    pub(super) async fn write(&mut self, placement: &Placement) -> Result<(), StoreError> {
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

    /// The follow-up of an occurrence. Its lane is held first, as whoever claims it does: the two cannot wait for each
    /// other.
    pub(super) async fn run_of(&mut self, occurrence: &str) -> Result<Option<Row>, StoreError> {
        self.tx.rows(&HOLD_LANES, args![occurrence]).await?;
        self.tx.row(&RUN_OF, args![occurrence]).await
    }

    /// Makes a run that still waits the follow-up that another one is.
    async fn upgrade(&mut self, run: &Row, to: &Row) -> Result<(), StoreError> {
        let due = to.time("due_at")?;
        self.tx
            .run(&WAKE_LANE, args![run.text("lane")?, due])
            .await?;
        let values = args![
            run.text("id")?,
            to.text("playbook")?,
            to.text("event")?,
            to.opt_text("customer")?,
            due
        ];
        self.tx.run(&UPGRADE_RUN, values).await.map(drop)
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
        let kept = self.run_of(survivor).await?;
        let Some(run) = self.run_of(loser).await? else {
            return Ok(());
        };
        let id = run.text("id")?;
        let Some(kept) = kept else {
            self.tx.run(&MOVE_RUN, args![&id, survivor]).await?;
            return Ok(());
        };
        if lead_of(&kept)? < lead_of(&run)? {
            // Whichever occurrence is the older, the greater of two follow-ups that wait is the one that is owed.
            self.upgrade(&kept, &run).await?;
        }
        if self
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

/// What the playbook of a run answers to, if that may give way to something greater.
pub(super) fn lead_of(run: &Row) -> Result<Option<Lead>, StoreError> {
    let playbook = run.text("playbook")?;
    Ok(Lead::OF_FAILURES
        .into_iter()
        .find(|lead| lead.playbook() == playbook))
}
