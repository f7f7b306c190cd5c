//! A run that is looked at again, with everything it would be decided on today. Read in a transaction that cannot write.

use super::database::{args, statements};
use super::error::StoreError;
use super::records::RunInput;
use super::runs::EVENT_TYPE;
use super::sql_store::SqlStore;

statements! {
    PAST_RUN: "SELECT id, playbook, stage, event, occurrence, account, livemode, generation FROM runs WHERE id = $1";
}

/// A run as it is stored, claimed by nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    /// The run's id.
    pub id: String,
    /// The playbook.
    pub playbook: String,
    /// The playbook's stage.
    pub stage: String,
    /// The event that leads it.
    pub event: String,
    /// The account.
    pub account: String,
    /// Stripe's livemode.
    pub livemode: bool,
    /// Which of its journals stands.
    pub generation: i64,
}

impl SqlStore {
    /// A run, and what it would be decided on now; its journal is left out.
    pub async fn past_run(&self, id: &str) -> Result<Option<(PastRun, RunInput)>, StoreError> {
        let mut tx = self.db.begin_reading().await?;
        let Some(row) = tx.row(&PAST_RUN, args![id]).await? else {
            return Ok(None);
        };
        let run = PastRun {
            id: row.text("id")?,
            playbook: row.text("playbook")?,
            stage: row.text("stage")?,
            event: row.text("event")?,
            account: row.text("account")?,
            livemode: row.flag("livemode")?,
            generation: row.int("generation")?,
        };
        let (occurrence, standing) = self.standing(&mut tx, &row.text("occurrence")?).await?;
        let event_type = tx
            .row(&EVENT_TYPE, args![&run.event])
            .await?
            .map(|row| row.text("type"))
            .transpose()?;
        let input = RunInput {
            occurrence,
            event_type: event_type.unwrap_or_default(),
            standing,
            steps: Vec::new(),
        };
        Ok(Some((run, input)))
    }
}
