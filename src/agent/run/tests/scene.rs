//! A failed payment, a journal in memory, and facts that answer when the test lets them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use billhook_tools::{Currency, Exponents, Facts, FactsError, Money, Payment};
use futures::future::BoxFuture;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::agent::brief::{Brief, Settings, Subject};
use crate::agent::journal::{Decided, Entry, Journal, JournalError, Judged};
use crate::agent::model::{Call, Model, Reply};
use crate::agent::prompts::Prompts;
use crate::agent::run::{Run, RunError};
use crate::clock::Timestamp;
use crate::config::Config;
use crate::guardrails::mandatory::facts::FactKind;
use crate::guardrails::occurrence::Occurrence;
use crate::guardrails::precondition::{Purpose, Standing};

/// How long a test waits for what never comes where it fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// Facts that answer once so many reads are inside, and note how many there were.
pub(super) struct Gate {
    opens_at: usize,
    inside: AtomicUsize,
    pub(super) most: AtomicUsize,
    made: AtomicUsize,
    pub(super) limits: Mutex<Vec<u32>>,
    open: Semaphore,
}

impl Gate {
    pub(super) fn opening_at(opens_at: usize) -> Self {
        Self {
            opens_at,
            inside: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            made: AtomicUsize::new(0),
            limits: Mutex::default(),
            open: Semaphore::new(0),
        }
    }

    pub(super) fn made(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }

    async fn pass(&self, limit: u32) {
        self.limits.lock().unwrap().push(limit);
        self.made.fetch_add(1, Ordering::SeqCst);
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
        if inside >= self.opens_at {
            self.open.add_permits(1);
        }
        drop(self.open.acquire().await.unwrap());
        // Whoever may come in meanwhile is to be seen.
        tokio::task::yield_now().await;
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Facts for Gate {
    fn payment_history<'a>(
        &'a self,
        _: &'a str,
        _: bool,
        _: &'a str,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Payment>, FactsError>> {
        Box::pin(async move {
            self.pass(limit).await;
            Ok(vec![Payment {
                id: format!("pi_{limit}"),
                status: "succeeded".to_owned(),
                amount: Money::new(100, Currency::new("eur").unwrap()),
                created: 0,
                decline_code: None,
            }])
        })
    }
}

/// A journal that fails from a step on, as one does whose process dies.
pub(super) struct Memory {
    steps: Mutex<Vec<Entry>>,
    dies_at: usize,
}

#[async_trait]
impl Journal for Memory {
    async fn commit(&self, seq: usize, entry: &Entry) -> Result<(), JournalError> {
        let mut steps = self.steps.lock().unwrap();
        assert_eq!(seq, steps.len());
        if seq >= self.dies_at {
            return Err(JournalError("it is dead".into()));
        }
        // As it stands in a database.
        let stored = serde_json::to_string(entry).unwrap();
        steps.push(serde_json::from_str(&stored).unwrap());
        Ok(())
    }
}

/// A failed payment of a customer with an address.
pub(super) struct Scene {
    prompts: Prompts,
    brief: Brief,
    pub(super) gate: Gate,
}

impl Scene {
    pub(super) fn new(gate: Gate) -> Self {
        let prompts = Prompts::embedded().unwrap();
        let config = Config::from_layers(None, &BTreeMap::new()).unwrap();
        let settings = Settings {
            business_name: "Acme".to_owned(),
            support_email: None,
            locale: "en".to_owned(),
            update_payment: Some("https://acme.example/card".to_owned()),
            allowed_hosts: Vec::new(),
            high_value: config.sales.high_value,
            winback_delay: Duration::from_hours(24),
            exponents: Exponents::stripe(),
            cancellation_comment: false,
        };
        let occurrence = Occurrence {
            id: "occ_1".to_owned(),
            kind: FactKind::Failure,
            lead: None,
            customer: Some("cus_1".to_owned()),
            amount: Some((4900, "eur".to_owned())),
            created: Timestamp::from_seconds(0),
            received: None,
            nodes: BTreeSet::new(),
            charges: BTreeSet::new(),
            attempts: BTreeSet::new(),
            trial_end: None,
            reason: None,
            matched: false,
        };
        let subject = Subject {
            occurrence: &occurrence,
            standing: &Standing::default(),
            event_type: "payment_intent.payment_failed",
            account: "self",
            livemode: true,
            playbook: "payment_failed",
            stage: "first",
            purpose: Purpose::PaymentFailed,
        };
        let mut brief = Brief::new(subject, &settings, &prompts);
        brief.recipient = Some("ada@example.com".to_owned());
        brief.context["recipient"] = true.into();
        Self {
            prompts,
            brief,
            gate,
        }
    }

    /// Decides from these steps; says what came of it, and what the journal holds in the end.
    pub(super) async fn decide(
        &self,
        model: &dyn Model,
        steps: Vec<Entry>,
        dies_at: usize,
    ) -> (Result<Decided, RunError>, Vec<Entry>) {
        let journal = Memory {
            steps: Mutex::new(steps.clone()),
            dies_at,
        };
        let rendered = self
            .prompts
            .render("payment_failed", &self.brief.context)
            .unwrap();
        let owed = self
            .prompts
            .owed_calls("payment_failed", &self.brief.context)
            .unwrap();
        let run = Run {
            playbook: self.prompts.playbook("payment_failed").unwrap(),
            rendered: &rendered,
            boundary: "=== data 0 ===",
            brief: &self.brief,
            owed: &owed,
            model,
            budget: None,
            journal: &journal,
            deadline: None,
            facts: &self.gate,
            rehearse: &|_| Ok(()),
        };
        let decided = timeout(PATIENCE, run.decide(steps)).await;
        let decided = decided.expect("it waits for what never comes");
        (decided, journal.steps.into_inner().unwrap())
    }

    pub(super) async fn whole(&self, model: &dyn Model) -> (Decided, Vec<Entry>) {
        let (decided, steps) = self.decide(model, Vec::new(), usize::MAX).await;
        (decided.unwrap(), steps)
    }
}

pub(super) fn call(id: usize, name: &str, arguments: &str) -> Call {
    Call {
        id: format!("call_{id}"),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    }
}

pub(super) fn history(id: usize, limit: u32) -> Call {
    let arguments = format!("{{\"limit\": {limit}}}");
    call(id, "get_payment_history", &arguments)
}

pub(super) fn mail(id: usize, body: &str) -> Call {
    let arguments = json!({ "subject": "About your payment", "body": body });
    call(id, "send_email", &arguments.to_string())
}

pub(super) fn notice(id: usize) -> Call {
    let arguments = json!({ "priority": "high", "summary": "A call may help." });
    call(id, "notify_sales", &arguments.to_string())
}

pub(super) fn reply(calls: impl IntoIterator<Item = Call>) -> Reply {
    Reply {
        calls: calls.into_iter().collect(),
        ..Reply::default()
    }
}

pub(super) fn done() -> Reply {
    Reply {
        content: Some("Done.".to_owned()),
        ..Reply::default()
    }
}

pub(super) fn results(steps: &[Entry]) -> Vec<&Judged> {
    let results = steps.iter().filter_map(|step| match step {
        Entry::Result(judged) => Some(judged),
        Entry::Reply { .. } => None,
    });
    results.collect()
}

pub(super) fn ids<'s>(judged: &[&'s Judged]) -> Vec<&'s str> {
    judged.iter().map(|j| j.call.id.as_str()).collect()
}
