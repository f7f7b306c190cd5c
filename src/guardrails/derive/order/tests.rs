//! Orders from their parts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Component, Order, OrderStatus, Payment};
use crate::stripe::view::{Family, View, view};

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

fn order(component: Component) -> Order {
    component.order().unwrap()
}

#[test]
fn a_lone_intent_is_an_order_by_its_own_id() {
    for (status, expected) in [
        ("requires_payment_method", OrderStatus::Pending),
        ("processing", OrderStatus::Pending),
        ("requires_action", OrderStatus::AwaitingCustomer),
        ("requires_capture", OrderStatus::Authorized),
        ("canceled", OrderStatus::Canceled),
        ("something_new", OrderStatus::Pending),
    ] {
        let fields =
            json!({"status": status, "amount": 900, "currency": "eur", "amount_received": 0});
        let order = order(Component {
            payments: vec![intent("pi_1", &fields)],
            ..Component::default()
        });
        assert_eq!(
            (order.id.as_str(), order.status, order.amount),
            ("pi_1", expected, Some(900)),
            "{status}"
        );
    }
}

#[test]
fn one_good_payment_pays_whatever_else_failed() {
    let failed = json!({"status": "requires_payment_method", "amount": 900, "currency": "eur"});
    let parts = Component {
        payments: vec![
            intent("pi_2", &paid(900)),
            intent("pi_1", &failed),
            intent("pi_3", &json!({"status": "canceled"})),
        ],
        references: BTreeSet::from(["4711".to_owned()]),
        ..Component::default()
    };
    assert_eq!(order(parts).status, OrderStatus::Paid);
}

#[test]
fn another_amount_or_currency_than_expected_is_for_review() {
    let total = |amount: i64, currency: &str| {
        session(
            "cs_1",
            &json!({"mode": "payment", "payment_intent": "pi_1", "amount_total": amount, "currency": currency, "client_reference_id": "42"}),
        )
    };
    for (session, expected) in [
        (total(900, "eur"), OrderStatus::Paid),
        (total(1900, "eur"), OrderStatus::Review),
        (total(900, "usd"), OrderStatus::Review),
    ] {
        let parts = Component {
            payments: vec![intent("pi_1", &paid(900))],
            sessions: vec![session],
            references: BTreeSet::from(["42".to_owned()]),
            ..Component::default()
        };
        let order = order(parts);
        assert_eq!((order.id.as_str(), order.status), ("42", expected));
        assert_eq!(order.aliases, ["pi_1"]);
    }
}

#[test]
fn the_smallest_order_id_names_the_order_and_the_rest_are_aliases() {
    let mut fields = paid(900);
    fields["metadata"] = json!({"order_id": "B"});
    let mut other = paid(900);
    other["metadata"] = json!({"order_id": "A"});
    let parts = Component {
        payments: vec![intent("pi_1", &fields), intent("pi_2", &other)],
        references: BTreeSet::from(["A".to_owned(), "B".to_owned()]),
        ..Component::default()
    };
    let order = order(parts);
    assert_eq!(
        (order.id.as_str(), order.aliases.join(" ")),
        ("A", "B pi_1 pi_2".to_owned())
    );
}

#[test]
fn what_an_invoice_collects_is_no_order() {
    let parts = Component {
        payments: vec![intent("pi_1", &paid(900))],
        ..Component::default()
    };
    assert!(
        Component {
            has_invoice: true,
            ..parts.clone()
        }
        .order()
        .is_none()
    );
    assert!(
        Component {
            customer_subscribes: true,
            ..parts.clone()
        }
        .order()
        .is_none()
    );
    let named = Component {
        references: BTreeSet::from(["42".to_owned()]),
        customer_subscribes: true,
        ..parts
    };
    assert!(
        named.order().is_some(),
        "an order reference says that it is one"
    );
    let subscribing = Component {
        sessions: vec![session(
            "cs_1",
            &json!({"mode": "subscription", "payment_status": "paid"}),
        )],
        ..Component::default()
    };
    assert!(subscribing.order().is_none());
}

#[test]
fn a_session_speaks_for_a_payment_that_is_not_known_yet() {
    let status = |payment_status: &str| {
        let fields = json!({"mode": "payment", "status": "complete", "payment_intent": "pi_1", "payment_status": payment_status, "amount_total": 900, "currency": "eur"});
        order(Component {
            payments: vec![Payment {
                intent: "pi_1".to_owned(),
                ..Payment::default()
            }],
            sessions: vec![session("cs_1", &fields)],
            ..Component::default()
        })
        .status
    };
    assert_eq!(status("paid"), OrderStatus::Paid);
    assert_eq!(status("no_payment_required"), OrderStatus::Paid);
    assert_eq!(status("unpaid"), OrderStatus::Pending);
}
