//! A store without a database: what it is given it forgets, and says that it has it.

use std::collections::BTreeSet;
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

/// Answers at once to what the way of a delivery asks, and to nothing else.
pub(crate) struct NoDatabase;

#[async_trait]
impl Store for NoDatabase {
    async fn ingest(&self, batch: &[Delivery]) -> Result<Vec<Accepted>, StoreError> {
        Ok(vec![Accepted::Accepted; batch.len()])
    }

    async fn backlog(&self, _: u64) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    // The verbs below are for those who work off, list or send, and none of them runs here.

    async fn claim_events(&self, _: u32, _: Duration) -> Result<Vec<ClaimedEvent>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn apply_event(&self, _: &ClaimedEvent) -> Result<(), StoreError> {
        Err(StoreError::Contended)
    }

    async fn observe(&self, _: &Observation) -> Result<Observed, StoreError> {
        Err(StoreError::Contended)
    }

    async fn fail_event(&self, _: &ClaimedEvent, _: &str, _: Failure) -> Result<(), StoreError> {
        Err(StoreError::Contended)
    }

    async fn accounts(&self, _: bool) -> Result<Vec<String>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn known_events(&self, _: &[String]) -> Result<BTreeSet<String>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn claim_backfill(
        &self,
        _: &str,
        _: bool,
        _: Timestamp,
        _: Duration,
        _: &str,
    ) -> Result<BackfillClaim, StoreError> {
        Err(StoreError::Contended)
    }

    async fn advance_backfill(
        &self,
        _: &ClaimedBackfill,
        _: &Progress,
        _: Duration,
    ) -> Result<(), StoreError> {
        Err(StoreError::Contended)
    }

    async fn end_backfill(&self, _: &ClaimedBackfill, _: Option<&str>) -> Result<(), StoreError> {
        Err(StoreError::Contended)
    }

    async fn backfills(&self) -> Result<Vec<BackfillRecord>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn promote_schedules(&self, _: u32) -> Result<u64, StoreError> {
        Err(StoreError::Contended)
    }

    async fn claim_run(&self, _: Duration) -> Result<Option<ClaimedRun>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn load_run(&self, _: &ClaimedRun) -> Result<RunInput, StoreError> {
        Err(StoreError::Contended)
    }

    async fn journal(&self, _: &ClaimedRun, _: &NewStep) -> Result<(), StoreError> {
        Err(StoreError::Contended)
    }

    async fn used_so_far(&self, _: &ClaimedRun, _: &str) -> Result<UsedSoFar, StoreError> {
        Err(StoreError::Contended)
    }

    async fn renew_run(&self, _: &ClaimedRun, _: Duration) -> Result<(), StoreError> {
        Err(StoreError::Contended)
    }

    async fn finish_run(&self, _: &ClaimedRun, _: &Finish) -> Result<(), StoreError> {
        Err(StoreError::Contended)
    }

    async fn release_run(&self, _: &ClaimedRun, _: &Release) -> Result<(), StoreError> {
        Err(StoreError::Contended)
    }

    async fn claim_messages(
        &self,
        _: Channel,
        _: u32,
        _: Duration,
    ) -> Result<Vec<ClaimedMessage>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn expire_messages(&self, _: u32) -> Result<u64, StoreError> {
        Err(StoreError::Contended)
    }

    async fn begin_sending(
        &self,
        _: &ClaimedMessage,
        _: Duration,
    ) -> Result<Clearance, StoreError> {
        Err(StoreError::Contended)
    }

    async fn renew_message(&self, _: &ClaimedMessage, _: Duration) -> Result<(), StoreError> {
        Err(StoreError::Contended)
    }

    async fn current_row(&self, _: &About) -> Result<Option<ObjectRow>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn settle_message(&self, _: &ClaimedMessage, _: &SendOutcome) -> Result<(), StoreError> {
        Err(StoreError::Contended)
    }

    async fn resolve_message(&self, _: &str, _: Resolution) -> Result<Resolved, StoreError> {
        Err(StoreError::Contended)
    }

    async fn payment_history(
        &self,
        _: &str,
        _: bool,
        _: &str,
        _: u32,
    ) -> Result<Vec<ObjectRow>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn retry_event(&self, _: &str) -> Result<Retried, StoreError> {
        Err(StoreError::Contended)
    }

    async fn events(&self, _: &EventFilter, _: &Page) -> Result<Listing<EventRecord>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn event(&self, _: &str) -> Result<Option<EventRecord>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn runs(&self, _: &Page) -> Result<Listing<RunRecord>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn run(&self, _: &str) -> Result<Option<RunRecord>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn tool_calls(&self, _: &Page) -> Result<Listing<ToolCallRecord>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn messages(
        &self,
        _: &MessageFilter,
        _: &Page,
    ) -> Result<Listing<MessageRecord>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn message(&self, _: &str) -> Result<Option<MessageRecord>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn objects(&self, _: &ObjectFilter, _: &Page) -> Result<Listing<ObjectRow>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn decide_approval(&self, _: &str, _: &Verdict, _: &str) -> Result<Decision, StoreError> {
        Err(StoreError::Contended)
    }

    async fn expire_approvals(&self, _: u32) -> Result<u64, StoreError> {
        Err(StoreError::Contended)
    }

    async fn approvals(
        &self,
        _: &ApprovalFilter,
        _: &Page,
    ) -> Result<Listing<ApprovalRecord>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn approval(&self, _: &str) -> Result<Option<ApprovalRecord>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn claim_fetches(
        &self,
        _: Option<bool>,
        _: u32,
        _: Duration,
    ) -> Result<Vec<ClaimedFetch>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn hurry_fetches(&self, _: Option<bool>) -> Result<u64, StoreError> {
        Err(StoreError::Contended)
    }

    async fn end_fetch(&self, _: &ClaimedFetch, _: &FetchEnd) -> Result<(), StoreError> {
        Err(StoreError::Contended)
    }

    async fn object(&self, _: &str, _: &str) -> Result<Vec<ObjectRow>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn ledger(&self, _: &LedgerFilter, _: &Page) -> Result<Listing<LedgerEntry>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn suppress(&self, _: &str, _: Option<&str>) -> Result<bool, StoreError> {
        Err(StoreError::Contended)
    }

    async fn suppressions(&self, _: &Page) -> Result<Listing<Suppression>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn ledger_owners(&self, _: &LedgerFilter) -> Result<Vec<(String, bool)>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn census(&self) -> Result<Census, StoreError> {
        Err(StoreError::Contended)
    }
}
