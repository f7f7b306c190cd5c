//! Writing object rows, and the rows derived from them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::clock::Timestamp;
use crate::guardrails::derive::ledger::entries;
use crate::guardrails::mandatory::lattice::{self, Move};
use crate::guardrails::mandatory::snapshot::{FETCH, Projection, Snapshot, advance, project};
use crate::store::database::{Row, Transaction, args, list, statements};
use crate::store::error::StoreError;
use crate::store::telling::Changed;
use crate::stripe::view::{Family, View};

statements! {
    INSERT_SNAPSHOT: "INSERT INTO snapshots (account, livemode, kind, object, event, api_version, type, created, fields, previous) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING";
    /// What an answer says is told as well by the next one that says the same.
    FORGET_REPEATED: "DELETE FROM snapshots WHERE account = $1 AND livemode = $2 AND kind = $3 AND object = $4 AND type = 'fetch' AND created = $5 AND fields = $6";
    SNAPSHOTS: "SELECT event, api_version, type, created, fields, previous FROM snapshots WHERE account = $1 AND livemode = $2 AND kind = $3 AND object = $4";
    ROW: "SELECT data, version FROM objects WHERE account = $1 AND livemode = $2 AND kind = $3 AND id = $4";
    KNOWN: "SELECT data, version, newest FROM objects WHERE account = $1 AND livemode = $2 AND kind = $3 AND id = $4";
    ROWS: "SELECT id, data FROM objects WHERE account = $1 AND livemode = $2 AND kind = $3 AND id IN (SELECT value FROM json_each($4))";
    /// Says the row's version if anything was written: a version more where the row was not so already, the same where only
    /// `newest` moved. What comes back under its old id goes on counting.
    PUT: "INSERT INTO objects (account, livemode, kind, id, customer, created, version, tie, data, newest) VALUES ($1, $2, $3, $4, $5, $6, \
            1 + coalesce((SELECT version FROM former_objects WHERE account = $1 AND livemode = $2 AND kind = $3 AND id = $4), 0), $7, $8, $9) \
        ON CONFLICT (account, livemode, kind, id) DO UPDATE SET customer = excluded.customer, created = excluded.created, \
        tie = excluded.tie, data = excluded.data, newest = excluded.newest, version = objects.version + CASE \
            WHEN (objects.data, objects.created, objects.tie) <> (excluded.data, excluded.created, excluded.tie) OR objects.customer IS DISTINCT FROM excluded.customer THEN 1 ELSE 0 END \
        WHERE (objects.data, objects.created, objects.tie) <> (excluded.data, excluded.created, excluded.tie) OR objects.customer IS DISTINCT FROM excluded.customer \
            OR objects.newest < excluded.newest RETURNING version";
    /// Asked of the links, because they only grow: a row may name another customer tomorrow, and who once subscribed did.
    /// The links to one kind of node are a range of the key: `0` follows on `/`. `LIKE` would read all of the customer's.
    SUBSCRIBES: "SELECT 1 AS one FROM links WHERE account = $1 AND livemode = $2 AND a = 'customer/' || $3 AND b >= 'subscription/' AND b < 'subscription0' LIMIT 1";
    CHANGE: "INSERT INTO changes (event, entity, object, field, from_value, to_value, rule, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
}

/// A row on its way into `objects`.
pub(super) struct Put<'a> {
    pub(super) kind: &'a str,
    pub(super) id: &'a str,
    pub(super) customer: Option<String>,
    pub(super) created: i64,
    pub(super) tie: bool,
    pub(super) data: String,
    /// When its newest snapshot was created, where it has snapshots.
    pub(super) newest: Timestamp,
    /// The version that it has, as far as the caller knows.
    pub(super) version: Option<i64>,
}

/// What a field was and is, and the rule that says so.
pub(crate) struct Change<'a> {
    pub(crate) entity: &'a str,
    pub(crate) id: &'a str,
    pub(crate) field: &'a str,
    pub(crate) from: Option<&'a Value>,
    pub(crate) to: &'a Value,
    pub(crate) rule: &'a str,
}

/// A row as it stands.
struct Known {
    row: View,
    version: i64,
    /// When the newest snapshot was created; nothing in a row that was written before this was kept.
    newest: Option<Timestamp>,
}

impl Known {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            row: row.json("data")?,
            version: row.int("version")?,
            newest: Some(row.time("newest")?).filter(|newest| *newest != Timestamp::default()),
        })
    }
}

/// Writes rows for one event, and notes what each write changed and by which rule.
pub(crate) struct Rows<'a> {
    pub(crate) tx: &'a mut Transaction,
    pub(crate) account: &'a str,
    pub(crate) livemode: bool,
    pub(crate) event: &'a str,
    pub(crate) now: Timestamp,
    /// What was changed, and the version it has now.
    pub(crate) changed: Changed,
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
        let key = args![self.account, self.livemode, kind, object];
        let known = self.tx.row(&KNOWN, key).await?.as_ref().map(Known::read);
        let known = known.transpose()?;
        if let (Some(newest), [next]) = (known.as_ref().and_then(|known| known.newest), new) {
            self.forget_repeated(newest, next).await?;
        }
        let mut fresh = true;
        for snapshot in new {
            fresh &= self.insert(snapshot).await?;
        }
        // An object that lives for years has thousands of snapshots; nearly always the next one is newer than all.
        let short = match (&known, new) {
            // A dispute's movements of money are asked of all that was told of it.
            (Some(known), [next]) if fresh && *family != Family::Dispute => {
                let advanced = known
                    .newest
                    .and_then(|newest| advance(&known.row, newest, next));
                advanced
                    // Without a time of its own the row needs that of its first snapshot.
                    .filter(|projection| projection.row.int("created").is_some())
                    .map(|projection| (projection, Timestamp::default(), next.created, Vec::new()))
            }
            _ => None,
        };
        let (projection, first, newest, all) = if let Some(short) = short {
            short
        } else {
            let all = snapshots(*family, object, &self.tx.rows(&SNAPSHOTS, key).await?)?;
            let created = || all.iter().map(|snapshot| snapshot.created);
            let first = created().min().unwrap_or_default();
            let newest = created().max().unwrap_or_default();
            (project(&all), first, newest, all)
        };
        let version = known.as_ref().map(|known| known.version);
        let before = known.map(|known| known.row);
        let customer = match family {
            Family::Customer => Some(object.clone()),
            _ => projection.row.text("customer").map(str::to_owned),
        };
        // A row without `created` stands at the time of its first event, whatever arrives first.
        let created = projection.row.int("created");
        self.put(&Put {
            kind,
            id: object,
            customer,
            created: created.unwrap_or_else(|| first.seconds()),
            tie: projection.tie,
            data: json(&projection.row),
            newest,
            version,
        })
        .await?;
        if moves_money(*family) {
            let entries = entries(*family, object, &projection.row, &all);
            self.post(*family, object, &entries).await?;
        }
        if before.as_ref() != Some(&projection.row) {
            watch(*family, before.as_ref(), &projection.row, event_type);
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

    /// Where the newest snapshot is an answer, and `next` is a later one that says the same, the later one takes its
    /// place: it is greater in every field, whatever comes late. Who asks about thousands that nobody changed keeps one
    /// answer of each so.
    async fn forget_repeated(
        &mut self,
        newest: Timestamp,
        next: &Snapshot,
    ) -> Result<(), StoreError> {
        if next.event_type != FETCH || next.created <= newest || counts_from_the_first(next) {
            return Ok(());
        }
        let values = args![
            self.account,
            self.livemode,
            next.family.as_str(),
            &next.object,
            newest,
            json(&next.fields),
        ];
        self.tx.run(&FORGET_REPEATED, values).await.map(drop)
    }

    /// Adds a snapshot; says whether it was not there yet.
    async fn insert(&mut self, snapshot: &Snapshot) -> Result<bool, StoreError> {
        let values = args![
            self.account,
            self.livemode,
            snapshot.family.as_str(),
            &snapshot.object,
            &snapshot.event,
            &snapshot.api_version,
            &snapshot.event_type,
            snapshot.created,
            json(&snapshot.fields),
            json(&snapshot.previous),
        ];
        Ok(self.tx.run(&INSERT_SNAPSHOT, values).await? > 0)
    }

    /// Writes a row, unless it stands so already: what a row says beside its fields may change alone.
    pub(super) async fn put(&mut self, row: &Put<'_>) -> Result<(), StoreError> {
        let created = Timestamp::from_seconds(row.created);
        let values = args![
            self.account,
            self.livemode,
            row.kind,
            row.id,
            &row.customer,
            created,
            row.tie,
            &row.data,
            row.newest
        ];
        if let Some(put) = self.tx.row(&PUT, values).await? {
            let version = put.int("version")?;
            if row.version != Some(version) {
                let changed = (row.kind.to_owned(), row.id.to_owned());
                self.changed.insert(changed, version);
            }
        }
        Ok(())
    }

    pub(crate) async fn note(&mut self, change: &Change<'_>) -> Result<(), StoreError> {
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

    pub(super) async fn views(
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
}

/// Whether it matters when an object was first shown like this: grace counts from then, and what has no time of its own
/// stands at it.
fn counts_from_the_first(snapshot: &Snapshot) -> bool {
    let fields = &snapshot.fields;
    fields.int("created").is_none()
        || match snapshot.family {
            Family::Subscription => fields.text("status") == Some("past_due"),
            Family::Dispute => true,
            _ => false,
        }
}

/// Whose snapshots tell of movements of money.
fn moves_money(family: Family) -> bool {
    matches!(
        family,
        Family::Charge | Family::Refund | Family::Dispute | Family::Payout
    )
}

/// The snapshots of one object, as [`SNAPSHOTS`] finds them.
pub(crate) fn snapshots(
    family: Family,
    object: &str,
    rows: &[Row],
) -> Result<Vec<Snapshot>, StoreError> {
    let snapshot = |row: &Row| {
        Ok(Snapshot {
            family,
            object: object.to_owned(),
            event: row.text("event")?,
            event_type: row.text("type")?,
            api_version: row.text("api_version")?,
            created: row.time("created")?,
            fields: row.json("fields")?,
            previous: row.json("previous")?,
        })
    };
    rows.iter().map(snapshot).collect()
}

/// Tells the operator of a move that no table knows, or that Stripe makes to correct itself; it counts all the same.
fn watch(family: Family, before: Option<&View>, after: &View, event_type: &str) {
    let status = |row: &View| row.text("status").map(str::to_owned);
    let (Some(from), Some(to), Some(lattice)) =
        (before.and_then(status), status(after), lattice::of(family))
    else {
        return;
    };
    let word = match lattice.judge(&from, &to) {
        Move::Expected => return,
        Move::Correction => "correction",
        Move::Unknown => "unknown",
    };
    let object = family.as_str();
    metrics::counter!("billhook_unusual_moves_total", "object" => object, "move" => word)
        .increment(1);
    tracing::warn!(
        object,
        from,
        to,
        event.kind = event_type,
        "an unusual move: {word}"
    );
}

/// JSON of what always has one: maps with text keys.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
