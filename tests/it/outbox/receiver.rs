//! The receiver of docs/application.md, run as it stands there and told by the real sender.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use billhook::clock::{Clock, ManualClock, SystemClock};
use billhook::outbox::{AppWebhook, Application as _, SendError};
use serde_json::{Value, json};

use crate::support::receiver::APP_SECRET;

const PAGE: &str = include_str!("../../../docs/application.md");

/// A secret that the receiver does not know.
const OTHER_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The page's program; gone with this value.
struct Running {
    process: Child,
    told: BufReader<ChildStdout>,
    url: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Running {
    /// None where there is no Python on this machine.
    fn start() -> Option<Self> {
        let (_, program) = PAGE.split_once("```python\n").unwrap();
        let (program, _) = program.split_once("```").unwrap();
        let mut process = Command::new("python3")
            .args(["-c", program])
            .env("APP_WEBHOOK_SECRET", APP_SECRET)
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut told = BufReader::new(process.stdout.take().unwrap());
        let mut url = String::new();
        told.read_line(&mut url).unwrap();
        assert!(
            url.starts_with("http://127.0.0.1:"),
            "it did not start: {url:?}"
        );
        Some(Self {
            process,
            told,
            url: url.trim_end().to_owned(),
        })
    }

    /// Tells it something, signed with these secrets at this time.
    async fn hears(
        &self,
        secrets: &[&str],
        clock: Arc<dyn Clock>,
        body: &Value,
    ) -> Result<(), SendError> {
        let secrets: Vec<_> = secrets.iter().map(|secret| (*secret).into()).collect();
        let sender = AppWebhook::new(self.url.as_str().into(), &secrets, clock).unwrap();
        sender.tell("msg_1", &body.to_string()).await.map(drop)
    }

    /// What it has taken, a line for each.
    fn taken(mut self) -> String {
        self.process.kill().unwrap();
        let mut lines = String::new();
        self.told.read_to_string(&mut lines).unwrap();
        lines
    }
}

fn body(id: &str, livemode: bool, version: i64) -> Value {
    json!({
        "type": "subscription.updated", "timestamp": "2026-02-03T04:05:06Z", "account": "self", "livemode": livemode,
        "version": version, "data": { "object": "subscription", "id": id, "status": "active" },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_receiver_of_the_page_takes_what_is_genuine_and_new() {
    let Some(receiver) = Running::start() else {
        eprintln!("skipped: there is no python3 here to run the receiver of docs/application.md");
        return;
    };
    let now = || Arc::new(SystemClock) as Arc<dyn Clock>;
    let sub_1 = |version| body("sub_1", true, version);
    receiver
        .hears(&[APP_SECRET], now(), &sub_1(2))
        .await
        .unwrap();

    let refused = Err(SendError::Transient {
        reason: "the application answered 401".to_owned(),
        retry_after: None,
    });
    let forged = receiver.hears(&[OTHER_SECRET], now(), &sub_1(9)).await;
    assert_eq!(forged, refused);
    for (earlier, later) in [(3600, 0), (0, 3600)] {
        let then = SystemClock.now().minus(Duration::from_secs(earlier));
        let then = Arc::new(ManualClock::new(then.plus(Duration::from_secs(later))));
        let recorded = receiver.hears(&[APP_SECRET], then, &sub_1(9)).await;
        assert_eq!(recorded, refused);
    }

    // While the secret is rolled, one signature of two is the receiver's.
    let both = [OTHER_SECRET, APP_SECRET];
    receiver.hears(&both, now(), &sub_1(3)).await.unwrap();
    for told in [
        sub_1(2),
        sub_1(3),
        body("sub_2", true, 1),
        body("sub_1", false, 1),
        sub_1(4),
    ] {
        receiver.hears(&[APP_SECRET], now(), &told).await.unwrap();
    }
    assert_eq!(
        receiver.taken(),
        "self True subscription sub_1 2\nself True subscription sub_1 3\nself True subscription sub_2 1\n\
         self False subscription sub_1 1\nself True subscription sub_1 4\n"
    );
}
