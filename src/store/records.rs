//! What goes into the store and comes out of it.

use billhook_tools::Proposal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::approvals::Awaited;
pub use super::channel::Channel;
use super::spending::NewSpending;
use super::telling::About;
use crate::clock::Timestamp;
use crate::guardrails::occurrence::Occurrence;
use crate::guardrails::precondition::{Purpose, Standing};
use crate::stripe::event::Event;

/// One verified arrival of an event, on its way into the inbox.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The parsed envelope.
    pub event: Event,
    /// The account it belongs to: the event's, else the endpoint's, else `self`.
    pub account: String,
    /// The endpoint's name; `default` for the unnamed one.
    pub endpoint: String,
    /// When it arrived.
    pub received_at: Timestamp,
    /// The bytes as they were signed.
    pub body: Vec<u8>,
    /// Why nobody will work on it, if so.
    pub ignored: Option<String>,
}

/// How a delivery was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Accepted {
    /// The first of its event.
    Accepted,
    /// Its event was known.
    Duplicate,
}

/// An event under a lease.
#[derive(Debug, Clone)]
pub struct ClaimedEvent {
    /// The event's id.
    pub id: String,
    /// The fence: writes under an older one are refused.
    pub epoch: i64,
    /// How often it failed so far.
    pub attempts: u32,
    /// The account it belongs to.
    pub account: String,
    /// Stripe's livemode.
    pub livemode: bool,
    /// Its type.
    pub event_type: String,
    /// When it was first received.
    pub received_at: Timestamp,
    /// The bodies that are not applied yet: API version and bytes.
    pub bodies: Vec<(String, Vec<u8>)>,
}

/// A follow-up under its lane's lease.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedRun {
    /// The run's id.
    pub id: String,
    /// Its lane.
    pub lane: String,
    /// The lane's fence.
    pub epoch: i64,
    /// The playbook.
    pub playbook: String,
    /// The playbook's stage.
    pub stage: String,
    /// The event that leads it.
    pub event: String,
    /// The business fact.
    pub occurrence: String,
    /// The account.
    pub account: String,
    /// Stripe's livemode.
    pub livemode: bool,
    /// The customer.
    pub customer: Option<String>,
    /// Which journal it writes: a new generation starts with fresh reads.
    pub generation: i64,
    /// How often it failed so far.
    pub attempts: u32,
    /// When the rules decide for a model that does not answer.
    pub decide_by: Timestamp,
    /// When it was first claimed in this generation.
    pub started_at: Timestamp,
    /// The prompts that its journal was written with.
    pub prompt_hash: Option<String>,
    /// The tools that its journal was written with.
    pub tools_hash: Option<String>,
}

/// Everything that a run is decided on.
#[derive(Debug, Clone)]
pub struct RunInput {
    /// The business fact.
    pub occurrence: Occurrence,
    /// Type of the leading event.
    pub event_type: String,
    /// Current rows of what it is about.
    pub standing: Standing,
    /// The journal of this generation.
    pub steps: Vec<Step>,
}

/// A journaled step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Position in the run, from 0.
    pub seq: i64,
    /// When it was committed.
    pub at: Timestamp,
    /// The step itself, as the agent wrote it.
    pub data: Value,
}

/// A step to commit, and the tool call it records, if it is one.
#[derive(Debug, Clone)]
pub struct NewStep {
    /// Position in the run, from 0.
    pub seq: i64,
    /// The step itself.
    pub data: Value,
    /// Hash of the prompts in use.
    pub prompt_hash: String,
    /// Hash of the tools on offer.
    pub tools_hash: String,
    /// Who decided by it: the model by its name at the endpoint that answered, or `rules`. None for what was answered to a
    /// call.
    pub model: Option<String>,
    /// The tool call, for a step that is one.
    pub call: Option<NewToolCall>,
    /// What it used, for a model's reply.
    pub spending: Option<NewSpending>,
}

/// The steps of a model that is only watched are numbered from here, so that they stand beside those of whoever acts. No
/// run has as many.
pub const SHADOW_FROM: i64 = 1000;

/// A tool call as it was judged.
#[derive(Debug, Clone)]
pub struct NewToolCall {
    /// The tool's name as it was called.
    pub tool: String,
    /// Its arguments as they were given.
    pub arguments: Value,
    /// `model` or `rules`.
    pub by: &'static str,
    /// `allowed`, `refused` or `held`.
    pub verdict: &'static str,
    /// The rule that refused it.
    pub rule: Option<String>,
    /// Why, in a sentence.
    pub reason: Option<String>,
    /// The key of its effect, for a call that proposes one.
    pub effect_key: Option<String>,
    /// The answer.
    pub result: Value,
}

/// The end of a run.
#[derive(Debug, Clone)]
pub struct Finish {
    /// `done`, or `skipped` when its precondition is gone.
    pub status: &'static str,
    /// Why, for a run that was skipped or whose model was not asked to the end.
    pub reason: Option<String>,
    /// What should take effect, in order.
    pub effects: Vec<NewEffect>,
    /// Tokens and turns.
    pub usage: Value,
    /// The precondition to test once more.
    pub purpose: Purpose,
}

/// A proposal on its way to become an effect.
#[derive(Debug, Clone)]
pub struct NewEffect {
    /// Its key: the second with the same has no effect.
    pub key: String,
    /// What is to be done.
    pub proposal: Proposal,
    /// What to do about it, as prepared by the worker.
    pub action: Action,
}

/// What an effect writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// A message in the outbox.
    Send(Box<NewMessage>),
    /// A schedule.
    Schedule {
        /// The playbook it starts.
        playbook: String,
        /// When.
        due_at: Timestamp,
        /// The subscription it is about.
        subscription: String,
        /// What the playbook is told.
        data: Value,
    },
    /// A hold on an order, until `ends_at`.
    Hold {
        /// The order.
        order: String,
        /// Why.
        reason: String,
        /// When it ends by itself.
        ends_at: Timestamp,
    },
    /// The end of the holds that a model placed for earlier occurrences.
    Release {
        /// The order.
        order: String,
    },
    /// Nothing yet: it waits for a person.
    Await(Box<Awaited>),
}

/// A rendered message on its way into the outbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewMessage {
    /// Who it is for.
    pub channel: Channel,
    /// Why it is sent.
    pub purpose: Purpose,
    /// The address, for a mail to a customer.
    pub recipient: Option<String>,
    /// The stable Message-ID, without angle brackets.
    pub message_id: String,
    /// The subject line.
    pub subject: String,
    /// The text part.
    pub text: String,
    /// The HTML part.
    pub html: Option<String>,
    /// The chat payload, for notices.
    pub notice: Option<Value>,
    /// The first mail about a failure to a customer who never paid waits.
    pub first_contact: bool,
    /// Why it cannot leave yet, for example that no channel is configured.
    pub reason: Option<String>,
}

/// A run that is given back.
#[derive(Debug, Clone)]
pub struct Release {
    /// `waiting` or `deferred` to try again at `due_at`; `failed` for good.
    pub status: &'static str,
    /// When to try again.
    pub due_at: Timestamp,
    /// What went wrong.
    pub error: String,
    /// What was journaled is not gone on from: the next claim starts with fresh reads.
    pub start_over: bool,
    /// It failed, and that counts: after so many it is `failed` for good.
    pub is_failure: bool,
}

/// A message under a lease.
#[derive(Debug, Clone)]
pub struct ClaimedMessage {
    /// The message's id.
    pub id: String,
    /// The fence.
    pub epoch: i64,
    /// Who it is for.
    pub channel: Channel,
    /// Address, for a mail to a customer.
    pub recipient: Option<String>,
    /// The stable Message-ID.
    pub message_id: String,
    /// The effect key.
    pub effect_key: String,
    /// The subject line.
    pub subject: String,
    /// The text part.
    pub text: String,
    /// The HTML part.
    pub html: Option<String>,
    /// The chat payload.
    pub notice: Option<Value>,
    /// The row it is about, for a message to the application.
    pub about: Option<About>,
    /// How often it was tried.
    pub attempts: u32,
    /// It was found in the middle of being sent: whether it went out cannot be known.
    pub interrupted: bool,
}

/// Whether a message may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clearance {
    /// It is `sending` now: send it. A message to the application is about this version, and no longer about the one that it
    /// was claimed with: it may have moved on since.
    Go(Option<About>),
    /// It will not go now; the store has written why.
    Stop,
}

/// What became of an attempt to send.
#[derive(Debug, Clone)]
pub enum SendOutcome {
    /// It was taken.
    Sent,
    /// It failed for now.
    Retry {
        /// When to try again.
        at: Timestamp,
        /// Why.
        reason: String,
    },
    /// It will never be taken.
    Failed {
        /// Why.
        reason: String,
    },
    /// Nobody can know whether it was taken.
    Unknown {
        /// Why.
        reason: String,
    },
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
