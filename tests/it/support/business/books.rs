//! The books after the last kill: what was owed against what stands in the database and what the servers were given.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Instant;

use billhook::clock::{Clock, SystemClock};

use super::report::Report;
use super::stories::Owed;
use super::stripe::Stripe;
use crate::support::chat::ChatServer;
use crate::support::process::{PATIENCE, Process};
use crate::support::smtp::SmtpServer;
use crate::support::tables::select;

/// A message as the outbox has it in the end.
struct Message {
    channel: String,
    customer: String,
    status: String,
    /// What a server knows it by: its Message-ID, or a notice's effect key.
    id: String,
    /// When it will be looked at next.
    waits_until: i64,
    reason: String,
}

/// Everything that was read, once nothing was left to do.
pub(crate) struct Books {
    url: String,
    /// Each event's status and last error.
    events: BTreeMap<String, (String, String)>,
    messages: Vec<Message>,
    /// How many effects each customer had of each tool.
    effects: BTreeMap<(String, String), usize>,
    /// How many win-backs were scheduled for each customer.
    schedules: BTreeMap<String, usize>,
    /// Runs beyond the first of one stage of one occurrence.
    repeated_runs: usize,
    failed_runs: usize,
    paid: BTreeSet<String>,
}

fn counted(rows: Vec<Vec<String>>) -> impl Iterator<Item = (Vec<String>, usize)> {
    rows.into_iter().map(|mut row| {
        let count = row.pop().unwrap().parse().unwrap();
        (row, count)
    })
}

impl Books {
    /// Waits until nothing is left to do that could be done within a minute, and reads.
    pub(crate) async fn closed(url: &str, process: &Process) -> Self {
        let started = Instant::now();
        loop {
            let soon = SystemClock.now().plus(PATIENCE).0;
            // One statement, so that no work can hide between two of them.
            let open = select(url, &format!(
                "SELECT CAST((SELECT count(*) FROM events WHERE status IN ('pending', 'retrying', 'applied')) AS TEXT), \
                 CAST((SELECT count(*) FROM runs WHERE status IN ('waiting', 'running', 'deferred')) AS TEXT), \
                 CAST((SELECT count(*) FROM messages WHERE (status = 'sending' AND lease_until < {soon}) OR (status = 'pending' AND not_before < {soon})) AS TEXT)"
            )).await.remove(0);
            if open.iter().all(|count| count == "0") {
                return Self::read(url, process).await;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "not over: {open:?} events, runs and messages; log:\n{}",
                process.log()
            );
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    async fn read(url: &str, process: &Process) -> Self {
        let events = select(url, "SELECT id, status, last_error FROM events").await;
        let messages = select(url, "SELECT channel, customer, status, CASE channel WHEN 'email' THEN message_id ELSE effect_key END, CAST(CASE status WHEN 'sending' THEN lease_until ELSE not_before END AS TEXT), reason FROM messages").await;
        let effects = select(url, "SELECT r.customer, e.tool, CAST(count(*) AS TEXT) FROM effects e JOIN runs r ON r.id = e.run GROUP BY r.customer, e.tool").await;
        let schedules = select(
            url,
            "SELECT customer, CAST(count(*) AS TEXT) FROM schedules GROUP BY customer",
        )
        .await;
        let repeated = select(url, "SELECT CAST(count(*) AS TEXT) FROM runs GROUP BY occurrence, stage HAVING count(*) > 1").await;
        let failed = select(url, "SELECT id FROM runs WHERE status = 'failed'").await;
        let orders = process.all("/orders").await;
        Self {
            url: url.to_owned(),
            events: events
                .into_iter()
                .map(|mut row| (row.remove(0), (row.remove(0), row.remove(0))))
                .collect(),
            messages: messages
                .into_iter()
                .map(|row| {
                    let [channel, customer, status, id, waits_until, reason] =
                        row.try_into().unwrap();
                    Message {
                        channel,
                        customer,
                        status,
                        id,
                        waits_until: waits_until.parse().unwrap(),
                        reason,
                    }
                })
                .collect(),
            effects: counted(effects)
                .map(|(mut row, count)| ((row.remove(0), row.remove(0)), count))
                .collect(),
            schedules: counted(schedules)
                .map(|(mut row, count)| (row.remove(0), count))
                .collect(),
            repeated_runs: repeated.len(),
            failed_runs: failed.len(),
            paid: orders
                .iter()
                .filter(|order| order["status"] == "paid")
                .map(|order| order["id"].as_str().unwrap().to_owned())
                .collect(),
        }
    }

    /// Holds them against what was told to whom and what arrived.
    pub(crate) fn audit(
        &self,
        told: &BTreeMap<String, Owed>,
        stripe: &Stripe,
        mail: &SmtpServer,
        chat: &ChatServer,
    ) -> Report {
        let mut report = Report::default();
        self.audit_events(stripe, &mut report);
        self.audit_effects(told, &mut report);
        let mails = copies(mail.message_ids());
        let notices = copies(
            chat.notices()
                .into_iter()
                .map(|(effect, _)| effect)
                .collect(),
        );
        self.audit_channel("email", told, &mails, &mut report);
        self.audit_channel("sales", told, &notices, &mut report);
        report
    }

    /// What happened to a customer, for whoever has to find out why it is wrong.
    pub(crate) async fn history(&self, customer: &str) -> String {
        let statements = [
            "SELECT 'event', id, type, status, CAST(received_at AS TEXT), CAST(applied_at AS TEXT), CAST(epoch AS TEXT), occurrence FROM events WHERE customer = 'CUSTOMER' ORDER BY received_at",
            "SELECT 'run', id, playbook, status, reason, CAST(created_at AS TEXT), CAST(started_at AS TEXT), CAST(attempts AS TEXT), occurrence FROM runs WHERE customer = 'CUSTOMER' ORDER BY created_at",
            "SELECT 'call', c.run, c.tool, c.verdict, c.rule, c.reason, c.effect, CAST(c.at AS TEXT) FROM tool_calls c JOIN runs r ON r.id = c.run WHERE r.customer = 'CUSTOMER' ORDER BY c.at",
            "SELECT 'message', id, channel, status, reason, CAST(created_at AS TEXT), CAST(attempts AS TEXT) FROM messages WHERE customer = 'CUSTOMER' ORDER BY created_at",
        ];
        let mut history = String::new();
        for sql in statements {
            for row in select(&self.url, &sql.replace("CUSTOMER", customer)).await {
                history.push_str(&row.join(" · "));
                history.push('\n');
            }
        }
        history
    }

    fn audit_events(&self, stripe: &Stripe, report: &mut Report) {
        let answered = stripe.answered.lock().unwrap();
        let lost: Vec<_> = answered
            .iter()
            .filter(|id| !self.events.contains_key(*id))
            .collect();
        report.line(
            "deliveries without an answer, sent again",
            stripe.unanswered.load(Ordering::Relaxed),
        );
        report.line(
            "deliveries answered 503, sent again",
            stripe.refused.load(Ordering::Relaxed),
        );
        report.line("events accepted", answered.len());
        report.must_be_none("events lost", &lost);
        let dead: Vec<_> = self
            .events
            .iter()
            .filter(|(_, (status, _))| status != "done")
            .collect();
        report.must_be_none("events that are not done", &dead);
        let never: Vec<_> = self
            .events
            .keys()
            .filter(|id| !answered.contains(*id))
            .collect();
        report.must_be_none("events that nobody sent", &never);
    }

    fn audit_effects(&self, told: &BTreeMap<String, Owed>, report: &mut Report) {
        let (mut twice, mut missing) = (Vec::new(), Vec::new());
        let mut compare = |what: &str, customer: &str, found: usize, least: usize, most: usize| {
            if !(least..=most).contains(&found) {
                report.suspects.insert(customer.to_owned());
            }
            if found > most {
                twice.push(format!("{customer}: {found} {what} for {most}"));
            } else if found < least {
                missing.push(format!("{customer}: {found} {what} for {least}"));
            }
        };
        for (customer, owed) in told {
            let of = |tool: &str| {
                let key = (customer.clone(), tool.to_owned());
                self.effects.get(&key).copied().unwrap_or_default()
            };
            let most = owed.mails + owed.mails_unless_recovered;
            compare("send_email", customer, of("send_email"), owed.mails, most);
            compare(
                "notify_sales",
                customer,
                of("notify_sales"),
                owed.notices,
                owed.notices,
            );
            compare(
                "schedule_winback",
                customer,
                of("schedule_winback"),
                owed.winbacks,
                owed.winbacks,
            );
            let schedules = self.schedules.get(customer).copied().unwrap_or_default();
            compare(
                "schedules",
                customer,
                schedules,
                owed.winbacks,
                owed.winbacks,
            );
        }
        let owed: BTreeSet<String> = told.values().flat_map(|owed| owed.paid.clone()).collect();
        report.line("database effects", self.effects.values().sum::<usize>());
        report.line("orders paid", self.paid.len());
        report.must_be_none("database effects twice", &twice);
        report.must_be_none("database effects missing", &missing);
        report.must_be(
            "runs of one stage of one occurrence twice",
            0,
            self.repeated_runs,
        );
        report.must_be("runs failed", 0, self.failed_runs);
        let wrong: Vec<_> = owed.symmetric_difference(&self.paid).collect();
        report.must_be_none("orders wrongly paid or unpaid", &wrong);
    }

    /// Every owed message of a channel stands somewhere, and where it stands agrees with what arrived.
    fn audit_channel(
        &self,
        channel: &str,
        told: &BTreeMap<String, Owed>,
        arrived: &BTreeMap<String, usize>,
        report: &mut Report,
    ) {
        let to_customers = channel == "email";
        let messages: Vec<&Message> = self
            .messages
            .iter()
            .filter(|message| message.channel == channel)
            .collect();
        let now = SystemClock.now().0;
        let mut by_status: BTreeMap<&str, usize> = BTreeMap::new();
        let mut faults = Vec::new();
        for message in &messages {
            *by_status.entry(&message.status).or_default() += 1;
            let copies = arrived.get(&message.id).copied().unwrap_or_default();
            let at_most = if to_customers { 1 } else { usize::MAX };
            // A notice that was refused arrived all the same, and comes again.
            let agrees = match message.status.as_str() {
                "sent" => (1..=at_most).contains(&copies),
                "unknown" => to_customers && copies <= 1,
                "pending" => copies == 0 && message.waits_until > now && !message.reason.is_empty(),
                // Its sender was killed, and its lease is a long one.
                "sending" => copies <= at_most && message.waits_until > now,
                "suppressed" | "expired" | "failed" => copies == 0 && !message.reason.is_empty(),
                _ => false,
            };
            if !agrees {
                report.suspects.insert(message.customer.clone());
                faults.push(format!(
                    "{} is {} ({}) with {copies} copies",
                    message.customer, message.status, message.reason
                ));
            }
        }
        for (customer, owed) in told {
            let (least, most) = if to_customers {
                (owed.mails, owed.mails + owed.mails_unless_recovered)
            } else {
                (owed.notices, owed.notices)
            };
            let found = messages
                .iter()
                .filter(|message| message.customer == *customer)
                .count();
            if !(least..=most).contains(&found) {
                faults.push(format!("{customer} has {found} and is owed {least}"));
            }
        }
        let known: BTreeSet<&String> = messages.iter().map(|message| &message.id).collect();
        let strange = arrived.keys().filter(|id| !known.contains(id)).count();
        let owed: usize = told
            .values()
            .map(|owed| {
                if to_customers {
                    owed.mails
                } else {
                    owed.notices
                }
            })
            .sum();
        report.line(&format!("{channel}: owed"), owed);
        if to_customers {
            let may: usize = told.values().map(|owed| owed.mails_unless_recovered).sum();
            report.line("email: owed unless the payment recovers first", may);
        }
        report.line(&format!("{channel}: in the outbox"), messages.len());
        for (status, count) in by_status {
            report.line(&format!("{channel}: … {status}"), count);
        }
        report.line(
            &format!("{channel}: distinct ids at the server"),
            arrived.len(),
        );
        let repeats = arrived.values().sum::<usize>() - arrived.len();
        if to_customers {
            report.must_be("email: second copies at the server", 0, repeats);
        } else {
            report.line(&format!("{channel}: repeats at the server"), repeats);
        }
        report.must_be(&format!("{channel}: ids nobody knows"), 0, strange);
        report.must_be_none(&format!("{channel}: not accounted for"), &faults);
    }
}

fn copies(ids: Vec<String>) -> BTreeMap<String, usize> {
    let mut copies = BTreeMap::new();
    for id in ids {
        *copies.entry(id).or_default() += 1;
    }
    copies
}
