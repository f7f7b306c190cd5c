//! What the store shows to people and programs: rows in the shapes of the API, and pages of them.

pub(super) mod rows;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::channel::Channel;
use super::fetches::FetchRecord;
use super::spending::Decisions;
use super::verdicts::ApprovalRecord;
use crate::clock::Timestamp;
use crate::guardrails::mandatory::snapshot::Superseded;

/// Which part of a list.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// 1 to 100.
    pub limit: u32,
    /// The id after which to go on. A list that has no such row is refused.
    pub starting_after: Option<String>,
}

/// One page of a list, Stripe-shaped.
#[derive(Debug, Clone, Serialize)]
pub struct Listing<T> {
    /// Always `list`.
    pub object: &'static str,
    /// The rows.
    pub data: Vec<T>,
    /// Whether there are more.
    pub has_more: bool,
}

impl<T> Listing<T> {
    /// A page of `limit` from rows that were read with one more.
    pub fn new(mut data: Vec<T>, limit: u32) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = data.len() > limit;
        data.truncate(limit);
        Self {
            object: "list",
            data,
            has_more,
        }
    }
}

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Of this type.
    pub event_type: Option<String>,
    /// In this status.
    pub status: Option<String>,
    /// Of this customer.
    pub customer: Option<String>,
    /// Of this account.
    pub account: Option<String>,
    /// Of this mode.
    pub livemode: Option<bool>,
    /// Created at this moment or later.
    pub created_from: Option<Timestamp>,
}

/// Which objects.
#[derive(Debug, Clone, Default)]
pub struct ObjectFilter {
    /// Of this kind: Stripe's object name, or `order`.
    pub kind: String,
    /// Of this account.
    pub account: Option<String>,
    /// Of this mode.
    pub livemode: Option<bool>,
}

/// Which messages.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// In this status.
    pub status: Option<String>,
    /// Of this channel.
    pub channel: Option<Channel>,
}

/// Which movements of money.
#[derive(Debug, Clone, Default)]
pub struct LedgerFilter {
    /// Under this id: several where accounts, modes or objects share it.
    pub id: Option<String>,
    /// That this object tells of.
    pub source: Option<String>,
    /// Of this account.
    pub account: Option<String>,
    /// Of this mode.
    pub livemode: Option<bool>,
}

/// Where an event can be.
pub const EVENT_STATUSES: [&str; 6] = ["pending", "applied", "done", "ignored", "retrying", "dead"];

/// Where a message can be.
pub const MESSAGE_STATUSES: [&str; 9] = [
    "pending",
    "sending",
    "sent",
    "failed",
    "unknown",
    "suppressed",
    "held",
    "denied",
    "expired",
];

/// An event as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub struct EventRecord {
    /// Always `event_record`.
    pub object: &'static str,
    /// Stripe's id.
    pub id: String,
    /// Stripe's type.
    pub r#type: String,
    /// The account.
    pub account: String,
    /// Stripe's livemode.
    pub livemode: bool,
    /// The API version of the first body.
    pub api_version: Option<String>,
    /// Stripe's `created`.
    pub created: String,
    /// When it was first received.
    pub received_at: String,
    /// Where it is.
    pub status: String,
    /// Failed tries.
    pub attempts: u32,
    /// Why it is ignored, retried or dead.
    pub last_error: Option<String>,
    /// It won no field: everything it says is known better.
    pub stale: bool,
    /// Where it is stale: which events say better what it says, and why.
    pub superseded_by: Vec<Superseded>,
    /// The business fact it belongs to.
    pub occurrence: Option<String>,
    /// Its customer.
    pub customer: Option<String>,
    /// What it waits for, in a sentence, until everything that follows from it is decided.
    pub waits_for: Option<String>,
    /// Every arrival; in lists only their number is known.
    pub deliveries: Vec<Value>,
    /// What it changed.
    pub changes: Vec<Value>,
    /// What Stripe was asked about its object.
    pub fetches: Vec<FetchRecord>,
    /// The run that it led or joined; of several the one that is not over.
    pub run: Option<RunRecord>,
    /// Its runs' calls.
    pub tool_calls: Vec<ToolCallRecord>,
    /// Its runs' messages.
    pub messages: Vec<MessageRecord>,
    /// What of its runs was held until a person decided, or still is.
    pub approvals: Vec<ApprovalRecord>,
    /// The body, as JSON.
    pub payload: Value,
}

/// A run as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub struct RunRecord {
    /// Always `run`.
    pub object: &'static str,
    /// Its id.
    pub id: String,
    /// The event that leads it.
    pub event: String,
    /// The business fact.
    pub occurrence: String,
    /// The playbook.
    pub playbook: String,
    /// Where it is.
    pub status: String,
    /// Why it was skipped or failed, or which budget kept the model from deciding on.
    pub reason: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// What it waits for, in a sentence, while it is not over.
    pub waits_for: Option<String>,
    /// When it is due.
    pub due_at: String,
    /// The model that decided.
    pub model: Option<String>,
    /// Hash of the prompts that it was decided with: those of its playbook, and of no other.
    pub prompt_hash: Option<String>,
    /// Hash of the tools' contracts as its model saw them.
    pub tools_hash: Option<String>,
    /// Which journal.
    pub generation: i64,
    /// The journal.
    pub steps: Vec<Value>,
    /// Tokens and turns.
    pub usage: Value,
    /// Money, in millionths of the currency's unit, where prices are known.
    pub cost: Option<Value>,
    /// When it was first claimed.
    pub started_at: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
}

/// A tool call as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub struct ToolCallRecord {
    /// Always `tool_call`.
    pub object: &'static str,
    /// Its id.
    pub id: String,
    /// Its run.
    pub run: String,
    /// The event of its run.
    pub event: String,
    /// The tool.
    pub tool: String,
    /// The arguments.
    pub arguments: Value,
    /// `model` or `rules`.
    pub by: String,
    /// Whoever called was only watched: it has no effect, whatever the verdict, and its key says so.
    pub shadow: bool,
    /// `allowed`, `refused` or `held`.
    pub verdict: String,
    /// The rule that refused it.
    pub rule: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// What became of it; null for reads and refusals.
    pub effect: Option<String>,
    /// The key of its effect.
    pub effect_key: Option<String>,
    /// The answer.
    pub result: Value,
    /// When.
    pub at: String,
}

/// A message as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub struct MessageRecord {
    /// Always `message`.
    pub object: &'static str,
    /// Its id.
    pub id: String,
    /// The event of its run, or the one that changed the object it is about.
    pub event: Option<String>,
    /// The business fact; none for a message to the application, which follows from no run.
    pub occurrence: Option<String>,
    /// The playbook.
    pub playbook: Option<String>,
    /// `email`, `sales`, `finance` or `app`.
    pub channel: String,
    /// The object that the application is told of, as `kind/id`.
    pub about: Option<String>,
    /// The version of that object.
    pub version: Option<i64>,
    /// The address, for a mail to a customer.
    pub to: Option<String>,
    /// The subject line.
    pub subject: String,
    /// Where it is.
    pub status: String,
    /// Why.
    pub reason: Option<String>,
    /// The stable Message-ID.
    pub message_id: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Not before this.
    pub not_before: Option<String>,
    /// When it ends as `expired`, while it waits.
    pub expires_at: Option<String>,
    /// What it waits for, in a sentence, while it is not over.
    pub waits_for: Option<String>,
    /// When it was taken.
    pub sent_at: Option<String>,
    /// The text part; only when one message is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// An object's row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObjectRow {
    /// The account.
    pub account: String,
    /// Stripe's livemode.
    pub livemode: bool,
    /// Stripe's object name, or `order`, `access`.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// The fields.
    pub data: Value,
    /// Counts the changes.
    pub version: i64,
    /// Two events say different things, and only their ids told them apart.
    pub tie: bool,
    /// What stands beside the row and is not derived from Stripe: an order's holds, a customer's access.
    pub beside: Value,
}

/// One movement of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerEntry {
    /// Always `ledger_entry`.
    pub object: &'static str,
    /// Stripe's id of it: a balance transaction's, else the source's.
    pub id: String,
    /// The account.
    pub account: String,
    /// Stripe's livemode.
    pub livemode: bool,
    /// What kind of movement it is: `charge`, `refund`, `funds_withdrawn`.
    pub r#type: String,
    /// The object that tells of it.
    pub source: String,
    /// Stripe's name for such an object.
    pub source_object: String,
    /// What the balance at Stripe gains, in minor units.
    pub amount: i64,
    /// What Stripe took for it, where it says so.
    pub fee: Option<i64>,
    /// The currency.
    pub currency: String,
    /// When it was made.
    pub created: String,
}

/// Counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Census {
    /// Events by status; `done` and `ignored` are not counted, they only grow.
    pub events: BTreeMap<String, u64>,
    /// Dead events by the stage that failed: `apply` or `follow_up`.
    pub dead: BTreeMap<String, u64>,
    /// Open runs by status.
    pub runs: BTreeMap<String, u64>,
    /// Messages by status, those that are over left out.
    pub messages: BTreeMap<String, u64>,
    /// What models did today, and which runs wait for one.
    pub decisions: Decisions,
    /// Questions to Stripe that are not answered, by status.
    pub fetches: BTreeMap<String, u64>,
    /// What waits for a person's word.
    pub approvals_held: u64,
    /// Whether anything can still be done now: nothing claimed, due or waiting for its window.
    pub idle: bool,
}
