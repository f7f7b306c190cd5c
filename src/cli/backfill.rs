//! `billhook backfill`: looks for missed events in Stripe's list of events, and takes them in.

mod board;

use anyhow::Context as _;
use clap::Args;
use tokio_util::sync::CancellationToken;

use self::board::Board;
use super::failure::Failure;
use super::output::Output;
use super::serve::build;
use super::{Answer, Surroundings};
use crate::backfill::{AccountReport, BackfillError, Look, Outcome, Report, Step};
use crate::config::Span;
use crate::shutdown::Shutdown;

#[derive(Debug, Args)]
pub(super) struct Backfill {
    /// Look back so far, instead of going on where the last look ended: 3d, 12h
    #[arg(long, value_name = "DURATION", value_parser = back, allow_hyphen_values = true)]
    since: Option<Span>,
    /// Write nothing, and say what would come in
    #[arg(long)]
    dry_run: bool,
    /// End at once where another process is looking, instead of waiting for it for a while
    #[arg(long)]
    no_wait: bool,
}

impl Backfill {
    pub(super) async fn run(
        self,
        around: &Surroundings,
        output: &mut Output,
    ) -> anyhow::Result<Answer> {
        let config = around.config()?;
        if config.stripe.secret_key.is_none() {
            return Err(Failure::Usage(
                "no API key to look with: set STRIPE_SECRET_KEY to one that may read events (Dashboard > Developers > API keys; a restricted key will do)"
                    .to_owned(),
            )
            .into());
        }
        config.require_lasting_database()?;
        let shutdown = Shutdown::on_signals().context("signals cannot be caught")?;
        let mut app = build(&config, around).await?;
        let writing = CancellationToken::new();
        if let Some(inbox) = app.take_inbox() {
            shutdown.tasks().spawn(inbox.run(writing.clone()));
        }
        let board = Board::new();
        let watch = |step: &Step<'_>| board.show(step);
        let look = Look {
            since: self.since.map(|span| span.0),
            dry_run: self.dry_run,
            unless_within: None,
            waits: !self.no_wait,
        };
        let looked = match &app.backfill {
            Some(backfill) => backfill.look(look, &watch, shutdown.soft()).await,
            None => {
                return Err(anyhow::anyhow!(
                    "a key is set, and there is no client for it"
                ));
            }
        };
        board.clear();
        writing.cancel();
        shutdown.tasks().close();
        shutdown.tasks().wait().await;
        app.store.close().await;
        let report = looked?;
        if output.is_json() {
            output.json(&report)?;
        } else {
            print(&report, output)?;
        }
        answer(&report)
    }
}

/// How far back. Whoever writes a minus means the same, and is told so instead of what an argument may begin with.
fn back(text: &str) -> Result<Span, String> {
    let span = text.parse::<Span>();
    let unsigned = text
        .strip_prefix('-')
        .filter(|rest| rest.parse::<Span>().is_ok());
    match unsigned {
        Some(rest) => Err(format!("it always looks back: write {rest}")),
        None => span.map_err(|error| error.to_string()),
    }
}

fn print(report: &Report, output: &mut Output) -> anyhow::Result<()> {
    let new = if report.dry_run {
        "would come in"
    } else {
        "came in"
    };
    let rows = report.accounts.iter().map(|account| {
        vec![
            account.account.clone(),
            account.status.word().to_owned(),
            account.from.clone().unwrap_or_default(),
            account.found.to_string(),
            account.new.values().sum::<u64>().to_string(),
        ]
    });
    output.table(&["account", "status", "since", "listed", new], rows)?;
    for account in &report.accounts {
        if !account.new.is_empty() {
            output.line(format!("\n{} of {}, by type", new, account.account))?;
            let rows = account
                .new
                .iter()
                .map(|(kind, count)| vec![kind.clone(), count.to_string()]);
            output.table(&["type", "events"], rows)?;
        }
    }
    for account in &report.accounts {
        for line in remarks(account, report.dry_run) {
            output.line(format!("\n{}: {line}", account.account))?;
        }
    }
    for line in &report.remarks {
        output.line(format!("\n{line}"))?;
    }
    Ok(())
}

/// What a number does not say.
fn remarks(account: &AccountReport, dry_run: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(gap) = &account.gap {
        let what = if dry_run {
            "without --dry-run, the objects that may have changed would be looked up instead; none was"
                .to_owned()
        } else if gap.reconciled {
            format!(
                "{} objects were looked up instead, {} of them had changed; nobody was told of what happened then",
                gap.objects, gap.changed
            )
        } else {
            "the objects that may have changed are looked up instead, and not all of them were yet"
                .to_owned()
        };
        lines.push(format!(
            "events from {} to {} are missing and Stripe does not list them any more: {what}",
            gap.from, gap.to
        ));
    }
    lines.extend(account.remarks.clone());
    match &account.status {
        Outcome::Done => {}
        Outcome::Recent => lines.push("somebody has looked a moment ago".to_owned()),
        Outcome::Disconnected => lines.push(
            "it is not connected any more, so nothing can be asked for it; name those that are in `stripe.accounts`".to_owned(),
        ),
        Outcome::Busy(_) | Outcome::Failed(_) => lines.extend(account.error.clone()),
    }
    if account.unreadable > 0 {
        lines.push(format!(
            "{} listed events could not be read and were left out",
            account.unreadable
        ));
    }
    lines
}

/// What failed decides the exit code: a key can be changed, and Stripe can be asked again.
fn answer(report: &Report) -> anyhow::Result<Answer> {
    let mut failures = report.failures().peekable();
    if failures.peek().is_none() {
        return if report.is_busy() {
            Err(Failure::No("somebody else is looking, and what they find comes in; run it again when they are done, or when the time above is over".to_owned()).into())
        } else {
            Ok(Answer::Yes)
        };
    }
    let text = "not every account was looked at to the end; what was stored counts, and the next look goes on from there";
    Err(if failures.any(BackfillError::is_configuration) {
        Failure::Usage(text.to_owned()).into()
    } else {
        Failure::Outside(text.to_owned()).into()
    })
}
