//! Links between Stripe's objects: which invoice a payment belongs to, which order, which customer.
//!
//! Every object shows a few of its neighbours, in places that changed with the API versions, and no single one shows
//! them all; together they make the graph that orders and occurrences are found in. An edge that was seen once is
//! true for ever, so this only ever adds, and reads every object that is expanded inside another one too. Nothing
//! here guesses: what is not written down is no link.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::stripe::order_reference::{client_reference_id, metadata_order_id};
use crate::stripe::reference::reference;
use crate::stripe::text::fits_an_id;
use crate::stripe::view::Family;
use crate::stripe::views::values_at;

/// The kinds of things that are linked, in the order of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeKind {
    /// A charge.
    Charge,
    /// A checkout session.
    CheckoutSession,
    /// A customer.
    Customer,
    /// A dispute.
    Dispute,
    /// A warning about a charge.
    EarlyFraudWarning,
    /// An invoice.
    Invoice,
    /// A name that the business itself gave to an order.
    OrderReference,
    /// A payment intent.
    PaymentIntent,
    /// A payout. It is linked to nothing: it stands for itself among what was told of.
    Payout,
    /// A refund.
    Refund,
    /// A review.
    Review,
    /// A subscription.
    Subscription,
}

impl NodeKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Charge,
        Self::CheckoutSession,
        Self::Customer,
        Self::Dispute,
        Self::EarlyFraudWarning,
        Self::Invoice,
        Self::OrderReference,
        Self::PaymentIntent,
        Self::Payout,
        Self::Refund,
        Self::Review,
        Self::Subscription,
    ];

    /// Stripe's name for such an object, and ours for an order reference and a warning.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::CheckoutSession => "checkout.session",
            Self::Customer => "customer",
            Self::Dispute => "dispute",
            Self::EarlyFraudWarning => "early_fraud_warning",
            Self::Invoice => "invoice",
            Self::OrderReference => "order_reference",
            Self::PaymentIntent => "payment_intent",
            Self::Payout => "payout",
            Self::Refund => "refund",
            Self::Review => "review",
            Self::Subscription => "subscription",
        }
    }

    /// The kind of the objects of a family; a payment towards an invoice is no node, it is an edge, and what has nothing
    /// to do with a payment has no links.
    pub fn of(family: Family) -> Option<Self> {
        Some(match family {
            Family::Customer => Self::Customer,
            Family::Subscription => Self::Subscription,
            Family::Invoice => Self::Invoice,
            Family::PaymentIntent => Self::PaymentIntent,
            Family::Payout => Self::Payout,
            Family::Charge => Self::Charge,
            Family::Refund => Self::Refund,
            Family::Dispute => Self::Dispute,
            Family::EarlyFraudWarning => Self::EarlyFraudWarning,
            Family::Review => Self::Review,
            Family::CheckoutSession => Self::CheckoutSession,
            Family::SubscriptionSchedule
            | Family::Entitlements
            | Family::Discount
            | Family::InvoicePayment
            | Family::CreditNote
            | Family::PaymentMethod
            | Family::SetupIntent
            | Family::Mandate
            | Family::Account
            | Family::Capability
            | Family::Product
            | Family::Price
            | Family::Coupon => return None,
        })
    }
}

/// One linked thing. Written `kind/id`, and sorted as that text is sorted byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Its id, or the order's name. Ids may hold any character, a slash included.
    pub id: String,
}

/// A text that names no node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no object: write KIND/ID, as in payment_intent/pi_1")]
pub struct NodeError(String);

impl Node {
    /// The node of one thing.
    pub fn new(kind: NodeKind, id: impl Into<String>) -> Self {
        Self {
            kind,
            id: id.into(),
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.id)
    }
}

impl FromStr for Node {
    type Err = NodeError;

    fn from_str(text: &str) -> Result<Self, NodeError> {
        text.split_once('/')
            .and_then(|(kind, id)| {
                let kind = NodeKind::ALL
                    .into_iter()
                    .find(|known| known.as_str() == kind)?;
                fits_an_id(id).then(|| Self::new(kind, id))
            })
            .ok_or_else(|| NodeError(text.to_owned()))
    }
}

impl From<Node> for String {
    fn from(node: Node) -> Self {
        node.to_string()
    }
}

impl TryFrom<String> for Node {
    type Error = NodeError;

    fn try_from(text: String) -> Result<Self, NodeError> {
        text.parse()
    }
}

/// Two things that belong together. It has no direction: whichever end is named first, the edge is the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "(Node, Node)")]
pub struct Edge(Node, Node);

impl Edge {
    /// The edge between two nodes.
    pub fn new(a: Node, b: Node) -> Self {
        if a <= b { Self(a, b) } else { Self(b, a) }
    }

    /// The end that sorts first.
    pub fn first(&self) -> &Node {
        &self.0
    }

    /// The end that sorts last.
    pub fn last(&self) -> &Node {
        &self.1
    }

    /// The end that is not `node`, if `node` is an end.
    pub fn other(&self, node: &Node) -> Option<&Node> {
        if *node == self.0 {
            Some(&self.1)
        } else {
            (*node == self.1).then_some(&self.0)
        }
    }
}

impl From<(Node, Node)> for Edge {
    fn from((a, b): (Node, Node)) -> Self {
        Self::new(a, b)
    }
}

/// Every link that `object` shows, its expanded objects included; sorted, each once.
///
/// `id` is the object's own id; without one that can be an id, only the links inside of it are found.
pub fn edges(family: Family, id: &str, object: &Value) -> Vec<Edge> {
    let mut edges = BTreeSet::new();
    collect(family, id, object, &mut edges);
    edges.into_iter().collect()
}

/// Where the objects of a family show a neighbour. A new place of a new API version is one line here.
fn places(family: Family) -> &'static [(&'static str, Family)] {
    match family {
        Family::Subscription => &[
            ("customer", Family::Customer),
            ("latest_invoice", Family::Invoice),
        ],
        Family::Invoice => &[
            ("customer", Family::Customer),
            ("subscription", Family::Subscription),
            (
                "parent.subscription_details.subscription",
                Family::Subscription,
            ),
            ("payment_intent", Family::PaymentIntent),
            ("charge", Family::Charge),
            (
                "payments.data[].payment.payment_intent",
                Family::PaymentIntent,
            ),
            ("payments.data[].payment.charge", Family::Charge),
        ],
        Family::InvoicePayment => &[
            ("payment.payment_intent", Family::PaymentIntent),
            ("payment.charge", Family::Charge),
        ],
        Family::PaymentIntent => &[
            ("customer", Family::Customer),
            ("invoice", Family::Invoice),
            ("latest_charge", Family::Charge),
            ("charges.data[]", Family::Charge),
            ("last_payment_error.charge", Family::Charge),
            ("review", Family::Review),
        ],
        Family::Charge => &[
            ("customer", Family::Customer),
            ("payment_intent", Family::PaymentIntent),
            ("invoice", Family::Invoice),
            ("refunds.data[]", Family::Refund),
            ("dispute", Family::Dispute),
            ("review", Family::Review),
        ],
        Family::Refund | Family::Dispute | Family::EarlyFraudWarning | Family::Review => &[
            ("charge", Family::Charge),
            ("payment_intent", Family::PaymentIntent),
        ],
        Family::CheckoutSession => &[
            ("customer", Family::Customer),
            ("payment_intent", Family::PaymentIntent),
            ("invoice", Family::Invoice),
            ("subscription", Family::Subscription),
        ],
        // An expanded invoice or refund inside of it shows its own.
        Family::CreditNote => &[
            ("invoice", Family::Invoice),
            ("refund", Family::Refund),
            ("refunds[].refund", Family::Refund),
        ],
        Family::Customer
        | Family::SubscriptionSchedule
        | Family::Entitlements
        | Family::Discount
        | Family::PaymentMethod
        | Family::SetupIntent
        | Family::Mandate
        | Family::Payout
        | Family::Account
        | Family::Capability
        | Family::Product
        | Family::Price
        | Family::Coupon => &[],
    }
}

fn collect(family: Family, id: &str, object: &Value, edges: &mut BTreeSet<Edge>) {
    // A payment towards an invoice links that invoice, whatever its own id is.
    let from = match (family, object.get("invoice")) {
        (Family::InvoicePayment, invoice) => follow(Family::Invoice, invoice, edges),
        _ => node(family, id),
    };
    for (place, neighbour) in places(family) {
        for value in values_at(object, place) {
            let to = follow(*neighbour, Some(value), edges);
            if let (Some(from), Some(to)) = (&from, to) {
                edges.insert(Edge::new(from.clone(), to));
            }
        }
    }
    let names = match family {
        Family::PaymentIntent => [metadata_order_id(object), None],
        Family::CheckoutSession => [metadata_order_id(object), client_reference_id(object)],
        _ => [None, None],
    };
    for name in names.into_iter().flatten() {
        if let Some(from) = &from {
            edges.insert(Edge::new(
                from.clone(),
                Node::new(NodeKind::OrderReference, name),
            ));
        }
    }
}

/// The node that a reference names. Where the object stands there as a whole, its own links are collected as well;
/// JSON ends that, because an object cannot hold itself.
fn follow(family: Family, value: Option<&Value>, edges: &mut BTreeSet<Edge>) -> Option<Node> {
    let id = reference(value).id()?;
    if let Some(object @ Value::Object(_)) = value {
        collect(family, id, object, edges);
    }
    node(family, id)
}

fn node(family: Family, id: &str) -> Option<Node> {
    let kind = NodeKind::of(family)?;
    fits_an_id(id).then(|| Node::new(kind, id))
}

#[cfg(test)]
mod tests;
