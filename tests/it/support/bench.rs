//! A store on a database of its own, with a clock that the test moves and ids that it can foresee.

use std::sync::Arc;
use std::time::Duration;

use billhook::clock::{Clock, ManualClock, Timestamp};
use billhook::config::{AccessConfig, CapsConfig, OnLostDispute};
use billhook::ids::{CountedIds, IdSource, TimeSortedIds};
use billhook::store::{Policy, Reach, SqlStore};
use tempfile::TempDir;

use super::services::PostgresDatabase;

/// When the clocks of tests start: 2026-02-03T04:05:06Z.
pub(crate) const START: i64 = 1_770_091_506;

/// The policy that tests run under: the defaults of the configuration.
pub(crate) fn policy() -> Policy {
    Policy {
        settle: Duration::from_secs(10),
        max_age: Duration::from_hours(24),
        expire: Duration::from_hours(72),
        approvals_expire: Duration::from_hours(24),
        first_contact_delay: Duration::from_mins(10),
        caps: CapsConfig {
            mails_per_customer_per_day: 3,
            failure_mails_per_recipient_per_day: 1,
            mails_per_playbook_per_hour: 500,
        },
        attempts: 8,
        decide_by: Duration::from_hours(1),
        database_timeout: Duration::from_secs(10),
        tells_application: false,
        access: AccessConfig {
            past_due_grace: Duration::from_hours(7 * 24),
            on_lost_dispute: OnLostDispute::Keep,
        },
        reach: Reach::Nothing,
    }
}

/// A store over `url` with a clock of its own.
pub(crate) async fn open(url: &str) -> SqlStore {
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(START)));
    let ids = Arc::new(TimeSortedIds::new(clock.clone()));
    SqlStore::open(url, clock, ids, policy())
        .await
        .unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// Where a bench's data are; gone with it.
enum Place {
    Memory,
    File(#[expect(dead_code, reason = "kept so that the folder is removed at the end")] TempDir),
    Postgres(
        #[expect(dead_code, reason = "kept so that it is dropped at the end")] PostgresDatabase,
    ),
}

/// A migrated store, its clock, and where its data are.
pub(crate) struct Bench {
    pub(crate) store: Arc<SqlStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) url: String,
    ids: Arc<dyn IdSource>,
    place: Place,
}

impl Bench {
    /// A store on a SQLite file.
    pub(crate) async fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        let bench = Self::over(url, Place::File(folder)).await;
        bench.store.migrate().await.unwrap();
        bench
    }

    /// A store in memory: the fastest, and it knows only one connection.
    pub(crate) async fn in_memory() -> Self {
        let bench = Self::over("sqlite::memory:".to_owned(), Place::Memory).await;
        bench.store.migrate().await.unwrap();
        bench
    }

    /// A store on PostgreSQL; `None` only where skipping was asked for.
    pub(crate) async fn postgres() -> Option<Self> {
        let database = PostgresDatabase::migrated().await?;
        Some(Self::over(database.url(), Place::Postgres(database)).await)
    }

    async fn over(url: String, place: Place) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(START)));
        let ids: Arc<dyn IdSource> = Arc::new(CountedIds::default());
        let store = SqlStore::open(&url, clock.clone(), ids.clone(), policy())
            .await
            .unwrap_or_else(|error| panic!("{url}: {error}"));
        Self {
            store: Arc::new(store),
            clock,
            url,
            ids,
            place,
        }
    }

    /// Another process over the same data: a store of its own with the same clock.
    pub(crate) async fn another_process(&self) -> Arc<SqlStore> {
        self.process_with(policy()).await
    }

    /// Another process that is configured otherwise.
    pub(crate) async fn process_with(&self, policy: Policy) -> Arc<SqlStore> {
        let store = SqlStore::open(&self.url, self.clock.clone(), self.ids.clone(), policy).await;
        Arc::new(store.unwrap())
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.place, Place::Postgres(_))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A lease that a test can outlive: PostgreSQL measures it by its own clock, which no test can move.
    pub(crate) fn short_lease(&self) -> Duration {
        if self.is_postgres() {
            Duration::from_millis(100)
        } else {
            Duration::from_secs(30)
        }
    }

    /// Asks again until `ask` answers, after a short lease has ended.
    pub(crate) async fn after_lease<T>(&self, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
        if !self.is_postgres() {
            self.clock
                .advance(self.short_lease() + Duration::from_secs(1));
        }
        for _ in 0..400 {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the lease did not end within 10 seconds");
    }
}
