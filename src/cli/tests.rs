use clap::CommandFactory as _;

use super::failure::{Failure, code, text};
use super::*;
use crate::config::ConfigError;
use crate::store::StoreError;

#[test]
fn the_commands_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_contract_command_is_there() {
    for line in [
        "billhook serve --role ingest --listen 127.0.0.1:0",
        "billhook demo --keep",
        "billhook send a b --url http://x --secret whsec_x --shuffle --repeat 2 --concurrency 3 --as-recorded",
        "billhook events list --json",
        "billhook --config x.toml events show evt_1",
        "billhook events retry evt_1",
        "billhook events types",
        "billhook outbox list --status sent",
        "billhook outbox show msg_1",
        "billhook prompts list",
        "billhook prompts check",
        "billhook prompts render payment_failed --event x.json",
        "billhook tools list",
        "billhook tools schema send_email",
        "billhook tools export --check",
        "billhook doctor --json",
        "billhook migrate",
        "billhook completions bash",
    ] {
        assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
    }
    assert_eq!(
        Cli::try_parse_from(["billhook", "send"])
            .unwrap_err()
            .exit_code(),
        2
    );
}

#[test]
fn each_failure_has_its_exit_code() {
    let broken_pipe = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    for (error, expected) in [
        (anyhow::Error::new(Failure::No("x".to_owned())), 1),
        (Failure::Usage("x".to_owned()).into(), 2),
        (ConfigError::NoWebhookSecret.into(), 2),
        (StoreError::SchemaTooNew { found: 9, known: 1 }.into(), 2),
        (StoreError::UnknownUrl.into(), 2),
        (StoreError::Unreachable(sqlx::Error::PoolTimedOut).into(), 3),
        (
            anyhow::Error::new(StoreError::Unreachable(sqlx::Error::PoolTimedOut))
                .context("while starting"),
            3,
        ),
        (
            Failure::Configuration(anyhow::anyhow!("money.exponents").into()).into(),
            2,
        ),
        (Failure::Stdout(broken_pipe()).into(), 0),
        // Only standard output may break without being an error.
        (broken_pipe().into(), 3),
    ] {
        assert_eq!(code(&error), expected, "{error:#}");
    }
}

#[test]
fn an_error_is_shown_with_its_causes() {
    let source = sqlx::Error::Io(std::io::Error::other("no\u{1b}[2J route"));
    let error = anyhow::Error::new(StoreError::Unreachable(source));
    insta::assert_snapshot!(text(&error), @"
    error: the database cannot be opened; check `DATABASE_URL`, and that the server runs or the file is readable
      because: error communicating with database: no[2J route
    ");
}

#[test]
fn the_help_is_short_and_complete() {
    let help = Cli::command().term_width(100).render_help().to_string();
    insta::assert_snapshot!(help, @"
    Stands between Stripe and a business: keeps every webhook, applies the rules, lets a model propose
    the follow-ups.

    Usage: billhook [OPTIONS] <COMMAND>

    Commands:
      serve         Run the service
      demo          Show the whole way of an event on sample events, with nothing configured
      send          Sign recorded events and post them to a webhook endpoint
      events        Look into the inbox: events, what they changed, and what follows from them
      rerun         Ask what would be done about an event today, without any effect
      outbox        Look at messages to customers and to the business's own people
      approvals     Decide about what a model proposed and a person has to approve
      suppressions  Keep the list of mailboxes that are never written to
      app           Tell the business's own application
      prompts       Read, check and try out the prompts
      tools         Show the tools a model may call, as it sees them
      backfill      Look for events that never arrived, and take them in
      doctor        Check what is configured, and say what to do
      migrate       Bring the database's schema up to date
      completions   Print a script that completes billhook's commands in a shell
      help          Print this message or the help of the given subcommand(s)

    Options:
          --config <FILE>  The configuration file, instead of `billhook.toml` in the current folder
          --json           Print answers as JSON
      -h, --help           Print help
      -V, --version        Print version

    Exit codes:
      0  done
      1  the answer is no: a failed check, an answer other than 2xx, no such id
      2  wrong usage or configuration
      3  the outside world failed: database, network

    Try `billhook demo`: it needs nothing configured.
    ");
}
