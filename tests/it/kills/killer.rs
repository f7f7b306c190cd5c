//! Ends processes by SIGKILL, at moments of its choice, and starts each anew at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::support::business::Stripe;
use crate::support::chat::ChatServer;
use crate::support::place::Place;
use crate::support::process::{PATIENCE, Process};
use crate::support::smtp::SmtpServer;

/// What the killer waits for.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// Nothing: most of a process's life is work that nobody sees.
    Any,
    /// A delivery is being taken in.
    TakingIn,
    /// A mail server has just read a dot and has not answered it.
    AtTheDot,
    /// A notice has just arrived.
    Telling,
}

const MOMENTS: [Moment; 4] = [
    Moment::Any,
    Moment::TakingIn,
    Moment::AtTheDot,
    Moment::Telling,
];
/// A process lives at least so long, or it would never get to its work.
const INFANCY: Duration = Duration::from_millis(50);
/// A moment that does not come in this time is not waited for.
const BOREDOM: Duration = Duration::from_millis(600);

pub(super) struct Killer<'a> {
    place: &'a Place,
    stripe: &'a Stripe,
    mail: Arc<SmtpServer>,
    chat: Arc<ChatServer>,
    processes: Vec<Process>,
}

impl<'a> Killer<'a> {
    /// Starts the processes.
    pub(super) async fn start(
        place: &'a Place,
        stripe: &'a Stripe,
        sinks: (&Arc<SmtpServer>, &Arc<ChatServer>),
        count: usize,
    ) -> Self {
        let mut processes = Vec::new();
        for number in 0..count {
            let process = place.serve().await;
            stripe.door(number, Some(process.at("")));
            processes.push(process);
        }
        Self {
            place,
            stripe,
            mail: sinks.0.clone(),
            chat: sinks.1.clone(),
            processes,
        }
    }

    /// One of those that run.
    pub(super) fn process(&self) -> &Process {
        &self.processes[0]
    }

    /// Kills so many times, and says how it goes on when there are many.
    pub(super) async fn kill(&mut self, times: usize, random: &mut StdRng) {
        let started = Instant::now();
        for time in 1..=times {
            let moment = *MOMENTS.choose(random).unwrap();
            let (pause, aim) = (random.random_range(0..400), random.random_range(0..30));
            tokio::time::sleep(INFANCY + Duration::from_millis(pause)).await;
            self.wait_for(moment).await;
            tokio::time::sleep(Duration::from_millis(aim)).await;
            self.kill_one(random.random_range(0..self.processes.len()))
                .await;
            if time % 25 == 0 {
                println!(
                    "{time} of {times} kills after {:.0?}, {} events answered",
                    started.elapsed(),
                    self.stripe.accepted()
                );
            }
        }
    }

    async fn kill_one(&mut self, number: usize) {
        let process = &mut self.processes[number];
        assert!(process.runs(), "it ended by itself:\n{}", process.log());
        process.signal("KILL");
        self.stripe.door(number, None);
        process.ends_within(PATIENCE).await;
        *process = self.place.serve().await;
        self.stripe.door(number, Some(process.at("")));
    }

    async fn wait_for(&self, moment: Moment) {
        let (mails, notices) = (self.mail.count(), self.chat.count());
        let started = Instant::now();
        let mut look = tokio::time::interval(Duration::from_millis(2));
        while started.elapsed() < BOREDOM {
            let is_here = match moment {
                Moment::Any => true,
                Moment::TakingIn => self.stripe.in_flight.load(Ordering::Relaxed) > 0,
                Moment::AtTheDot => self.mail.count() > mails,
                Moment::Telling => self.chat.count() > notices,
            };
            if is_here {
                return;
            }
            look.tick().await;
        }
    }
}
