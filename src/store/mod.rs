//! The store: everything that lasts, behind coarse verbs that are one transaction each.
//!
//! Callers see [`Store`] and the records in `records.rs`, never a connection or a table. No verb holds a transaction
//! while anything outside of the database happens. A new verb is a method here, its statements and its code in the file
//! of its stage (`inbox`, `apply`, `observe`, `backfill`, `runs`, `spending`, `finish`, `approvals`, `outbox`, `read`, `lists`), a case in `tests/it/store.rs`, which runs on
//! both databases, and a story in `tests/it/faults`, where every call of it fails once.

mod apply;
mod approvals;
mod backfill;
mod caps;
mod channel;
pub(crate) mod database;
mod error;
mod examination;
mod fetches;
mod finish;
mod inbox;
mod ledger;
mod lists;
mod migrations;
mod notices;
mod observe;
mod outbox;
mod postgres;
mod read;
mod records;
mod rerun;
mod runs;
mod shown;
mod spending;
mod sql_store;
mod standing;
mod summary;
mod suppressions;
mod telling;
mod values;
mod verdicts;
mod waits;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;

pub use approvals::{Awaited, Fallback};
pub use backfill::{BackfillClaim, BackfillRecord, ClaimedBackfill, Gap, Holder, Progress};
pub use error::StoreError;
pub use examination::{Examination, UnsentNotices};
pub use fetches::{ClaimedFetch, FetchEnd, FetchRecord, Reach, Reason};
pub use notices::{Line, Notices};
pub use observe::{Observation, Observed};
pub use records::*;
pub use rerun::PastRun;
pub use shown::*;
pub use spending::{Decisions, NewSpending, Used, UsedSoFar, Waiting};
pub use sql_store::SqlStore;
pub use suppressions::Suppression;
pub use telling::{About, TOLD};
pub use verdicts::*;

use crate::clock::Timestamp;
use crate::config::{AccessConfig, CapsConfig};

/// What the store needs to know of the configuration.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How long events about one fact gather.
    pub settle: Duration,
    /// An older event causes no follow-up.
    pub max_age: Duration,
    /// A postponed message ends after this.
    pub expire: Duration,
    /// What waits for a person's word waits so long.
    pub approvals_expire: Duration,
    /// The first failure mail to a customer who never paid waits so long.
    pub first_contact_delay: Duration,
    /// How many mails may leave.
    pub caps: CapsConfig,
    /// How often work is tried, for whoever asks what is waited for.
    pub attempts: u32,
    /// How long a run waits for a model.
    pub decide_by: Duration,
    /// How long the database may take for one statement.
    pub database_timeout: Duration,
    /// Whether there is an application of the business's own that is told what changed.
    pub tells_application: bool,
    /// What access hangs on beside the rows.
    pub access: AccessConfig,
    /// Which events Stripe can be asked about.
    pub reach: Reach,
}

impl Policy {
    /// How long an unlinked payment failure of a subscriber waits for its invoice, and a follow-up for its customer's
    /// events: six settle windows, one minute by default.
    pub fn patience(&self) -> Duration {
        self.settle.saturating_mul(6)
    }
}

/// Everything that lasts.
#[async_trait]
pub trait Store: Send + Sync {
    /// Stores deliveries in one transaction: each is the first of its event, or a duplicate.
    async fn ingest(&self, batch: &[Delivery]) -> Result<Vec<Accepted>, StoreError>;
    /// How many events are not applied yet, counted up to `bound`.
    async fn backlog(&self, bound: u64) -> Result<u64, StoreError>;
    /// Claims events to apply, under a lease.
    async fn claim_events(
        &self,
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<ClaimedEvent>, StoreError>;
    /// Applies an event's mandatory updates and opens its follow-up.
    async fn apply_event(&self, event: &ClaimedEvent) -> Result<(), StoreError>;
    /// Records that an event was not applied, and what becomes of it.
    async fn fail_event(
        &self,
        event: &ClaimedEvent,
        error: &str,
        failure: Failure,
    ) -> Result<(), StoreError>;
    /// Takes in what Stripe's API answered about an object: its row and what is derived from it, and no follow-up.
    async fn observe(&self, observation: &Observation) -> Result<Observed, StoreError>;
    /// The accounts of which there are objects in a mode.
    async fn accounts(&self, livemode: bool) -> Result<Vec<String>, StoreError>;
    /// Which of these events are stored.
    async fn known_events(&self, ids: &[String]) -> Result<BTreeSet<String>, StoreError>;
    /// Claims the completing of an account's events for whoever goes by the name `by`, unless somebody else has it or came
    /// to its end after `done_before`.
    async fn claim_backfill(
        &self,
        account: &str,
        livemode: bool,
        done_before: Timestamp,
        lease: Duration,
        by: &str,
    ) -> Result<BackfillClaim, StoreError>;
    /// Commits how far it has come, and keeps it for another lease. A mark never moves back.
    async fn advance_backfill(
        &self,
        backfill: &ClaimedBackfill,
        progress: &Progress,
        lease: Duration,
    ) -> Result<(), StoreError>;
    /// Gives it back: done, or not for this reason.
    async fn end_backfill(
        &self,
        backfill: &ClaimedBackfill,
        error: Option<&str>,
    ) -> Result<(), StoreError>;
    /// How far the events of every account are complete.
    async fn backfills(&self) -> Result<Vec<BackfillRecord>, StoreError>;
    /// Turns due schedules into follow-ups.
    async fn promote_schedules(&self, limit: u32) -> Result<u64, StoreError>;
    /// Claims the next due follow-up of a lane that nobody works on.
    async fn claim_run(&self, lease: Duration) -> Result<Option<ClaimedRun>, StoreError>;
    /// Reads everything a run is decided on, and its journal.
    async fn load_run(&self, run: &ClaimedRun) -> Result<RunInput, StoreError>;
    /// Commits one step of a run before anything acts on it.
    async fn journal(&self, run: &ClaimedRun, step: &NewStep) -> Result<(), StoreError>;
    /// What a run, its lane today and everybody today used of models so far; as money what is of one currency.
    async fn used_so_far(&self, run: &ClaimedRun, currency: &str) -> Result<UsedSoFar, StoreError>;
    /// Keeps a lane for another lease.
    async fn renew_run(&self, run: &ClaimedRun, lease: Duration) -> Result<(), StoreError>;
    /// Ends a run: its effects, messages and schedules in one transaction.
    async fn finish_run(&self, run: &ClaimedRun, finish: &Finish) -> Result<(), StoreError>;
    /// Gives a run back: later, or for good as failed.
    async fn release_run(&self, run: &ClaimedRun, release: &Release) -> Result<(), StoreError>;
    /// Claims messages of a channel that are due.
    async fn claim_messages(
        &self,
        channel: Channel,
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<ClaimedMessage>, StoreError>;
    /// Ends messages that waited for too long, at most `limit` of them, and says how many.
    async fn expire_messages(&self, limit: u32) -> Result<u64, StoreError>;
    /// Asks once more whether a message may go, and commits that it is being sent, under a lease.
    async fn begin_sending(
        &self,
        message: &ClaimedMessage,
        lease: Duration,
    ) -> Result<Clearance, StoreError>;
    /// Keeps a message that is being sent for another lease.
    async fn renew_message(
        &self,
        message: &ClaimedMessage,
        lease: Duration,
    ) -> Result<(), StoreError>;
    /// The row that a message to the application is about, as it is now.
    async fn current_row(&self, about: &About) -> Result<Option<ObjectRow>, StoreError>;
    /// Commits what became of a message. Whoever has lost it may still say that it was sent, unless a person has decided
    /// or somebody has begun to send it again.
    async fn settle_message(
        &self,
        message: &ClaimedMessage,
        outcome: &SendOutcome,
    ) -> Result<(), StoreError>;
    /// Ends the doubt about a message that nobody knows the fate of, as a person decided; or has a notice to the
    /// business's own people, which failed or expired, sent again.
    async fn resolve_message(
        &self,
        id: &str,
        resolution: Resolution,
    ) -> Result<Resolved, StoreError>;
    /// Ends the wait of something that a model proposed, as a person decided. What is approved leaves as it was shown, if no
    /// fact stands against it by now; in place of what is denied, what is owed by rule is done.
    async fn decide_approval(
        &self,
        id: &str,
        verdict: &Verdict,
        by: &str,
    ) -> Result<Decision, StoreError>;
    /// Ends the wait of what nobody decided about in time, at most `limit`, as a denial does; says how many.
    async fn expire_approvals(&self, limit: u32) -> Result<u64, StoreError>;
    /// Claims questions to Stripe that are due, of one mode or of both, under a lease.
    async fn claim_fetches(
        &self,
        livemode: Option<bool>,
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<ClaimedFetch>, StoreError>;
    /// Makes due one question of each kind that the key might not ask, and says how many that were. The others follow once it
    /// is answered.
    async fn hurry_fetches(&self, livemode: Option<bool>) -> Result<u64, StoreError>;
    /// Commits what came of a question. An answer that left it open is asked for once more.
    async fn end_fetch(&self, fetch: &ClaimedFetch, end: &FetchEnd) -> Result<(), StoreError>;
    /// A customer's payment intents, newest first.
    async fn payment_history(
        &self,
        account: &str,
        livemode: bool,
        customer: &str,
        limit: u32,
    ) -> Result<Vec<ObjectRow>, StoreError>;
    /// Makes a dead or retrying event pending again, or resumes its failed run.
    async fn retry_event(&self, id: &str) -> Result<Retried, StoreError>;
    /// Lists events, newest first.
    async fn events(
        &self,
        filter: &EventFilter,
        page: &Page,
    ) -> Result<Listing<EventRecord>, StoreError>;
    /// One event with everything that came of it.
    async fn event(&self, id: &str) -> Result<Option<EventRecord>, StoreError>;
    /// Lists runs, newest first.
    async fn runs(&self, page: &Page) -> Result<Listing<RunRecord>, StoreError>;
    /// One run with its steps.
    async fn run(&self, id: &str) -> Result<Option<RunRecord>, StoreError>;
    /// Lists tool calls, newest first.
    async fn tool_calls(&self, page: &Page) -> Result<Listing<ToolCallRecord>, StoreError>;
    /// Lists messages, newest first.
    async fn messages(
        &self,
        filter: &MessageFilter,
        page: &Page,
    ) -> Result<Listing<MessageRecord>, StoreError>;
    /// One message as rendered.
    async fn message(&self, id: &str) -> Result<Option<MessageRecord>, StoreError>;
    /// Lists approvals, newest first.
    async fn approvals(
        &self,
        filter: &ApprovalFilter,
        page: &Page,
    ) -> Result<Listing<ApprovalRecord>, StoreError>;
    /// One approval, with everything that would leave.
    async fn approval(&self, id: &str) -> Result<Option<ApprovalRecord>, StoreError>;
    /// Lists object rows of a kind, newest first.
    async fn objects(
        &self,
        filter: &ObjectFilter,
        page: &Page,
    ) -> Result<Listing<ObjectRow>, StoreError>;
    /// The rows of a kind with this id: several where accounts or modes share it.
    async fn object(&self, kind: &str, id: &str) -> Result<Vec<ObjectRow>, StoreError>;
    /// Lists movements of money, newest first. A page goes on from one entry, so its id has to be the only one of the filter.
    async fn ledger(
        &self,
        filter: &LedgerFilter,
        page: &Page,
    ) -> Result<Listing<LedgerEntry>, StoreError>;
    /// Accounts and modes, in order, that have a movement of the filter's source; some of them where there are many.
    async fn ledger_owners(&self, filter: &LedgerFilter)
    -> Result<Vec<(String, bool)>, StoreError>;
    /// Puts the mailbox of an address on the list of those that are never written to, with a reason; or takes it off,
    /// without one. Says whether that changed anything.
    async fn suppress(&self, address: &str, reason: Option<&str>) -> Result<bool, StoreError>;
    /// The mailboxes that are never written to.
    async fn suppressions(&self, page: &Page) -> Result<Listing<Suppression>, StoreError>;
    /// Counts that `/metrics` and the demo show.
    async fn census(&self) -> Result<Census, StoreError>;
    /// Whether the database answers and has the schema this program needs.
    async fn check(&self) -> Result<(), StoreError>;
    /// Closes every connection; later calls fail. A store without connections has nothing to do.
    async fn close(&self) {}
}
