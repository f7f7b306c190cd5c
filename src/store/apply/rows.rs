//! Writing object rows, and the rows derived from them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::graph::Graph;
use crate::clock::Timestamp;
use crate::guardrails::derive::access;
use crate::guardrails::derive::order::{Component, Order};
use crate::guardrails::mandatory::snapshot::{Projection, Snapshot, project};
use crate::store::database::{Transaction, args, list, statements};
use crate::store::error::StoreError;
use crate::stripe::links::{Node, NodeKind};
use crate::stripe::view::{Family, View};

statements! {
    INSERT_SNAPSHOT: "INSERT INTO snapshots (account, livemode, kind, object, event, api_version, type, created, fields, previous) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING";
    SNAPSHOTS: "SELECT event, api_version, type, created, fields, previous FROM snapshots WHERE account = $1 AND livemode = $2 AND kind = $3 AND object = $4";
    ROW: "SELECT data, version FROM objects WHERE account = $1 AND livemode = $2 AND kind = $3 AND id = $4";
    ROWS: "SELECT id, data FROM objects WHERE account = $1 AND livemode = $2 AND kind = $3 AND id IN (SELECT value FROM json_each($4))";
    PUT: "INSERT INTO objects (account, livemode, kind, id, customer, created, version, tie, data) VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8) \
        ON CONFLICT (account, livemode, kind, id) DO UPDATE SET customer = excluded.customer, created = excluded.created, \
        version = objects.version + 1, tie = excluded.tie, data = excluded.data";
    DELETE: "DELETE FROM objects WHERE account = $1 AND livemode = $2 AND kind = $3 AND id = $4";
    OF_CUSTOMER: "SELECT id, data FROM objects WHERE account = $1 AND livemode = $2 AND customer = $3 AND kind = $4";
    SUBSCRIBES: "SELECT 1 AS one FROM objects WHERE account = $1 AND livemode = $2 AND customer = $3 AND kind = 'subscription' LIMIT 1";
    ALIASED: "SELECT DISTINCT order_id FROM order_aliases WHERE account = $1 AND livemode = $2 AND alias IN (SELECT value FROM json_each($3))";
    DROP_ALIASES: "DELETE FROM order_aliases WHERE account = $1 AND livemode = $2 AND order_id = $3";
    PUT_ALIAS: "INSERT INTO order_aliases (account, livemode, alias, order_id) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (account, livemode, alias) DO UPDATE SET order_id = excluded.order_id";
    CHANGE: "INSERT INTO changes (event, entity, object, field, from_value, to_value, rule, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
}

/// A row on its way into `objects`.
struct Put<'a> {
    kind: &'a str,
    id: &'a str,
    customer: Option<String>,
    created: i64,
    tie: bool,
    data: String,
}

/// What a field was and is, and the rule that says so.
struct Change<'a> {
    entity: &'a str,
    id: &'a str,
    field: &'a str,
    from: Option<&'a Value>,
    to: &'a Value,
    rule: &'a str,
}

/// Writes rows for one event, and notes what each write changed and by which rule.
pub(crate) struct Rows<'a> {
    pub(crate) tx: &'a mut Transaction,
    pub(crate) account: &'a str,
    pub(crate) livemode: bool,
    pub(crate) event: &'a str,
    pub(crate) now: Timestamp,
}

impl Rows<'_> {
    /// Adds snapshots of one object and projects its row from all there are.
    ///
    /// Says how the row was before and what the projection came to.
    pub(crate) async fn project(
        &mut self,
        new: &[Snapshot],
    ) -> Result<Option<(Option<View>, Projection)>, StoreError> {
        let Some(Snapshot {
            family,
            object,
            event_type,
            ..
        }) = new.first()
        else {
            return Ok(None);
        };
        let kind = family.as_str();
        for snapshot in new {
            self.tx
                .run(
                    &INSERT_SNAPSHOT,
                    args![
                        self.account,
                        self.livemode,
                        kind,
                        object,
                        &snapshot.event,
                        &snapshot.api_version,
                        &snapshot.event_type,
                        snapshot.created,
                        json(&snapshot.fields),
                        json(&snapshot.previous),
                    ],
                )
                .await?;
        }
        let mut all = Vec::new();
        for row in self
            .tx
            .rows(&SNAPSHOTS, args![self.account, self.livemode, kind, object])
            .await?
        {
            all.push(Snapshot {
                family: *family,
                object: object.clone(),
                event: row.text("event")?,
                event_type: row.text("type")?,
                api_version: row.text("api_version")?,
                created: row.time("created")?,
                fields: row.json("fields")?,
                previous: row.json("previous")?,
            });
        }
        let projection = project(&all);
        let before = self.view(*family, object).await?;
        if before.as_ref() != Some(&projection.row) {
            let customer = match family {
                Family::Customer => Some(object.clone()),
                _ => projection.row.text("customer").map(str::to_owned),
            };
            // A row without `created` stands at the time of its first event, whatever arrives first.
            let first = all
                .iter()
                .map(|snapshot| snapshot.created.seconds())
                .min()
                .unwrap_or(0);
            let created = projection.row.int("created").unwrap_or(first);
            let data = json(&projection.row);
            self.put(&Put {
                kind,
                id: object,
                customer,
                created,
                tie: projection.tie,
                data,
            })
            .await?;
            let empty = View::default();
            let from: BTreeMap<&str, &Value> = before.as_ref().unwrap_or(&empty).iter().collect();
            for (field, to) in projection.row.iter() {
                self.note(&Change {
                    entity: kind,
                    id: object,
                    field,
                    from: from.get(field).copied(),
                    to,
                    rule: event_type,
                })
                .await?;
            }
        }
        Ok(Some((before, projection)))
    }

    async fn put(&mut self, row: &Put<'_>) -> Result<(), StoreError> {
        let created = Timestamp::from_seconds(row.created);
        let values = args![
            self.account,
            self.livemode,
            row.kind,
            row.id,
            &row.customer,
            created,
            row.tie,
            &row.data
        ];
        self.tx.run(&PUT, values).await.map(drop)
    }

    async fn note(&mut self, change: &Change<'_>) -> Result<(), StoreError> {
        let (from, to) = (change.from.unwrap_or(&Value::Null), change.to);
        if from == to {
            return Ok(());
        }
        let Change {
            entity,
            id,
            field,
            rule,
            ..
        } = *change;
        let (from, to) = (from.to_string(), to.to_string());
        let values = args![self.event, entity, id, field, &from, &to, rule, self.now];
        self.tx.run(&CHANGE, values).await.map(drop)
    }

    /// One object's row.
    pub(crate) async fn view(
        &mut self,
        family: Family,
        id: &str,
    ) -> Result<Option<View>, StoreError> {
        self.tx
            .row(
                &ROW,
                args![self.account, self.livemode, family.as_str(), id],
            )
            .await?
            .map(|row| row.json("data"))
            .transpose()
    }

    async fn views(
        &mut self,
        family: Family,
        ids: &[&str],
    ) -> Result<BTreeMap<String, View>, StoreError> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let ids = list(ids.iter().copied());
        self.tx
            .rows(
                &ROWS,
                args![self.account, self.livemode, family.as_str(), &ids],
            )
            .await?
            .iter()
            .map(|row| Ok((row.text("id")?, row.json("data")?)))
            .collect()
    }

    /// Whether a customer has, or ever had, a subscription.
    pub(crate) async fn subscribes(&mut self, customer: &str) -> Result<bool, StoreError> {
        Ok(self
            .tx
            .row(&SUBSCRIBES, args![self.account, self.livemode, customer])
            .await?
            .is_some())
    }

    /// Derives a customer's access from all of their subscriptions.
    pub(crate) async fn derive_access(&mut self, customer: &str) -> Result<(), StoreError> {
        let row = self.view(Family::Customer, customer).await?;
        let kind = Family::Subscription.as_str();
        let subscriptions: Vec<(String, View)> = self
            .tx
            .rows(
                &OF_CUSTOMER,
                args![self.account, self.livemode, customer, kind],
            )
            .await?
            .iter()
            .map(|row| Ok((row.text("id")?, row.json("data")?)))
            .collect::<Result<_, StoreError>>()?;
        let created = row.as_ref().and_then(|row| row.int("created")).unwrap_or(0);
        let after =
            serde_json::to_value(access::derive(row.as_ref(), &subscriptions)).unwrap_or_default();
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
        if before.as_ref() == Some(&after) {
            return Ok(());
        }
        self.put(&Put {
            kind,
            id,
            customer,
            created,
            tie: false,
            data: after.to_string(),
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
        let mut intent_rows = self.views(Family::PaymentIntent, &intents).await?;
        let mut session_rows = self.views(Family::CheckoutSession, &sessions).await?;
        let mut parts = Component {
            payment_intents: intents
                .iter()
                .map(|id| ((*id).to_owned(), intent_rows.remove(*id)))
                .collect(),
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
        let every: Vec<&str> = intents
            .iter()
            .chain(&sessions)
            .chain(&references)
            .copied()
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
                self.tx
                    .run(&DELETE, args![self.account, self.livemode, "order", old])
                    .await?;
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

    /// The lone payment intents of a customer that are orders so far: a first subscription ends that.
    pub(crate) async fn lone_orders(
        &mut self,
        customer: &str,
    ) -> Result<BTreeSet<Node>, StoreError> {
        let mut nodes = BTreeSet::new();
        for row in self
            .tx
            .rows(
                &OF_CUSTOMER,
                args![self.account, self.livemode, customer, "order"],
            )
            .await?
        {
            let order: Order = row.json("data")?;
            nodes.extend(
                order
                    .payment_intents
                    .into_iter()
                    .map(|id| Node::new(NodeKind::PaymentIntent, id)),
            );
        }
        Ok(nodes)
    }
}

/// JSON of what always has one: maps with text keys.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
