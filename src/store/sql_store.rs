//! [`SqlStore`]: the store over either database. Each verb's statements and code are in the file of its stage.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::database::{Database, File, Sql};
use super::error::StoreError;
use super::{
    About, Accepted, ApprovalFilter, ApprovalRecord, BackfillClaim, BackfillRecord, Census,
    Channel, ClaimedBackfill, ClaimedEvent, ClaimedFetch, ClaimedMessage, ClaimedRun, Clearance,
    Decision, Delivery, EventFilter, EventRecord, Failure, FetchEnd, Finish, LedgerEntry,
    LedgerFilter, Listing, MessageFilter, MessageRecord, NewStep, ObjectFilter, ObjectRow,
    Observation, Observed, Page, Policy, Progress, Release, Resolution, Resolved, Retried,
    RunInput, RunRecord, SendOutcome, Store, Suppression, ToolCallRecord, UsedSoFar, Verdict,
};
use crate::clock::{Clock, Timestamp};
use crate::ids::IdSource;

/// The statements of one file, by name.
type Statements = &'static [(&'static str, &'static Sql)];

/// Every statement there is, by file.
const STATEMENTS: &[(&str, Statements)] = &[
    ("inbox", super::inbox::ALL),
    ("apply", super::apply::ALL),
    ("apply/derived", super::apply::derived::ALL),
    ("apply/graph", super::apply::graph::ALL),
    ("apply/joiner", super::apply::joiner::ALL),
    ("apply/rows", super::apply::rows::ALL),
    ("apply/occurrences", super::apply::occurrences::ALL),
    ("backfill", super::backfill::ALL),
    ("ledger", super::ledger::ALL),
    ("runs", super::runs::ALL),
    ("rerun", super::rerun::ALL),
    ("spending", super::spending::ALL),
    ("finish", super::finish::ALL),
    ("outbox", super::outbox::ALL),
    ("approvals", super::approvals::ALL),
    ("approvals/shown", super::approvals::shown::ALL),
    ("caps", super::caps::ALL),
    ("fetches", super::fetches::ALL),
    ("read", super::read::ALL),
    ("lists", super::lists::ALL),
    ("standing", super::standing::ALL),
    ("summary", super::summary::ALL),
    ("suppressions", super::suppressions::ALL),
    ("telling", super::telling::ALL),
    ("telling/again", super::telling::again::ALL),
    ("waits", super::waits::ALL),
    ("migrations", super::migrations::ALL),
    ("examination", super::examination::ALL),
    ("notices", super::notices::ALL),
];

/// The store over SQLite or PostgreSQL.
pub struct SqlStore {
    pub(super) db: Database,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn IdSource>,
    pub(super) policy: Policy,
}

impl SqlStore {
    /// Opens the database that `url` names, and makes it where it is a file that is missing. Nothing is migrated yet.
    pub async fn open(
        url: &str,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        policy: Policy,
    ) -> Result<Self, StoreError> {
        Self::over(url, File::Ours, clock, ids, policy).await
    }

    /// Opens the database that `url` names, and changes nothing about it.
    pub async fn open_as_found(
        url: &str,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        policy: Policy,
    ) -> Result<Self, StoreError> {
        Self::over(url, File::AsFound, clock, ids, policy).await
    }

    async fn over(
        url: &str,
        file: File,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        policy: Policy,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            db: Database::open(url, policy.database_timeout, file).await?,
            clock,
            ids,
            policy,
        })
    }

    /// Brings the schema up to date; several processes may call it at once.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        super::migrations::run(&self.db).await
    }

    /// Asks the database to plan every statement there is, and names the first that it refuses.
    pub async fn prepare_all(&self) -> Result<usize, (&'static str, StoreError)> {
        let mut count = 0;
        for (name, sql) in STATEMENTS.iter().flat_map(|(_, statements)| *statements) {
            self.db.prepare(sql).await.map_err(|error| (*name, error))?;
            count += 1;
        }
        Ok(count)
    }

    /// The text of one statement as this database is asked, by its file and name; none where there is no such statement.
    pub fn statement(&self, file: &str, name: &str) -> Option<&'static str> {
        let (_, statements) = STATEMENTS.iter().find(|(known, _)| *known == file)?;
        let (_, sql) = statements.iter().find(|(known, _)| *known == name)?;
        Some(if self.db.is_sqlite() {
            sql.sqlite
        } else {
            sql.postgres
        })
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn ingest(&self, batch: &[Delivery]) -> Result<Vec<Accepted>, StoreError> {
        self.ingest_batch(batch).await
    }
    async fn backlog(&self, bound: u64) -> Result<u64, StoreError> {
        self.count_backlog(bound).await
    }
    async fn claim_events(
        &self,
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<ClaimedEvent>, StoreError> {
        self.claim_pending(limit, lease).await
    }
    async fn apply_event(&self, event: &ClaimedEvent) -> Result<(), StoreError> {
        self.apply(event).await
    }
    async fn fail_event(
        &self,
        event: &ClaimedEvent,
        error: &str,
        failure: Failure,
    ) -> Result<(), StoreError> {
        self.fail(event, error, failure).await
    }
    async fn observe(&self, observation: &Observation) -> Result<Observed, StoreError> {
        self.take_observation(observation).await
    }
    async fn accounts(&self, livemode: bool) -> Result<Vec<String>, StoreError> {
        self.list_accounts(livemode).await
    }
    async fn known_events(&self, ids: &[String]) -> Result<BTreeSet<String>, StoreError> {
        self.find_known(ids).await
    }
    async fn claim_backfill(
        &self,
        account: &str,
        livemode: bool,
        done_before: Timestamp,
        lease: Duration,
        by: &str,
    ) -> Result<BackfillClaim, StoreError> {
        self.claim_account(account, livemode, done_before, lease, by)
            .await
    }
    async fn advance_backfill(
        &self,
        backfill: &ClaimedBackfill,
        progress: &Progress,
        lease: Duration,
    ) -> Result<(), StoreError> {
        self.advance(backfill, progress, lease).await
    }
    async fn end_backfill(
        &self,
        backfill: &ClaimedBackfill,
        error: Option<&str>,
    ) -> Result<(), StoreError> {
        self.end(backfill, error).await
    }
    async fn backfills(&self) -> Result<Vec<BackfillRecord>, StoreError> {
        self.list_backfills().await
    }
    async fn promote_schedules(&self, limit: u32) -> Result<u64, StoreError> {
        self.promote(limit).await
    }
    async fn claim_run(&self, lease: Duration) -> Result<Option<ClaimedRun>, StoreError> {
        self.claim_due_run(lease).await
    }
    async fn load_run(&self, run: &ClaimedRun) -> Result<RunInput, StoreError> {
        self.load_input(run).await
    }
    async fn journal(&self, run: &ClaimedRun, step: &NewStep) -> Result<(), StoreError> {
        self.commit_step(run, step).await
    }
    async fn used_so_far(&self, run: &ClaimedRun, currency: &str) -> Result<UsedSoFar, StoreError> {
        self.read_used(run, currency).await
    }
    async fn renew_run(&self, run: &ClaimedRun, lease: Duration) -> Result<(), StoreError> {
        self.renew(run, lease).await
    }
    async fn finish_run(&self, run: &ClaimedRun, finish: &Finish) -> Result<(), StoreError> {
        self.finish(run, finish).await
    }
    async fn release_run(&self, run: &ClaimedRun, release: &Release) -> Result<(), StoreError> {
        self.give_back(run, release).await
    }
    async fn claim_messages(
        &self,
        channel: Channel,
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<ClaimedMessage>, StoreError> {
        self.claim_due_messages(channel, limit, lease).await
    }
    async fn expire_messages(&self, limit: u32) -> Result<u64, StoreError> {
        self.expire_due(limit).await
    }
    async fn begin_sending(
        &self,
        message: &ClaimedMessage,
        lease: Duration,
    ) -> Result<Clearance, StoreError> {
        self.clear_for_sending(message, lease).await
    }
    async fn renew_message(
        &self,
        message: &ClaimedMessage,
        lease: Duration,
    ) -> Result<(), StoreError> {
        self.renew_sending(message, lease).await
    }
    async fn current_row(&self, about: &About) -> Result<Option<ObjectRow>, StoreError> {
        self.read_current(about).await
    }
    async fn settle_message(
        &self,
        message: &ClaimedMessage,
        outcome: &SendOutcome,
    ) -> Result<(), StoreError> {
        self.settle(message, outcome).await
    }
    async fn resolve_message(
        &self,
        id: &str,
        resolution: Resolution,
    ) -> Result<Resolved, StoreError> {
        self.resolve(id, resolution).await
    }
    async fn decide_approval(
        &self,
        id: &str,
        verdict: &Verdict,
        by: &str,
    ) -> Result<Decision, StoreError> {
        self.decide_held(id, verdict, by).await
    }
    async fn expire_approvals(&self, limit: u32) -> Result<u64, StoreError> {
        self.expire_held(limit).await
    }
    async fn approvals(
        &self,
        filter: &ApprovalFilter,
        page: &Page,
    ) -> Result<Listing<ApprovalRecord>, StoreError> {
        self.list_approvals(filter, page).await
    }
    async fn approval(&self, id: &str) -> Result<Option<ApprovalRecord>, StoreError> {
        self.read_approval(id).await
    }
    async fn claim_fetches(
        &self,
        livemode: Option<bool>,
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<ClaimedFetch>, StoreError> {
        self.claim_questions(livemode, limit, lease).await
    }
    async fn hurry_fetches(&self, livemode: Option<bool>) -> Result<u64, StoreError> {
        self.hurry_denied(livemode).await
    }
    async fn end_fetch(&self, fetch: &ClaimedFetch, end: &FetchEnd) -> Result<(), StoreError> {
        self.end_question(fetch, end).await
    }
    async fn payment_history(
        &self,
        account: &str,
        livemode: bool,
        customer: &str,
        limit: u32,
    ) -> Result<Vec<ObjectRow>, StoreError> {
        self.read_payments(account, livemode, customer, limit).await
    }
    async fn retry_event(&self, id: &str) -> Result<Retried, StoreError> {
        self.retry(id).await
    }
    async fn events(
        &self,
        filter: &EventFilter,
        page: &Page,
    ) -> Result<Listing<EventRecord>, StoreError> {
        self.list_events(filter, page).await
    }
    async fn event(&self, id: &str) -> Result<Option<EventRecord>, StoreError> {
        self.read_event(id).await
    }
    async fn runs(&self, page: &Page) -> Result<Listing<RunRecord>, StoreError> {
        self.list_runs(page).await
    }
    async fn run(&self, id: &str) -> Result<Option<RunRecord>, StoreError> {
        self.read_run(id).await
    }
    async fn tool_calls(&self, page: &Page) -> Result<Listing<ToolCallRecord>, StoreError> {
        self.list_tool_calls(page).await
    }
    async fn messages(
        &self,
        filter: &MessageFilter,
        page: &Page,
    ) -> Result<Listing<MessageRecord>, StoreError> {
        self.list_messages(filter, page).await
    }
    async fn message(&self, id: &str) -> Result<Option<MessageRecord>, StoreError> {
        self.read_message(id).await
    }
    async fn objects(
        &self,
        filter: &ObjectFilter,
        page: &Page,
    ) -> Result<Listing<ObjectRow>, StoreError> {
        self.list_objects(filter, page).await
    }
    async fn object(&self, kind: &str, id: &str) -> Result<Vec<ObjectRow>, StoreError> {
        self.read_object(kind, id).await
    }
    async fn ledger(
        &self,
        filter: &LedgerFilter,
        page: &Page,
    ) -> Result<Listing<LedgerEntry>, StoreError> {
        self.list_ledger(filter, page).await
    }
    async fn ledger_owners(
        &self,
        filter: &LedgerFilter,
    ) -> Result<Vec<(String, bool)>, StoreError> {
        self.owners_of_source(filter).await
    }
    async fn suppress(&self, address: &str, reason: Option<&str>) -> Result<bool, StoreError> {
        self.list_off(address, reason).await
    }
    async fn suppressions(&self, page: &Page) -> Result<Listing<Suppression>, StoreError> {
        self.list_suppressions(page).await
    }
    async fn census(&self) -> Result<Census, StoreError> {
        self.take_census().await
    }
    async fn check(&self) -> Result<(), StoreError> {
        super::migrations::check(&self.db).await
    }
    async fn close(&self) {
        self.db.close().await;
    }
}
