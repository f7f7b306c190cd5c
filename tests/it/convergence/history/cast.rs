//! Who and what histories are about: few ids, so that stories meet, and any state for each.

use billhook::guardrails::mandatory::{Rule, lattice};
use billhook::stripe::view::Family;
use rand::Rng;

use super::Draw;
use crate::support::bench::START;
use crate::support::fixture::{
    Account, Application, Capability, Charge, Coupon, CreditNote, Customer, Discount, Dispute,
    EntitlementSummary, FraudWarning, Intent, Invoice, InvoicePayment, Item, Mandate, Object,
    PaymentMethod, Payout, Price, Product, Refund, Review, Schedule, Session, SetupIntent,
    Subscription,
};

impl Draw {
    /// Any object that an event type may be about.
    pub(super) fn object(&mut self, rule: &Rule) -> Object {
        let mut object = match rule.family {
            Family::Customer => self.customer().into(),
            Family::Subscription => self.subscription("active").into(),
            Family::Invoice => self.invoice("open").into(),
            Family::InvoicePayment => self.invoice_payment().into(),
            Family::PaymentIntent => self.intent("requires_payment_method").into(),
            Family::Charge => self.charge().into(),
            Family::Refund => self.refund().into(),
            Family::Dispute => self.dispute().into(),
            Family::EarlyFraudWarning => self.warning().into(),
            Family::Review => self.review().into(),
            Family::CheckoutSession => self.session().into(),
            Family::Account if rule.object == "application" => Application::default().into(),
            family => self.kept(family),
        };
        if let Some(status) = self.status(rule.family) {
            put_into(&mut object, status);
        }
        if let (Object::Invoice(invoice), false) = (&mut object, rule.keeps_row) {
            // Only announced, it has no id.
            invoice.id.clear();
        }
        object
    }

    /// Objects that are only kept, and nothing is derived from.
    fn kept(&mut self, family: Family) -> Object {
        let created = START - 110_000;
        let customer = self.id("cus", 2);
        match family {
            Family::SubscriptionSchedule => Schedule {
                id: self.id("sub_sched", 2),
                subscription: self.chance(0.8).then(|| self.id("sub", 3)),
                over_at: self.chance(0.5).then_some(self.now),
                customer,
                created,
                ..Schedule::default()
            }
            .into(),
            Family::Entitlements => EntitlementSummary {
                features: self
                    .one_of(&[&["seats"][..], &["seats", "reports"], &[]])
                    .to_vec(),
                has_more: self.chance(0.2),
                customer,
            }
            .into(),
            Family::Discount => Discount {
                id: self.id("di", 2),
                subscription: self.chance(0.5).then(|| self.id("sub", 3)),
                customer,
                ..Discount::default()
            }
            .into(),
            Family::CreditNote => CreditNote {
                id: self.id("cn", 2),
                invoice: self.id("in", 3),
                refund: self.chance(0.5).then(|| self.id("re", 3)),
                customer,
                ..CreditNote::default()
            }
            .into(),
            Family::PaymentMethod => PaymentMethod {
                id: self.id("pm", 2),
                customer: self.chance(0.7).then_some(customer),
                ..PaymentMethod::default()
            }
            .into(),
            Family::SetupIntent => SetupIntent {
                id: self.id("seti", 2),
                customer: Some(customer),
                ..SetupIntent::default()
            }
            .into(),
            Family::Mandate => Mandate {
                id: self.id("mandate", 2),
                ..Mandate::default()
            }
            .into(),
            Family::Payout => Payout {
                id: self.id("po", 2),
                failure_code: self.one_of(&[None, Some("account_closed")]),
                reconciled: self.chance(0.3),
                ..Payout::default()
            }
            .into(),
            Family::Account => Account {
                id: self.id("acct", 2),
                ..Account::default()
            }
            .into(),
            Family::Capability => Capability {
                id: self.one_of(&["card_payments", "transfers"]).to_owned(),
                ..Capability::default()
            }
            .into(),
            Family::Product => Product::default().into(),
            Family::Price => Price::default().into(),
            Family::Coupon => Coupon::default().into(),
            family => panic!("give {family} a part in the histories"),
        }
    }

    /// A state of a family's table; now and then one that no table knows.
    pub(super) fn status(&mut self, family: Family) -> Option<&'static str> {
        let lattice = lattice::of(family)?;
        let mut names: Vec<&str> = lattice.states.iter().map(|state| state.name).collect();
        // A word of billhook's own, which no payload says.
        names.retain(|name| *name != "deleted");
        if self.chance(0.03) {
            names = vec!["something_new"];
        }
        Some(self.one_of(&names))
    }

    /// Changes something of an object, besides its state.
    pub(super) fn stir(&mut self, object: &mut Object) {
        let flag = self.chance(0.5);
        match object {
            Object::Customer(customer) => {
                customer.delinquent = flag;
                customer.email = self
                    .one_of(&[None, Some("ada.blum@shopper.example")])
                    .map(str::to_owned);
            }
            Object::Subscription(subscription) => {
                subscription.cancel_at_period_end = flag;
                subscription.pause = self.one_of(&[None, Some("void"), Some("keep_as_draft")]);
                subscription.pending_until = self.one_of(&[None, Some(self.now + 80_000)]);
                subscription.items.push(Item {
                    id: self.id("si", 3),
                    ..Item::default()
                });
            }
            Object::Schedule(schedule) => schedule.start += i64::from(flag),
            Object::EntitlementSummary(summary) => summary.features = vec!["seats"],
            Object::Invoice(invoice) => invoice.attempts += 1,
            Object::Intent(intent) => intent.declined = flag,
            Object::Charge(charge) => {
                charge.captured = flag;
                let refund = self.refund();
                charge.refunds.push(refund);
            }
            Object::Refund(refund) => {
                refund.failure_reason = flag.then_some("expired_or_canceled_card");
            }
            Object::Dispute(dispute) => {
                let movement = self.one_of(&[("txn_out", -4900), ("txn_back", 4900)]);
                dispute.movements.push(movement);
            }
            Object::FraudWarning(warning) => warning.actionable = flag,
            Object::Review(review) => {
                review.closed_reason = self.one_of(&[None, Some("approved"), Some("disputed")]);
            }
            Object::Session(session) => session.payment_status = self.one_of(&["paid", "unpaid"]),
            Object::PaymentMethod(method) => method.exp_year += i64::from(flag),
            Object::SetupIntent(intent) => intent.failed = flag,
            Object::Payout(payout) => payout.reconciled = flag,
            Object::CreditNote(note) => note.memo = flag.then_some("Sorry"),
            Object::Account(account) => account.payouts_enabled = flag,
            Object::Product(product) => product.active = flag,
            Object::Price(price) => price.active = flag,
            Object::Coupon(coupon) => coupon.valid = flag,
            Object::Application(_)
            | Object::Capability(_)
            | Object::Discount(_)
            | Object::InvoicePayment(_)
            | Object::Mandate(_)
            | Object::Other(_) => {}
        }
    }

    pub(super) fn customer(&mut self) -> Customer {
        Customer {
            id: self.id("cus", 2),
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
        }
    }

    pub(super) fn subscription(&mut self, status: &'static str) -> Subscription {
        Subscription {
            id: self.id("sub", 3),
            customer: self.id("cus", 2),
            latest_invoice: self.chance(0.7).then(|| self.id("in", 3)),
            period_start: START - 100_000 + i64::from(self.rng.random_range(0..2_u32)) * 2_592_000,
            cancel_at_period_end: self.chance(0.2),
            canceled_at: (status == "canceled").then_some(self.now),
            created: START - 150_000,
            status,
            ..Subscription::default()
        }
    }

    pub(super) fn invoice(&mut self, status: &'static str) -> Invoice {
        Invoice {
            id: self.id("in", 3),
            customer: self.id("cus", 2),
            subscription: self.chance(0.7).then(|| self.id("sub", 3)),
            intent: self.chance(0.6).then(|| self.id("pi", 4)),
            amount: self.one_of(&[4900, 900]),
            attempts: self.rng.random_range(0..3),
            shows_payments: self.chance(0.3),
            more_payments: if self.chance(0.1) {
                vec![("pi_3", 400)]
            } else {
                Vec::new()
            },
            due_date: self.chance(0.1).then_some(START),
            created: START - 120_000,
            status,
            ..Invoice::default()
        }
    }

    pub(super) fn invoice_payment(&mut self) -> InvoicePayment {
        let invoice = self.id("in", 3);
        InvoicePayment {
            id: format!("inpay_{invoice}"),
            intent: self.id("pi", 4),
            invoice,
            amount: 4900,
            created: self.now,
        }
    }

    pub(super) fn reference(&mut self, probability: f64) -> Option<String> {
        // The last ones are what somebody may choose who wishes to meddle with another order.
        let names = ["1001", "1002", "basket-7", "0999", "pi_1", "cs_0", "in_0"];
        self.chance(probability)
            .then(|| self.one_of(&names).to_owned())
    }

    pub(super) fn intent(&mut self, status: &'static str) -> Intent {
        let amount = self.one_of(&[4900, 900]);
        Intent {
            id: self.id("pi", 4),
            customer: self.chance(0.7).then(|| self.id("cus", 2)),
            invoice: self.chance(0.2).then(|| self.id("in", 3)),
            order: self.reference(0.4),
            received: if status == "succeeded" {
                self.one_of(&[amount, amount, amount, 100])
            } else {
                0
            },
            charge: self.chance(0.5).then(|| self.id("ch", 6)),
            declined: self.chance(0.3),
            review: self.chance(0.1).then(|| self.id("prv", 2)),
            created: START - 110_000 + i64::from(self.rng.random_range(0..3_u32)),
            amount,
            status,
            ..Intent::default()
        }
    }

    pub(super) fn charge(&mut self) -> Charge {
        Charge {
            id: self.id("ch", 6),
            intent: self.id("pi", 4),
            customer: self.chance(0.7).then(|| self.id("cus", 2)),
            invoice: self.chance(0.2).then(|| self.id("in", 3)),
            amount: self.one_of(&[4900, 900]),
            captured: self.chance(0.5),
            dispute: self.chance(0.1).then(|| self.id("dp", 3)),
            created: START - 110_000,
            ..Charge::default()
        }
    }

    pub(super) fn refund(&mut self) -> Refund {
        Refund {
            id: self.id("re", 3),
            charge: self.chance(0.9).then(|| self.id("ch", 6)),
            intent: self.chance(0.6).then(|| self.id("pi", 4)),
            amount: self.one_of(&[4900, 900, 400]),
            created: self.now,
            ..Refund::default()
        }
    }

    pub(super) fn dispute(&mut self) -> Dispute {
        Dispute {
            id: self.id("dp", 3),
            charge: self.id("ch", 6),
            intent: self.chance(0.6).then(|| self.id("pi", 4)),
            due_by: self.chance(0.7).then_some(START + 600_000),
            created: self.now,
            ..Dispute::default()
        }
    }

    pub(super) fn warning(&mut self) -> FraudWarning {
        FraudWarning {
            id: self.id("issfr", 2),
            charge: self.id("ch", 6),
            intent: self.chance(0.6).then(|| self.id("pi", 4)),
            actionable: self.chance(0.7),
            created: self.now,
        }
    }

    pub(super) fn review(&mut self) -> Review {
        Review {
            id: self.id("prv", 2),
            charge: self.chance(0.6).then(|| self.id("ch", 6)),
            intent: self.chance(0.6).then(|| self.id("pi", 4)),
            closed_reason: self.one_of(&[None, Some("approved"), Some("refunded_as_fraud")]),
            created: self.now,
        }
    }

    pub(super) fn session(&mut self) -> Session {
        Session {
            id: self.id("cs", 3),
            mode: self.one_of(&["payment", "payment", "payment", "subscription", "setup"]),
            customer: self.chance(0.7).then(|| self.id("cus", 2)),
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
}

/// Puts an object into a state of its table.
pub(super) fn put_into(object: &mut Object, state: &'static str) {
    match object {
        Object::Intent(intent) => {
            intent.status = state;
            if state == "succeeded" && intent.received == 0 {
                (intent.received, intent.declined) = (intent.amount, false);
            }
        }
        Object::Charge(charge) => charge.status = state,
        Object::Refund(refund) => refund.status = state,
        Object::Dispute(dispute) => dispute.status = state,
        Object::Session(session) => session.status = state,
        Object::Subscription(subscription) => subscription.status = state,
        Object::Schedule(schedule) => schedule.status = state,
        Object::Invoice(invoice) => invoice.status = state,
        Object::CreditNote(note) => note.status = state,
        Object::SetupIntent(intent) => intent.failed = state == "requires_payment_method",
        Object::Mandate(mandate) => mandate.status = state,
        Object::Payout(payout) => payout.status = state,
        Object::Capability(capability) => capability.status = state,
        Object::Account(_)
        | Object::Application(_)
        | Object::Coupon(_)
        | Object::Customer(_)
        | Object::Discount(_)
        | Object::EntitlementSummary(_)
        | Object::FraudWarning(_)
        | Object::InvoicePayment(_)
        | Object::PaymentMethod(_)
        | Object::Price(_)
        | Object::Product(_)
        | Object::Review(_)
        | Object::Other(_) => {}
    }
}
