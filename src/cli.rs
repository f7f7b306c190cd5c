//! The command line: what can be asked, how answers and errors are shown, and what a process exits with.
//!
//! Owns the one way to standard output ([`output::Output`]) and the one mapping to exit codes ([`failure::code`]). A
//! subcommand is one file in `cli/` and one line in [`Command`]; it never writes but through store verbs that the HTTP
//! API offers too, and never prints a text that came from outside with its control characters.

mod app;
mod approvals;
mod backfill;
mod demo;
mod doctor;
mod event_types;
mod events;
mod failure;
mod migrate;
mod outbox;
mod output;
mod prompts;
mod rerun;
mod send;
mod serve;
mod suppressions;
#[cfg(test)]
mod tests;
mod timeline;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config};
use crate::store::SqlStore;
use crate::tls;

use self::output::Output;

/// How long blocking work may take to end once a command has its answer.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// Takes Stripe's webhooks, keeps every one, updates orders and access by rules, and follows up.
#[derive(Debug, Parser)]
#[command(name = "billhook", version, about, after_help = AFTER_HELP)]
struct Cli {
    /// The configuration file, instead of `billhook.toml` in the current folder
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print answers as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  the answer is no: a failed check, an answer other than 2xx, no such id
  2  wrong usage or configuration
  3  the outside world failed: database, network

Try `billhook demo`: it needs nothing configured.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    Serve(serve::Serve),
    /// Show the whole way of an event on sample events, with nothing configured
    Demo(demo::Demo),
    /// Sign recorded events and post them to a webhook endpoint
    Send(send::Send),
    /// Look into the inbox: events, what they changed, and what follows from them
    #[command(subcommand)]
    Events(events::Events),
    /// Ask what would be done about an event today, without any effect
    Rerun(rerun::Rerun),
    /// Look at messages to customers and to the business's own people
    #[command(subcommand)]
    Outbox(outbox::Outbox),
    /// Decide about what a model proposed and a person has to approve
    #[command(subcommand)]
    Approvals(approvals::Approvals),
    /// Keep the list of mailboxes that are never written to
    #[command(subcommand)]
    Suppressions(suppressions::Suppressions),
    /// Tell the business's own application
    #[command(subcommand)]
    App(app::App),
    /// Read, check and try out the prompts
    #[command(subcommand)]
    Prompts(prompts::Prompts),
    /// Show the tools a model may call, as it sees them
    #[command(subcommand)]
    Tools(tools::Tools),
    /// Look for events that never arrived, and take them in
    Backfill(backfill::Backfill),
    /// Check what is configured, and say what to do
    Doctor,
    /// Bring the database's schema up to date
    Migrate,
    /// Print a script that completes billhook's commands in a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// How a command that came to its end answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Done.
    Yes,
    /// Done, and the answer is no: a check failed.
    No,
}

/// What every command is given.
struct Surroundings {
    config: Option<PathBuf>,
    clock: Arc<dyn Clock>,
}

impl Surroundings {
    /// The configuration, read when a command needs it: `completions` must work beside a broken file.
    fn config(&self) -> anyhow::Result<Config> {
        Ok(Config::load(
            self.config.as_deref(),
            &config::environment(),
        )?)
    }

    async fn store(&self) -> anyhow::Result<Arc<SqlStore>> {
        Ok(crate::app::open_store(&self.config()?, self.clock.clone()).await?)
    }
}

/// Reads the arguments of this process, does what they ask for, and says what to exit with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::usage(&error),
    };
    tls::use_ring();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failure::report(&anyhow::Error::new(error)),
    };
    let mut output = Output::stdout(cli.json);
    let done = runtime.block_on(run(cli, &mut output));
    // What a hard shutdown left behind must not hold the process up.
    runtime.shutdown_timeout(LAST_PATIENCE);
    match done.and_then(|answer| output.flush().map(|()| answer)) {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(failure::NO),
        Err(error) => failure::report(&error),
    }
}

async fn run(cli: Cli, output: &mut Output) -> anyhow::Result<Answer> {
    let around = Surroundings {
        config: cli.config,
        clock: Arc::new(SystemClock),
    };
    match cli.command {
        Command::Serve(serve) => Box::pin(serve.run(&around, output)).await,
        Command::Demo(demo) => Box::pin(demo.run(&around, output)).await,
        Command::Send(send) => Box::pin(send.run(&around, output)).await,
        Command::Events(events) => events.run(&around, output).await,
        Command::Rerun(rerun) => Box::pin(rerun.run(&around, output)).await,
        Command::Outbox(outbox) => outbox.run(&around, output).await,
        Command::Approvals(approvals) => approvals.run(&around, output).await,
        Command::Suppressions(list) => list.run(&around, output).await,
        Command::App(app) => app.run(&around, output).await,
        Command::Prompts(prompts) => prompts.run(&around, output),
        Command::Tools(tools) => tools.run(output),
        Command::Backfill(backfill) => Box::pin(backfill.run(&around, output)).await,
        Command::Doctor => Box::pin(doctor::run(&around, output)).await,
        Command::Migrate => migrate::run(&around, output).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "billhook", &mut script);
            output.bytes(&script)?;
            Ok(Answer::Yes)
        }
    }
}
