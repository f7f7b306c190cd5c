//! What happens in a small business: people come, buy, subscribe, fail to pay, get their money back, and leave.

use billhook::guardrails::mandatory::lattice::{self, LATTICES};
use billhook::guardrails::mandatory::snapshot::Phase;
use rand::Rng;

use super::Draw;
use super::cast::put_into;
use crate::support::fixture::{Account, Application, Charge, InvoicePayment, Object};

impl Draw {
    pub(super) fn somebody(&mut self) {
        let customer = self.customer();
        self.tell("customer.created", customer.clone());
        let mut before: Object = customer.into();
        for _ in 0..self.rng.random_range(0..3) {
            let mut after = before.clone();
            self.stir(&mut after);
            self.tell_change("customer.updated", after.clone(), Some(before));
            before = after;
        }
        if self.chance(0.2) {
            self.tell("customer.deleted", before);
        }
    }

    pub(super) fn purchase(&mut self) {
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
                amount: intent.amount,
                created: self.now,
                ..Charge::default()
            };
            self.tell("charge.failed", charge);
        }
        let mut session = self.session();
        (session.intent, session.mode, session.customer) =
            (Some(intent.id.clone()), "payment", intent.customer.clone());
        (session.amount, session.subscription, session.invoice) = (intent.amount, None, None);
        if self.chance(0.7) {
            self.tell("checkout.session.completed", session.clone());
        }
        (intent.status, intent.declined, intent.received) = ("succeeded", false, intent.amount);
        if self.chance(0.15) {
            (intent.status, intent.received) = ("canceled", 0);
            self.tell("payment_intent.canceled", intent);
        } else if self.chance(0.8) {
            self.tell("payment_intent.succeeded", intent);
            session.payment_status = "paid";
            if self.chance(0.2) {
                self.tell("checkout.session.async_payment_succeeded", session);
            }
        } else if self.chance(0.5) {
            self.tell("checkout.session.async_payment_failed", session);
        }
    }

    pub(super) fn subscribing(&mut self) {
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
            let payment = InvoicePayment {
                id: format!("inpay_{}", invoice.id),
                invoice: invoice.id,
                intent,
                amount: invoice.amount,
                created: self.now,
            };
            self.tell("invoice_payment.paid", payment);
        }
        let before = subscription.clone();
        subscription.status = "active";
        self.tell_change(
            "customer.subscription.updated",
            subscription,
            Some(before.into()),
        );
    }

    pub(super) fn renewal(&mut self) {
        let mut before = self.invoice("open");
        let mut invoice = before.clone();
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
        before.intent.clone_from(&invoice.intent);
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
        self.tell_change("invoice.updated", invoice.clone(), Some(before.into()));
        if let Some(id) = invoice.subscription.clone() {
            let mut subscription = self.subscription("past_due");
            (subscription.id, subscription.customer) = (id, invoice.customer.clone());
            subscription.latest_invoice = Some(invoice.id.clone());
            let mut before = subscription.clone();
            before.status = "active";
            self.tell_change(
                "customer.subscription.updated",
                subscription,
                Some(before.into()),
            );
        }
        if self.chance(0.5) {
            (intent.status, intent.declined, intent.received) = ("succeeded", false, intent.amount);
            self.tell("payment_intent.succeeded", intent);
            (invoice.status, invoice.attempts) = ("paid", invoice.attempts + 1);
            self.tell("invoice.paid", invoice);
        }
    }

    pub(super) fn leaving(&mut self) {
        let mut subscription = self.subscription("active");
        subscription.cancel_at_period_end = false;
        let before = subscription.clone();
        subscription.cancel_at_period_end = true;
        self.tell_change(
            "customer.subscription.updated",
            subscription.clone(),
            Some(before.into()),
        );
        (subscription.status, subscription.canceled_at) = ("canceled", Some(self.now));
        self.tell("customer.subscription.deleted", subscription);
    }

    /// A payment that came in, and then somebody wants it back.
    pub(super) fn reversal(&mut self) {
        let mut intent = self.intent("succeeded");
        let mut charge = self.charge();
        (charge.status, charge.captured) = ("succeeded", true);
        (charge.intent, charge.amount) = (intent.id.clone(), intent.amount);
        intent.charge = Some(charge.id.clone());
        self.tell("charge.succeeded", charge.clone());
        self.tell("payment_intent.succeeded", intent);
        if self.chance(0.4) {
            let mut warning = self.warning();
            warning.charge.clone_from(&charge.id);
            self.tell("radar.early_fraud_warning.created", warning);
        }
        if self.chance(0.5) {
            let mut refund = self.refund();
            refund.charge = Some(charge.id.clone());
            self.tell("refund.created", refund.clone());
            charge.refunds.push(refund.clone());
            self.tell("charge.refunded", charge.clone());
            if self.chance(0.4) {
                let before = refund.clone();
                (refund.status, refund.failure_reason) = ("failed", Some("lost_or_stolen_card"));
                self.tell_change("refund.failed", refund, Some(before.into()));
            }
        } else {
            let mut dispute = self.dispute();
            dispute.charge.clone_from(&charge.id);
            self.tell("charge.dispute.created", dispute.clone());
            dispute.movements.push(("txn_out", -dispute.amount));
            self.tell("charge.dispute.funds_withdrawn", dispute.clone());
            dispute.status = self.one_of(&["won", "lost"]);
            self.tell("charge.dispute.closed", dispute.clone());
            if self.chance(0.4) {
                (dispute.status, dispute.movements) =
                    ("won", vec![("txn_out", -4900), ("txn_back", 4900)]);
                self.tell("charge.dispute.funds_reinstated", dispute);
            }
        }
    }

    /// An account comes, is restricted, and leaves.
    pub(super) fn connecting(&mut self) {
        self.account = Some("_second");
        self.tell("account.application.authorized", Application::default());
        let able = Account::default();
        let mut restricted = able.clone();
        (restricted.payouts_enabled, restricted.disabled_reason) =
            (false, Some("requirements.past_due"));
        self.tell("account.updated", able.clone());
        self.tell_change("account.updated", restricted, Some(able.into()));
        if self.chance(0.5) {
            self.tell("account.application.deauthorized", Application::default());
        }
    }

    /// An object goes through the states of its table, moves that Stripe makes to correct itself included.
    pub(super) fn life(&mut self) {
        let lattice = &LATTICES[self.rng.random_range(0..LATTICES.len())];
        let (family, mut state) = (lattice.family, lattice.states[0].name);
        let born = self.rule(|rule| rule.family == family && rule.keeps_row);
        let mut object = self.object(born);
        put_into(&mut object, state);
        self.tell(born.event_type, object.clone());
        for _ in 0..self.rng.random_range(1..5) {
            let from = lattice::of(family).and_then(|lattice| lattice.state(state));
            let moves: Vec<&'static str> = from
                .into_iter()
                .flat_map(|state| state.next.iter().chain(state.corrections))
                .filter(|next| **next != "deleted")
                .copied()
                .collect();
            let before = object.clone();
            if !moves.is_empty() && self.chance(0.8) {
                state = self.one_of(&moves);
                put_into(&mut object, state);
            } else {
                self.stir(&mut object);
            }
            let later = self.rule(|rule| rule.family == family && rule.phase == Phase::Later);
            self.tell_change(later.event_type, object.clone(), Some(before));
        }
    }
}
