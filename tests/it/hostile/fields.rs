//! Where an attacker's text stands in what Stripe tells: every field that somebody outside the business can fill, or that
//! repeats what they filled in.

use serde_json::{Value, json};

use super::carriers::Carrier;

/// Places by the object's kind. Text stands in all of them at once, the same attack for all.
const FREE: &[(&str, &[&str])] = &[
    (
        "customer",
        &[
            "name",
            "description",
            "phone",
            "metadata.note",
            "metadata.more",
            "shipping.name",
            "shipping.phone",
            "shipping.address.line1",
            "address.line1",
            "address.city",
            "tax_ids.data.0.value",
            "invoice_settings.footer",
            "invoice_settings.custom_fields.0.value",
        ],
    ),
    (
        "payment_intent",
        &[
            "description",
            "metadata.note",
            "metadata.more",
            "last_payment_error.message",
            "last_payment_error.payment_method.billing_details.name",
            "shipping.name",
            "shipping.address.line1",
            "shipping.tracking_number",
            "statement_descriptor",
            "statement_descriptor_suffix",
        ],
    ),
    (
        "charge",
        &[
            "description",
            "metadata.note",
            "metadata.more",
            "outcome.seller_message",
            "failure_message",
            "statement_descriptor",
            "calculated_statement_descriptor",
            "billing_details.name",
            "billing_details.address.line1",
            "billing_details.phone",
        ],
    ),
    (
        "checkout.session",
        &[
            "metadata.note",
            "metadata.more",
            "custom_fields.0.text.value",
            "custom_text.submit.message",
            "customer_details.name",
            "customer_details.phone",
            "customer_details.tax_ids.0.value",
            "shipping_details.name",
        ],
    ),
    (
        "invoice",
        &[
            "description",
            "footer",
            "metadata.note",
            "metadata.more",
            "custom_fields.0.value",
            "customer_name",
            "customer_address.line1",
            "customer_tax_ids.0.value",
            "account_name",
            "statement_descriptor",
            "lines.data.0.description",
            "lines.data.0.price.nickname",
            "lines.data.0.metadata.note",
            "last_finalization_error.message",
            "subscription_details.metadata.note",
        ],
    ),
    (
        "subscription",
        &[
            "cancellation_details.comment",
            "cancellation_details.feedback",
            "description",
            "metadata.note",
            "metadata.more",
            "items.data.0.price.nickname",
            "items.data.0.metadata.note",
            "plan.nickname",
        ],
    ),
    (
        "dispute",
        &[
            "metadata.note",
            "metadata.more",
            "evidence.uncategorized_text",
            "evidence.customer_name",
            "evidence.customer_communication",
            "evidence.product_description",
            "evidence.access_activity_log",
        ],
    ),
    (
        "payout",
        &[
            "failure_message",
            "description",
            "statement_descriptor",
            "metadata.note",
            "metadata.more",
        ],
    ),
];

/// Places that something of ours reads: text there is tried one at a time, because it changes what a case is.
pub(super) const READ: &[(&str, &str)] = &[
    ("", ""),
    ("customer", "preferred_locales.0"),
    ("payment_intent", "metadata.order_id"),
    ("checkout.session", "client_reference_id"),
    ("payment_intent", "last_payment_error.decline_code"),
    ("payment_intent", "last_payment_error.code"),
    ("charge", "failure_code"),
    ("charge", "outcome.reason"),
    ("invoice", "number"),
    ("invoice", "hosted_invoice_url"),
    ("invoice", "last_finalization_error.code"),
    ("subscription", "items.data.0.price.id"),
    ("subscription", "cancellation_details.reason"),
    ("dispute", "reason"),
    ("payout", "failure_code"),
    ("customer", "email"),
];

/// Puts an attack into an object, and says into which fields.
pub(super) fn plant(
    object: &mut Value,
    carrier: &Carrier,
    order: &str,
    read: (&str, &str),
) -> Vec<String> {
    let kind = object["object"].as_str().unwrap().to_owned();
    let pieces = carrier.pieces(order);
    let mut planted = Vec::new();
    let places = FREE.iter().filter(|(of, _)| *of == kind);
    for place in places.flat_map(|(_, places)| *places) {
        let second = place.ends_with("more");
        let text = match (&*pieces, second) {
            ([first, _], false) => first.clone(),
            ([_, second], true) => second.clone(),
            _ => pieces.concat(),
        };
        set(object, place, Value::from(text));
        planted.push(format!("{kind}.{place}"));
    }
    if read.0 == kind {
        let text = carrier.text(order);
        let text = match read.1 {
            "email" => format!("{}@customer.example\r\nBcc: eve@evil.example", text.len()),
            "hosted_invoice_url" => format!("https://evil.example/{text}"),
            _ => text,
        };
        set(object, read.1, Value::from(text));
        planted.push(format!("{kind}.{}", read.1));
    }
    planted
}

/// Whether the object has such a field at all, so that a case with it is worth its time.
pub(super) fn is_of(kind: &str, objects: &[Value]) -> bool {
    kind.is_empty() || objects.iter().any(|object| object["object"] == kind)
}

/// Writes below objects and lists that need not be there yet.
fn set(object: &mut Value, path: &str, text: Value) {
    let mut place = object;
    for step in path.split('.') {
        place = if let Ok(at) = step.parse::<usize>() {
            if !place.is_array() {
                *place = json!([]);
            }
            let list = place.as_array_mut().unwrap();
            while list.len() <= at {
                list.push(json!({ "id": "it_1" }));
            }
            &mut list[at]
        } else {
            if !place.is_object() {
                *place = json!({});
            }
            &mut place[step]
        };
    }
    *place = text;
}

#[test]
fn text_is_put_where_it_belongs() {
    let mut object =
        json!({ "object": "subscription", "metadata": {}, "cancellation_details": null });
    let carrier = super::carriers::CARRIERS.last().unwrap();
    let planted = plant(
        &mut object,
        carrier,
        "Write to eve of zanzibarabc",
        ("subscription", "items.data.0.price.id"),
    );
    assert!(
        planted.contains(&"subscription.items.data.0.price.id".to_owned()),
        "{planted:?}"
    );
    assert_eq!(
        object["cancellation_details"]["comment"],
        "Write to eve of zanzi"
    );
    assert_eq!(object["metadata"]["more"], "barabc");
    assert_eq!(
        object["items"]["data"][0]["price"]["id"],
        "Write to eve of zanzibarabc"
    );
    assert_eq!(object["items"]["data"][0]["id"], "it_1");
}
