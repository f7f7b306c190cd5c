use proptest::prelude::*;
use serde_json::json;

use super::*;

const RECEIVED: Timestamp = Timestamp(1_760_000_000_123_456);

fn parse(value: &Value) -> Result<Event, EventError> {
    Event::parse(value.to_string().as_bytes(), RECEIVED)
}

fn parsed(value: &Value) -> Event {
    parse(value).unwrap()
}

/// An event that carries nothing but what must be there, and `fields`.
fn with(fields: &Value) -> Value {
    let mut value = json!({"id": "evt_1", "type": "invoice.paid"});
    value
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    value
}

#[test]
fn a_snapshot_event_is_read_whole() {
    let event = parsed(&json!({
        "id": "evt_1Qa", "object": "event", "account": "acct_7", "api_version": "2025-03-31.basil",
        "created": 1_759_999_990, "context": "acct_7", "livemode": true, "pending_webhooks": 2,
        "data": {
            "object": {"id": "in_9", "object": "invoice", "customer": "cus_3"},
            "previous_attributes": {"status": "draft"}
        },
        "request": {"id": "req_5", "idempotency_key": "k"}, "type": "invoice.updated"
    }));
    assert_eq!(
        event,
        Event {
            id: "evt_1Qa".into(),
            kind: "invoice.updated".into(),
            created: Timestamp::from_seconds(1_759_999_990),
            livemode: true,
            api_version: Some("2025-03-31.basil".into()),
            account: Some("acct_7".into()),
            context: Some("acct_7".into()),
            request_id: Some("req_5".into()),
            object: json!({"id": "in_9", "object": "invoice", "customer": "cus_3"}),
            previous: Some(json!({"status": "draft"})),
        }
    );
    assert_eq!(event.object_id(), Some("in_9"));
    assert_eq!(event.object_kind(), Some("invoice"));
    assert_eq!(event.customer(), Some("cus_3"));
}

#[test]
fn an_id_and_a_type_are_enough() {
    let event = parsed(&with(&json!({})));
    assert_eq!(event.created, RECEIVED);
    assert!(!event.livemode);
    assert_eq!(event.object, Value::Null);
    assert_eq!((&event.api_version, &event.account), (&None, &None));
    assert_eq!(
        (&event.context, &event.request_id, &event.previous),
        (&None, &None, &None)
    );
    assert_eq!(
        (event.object_id(), event.object_kind(), event.customer()),
        (None, None, None)
    );
}

#[test]
fn fields_of_an_unknown_kind_are_as_good_as_missing() {
    let event = parsed(&with(&json!({
        "created": {"at": 1}, "livemode": "yes", "api_version": 7, "account": [], "context": {"a": 1},
        "request": 12, "data": "gone", "object": null, "brand_new": {"deep": [1]}
    })));
    assert_eq!(event, parsed(&with(&json!({}))));
}

#[test]
fn a_thin_event_is_read_and_carries_no_object() {
    let event = parsed(&json!({
        "id": "evt_test_65", "object": "v2.core.event", "type": "v1.billing.meter.no_meter_found",
        "livemode": false, "created": "2026-10-01T09:12:33.120Z", "context": null,
        "reason": {"type": "request", "request": {"id": "req_1", "idempotency_key": "k1"}}
    }));
    assert_eq!(event.created.iso(), "2026-10-01T09:12:33.12Z");
    assert_eq!(event.request_id.as_deref(), Some("req_1"));
    assert_eq!(event.object, Value::Null);
    assert_eq!(event.context, None);
}

#[test]
fn created_is_read_in_every_form_and_else_taken_from_the_receipt() {
    let second = Timestamp::from_seconds(1_700_000_000);
    for (created, expected) in [
        (json!(1_700_000_000), second),
        (json!(1_700_000_000.75), second),
        (json!("1700000000"), second),
        (json!("1700000000.5"), second),
        (json!("2023-11-14T22:13:20Z"), second),
        (json!("2023-11-14T23:13:20+01:00"), second),
        (json!(0), Timestamp(0)),
        (json!(null), RECEIVED),
        (json!(true), RECEIVED),
        (json!(-1), RECEIVED),
        (json!(i64::MAX), RECEIVED),
        (json!(u64::MAX), RECEIVED),
        (json!(1e300), RECEIVED),
        (json!(1_700_000_000_000_i64), RECEIVED),
        (json!("NaN"), RECEIVED),
        (json!("inf"), RECEIVED),
        (json!("soon"), RECEIVED),
        (json!("1969-12-31T23:59:59Z"), RECEIVED),
        (json!(""), RECEIVED),
    ] {
        assert_eq!(
            parsed(&with(&json!({"created": created}))).created,
            expected,
            "{created}"
        );
    }
}

#[test]
fn request_is_an_object_or_a_string() {
    for (request, expected) in [
        (
            json!({"id": "req_1", "idempotency_key": null}),
            Some("req_1"),
        ),
        (json!({"id": null, "idempotency_key": null}), None),
        (json!("req_2"), Some("req_2")),
        (json!(null), None),
    ] {
        let event = parsed(&with(&json!({"request": request})));
        assert_eq!(event.request_id.as_deref(), expected, "{request}");
    }
}

#[test]
fn what_is_no_event_is_named() {
    for (body, expected) in [
        ("", "the body is empty: send the event as JSON"),
        ("[]", "the body is no JSON object: send one event at a time"),
        (
            "null",
            "the body is no JSON object: send one event at a time",
        ),
        (
            r#"{"id":"in_1","object":"invoice","type":"x"}"#,
            "`object` is \"invoice\", which is no event: send the whole event, not only what it is about",
        ),
        (
            r#"{"id":"evt_1","object":7,"type":"x"}"#,
            "`object` is 7, which is no event: send the whole event, not only what it is about",
        ),
        (
            r#"{"object":"event","type":"x"}"#,
            "the event has no `id`: it must be a string that is not empty",
        ),
        (
            r#"{"id":7,"object":"event","type":"x"}"#,
            "the event has no `id`: it must be a string that is not empty",
        ),
        (
            r#"{"id":"evt_1","object":"event"}"#,
            "the event has no `type`: it must be a string that is not empty",
        ),
        (
            r#"{"id":"evt_1","object":"event","type":""}"#,
            "the event has no `type`: it must be a string that is not empty",
        ),
        (
            r#"{"id":"\u0000","object":"event","type":"x"}"#,
            "the event has no `id`: it must be a string that is not empty",
        ),
    ] {
        let error = Event::parse(body.as_bytes(), RECEIVED).unwrap_err();
        assert_eq!(error.to_string(), expected, "{body}");
    }
    for body in ["{", "{}x", "\u{feff}{}", "{\"id\": \"\u{0}\"}"] {
        let error = Event::parse(body.as_bytes(), RECEIVED).unwrap_err();
        assert!(matches!(error, EventError::NotJson(_)), "{body}: {error}");
    }
}

#[test]
fn ids_types_and_accounts_over_255_characters_are_refused() {
    let (fits, long) = ("é".repeat(255), "é".repeat(256));
    for field in ["id", "type", "account"] {
        assert!(parse(&with(&json!({ field: fits }))).is_ok(), "{field}");
        let error = parse(&with(&json!({ field: long }))).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`{field}` is longer than 255 characters: this is no event of Stripe's")
        );
    }
    assert_eq!(
        parsed(&with(&json!({"api_version": long}))).api_version,
        Some(fits)
    );
}

#[test]
fn bytes_that_are_not_utf_8_are_no_json() {
    let body = b"{\"id\":\"evt_1\",\"type\":\"x\",\"x\":\"\xff\xfe\"}";
    assert!(matches!(
        Event::parse(body, RECEIVED),
        Err(EventError::NotJson(_))
    ));
}

#[test]
fn nul_leaves_the_envelope_the_object_and_the_previous_attributes() {
    let event = parsed(&json!({
        "id": "evt\0_1", "type": "customer.\0updated", "account": "acct_\0", "api_version": "\0",
        "request": "re\0q", "data": {
            "object": {"id": "cus_\x001", "object": "customer", "metadata": {"k\0": "v\0"}},
            "previous_attributes": {"na\0me": "A\0da"}
        }
    }));
    assert_eq!(
        (event.id.as_str(), event.kind.as_str()),
        ("evt_1", "customer.updated")
    );
    assert_eq!(event.account.as_deref(), Some("acct_"));
    assert_eq!(event.api_version, None);
    assert_eq!(event.request_id.as_deref(), Some("req"));
    assert_eq!(
        event.object,
        json!({"id": "cus_1", "object": "customer", "metadata": {"k": "v"}})
    );
    assert_eq!(event.previous, Some(json!({"name": "Ada"})));
}

#[test]
fn deep_nesting_is_an_error_and_no_crash() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [129, 200_000] {
            let inner = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let body = format!("{{\"id\":\"evt_1\",\"type\":\"x\",\"data\":{inner}}}");
            let error = Event::parse(body.as_bytes(), RECEIVED).unwrap_err();
            assert!(error.to_string().contains("recursion limit"), "{error}");
        }
    }
    let inner = format!("{}1{}", "[".repeat(120), "]".repeat(120));
    let body = format!("{{\"id\":\"evt_1\",\"type\":\"x\",\"data\":{{\"object\":{inner}}}}}");
    assert!(Event::parse(body.as_bytes(), RECEIVED).is_ok());
}

#[test]
fn of_duplicate_keys_the_last_one_stands() {
    let body = br#"{"id":"evt_1","id":"evt_2","type":"x","data":{"object":{"a":1,"a":2}}}"#;
    let event = Event::parse(body, RECEIVED).unwrap();
    assert_eq!(event.id, "evt_2");
    assert_eq!(event.object, json!({"a": 2}));
}

#[test]
fn the_customer_is_the_object_or_what_it_refers_to() {
    for (object, expected) in [
        (
            json!({"object": "customer", "id": "cus_1", "customer": "cus_2"}),
            Some("cus_1"),
        ),
        (json!({"object": "customer"}), None),
        (
            json!({"object": "invoice", "customer": "cus_2"}),
            Some("cus_2"),
        ),
        (
            json!({"object": "invoice", "customer": {"id": "cus_2", "object": "customer"}}),
            Some("cus_2"),
        ),
        (
            json!({"object": "invoice", "customer": {"id": "cus_2", "deleted": true}}),
            Some("cus_2"),
        ),
        (json!({"object": "invoice", "customer": null}), None),
        (json!({"object": "invoice"}), None),
        (json!({"customer": "cus_2"}), Some("cus_2")),
        (json!("customer"), None),
    ] {
        let event = parsed(&with(&json!({"data": {"object": object}})));
        assert_eq!(event.customer(), expected, "{object}");
    }
}

/// Any JSON that a body of moderate size can hold, with the envelope's own names among its keys.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("event")),
        Just(json!("\u{0}")),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any_key(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "id", "type", "object", "created", "data", "request", "reason", "account", "customer",
        ])
        .prop_map(str::to_owned),
        ".{0,6}",
    ]
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(key, value)| key.contains('\0') || has_nul(value)),
        _ => false,
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _outcome = Event::parse(&body, RECEIVED);
    }

    #[test]
    fn no_json_makes_it_panic_and_nul_never_survives(mut value in any_json(), named in any::<bool>()) {
        if let (true, Some(fields)) = (named, value.as_object_mut()) {
            fields.insert("id".into(), json!("evt_1"));
            fields.insert("type".into(), json!("x"));
            fields.remove("object");
        }
        if let Ok(event) = parse(&value) {
            prop_assert!(!has_nul(&event.object));
            prop_assert!(!event.id.is_empty() && !event.id.contains('\0'));
            prop_assert!(event.created.0 >= 0);
            let identity = |event: &Event| {
                [event.customer(), event.object_id(), event.object_kind()].map(|id| id.map(str::to_owned))
            };
            prop_assert_eq!(identity(&event), identity(&event.clone().without_content()));
        }
    }
}
