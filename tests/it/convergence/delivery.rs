//! Telling a history to a store: in which order, how often, in which batches, and by how many workers.

use std::sync::Arc;
use std::time::Duration;

use billhook::store::{ClaimedEvent, Delivery, SqlStore, Store, StoreError};
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::history::{History, Telling};
use crate::support::bench::Bench;
use crate::support::fixture::{Object, Told};

/// How deliveries reach the store and are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Each applied before the next arrives.
    OneByOne,
    /// In batches, by workers that claim, apply in any order, and stop in the middle.
    Interrupted,
    /// The same, by two processes at once.
    Concurrent,
}

/// Where histories are told. Each telling has accounts of its own, so one database serves many.
pub(super) struct Stage {
    pub(super) bench: Bench,
    stores: Vec<Arc<SqlStore>>,
    tellings: u32,
    since_forgotten: u32,
}

impl Stage {
    pub(super) async fn new(bench: Bench) -> Self {
        let mut stores = vec![bench.store.clone()];
        if bench.is_postgres() {
            stores.push(bench.another_process().await);
        }
        Self {
            bench,
            stores,
            tellings: 0,
            since_forgotten: 0,
        }
    }

    /// Empties the database now and then: every state is read past those of the histories before.
    pub(super) async fn forget(&mut self) {
        if self.since_forgotten < 20 {
            return;
        }
        self.since_forgotten = 0;
        if !self.bench.is_postgres() {
            *self = Self::new(Bench::in_memory().await).await;
            return;
        }
        let mut connection = sqlx::PgConnection::connect(&self.bench.url).await.unwrap();
        let tables: Vec<(String,)> = sqlx::query_as(
            "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations'",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap();
        let tables: Vec<String> = tables.into_iter().map(|(name,)| name).collect();
        connection
            .execute(AssertSqlSafe(format!("TRUNCATE {}", tables.join(", "))))
            .await
            .unwrap();
    }

    /// Tells `tellings` of a history to accounts of their own, and answers with the business state they come to.
    pub(super) async fn tell(
        &mut self,
        history: &History,
        tellings: &[Telling],
        manner: Manner,
        seed: u64,
    ) -> Vec<String> {
        self.tellings += 1;
        self.since_forgotten += 1;
        // No object of a history may have the name of the account that it is told to.
        let account = format!("acct_told_{}", self.tellings);
        let deliveries: Vec<Delivery> = tellings
            .iter()
            .map(|(event, shape)| {
                let mut told = Told {
                    id: format!("evt_{}_{}", self.tellings, history.events[*event].id),
                    ..history.events[*event].clone()
                };
                // The history's second account is one more of this telling's, and says so itself.
                told.account = told.account.map(|second| format!("{account}{second}"));
                if let (Object::Account(about), Some(second)) = (&mut told.object, &told.account) {
                    about.id.clone_from(second);
                }
                let mut delivery = told.delivery(*shape, self.bench.now());
                delivery.account = told.account.unwrap_or_else(|| account.clone());
                delivery
            })
            .collect();
        let mut rng = StdRng::seed_from_u64(seed);
        if manner == Manner::OneByOne {
            for delivery in &deliveries {
                self.bench
                    .store
                    .ingest(std::slice::from_ref(delivery))
                    .await
                    .unwrap();
                self.apply(manner, &mut rng).await;
            }
        } else {
            let mut rest = deliveries.as_slice();
            while !rest.is_empty() {
                let (batch, later) = rest.split_at(rng.random_range(1..=rest.len().min(6)));
                self.store(&mut rng).ingest(batch).await.unwrap();
                rest = later;
                if rng.random_bool(0.6) {
                    self.apply(manner, &mut rng).await;
                }
            }
        }
        self.finish(manner, &mut rng).await;
        self.state(&account).await
    }

    fn store(&self, rng: &mut StdRng) -> Arc<SqlStore> {
        self.stores[rng.random_range(0..self.stores.len())].clone()
    }

    async fn apply(&self, manner: Manner, rng: &mut StdRng) {
        // A short lease may end while its event is being applied: somebody else takes over, and one of the two is
        // refused. That is wanted here.
        let lease = if manner == Manner::Concurrent && rng.random_bool(0.1) {
            Duration::from_millis(30)
        } else {
            Duration::from_secs(if manner == Manner::Concurrent { 30 } else { 1 })
        };
        let mut work: Vec<(Arc<SqlStore>, ClaimedEvent)> = Vec::new();
        let workers = if manner == Manner::Concurrent { 2 } else { 1 };
        for worker in 0..workers {
            let store = self.stores[worker].clone();
            let limit = if manner == Manner::OneByOne {
                10
            } else {
                rng.random_range(1..=8)
            };
            for event in store.claim_events(limit, lease).await.unwrap() {
                work.push((store.clone(), event));
            }
        }
        if manner == Manner::OneByOne {
            for (store, event) in work {
                store.apply_event(&event).await.unwrap();
            }
            return;
        }
        work.shuffle(rng);
        // Some stop here: their events wait for the lease to end.
        let may_stop = manner == Manner::Interrupted || lease < Duration::from_secs(1);
        work.retain(|_| !(may_stop && rng.random_bool(0.2)));
        if manner == Manner::Interrupted {
            for (store, event) in work {
                store.apply_event(&event).await.unwrap();
            }
            if rng.random_bool(0.3) {
                self.bench.clock.advance(Duration::from_secs(2));
            }
            return;
        }
        let applying = work.into_iter().map(|(store, event)| async move {
            match store.apply_event(&event).await {
                Ok(()) | Err(StoreError::Fenced) => {}
                Err(error) => panic!("{}: {error:?}", event.id),
            }
        });
        join_all(applying).await;
    }

    async fn finish(&self, manner: Manner, rng: &mut StdRng) {
        for _ in 0..2000 {
            if self.bench.store.backlog(1).await.unwrap() == 0 {
                return;
            }
            if manner == Manner::Concurrent {
                tokio::time::sleep(Duration::from_millis(2)).await;
            } else {
                self.bench.clock.advance(Duration::from_secs(2));
            }
            self.apply(manner, rng).await;
        }
        panic!("events remain that nobody applies");
    }

    /// The business state of an account and of those named after it, with the account's own name left out.
    async fn state(&self, account: &str) -> Vec<String> {
        let lines = self.bench.store.business_state().await.unwrap();
        let mut lines: Vec<String> = lines
            .iter()
            .filter_map(|line| line.strip_prefix(account))
            .filter(|line| line.starts_with(['/', '_']))
            // The row of an account is named after it, too.
            .map(|line| line.replace(&format!("/account/{account}"), "/account/"))
            .collect();
        lines.sort();
        lines
    }
}
