//! What a tool is: a name, a contract, the kind of effect it can have, and a call.

use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;

use crate::{Facts, FactsError, Proposal};

/// What a call can come to. Every tool states it: there is no default, so nobody gets it wrong by silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Reads only; the result is journaled and nothing is keyed.
    Read,
    /// A row in billhook's own database, committed with the run: exactly once.
    Database,
    /// A message in the outbox, committed with the run and sent later.
    Outbox,
}

/// The contract of a tool as a model sees it, committed as `tools/NAME.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contract {
    /// The tool's name.
    pub name: String,
    /// What it does and when to use it, for the model.
    pub description: String,
    /// JSON Schema of the arguments, inside the subset that strict decoding accepts.
    pub parameters: Value,
    /// Always true: arguments are decoded against the schema where the endpoint can do so.
    pub strict: bool,
}

/// What the event, the playbook and the database fix for every call of a run. Nothing in it is chosen by a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Context {
    /// Stripe account the occurrence belongs to; `self` for an unset own account.
    pub account: String,
    /// Stripe's livemode of the occurrence.
    pub livemode: bool,
    /// The business fact the run is about; part of every effect key.
    pub occurrence: String,
    /// The playbook's name.
    pub playbook: String,
    /// The playbook's stage: a word that tells two mails about one occurrence apart.
    pub stage: String,
    /// Why a mail of this run is sent, for example `payment_failed`; stop conditions hang on it.
    pub purpose: String,
    /// The customer of the occurrence, when there is one.
    pub customer: Option<String>,
    /// The order of the occurrence, when there is one.
    pub order: Option<String>,
    /// The subscription of the occurrence, when there is one.
    pub subscription: Option<String>,
}

/// What a call comes to: an answer for the model and, for tools that act, what is proposed.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What the model is told.
    pub result: Value,
    /// What should happen; carried out by nobody in this crate.
    pub proposal: Option<Proposal>,
}

/// Why a call came to nothing, and what follows.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The call was wrong in a way the model can mend; the text is its answer.
    #[error("{0}")]
    TellModel(String),
    /// Something below failed; the run is tried again later.
    #[error("the facts could not be read")]
    Fatal(#[from] FactsError),
}

/// One tool. Implementations are stateless; what a call needs comes in by `context` and `facts`.
pub trait Tool: Send + Sync {
    /// The name a model calls it by.
    fn name(&self) -> &'static str;
    /// What a call can come to.
    fn effect(&self) -> Effect;
    /// The contract as a model sees it.
    fn contract(&self) -> Contract;
    /// Checks `arguments` in full and answers; unknown, missing and out-of-range arguments are `TellModel`.
    fn call<'a>(
        &'a self,
        arguments: &'a Value,
        context: &'a Context,
        facts: &'a dyn Facts,
    ) -> BoxFuture<'a, Result<Outcome, ToolError>>;
}
