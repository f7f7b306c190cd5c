//! The five promises under SIGKILL: the real program, real servers for what it sends, and a Stripe that sends again.
//!
//! A bounded stream of business stories is posted to one process over SQLite, or to two over one PostgreSQL, while a
//! killer ends a process again and again in the middle of taking in, working and sending, and starts it anew. When the
//! killing is over and all work is done, the books are opened: what was owed is computed from the events that were
//! posted, never from what billhook says of itself, and every mail and notice must be accounted for.
//!
//! `scripts/test` runs a short one. `BILLHOOK_TEST_KILLS=500` makes it a long one, and `BILLHOOK_TEST_SEED` another one.

mod killer;
mod weather;

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;

use self::killer::Killer;
use self::weather::Weather;
use crate::support::business::{Books, Stories, Stripe};
use crate::support::chat::ChatServer;
use crate::support::place::Place;
use crate::support::services::variable;
use crate::support::smtp::SmtpServer;

/// Enough to meet each stage a few times, in a quarter of a minute.
const KILLS: usize = 15;

fn number(name: &str, default: u64) -> u64 {
    variable(name).map_or(default, |value| {
        value
            .parse()
            .unwrap_or_else(|error| panic!("{name}={value}: {error}"))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_over_sqlite() {
    survive(Place::sqlite(), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_over_postgres() {
    if let Some(place) = Place::postgres().await {
        survive(place, 2).await;
    }
}

async fn survive(mut place: Place, processes: usize) {
    let seed = number("BILLHOOK_TEST_SEED", 1);
    let kills = usize::try_from(number("BILLHOOK_TEST_KILLS", KILLS as u64)).unwrap();
    let mut random = StdRng::seed_from_u64(seed);
    let (mail, chat) = (
        Arc::new(SmtpServer::start().await),
        Arc::new(ChatServer::start().await),
    );
    place.set("SMTP_URL", mail.url());
    place.set("SALES_WEBHOOK_URL", chat.url());
    place.set("BILLHOOK__FOLLOW_UP__SETTLE", "1s");
    // A machine that cannot keep up says so, instead of leaving it all for the end.
    place.set("BILLHOOK__INBOX__MAX_BACKLOG", "200");
    place.set("BILLHOOK__RETRY__MAX", "2s");

    let stories = Stories::new(StdRng::from_rng(&mut random));
    let stripe = Arc::new(Stripe::new(processes));
    let mut killer = Killer::start(&place, &stripe, (&mail, &chat), processes).await;
    let weather = Weather::over(&mail, &chat, StdRng::from_rng(&mut random));
    let stream = stripe.tell(stories);
    killer.kill(kills, &mut random).await;
    let told = stream.stop().await;
    weather.clear().await;

    let books = Books::closed(&place.url(), killer.process()).await;
    let report = books.audit(&told, &stripe, &mail, &chat);
    println!("\n{processes} process(es), seed {seed}, {kills} kills\n{report}");
    for suspect in report.suspects.iter().take(5) {
        println!("{}", books.history(suspect).await);
    }
    assert!(report.is_clean(), "the books do not agree, see above");
}
