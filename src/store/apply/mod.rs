//! Applying an event: lock its roots, insert its snapshots, project, derive, note what changed, open its follow-up;
//! all in one transaction.

mod asks;
pub(crate) mod derived;
pub(crate) mod graph;
pub(crate) mod joiner;
pub(crate) mod occurrences;
pub(crate) mod rows;
mod work;

use std::collections::BTreeSet;

use self::graph::Graph;
use self::occurrences::Joined;
use self::rows::Rows;
pub(crate) use self::work::Work;
use super::database::{Transaction, args, statements};
use super::error::StoreError;
use super::fetches::{self, Reason};
use super::records::ClaimedEvent;
use super::sql_store::SqlStore;
use super::telling::{Changed, Scope};
use crate::clock::Timestamp;
use crate::guardrails::mandatory::facts::Lead;
use crate::guardrails::mandatory::snapshot::{FETCH, Projection};
use crate::stripe::event::{Event, THIN, is_thin};
use crate::stripe::links::{Node, NodeKind};
use crate::stripe::view::Family;

statements! {
    /// Spends the epoch, as every end of a claim does.
    APPLIED: "UPDATE events SET status = $3, stale = $4, occurrence = coalesce($5, occurrence), applied_at = $6, last_error = $7, lease_until = 0, epoch = epoch + 1 \
        WHERE id = $1 AND epoch = $2";
    /// Asked only after the event's row was written: until then the body of another shape may be on its way in unseen.
    STILL_UNAPPLIED: "UPDATE events SET status = 'pending' WHERE id = $1 AND EXISTS (SELECT 1 FROM bodies WHERE event = $1 AND applied = 0)";
    BODY_APPLIED: "UPDATE bodies SET applied = 1 WHERE event = $1 AND api_version = $2";
}

/// How often the roots may grow under our hands before the event is put back.
const MOST_ROUNDS: usize = 8;

/// What writing came to.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The event won no field.
    stale: bool,
    /// The object's row is another one now.
    pub(super) changed: bool,
    joined: Joined,
}

/// Tries again while others change the same roots.
pub(super) async fn in_rounds<T, F>(attempt: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    for _ in 0..MOST_ROUNDS {
        match attempt().await {
            Err(error) if error.is_conflict() => {}
            Err(StoreError::Contended) => {}
            other => return other,
        }
    }
    Err(StoreError::Contended)
}

impl SqlStore {
    pub(super) async fn apply(&self, claimed: &ClaimedEvent) -> Result<(), StoreError> {
        let work = Work::of(claimed)?;
        in_rounds(|| self.try_apply(claimed, work.as_ref())).await
    }

    async fn try_apply(
        &self,
        claimed: &ClaimedEvent,
        work: Option<&Work>,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        let remark = work.and_then(|work| work.remark);
        let mut written = match work {
            Some(work) => self.write(&mut tx, claimed, work).await?,
            None => Written::default(),
        };
        written.stale |= remark.is_some();
        if is_thin(&claimed.event_type) {
            self.ask_for_thin(&mut tx, claimed).await?;
        }
        for (version, _) in &claimed.bodies {
            tx.run(&BODY_APPLIED, args![&claimed.id, version]).await?;
        }
        let status = if written.joined.open {
            "applied"
        } else {
            "done"
        };
        let values = args![
            &claimed.id,
            claimed.epoch,
            status,
            written.stale,
            written.joined.occurrence,
            self.clock.now(),
            remark.map(str::to_owned),
        ];
        if tx.run(&APPLIED, values).await? == 0 {
            return Err(StoreError::Fenced);
        }
        tx.run(&STILL_UNAPPLIED, args![&claimed.id]).await?;
        for lead in written.joined.news {
            raise(claimed, work.map_or("", |work| &work.object.id), lead);
        }
        tx.commit().await
    }

    /// Writes everything that follows from `work`; the event's own row is left to whoever holds it.
    pub(super) async fn write(
        &self,
        tx: &mut Transaction,
        claimed: &ClaimedEvent,
        work: &Work,
    ) -> Result<Written, StoreError> {
        let graph = self.lock_roots(tx, claimed, work).await?;
        let new_subscribers = new_subscribers(tx, claimed, work).await?;
        let (account, livemode) = (claimed.account.as_str(), claimed.livemode);
        let new_links = graph::insert(tx, account, livemode, &work.links).await?;
        graph::insert(tx, account, livemode, &graph.of_customers()).await?;
        let now = self.clock.now();
        let (mut written, row, changed) =
            write_rows(tx, claimed, work, &graph, &new_subscribers, now).await?;
        written.joined = self
            .join_occurrences(tx, claimed, work, &graph, new_links)
            .await?;
        let scope = Scope {
            account,
            livemode,
            event: &claimed.id,
            now,
        };
        self.tell(tx, scope, &changed).await?;
        self.ask_what_is_open(tx, claimed, work, &graph, row.as_ref())
            .await?;
        Ok(written)
    }

    /// Puts down what Stripe could answer about the object.
    async fn ask_what_is_open(
        &self,
        tx: &mut Transaction,
        claimed: &ClaimedEvent,
        work: &Work,
        graph: &Graph,
        row: Option<&Projection>,
    ) -> Result<(), StoreError> {
        if !self.policy.reach.covers(claimed.livemode) {
            return Ok(());
        }
        let subscribes = match &work.customer {
            Some(customer) => {
                let customer = args![&claimed.account, claimed.livemode, customer];
                tx.row(&rows::SUBSCRIBES, customer).await?.is_some()
            }
            None => false,
        };
        // Whoever asked because of a tie looks again by themselves.
        let tie = claimed.event_type != FETCH && row.is_some_and(|row| row.tie);
        let row = row.map(|row| &row.row);
        for reason in asks::asks(work, row, tie, graph, subscribes) {
            let subject = fetches::Subject {
                kind: work.family.as_str(),
                id: &work.object.id,
                context: work.context.as_deref(),
            };
            self.ask(tx, claimed, reason, &subject).await?;
        }
        Ok(())
    }

    /// A thin event shows nothing of its object: all that can be done is to ask.
    async fn ask_for_thin(
        &self,
        tx: &mut Transaction,
        claimed: &ClaimedEvent,
    ) -> Result<(), StoreError> {
        let context = claimed.bodies.iter().find_map(|(_, body)| {
            let event = Event::parse(body, claimed.received_at).ok()?;
            event.context
        });
        let subject = fetches::Subject {
            kind: THIN,
            id: &claimed.id,
            context: context.as_deref(),
        };
        self.ask(tx, claimed, Reason::Thin, &subject).await
    }

    /// Reads the links, locks what they show, and reads them again: under READ COMMITTED somebody else may have added
    /// to them between. If they grew, everything starts over with the larger set.
    async fn lock_roots(
        &self,
        tx: &mut Transaction,
        claimed: &ClaimedEvent,
        work: &Work,
    ) -> Result<Graph, StoreError> {
        let (account, livemode) = (claimed.account.as_str(), claimed.livemode);
        let nodes = work.nodes();
        let graph = Graph::load(tx, account, livemode, &nodes, &work.links).await?;
        if tx.is_sqlite() {
            return Ok(graph);
        }
        let name = |node: &Node| format!("{account}/{livemode}/{node}");
        let mut roots: BTreeSet<String> = graph.nodes().chain(&nodes).map(name).collect();
        roots.insert(format!(
            "{account}/{livemode}/{}/{}",
            work.family.as_str(),
            work.object.id
        ));
        roots.extend(
            work.customer
                .iter()
                .map(|id| name(&Node::new(NodeKind::Customer, id.clone()))),
        );
        if let (Family::Subscription, Some(subject)) = (work.family, &work.object.node) {
            // Whoever the subscription ever belonged to has their access derived again.
            roots.extend(
                graph::customers_of(tx, account, livemode, subject)
                    .await?
                    .iter()
                    .map(name),
            );
        }
        tx.lock(&roots).await?;
        let again = Graph::load(tx, account, livemode, &nodes, &work.links).await?;
        if again.nodes().map(name).all(|root| roots.contains(&root)) {
            Ok(again)
        } else {
            Err(StoreError::Contended)
        }
    }
}

/// Tells whoever runs this what a person has to mend at Stripe. As the last before the commit, after which the fact is known:
/// a process that dies between tells it again, and not never.
fn raise(claimed: &ClaimedEvent, object: &str, lead: Lead) {
    let Some(what) = lead.alarm() else { return };
    let mode = if claimed.livemode { "live" } else { "test" };
    metrics::counter!("billhook_alarms_total", "about" => lead.playbook(), "mode" => mode)
        .increment(1);
    tracing::warn!(event.id = %claimed.id, account = %claimed.account, mode, object, "{what}");
}

async fn write_rows(
    tx: &mut Transaction,
    claimed: &ClaimedEvent,
    work: &Work,
    graph: &Graph,
    new_subscribers: &BTreeSet<String>,
    now: Timestamp,
) -> Result<(Written, Option<Projection>, Changed), StoreError> {
    let mut rows = Rows {
        tx,
        account: &claimed.account,
        livemode: claimed.livemode,
        event: &claimed.id,
        now,
        changed: Changed::new(),
    };
    let projected = rows.project(&work.snapshots).await?;
    derive_orders(&mut rows, graph).await?;
    for customer in new_subscribers {
        // What a customer with subscriptions pays is a subscription's business, unless it names an order.
        for lone in rows.lone_orders(customer).await? {
            // Each by itself: together they could be more than one component may have.
            let start = BTreeSet::from([lone]);
            let around =
                Graph::load(rows.tx, &claimed.account, claimed.livemode, &start, &[]).await?;
            derive_orders(&mut rows, &around).await?;
        }
    }
    // Those whom a dispute is linked to, by this event perhaps.
    let mut customers = graph.contesting();
    if let (Some((before, projection)), Family::Customer | Family::Subscription) =
        (&projected, work.family)
    {
        let named = [before.as_ref(), Some(&projection.row)]
            .into_iter()
            .flatten()
            .filter_map(|row| row.text("customer"));
        customers.extend(named.map(str::to_owned));
        customers.extend(work.customer.clone());
    }
    for customer in &customers {
        rows.derive_access(customer).await?;
    }
    let Some((before, projection)) = projected else {
        return Ok((Written::default(), None, rows.changed));
    };
    let written = Written {
        stale: projection.is_stale(&claimed.id),
        changed: before.as_ref() != Some(&projection.row),
        ..Written::default()
    };
    Ok((written, Some(projection), rows.changed))
}

/// The customers whom the event's links show to have a subscription, and no link did before.
async fn new_subscribers(
    tx: &mut Transaction,
    claimed: &ClaimedEvent,
    work: &Work,
) -> Result<BTreeSet<String>, StoreError> {
    let mut new = BTreeSet::new();
    for edge in &work.links {
        let (first, last) = (edge.first(), edge.last());
        if (first.kind, last.kind) == (NodeKind::Customer, NodeKind::Subscription)
            && tx
                .row(
                    &rows::SUBSCRIBES,
                    args![&claimed.account, claimed.livemode, &first.id],
                )
                .await?
                .is_none()
        {
            new.insert(first.id.clone());
        }
    }
    Ok(new)
}

async fn derive_orders(rows: &mut Rows<'_>, graph: &Graph) -> Result<(), StoreError> {
    for component in graph.components() {
        rows.derive_order(&component, graph).await?;
    }
    Ok(())
}
