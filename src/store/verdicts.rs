//! What people decide about rows that wait for them, and what the store found when they did.

use serde::{Deserialize, Serialize};
use serde_json::Value;

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

/// What a person says of something that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may leave, exactly as it was shown.
    Approve {
        /// The hash of what was shown.
        hash: String,
    },
    /// It may not; what is owed by rule is done in its place.
    Deny {
        /// Why, if the person says so.
        reason: Option<String>,
    },
}

/// What `decide_approval` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is as the person said now.
    Done,
    /// There is nothing to decide: it has this status.
    Over(String),
    /// What was shown to whoever approved is not what is held: it still waits, and this is its hash.
    OtherHash(String),
    /// What is held is not what was held when it was proposed: somebody changed the row. It still waits.
    Changed,
    /// There is no such approval.
    Missing,
}

/// Where an approval can be.
pub const APPROVAL_STATUSES: [&str; 5] = ["held", "approved", "denied", "expired", "suppressed"];

/// Which approvals.
#[derive(Debug, Clone, Default)]
pub struct ApprovalFilter {
    /// In this status.
    pub status: Option<String>,
}

/// An approval as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ApprovalRecord {
    /// Always `approval`.
    pub object: &'static str,
    /// Its id.
    pub id: String,
    /// Where it is.
    pub status: String,
    /// The event of its run.
    pub event: String,
    /// The run that proposed it.
    pub run: String,
    /// The business fact.
    pub occurrence: String,
    /// The account.
    pub account: String,
    /// Stripe's livemode.
    pub livemode: bool,
    /// The customer.
    pub customer: Option<String>,
    /// The playbook.
    pub playbook: String,
    /// The tool that was called.
    pub tool: String,
    /// The key of its effect.
    pub effect_key: String,
    /// The hash of everything that would leave.
    pub hash: String,
    /// What would be done, in a sentence.
    pub what: String,
    /// The message that is held, if it is one.
    pub message: Option<HeldMessage>,
    /// What the rules do if nobody approves, in a sentence; nothing where nothing is owed.
    pub fallback: Option<String>,
    /// Why it ended so.
    pub reason: Option<String>,
    /// What it waits for, in a sentence, while it is held.
    pub waits_for: Option<String>,
    /// When it was proposed.
    pub created_at: String,
    /// Until when it can be approved.
    pub expires_at: String,
    /// When it was decided.
    pub decided_at: Option<String>,
    /// Through what it was decided: `api`, `cli`, or `billhook` itself.
    pub decided_by: Option<String>,
}

/// A held message as it would leave.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeldMessage {
    /// Its id in the outbox.
    pub id: String,
    /// `email`, `sales` or `finance`.
    pub channel: String,
    /// The address, for a mail to a customer.
    pub to: Option<String>,
    /// The subject line.
    pub subject: String,
    /// The text part; only when one approval is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The HTML part; likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// The chat payload; likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<Value>,
}
