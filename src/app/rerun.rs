//! What decides runs of the past anew: everything that decides in `serve`, over a database that is left as it is.

use std::sync::Arc;

use super::{configured, deciding, policy, ways};
use crate::agent::model::Model;
use crate::agent::rules::{NAME, Rules};
use crate::clock::Clock;
use crate::config::Config;
use crate::ids::{IdSource, TimeSortedIds};
use crate::store::{SqlStore, Store};
use crate::worker::Deciding;

/// Puts it together with the model that is configured, or the one of this name: `rules`, an endpoint of
/// `model.endpoints`, or a model at the configured server. Nothing is migrated, made or written.
pub async fn rerunning(
    config: &Config,
    clock: Arc<dyn Clock>,
    model: Option<&str>,
) -> anyhow::Result<(Arc<SqlStore>, Deciding)> {
    let model: Arc<dyn Model> = match model {
        Some(NAME) => Arc::new(Rules),
        Some(name) => {
            let model = config.model.only(name);
            anyhow::ensure!(
                model.is_configured(),
                "there is no server to ask for the model `{name}`: set OPENAI_API_KEY or OPENAI_BASE_URL, or add `[model.endpoints.{name}]`"
            );
            let model = Config {
                model,
                ..config.clone()
            };
            configured(&model, &clock)?
        }
        None => configured(config, &clock)?,
    };
    let ids: Arc<dyn IdSource> = Arc::new(TimeSortedIds::new(clock.clone()));
    let url = config.database.url.expose();
    let database = SqlStore::open_as_found(url, clock.clone(), ids, policy(config)).await?;
    database.check().await?;
    let database = Arc::new(database);
    let store: Arc<dyn Store> = database.clone();
    let no_way = ways::missing(&ways(config, &clock, &store)?);
    Ok((database, deciding(config, model, &store, no_way)?))
}
