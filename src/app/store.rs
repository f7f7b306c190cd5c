//! The store, and what it needs to know of the configuration.

use std::sync::Arc;

use super::stripe::reach;
use crate::clock::Clock;
use crate::config::Config;
use crate::ids::{IdSource, TimeSortedIds};
use crate::store::{Policy, SqlStore, Store as _, StoreError};

/// Opens the database, and brings it up to date or refuses it.
pub async fn open_store(
    config: &Config,
    clock: Arc<dyn Clock>,
) -> Result<Arc<SqlStore>, StoreError> {
    let ids: Arc<dyn IdSource> = Arc::new(TimeSortedIds::new(clock.clone()));
    let store = SqlStore::open(config.database.url.expose(), clock, ids, policy(config)).await?;
    if config.database.migrate {
        store.migrate().await?;
    } else {
        store.check().await?;
    }
    Ok(Arc::new(store))
}

/// What the store needs to know of the configuration.
pub fn policy(config: &Config) -> Policy {
    Policy {
        settle: config.follow_up.settle,
        max_age: config.follow_up.max_age,
        expire: config.outbox.expire,
        approvals_expire: config.approvals.expire,
        first_contact_delay: config.follow_up.first_contact_delay,
        caps: config.caps,
        attempts: config.retry.attempts,
        decide_by: config.follow_up.decide_by,
        database_timeout: config.database.timeout,
        tells_application: config.app.webhook_url.is_some(),
        access: config.access,
        reach: reach(config),
    }
}
