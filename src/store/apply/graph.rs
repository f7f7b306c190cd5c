//! The part of the link graph round an event, read from the store and completed by the event's own links.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::database::{Row, Transaction, args, list, statements};
use crate::store::error::StoreError;
use crate::stripe::links::{Edge, Node, NodeKind};

statements! {
    NEIGHBOURS: "SELECT a, b FROM links WHERE account = $1 AND livemode = $2 AND a IN (SELECT value FROM json_each($3))";
    /// As many as can belong together, and one.
    NAMED: "SELECT a, b FROM links WHERE account = $1 AND livemode = $2 AND a = $3 LIMIT $4";
    INSERT_LINK: "INSERT INTO links (account, livemode, a, b) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
}

/// A component larger than this is no order: some reference stands on payments that have nothing to do with each other.
const MOST_NODES: usize = 500;

/// Links round an event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    neighbours: BTreeMap<Node, BTreeSet<Node>>,
    /// More is linked than can belong together.
    pub(crate) overgrown: bool,
    /// What was seen and is no part of this because that would be too much. Nobody locks it.
    pub(crate) beyond: BTreeSet<Node>,
}

/// Nodes that order components are made of.
pub(crate) fn sells(kind: NodeKind) -> bool {
    matches!(
        kind,
        NodeKind::PaymentIntent | NodeKind::CheckoutSession | NodeKind::OrderReference
    )
}

/// Nodes through which two events can be about one payment.
pub(crate) fn pays(kind: NodeKind) -> bool {
    matches!(
        kind,
        NodeKind::PaymentIntent | NodeKind::Invoice | NodeKind::Charge
    )
}

/// What casts doubt on a payment.
pub(crate) fn doubts(kind: NodeKind) -> bool {
    matches!(
        kind,
        NodeKind::Dispute | NodeKind::EarlyFraudWarning | NodeKind::Review
    )
}

/// What hangs on a payment. It is followed, too: two events may name two payments of one dispute, and whichever comes
/// last must find all that it changes. It does not count as a part of what is sold.
fn hangs(kind: NodeKind) -> bool {
    doubts(kind) || kind == NodeKind::Refund
}

fn is_followed(kind: NodeKind) -> bool {
    sells(kind) || pays(kind) || hangs(kind)
}

/// Whether these are more than can belong together.
fn is_too_much<'a>(nodes: impl Iterator<Item = &'a Node>) -> bool {
    nodes.filter(|node| !hangs(node.kind)).count() > MOST_NODES
}

/// Whether it is a name that people give, and not an object.
fn names(node: &Node) -> bool {
    node.kind == NodeKind::OrderReference
}

impl Graph {
    /// Reads what the store knows round `start`, and adds `edges`.
    ///
    /// An order reference stands on as much as whoever chooses it likes. So references are asked one by one, after
    /// everything else, and of one that stands on more than can belong together nothing is taken in. Whether that is so
    /// depends on all the links there are, not on where one starts.
    pub(crate) async fn load(
        tx: &mut Transaction,
        account: &str,
        livemode: bool,
        start: &BTreeSet<Node>,
        edges: &[Edge],
    ) -> Result<Self, StoreError> {
        let mut graph = Self::default();
        for edge in edges {
            graph.add(edge.first().clone(), edge.last().clone());
        }
        for node in start {
            graph.neighbours.entry(node.clone()).or_default();
        }
        let mut asked: BTreeSet<Node> = BTreeSet::new();
        let mut ask: BTreeSet<Node> = start
            .iter()
            .chain(graph.neighbours.keys())
            .cloned()
            .collect();
        ask.retain(|node| is_followed(node.kind));
        while !ask.is_empty() {
            if is_too_much(asked.iter().chain(&ask)) {
                graph.overgrown = true;
                break;
            }
            let mut now: BTreeSet<Node> = ask.iter().filter(|node| !names(node)).cloned().collect();
            let alone = now.is_empty();
            now.extend(ask.iter().filter(|_| alone).take(1).cloned());
            ask.retain(|node| !now.contains(node));
            let links = if alone {
                named(tx, account, livemode, &now).await?
            } else {
                neighbours(tx, account, livemode, &now).await?
            };
            asked.append(&mut now);
            let found: BTreeSet<&Node> = links.iter().map(|(_, b)| b).collect();
            let known: BTreeSet<&Node> = asked.iter().chain(&ask).chain(found).collect();
            if alone && is_too_much(known.into_iter().filter(|node| is_followed(node.kind))) {
                graph.overgrown = true;
                graph.beyond = links.into_iter().map(|(_, b)| b).collect();
                break;
            }
            for (a, b) in links {
                if is_followed(b.kind) && !asked.contains(&b) {
                    ask.insert(b.clone());
                }
                graph.add(a, b);
            }
        }
        Ok(graph)
    }

    fn add(&mut self, a: Node, b: Node) {
        self.neighbours
            .entry(a.clone())
            .or_default()
            .insert(b.clone());
        self.neighbours.entry(b).or_default().insert(a);
    }

    /// Every node.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.neighbours.keys()
    }

    /// Whether a node has a neighbour of a kind.
    pub(crate) fn touches(&self, node: &Node, kind: NodeKind) -> bool {
        self.neighbours
            .get(node)
            .is_some_and(|others| others.iter().any(|other| other.kind == kind))
    }

    /// The ids of the neighbours of a kind that some nodes have, each once.
    pub(crate) fn around<'a>(
        &'a self,
        nodes: impl IntoIterator<Item = &'a Node>,
        kind: NodeKind,
    ) -> BTreeSet<&'a str> {
        nodes
            .into_iter()
            .flat_map(|node| self.neighbours.get(node).into_iter().flatten())
            .filter(|other| other.kind == kind)
            .map(|other| other.id.as_str())
            .collect()
    }

    /// Everything connected to `start` through nodes that `through` lets pass, `start` included.
    pub(crate) fn connected(
        &self,
        start: &BTreeSet<Node>,
        through: fn(NodeKind) -> bool,
    ) -> BTreeSet<Node> {
        let mut reached = start.clone();
        let mut open: Vec<Node> = start
            .iter()
            .filter(|node| through(node.kind))
            .cloned()
            .collect();
        while let Some(node) = open.pop() {
            for other in self.neighbours.get(&node).into_iter().flatten() {
                if through(other.kind) && reached.insert(other.clone()) {
                    open.push(other.clone());
                }
            }
        }
        reached
    }

    /// What only several links together show: whose payment a dispute, a warning or a review is about.
    ///
    /// None of them names a customer. Whichever event brings the last link of the chain finds the whole of it, so these
    /// are the same in any order.
    pub(crate) fn of_customers(&self) -> Vec<Edge> {
        let mut edges = Vec::new();
        for doubt in self.nodes().filter(|node| doubts(node.kind)) {
            let payments = self.neighbours.get(doubt).into_iter().flatten();
            let payments = payments.filter(|node| pays(node.kind)).cloned().collect();
            for payment in self.connected(&payments, pays) {
                let around = self.neighbours.get(&payment).into_iter().flatten();
                edges.extend(
                    around
                        .filter(|node| node.kind == NodeKind::Customer)
                        .map(|customer| Edge::new(customer.clone(), doubt.clone())),
                );
            }
        }
        edges
    }

    /// The customers whose payments are disputed.
    pub(crate) fn contesting(&self) -> BTreeSet<String> {
        self.of_customers()
            .iter()
            .filter(|edge| edge.last().kind == NodeKind::Dispute)
            .map(|edge| edge.first().id.clone())
            .collect()
    }

    /// The order components of the graph.
    pub(crate) fn components(&self) -> Vec<BTreeSet<Node>> {
        let mut rest: BTreeSet<&Node> = self.nodes().filter(|node| sells(node.kind)).collect();
        let mut components = Vec::new();
        while let Some(node) = rest.pop_first() {
            let component = self.connected(&BTreeSet::from([node.clone()]), sells);
            rest.retain(|other| !component.contains(*other));
            components.push(component);
        }
        components
    }
}

/// The links from some nodes.
async fn neighbours(
    tx: &mut Transaction,
    account: &str,
    livemode: bool,
    nodes: &BTreeSet<Node>,
) -> Result<Vec<(Node, Node)>, StoreError> {
    let names: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    let names = list(names.iter().map(String::as_str));
    let rows = tx
        .rows(&NEIGHBOURS, args![account, livemode, names])
        .await?;
    rows.iter().map(link).collect()
}

/// The links from references, of each one more at most than can belong together.
async fn named(
    tx: &mut Transaction,
    account: &str,
    livemode: bool,
    references: &BTreeSet<Node>,
) -> Result<Vec<(Node, Node)>, StoreError> {
    let mut links = Vec::new();
    let most = i64::try_from(MOST_NODES).unwrap_or(i64::MAX);
    for reference in references {
        let name = reference.to_string();
        let rows = tx
            .rows(
                &NAMED,
                args![account, livemode, &name, most.saturating_add(1)],
            )
            .await?;
        for row in &rows {
            links.push(link(row)?);
        }
    }
    Ok(links)
}

fn link(row: &Row) -> Result<(Node, Node), StoreError> {
    let ends = (row.text("a")?.parse(), row.text("b")?.parse());
    let (Ok(a), Ok(b)) = ends else {
        return Err(StoreError::Inconsistent {
            column: "links.a",
            what: "not a node",
        });
    };
    Ok((a, b))
}

/// The customers that a node was ever linked to.
pub(crate) async fn customers_of(
    tx: &mut Transaction,
    account: &str,
    livemode: bool,
    node: &Node,
) -> Result<BTreeSet<Node>, StoreError> {
    let name = node.to_string();
    let rows = tx
        .rows(&NEIGHBOURS, args![account, livemode, list([name.as_str()])])
        .await?;
    let mut customers = BTreeSet::new();
    for row in rows {
        customers.extend(
            row.text("b")?
                .parse::<Node>()
                .ok()
                .filter(|node| node.kind == NodeKind::Customer),
        );
    }
    Ok(customers)
}

/// Stores links, each in both directions; says whether any was new.
pub(crate) async fn insert(
    tx: &mut Transaction,
    account: &str,
    livemode: bool,
    edges: &[Edge],
) -> Result<bool, StoreError> {
    let mut new = false;
    for edge in edges {
        let (a, b) = (edge.first().to_string(), edge.last().to_string());
        new |= tx
            .run(&INSERT_LINK, args![account, livemode, &a, &b])
            .await?
            > 0;
        new |= tx
            .run(&INSERT_LINK, args![account, livemode, &b, &a])
            .await?
            > 0;
    }
    Ok(new)
}
