//! Telling the application everything once more, whether or not it changed: for one that comes later, or was away for
//! longer than messages are kept. In portions, each a short transaction.

use super::{About, WAITS, type_of};
use crate::store::database::{args, statements};
use crate::store::error::StoreError;
use crate::store::sql_store::SqlStore;

statements! {
    /// Told before in this very version, it is told again under the same id.
    INSERT_AGAIN: "INSERT INTO messages (id, effect_key, account, livemode, channel, message_id, subject, text, object, version, status, not_before, expires_at, created_at) \
        VALUES ($1, $2, $3, $4, 'app', $5, $6, '', $7, $8, 'pending', $9, $10, $9) ON CONFLICT (effect_key) DO UPDATE \
        SET status = 'pending', reason = NULL, not_before = excluded.not_before, expires_at = excluded.expires_at, lease_until = 0, epoch = messages.epoch + 1 \
        WHERE messages.status NOT IN ('pending', 'sending')";
    /// What time has changed meanwhile gets its version when it is sent.
    IN_TIME_AGAIN: "UPDATE messages SET status = 'pending', reason = NULL, not_before = $4, expires_at = $5, lease_until = 0, epoch = epoch + 1 \
        WHERE channel = 'app' AND account = $1 AND livemode = $2 AND object = $3 AND version IS NULL AND status = 'expired'";
    /// `substr` cuts off the kind: only orders go. `|| ''` keeps SQLite from walking all that the application was told.
    GONE_AGAIN: "UPDATE messages SET status = 'pending', reason = NULL, not_before = $1, expires_at = $2, lease_until = 0, epoch = epoch + 1 WHERE id IN ( \
            SELECT m.id FROM messages m JOIN former_objects f ON f.account = m.account AND f.livemode = m.livemode AND f.kind = 'order' AND f.id = substr(m.object, 7) AND f.version = m.version \
            WHERE m.status IN ('unknown', 'failed', 'suppressed', 'expired', 'held', 'denied') AND m.status IN ('failed', 'expired') AND m.channel || '' = 'app' LIMIT $3)";
    COUNT: "SELECT count(*) AS n FROM objects WHERE kind = $1";
    /// In the order of the index by kind and id; other accounts may have the same id.
    NEXT: "SELECT account, livemode, id, version FROM objects WHERE kind = $1 AND id >= $2 AND (id, account, livemode) > ($2, $3, $4) ORDER BY id, account, livemode LIMIT $5";
}

impl SqlStore {
    /// How many rows of a kind there are.
    pub async fn count_objects(&self, kind: &str) -> Result<u64, StoreError> {
        let row = self.db.row(&COUNT, args![kind]).await?;
        let count = row.map_or(Ok(0), |row| row.int("n"))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Leaves messages for up to `limit` rows of a kind, whether or not they changed, and says about which; `after` is the
    /// last of those that the call before has answered.
    pub async fn tell_again(
        &self,
        kind: &str,
        after: Option<&About>,
        limit: u32,
    ) -> Result<Vec<About>, StoreError> {
        let name = type_of(kind).unwrap_or_default();
        let now = self.clock.now();
        let (id, account, livemode) =
            after.map_or(("", "", false), |a| (&a.id, &a.account, a.livemode));
        let mut tx = self.db.begin().await?;
        let next = args![kind, id, account, livemode, i64::from(limit)];
        let mut told = Vec::new();
        for row in tx.rows(&NEXT, next).await? {
            let about = About {
                account: row.text("account")?,
                livemode: row.flag("livemode")?,
                kind: kind.to_owned(),
                id: row.text("id")?,
                version: row.int("version")?,
            };
            let object = about.object();
            let waits = args![&about.account, about.livemode, &object, about.version, ""];
            if tx.row(&WAITS, waits).await?.is_none() {
                let again = args![
                    self.ids.next("msg"),
                    about.effect_key(),
                    &about.account,
                    about.livemode,
                    about.webhook_id(),
                    name,
                    &object,
                    about.version,
                    now,
                    now.plus(self.policy.expire)
                ];
                tx.run(&INSERT_AGAIN, again).await?;
            }
            let late = args![
                &about.account,
                about.livemode,
                &object,
                now,
                now.plus(self.policy.expire)
            ];
            tx.run(&IN_TIME_AGAIN, late).await?;
            self.tell_in_time(&mut tx, &about, None, now).await?;
            told.push(about);
        }
        tx.commit().await?;
        Ok(told)
    }

    /// Has up to `limit` messages that did not reach the application tell it again what is gone, and says how many.
    pub async fn tell_gone_again(&self, limit: u32) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let again = args![now, now.plus(self.policy.expire), i64::from(limit)];
        let told = tx.run(&GONE_AGAIN, again).await?;
        tx.commit().await?;
        Ok(told)
    }
}
