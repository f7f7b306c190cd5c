//! Mailboxes that are never written to: put on the list, taken off it, listed. Sending asks for one row by its key.

use serde::Serialize;

use super::database::{Row, Transaction, args, statements};
use super::error::StoreError;
use super::shown::{Listing, Page};
use super::sql_store::SqlStore;
use crate::clock::Timestamp;
use crate::guardrails::recipient::recipient_key;
use crate::stripe::text::{clip, without_nul};

/// The most characters of a reason that are kept.
const MOST_REASON: usize = 200;

statements! {
    PUT: "INSERT INTO suppressions (id, recipient_key, reason, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (recipient_key) DO NOTHING";
    DELETE: "DELETE FROM suppressions WHERE recipient_key = $1";
    OF_RECIPIENT: "SELECT reason FROM suppressions WHERE recipient_key = $1";
    NEWEST: "SELECT * FROM suppressions WHERE (created_at, id) < ($1, $2) ORDER BY created_at DESC, id DESC LIMIT $3";
    PLACE: "SELECT created_at AS place FROM suppressions WHERE id = $1";
}

/// A mailbox that is never written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suppression {
    /// Always `suppression`.
    pub object: &'static str,
    /// Its id.
    pub id: String,
    /// The mailbox, in the form that every spelling of it comes to.
    pub address: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub created_at: String,
}

impl Suppression {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            object: "suppression",
            id: row.text("id")?,
            address: row.text("recipient_key")?,
            reason: row.text("reason")?,
            created_at: Timestamp(row.int("created_at")?).iso(),
        })
    }
}

/// Why a mailbox is never written to, if it is not; `key` is as [`recipient_key`] makes it.
pub(super) async fn reason(tx: &mut Transaction, key: &str) -> Result<Option<String>, StoreError> {
    let row = tx.row(&OF_RECIPIENT, args![key]).await?;
    row.map(|row| row.text("reason")).transpose()
}

impl SqlStore {
    /// Puts a mailbox on the list, or with no reason takes it off; says whether that changed anything.
    pub(super) async fn list_off(
        &self,
        address: &str,
        reason: Option<&str>,
    ) -> Result<bool, StoreError> {
        let key = recipient_key(address);
        let mut tx = self.db.begin().await?;
        let changed = match reason {
            Some(reason) => {
                let id = self.ids.next("sup");
                let reason = without_nul(clip(reason, MOST_REASON));
                let put = args![&id, &key, &reason, self.clock.now()];
                tx.run(&PUT, put).await?
            }
            None => tx.run(&DELETE, args![&key]).await?,
        };
        tx.commit().await?;
        Ok(changed > 0)
    }

    pub(super) async fn list_suppressions(
        &self,
        page: &Page,
    ) -> Result<Listing<Suppression>, StoreError> {
        let (at, id) = self.place(page, "suppression", &PLACE, &[]).await?;
        let asked = args![at, id, i64::from(page.limit) + 1];
        let rows = self.db.rows(&NEWEST, asked).await?;
        let found = rows.iter().map(Suppression::read);
        let found = found.collect::<Result<_, _>>()?;
        Ok(Listing::new(found, page.limit))
    }
}
