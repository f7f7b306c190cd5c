//! Databases that stop, freeze, fall silent, or let nobody write: the answer is 503 in time, nothing is lost or done
//! twice, and the process comes back by itself.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use sqlx::{Connection, Executor, SqliteConnection};

use crate::support::business::{Books, Stories, Stripe};
use crate::support::chat::ChatServer;
use crate::support::line::Line;
use crate::support::place::Place;
use crate::support::postgres_server::PostgresServer;
use crate::support::process::Process;
use crate::support::smtp::SmtpServer;

/// What `server.request_timeout` is set to.
const REQUEST: Duration = Duration::from_secs(2);
/// What an answer may take beyond that on a busy machine.
const SLACK: Duration = Duration::from_secs(2);

/// A service under load, and whoever loads it.
struct Scene {
    process: Process,
    stripe: Arc<Stripe>,
}

impl Scene {
    /// Waits until so many more deliveries were refused, which takes an outage.
    async fn refuses(&self, more: usize) {
        let before = self.stripe.refused.load(Ordering::Relaxed);
        self.process
            .wait_until("deliveries are refused", async |_| {
                self.stripe.refused.load(Ordering::Relaxed) >= before + more
            })
            .await;
    }

    /// Waits until so many more events were accepted.
    async fn accepts(&self, more: usize) {
        let before = self.stripe.accepted();
        self.process
            .wait_until("events are accepted", async |_| {
                self.stripe.accepted() >= before + more
            })
            .await;
    }

    /// An outage as whoever watches sees it: alive, and not ready.
    async fn is_down(&self) {
        self.refuses(10).await;
        assert_eq!(self.process.status("/healthz").await, 200);
        assert_eq!(self.process.status("/readyz").await, 503);
    }

    /// Over, without anybody having helped.
    async fn is_up(&self) {
        self.accepts(50).await;
        assert_eq!(self.process.status("/readyz").await, 200);
    }
}

/// A stream of events meets a disaster in its middle; then the books must agree.
async fn ride_out(mut place: Place, database: &str, disaster: impl AsyncFnOnce(&Scene)) {
    let (mail, chat) = (SmtpServer::start().await, ChatServer::start().await);
    place.set("SMTP_URL", mail.url());
    place.set("SALES_WEBHOOK_URL", chat.url());
    place.set(
        "BILLHOOK__SERVER__REQUEST_TIMEOUT",
        format!("{}s", REQUEST.as_secs()),
    );
    place.set("BILLHOOK__RETRY__MAX", "1s");
    // A follow-up waits six windows for events whose applying failed: longer than an outage here.
    place.set("BILLHOOK__FOLLOW_UP__SETTLE", "5s");
    let scene = Scene {
        process: place.serve().await,
        stripe: Arc::new(Stripe::new(1)),
    };
    scene.stripe.door(0, Some(scene.process.at("")));
    let stream = scene.stripe.tell(Stories::new(StdRng::seed_from_u64(1)));
    scene.accepts(50).await;
    disaster(&scene).await;
    let told = stream.stop().await;
    let books = Books::closed(database, &scene.process).await;
    let report = books.audit(&told, &scene.stripe, &mail, &chat);
    let slowest = scene.stripe.slowest();
    println!("{report}slowest answer: {slowest:.2?}");
    assert!(report.is_clean(), "log:\n{}", scene.process.log());
    assert!(slowest < REQUEST + SLACK, "{slowest:?}");
    assert_eq!(scene.stripe.unanswered.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_stopped_or_crashes_is_waited_for() {
    let Some(server) = PostgresServer::start().await else {
        return;
    };
    let mut place = Place::sqlite();
    place.set("DATABASE_URL", server.url());
    ride_out(place, &server.url(), async |scene| {
        for mode in ["fast", "immediate"] {
            server.stop(mode);
            scene.is_down().await;
            server.run();
            scene.is_up().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_freezes_is_answered_for_in_time() {
    let Some(server) = PostgresServer::start().await else {
        return;
    };
    let mut place = Place::sqlite();
    place.set("DATABASE_URL", server.url());
    ride_out(place, &server.url(), async |scene| {
        server.freeze();
        scene.is_down().await;
        server.thaw();
        scene.is_up().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_fall_silent_are_given_up() {
    let Some(mut place) = Place::postgres().await else {
        return;
    };
    let direct = place.url();
    let server = direct.split(['@', '/']).nth(3).unwrap().parse().unwrap();
    let line = Line::to(server).await;
    let through = direct.replace(&format!("{server}"), &line.address().to_string());
    place.set("DATABASE_URL", through);
    place.set("BILLHOOK__DATABASE__TIMEOUT", "1s");
    ride_out(place, &direct, async |scene| {
        // More than once: a connection that is lost to the pool each time would show in the end.
        for _ in 0..3 {
            line.fall_silent();
            scene.accepts(50).await;
        }
        scene.is_up().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_lock_that_somebody_else_holds_is_waited_for() {
    let place = Place::sqlite();
    let url = place.url();
    ride_out(place, &url, async |scene| {
        let mut other = SqliteConnection::connect(&url).await.unwrap();
        other.execute("BEGIN IMMEDIATE").await.unwrap();
        scene.refuses(10).await;
        assert_eq!(scene.process.status("/healthz").await, 200);
        other.execute("ROLLBACK").await.unwrap();
        scene.is_up().await;
    })
    .await;
}

/// A small disk of its own; unmounted with this value.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None`, with a line that says so, for whoever may not mount anything.
    fn small() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64m", "billhook-test"])
            .arg(folder.path())
            .output()
            .unwrap();
        if !mounted.status.success() {
            let why = String::from_utf8_lossy(&mounted.stderr);
            println!("skipped: a small disk needs the right to mount: {why}");
            return None;
        }
        Some(Self(folder))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount")
            .arg("--lazy")
            .arg(self.0.path())
            .status();
        assert!(std::thread::panicking() || unmounted.unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_waited_for() {
    let Some(disk) = Disk::small() else {
        return;
    };
    let mut place = Place::sqlite();
    let url = format!("sqlite://{}", disk.0.path().join("billhook.db").display());
    place.set("DATABASE_URL", &url);
    ride_out(place, &url, async |scene| {
        // The load itself fills what is left.
        let filler = disk.0.path().join("filler");
        let filled = std::fs::write(&filler, vec![1; 80 << 20]);
        assert_eq!(filled.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
        scene.refuses(10).await;
        assert_eq!(scene.process.status("/healthz").await, 200);
        std::fs::remove_file(&filler).unwrap();
        scene.is_up().await;
    })
    .await;
}
