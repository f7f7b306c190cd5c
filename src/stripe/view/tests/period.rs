//! What a period of a subscription costs, where its items say it outright.

use serde_json::{Value, json};

use super::check_field;
use crate::stripe::view::Family;

#[test]
fn a_period_costs_what_the_items_say_outright_and_nothing_is_guessed() {
    let item = |changes: Value| {
        let mut item =
            json!({"id": "si_1", "quantity": 3, "price": {"id": "price_1", "unit_amount": 500}});
        item.as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        item
    };
    let list = |items: &[Value]| json!({"items": {"data": items, "has_more": false}});
    let with = |changes: Value| {
        let mut object = list(&[item(json!({}))]);
        object
            .as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        object
    };
    let nothing = Some(Value::Null);
    for (object, expected) in [
        (list(&[item(json!({}))]), Some(json!(1500))),
        (
            list(&[item(json!({})), item(json!({"quantity": 1}))]),
            Some(json!(2000)),
        ),
        (
            list(&[json!({"quantity": 2, "plan": {"amount": 700}})]),
            Some(json!(1400)),
        ),
        (list(&[item(json!({"quantity": 0}))]), Some(json!(0))),
        (
            with(
                json!({"discount": null, "discounts": [], "default_tax_rates": [], "automatic_tax": {"enabled": false}}),
            ),
            Some(json!(1500)),
        ),
        (with(json!({"discount": {"id": "di_1"}})), nothing.clone()),
        (with(json!({"discounts": ["di_1"]})), nothing.clone()),
        (
            with(json!({"default_tax_rates": [{"id": "txr_1"}]})),
            nothing.clone(),
        ),
        (
            with(json!({"automatic_tax": {"enabled": true}})),
            nothing.clone(),
        ),
        (
            list(&[item(
                json!({"price": {"unit_amount": null, "unit_amount_decimal": "0.5"}}),
            )]),
            nothing.clone(),
        ),
        (
            list(&[item(
                json!({"price": {"unit_amount": 1, "transform_quantity": {"divide_by": 9}}}),
            )]),
            nothing.clone(),
        ),
        (
            list(&[item(
                json!({"price": {"unit_amount": 1, "recurring": {"usage_type": "metered"}}}),
            )]),
            nothing.clone(),
        ),
        (
            list(&[item(json!({"plan": {"usage_type": "metered"}}))]),
            nothing.clone(),
        ),
        (
            list(&[item(json!({"tax_rates": [{"id": "txr_1"}]}))]),
            nothing.clone(),
        ),
        (
            list(&[item(json!({"discounts": ["di_1"]}))]),
            nothing.clone(),
        ),
        (list(&[item(json!({"quantity": "3"}))]), nothing.clone()),
        (
            list(&[item(json!({"quantity": i64::MAX}))]),
            nothing.clone(),
        ),
        (list(&[item(json!({})), json!({})]), nothing.clone()),
        (list(&[]), nothing.clone()),
        (
            json!({"items": {"data": [item(json!({}))], "has_more": true}}),
            nothing,
        ),
        (json!({"items": {"data": {}}}), None),
        (json!({}), None),
    ] {
        check_field(
            Family::Subscription,
            &object,
            "period_amount",
            expected.as_ref(),
        );
    }
}
