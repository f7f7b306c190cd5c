//! What one event of each type writes, as a person would check it: one snapshot a type, drawn from its fixtures in
//! every shape.
//!
//! `INSTA_UPDATE=always` writes the snapshots anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use billhook::clock::Timestamp;
use billhook::guardrails::mandatory::{RULES, Update, rule_of, update};
use billhook::stripe::event::Event;
use billhook::stripe::view::View;

use super::depends_on_the_shape;
use crate::support::fixture::Shape;
use crate::support::fixture::samples::{sample, shapes_of};

/// Each type as a test of its own.
macro_rules! one_test_each {
    ($($name:ident: $kind:literal),+ $(,)?) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!($kind, written($kind));
        })+

        #[test]
        fn every_type_has_its_test() {
            let handled: Vec<&str> = RULES.iter().map(|rule| rule.event_type).collect();
            for kind in &handled {
                assert!([$($kind),+].contains(kind), "{kind} has no test here");
            }
            assert_eq!([$($kind),+].len(), handled.len());
        }
    };
}

one_test_each! {
    payment_intent_created: "payment_intent.created",
    payment_intent_processing: "payment_intent.processing",
    payment_intent_requires_action: "payment_intent.requires_action",
    payment_intent_partially_funded: "payment_intent.partially_funded",
    payment_intent_amount_capturable_updated: "payment_intent.amount_capturable_updated",
    payment_intent_succeeded: "payment_intent.succeeded",
    payment_intent_payment_failed: "payment_intent.payment_failed",
    payment_intent_canceled: "payment_intent.canceled",
    charge_pending: "charge.pending",
    charge_succeeded: "charge.succeeded",
    charge_captured: "charge.captured",
    charge_updated: "charge.updated",
    charge_failed: "charge.failed",
    charge_expired: "charge.expired",
    charge_refunded: "charge.refunded",
    refund_created: "refund.created",
    refund_updated: "refund.updated",
    refund_failed: "refund.failed",
    charge_refund_updated: "charge.refund.updated",
    charge_dispute_created: "charge.dispute.created",
    charge_dispute_updated: "charge.dispute.updated",
    charge_dispute_funds_withdrawn: "charge.dispute.funds_withdrawn",
    charge_dispute_funds_reinstated: "charge.dispute.funds_reinstated",
    charge_dispute_closed: "charge.dispute.closed",
    radar_early_fraud_warning_created: "radar.early_fraud_warning.created",
    radar_early_fraud_warning_updated: "radar.early_fraud_warning.updated",
    review_opened: "review.opened",
    review_closed: "review.closed",
    checkout_session_completed: "checkout.session.completed",
    checkout_session_async_payment_succeeded: "checkout.session.async_payment_succeeded",
    checkout_session_async_payment_failed: "checkout.session.async_payment_failed",
    checkout_session_expired: "checkout.session.expired",
    customer_created: "customer.created",
    customer_updated: "customer.updated",
    customer_deleted: "customer.deleted",
    customer_subscription_created: "customer.subscription.created",
    customer_subscription_updated: "customer.subscription.updated",
    customer_subscription_paused: "customer.subscription.paused",
    customer_subscription_resumed: "customer.subscription.resumed",
    customer_subscription_pending_update_applied: "customer.subscription.pending_update_applied",
    customer_subscription_pending_update_expired: "customer.subscription.pending_update_expired",
    customer_subscription_trial_will_end: "customer.subscription.trial_will_end",
    customer_subscription_deleted: "customer.subscription.deleted",
    subscription_schedule_created: "subscription_schedule.created",
    subscription_schedule_updated: "subscription_schedule.updated",
    subscription_schedule_expiring: "subscription_schedule.expiring",
    subscription_schedule_released: "subscription_schedule.released",
    subscription_schedule_completed: "subscription_schedule.completed",
    subscription_schedule_canceled: "subscription_schedule.canceled",
    subscription_schedule_aborted: "subscription_schedule.aborted",
    entitlements_active_entitlement_summary_updated: "entitlements.active_entitlement_summary.updated",
    invoice_created: "invoice.created",
    invoice_updated: "invoice.updated",
    invoice_finalized: "invoice.finalized",
    invoice_finalization_failed: "invoice.finalization_failed",
    invoice_sent: "invoice.sent",
    invoice_will_be_due: "invoice.will_be_due",
    invoice_overdue: "invoice.overdue",
    invoice_payment_action_required: "invoice.payment_action_required",
    invoice_payment_failed: "invoice.payment_failed",
    invoice_paid: "invoice.paid",
    invoice_payment_succeeded: "invoice.payment_succeeded",
    invoice_overpaid: "invoice.overpaid",
    invoice_marked_uncollectible: "invoice.marked_uncollectible",
    invoice_voided: "invoice.voided",
    invoice_deleted: "invoice.deleted",
    invoice_upcoming: "invoice.upcoming",
    invoice_payment_paid: "invoice_payment.paid",
    credit_note_created: "credit_note.created",
    credit_note_updated: "credit_note.updated",
    credit_note_voided: "credit_note.voided",
    payment_method_attached: "payment_method.attached",
    payment_method_updated: "payment_method.updated",
    payment_method_automatically_updated: "payment_method.automatically_updated",
    payment_method_detached: "payment_method.detached",
    setup_intent_created: "setup_intent.created",
    setup_intent_requires_action: "setup_intent.requires_action",
    setup_intent_setup_failed: "setup_intent.setup_failed",
    setup_intent_succeeded: "setup_intent.succeeded",
    setup_intent_canceled: "setup_intent.canceled",
    mandate_updated: "mandate.updated",
    payout_created: "payout.created",
    payout_updated: "payout.updated",
    payout_paid: "payout.paid",
    payout_failed: "payout.failed",
    payout_canceled: "payout.canceled",
    payout_reconciliation_completed: "payout.reconciliation_completed",
    customer_discount_created: "customer.discount.created",
    customer_discount_updated: "customer.discount.updated",
    customer_discount_deleted: "customer.discount.deleted",
    product_created: "product.created",
    product_updated: "product.updated",
    product_deleted: "product.deleted",
    price_created: "price.created",
    price_updated: "price.updated",
    price_deleted: "price.deleted",
    coupon_created: "coupon.created",
    coupon_updated: "coupon.updated",
    coupon_deleted: "coupon.deleted",
    account_updated: "account.updated",
    account_application_authorized: "account.application.authorized",
    account_application_deauthorized: "account.application.deauthorized",
    capability_updated: "capability.updated",
}

/// Values as the shapes tell them, with the versions of those that do.
type Table = BTreeMap<String, Vec<(String, Vec<Shape>)>>;

fn enter(table: &mut Table, name: &str, value: String, shape: Shape) {
    let values = table.entry(name.to_owned()).or_default();
    match values.iter_mut().find(|(known, _)| *known == value) {
        Some((_, shapes)) => shapes.push(shape),
        None => values.push((value, vec![shape])),
    }
}

fn enter_view(table: &mut Table, view: &View, shape: Shape) {
    for (field, value) in view.iter() {
        enter(table, field, value.to_string(), shape);
    }
}

/// What every shape's event of this type writes, as text.
fn written(kind: &str) -> String {
    let told = sample(kind);
    let shapes = shapes_of(&told);
    let updates: Vec<(Shape, Update)> = shapes
        .iter()
        .map(|shape| {
            let body = told.json(*shape).to_string();
            let event = Event::parse(body.as_bytes(), Timestamp::default()).unwrap();
            let account = event.account.clone().unwrap_or_default();
            let update = update(rule_of(kind).unwrap(), &event, &account).unwrap();
            (*shape, update)
        })
        .collect();

    let (mut fields, mut previous) = (Table::new(), Table::new());
    let (mut links, mut facts) = (Table::new(), Table::new());
    let mut rows = Table::new();
    for (shape, update) in &updates {
        match &update.snapshot {
            Some(snapshot) => {
                let row = format!("{} {}", snapshot.family.as_str(), snapshot.object);
                enter(&mut rows, &row, String::new(), *shape);
                enter_view(&mut fields, &snapshot.fields, *shape);
                enter_view(&mut previous, &snapshot.previous, *shape);
            }
            None => enter(&mut rows, "no row", String::new(), *shape),
        }
        for edge in &update.links {
            enter(
                &mut links,
                &format!("{} - {}", edge.first(), edge.last()),
                String::new(),
                *shape,
            );
        }
        for fact in &update.facts {
            enter(&mut facts, &fact.name, String::new(), *shape);
        }
    }
    let family = rule_of(kind).unwrap().family.as_str();
    for (field, values) in fields.iter().chain(&previous) {
        assert!(
            values.len() == 1 || depends_on_the_shape(family, field),
            "{kind}: the shapes do not agree on `{field}`: {values:?}"
        );
    }
    for (what, told) in [("rows", &rows), ("facts", &facts)] {
        let agreed = told
            .values()
            .all(|values| values[0].1.len() == shapes.len());
        assert!(
            agreed,
            "{kind}: the shapes do not agree on its {what}: {told:?}"
        );
    }

    let mut text = String::new();
    for (title, table) in [
        ("row", &rows),
        ("fields", &fields),
        ("previous", &previous),
        ("links", &links),
        ("facts", &facts),
    ] {
        if !table.is_empty() {
            writeln!(text, "{title}").unwrap();
        }
        for (name, values) in table {
            for (value, by) in values {
                let by = if by.len() == shapes.len() {
                    String::new()
                } else {
                    let versions: Vec<&str> = by.iter().map(|shape| shape.version()).collect();
                    format!("   ({})", versions.join(", "))
                };
                let line = format!("  {name:<24} {value}{by}");
                writeln!(text, "{}", line.trim_end()).unwrap();
            }
        }
    }
    text
}
