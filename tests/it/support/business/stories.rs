//! What happens in the business, as Stripe would tell it, and what is owed for it.
//!
//! Each story is about a customer of its own. What is owed follows from the playbooks and is written here a second time,
//! by hand: the program under test must not be asked what it should have done.

use billhook::clock::{Clock, SystemClock};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::support::fixture::{
    Charge, Customer, Intent, Invoice, Object, Shape, Subscription, Told,
};

/// An event on its way: always the same bytes, like Stripe's.
pub(super) struct Event {
    pub(super) id: String,
    pub(super) body: Vec<u8>,
}

/// What a story's events must lead to, whatever dies meanwhile.
#[derive(Debug, Clone, Default)]
pub(crate) struct Owed {
    /// Mails to the customer.
    pub(crate) mails: usize,
    /// Mails that are right only if they leave before the good news comes.
    pub(crate) mails_unless_recovered: usize,
    /// Notices to sales.
    pub(crate) notices: usize,
    /// Subscriptions to win back.
    pub(crate) winbacks: usize,
    /// Orders that must be paid in the end.
    pub(crate) paid: Vec<String>,
}

/// A story of one customer.
pub(super) struct Story {
    pub(super) customer: String,
    /// Its customer, who exists before anything else happens.
    pub(super) opening: Event,
    /// What follows, in the order of arrival, duplicates included.
    pub(super) rest: Vec<Event>,
    pub(super) owed: Owed,
}

/// Tells one story after the other.
pub(crate) struct Stories {
    random: StdRng,
    told: usize,
}

const SMALL: i64 = 4_900;
/// Over `sales.high_value`.
const LARGE: i64 = 490_000;

impl Stories {
    pub(crate) fn new(random: StdRng) -> Self {
        Self { random, told: 0 }
    }

    pub(super) fn next(&mut self) -> Story {
        let number = self.told;
        self.told += 1;
        let shape = Shape::BOTH[usize::from(self.random.random_bool(0.5))];
        let mut story = Telling::new(number, shape);
        // The first stories are one of each kind, so that a short run has them all.
        let kind = if number < 8 {
            number
        } else {
            self.random.random_range(0..8)
        };
        match kind {
            0 => story.declined(SMALL, 1),
            1 => story.declined(LARGE, 1),
            // The second mail of a day to one address waits for the next.
            2 => story.declined(SMALL, 2),
            3 => story.recovered(),
            4 => story.paid(SMALL),
            5 => story.paid(LARGE),
            6 => story.renewal_failed(),
            _ => story.ended(),
        }
        story.shuffled(&mut self.random)
    }
}

/// A story while it is being made up.
struct Telling {
    number: usize,
    shape: Shape,
    customer: String,
    now: i64,
    events: Vec<Event>,
    owed: Owed,
}

impl Telling {
    fn new(number: usize, shape: Shape) -> Self {
        let mut telling = Self {
            number,
            shape,
            customer: format!("cus_{number}"),
            now: SystemClock.now().seconds(),
            events: Vec::new(),
            owed: Owed::default(),
        };
        let customer = Customer {
            id: telling.customer.clone(),
            email: Some(format!("{}@shopper.example", telling.customer)),
            name: Some("Ada Blum".to_owned()),
            delinquent: false,
            created: telling.now - 1000,
        };
        telling.tell("customer.created", customer);
        telling
    }

    fn id(&self, kind: &str, which: usize) -> String {
        format!("{kind}_{}_{which}", self.number)
    }

    fn tell(&mut self, kind: &'static str, object: impl Into<Object>) {
        let id = self.id("evt", self.events.len());
        let told = Told::new(&id, kind, self.now, object);
        let body = told.json(self.shape).to_string().into_bytes();
        self.events.push(Event { id, body });
    }

    fn intent(&self, which: usize, status: &'static str, amount: i64) -> Intent {
        let declined = status == "requires_payment_method";
        let attempt = if declined { 1 } else { 2 };
        Intent {
            id: self.id("pi", which),
            customer: Some(self.customer.clone()),
            invoice: None,
            order: Some(self.id("order", which)),
            status,
            amount,
            received: if declined { 0 } else { amount },
            charge: Some(format!("{}_{attempt}", self.id("ch", which))),
            declined,
            created: self.now,
            ..Intent::default()
        }
    }

    fn charge_of(&self, intent: &Intent) -> Charge {
        Charge {
            id: intent.charge.clone().unwrap(),
            intent: intent.id.clone(),
            customer: intent.customer.clone(),
            invoice: intent.invoice.clone(),
            amount: intent.amount,
            created: self.now,
            ..Charge::default()
        }
    }

    fn payment_failed(&mut self, intent: Intent) {
        let charge = self.charge_of(&intent);
        self.tell("charge.failed", charge);
        self.tell("payment_intent.payment_failed", intent);
    }

    /// A word to the customer about each; to sales, too, where much money is at stake.
    fn declined(&mut self, amount: i64, times: usize) {
        for which in 0..times {
            self.payment_failed(self.intent(which, "requires_payment_method", amount));
        }
        self.owed.mails = times;
        self.owed.notices = if amount > SMALL { times } else { 0 };
    }

    /// The next card works. Whether there is still anything to write about is a matter of a moment.
    fn recovered(&mut self) {
        self.payment_failed(self.intent(0, "requires_payment_method", SMALL));
        self.now += 1;
        self.paid(SMALL);
        self.owed.mails_unless_recovered = 1;
    }

    fn paid(&mut self, amount: i64) {
        self.tell(
            "payment_intent.succeeded",
            self.intent(0, "succeeded", amount),
        );
        self.owed.paid.push(self.id("order", 0));
        self.owed.notices = usize::from(amount > SMALL);
    }

    fn subscription(&self, status: &'static str) -> Subscription {
        Subscription {
            id: self.id("sub", 0),
            customer: self.customer.clone(),
            status,
            latest_invoice: (status != "active").then(|| self.id("in", 0)),
            period_start: self.now - 500,
            cancel_at_period_end: false,
            canceled_at: (status == "canceled").then_some(self.now),
            created: self.now - 900,
            ..Subscription::default()
        }
    }

    /// Five events and one mail. In the old shape, whose objects name each other: without links a mail may be owed twice.
    fn renewal_failed(&mut self) {
        self.shape = Shape::Old;
        let mut intent = self.intent(0, "requires_payment_method", SMALL);
        (intent.order, intent.invoice) = (None, Some(self.id("in", 0)));
        let invoice = Invoice {
            id: self.id("in", 0),
            customer: self.customer.clone(),
            subscription: Some(self.id("sub", 0)),
            intent: Some(intent.id.clone()),
            charge: intent.charge.clone(),
            status: "open",
            amount: SMALL,
            attempts: 1,
            shows_payments: true,
            created: self.now,
            ..Invoice::default()
        };
        self.payment_failed(intent);
        self.tell("invoice.payment_failed", invoice.clone());
        self.tell("invoice.updated", invoice);
        self.tell(
            "customer.subscription.updated",
            self.subscription("past_due"),
        );
        self.owed.mails = 1;
    }

    fn ended(&mut self) {
        self.tell(
            "customer.subscription.deleted",
            self.subscription("canceled"),
        );
        self.owed.winbacks = 1;
    }

    /// Every third event arrives more than once, and none where it belongs.
    fn shuffled(self, random: &mut StdRng) -> Story {
        let mut events = self.events.into_iter();
        let opening = events.next().unwrap();
        let mut rest: Vec<Event> = events.collect();
        let again: Vec<Event> = rest
            .iter()
            .filter(|_| random.random_bool(0.3))
            .map(|event| Event {
                id: event.id.clone(),
                body: event.body.clone(),
            })
            .collect();
        rest.extend(again);
        rest.shuffle(random);
        Story {
            customer: self.customer,
            opening,
            rest,
            owed: self.owed,
        }
    }
}
