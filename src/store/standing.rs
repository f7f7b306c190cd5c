//! The current rows of what an occurrence is about, read inside the caller's transaction.

use std::collections::BTreeSet;

use serde_json::Value;

use super::database::{Row, Transaction, args, statements};
use super::error::StoreError;
use super::sql_store::SqlStore;
use super::suppressions;
use crate::clock::Timestamp;
use crate::guardrails::derive::access::AccessRow;
use crate::guardrails::derive::order::Order;
use crate::guardrails::mandatory::facts::Lead;
use crate::guardrails::occurrence::Occurrence;
use crate::guardrails::precondition::Standing;
use crate::guardrails::recipient::recipient_key;
use crate::stripe::event::OWN_ACCOUNT;
use crate::stripe::links::{Node, NodeKind};
use crate::stripe::view::{Family, View};

statements! {
    OCCURRENCE: "SELECT id, data, account, livemode FROM occurrences WHERE id = $1";
    ROW: "SELECT data FROM objects WHERE account = $1 AND livemode = $2 AND kind = $3 AND id = $4";
    ORDER: "SELECT o.data FROM order_aliases a JOIN objects o ON o.account = a.account AND o.livemode = a.livemode AND o.kind = 'order' AND o.id = a.order_id \
        WHERE a.account = $1 AND a.livemode = $2 AND a.alias = $3";
    /// Newest first, so that a customer of many years costs no more than one of a few.
    PAID: "SELECT data FROM objects WHERE account = $1 AND livemode = $2 AND customer = $3 AND kind = $4 ORDER BY created DESC LIMIT 100";
    /// When the customer was last said to get another address, and when last to have another than the one in `$4`, which is
    /// the field as a view is written. A view holds no other field of that name.
    MOVED: "SELECT MAX(CASE WHEN previous LIKE '%\"email\":%' THEN created END) AS told, \
            MAX(CASE WHEN fields LIKE '%\"email\":%' AND instr(fields, $4) = 0 THEN created END) AS other \
        FROM snapshots WHERE account = $1 AND livemode = $2 AND kind = 'customer' AND object = $3",
        postgres: "SELECT MAX(CASE WHEN previous LIKE '%\"email\":%' THEN created END) AS told, \
            MAX(CASE WHEN fields LIKE '%\"email\":%' AND strpos(fields, $4) = 0 THEN created END) AS other \
        FROM snapshots WHERE account = $1 AND livemode = $2 AND kind = 'customer' AND object = $3";
    /// Since when, after another one, it is known to be this.
    SETTLED: "SELECT MIN(created) AS at FROM snapshots WHERE account = $1 AND livemode = $2 AND kind = 'customer' AND object = $3 AND created >= $5 AND instr(fields, $4) > 0",
        postgres: "SELECT MIN(created) AS at FROM snapshots WHERE account = $1 AND livemode = $2 AND kind = 'customer' AND object = $3 AND created >= $5 AND strpos(fields, $4) > 0";
    /// Three ranges of the customer's links, and a row each, as the disputes of `derived.rs`.
    DOUBTS: "SELECT o.kind, o.data FROM links l JOIN objects o ON o.account = l.account AND o.livemode = l.livemode AND o.kind = 'dispute' AND o.id = substr(l.b, 9) \
            WHERE l.account = $1 AND l.livemode = $2 AND l.a = $3 AND l.b >= 'dispute/' AND l.b < 'dispute0' \
        UNION ALL SELECT o.kind, o.data FROM links l JOIN objects o ON o.account = l.account AND o.livemode = l.livemode AND o.kind = 'radar.early_fraud_warning' AND o.id = substr(l.b, 21) \
            WHERE l.account = $1 AND l.livemode = $2 AND l.a = $3 AND l.b >= 'early_fraud_warning/' AND l.b < 'early_fraud_warning0' \
        UNION ALL SELECT o.kind, o.data FROM links l JOIN objects o ON o.account = l.account AND o.livemode = l.livemode AND o.kind = 'review' AND o.id = substr(l.b, 8) \
            WHERE l.account = $1 AND l.livemode = $2 AND l.a = $3 AND l.b >= 'review/' AND l.b < 'review0'",
        postgres: "SELECT o.kind, o.data FROM links l JOIN objects o ON o.account = l.account AND o.livemode = l.livemode AND o.kind = 'dispute' AND o.id = substr(l.b, 9) COLLATE \"default\" \
            WHERE l.account = $1 AND l.livemode = $2 AND l.a = $3 AND l.b >= 'dispute/' AND l.b < 'dispute0' \
        UNION ALL SELECT o.kind, o.data FROM links l JOIN objects o ON o.account = l.account AND o.livemode = l.livemode AND o.kind = 'radar.early_fraud_warning' AND o.id = substr(l.b, 21) COLLATE \"default\" \
            WHERE l.account = $1 AND l.livemode = $2 AND l.a = $3 AND l.b >= 'early_fraud_warning/' AND l.b < 'early_fraud_warning0' \
        UNION ALL SELECT o.kind, o.data FROM links l JOIN objects o ON o.account = l.account AND o.livemode = l.livemode AND o.kind = 'review' AND o.id = substr(l.b, 8) COLLATE \"default\" \
            WHERE l.account = $1 AND l.livemode = $2 AND l.a = $3 AND l.b >= 'review/' AND l.b < 'review0'";
    SCHEDULE: "SELECT data FROM schedules WHERE occurrence = $1 LIMIT 1";
}

/// What must be locked so that the state an occurrence is judged by cannot move: the roots that applying an event of its
/// customer, of its objects, or of its connected account locks.
pub(super) async fn roots(
    tx: &mut Transaction,
    occurrence: &str,
) -> Result<BTreeSet<String>, StoreError> {
    let (occurrence, scope) = find(tx, occurrence).await?;
    let customer = occurrence.customer.clone();
    let customer = customer.map(|id| Node::new(NodeKind::Customer, id));
    let nodes = occurrence.nodes.iter().chain(&customer);
    let scoped = |root: String| format!("{}/{}/{root}", scope.account, scope.livemode);
    let mut roots: BTreeSet<String> = nodes.map(|node| scoped(node.to_string())).collect();
    if scope.account != OWN_ACCOUNT {
        let kind = Family::Account.as_str();
        roots.insert(scoped(format!("{kind}/{}", scope.account)));
    }
    Ok(roots)
}

async fn find(tx: &mut Transaction, id: &str) -> Result<(Occurrence, Scope), StoreError> {
    let row = tx
        .row(&OCCURRENCE, args![id])
        .await?
        .ok_or(StoreError::Inconsistent {
            column: "runs.occurrence",
            what: "there is no such occurrence",
        })?;
    let scope = Scope {
        account: row.text("account")?,
        livemode: row.flag("livemode")?,
    };
    Ok((row.json("data")?, scope))
}

impl SqlStore {
    /// An occurrence, and how what it is about stands now.
    pub(super) async fn standing(
        &self,
        tx: &mut Transaction,
        occurrence: &str,
    ) -> Result<(Occurrence, Standing), StoreError> {
        let (occurrence, mut standing, access) = load(tx, occurrence).await?;
        let now = self.clock.now();
        standing.now = Some(now);
        let customer = standing.customer.as_ref();
        if let Some(address) = customer.and_then(|(_, row)| row.text("email")) {
            let reason = suppressions::reason(tx, &recipient_key(address)).await?;
            standing.suppressed = reason.is_some();
        }
        standing.access = access.map(|row| row.at(now, &self.policy.access));
        Ok((occurrence, standing))
    }
}

/// The rows, and the one whose meaning hangs on the time.
async fn load(
    tx: &mut Transaction,
    occurrence: &str,
) -> Result<(Occurrence, Standing, Option<AccessRow>), StoreError> {
    let (occurrence, scope) = find(tx, occurrence).await?;
    let attempted = occurrence
        .attempts
        .last()
        .map(|(invoice, _)| invoice.clone());
    let mut standing = Standing {
        account: scope.of(tx, "account", Some(scope.account.clone())).await?,
        customer: scope
            .of(tx, "customer", occurrence.customer.clone())
            .await?,
        payment_intent: scope
            .of(
                tx,
                "payment_intent",
                named(&occurrence, NodeKind::PaymentIntent),
            )
            .await?,
        invoice: scope
            .of(
                tx,
                "invoice",
                attempted.or_else(|| named(&occurrence, NodeKind::Invoice)),
            )
            .await?,
        dispute: scope
            .of(tx, "dispute", named(&occurrence, NodeKind::Dispute))
            .await?,
        payout: scope
            .of(tx, "payout", named(&occurrence, NodeKind::Payout))
            .await?,
        inquiry: occurrence.lead == Some(Lead::InquiryOpened),
        trial_end: occurrence.trial_end,
        ..Standing::default()
    };
    let latest_charge = standing
        .payment_intent
        .as_ref()
        .and_then(|(_, row)| row.text("latest_charge"))
        .map(str::to_owned);
    let charge = latest_charge.or_else(|| named(&occurrence, NodeKind::Charge));
    standing.charge = scope.of(tx, "charge", charge).await?;
    let of_invoice = standing
        .invoice
        .as_ref()
        .and_then(|(_, row)| row.text("subscription"))
        .map(str::to_owned);
    let subscription = named(&occurrence, NodeKind::Subscription).or(of_invoice);
    standing.subscription = scope.of(tx, "subscription", subscription).await?;
    if let Some(intent) = named(&occurrence, NodeKind::PaymentIntent) {
        let order = tx
            .row(&ORDER, args![&scope.account, scope.livemode, &intent])
            .await?;
        standing.order = order.map(|row| row.json::<Order>("data")).transpose()?;
    }
    let mut access = None;
    if let Some(customer) = &occurrence.customer {
        let row = args![&scope.account, scope.livemode, "access", customer];
        let row = tx.row(&ROW, row).await?;
        access = row.map(|row| row.json("data")).transpose()?;
        let row = standing.customer.as_ref();
        let address = row.and_then(|(_, row)| row.text("email"));
        standing.has_paid = scope.has_paid(tx, customer, address).await?;
        standing.doubts = scope.doubts(tx, customer).await?;
    }
    let schedule = tx.row(&SCHEDULE, args![&occurrence.id]).await?;
    standing.schedule = schedule.map(|row| row.json::<Value>("data")).transpose()?;
    Ok((occurrence, standing, access))
}

fn named(occurrence: &Occurrence, kind: NodeKind) -> Option<String> {
    occurrence
        .nodes
        .iter()
        .rev()
        .find(|node: &&Node| node.kind == kind)
        .map(|node| node.id.clone())
}

struct Scope {
    account: String,
    livemode: bool,
}

impl Scope {
    async fn of(
        &self,
        tx: &mut Transaction,
        kind: &str,
        id: Option<String>,
    ) -> Result<Option<(String, View)>, StoreError> {
        let Some(id) = id else { return Ok(None) };
        let row = tx
            .row(&ROW, args![&self.account, self.livemode, kind, &id])
            .await?;
        row.map(|row| Ok((id, row.json("data")?))).transpose()
    }

    /// What casts doubt on this customer's payments, as far as its rows are known.
    async fn doubts(
        &self,
        tx: &mut Transaction,
        customer: &str,
    ) -> Result<Vec<(NodeKind, View)>, StoreError> {
        let customer = Node::new(NodeKind::Customer, customer).to_string();
        let rows = tx
            .rows(&DOUBTS, args![&self.account, self.livemode, &customer])
            .await?;
        let doubt = |row: &Row| {
            let kind = match Family::parse(&row.text("kind")?) {
                Some(Family::EarlyFraudWarning) => NodeKind::EarlyFraudWarning,
                Some(Family::Review) => NodeKind::Review,
                _ => NodeKind::Dispute,
            };
            Ok((kind, row.json("data")?))
        };
        rows.iter().map(doubt).collect()
    }

    /// Whether this customer's money ever arrived since they have the address that they have: only then it is known to be
    /// theirs. Whoever paid once could else have a stranger written to, and greeted in their own words, by moving there.
    async fn has_paid(
        &self,
        tx: &mut Transaction,
        customer: &str,
        address: Option<&str>,
    ) -> Result<bool, StoreError> {
        let mut newest = None;
        for (kind, status, amount) in [
            ("invoice", "paid", "amount_paid"),
            ("payment_intent", "succeeded", "amount"),
        ] {
            for row in tx
                .rows(&PAID, args![&self.account, self.livemode, customer, kind])
                .await?
            {
                let view: View = row.json("data")?;
                if view.text("status") == Some(status)
                    && view.int(amount).is_some_and(|amount| amount > 0)
                {
                    newest = newest.max(Some(view.int("created")));
                }
            }
        }
        // Nobody asks about the address of one who never paid.
        let Some(paid) = newest else { return Ok(false) };
        let moved = self.moved(tx, customer, address).await?;
        Ok(moved.is_none_or(|moved| paid.is_some_and(|paid| paid > moved.seconds())))
    }

    /// Since when the customer has this address, where there was another before. What an API answered tells of no change, so
    /// what the snapshots themselves say counts, and a move that nobody told of was when it was first seen.
    async fn moved(
        &self,
        tx: &mut Transaction,
        customer: &str,
        address: Option<&str>,
    ) -> Result<Option<Timestamp>, StoreError> {
        let field = format!("\"email\":{}", Value::from(address));
        let key = args![&self.account, self.livemode, customer, &field];
        let Some(row) = tx.row(&MOVED, key).await? else {
            return Ok(None);
        };
        let (told, other) = (row.opt_time("told")?, row.opt_time("other")?);
        let mut settled = None;
        if let Some(other) = other {
            let key = args![&self.account, self.livemode, customer, &field, other];
            let row = tx.row(&SETTLED, key).await?;
            settled = row.map(|row| row.opt_time("at")).transpose()?.flatten();
        }
        Ok(told.max(other).max(settled))
    }
}
