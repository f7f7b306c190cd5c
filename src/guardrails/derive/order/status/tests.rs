//! What hangs on payments, and which of several payments counts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::guardrails::derive::hold::{HoldReason, RuleHold};
use crate::guardrails::derive::order::Order;
use crate::stripe::view::{Family, view};

fn intent(id: &str, fields: &Value) -> Payment {
    Payment {
        intent: id.to_owned(),
        row: Some(view(Family::PaymentIntent, fields)),
        ..Payment::default()
    }
}

fn session(id: &str, fields: &Value) -> (String, Option<View>) {
    (id.to_owned(), Some(view(Family::CheckoutSession, fields)))
}

fn paid(amount: i64) -> Value {
    json!({"status": "succeeded", "amount": amount, "amount_received": amount, "currency": "eur"})
}

/// A payment of 900 that went through, and what hangs on it.
fn with(id: &str, hanging: &[(Family, Value)]) -> Payment {
    let mut payment = intent(id, &paid(900));
    for (family, fields) in hanging {
        let row = view(*family, fields);
        match family {
            Family::Charge => payment.charges.push(row),
            Family::Refund => payment.refunds.push(row),
            Family::Dispute => payment.disputes.push(("dp_1".to_owned(), row)),
            Family::Review => payment.reviews.push(("prv_1".to_owned(), row)),
            other => panic!("{other} hangs on no payment"),
        }
    }
    payment
}

fn refund(amount: i64, status: &str) -> (Family, Value) {
    let refund = json!({"amount": amount, "status": status, "currency": "eur"});
    (Family::Refund, refund)
}

fn dispute(status: &str) -> (Family, Value) {
    let dispute = json!({"status": status, "amount": 900, "currency": "eur", "created": 5});
    (Family::Dispute, dispute)
}

fn component(component: Component) -> Order {
    component.order().unwrap()
}

fn of_payments(payments: Vec<Payment>) -> Order {
    component(Component {
        payments,
        references: BTreeSet::from(["42".to_owned()]),
        ..Component::default()
    })
}

#[test]
fn what_hangs_on_a_payment_decides_its_status() {
    use OrderStatus::{ChargedBack, Disputed, Paid, PartiallyRefunded, Refunded};
    let charge = |refunded: i64| {
        let charge = json!({"captured": true, "amount": 900, "amount_refunded": refunded});
        (Family::Charge, charge)
    };
    for (hanging, status, refunded, why) in [
        (vec![], Paid, 0, "it stands"),
        (vec![charge(300)], PartiallyRefunded, 300, "the charge says"),
        (
            vec![refund(300, "pending")],
            PartiallyRefunded,
            300,
            "so does the refund",
        ),
        (vec![charge(900)], Refunded, 900, "all of it"),
        (
            vec![refund(500, "succeeded"), refund(400, "succeeded")],
            Refunded,
            900,
            "in two parts",
        ),
        (
            vec![charge(900), refund(900, "failed")],
            Paid,
            0,
            "the money came back",
        ),
        (
            vec![charge(900), refund(400, "failed")],
            PartiallyRefunded,
            500,
            "some of it did",
        ),
        (vec![dispute("needs_response")], Disputed, 0, "contested"),
        (vec![dispute("under_review")], Disputed, 0, "answered"),
        (vec![dispute("lost")], ChargedBack, 0, "taken back"),
        (vec![dispute("won")], Paid, 0, "the bank agreed"),
        (vec![dispute("prevented")], Paid, 0, "settled before"),
        (
            vec![dispute("warning_needs_response")],
            Paid,
            0,
            "only asked about",
        ),
        (
            vec![dispute("warning_closed")],
            Paid,
            0,
            "asked and answered",
        ),
        (vec![dispute("something_new")], Paid, 0, "concludes nothing"),
        (
            vec![dispute("lost"), dispute("needs_response")],
            Disputed,
            0,
            "the second is open",
        ),
        (
            vec![dispute("won"), charge(300)],
            PartiallyRefunded,
            300,
            "won, and paid back in part",
        ),
        (
            vec![dispute("lost"), charge(300)],
            ChargedBack,
            300,
            "the rest was taken",
        ),
    ] {
        let order = of_payments(vec![with("pi_1", &hanging)]);
        assert_eq!(
            (order.status, order.amount_refunded),
            (status, refunded),
            "{why}"
        );
    }
}

#[test]
fn of_several_payments_the_first_in_the_table_counts() {
    use OrderStatus::{
        Authorized, AwaitingCustomer, ChargedBack, Disputed, Paid, PartiallyRefunded, Pending,
        Refunded,
    };
    let status = |status: &str| {
        intent(
            "pi_2",
            &json!({"status": status, "amount": 900, "currency": "eur"}),
        )
    };
    let whole = || with("pi_1", &[refund(900, "succeeded")]);
    for (one, other, expected) in [
        (
            with("pi_1", &[]),
            with("pi_2", &[dispute("needs_response")]),
            Disputed,
        ),
        (with("pi_1", &[]), with("pi_2", &[dispute("lost")]), Paid),
        (whole(), with("pi_2", &[]), Paid),
        (with("pi_1", &[]), status("requires_payment_method"), Paid),
        (
            with("pi_1", &[refund(1, "succeeded")]),
            status("requires_capture"),
            PartiallyRefunded,
        ),
        (whole(), status("requires_capture"), Authorized),
        (
            with("pi_1", &[dispute("lost")]),
            status("requires_action"),
            ChargedBack,
        ),
        (whole(), status("requires_payment_method"), Refunded),
        (
            status("requires_action"),
            intent("pi_1", &json!({"status": "processing"})),
            AwaitingCustomer,
        ),
        (
            status("canceled"),
            intent("pi_1", &json!({"status": "processing"})),
            Pending,
        ),
    ] {
        let order = of_payments(vec![one.clone(), other.clone()]);
        assert_eq!(order.status, expected, "{one:?} {other:?}");
        assert_eq!(of_payments(vec![other, one]), order, "in any order");
    }
}

#[test]
fn what_was_captured_in_part_is_for_review_until_it_is_paid_back() {
    let part =
        json!({"status": "succeeded", "amount": 900, "amount_received": 600, "currency": "eur"});
    for (refunded, expected) in [
        (0, OrderStatus::Review),
        (100, OrderStatus::Review),
        (600, OrderStatus::Refunded),
    ] {
        let mut payment = intent("pi_1", &part);
        let charge = json!({"captured": true, "amount_refunded": refunded});
        payment.charges.push(view(Family::Charge, &charge));
        assert_eq!(of_payments(vec![payment]).status, expected, "{refunded}");
    }
}

#[test]
fn what_is_reserved_says_until_when() {
    let reserved = |status: &str, captured: bool| {
        let fields =
            json!({"status": status, "amount": 900, "amount_received": 900, "currency": "eur"});
        let mut payment = intent("pi_1", &fields);
        let charge = json!({
            "status": "succeeded", "captured": captured,
            "payment_method_details": {"card": {"capture_before": 77}},
        });
        payment.charges.push(view(Family::Charge, &charge));
        of_payments(vec![payment]).capture_before
    };
    assert_eq!(reserved("requires_capture", false), Some(77));
    assert_eq!(reserved("succeeded", true), None);
    assert_eq!(reserved("canceled", false), None, "it lapsed");
}

#[test]
fn a_session_that_ended_takes_its_unfinished_payment_along() {
    let ended = |session_fields: Value, intent_status: &str| {
        let mut fields = json!({"mode": "payment", "payment_intent": "pi_1", "amount_total": 900, "currency": "eur"});
        fields
            .as_object_mut()
            .unwrap()
            .extend(session_fields.as_object().unwrap().clone());
        let mut row = view(Family::CheckoutSession, &fields);
        if let Some(word) = fields.get("async_payment") {
            row.insert("async_payment", word.clone());
        }
        let payment = json!({"status": intent_status, "amount": 900, "amount_received": 900, "currency": "eur"});
        component(Component {
            payments: vec![intent("pi_1", &payment)],
            sessions: vec![("cs_1".to_owned(), Some(row))],
            ..Component::default()
        })
        .status
    };
    let failed =
        || json!({"status": "complete", "payment_status": "unpaid", "async_payment": "failed"});
    let expired = || json!({"status": "expired", "payment_status": "unpaid"});
    let open = || json!({"status": "complete", "payment_status": "unpaid"});
    for (session, intent, expected) in [
        (open(), "processing", OrderStatus::Pending),
        (open(), "requires_payment_method", OrderStatus::Pending),
        (failed(), "requires_payment_method", OrderStatus::Canceled),
        (failed(), "processing", OrderStatus::Pending),
        (failed(), "succeeded", OrderStatus::Paid),
        (expired(), "requires_action", OrderStatus::Canceled),
        (expired(), "succeeded", OrderStatus::Paid),
        (open(), "requires_action", OrderStatus::AwaitingCustomer),
    ] {
        assert_eq!(
            ended(session.clone(), intent),
            expected,
            "{session} {intent}"
        );
    }
}

#[test]
fn a_payment_whose_row_is_not_known_is_disputed_and_paid_back_all_the_same() {
    let status = |hanging: &[(Family, Value)]| {
        let fields = json!({"mode": "payment", "status": "complete", "payment_intent": "pi_1", "payment_status": "paid", "amount_total": 900, "currency": "eur"});
        let payment = Payment {
            row: None,
            ..with("pi_1", hanging)
        };
        let parts = Component {
            payments: vec![payment],
            sessions: vec![session("cs_1", &fields)],
            ..Component::default()
        };
        let order = component(parts);
        (order.status, order.amount_refunded)
    };
    assert_eq!(
        status(&[dispute("needs_response")]),
        (OrderStatus::Disputed, 0)
    );
    assert_eq!(
        status(&[refund(900, "succeeded")]),
        (OrderStatus::Refunded, 900)
    );
    assert_eq!(
        status(&[refund(100, "succeeded")]),
        (OrderStatus::PartiallyRefunded, 100)
    );
}

#[test]
fn sums_never_mix_currencies() {
    let mut dollars = paid(900);
    dollars["currency"] = json!("usd");
    let mut other = intent("pi_2", &dollars);
    other.refunds.push(view(
        Family::Refund,
        &json!({"amount": 900, "currency": "usd"}),
    ));
    let order = of_payments(vec![with("pi_1", &[refund(300, "succeeded")]), other]);
    assert_eq!(
        (order.amount_refunded, order.currency.as_deref()),
        (300, Some("eur"))
    );
}

#[test]
fn holds_follow_from_the_rows_and_change_no_status() {
    let review = (Family::Review, json!({"open": true, "created": 3}));
    let order = of_payments(vec![
        with("pi_2", &[dispute("warning_under_review")]),
        with("pi_1", &[dispute("warning_under_review"), review]),
    ]);
    assert_eq!(order.status, OrderStatus::Paid);
    let hold = |reason, object: &str, since| RuleHold {
        reason,
        object: object.to_owned(),
        since: Some(since),
    };
    assert_eq!(
        order.holds,
        [
            hold(HoldReason::InquiryOpen, "dp_1", 5),
            hold(HoldReason::ReviewOpen, "prv_1", 3)
        ],
        "each once"
    );
}

#[test]
fn a_row_of_an_earlier_version_is_still_an_order() {
    let row = json!({"id": "A-1", "aliases": ["pi_1"], "customer": null, "status": "paid", "amount": 4900,
        "amount_refunded": 0, "currency": "eur", "payment_intents": ["pi_1"], "created": 1});
    let order: Order = serde_json::from_value(row).unwrap();
    assert!(order.holds.is_empty() && order.capture_before.is_none());
}
