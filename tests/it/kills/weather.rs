//! The moods of the servers that take mails and notices: slow at the dot, so that kills land there, and now and then
//! refusing or hanging up.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use reqwest::StatusCode;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::chat::ChatServer;
use crate::support::smtp::{Does, SmtpServer};

/// How long a mood lasts.
const MOOD: Duration = Duration::from_millis(40);

pub(super) struct Weather {
    stop: CancellationToken,
    changing: JoinHandle<()>,
}

impl Weather {
    pub(super) fn over(mail: &Arc<SmtpServer>, chat: &Arc<ChatServer>, random: StdRng) -> Self {
        let stop = CancellationToken::new();
        let changing = change(mail.clone(), chat.clone(), random, stop.clone());
        Self {
            changing: TaskTracker::new().spawn(changing),
            stop,
        }
    }

    /// From now on everything is taken at once.
    pub(super) async fn clear(self) {
        self.stop.cancel();
        self.changing.await.unwrap();
    }
}

async fn change(
    mail: Arc<SmtpServer>,
    chat: Arc<ChatServer>,
    mut random: StdRng,
    stop: CancellationToken,
) {
    let mut mood = tokio::time::interval(MOOD);
    while stop.run_until_cancelled(mood.tick()).await.is_some() {
        mail.now(match random.random_range(0..100) {
            0..70 => Does::Waits("dot", Duration::from_millis(random.random_range(0..250))),
            70..80 => Does::Waits("RCPT", Duration::from_millis(random.random_range(0..100))),
            80..85 => Does::Answers("RCPT", "450 later\r\n"),
            85..90 => Does::Drops("DATA"),
            90..95 => Does::Drops("body"),
            95..98 => Does::Drops("dot"),
            _ => Does::Answers("RCPT", "550 nobody\r\n"),
        });
        let refuses = random.random_bool(0.1);
        chat.answers(refuses.then_some(StatusCode::SERVICE_UNAVAILABLE));
    }
    mail.now(None);
    chat.answers(None);
}
