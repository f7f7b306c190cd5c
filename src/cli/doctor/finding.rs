//! What a check came to, and what to do about it.

use serde::Serialize;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// Nothing to do.
    Ok,
    /// It works, and not as well as it could.
    Warning,
    /// It does not work.
    Failed,
    /// It is not configured, or could not be looked at.
    Off,
}

impl Outcome {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Off => "off",
        }
    }
}

/// One row of the answer. Neither text ever holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    #[serde(rename = "status")]
    pub(super) outcome: Outcome,
    pub(super) found: String,
    /// The next step, where there is one.
    pub(super) next: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self::of(check, Outcome::Ok, found, None)
    }

    pub(super) fn off(check: &'static str, found: impl Into<String>) -> Self {
        Self::of(check, Outcome::Off, found, None)
    }

    pub(super) fn warning(check: &'static str, found: impl Into<String>, next: &str) -> Self {
        Self::of(check, Outcome::Warning, found, Some(next))
    }

    pub(super) fn failed(check: &'static str, found: impl Into<String>, next: &str) -> Self {
        Self::of(check, Outcome::Failed, found, Some(next))
    }

    fn of(
        check: &'static str,
        outcome: Outcome,
        found: impl Into<String>,
        next: Option<&str>,
    ) -> Self {
        Self {
            check,
            outcome,
            found: found.into(),
            next: next.map(str::to_owned),
        }
    }
}
