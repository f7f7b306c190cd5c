use proptest::prelude::*;
use serde_json::json;

use super::*;

/// The edges of `object` are exactly `expected`, each written `kind/id kind/id`, in any order.
#[track_caller]
fn check(family: Family, id: &str, object: &Value, expected: &[&str]) {
    let found = edges(family, id, object);
    let mut expected: Vec<Edge> = expected
        .iter()
        .map(|text| {
            let (a, b) = text.split_once(' ').unwrap();
            Edge::new(a.parse().unwrap(), b.parse().unwrap())
        })
        .collect();
    expected.sort();
    assert_eq!(found, expected, "{family} {object}");
}

#[test]
fn a_payment_intent_of_any_version() {
    check(
        Family::PaymentIntent,
        "pi_1",
        &json!({
            "customer": "cus_1", "invoice": "in_1", "metadata": {"order_id": 1001},
            "charges": {"data": [
                {"id": "ch_1", "payment_intent": "pi_1", "customer": "cus_1", "invoice": "in_1"},
                {"id": "ch_2"}
            ]},
            "last_payment_error": {"charge": "ch_2"}
        }),
        &[
            "payment_intent/pi_1 customer/cus_1",
            "payment_intent/pi_1 invoice/in_1",
            "payment_intent/pi_1 order_reference/1001",
            "payment_intent/pi_1 charge/ch_1",
            "payment_intent/pi_1 charge/ch_2",
            "charge/ch_1 customer/cus_1",
            "charge/ch_1 invoice/in_1",
        ],
    );
    check(
        Family::PaymentIntent,
        "pi_1",
        &json!({
            "customer": null, "latest_charge": "ch_3", "last_payment_error": {"charge": "ch_2"},
            "metadata": {}
        }),
        &[
            "payment_intent/pi_1 charge/ch_3",
            "payment_intent/pi_1 charge/ch_2",
        ],
    );
    check(
        Family::PaymentIntent,
        "pi_1",
        &json!({"latest_charge": null, "last_payment_error": null, "metadata": null}),
        &[],
    );
}

#[test]
fn an_invoice_of_any_version() {
    let old = json!({
        "customer": {"id": "cus_1", "deleted": true}, "subscription": "sub_1",
        "payment_intent": "pi_1", "charge": "ch_1"
    });
    let of_old = [
        "invoice/in_1 customer/cus_1",
        "invoice/in_1 subscription/sub_1",
        "invoice/in_1 payment_intent/pi_1",
        "invoice/in_1 charge/ch_1",
    ];
    check(Family::Invoice, "in_1", &old, &of_old);

    let mut new = json!({
        "customer": "cus_1",
        "parent": {"type": "subscription_details", "subscription_details": {"subscription": "sub_1"}},
        "payments": {"data": [
            {"payment": {"type": "payment_intent", "payment_intent": "pi_1"}},
            {"payment": {"type": "charge", "charge": "ch_1"}},
            {"payment": {"type": "payment_intent", "payment_intent": "pi_2"}},
            {"payment": {"type": "payment_record", "payment_record": "prec_1"}}
        ]}
    });
    let mut of_new = of_old.to_vec();
    of_new.push("invoice/in_1 payment_intent/pi_2");
    check(Family::Invoice, "in_1", &new, &of_new);

    // Both shapes at once, and they differ: both links were written down.
    new["subscription"] = json!("sub_2");
    new["payment_intent"] = json!("pi_3");
    of_new.extend([
        "invoice/in_1 subscription/sub_2",
        "invoice/in_1 payment_intent/pi_3",
    ]);
    check(Family::Invoice, "in_1", &new, &of_new);

    check(
        Family::Invoice,
        "in_1",
        &json!({"payments": {"data": []}, "parent": null}),
        &[],
    );
}

#[test]
fn a_charge_a_subscription_a_session_and_a_customer() {
    check(
        Family::Charge,
        "ch_1",
        &json!({"payment_intent": "pi_1", "invoice": "in_1", "customer": "cus_1", "metadata": {"order_id": "7"}}),
        &[
            "charge/ch_1 payment_intent/pi_1",
            "charge/ch_1 invoice/in_1",
            "charge/ch_1 customer/cus_1",
        ],
    );
    check(
        Family::Subscription,
        "sub_1",
        &json!({"customer": "cus_1", "latest_invoice": "in_1"}),
        &[
            "subscription/sub_1 customer/cus_1",
            "subscription/sub_1 invoice/in_1",
        ],
    );
    check(
        Family::CheckoutSession,
        "cs_1",
        &json!({
            "payment_intent": "pi_1", "invoice": "in_1", "subscription": "sub_1", "customer": "cus_1",
            "client_reference_id": "cart/7", "metadata": {"order_id": "1001"}
        }),
        &[
            "checkout.session/cs_1 payment_intent/pi_1",
            "checkout.session/cs_1 invoice/in_1",
            "checkout.session/cs_1 subscription/sub_1",
            "checkout.session/cs_1 customer/cus_1",
            "checkout.session/cs_1 order_reference/cart/7",
            "checkout.session/cs_1 order_reference/1001",
        ],
    );
    check(
        Family::CheckoutSession,
        "cs_1",
        &json!({"client_reference_id": "1001", "metadata": {"order_id": "1001"}, "invoice": null}),
        &["checkout.session/cs_1 order_reference/1001"],
    );
    check(Family::Customer, "cus_1", &json!({"email": "a@b.c"}), &[]);
}

#[test]
fn a_payment_towards_an_invoice_links_the_invoice() {
    check(
        Family::InvoicePayment,
        "inpay_1",
        &json!({"invoice": "in_1", "payment": {"payment_intent": "pi_1", "charge": "ch_1"}}),
        &[
            "invoice/in_1 payment_intent/pi_1",
            "invoice/in_1 charge/ch_1",
        ],
    );
    check(
        Family::InvoicePayment,
        "inpay_1",
        &json!({"invoice": {"id": "in_1", "customer": "cus_1"}, "payment": {"payment_intent": {"id": "pi_1"}}}),
        &[
            "invoice/in_1 payment_intent/pi_1",
            "invoice/in_1 customer/cus_1",
        ],
    );
    check(
        Family::InvoicePayment,
        "inpay_1",
        &json!({"payment": {"payment_intent": "pi_1"}}),
        &[],
    );
}

#[test]
fn expanded_objects_show_their_own_links() {
    check(
        Family::Subscription,
        "sub_1",
        &json!({
            "customer": {"id": "cus_1", "object": "customer"},
            "latest_invoice": {
                "id": "in_1",
                "payment_intent": {
                    "id": "pi_1", "metadata": {"order_id": "7"}, "latest_charge": {"id": "ch_1", "customer": "cus_1"}
                }
            }
        }),
        &[
            "subscription/sub_1 customer/cus_1",
            "subscription/sub_1 invoice/in_1",
            "invoice/in_1 payment_intent/pi_1",
            "payment_intent/pi_1 order_reference/7",
            "payment_intent/pi_1 charge/ch_1",
            "charge/ch_1 customer/cus_1",
        ],
    );
}

#[test]
fn an_object_without_an_id_links_nothing_itself() {
    let upcoming = json!({
        "customer": "cus_1", "subscription": {"id": "sub_1", "customer": "cus_1"}
    });
    for id in ["", &"x".repeat(256)] {
        check(
            Family::Invoice,
            id,
            &upcoming,
            &["subscription/sub_1 customer/cus_1"],
        );
    }
}

#[test]
fn what_is_no_reference_is_no_link() {
    for value in [
        json!(""),
        json!(7),
        json!({}),
        json!([]),
        json!("x".repeat(256)),
        json!(null),
    ] {
        for family in Family::ALL {
            let object = json!({
                "customer": value, "invoice": value, "payment_intent": value, "charge": value,
                "latest_charge": value, "subscription": value, "latest_invoice": value,
                "charges": {"data": [value]}, "payments": {"data": [value]}, "payment": value,
                "parent": value, "last_payment_error": value, "metadata": value
            });
            check(family, "x_1", &object, &[]);
        }
    }
    for object in [json!(null), json!("pi_1"), json!([{"customer": "cus_1"}])] {
        check(Family::PaymentIntent, "pi_1", &object, &[]);
    }
}

#[test]
fn an_edge_has_no_direction() {
    let (a, b) = (
        Node::new(NodeKind::Invoice, "in_1"),
        Node::new(NodeKind::Charge, "ch_1"),
    );
    let edge = Edge::new(a.clone(), b.clone());
    assert_eq!(edge, Edge::new(b.clone(), a.clone()));
    assert_eq!((edge.first(), edge.last()), (&b, &a));
    assert_eq!((edge.other(&a), edge.other(&b)), (Some(&b), Some(&a)));
    assert_eq!(edge.other(&Node::new(NodeKind::Charge, "ch_2")), None);
    let text = serde_json::to_string(&edge).unwrap();
    assert_eq!(text, r#"["charge/ch_1","invoice/in_1"]"#);
    let turned: Edge = serde_json::from_str(r#"["invoice/in_1","charge/ch_1"]"#).unwrap();
    assert_eq!(turned, edge);
}

#[test]
fn a_node_is_read_back_as_it_is_written() {
    for kind in NodeKind::ALL {
        let node = Node::new(kind, "a/b c");
        assert_eq!(node.to_string(), format!("{}/a/b c", kind.as_str()));
        assert_eq!(node.to_string().parse(), Ok(node));
    }
    for text in [
        "",
        "charge",
        "charge/",
        "price/price_1",
        "/ch_1",
        "Charge/ch_1",
    ] {
        let error = text.parse::<Node>().unwrap_err().to_string();
        let expected =
            format!("`{text}` names no object: write KIND/ID, as in payment_intent/pi_1");
        assert_eq!(error, expected);
        assert!(
            serde_json::from_value::<Node>(json!(text)).is_err(),
            "{text}"
        );
    }
}

fn any_node() -> impl Strategy<Value = Node> {
    (prop::sample::select(NodeKind::ALL.to_vec()), "[ -~é]{1,4}")
        .prop_map(|(kind, id)| Node::new(kind, id))
}

proptest! {
    /// Locks are taken in this order by databases and by programs alike.
    #[test]
    fn nodes_sort_as_their_texts_do(a in any_node(), b in any_node()) {
        prop_assert_eq!(a.cmp(&b), a.to_string().as_bytes().cmp(b.to_string().as_bytes()));
    }

    /// A reference may come expanded in one event and as an id in the next: the link is the same.
    #[test]
    fn how_a_reference_is_written_does_not_matter(forms in prop::collection::vec(0..3_usize, 7)) {
        let mut forms = forms.into_iter();
        let mut write = |id: &str| match forms.next() {
            Some(0) => json!({"id": id, "object": "thing"}),
            Some(1) => json!({"id": id, "object": "thing", "deleted": true}),
            _ => json!(id),
        };
        let invoice = json!({
            "customer": write("cus_1"), "subscription": write("sub_1"), "charge": write("ch_1"),
            "payment_intent": write("pi_1"),
            "parent": {"subscription_details": {"subscription": write("sub_2")}},
            "payments": {"data": [
                {"payment": {"payment_intent": write("pi_2")}}, {"payment": {"charge": write("ch_2")}}
            ]}
        });
        check(Family::Invoice, "in_1", &invoice, &[
            "invoice/in_1 customer/cus_1", "invoice/in_1 subscription/sub_1",
            "invoice/in_1 subscription/sub_2", "invoice/in_1 payment_intent/pi_1",
            "invoice/in_1 payment_intent/pi_2", "invoice/in_1 charge/ch_1",
            "invoice/in_1 charge/ch_2",
        ]);
    }
}

/// `value` where `place` says, and nothing beside it.
fn nested(place: &str, value: Value) -> Value {
    place
        .rsplit('.')
        .fold(value, |value, key| match key.strip_suffix("[]") {
            Some(key) => json!({ key: [value] }),
            None => json!({ key: value }),
        })
}

#[test]
fn every_place_links_in_every_form_of_a_reference() {
    let mut count = 0;
    for family in Family::ALL {
        for (place, neighbour) in places(family) {
            let links = |value: Value| {
                let mut object = nested(place, value);
                if family == Family::InvoicePayment {
                    object["invoice"] = json!("own_1");
                }
                edges(family, "own_1", &object)
            };
            let own = NodeKind::of(family);
            let own = match family {
                Family::InvoicePayment => Some(NodeKind::Invoice),
                _ => own,
            };
            let expected: Vec<Edge> = own
                .map(|own| {
                    let other = Node::new(NodeKind::of(*neighbour).unwrap(), "x_1");
                    Edge::new(Node::new(own, "own_1"), other)
                })
                .into_iter()
                .collect();
            let thing = json!({ "id": "x_1", "object": neighbour.as_str() });
            let deleted = json!({ "id": "x_1", "object": neighbour.as_str(), "deleted": true });
            for named in [json!("x_1"), thing, deleted] {
                assert_eq!(links(named.clone()), expected, "{family} {place} {named}");
            }
            for nothing in [json!(null), json!({}), json!(7), json!([]), json!("")] {
                assert_eq!(links(nothing.clone()), [], "{family} {place} {nothing}");
            }
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
}
