//! Histories of a small business, drawn from a seed: plausible stories over few objects, so that they meet, and events
//! that no story explains.
//!
//! Over 400 lines because the stories share their cast.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::support::bench::START;
use crate::support::fixture::{
    Charge, Customer, Intent, Invoice, InvoicePayment, Object, Session, Shape, Subscription, Told,
};

/// One delivery: which event, and in which shape.
pub(super) type Telling = (usize, Shape);

/// Events in the order in which they happened, and how each is told.
pub(super) struct History {
    pub(super) events: Vec<Told>,
    pub(super) tellings: Vec<Telling>,
}

impl History {
    /// The history of a seed: the same one each time.
    pub(super) fn draw(seed: u64) -> Self {
        let mut draw = Draw {
            rng: StdRng::seed_from_u64(seed),
            now: START - 86_400,
            events: Vec::new(),
            ids: BTreeSet::new(),
        };
        let wanted = draw.rng.random_range(4..=12);
        while draw.events.len() < wanted {
            draw.story();
        }
        let Draw {
            mut rng, events, ..
        } = draw;
        let both = rng.random_bool(0.3);
        let only = *[None, Some(Shape::Old), Some(Shape::Clover)]
            .choose(&mut rng)
            .unwrap();
        let mut tellings = Vec::new();
        for event in 0..events.len() {
            if both && rng.random_bool(0.4) {
                // Two endpoints of different versions.
                tellings.extend(Shape::BOTH.map(|shape| (event, shape)));
            } else {
                let any = *Shape::BOTH.choose(&mut rng).unwrap();
                tellings.push((event, only.unwrap_or(any)));
            }
        }
        Self { events, tellings }
    }

    /// Tellings as a person can read them.
    pub(super) fn shown(&self, tellings: &[Telling]) -> String {
        tellings
            .iter()
            .map(|(event, shape)| format!("  {shape:?} {:?}", self.events[*event]))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

struct Draw {
    rng: StdRng,
    now: i64,
    events: Vec<Told>,
    ids: BTreeSet<String>,
}

const INTENT_STATUS: [&str; 7] = [
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "processing",
    "requires_capture",
    "succeeded",
    "canceled",
];
const SUBSCRIPTION_STATUS: [&str; 8] = [
    "incomplete",
    "incomplete_expired",
    "trialing",
    "active",
    "past_due",
    "unpaid",
    "paused",
    "canceled",
];
const INVOICE_STATUS: [&str; 5] = ["draft", "open", "uncollectible", "paid", "void"];

impl Draw {
    fn chance(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability)
    }

    fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        *items.choose(&mut self.rng).unwrap()
    }

    fn id(&mut self, prefix: &str, of: u32) -> String {
        format!("{prefix}_{}", self.rng.random_range(0..of))
    }

    fn customer_id(&mut self) -> String {
        self.id("cus", 2)
    }

    /// Most events of a story fall into one second.
    fn pass(&mut self) {
        self.now += match self.rng.random_range(0..20) {
            0..12 => 0,
            12..17 => 1,
            17..19 => 4,
            _ => 90_000,
        };
    }

    fn tell(&mut self, kind: &'static str, object: impl Into<Object>) {
        self.tell_change(kind, object, None);
    }

    fn tell_change(
        &mut self,
        kind: &'static str,
        object: impl Into<Object>,
        previous: Option<Value>,
    ) {
        self.pass();
        // Ids say nothing about the order: they only break ties.
        let mut id = format!("{:05}", self.rng.random_range(0..100_000));
        while !self.ids.insert(id.clone()) {
            id.push('x');
        }
        let mut told = Told::new(id, kind, self.now, object);
        told.previous = previous;
        if self.chance(0.03) {
            told.account = Some("_second".to_owned());
        }
        if self.chance(0.03) {
            told.livemode = false;
        }
        self.events.push(told);
    }

    fn customer(&mut self, id: String) -> Customer {
        Customer {
            email: self
                .one_of(&[
                    None,
                    Some("ada.blum@shopper.example"),
                    Some("bo.carl@shopper.example"),
                ])
                .map(str::to_owned),
            name: self
                .one_of(&[None, Some("Ada Blum"), Some("Bo Carl")])
                .map(str::to_owned),
            delinquent: self.chance(0.3),
            created: START - 200_000,
            id,
        }
    }

    fn subscription(&mut self, status: &'static str) -> Subscription {
        Subscription {
            id: self.id("sub", 3),
            customer: self.customer_id(),
            latest_invoice: self.chance(0.7).then(|| self.id("in", 3)),
            period_start: START - 100_000 + i64::from(self.rng.random_range(0..2_u32)) * 2_592_000,
            cancel_at_period_end: self.chance(0.2),
            canceled_at: (status == "canceled").then_some(self.now),
            created: START - 150_000,
            status,
            ..Subscription::default()
        }
    }

    fn invoice(&mut self, status: &'static str) -> Invoice {
        Invoice {
            id: self.id("in", 3),
            customer: self.customer_id(),
            subscription: self.chance(0.7).then(|| self.id("sub", 3)),
            intent: self.chance(0.6).then(|| self.id("pi", 4)),
            charge: None,
            amount: self.one_of(&[4900, 900]),
            attempts: self.rng.random_range(0..3),
            shows_payments: self.chance(0.3),
            created: START - 120_000,
            status,
            ..Invoice::default()
        }
    }

    fn reference(&mut self, probability: f64) -> Option<String> {
        // The last ones are what somebody may choose who wishes to meddle with another order.
        let names = ["1001", "1002", "basket-7", "0999", "pi_1", "cs_0", "in_0"];
        self.chance(probability)
            .then(|| self.one_of(&names).to_owned())
    }

    fn intent(&mut self, status: &'static str) -> Intent {
        let amount = self.one_of(&[4900, 900]);
        Intent {
            id: self.id("pi", 4),
            customer: self.chance(0.7).then(|| self.customer_id()),
            invoice: self.chance(0.2).then(|| self.id("in", 3)),
            order: self.reference(0.4),
            received: if status == "succeeded" {
                self.one_of(&[amount, amount, amount, 100])
            } else {
                0
            },
            charge: self.chance(0.5).then(|| self.id("ch", 6)),
            declined: self.chance(0.3),
            created: START - 110_000 + i64::from(self.rng.random_range(0..3_u32)),
            amount,
            status,
            ..Intent::default()
        }
    }

    fn session(&mut self) -> Session {
        Session {
            id: self.id("cs", 3),
            mode: self.one_of(&["payment", "payment", "payment", "subscription", "setup"]),
            customer: self.chance(0.7).then(|| self.customer_id()),
            intent: self.chance(0.6).then(|| self.id("pi", 4)),
            subscription: self.chance(0.1).then(|| self.id("sub", 3)),
            invoice: self.chance(0.05).then(|| self.id("in", 3)),
            order: self.reference(0.3),
            reference: self.reference(0.3),
            amount: self.one_of(&[4900, 900]),
            payment_status: self.one_of(&["paid", "unpaid", "no_payment_required"]),
            created: START - 110_000 + i64::from(self.rng.random_range(0..3_u32)),
            ..Session::default()
        }
    }

    fn story(&mut self) {
        match self.rng.random_range(0..10) {
            0 => self.somebody(),
            1 => self.purchase(),
            2 => self.subscribing(),
            3 | 4 => self.renewal(),
            5 => self.leaving(),
            _ => self.anything(),
        }
    }

    fn somebody(&mut self) {
        let id = self.customer_id();
        let customer = self.customer(id.clone());
        self.tell("customer.created", customer);
        for _ in 0..self.rng.random_range(0..3) {
            let customer = self.customer(id.clone());
            let previous = json!({ "delinquent": self.chance(0.5) });
            self.tell_change("customer.updated", customer, Some(previous));
        }
        if self.chance(0.2) {
            let customer = self.customer(id);
            self.tell("customer.deleted", customer);
        }
    }

    fn purchase(&mut self) {
        let mut intent = self.intent("requires_payment_method");
        (intent.invoice, intent.declined, intent.charge) = (None, false, None);
        self.tell("payment_intent.created", intent.clone());
        if self.chance(0.4) {
            (intent.declined, intent.charge) = (true, Some(self.id("ch", 6)));
            self.tell("payment_intent.payment_failed", intent.clone());
            let charge = Charge {
                id: intent.charge.clone().unwrap(),
                intent: intent.id.clone(),
                customer: intent.customer.clone(),
                invoice: None,
                amount: intent.amount,
                created: self.now,
                ..Charge::default()
            };
            self.tell("charge.failed", charge);
        }
        let mut session = self.session();
        if self.chance(0.7) {
            (session.intent, session.mode, session.customer) =
                (Some(intent.id.clone()), "payment", intent.customer.clone());
            (session.amount, session.subscription, session.invoice) = (intent.amount, None, None);
            self.tell("checkout.session.completed", session);
        }
        (intent.status, intent.declined, intent.received) = ("succeeded", false, intent.amount);
        if self.chance(0.15) {
            (intent.status, intent.received) = ("canceled", 0);
            self.tell("payment_intent.canceled", intent);
        } else if self.chance(0.8) {
            self.tell("payment_intent.succeeded", intent);
        }
    }

    fn subscribing(&mut self) {
        let status = self.one_of(&["incomplete", "active", "trialing"]);
        let mut subscription = self.subscription(status);
        self.tell("customer.subscription.created", subscription.clone());
        let mut invoice = self.invoice("draft");
        (invoice.subscription, invoice.customer) =
            (Some(subscription.id.clone()), subscription.customer.clone());
        self.tell("invoice.created", invoice.clone());
        invoice.status = "open";
        self.tell("invoice.finalized", invoice.clone());
        (invoice.status, invoice.attempts) = ("paid", 1);
        self.tell("invoice.paid", invoice.clone());
        if let Some(intent) = invoice.intent {
            let id = format!("inpay_{}", invoice.id);
            let (invoice, amount, created) = (invoice.id, invoice.amount, self.now);
            self.tell(
                "invoice_payment.paid",
                InvoicePayment {
                    id,
                    invoice,
                    intent,
                    amount,
                    created,
                },
            );
        }
        subscription.status = "active";
        self.tell_change(
            "customer.subscription.updated",
            subscription,
            Some(json!({ "status": status })),
        );
    }

    fn renewal(&mut self) {
        let mut invoice = self.invoice("open");
        invoice.attempts += 1;
        let charge = self.id("ch", 6);
        let mut intent = self.intent("requires_payment_method");
        (intent.declined, intent.charge, intent.order) = (true, Some(charge.clone()), None);
        (intent.customer, intent.amount) = (Some(invoice.customer.clone()), invoice.amount);
        (intent.invoice, invoice.intent, invoice.charge) = (
            Some(invoice.id.clone()),
            Some(intent.id.clone()),
            Some(charge.clone()),
        );
        let failed = Charge {
            id: charge,
            intent: intent.id.clone(),
            customer: Some(invoice.customer.clone()),
            invoice: Some(invoice.id.clone()),
            amount: invoice.amount,
            created: self.now,
            ..Charge::default()
        };
        self.tell("charge.failed", failed);
        self.tell("payment_intent.payment_failed", intent.clone());
        self.tell("invoice.payment_failed", invoice.clone());
        self.tell_change(
            "invoice.updated",
            invoice.clone(),
            Some(json!({ "attempt_count": invoice.attempts - 1 })),
        );
        if let Some(id) = invoice.subscription.clone() {
            let mut subscription = self.subscription("past_due");
            (
                subscription.id,
                subscription.customer,
                subscription.latest_invoice,
            ) = (id, invoice.customer.clone(), Some(invoice.id.clone()));
            self.tell_change(
                "customer.subscription.updated",
                subscription,
                Some(json!({ "status": "active" })),
            );
        }
        if self.chance(0.5) {
            (intent.status, intent.declined, intent.received) = ("succeeded", false, intent.amount);
            self.tell("payment_intent.succeeded", intent);
            (invoice.status, invoice.attempts) = ("paid", invoice.attempts + 1);
            self.tell("invoice.paid", invoice);
        }
    }

    fn leaving(&mut self) {
        let mut subscription = self.subscription("active");
        subscription.cancel_at_period_end = true;
        self.tell_change(
            "customer.subscription.updated",
            subscription.clone(),
            Some(json!({ "cancel_at_period_end": false })),
        );
        (subscription.status, subscription.canceled_at) = ("canceled", Some(self.now));
        self.tell("customer.subscription.deleted", subscription);
    }

    /// An event that no story explains: a redelivery of an older time, a state out of the blue.
    fn anything(&mut self) {
        if self.chance(0.2) {
            self.now -= self.one_of(&[1, 5, 90_000]);
        }
        match self.rng.random_range(0..7) {
            0 | 1 => {
                let kind = self.one_of(&[
                    "payment_intent.created",
                    "payment_intent.processing",
                    "payment_intent.succeeded",
                    "payment_intent.payment_failed",
                    "payment_intent.canceled",
                ]);
                let status = self.one_of(&INTENT_STATUS);
                let intent = self.intent(status);
                self.tell(kind, intent);
            }
            2 => {
                let kind = self.one_of(&[
                    "customer.subscription.created",
                    "customer.subscription.updated",
                    "customer.subscription.deleted",
                ]);
                let (status, before) = (
                    self.one_of(&SUBSCRIPTION_STATUS),
                    self.one_of(&SUBSCRIPTION_STATUS),
                );
                let subscription = self.subscription(status);
                let previous = (kind.ends_with("updated") && self.chance(0.7))
                    .then(|| json!({ "status": before }));
                self.tell_change(kind, subscription, previous);
            }
            3 => {
                let kind = self.one_of(&[
                    "invoice.created",
                    "invoice.finalized",
                    "invoice.updated",
                    "invoice.paid",
                    "invoice.payment_failed",
                    "invoice.voided",
                ]);
                let status = self.one_of(&INVOICE_STATUS);
                let invoice = self.invoice(status);
                let previous = (kind == "invoice.updated")
                    .then(|| json!({ "status": self.one_of(&INVOICE_STATUS) }));
                self.tell_change(kind, invoice, previous);
            }
            4 => {
                let session = self.session();
                self.tell("checkout.session.completed", session);
            }
            5 => {
                let (invoice, intent) = (self.id("in", 3), self.id("pi", 4));
                let payment = InvoicePayment {
                    id: format!("inpay_{invoice}"),
                    invoice,
                    intent,
                    amount: 4900,
                    created: self.now,
                };
                self.tell("invoice_payment.paid", payment);
            }
            _ => {
                let id = self.customer_id();
                let kind =
                    self.one_of(&["customer.created", "customer.updated", "customer.deleted"]);
                let customer = self.customer(id);
                self.tell(kind, customer);
            }
        }
    }
}

/// What is drawn covers every event type that has mandatory updates: otherwise the property says less than it seems to.
#[test]
fn histories_tell_of_everything() {
    let kinds: BTreeSet<&str> = (0..300)
        .flat_map(|seed| History::draw(seed).events)
        .map(|told| told.kind)
        .collect();
    for rule in billhook::guardrails::mandatory::RULES {
        assert!(kinds.contains(rule.event_type), "{}", rule.event_type);
    }
}
