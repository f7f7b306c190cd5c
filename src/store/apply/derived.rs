//! Writing the rows that are derived from others: access and orders.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::graph::{Graph, sells};
use super::rows::{Change, Put, ROW, Rows};
use crate::clock::Timestamp;
use crate::guardrails::derive::access;
use crate::guardrails::derive::order::{Component, Order, Payment, may_name_an_order};
use crate::store::database::{Row, args, list, statements};
use crate::store::error::StoreError;
use crate::stripe::links::{Node, NodeKind};
use crate::stripe::view::{Family, View};

statements! {
    OF_CUSTOMER: "SELECT id, data FROM objects WHERE account = $1 AND livemode = $2 AND customer = $3 AND kind = $4";
    /// A range of the customer's links, and a row each. What links them is in `graph.rs`. PostgreSQL finds an id by its index
    /// only under the index's own collation, which is not that of `b`.
    DISPUTES: "SELECT o.id, o.data FROM links l JOIN objects o ON o.account = l.account AND o.livemode = l.livemode AND o.kind = 'dispute' AND o.id = substr(l.b, 9) \
        WHERE l.account = $1 AND l.livemode = $2 AND l.a = 'customer/' || $3 AND l.b >= 'dispute/' AND l.b < 'dispute0'",
        postgres: "SELECT o.id, o.data FROM links l JOIN objects o ON o.account = l.account AND o.livemode = l.livemode AND o.kind = 'dispute' AND o.id = substr(l.b, 9) COLLATE \"default\" \
        WHERE l.account = $1 AND l.livemode = $2 AND l.a = 'customer/' || $3 AND l.b >= 'dispute/' AND l.b < 'dispute0'";
    ALIASED: "SELECT DISTINCT order_id FROM order_aliases WHERE account = $1 AND livemode = $2 AND alias IN (SELECT value FROM json_each($3))";
    DROP_ALIASES: "DELETE FROM order_aliases WHERE account = $1 AND livemode = $2 AND order_id = $3";
    PUT_ALIAS: "INSERT INTO order_aliases (account, livemode, alias, order_id) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (account, livemode, alias) DO UPDATE SET order_id = excluded.order_id";
    /// Keeps the version, and counts the end.
    BURY: "INSERT INTO former_objects (account, livemode, kind, id, version) SELECT account, livemode, kind, id, version + 1 FROM objects \
            WHERE account = $1 AND livemode = $2 AND kind = $3 AND id = $4 \
        ON CONFLICT (account, livemode, kind, id) DO UPDATE SET version = excluded.version RETURNING version";
    DELETE: "DELETE FROM objects WHERE account = $1 AND livemode = $2 AND kind = $3 AND id = $4";
}

impl Rows<'_> {
    /// Derives a customer's access from all of their subscriptions and disputes.
    pub(crate) async fn derive_access(&mut self, customer: &str) -> Result<(), StoreError> {
        let row = self.view(Family::Customer, customer).await?;
        let kind = Family::Subscription.as_str();
        let subscriptions = self
            .tx
            .rows(
                &OF_CUSTOMER,
                args![self.account, self.livemode, customer, kind],
            )
            .await?;
        let disputes = self
            .tx
            .rows(&DISPUTES, args![self.account, self.livemode, customer])
            .await?;
        let access = access::derive(
            row.as_ref(),
            &identified(&subscriptions)?,
            &identified(&disputes)?,
        );
        let created = row.as_ref().and_then(|row| row.int("created")).unwrap_or(0);
        let after = serde_json::to_value(access).unwrap_or_default();
        self.write_derived(
            "access",
            customer,
            Some(customer.to_owned()),
            created,
            after,
        )
        .await
    }

    async fn write_derived(
        &mut self,
        kind: &str,
        id: &str,
        customer: Option<String>,
        created: i64,
        after: Value,
    ) -> Result<(), StoreError> {
        let before: Option<Value> = self
            .tx
            .row(&ROW, args![self.account, self.livemode, kind, id])
            .await?
            .map(|row| row.json("data"))
            .transpose()?;
        self.put(&Put {
            kind,
            id,
            customer,
            created,
            tie: false,
            data: after.to_string(),
            newest: Timestamp::default(),
            version: None,
        })
        .await?;
        let rule = format!("derive.{kind}");
        for (field, to) in after.as_object().into_iter().flatten() {
            let from = before.as_ref().and_then(|before| before.get(field));
            self.note(&Change {
                entity: kind,
                id,
                field,
                from,
                to,
                rule: &rule,
            })
            .await?;
        }
        Ok(())
    }

    /// Derives the order of one component, and drops the rows it went by before.
    pub(crate) async fn derive_order(
        &mut self,
        component: &BTreeSet<Node>,
        graph: &Graph,
    ) -> Result<(), StoreError> {
        let ids = |kind: NodeKind| -> Vec<&str> {
            component
                .iter()
                .filter(|node| node.kind == kind)
                .map(|node| node.id.as_str())
                .collect()
        };
        let intents = ids(NodeKind::PaymentIntent);
        let sessions = ids(NodeKind::CheckoutSession);
        let references = ids(NodeKind::OrderReference);
        let mut session_rows = self.views(Family::CheckoutSession, &sessions).await?;
        let mut parts = Component {
            payments: self.payments(&intents, graph).await?,
            sessions: sessions
                .iter()
                .map(|id| ((*id).to_owned(), session_rows.remove(*id)))
                .collect(),
            references: references.iter().map(|id| (*id).to_owned()).collect(),
            has_invoice: component
                .iter()
                .any(|node| graph.touches(node, NodeKind::Invoice)),
            customer_subscribes: false,
        };
        if let Some(customer) = parts.customer().map(str::to_owned) {
            parts.customer_subscribes = self.subscribes(&customer).await?;
        }
        let order = if graph.overgrown { None } else { parts.order() };
        // What is too much to be read goes by no order any more, whichever of its parts the event is about.
        let beyond = graph.beyond.iter().filter(|node| sells(node.kind));
        let every: Vec<&str> = component
            .iter()
            .chain(beyond)
            .filter(|node| node.kind != NodeKind::OrderReference || may_name_an_order(&node.id))
            .map(|node| node.id.as_str())
            .collect();
        let aliased: Vec<String> = self
            .tx
            .rows(&ALIASED, args![self.account, self.livemode, list(every)])
            .await?
            .iter()
            .map(|row| row.text("order_id"))
            .collect::<Result<_, _>>()?;
        for old in &aliased {
            if order.as_ref().is_none_or(|order| order.id != *old) {
                self.delete_order(old).await?;
                self.tx
                    .run(&DROP_ALIASES, args![self.account, self.livemode, old])
                    .await?;
            }
        }
        if let Some(order) = order {
            self.write_order(&order).await?;
        }
        Ok(())
    }

    async fn delete_order(&mut self, id: &str) -> Result<(), StoreError> {
        let row = args![self.account, self.livemode, "order", id];
        if let Some(buried) = self.tx.row(&BURY, row).await? {
            let order = ("order".to_owned(), id.to_owned());
            self.changed.insert(order, buried.int("version")?);
            self.tx.run(&DELETE, row).await?;
        }
        Ok(())
    }

    /// Payment intents with everything that hangs on them or on one of their charges.
    async fn payments(
        &mut self,
        intents: &[&str],
        graph: &Graph,
    ) -> Result<Vec<Payment>, StoreError> {
        let mut hanging: BTreeMap<&str, Vec<Node>> = BTreeMap::new();
        for id in intents {
            let intent = Node::new(NodeKind::PaymentIntent, *id);
            let charges = graph.around([&intent], NodeKind::Charge);
            let charges = charges.iter().map(|id| Node::new(NodeKind::Charge, *id));
            hanging.insert(id, charges.chain([intent.clone()]).collect());
        }
        let around = |kind| graph.around(hanging.values().flatten(), kind);
        let rows = self.views(Family::PaymentIntent, intents).await?;
        let charges = self
            .views_of(Family::Charge, &around(NodeKind::Charge))
            .await?;
        let refunds = self
            .views_of(Family::Refund, &around(NodeKind::Refund))
            .await?;
        let disputes = self
            .views_of(Family::Dispute, &around(NodeKind::Dispute))
            .await?;
        let reviews = self
            .views_of(Family::Review, &around(NodeKind::Review))
            .await?;
        let warnings = around(NodeKind::EarlyFraudWarning);
        let warnings = self.views_of(Family::EarlyFraudWarning, &warnings).await?;
        let payments = hanging.iter().map(|(intent, nodes)| {
            let of = |kind, rows: &BTreeMap<String, View>| -> Vec<(String, View)> {
                let ids = graph.around(nodes, kind).into_iter();
                ids.filter_map(|id| Some((id.to_owned(), rows.get(id)?.clone())))
                    .collect()
            };
            let views = |kind, rows| of(kind, rows).into_iter().map(|(_, row)| row).collect();
            Payment {
                intent: (*intent).to_owned(),
                row: rows.get(*intent).cloned(),
                charges: views(NodeKind::Charge, &charges),
                refunds: views(NodeKind::Refund, &refunds),
                disputes: of(NodeKind::Dispute, &disputes),
                warnings: of(NodeKind::EarlyFraudWarning, &warnings),
                reviews: of(NodeKind::Review, &reviews),
            }
        });
        Ok(payments.collect())
    }

    async fn views_of(
        &mut self,
        family: Family,
        ids: &BTreeSet<&str>,
    ) -> Result<BTreeMap<String, View>, StoreError> {
        let ids: Vec<&str> = ids.iter().copied().collect();
        self.views(family, &ids).await
    }

    async fn write_order(&mut self, order: &Order) -> Result<(), StoreError> {
        for alias in order.aliases.iter().chain([&order.id]) {
            self.tx
                .run(
                    &PUT_ALIAS,
                    args![self.account, self.livemode, alias, &order.id],
                )
                .await?;
        }
        let after = serde_json::to_value(order).unwrap_or_default();
        self.write_derived(
            "order",
            &order.id,
            order.customer.clone(),
            order.created,
            after,
        )
        .await
    }

    /// The lone payment intents of a customer that are orders by nothing but themselves: a first subscription ends that.
    pub(crate) async fn lone_orders(&mut self, customer: &str) -> Result<Vec<Node>, StoreError> {
        let mut nodes = Vec::new();
        let orders = self
            .tx
            .rows(
                &OF_CUSTOMER,
                args![self.account, self.livemode, customer, "order"],
            )
            .await?;
        for row in orders {
            let order: Order = row.json("data")?;
            if order.aliases.is_empty() && order.payment_intents == [order.id.as_str()] {
                nodes.push(Node::new(NodeKind::PaymentIntent, order.id));
            }
        }
        Ok(nodes)
    }
}

fn identified(rows: &[Row]) -> Result<Vec<(String, View)>, StoreError> {
    rows.iter()
        .map(|row| Ok((row.text("id")?, row.json("data")?)))
        .collect()
}
