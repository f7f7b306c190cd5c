//! The ledger: writing what one object's snapshots tell of, and reading it page by page.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::apply::rows::{Change, Rows};
use super::database::{Row, args, statements};
use super::error::StoreError;
use super::shown::{LedgerEntry, LedgerFilter, Listing, Page};
use super::sql_store::SqlStore;
use crate::guardrails::derive::ledger::Entry;
use crate::stripe::view::Family;

statements! {
    OF_SOURCE: "SELECT id, kind, amount, fee, currency, created FROM ledger WHERE account = $1 AND livemode = $2 AND source_kind = $3 AND source = $4 ORDER BY id";
    PUT: "INSERT INTO ledger (account, livemode, source_kind, source, id, kind, amount, fee, currency, created) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
        ON CONFLICT (account, livemode, source_kind, source, id) DO UPDATE SET kind = excluded.kind, amount = excluded.amount, fee = excluded.fee, \
        currency = excluded.currency, created = excluded.created";
    DELETE: "DELETE FROM ledger WHERE account = $1 AND livemode = $2 AND source_kind = $3 AND source = $4 AND id = $5";
    BY_ID: "SELECT * FROM ledger WHERE id = $1 AND (CAST($2 AS TEXT) IS NULL OR account = $2) AND (CAST($3 AS BIGINT) IS NULL OR livemode = $3) \
        AND (CAST($4 AS TEXT) IS NULL OR source = $4) ORDER BY created DESC, id DESC, account DESC, livemode DESC, source_kind DESC, source DESC LIMIT $5";
    OWNERS: "SELECT DISTINCT account, livemode FROM ledger WHERE source = $1 AND (CAST($2 AS TEXT) IS NULL OR account = $2) \
        AND (CAST($3 AS BIGINT) IS NULL OR livemode = $3) ORDER BY account, livemode LIMIT 100";
    NEWEST: "SELECT * FROM ledger WHERE (created, id, account, livemode, source_kind, source) < ($1, $2, $3, $4, $5, $6) \
        AND (CAST($8 AS TEXT) IS NULL OR account = $8) AND (CAST($9 AS BIGINT) IS NULL OR livemode = $9) AND (CAST($10 AS TEXT) IS NULL OR source = $10) \
        ORDER BY created DESC, id DESC, account DESC, livemode DESC, source_kind DESC, source DESC LIMIT $7";
    NEWEST_OF_ACCOUNT: "SELECT * FROM ledger WHERE account = $8 AND livemode = $9 AND (CAST($10 AS TEXT) IS NULL OR source = $10) \
        AND (created, id, account, livemode, source_kind, source) < ($1, $2, $3, $4, $5, $6) AND created <= $1 \
        ORDER BY created DESC, id DESC, source_kind DESC, source DESC LIMIT $7";
    NEWEST_OF_SOURCE: "SELECT * FROM ledger WHERE source = $10 AND (CAST($8 AS TEXT) IS NULL OR account = $8) AND (CAST($9 AS BIGINT) IS NULL OR livemode = $9) \
        AND (created, id, account, livemode, source_kind, source) < ($1, $2, $3, $4, $5, $6) AND created <= $1 \
        ORDER BY created DESC, id DESC, account DESC, livemode DESC, source_kind DESC LIMIT $7";
}

impl Rows<'_> {
    /// Makes the ledger of one object what its snapshots come to now, and notes what that changed.
    pub(super) async fn post(
        &mut self,
        family: Family,
        object: &str,
        entries: &[Entry],
    ) -> Result<(), StoreError> {
        let kind = family.as_str();
        let before = self
            .tx
            .rows(&OF_SOURCE, args![self.account, self.livemode, kind, object])
            .await?;
        let mut gone: BTreeSet<String> = BTreeSet::new();
        for row in &before {
            gone.insert(row.text("id")?);
        }
        for entry in entries {
            gone.remove(&entry.id);
            let known = before.iter().map(|row| told(row, entry));
            if known.collect::<Result<Vec<_>, _>>()?.contains(&true) {
                continue;
            }
            self.tx
                .run(
                    &PUT,
                    args![
                        self.account,
                        self.livemode,
                        kind,
                        object,
                        &entry.id,
                        entry.kind,
                        entry.amount,
                        entry.fee,
                        &entry.currency,
                        entry.created,
                    ],
                )
                .await?;
            self.note_entry(&before, &entry.id, json!(entry.amount))
                .await?;
        }
        for id in &gone {
            self.tx
                .run(
                    &DELETE,
                    args![self.account, self.livemode, kind, object, id],
                )
                .await?;
            self.note_entry(&before, id, Value::Null).await?;
        }
        Ok(())
    }

    async fn note_entry(&mut self, before: &[Row], id: &str, to: Value) -> Result<(), StoreError> {
        let mut from = None;
        for row in before {
            if row.text("id")? == id {
                from = Some(json!(row.int("amount")?));
            }
        }
        self.note(&Change {
            entity: "ledger",
            id,
            field: "amount",
            from: from.as_ref(),
            to: &to,
            rule: "derive.ledger",
        })
        .await
    }
}

/// Whether a row says what an entry says.
fn told(row: &Row, entry: &Entry) -> Result<bool, StoreError> {
    Ok(row.text("id")? == entry.id
        && row.text("kind")? == entry.kind
        && row.int("amount")? == entry.amount
        && row.opt_int("fee")? == entry.fee
        && row.text("currency")? == entry.currency
        && row.time("created")? == entry.created)
}

impl SqlStore {
    pub(super) async fn list_ledger(
        &self,
        filter: &LedgerFilter,
        page: &Page,
    ) -> Result<Listing<LedgerEntry>, StoreError> {
        let limit = i64::from(page.limit) + 1;
        let (account, source) = (&filter.account, &filter.source);
        let livemode = filter.livemode.map(i64::from);
        if let Some(id) = &filter.id {
            let asked = args![id, account, livemode, source, limit];
            return listing(&self.db.rows(&BY_ID, asked).await?, page);
        }
        // An id alone is no place in the list: the key of a row has five columns.
        let after = match &page.starting_after {
            None => None,
            Some(id) => {
                let asked = args![id, account, livemode, source, 1];
                let row = self.db.row(&BY_ID, asked).await?;
                Some(row.ok_or_else(|| StoreError::no_such("ledger entry", id))?)
            }
        };
        let place = match &after {
            None => Place::default(),
            Some(row) => Place::of(row)?,
        };
        let sql = match (source, account, livemode) {
            (Some(_), _, _) => &NEWEST_OF_SOURCE,
            (None, Some(_), Some(_)) => &NEWEST_OF_ACCOUNT,
            _ => &NEWEST,
        };
        let asked = args![
            place.created,
            &place.id,
            &place.account,
            place.livemode,
            &place.source_kind,
            &place.source,
            limit,
            account,
            livemode,
            source,
        ];
        listing(&self.db.rows(sql, asked).await?, page)
    }

    pub(super) async fn owners_of_source(
        &self,
        filter: &LedgerFilter,
    ) -> Result<Vec<(String, bool)>, StoreError> {
        let Some(source) = &filter.source else {
            return Ok(Vec::new());
        };
        let asked = args![source, &filter.account, filter.livemode.map(i64::from)];
        let rows = self.db.rows(&OWNERS, asked).await?;
        rows.iter()
            .map(|row| Ok((row.text("account")?, row.flag("livemode")?)))
            .collect()
    }
}

/// Where a row stands in the list.
struct Place {
    created: i64,
    id: String,
    account: String,
    livemode: i64,
    source_kind: String,
    source: String,
}

impl Default for Place {
    /// Before every row.
    fn default() -> Self {
        Self {
            created: i64::MAX,
            id: String::new(),
            account: String::new(),
            livemode: 0,
            source_kind: String::new(),
            source: String::new(),
        }
    }
}

impl Place {
    fn of(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            created: row.int("created")?,
            id: row.text("id")?,
            account: row.text("account")?,
            livemode: row.int("livemode")?,
            source_kind: row.text("source_kind")?,
            source: row.text("source")?,
        })
    }
}

fn listing(rows: &[Row], page: &Page) -> Result<Listing<LedgerEntry>, StoreError> {
    let entries = rows.iter().map(entry).collect::<Result<_, _>>()?;
    Ok(Listing::new(entries, page.limit))
}

fn entry(row: &Row) -> Result<LedgerEntry, StoreError> {
    Ok(LedgerEntry {
        object: "ledger_entry",
        id: row.text("id")?,
        account: row.text("account")?,
        livemode: row.flag("livemode")?,
        r#type: row.text("kind")?,
        source: row.text("source")?,
        source_object: row.text("source_kind")?,
        amount: row.int("amount")?,
        fee: row.opt_int("fee")?,
        currency: row.text("currency")?,
        created: row.time("created")?.iso(),
    })
}
