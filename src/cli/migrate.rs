//! `billhook migrate`: brings the schema up to date, for those who do not let `serve` do it.

use super::output::Output;
use super::{Answer, Surroundings};
use crate::store::Store as _;

pub(super) async fn run(around: &Surroundings, output: &mut Output) -> anyhow::Result<Answer> {
    let mut config = around.config()?;
    config.database.migrate = true;
    let store = crate::app::open_store(&config, around.clock.clone()).await?;
    store.close().await;
    if output.is_json() {
        output.json(&serde_json::json!({"object": "migration", "status": "done"}))?;
    } else {
        output.line("the schema is up to date")?;
    }
    Ok(Answer::Yes)
}
