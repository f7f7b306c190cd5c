//! `billhook app`: the business's own application, which is told what changed.

use std::time::Duration;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::failure::Failure;
use super::output::Output;
use super::{Answer, Surroundings};
use crate::store::{SqlStore, Store as _, TOLD};

/// Rows of one transaction. While it lasts, on SQLite nobody else writes.
const AT_ONCE: u32 = 200;

/// What may be asked for.
#[derive(Debug, Subcommand)]
pub(super) enum App {
    /// Tell the application the current state of every order, subscription and access
    ///
    /// For an application that is told for the first time, or that was away for longer than messages are kept. What it
    /// has in the same version comes under the same id again.
    Resend {
        /// Only count what would be told
        #[arg(long)]
        dry_run: bool,
    },
}

impl App {
    pub(super) async fn run(
        self,
        around: &Surroundings,
        output: &mut Output,
    ) -> anyhow::Result<Answer> {
        let Self::Resend { dry_run } = self;
        if around.config()?.app.webhook_url.is_none() {
            return Err(Failure::Usage(
                "there is nobody to tell: set APP_WEBHOOK_URL and APP_WEBHOOK_SECRET".to_owned(),
            )
            .into());
        }
        let store = around.store().await?;
        let mut all = 0;
        for (kind, _) in TOLD {
            all += store.count_objects(kind).await?;
        }
        let told = if dry_run {
            all
        } else {
            resend(&store, all).await?
        };
        store.close().await;
        if output.is_json() {
            output.json(&json!({ "object": "app_resend", "dry_run": dry_run, "count": told }))?;
        } else if dry_run {
            output.line(format!("{told} objects would be told"))?;
        } else {
            output.line(format!(
                "{told} objects are on their way; `billhook serve` sends them, and `billhook outbox list` shows how far it is"
            ))?;
        }
        Ok(Answer::Yes)
    }
}

async fn resend(store: &SqlStore, all: u64) -> anyhow::Result<u64> {
    // Hidden by itself where standard error is no terminal.
    let progress = ProgressBar::new(all);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} objects, {eta}") {
        progress.set_style(style);
    }
    progress.enable_steady_tick(Duration::from_millis(200));
    let mut told = 0;
    for (kind, _) in TOLD {
        let mut after = None;
        loop {
            let page = store.tell_again(kind, after.as_ref(), AT_ONCE).await?;
            let count = page.len() as u64;
            told += count;
            progress.inc(count);
            if count < u64::from(AT_ONCE) {
                break;
            }
            after = page.into_iter().next_back();
        }
    }
    while store.tell_gone_again(AT_ONCE).await? == u64::from(AT_ONCE) {}
    progress.finish_and_clear();
    Ok(told)
}
