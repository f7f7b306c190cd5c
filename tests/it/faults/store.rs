//! A store whose every verb may fail.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use billhook::clock::Timestamp;
use billhook::store::{
    About, Accepted, ApprovalFilter, ApprovalRecord, BackfillClaim, BackfillRecord, Census,
    Channel, ClaimedBackfill, ClaimedEvent, ClaimedFetch, ClaimedMessage, ClaimedRun, Clearance,
    Decision, Delivery, EventFilter, EventRecord, Failure, FetchEnd, Finish, LedgerEntry,
    LedgerFilter, Listing, MessageFilter, MessageRecord, NewStep, ObjectFilter, ObjectRow,
    Observation, Observed, Page, Progress, Release, Resolution, Resolved, Retried, RunInput,
    RunRecord, SendOutcome, Store, StoreError, Suppression, ToolCallRecord, UsedSoFar, Verdict,
};

use super::point::{Answer, Faults};

/// A store, and what befalls its calls.
pub(super) struct FaultyStore {
    pub(super) inner: Arc<dyn Store>,
    pub(super) faults: Arc<Faults>,
}

/// What a driver says of a connection that broke.
fn broken(_done: bool) -> StoreError {
    StoreError::Database(sqlx::Error::Io(io::ErrorKind::ConnectionReset.into()))
}

impl<T> Answer for Listing<T> {}
impl Answer for BTreeSet<String> {}
impl Answer for () {}
impl Answer for Observed {}
impl Answer for RunInput {}
impl Answer for Clearance {}
impl Answer for Resolved {}
impl Answer for Decision {}
impl Answer for bool {}
impl Answer for Retried {}
impl Answer for BackfillClaim {}
impl Answer for Census {}
impl Answer for UsedSoFar {}

/// One line a verb: its arguments and its answer.
macro_rules! verbs {
    ($($verb:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Store for FaultyStore {
            $(async fn $verb(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                let call = || self.inner.$verb($($argument),*);
                self.faults.around(stringify!($verb), call, broken).await
            })*
        }
    };
}

verbs! {
    ingest(batch: &[Delivery]) -> Vec<Accepted>;
    backlog(bound: u64) -> u64;
    claim_events(limit: u32, lease: Duration) -> Vec<ClaimedEvent>;
    apply_event(event: &ClaimedEvent) -> ();
    fail_event(event: &ClaimedEvent, error: &str, failure: Failure) -> ();
    observe(observation: &Observation) -> Observed;
    accounts(livemode: bool) -> Vec<String>;
    known_events(ids: &[String]) -> BTreeSet<String>;
    claim_backfill(account: &str, livemode: bool, done_before: Timestamp, lease: Duration, by: &str) -> BackfillClaim;
    advance_backfill(backfill: &ClaimedBackfill, progress: &Progress, lease: Duration) -> ();
    end_backfill(backfill: &ClaimedBackfill, error: Option<&str>) -> ();
    backfills() -> Vec<BackfillRecord>;
    promote_schedules(limit: u32) -> u64;
    claim_run(lease: Duration) -> Option<ClaimedRun>;
    load_run(run: &ClaimedRun) -> RunInput;
    journal(run: &ClaimedRun, step: &NewStep) -> ();
    used_so_far(run: &ClaimedRun, currency: &str) -> UsedSoFar;
    renew_run(run: &ClaimedRun, lease: Duration) -> ();
    finish_run(run: &ClaimedRun, finish: &Finish) -> ();
    release_run(run: &ClaimedRun, release: &Release) -> ();
    claim_messages(channel: Channel, limit: u32, lease: Duration) -> Vec<ClaimedMessage>;
    expire_messages(limit: u32) -> u64;
    begin_sending(message: &ClaimedMessage, lease: Duration) -> Clearance;
    renew_message(message: &ClaimedMessage, lease: Duration) -> ();
    current_row(about: &About) -> Option<ObjectRow>;
    settle_message(message: &ClaimedMessage, outcome: &SendOutcome) -> ();
    resolve_message(id: &str, resolution: Resolution) -> Resolved;
    decide_approval(id: &str, verdict: &Verdict, by: &str) -> Decision;
    expire_approvals(limit: u32) -> u64;
    approvals(filter: &ApprovalFilter, page: &Page) -> Listing<ApprovalRecord>;
    approval(id: &str) -> Option<ApprovalRecord>;
    claim_fetches(livemode: Option<bool>, limit: u32, lease: Duration) -> Vec<ClaimedFetch>;
    hurry_fetches(livemode: Option<bool>) -> u64;
    end_fetch(fetch: &ClaimedFetch, end: &FetchEnd) -> ();
    payment_history(account: &str, livemode: bool, customer: &str, limit: u32) -> Vec<ObjectRow>;
    retry_event(id: &str) -> Retried;
    events(filter: &EventFilter, page: &Page) -> Listing<EventRecord>;
    event(id: &str) -> Option<EventRecord>;
    runs(page: &Page) -> Listing<RunRecord>;
    run(id: &str) -> Option<RunRecord>;
    tool_calls(page: &Page) -> Listing<ToolCallRecord>;
    messages(filter: &MessageFilter, page: &Page) -> Listing<MessageRecord>;
    message(id: &str) -> Option<MessageRecord>;
    objects(filter: &ObjectFilter, page: &Page) -> Listing<ObjectRow>;
    object(kind: &str, id: &str) -> Vec<ObjectRow>;
    ledger(filter: &LedgerFilter, page: &Page) -> Listing<LedgerEntry>;
    suppress(address: &str, reason: Option<&str>) -> bool;
    suppressions(page: &Page) -> Listing<Suppression>;
    ledger_owners(filter: &LedgerFilter) -> Vec<(String, bool)>;
    census() -> Census;
    check() -> ();
}
