use proptest::prelude::*;
use serde_json::json;

use super::*;

mod billing;
mod payments;

/// The view of `object` is `expected`, field by field, and nothing else.
#[track_caller]
fn check(family: Family, object: &Value, expected: &Value) {
    let view = serde_json::to_value(view(family, object)).unwrap();
    assert_eq!(&view, expected, "{family} {object}");
}

/// Only `field` is looked at: `None` is absent.
#[track_caller]
fn check_field(family: Family, object: &Value, field: &str, expected: Option<&Value>) {
    let view = view(family, object);
    assert_eq!(view.get(field), expected, "{family}.{field} of {object}");
}

#[test]
fn a_family_has_stripes_name_in_every_form() {
    for family in Family::ALL {
        assert_eq!(Family::parse(family.as_str()), Some(family));
        assert_eq!(family.to_string(), family.as_str());
        assert_eq!(
            serde_json::to_value(family).unwrap(),
            json!(family.as_str())
        );
        assert_eq!(
            serde_json::from_value::<Family>(json!(family.as_str())).unwrap(),
            family
        );
    }
    assert_eq!(Family::parse("checkout_session"), None);
    assert_eq!(Family::parse("application"), None);
}

#[test]
fn a_view_tells_absent_from_null_and_reads_by_type() {
    let view = view(
        Family::Charge,
        &json!({"amount": 500, "status": "failed", "paid": false, "customer": null}),
    );
    assert_eq!(
        (view.int("amount"), view.text("status")),
        (Some(500), Some("failed"))
    );
    assert_eq!(
        (view.flag("paid"), view.text("amount")),
        (Some(false), None)
    );
    assert!(view.is_present("customer") && view.is_null("customer"));
    assert!(!view.is_present("invoice") && !view.is_null("invoice"));
    let names: Vec<&str> = view.iter().map(|(field, _)| field).collect();
    assert_eq!(names, ["amount", "customer", "paid", "status"]);
    let text = serde_json::to_string(&view).unwrap();
    assert_eq!(
        text,
        r#"{"amount":500,"customer":null,"paid":false,"status":"failed"}"#
    );
    assert_eq!(serde_json::from_str::<View>(&text).unwrap(), view);
}

#[test]
fn fields_can_be_set() {
    let mut view = View::default();
    assert!(view.is_empty());
    assert_eq!(view.insert("status", "deleted"), None);
    assert_eq!(view.insert("status", Value::Null), Some(json!("deleted")));
    assert!(view.is_null("status") && !view.is_empty());
}

#[test]
fn what_says_nothing_has_an_empty_view() {
    for family in Family::ALL {
        for object in [
            json!({}),
            json!(null),
            json!("in_1"),
            json!([1]),
            json!({"id": "x_1"}),
        ] {
            assert!(view(family, &object).is_empty(), "{family} {object}");
        }
    }
}

#[test]
fn a_value_of_the_wrong_type_counts_as_absent() {
    for (family, object) in [
        (
            Family::Customer,
            json!({"email": 1, "delinquent": "no", "created": "5", "deleted": 1}),
        ),
        (
            Family::Subscription,
            json!({"status": {}, "cancel_at": 1.5, "customer": 3, "items": []}),
        ),
        (
            Family::Invoice,
            json!({"amount_due": "2000", "status": true, "payments": [], "paid": 1}),
        ),
        (
            Family::InvoicePayment,
            json!({"payment": "pi_1", "invoice": {}, "is_default": 0}),
        ),
        (
            Family::PaymentIntent,
            json!({"amount": u64::MAX, "metadata": "x", "charges": 2}),
        ),
        (
            Family::Charge,
            json!({"paid": "true", "currency": 7, "payment_intent": ""}),
        ),
        (
            Family::CheckoutSession,
            json!({"mode": 1, "amount_total": [], "customer_details": []}),
        ),
    ] {
        assert!(
            view(family, &object).is_empty(),
            "{:?}",
            view(family, &object)
        );
    }
}

/// An object made of the names that views look for, with values of every type below them.
fn any_object() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-zA-Z_\u{0}é]{0,6}".prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "id",
        "object",
        "data",
        "items",
        "price",
        "plan",
        "product",
        "charges",
        "payments",
        "payment",
        "payment_intent",
        "charge",
        "created",
        "parent",
        "subscription_details",
        "subscription",
        "metadata",
        "order_id",
        "last_payment_error",
        "code",
        "outcome",
        "reason",
        "type",
        "currency",
        "preferred_locales",
        "current_period_end",
        "customer",
        "latest_charge",
        "status",
        "paid",
    ]);
    leaf.prop_recursive(5, 80, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..9).prop_map(|fields| {
                Value::Object(
                    fields
                        .into_iter()
                        .map(|(name, v)| (name.to_owned(), v))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_has_a_view_of_plain_values_without_nul(object in any_object()) {
        for family in Family::ALL {
            for (field, value) in view(family, &object).iter() {
                prop_assert!(!value.is_object() && !value.is_array(), "{field}: {value}");
                prop_assert!(!value.as_str().is_some_and(|text| text.contains('\0')), "{field}");
            }
        }
    }
}
