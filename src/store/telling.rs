//! What the business's own application is told of, from the change of a row to the leave to send it.
//!
//! A message says which row changed and never what is in it: the fields are read when it leaves, under the version they
//! have then. So an application that was away is told the newest of each object and nothing in between, and what waits for
//! it is bounded by the number of objects, not of events.
//!
//! Nothing newer can be missed. Whoever changes a row moves its waiting message on, and holds that message until the
//! commit; whoever sends holds it from the question whether it may go until it is marked `sending`, and reads the row
//! afterwards. So the change is either there to be read, or its commit finds no message that waits, and leaves another.

pub(super) mod again;

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::apply::rows::ROW;
use super::database::{Row, Transaction, args, statements};
use super::error::StoreError;
use super::outbox::{END, SENDING};
use super::read::HOLDS;
use super::records::{ClaimedMessage, Clearance};
use super::sql_store::SqlStore;
use crate::clock::Timestamp;
use crate::guardrails::derive::access::Access;

statements! {
    /// The message that tells the newest version, while it waits: an older one that waits too is superseded already.
    MOVE_ON: "UPDATE messages SET version = $4, message_id = $5, event = $6, expires_at = $7 WHERE status = 'pending' AND id = ( \
            SELECT id FROM messages WHERE channel = 'app' AND account = $1 AND livemode = $2 AND object = $3 AND version IS NOT NULL ORDER BY version DESC LIMIT 1)";
    INSERT: "INSERT INTO messages (id, effect_key, account, livemode, event, channel, message_id, subject, text, object, version, status, not_before, expires_at, created_at, reason) \
        VALUES ($1, $2, $3, $4, $5, 'app', $6, $7, '', $8, $9, 'pending', $10, $11, $12, $13) ON CONFLICT (effect_key) DO NOTHING";
    /// By the id, too, so that of two about one version one stays, whoever looks first.
    WAITS: "SELECT 1 AS one FROM messages WHERE channel = 'app' AND account = $1 AND livemode = $2 AND object = $3 AND version >= $4 \
        AND (version, id) > ($4, $5) AND status = 'pending' LIMIT 1";
    LATER: "UPDATE messages SET not_before = $3, expires_at = $4, reason = $5, lease_until = 0 WHERE id = $1 AND epoch = $2 AND status = 'pending'";
    TOUCH: "UPDATE objects SET version = version + 1 WHERE account = $1 AND livemode = $2 AND kind = $3 AND id = $4 RETURNING version";
    TOUCH_ORDER: "UPDATE objects SET version = version + 1 WHERE account = $1 AND livemode = $2 AND kind = 'order' AND id = ( \
            SELECT order_id FROM order_aliases WHERE account = $1 AND livemode = $2 AND alias = $3) RETURNING id, version";
    SETTLE_VERSION: "UPDATE messages SET version = $3, message_id = $4 WHERE id = $1 AND epoch = $2";
    CURRENT: "SELECT * FROM objects WHERE account = $1 AND livemode = $2 AND kind = $3 AND id = $4";
}

/// The kinds of rows that the application is told of, and how Standard Webhooks names what happened to each.
pub const TOLD: [(&str, &str); 3] = [
    ("access", "access.changed"),
    ("order", "order.updated"),
    ("subscription", "subscription.updated"),
];

/// The event's type for a kind of row; none for one that stays inside.
pub(super) fn type_of(kind: &str) -> Option<&'static str> {
    TOLD.iter()
        .find(|(known, _)| *known == kind)
        .map(|(_, name)| *name)
}

/// Which version of which row a message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The account.
    pub account: String,
    /// Stripe's livemode.
    pub livemode: bool,
    /// The kind of row.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// The version; 0 until time has changed the row.
    pub version: i64,
}

impl About {
    pub(super) fn read(row: &Row) -> Result<Option<Self>, StoreError> {
        let Some(object) = row.opt_text("object")? else {
            return Ok(None);
        };
        let (kind, id) = object.split_once('/').ok_or(StoreError::Inconsistent {
            column: "messages.object",
            what: "not kind/id",
        })?;
        Ok(Some(Self {
            account: row.text("account")?,
            livemode: row.flag("livemode")?,
            kind: kind.to_owned(),
            id: id.to_owned(),
            version: row.opt_int("version")?.unwrap_or(0),
        }))
    }

    fn object(&self) -> String {
        format!("{}/{}", self.kind, self.id)
    }

    /// The key of the message that tells this version.
    fn effect_key(&self) -> String {
        self.key(&self.version.to_string())
    }

    fn key(&self, what: &str) -> String {
        let Self {
            account,
            livemode,
            kind,
            id,
            ..
        } = self;
        format!("app/{account}/{livemode}/{kind}/{id}/{what}")
    }

    /// The id that the application sees: the hash of the effect key, so that every attempt to tell one version of one
    /// object has the same, whichever message it belongs to.
    pub fn webhook_id(&self) -> String {
        hash(&self.effect_key())
    }
}

fn hash(key: &str) -> String {
    format!("msg_{}", hex::encode(Sha256::digest(key.as_bytes())))
}

/// Where rows changed, by what, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) account: &'a str,
    pub(super) livemode: bool,
    pub(super) event: &'a str,
    pub(super) now: Timestamp,
}

/// Kind and id of the rows that a transaction changed, with the version that each has now.
pub(super) type Changed = BTreeMap<(String, String), i64>;

/// Why a message waits for its time.
const IN_TIME: &str = "a grace or a hold ends then, and nothing is to be told before";

fn none() -> Option<String> {
    None
}

/// What has become of a row when a message is due that waited for time to change it.
enum Due {
    /// It has changed, and this is its new version.
    Changed(i64),
    /// It will, later than was thought.
    Later(Timestamp),
    /// It is no longer what time would have changed.
    Gone,
}

impl SqlStore {
    /// Leaves a message for each row that changed, in the transaction that changed it.
    pub(super) async fn tell(
        &self,
        tx: &mut Transaction,
        scope: Scope<'_>,
        changed: &Changed,
    ) -> Result<(), StoreError> {
        if !self.policy.tells_application {
            return Ok(());
        }
        let expires = scope.now.plus(self.policy.expire);
        for ((kind, id), version) in changed {
            let Some(name) = type_of(kind) else { continue };
            let about = About {
                account: scope.account.to_owned(),
                livemode: scope.livemode,
                kind: kind.clone(),
                id: id.clone(),
                version: *version,
            };
            let moved = args![
                scope.account,
                scope.livemode,
                about.object(),
                *version,
                about.webhook_id(),
                scope.event,
                expires
            ];
            if tx.run(&MOVE_ON, moved).await? == 0 {
                let new = args![
                    self.ids.next("msg"),
                    about.effect_key(),
                    scope.account,
                    scope.livemode,
                    scope.event,
                    about.webhook_id(),
                    name,
                    about.object(),
                    *version,
                    scope.now,
                    expires,
                    scope.now,
                    none()
                ];
                tx.run(&INSERT, new).await?;
            }
            self.tell_in_time(tx, &about, Some(scope.event), scope.now)
                .await?;
        }
        Ok(())
    }

    /// Leaves messages for the moments at which time alone changes a row: the end of a grace, the ends of holds.
    async fn tell_in_time(
        &self,
        tx: &mut Transaction,
        about: &About,
        event: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let moments: Vec<Timestamp> = match about.kind.as_str() {
            "access" => self.grace_end(tx, about).await?.into_iter().collect(),
            "order" => {
                let holds = args![&about.account, about.livemode, &about.id, now];
                let holds = tx.rows(&HOLDS, holds).await?;
                let ends = holds.iter().map(|hold| hold.time("ends_at"));
                ends.collect::<Result<_, _>>()?
            }
            _ => Vec::new(),
        };
        let name = type_of(&about.kind).unwrap_or_default();
        for moment in moments.into_iter().filter(|moment| *moment > now) {
            let key = about.key(&format!("at/{}", moment.0));
            let unknown: Option<i64> = None;
            let later = args![
                self.ids.next("msg"),
                &key,
                &about.account,
                about.livemode,
                event.map(str::to_owned),
                hash(&key),
                name,
                about.object(),
                unknown,
                moment,
                moment.plus(self.policy.expire),
                now,
                IN_TIME
            ];
            tx.run(&INSERT, later).await?;
        }
        Ok(())
    }

    /// When the grace of a customer's access ends, if it is in one.
    async fn grace_end(
        &self,
        tx: &mut Transaction,
        about: &About,
    ) -> Result<Option<Timestamp>, StoreError> {
        let row = args![&about.account, about.livemode, "access", &about.id];
        let Some(row) = tx.row(&ROW, row).await? else {
            return Ok(None);
        };
        let access: Access = row.json("data")?;
        Ok(access.grace_end(self.policy.access.past_due_grace))
    }

    /// Counts a change of an order that stands beside its row, a hold, and tells of it. `order` may be any of its names.
    pub(super) async fn tell_of_hold(
        &self,
        tx: &mut Transaction,
        scope: Scope<'_>,
        order: &str,
    ) -> Result<(), StoreError> {
        let touched = args![scope.account, scope.livemode, order];
        let Some(row) = tx.row(&TOUCH_ORDER, touched).await? else {
            return Ok(());
        };
        let order = ("order".to_owned(), row.text("id")?);
        let changed = Changed::from([(order, row.int("version")?)]);
        self.tell(tx, scope, &changed).await
    }

    /// Whether a message to the application may go, and if it waited for time to change its row, whether time has.
    pub(super) async fn clear_for_telling(
        &self,
        mut tx: Transaction,
        message: &ClaimedMessage,
        about: About,
        lease: Duration,
    ) -> Result<Clearance, StoreError> {
        let now = self.clock.now();
        let (id, epoch) = (&message.id, message.epoch);
        let mut superseded = None;
        let mut version = None;
        if about.version > 0 {
            let newer = args![
                &about.account,
                about.livemode,
                about.object(),
                about.version,
                id
            ];
            if tx.row(&WAITS, newer).await?.is_some() {
                superseded = Some("superseded: a newer message about this object is on its way");
            }
        } else {
            match self.due(&mut tx, &about, now).await? {
                Due::Changed(new) => version = Some(new),
                Due::Gone => superseded = Some("superseded: the object changed before its time"),
                Due::Later(until) => {
                    let expires = until.plus(self.policy.expire);
                    let later = args![id, epoch, until, expires, IN_TIME];
                    if tx.run(&LATER, later).await? == 0 {
                        return Err(StoreError::Fenced);
                    }
                    tx.commit().await?;
                    return Ok(Clearance::Stop);
                }
            }
        }
        if let Some(reason) = superseded {
            let unsent: Option<i64> = None;
            let end = args![id, epoch, "suppressed", reason, unsent];
            if tx.run(&END, end).await? == 0 {
                return Err(StoreError::Fenced);
            }
            tx.commit().await?;
            return Ok(Clearance::Stop);
        }
        let until = tx.lease_clock(self.clock.as_ref()).await?.plus(lease);
        if tx.run(&SENDING, args![id, epoch, now, until]).await? == 0 {
            return Err(StoreError::Fenced);
        }
        let settled = About {
            version: version.unwrap_or(about.version),
            ..about
        };
        if version.is_some() {
            let version = args![id, epoch, settled.version, settled.webhook_id()];
            tx.run(&SETTLE_VERSION, version).await?;
        }
        tx.commit().await?;
        Ok(Clearance::Go(Some(settled)))
    }

    /// What time has made of a row, and if it has changed it, the version that this change gets.
    async fn due(
        &self,
        tx: &mut Transaction,
        about: &About,
        now: Timestamp,
    ) -> Result<Due, StoreError> {
        if about.kind == "access" {
            match self.grace_end(tx, about).await? {
                None => return Ok(Due::Gone),
                Some(until) if until > now => return Ok(Due::Later(until)),
                Some(_) => {}
            }
        }
        let touched = args![&about.account, about.livemode, &about.kind, &about.id];
        Ok(match tx.row(&TOUCH, touched).await? {
            Some(row) => Due::Changed(row.int("version")?),
            None => Due::Gone,
        })
    }

    pub(super) async fn read_current(
        &self,
        about: &About,
    ) -> Result<Option<super::ObjectRow>, StoreError> {
        let row = args![&about.account, about.livemode, &about.kind, &about.id];
        match self.db.row(&CURRENT, row).await? {
            Some(row) => self.object_row(&row).await.map(Some),
            None => Ok(None),
        }
    }
}
