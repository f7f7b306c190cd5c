//! The burst of one failed renewal: five events of one second that tell of one failure, in any order and in shapes that
//! link them differently.

use std::time::Duration;

use billhook::guardrails::precondition::Purpose;
use billhook::store::{Finish, Page, RunRecord, Store};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::support::bench::{Bench, START};
use crate::support::fixture::{Charge, Intent, Invoice, InvoicePayment, Shape, Subscription, Told};

/// How the events of a burst are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// All in one shape; whether invoices of the newer ones show their payments.
    Plain(Shape, bool),
    /// Each in a shape of its own, as endpoints between versions send them.
    Mixed,
}

impl Manner {
    /// Every shape, with and without the payments that only the newer ones can leave out, and mixtures.
    pub(super) fn all() -> Vec<Self> {
        let plain = Shape::ALL.map(|shape| Self::Plain(shape, false));
        let newer = Shape::ALL
            .into_iter()
            .filter(|shape| *shape >= Shape::Basil);
        plain
            .into_iter()
            .chain(newer.map(|shape| Self::Plain(shape, true)))
            .chain([Self::Mixed])
            .collect()
    }

    pub(super) fn shows_payments(self) -> bool {
        match self {
            Self::Plain(_, shows) => shows,
            Self::Mixed => true,
        }
    }

    /// Whether something in the events themselves says which payment an invoice has; if not, only customer, amount and
    /// second do.
    pub(super) fn links(self) -> bool {
        match self {
            Self::Plain(shape, shows) => shows || shape < Shape::Basil,
            Self::Mixed => false,
        }
    }

    /// The shape of the event at `at` of the story `story`: the same one each time.
    pub(super) fn shape(self, story: usize, at: usize) -> Shape {
        match self {
            Self::Plain(shape, _) => shape,
            Self::Mixed => {
                let mut rng = StdRng::seed_from_u64((story * 31 + at) as u64);
                *Shape::ALL.choose(&mut rng).unwrap()
            }
        }
    }
}

/// Whose renewal fails, and how it is told apart from others.
#[derive(Debug, Clone)]
pub(super) struct Renewal {
    /// Ends every id.
    pub(super) of: String,
    pub(super) attempt: i64,
    /// When, in seconds.
    pub(super) at: i64,
    pub(super) amount: i64,
    pub(super) shows_payments: bool,
}

impl Renewal {
    pub(super) fn first(of: &str, shows_payments: bool) -> Self {
        Self {
            of: of.to_owned(),
            attempt: 1,
            at: START,
            amount: 4900,
            shows_payments,
        }
    }

    pub(super) fn id(&self, prefix: &str) -> String {
        format!("{prefix}_{}", self.of)
    }

    fn event(&self, name: &str) -> String {
        format!("{name}_{}_{}", self.of, self.attempt)
    }

    fn charge(&self) -> String {
        format!("ch_{}_{}", self.of, self.attempt)
    }

    pub(super) fn invoice(&self) -> Invoice {
        Invoice {
            id: self.id("in"),
            customer: self.id("cus"),
            subscription: Some(self.id("sub")),
            intent: Some(self.id("pi")),
            charge: Some(self.charge()),
            amount: self.amount,
            attempts: self.attempt,
            shows_payments: self.shows_payments,
            created: START - 60,
            ..Invoice::default()
        }
    }

    pub(super) fn intent(&self) -> Intent {
        Intent {
            id: self.id("pi"),
            customer: Some(self.id("cus")),
            invoice: Some(self.id("in")),
            amount: self.amount,
            charge: Some(self.charge()),
            declined: true,
            created: START - 60,
            ..Intent::default()
        }
    }

    pub(super) fn declined(&self) -> Charge {
        Charge {
            id: self.charge(),
            intent: self.id("pi"),
            customer: Some(self.id("cus")),
            invoice: Some(self.id("in")),
            amount: self.amount,
            created: self.at,
            ..Charge::default()
        }
    }

    pub(super) fn subscription(&self, status: &'static str) -> Subscription {
        Subscription {
            id: self.id("sub"),
            customer: self.id("cus"),
            status,
            latest_invoice: Some(self.id("in")),
            period_start: START - 60,
            created: START - 90 * 86_400,
            ..Subscription::default()
        }
    }

    /// What links the invoice to its payment in the newer shapes.
    pub(super) fn payment(&self) -> Told {
        let payment = InvoicePayment {
            id: self.id("inpay"),
            invoice: self.id("in"),
            intent: self.id("pi"),
            amount: self.amount,
            created: self.at,
        };
        Told::new(
            self.event("linked"),
            "invoice_payment.paid",
            self.at + 1,
            payment,
        )
    }

    /// The five events; the third leads.
    pub(super) fn burst(&self) -> Vec<Told> {
        let (at, invoice) = (self.at, self.invoice());
        let counted = Invoice {
            attempts: self.attempt - 1,
            ..invoice.clone()
        };
        let before = if self.attempt == 1 {
            "active"
        } else {
            "past_due"
        };
        vec![
            Told::new(self.event("charge"), "charge.failed", at, self.declined()),
            Told::new(
                self.event("intent"),
                "payment_intent.payment_failed",
                at,
                self.intent(),
            ),
            Told::new(
                self.event("invoice"),
                "invoice.payment_failed",
                at + 1,
                invoice.clone(),
            ),
            Told::new(self.event("counted"), "invoice.updated", at + 1, invoice)
                .changed_from(counted),
            Told::new(
                self.event("past-due"),
                "customer.subscription.updated",
                at + 1,
                self.subscription("past_due"),
            )
            .was(json!({ "status": before })),
        ]
    }
}

/// Every order of `items`.
pub(super) fn permutations<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let mut orders = Vec::new();
    for (at, first) in items.iter().enumerate() {
        let mut rest = items.to_vec();
        rest.remove(at);
        for mut order in permutations(&rest) {
            order.insert(0, first.clone());
            orders.push(order);
        }
    }
    orders
}

/// The types of events, for a person who looks at a failure.
pub(super) fn kinds(events: &[Told]) -> Vec<&'static str> {
    events.iter().map(|told| told.kind).collect()
}

/// Tells every story to an account of its own, step by step: what is told first is applied before the next arrives.
pub(super) async fn tell(bench: &Bench, stories: &[Vec<Told>], manner: Manner) {
    let longest = stories.iter().map(Vec::len).max().unwrap_or(0);
    for step in 0..longest {
        let mut deliveries = Vec::new();
        for (story, events) in stories.iter().enumerate() {
            let Some(told) = events.get(step) else {
                continue;
            };
            let told = Told {
                id: format!("evt_{story}_{}", told.id),
                ..told.clone()
            };
            let mut delivery = told.delivery(manner.shape(story, step), bench.now());
            delivery.account = format!("o{story}");
            deliveries.push(delivery);
        }
        bench.store.ingest(&deliveries).await.unwrap();
        apply_all(bench).await;
    }
}

/// Applies whatever was received.
pub(super) async fn apply_all(bench: &Bench) {
    loop {
        let lease = Duration::from_mins(10);
        let events = bench.store.claim_events(200, lease).await.unwrap();
        if events.is_empty() {
            return;
        }
        for event in events {
            bench.store.apply_event(&event).await.unwrap();
        }
    }
}

/// Every run there is, with the number of the story that its event is of.
pub(super) async fn runs(bench: &Bench) -> Vec<(usize, RunRecord)> {
    let mut runs = Vec::new();
    let mut page = Page {
        limit: 100,
        starting_after: None,
    };
    loop {
        let listing = bench.store.runs(&page).await.unwrap();
        page.starting_after = listing.data.last().map(|run| run.id.clone());
        runs.extend(listing.data.into_iter().map(|run| {
            let story = run.event.split('_').nth(1).unwrap();
            (story.parse().unwrap(), run)
        }));
        if !listing.has_more {
            return runs;
        }
    }
}

/// Those of a story that are in one of these states.
pub(super) fn of<'a>(
    runs: &'a [(usize, RunRecord)],
    story: usize,
    states: &[&str],
) -> Vec<&'a RunRecord> {
    runs.iter()
        .filter(|(of, run)| *of == story && states.contains(&run.status.as_str()))
        .map(|(_, run)| run)
        .collect()
}

/// Lets every window end, then claims and finishes whatever is due; says how many.
pub(super) async fn finish_all(bench: &Bench) -> usize {
    bench.clock.advance(Duration::from_secs(61));
    let mut finished = 0;
    while let Some(run) = bench
        .store
        .claim_run(Duration::from_mins(10))
        .await
        .unwrap()
    {
        let finish = Finish {
            status: "done",
            reason: None,
            effects: Vec::new(),
            usage: json!({}),
            purpose: Purpose::of_playbook(&run.playbook).unwrap(),
        };
        bench.store.finish_run(&run, &finish).await.unwrap();
        finished += 1;
    }
    finished
}

/// A place among `events` for one more, which differs from story to story.
pub(super) fn with(events: &[Told], one_more: Told, story: usize) -> Vec<Told> {
    let mut rng = StdRng::seed_from_u64(story as u64);
    let mut events = events.to_vec();
    events.insert(rng.random_range(0..=events.len()), one_more);
    events
}
