//! What becomes of an event that was not applied, of a message in doubt, and of what a person asks to have tried again.

use serde::Deserialize;

use crate::clock::Timestamp;

/// What a person says became of a message that nobody knows the fate of, or decides about a notice that did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// It went out.
    Sent,
    /// It did not, or may go twice: send it again. Also of a notice to sales or finance that failed or expired.
    Resend,
}

/// What `resolve_message` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// It is as the person said now.
    Done,
    /// There is nothing to resolve: it has this status.
    NotUnknown(String),
    /// There is no such message.
    Missing,
}

/// What becomes of an event that was not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It failed, and is tried again then.
    Retry(Timestamp),
    /// It is tried again then, and this try does not count: not the event failed.
    Postpone(Timestamp),
    /// It failed for good.
    Dead,
}

/// What `retry_event` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retried {
    /// It will be tried again.
    Retrying,
    /// It is neither dead nor retrying.
    NotDead,
    /// There is no such event.
    Missing,
}
