//! A store in memory for tests of what stands before it: it takes deliveries in, and answers what tests put there.
//!
//! Over 400 lines because every verb of the store is here, most of them in a few lines each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::guardrails::mandatory::Unreadable;
use crate::store::*;

/// What the store holds and how it misbehaves.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) batches: Vec<usize>,
    /// Event ids that no transaction survives.
    pub(crate) poison: BTreeSet<String>,
    pub(crate) backlog: u64,
    pub(crate) backlog_checks: u32,
    /// Every verb fails.
    pub(crate) broken: bool,
    pub(crate) schema_too_new: bool,
    /// Every `ingest` takes so long.
    pub(crate) slow: Option<Duration>,
    /// Every `event` panics.
    pub(crate) panics: bool,
    pub(crate) events: BTreeMap<String, EventRecord>,
    pub(crate) messages: BTreeMap<String, MessageRecord>,
    pub(crate) approvals: BTreeMap<String, ApprovalRecord>,
    pub(crate) objects: Vec<ObjectRow>,
    pub(crate) census: Census,
    pub(crate) censuses: u32,
    /// The lists that were asked for, as `verb parameters`.
    pub(crate) asked: Vec<String>,
}

#[derive(Default)]
pub(crate) struct FakeStore(Mutex<Held>);

impl FakeStore {
    pub(crate) fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap()
    }

    fn working(&self) -> Result<MutexGuard<'_, Held>, StoreError> {
        let held = self.held();
        if held.broken {
            Err(StoreError::Contended)
        } else {
            Ok(held)
        }
    }

    fn asked(&self, verb: &str, page: &Page) -> Result<(), StoreError> {
        let after = page.starting_after.as_deref().unwrap_or("-");
        self.working()?
            .asked
            .push(format!("{verb} limit={} after={after}", page.limit));
        Ok(())
    }
}

fn empty<T>(page: &Page) -> Listing<T> {
    Listing::new(Vec::new(), page.limit)
}

#[async_trait]
impl Store for FakeStore {
    async fn ingest(&self, batch: &[Delivery]) -> Result<Vec<Accepted>, StoreError> {
        let slow = self.held().slow;
        if let Some(slow) = slow {
            tokio::time::sleep(slow).await;
        }
        // Somebody else's turn, so that requests gather while a transaction runs.
        tokio::task::yield_now().await;
        let mut held = self.working()?;
        held.batches.push(batch.len());
        if let Some(poison) = batch.iter().find(|d| held.poison.contains(&d.event.id)) {
            return Err(StoreError::Unreadable(Unreadable::NoObject {
                event_type: poison.event.kind.clone(),
                expected: "customer",
            }));
        }
        let mut results = Vec::new();
        for delivery in batch {
            let known = held
                .deliveries
                .iter()
                .any(|d| d.event.id == delivery.event.id);
            results.push(if known {
                Accepted::Duplicate
            } else {
                Accepted::Accepted
            });
            held.deliveries.push(delivery.clone());
        }
        Ok(results)
    }

    async fn backlog(&self, bound: u64) -> Result<u64, StoreError> {
        let mut held = self.working()?;
        held.backlog_checks += 1;
        Ok(held.backlog.min(bound))
    }

    async fn retry_event(&self, id: &str) -> Result<Retried, StoreError> {
        let mut held = self.working()?;
        let Some(event) = held.events.get_mut(id) else {
            return Ok(Retried::Missing);
        };
        if !matches!(event.status.as_str(), "dead" | "retrying") {
            return Ok(Retried::NotDead);
        }
        event.status = "pending".to_owned();
        Ok(Retried::Retrying)
    }

    async fn resolve_message(
        &self,
        id: &str,
        resolution: Resolution,
    ) -> Result<Resolved, StoreError> {
        let mut held = self.working()?;
        let Some(message) = held.messages.get_mut(id) else {
            return Ok(Resolved::Missing);
        };
        if message.status != "unknown" {
            return Ok(Resolved::NotUnknown(message.status.clone()));
        }
        message.status = match resolution {
            Resolution::Sent => "sent".to_owned(),
            Resolution::Resend => "pending".to_owned(),
        };
        Ok(Resolved::Done)
    }

    async fn decide_approval(
        &self,
        id: &str,
        verdict: &Verdict,
        by: &str,
    ) -> Result<Decision, StoreError> {
        let mut held = self.working()?;
        let Some(approval) = held.approvals.get_mut(id) else {
            return Ok(Decision::Missing);
        };
        if approval.status != "held" {
            return Ok(Decision::Over(approval.status.clone()));
        }
        approval.status = match verdict {
            Verdict::Approve { hash } if *hash != approval.hash => {
                return Ok(Decision::OtherHash(approval.hash.clone()));
            }
            Verdict::Approve { .. } => "approved".to_owned(),
            Verdict::Deny { reason } => {
                approval.reason.clone_from(reason);
                "denied".to_owned()
            }
        };
        approval.decided_by = Some(by.to_owned());
        Ok(Decision::Done)
    }

    async fn approvals(
        &self,
        filter: &ApprovalFilter,
        page: &Page,
    ) -> Result<Listing<ApprovalRecord>, StoreError> {
        self.asked(&format!("approvals {filter:?}"), page)?;
        Ok(empty(page))
    }

    async fn approval(&self, id: &str) -> Result<Option<ApprovalRecord>, StoreError> {
        Ok(self.working()?.approvals.get(id).cloned())
    }

    async fn events(
        &self,
        filter: &EventFilter,
        page: &Page,
    ) -> Result<Listing<EventRecord>, StoreError> {
        self.asked(&format!("events {filter:?}"), page)?;
        let rows = self.held().events.values().cloned().collect();
        Ok(Listing::new(rows, page.limit))
    }

    async fn event(&self, id: &str) -> Result<Option<EventRecord>, StoreError> {
        let held = self.working()?;
        let (panics, event) = (held.panics, held.events.get(id).cloned());
        drop(held);
        assert!(!panics, "the secret inside of a panic");
        Ok(event)
    }

    async fn runs(&self, page: &Page) -> Result<Listing<RunRecord>, StoreError> {
        self.asked("runs", page)?;
        Ok(empty(page))
    }

    async fn run(&self, _: &str) -> Result<Option<RunRecord>, StoreError> {
        self.working().map(|_| None)
    }

    async fn tool_calls(&self, page: &Page) -> Result<Listing<ToolCallRecord>, StoreError> {
        self.asked("tool_calls", page)?;
        Ok(empty(page))
    }

    async fn messages(
        &self,
        filter: &MessageFilter,
        page: &Page,
    ) -> Result<Listing<MessageRecord>, StoreError> {
        self.asked(&format!("messages {filter:?}"), page)?;
        Ok(empty(page))
    }

    async fn message(&self, id: &str) -> Result<Option<MessageRecord>, StoreError> {
        Ok(self.working()?.messages.get(id).cloned())
    }

    async fn objects(
        &self,
        filter: &ObjectFilter,
        page: &Page,
    ) -> Result<Listing<ObjectRow>, StoreError> {
        let ObjectFilter {
            kind,
            account,
            livemode,
        } = filter;
        self.asked(&format!("objects {kind}"), page)?;
        let is_of = |o: &&ObjectRow| {
            account.as_ref().is_none_or(|account| *account == o.account)
                && livemode.is_none_or(|livemode| livemode == o.livemode)
        };
        let rows = self
            .held()
            .objects
            .iter()
            .filter(|o| o.kind == *kind)
            .filter(is_of)
            .cloned()
            .collect();
        Ok(Listing::new(rows, page.limit))
    }

    async fn object(&self, kind: &str, id: &str) -> Result<Vec<ObjectRow>, StoreError> {
        let held = self.working()?;
        Ok(held
            .objects
            .iter()
            .filter(|o| o.kind == kind && o.id == id)
            .cloned()
            .collect())
    }

    async fn current_row(&self, about: &About) -> Result<Option<ObjectRow>, StoreError> {
        let rows = self.object(&about.kind, &about.id).await?;
        Ok(rows.into_iter().next())
    }

    async fn ledger(
        &self,
        filter: &LedgerFilter,
        page: &Page,
    ) -> Result<Listing<LedgerEntry>, StoreError> {
        let source = filter.source.as_deref().unwrap_or("-");
        self.asked(&format!("ledger source={source}"), page)?;
        Ok(empty(page))
    }

    async fn ledger_owners(&self, _: &LedgerFilter) -> Result<Vec<(String, bool)>, StoreError> {
        Ok(Vec::new())
    }

    async fn suppress(&self, _: &str, _: Option<&str>) -> Result<bool, StoreError> {
        self.working().map(|_| true)
    }

    async fn suppressions(&self, _: &Page) -> Result<Listing<Suppression>, StoreError> {
        Ok(Listing::new(Vec::new(), 1))
    }

    async fn census(&self) -> Result<Census, StoreError> {
        self.held().censuses += 1;
        // Somebody else's turn, so that requests gather while it is taken.
        tokio::task::yield_now().await;
        Ok(self.working()?.census.clone())
    }

    async fn check(&self) -> Result<(), StoreError> {
        if self.working()?.schema_too_new {
            return Err(StoreError::SchemaTooNew { found: 9, known: 1 });
        }
        Ok(())
    }

    // Nothing before the store uses the verbs below.

    async fn claim_events(&self, _: u32, _: Duration) -> Result<Vec<ClaimedEvent>, StoreError> {
        Err(StoreError::Contended)
    }

    async fn apply_event(&self, _: &ClaimedEvent) -> Result<(), StoreError> {
        Err(StoreError::Contended)
    }

    async fn fail_event(&self, _: &ClaimedEvent, _: &str, _: Failure) -> Result<(), StoreError> {
        Err(StoreError::Contended)
    }

    async fn observe(&self, _: &Observation) -> Result<Observed, StoreError> {
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

    async fn expire_approvals(&self, _: u32) -> Result<u64, StoreError> {
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

    async fn settle_message(&self, _: &ClaimedMessage, _: &SendOutcome) -> Result<(), StoreError> {
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

    async fn payment_history(
        &self,
        _: &str,
        _: bool,
        _: &str,
        _: u32,
    ) -> Result<Vec<ObjectRow>, StoreError> {
        Err(StoreError::Contended)
    }
}
