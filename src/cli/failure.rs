//! What a failed command says and exits with: the only mapping from errors to exit codes.

use std::io::Write as _;
use std::process::ExitCode;

use crate::agent::prompts::PromptsError;
use crate::backfill::BackfillError;
use crate::config::ConfigError;
use crate::store::StoreError;
use crate::stripe::signature::SecretsError;
use crate::telemetry::TelemetryError;

/// The answer is no.
pub(super) const NO: u8 = 1;
/// Wrong usage or configuration.
const USAGE: u8 = 2;
/// The outside world failed.
const OUTSIDE: u8 = 3;

/// Failures of commands themselves. Each text names the thing and the next step.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The answer is no, for a reason worth a sentence.
    #[error("{0}")]
    No(String),
    /// The command was not given what it needs.
    #[error("{0}")]
    Usage(String),
    /// A configuration that reads well and cannot be used.
    #[error("the service cannot be put together from this configuration")]
    Configuration(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The network or the system failed.
    #[error("{0}")]
    Outside(String),
    /// The reader of standard output is gone or full.
    #[error("the answer cannot be written")]
    Stdout(#[source] std::io::Error),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::No(_) => NO,
            Self::Usage(_) | Self::Configuration(_) => USAGE,
            // `billhook events list | head` ends well.
            Self::Stdout(error) if error.kind() == std::io::ErrorKind::BrokenPipe => 0,
            Self::Outside(_) | Self::Stdout(_) => OUTSIDE,
        }
    }
}

/// The exit code of an error: the first cause that knows one decides.
pub(super) fn code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(of_cause).unwrap_or(OUTSIDE)
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return Some(failure.code());
    }
    if let Some(error) = cause.downcast_ref::<StoreError>() {
        return Some(match error {
            StoreError::UnknownUrl
            | StoreError::SchemaTooNew { .. }
            | StoreError::SchemaMissing => USAGE,
            StoreError::NoSuch { .. } => NO,
            _ => OUTSIDE,
        });
    }
    if let Some(error) = cause.downcast_ref::<BackfillError>()
        && error.is_configuration()
    {
        return Some(USAGE);
    }
    let is_configuration = cause.is::<ConfigError>()
        || cause.is::<PromptsError>()
        || cause.is::<SecretsError>()
        || cause.is::<TelemetryError>();
    is_configuration.then_some(USAGE)
}

/// The whole chain on one line each, as it goes to standard error.
pub(super) fn text(error: &anyhow::Error) -> String {
    let mut lines = String::from("error: ");
    let mut last = String::new();
    for cause in error.chain() {
        let cause = super::output::clean_lines(&cause.to_string());
        // A transparent error repeats its cause word for word.
        if last.contains(&cause) {
            continue;
        }
        if !last.is_empty() {
            lines.push_str("\n  because: ");
        }
        lines.push_str(&cause);
        last = cause;
    }
    lines
}

/// Prints an error once and says what to exit with.
pub(super) fn report(error: &anyhow::Error) -> ExitCode {
    let code = code(error);
    if code != 0 {
        // There is nobody left to tell when standard error is closed.
        drop(writeln!(std::io::stderr(), "{}", text(error)));
    }
    ExitCode::from(code)
}

/// Prints what the parser of arguments has to say: help and versions are no errors.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    drop(error.print());
    if error.use_stderr() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::SUCCESS
    }
}
