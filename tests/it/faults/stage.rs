//! Where a story is told: a database, a clock, a world that counts, and a process that dies and is started again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use billhook::agent::model::Model;
use billhook::app::{App, Parts, Role, open_store, shape};
use billhook::backfill::{AccountReport, Look, Outcome};
use billhook::clock::{Clock, ManualClock, Timestamp};
use billhook::config::Config;
use billhook::outbox::{Telling, Way};
use billhook::shutdown::Shutdown;
use billhook::store::{Channel, Observation, SqlStore, Store, StoreError};
use futures::FutureExt as _;
use serde_json::Value;
use sqlx::{Connection as _, Executor as _};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::point::{Faults, Point};
use super::senders::{FaultySender, MailServer, Sink};
use super::store::FaultyStore;
use super::stories::Story;
use crate::support::app::{START, environment, webhook};
use crate::support::fixture::{Shape, Told};
use crate::support::services::PostgresDatabase;
use crate::support::stripe_api::StripeServer;

const TOKEN: &str = "token_of_the_faults";
/// Longer than a lease, and too short for a journal to grow stale.
const PAST_A_LEASE: Duration = Duration::from_secs(61);

/// Longer than the claim of one who looks for missed events.
const PAST_A_BACKFILL: Duration = Duration::from_mins(5);

/// What outlives a process.
pub(super) struct Ground {
    pub(super) store: Arc<SqlStore>,
    pub(super) faults: Arc<Faults>,
    pub(super) sink: Arc<Sink>,
    /// What has the events that never arrived.
    pub(super) stripe: StripeServer,
    model: Arc<dyn Model>,
    server: MailServer,
    clock: Arc<ManualClock>,
    config: Config,
    place: Place,
    rescuers: TaskTracker,
}

/// Where the data are. Not in memory: a process that dies in the middle of a statement loses its connection.
enum Place {
    File(TempDir),
    Postgres(PostgresDatabase),
}

impl Place {
    fn url(&self) -> String {
        match self {
            Self::File(folder) => format!("sqlite://{}", folder.path().join("b.db").display()),
            Self::Postgres(database) => database.url(),
        }
    }
}

/// Where a commit need not wait for a disk, if there is such a place: no fault here is a power cut.
fn folder() -> TempDir {
    TempDir::new_in("/dev/shm").unwrap_or_else(|_| TempDir::new().unwrap())
}

impl Ground {
    fn app(&self) -> App {
        let sender = Arc::new(FaultySender {
            sink: self.sink.clone(),
            faults: self.faults.clone(),
            server: self.server,
        });
        let mail = Way::Mail {
            mailer: sender.clone(),
            repeatable: false,
        };
        let store: Arc<dyn Store> = Arc::new(FaultyStore {
            inner: self.store.clone(),
            faults: self.faults.clone(),
        });
        let telling = Telling::new(
            store.clone(),
            self.clock.clone(),
            shape(&self.config),
            sender.clone(),
        );
        let parts = Parts {
            store,
            database: self.store.clone(),
            model: self.model.clone(),
            ways: BTreeMap::from([
                (Channel::Email, mail),
                (Channel::Sales, Way::Chat(sender)),
                (Channel::App, Way::App(telling)),
            ]),
        };
        App::over(&self.config, self.clock.clone(), parts).unwrap()
    }

    /// Whether the business has an application that is told what changed.
    pub(super) fn tells_application(&self) -> bool {
        self.config.app.webhook_url.is_some()
    }

    /// Time passes, and with it every lease. PostgreSQL measures leases by its own clock, which no test can move.
    async fn outlive(&self, leases: Duration) {
        self.clock.advance(leases);
        let Place::Postgres(database) = &self.place else {
            return;
        };
        let mut connection = sqlx::PgConnection::connect(&database.url()).await.unwrap();
        for ended in [
            "UPDATE events SET lease_until = 0 WHERE lease_until > 0",
            "UPDATE lanes SET lease_until = 0 WHERE lease_until > 0",
            "UPDATE messages SET lease_until = 0 WHERE lease_until > 0",
            "UPDATE backfills SET lease_until = 0 WHERE lease_until > 0",
            "UPDATE fetches SET lease_until = 0 WHERE lease_until > 0",
        ] {
            connection.execute(ended).await.unwrap();
        }
        connection.close().await.unwrap();
    }

    /// Another process works for as long as this one sleeps.
    async fn rescue(&self) {
        let another = self.app();
        self.outlive(PAST_A_LEASE).await;
        drain(&another).await.unwrap();
    }
}

/// Works off what is due now, stage by stage: each finds what the one before has left.
async fn drain(app: &App) -> Result<(), StoreError> {
    while app.worker.apply_due().await? > 0 {}
    app.worker.fetch_due().await?;
    app.worker.promote_due().await?;
    app.worker.decide_due().await?;
    while app.dispatcher.send_due().await? > 0 {}
    Ok(())
}

/// Everything that dies at once.
struct Process {
    app: App,
    router: axum::Router,
    inbox: JoinHandle<()>,
}

impl Process {
    fn start(ground: &Ground) -> Self {
        let mut app = ground.app();
        let inbox = app.take_inbox().unwrap();
        let tasks = Shutdown::manual();
        let inbox = tasks.tasks().spawn(inbox.run(tasks.hard().clone()));
        Self {
            router: app.router(Role::All),
            app,
            inbox,
        }
    }

    async fn answer(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
        let body = serde_json::from_slice(&body.unwrap()).unwrap_or(Value::Null);
        (status, body)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.inbox.abort();
    }
}

/// One telling of a story.
pub(super) struct Stage {
    pub(super) ground: Arc<Ground>,
    process: Process,
    /// The events that were answered 200.
    pub(super) accepted: Vec<String>,
    /// What the fault had left behind was worked off.
    recovered: bool,
}

impl Stage {
    pub(super) async fn new(
        story: &Story,
        point: Option<Point>,
        postgres: Option<PostgresDatabase>,
    ) -> Self {
        let place = match postgres {
            Some(postgres) => Place::Postgres(postgres),
            None => Place::File(folder()),
        };
        let url = place.url();
        let attempts = if point.is_some_and(Point::is_failure) {
            "2"
        } else {
            "1"
        };
        let stripe = StripeServer::start(START).await;
        let stripe_url = stripe.url();
        let common = [
            ("STRIPE_API_BASE", stripe_url.as_str()),
            ("STRIPE_SECRET_KEY", "rk_live_1"),
            // One slice, or two.
            ("BILLHOOK__BACKFILL__FIRST", "1h"),
            ("BILLHOOK__RETRY__ATTEMPTS", attempts),
            ("DATABASE_URL", url.as_str()),
            ("BILLHOOK_ADMIN_TOKEN", TOKEN),
            (
                "BILLHOOK__LINKS__UPDATE_PAYMENT",
                "https://acme.example/card",
            ),
            // Longer than any stall: what a story tells as one moment stays one, whatever the fault.
            ("BILLHOOK__FOLLOW_UP__SETTLE", "30m"),
            ("BILLHOOK__FOLLOW_UP__FIRST_CONTACT_DELAY", "2h"),
        ];
        let env = environment(common.iter().chain(story.settings));
        let config = Config::from_layers(None, &env).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(START)));
        let store = open_store(&config, clock.clone()).await.unwrap();
        let faults = Arc::new(Faults::at(point));
        let sink = Arc::new(Sink::default());
        let ground = Arc::new(Ground {
            store,
            model: (story.model)(&faults, &sink),
            server: story.server,
            sink,
            stripe,
            faults,
            clock,
            config,
            place,
            rescuers: TaskTracker::new(),
        });
        ground.rescuers.close();
        let rescuer = Arc::downgrade(&ground);
        ground.faults.rescue_by(move || {
            let ground = rescuer
                .upgrade()
                .expect("the ground outlives its processes");
            // A task of its own: what becomes of the process that sleeps must not end it.
            let rescuer = ground.rescuers.clone();
            let rescued = rescuer.spawn(async move { ground.rescue().await });
            async move { rescued.await.unwrap() }.boxed()
        });
        let process = Process::start(&ground);
        Self {
            ground,
            process,
            accepted: Vec::new(),
            recovered: false,
        }
    }

    /// Attempts it until it works, in a process that lives through it.
    async fn insist<T>(&mut self, attempt: impl AsyncFn(&Process) -> Option<T>) -> T {
        // One fault, so the third attempt at the latest is undisturbed.
        for _ in 0..4 {
            let done = tokio::select! {
                biased;
                () = self.ground.faults.died.notified() => Err(()),
                done = attempt(&self.process) => Ok(done),
            };
            self.ground.rescuers.wait().await;
            match done {
                Ok(Some(done)) => return done,
                Ok(None) => {}
                Err(()) => self.process = Process::start(&self.ground),
            }
        }
        panic!("it never worked");
    }

    /// Delivers an event as Stripe does: what got no 200 is sent again.
    pub(super) async fn deliver(&mut self, told: &Told) {
        let body = told.json(Shape::Old).to_string().into_bytes();
        let now = self.ground.clock.now();
        self.insist(async |process| {
            let (status, _) = process.answer(webhook(body.clone(), now)).await;
            (status == StatusCode::OK).then_some(())
        })
        .await;
        self.accepted.push(told.id.clone());
    }

    /// Works off what is due, then lets time pass and works off what became due.
    pub(super) async fn pass(&mut self, time: Duration) {
        self.work().await;
        self.ground.clock.advance(time);
        self.work().await;
    }

    /// Works off what is due; after the fault once also what is left to a lease or a pause.
    async fn work(&mut self) {
        self.drain().await;
        if self.ground.faults.has_struck() && !self.recovered {
            self.recovered = true;
            for _ in 0..3 {
                self.ground.outlive(PAST_A_LEASE).await;
                self.drain().await;
            }
        }
    }

    async fn drain(&mut self) {
        self.insist(async |process| drain(&process.app).await.ok())
            .await;
    }

    /// Takes in what Stripe answered, until that is done.
    pub(super) async fn observe(&mut self, observation: &Observation) {
        self.insist(async |process| process.app.store.observe(observation).await.ok())
            .await;
    }

    /// Looks for missed events, first without a write, until every account was looked at to the end.
    pub(super) async fn look(&mut self) {
        let ground = self.ground.clone();
        for dry_run in [true, false] {
            let look = Look {
                dry_run,
                ..Look::default()
            };
            self.insist(async |process| {
                let backfill = process.app.backfill.as_ref().unwrap();
                let never = CancellationToken::new();
                let report = backfill.look(look, &|_| {}, &never).await.ok()?;
                if matches!(report.accounts[0].status, Outcome::Busy(_)) {
                    // Somebody died over it.
                    ground.outlive(PAST_A_BACKFILL).await;
                }
                let is_done = |account: &AccountReport| matches!(account.status, Outcome::Done);
                report.accounts.iter().all(is_done).then_some(())
            })
            .await;
        }
    }

    /// Asks the API until it answers, and says what.
    pub(super) async fn ask(&mut self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let body = body.map_or_else(String::new, Value::to_string);
        self.insist(async |process| {
            let request = Request::builder()
                .method(&method)
                .uri(path)
                .header(header::HOST, "localhost")
                .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
                .body(Body::from(body.clone()))
                .unwrap();
            let (status, answer) = process.answer(request).await;
            // A retry whose answer was lost has nothing left to do.
            (status.is_success() || status == StatusCode::CONFLICT).then_some(answer)
        })
        .await
    }

    pub(super) async fn get(&mut self, path: &str) -> Value {
        self.ask(Method::GET, path, None).await
    }
}
