//! The ledger: writing what one object's snapshots tell of, and reading it page by page.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::apply::rows::{Change, Rows};
use super::database::{Row, args, statements};
use super::error::StoreError;
use super::shown::{LedgerEntry, Listing, Page};
use super::sql_store::SqlStore;
use crate::guardrails::derive::ledger::Entry;
use crate::stripe::view::Family;

statements! {
    OF_SOURCE: "SELECT id, kind, amount, fee, currency, created FROM ledger WHERE account = $1 AND livemode = $2 AND source_kind = $3 AND source = $4 ORDER BY id";
    PUT: "INSERT INTO ledger (account, livemode, source_kind, source, id, kind, amount, fee, currency, created) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
        ON CONFLICT (account, livemode, source_kind, source, id) DO UPDATE SET kind = excluded.kind, amount = excluded.amount, fee = excluded.fee, \
        currency = excluded.currency, created = excluded.created";
    DELETE: "DELETE FROM ledger WHERE account = $1 AND livemode = $2 AND source_kind = $3 AND source = $4 AND id = $5";
    NEWEST: "SELECT * FROM ledger WHERE (created, id) < ((SELECT coalesce(max(created), 9223372036854775807) FROM ledger WHERE id = $1), coalesce($1, '~')) \
        ORDER BY created DESC, id DESC LIMIT $2";
    NEWEST_OF_SOURCE: "SELECT * FROM ledger WHERE source = $3 AND (created, id) < ((SELECT coalesce(max(created), 9223372036854775807) FROM ledger WHERE id = $1), coalesce($1, '~')) \
        ORDER BY created DESC, id DESC LIMIT $2";
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
        source: Option<&str>,
        page: &Page,
    ) -> Result<Listing<LedgerEntry>, StoreError> {
        let (after, limit) = (&page.starting_after, i64::from(page.limit) + 1);
        let rows = match source {
            Some(source) => {
                self.db
                    .rows(&NEWEST_OF_SOURCE, args![after, limit, source])
                    .await?
            }
            None => self.db.rows(&NEWEST, args![after, limit]).await?,
        };
        let entries = rows.iter().map(entry).collect::<Result<_, _>>()?;
        Ok(Listing::new(entries, page.limit))
    }
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
