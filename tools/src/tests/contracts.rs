//! The committed contracts equal the code, stay inside the strict subset, and accept what they should.

use std::collections::BTreeSet;
use std::path::Path;

use crate::{all, contract_file, find};
use serde_json::{Value, json};

#[test]
fn committed_contracts_equal_the_code() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut expected = BTreeSet::new();
    for tool in all() {
        let name = format!("{}.json", tool.name());
        let committed = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert_eq!(
            committed,
            contract_file(tool.as_ref()),
            "tools/{name} differs: run `billhook tools export`"
        );
        expected.insert(name);
    }
    let committed: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            Path::new(name)
                .extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    assert_eq!(
        committed, expected,
        "a contract in tools/ belongs to no tool: run `billhook tools export`"
    );
}

#[test]
fn the_tools_of_the_mission_are_there_and_found_by_name() {
    let names: Vec<&str> = all().iter().map(|tool| tool.name()).collect();
    for name in [
        "update_order",
        "get_payment_history",
        "send_email",
        "notify_sales",
        "notify_finance",
        "schedule_winback",
    ] {
        assert!(names.contains(&name), "{name} is missing");
        assert_eq!(find(name).unwrap().name(), name);
    }
    assert_eq!(
        names.iter().collect::<BTreeSet<_>>().len(),
        names.len(),
        "two tools share a name"
    );
    for name in ["", "Send_Email", "send_email ", "refund"] {
        assert!(find(name).is_none(), "{name:?} was found");
    }
}

#[test]
fn contracts_name_the_tool_and_explain_it() {
    for tool in all() {
        let contract = tool.contract();
        assert_eq!(contract.name, tool.name());
        assert!(contract.strict);
        assert!(
            contract.description.len() > 100,
            "{} says too little",
            contract.name
        );
        // The limit of the OpenAI API for a function's description.
        assert!(
            contract.description.len() <= 1024,
            "{} says too much",
            contract.name
        );
        let properties = contract.parameters["properties"].as_object().unwrap();
        assert!(
            properties
                .values()
                .all(|property| property["description"].is_string()),
            "{}",
            contract.name
        );
        // What design fixes for a call can never be expressed in it.
        for fixed in [
            "to",
            "recipient",
            "email",
            "customer",
            "order",
            "subscription",
            "amount",
            "currency",
            "url",
        ] {
            assert!(
                !properties.contains_key(fixed),
                "{} lets the model choose `{fixed}`",
                contract.name
            );
        }
    }
}

/// Walks a schema; everything that is not in the list is a keyword some server refuses.
fn walk(schema: &Value, at: &str) {
    const KEYWORDS: [&str; 8] = [
        "type",
        "description",
        "enum",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "anyOf",
    ];
    let object = schema
        .as_object()
        .unwrap_or_else(|| panic!("{at} is no schema"));
    for keyword in object.keys() {
        assert!(
            KEYWORDS.contains(&keyword.as_str()),
            "{at} uses `{keyword}`"
        );
    }
    if let Some(properties) = object.get("properties") {
        let properties = properties.as_object().unwrap();
        let required: Vec<&str> = object["required"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        assert_eq!(
            required,
            properties.keys().collect::<Vec<_>>(),
            "{at} does not require all it has"
        );
        assert_eq!(
            object["additionalProperties"],
            json!(false),
            "{at} lets more in"
        );
        for (name, property) in properties {
            walk(property, &format!("{at}.{name}"));
        }
    }
    if let Some(items) = object.get("items") {
        walk(items, &format!("{at}[]"));
    }
    for branch in object
        .get("anyOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        walk(branch, &format!("{at}|"));
    }
}

#[test]
fn parameters_are_json_schema_inside_the_strict_subset() {
    for tool in all() {
        let parameters = tool.contract().parameters;
        jsonschema::draft202012::meta::validate(&parameters).unwrap();
        assert_eq!(parameters["type"], "object");
        assert!(parameters.get("anyOf").is_none());
        walk(&parameters, tool.name());
    }
}

#[test]
fn schemas_accept_good_arguments_and_refuse_bad_ones() {
    for (name, good, bad) in [
        (
            "update_order",
            vec![
                json!({"change": "hold", "note": "unusual_payment"}),
                json!({"change": "release", "note": "resolved"}),
            ],
            vec![
                json!({}),
                json!({"change": "hold"}),
                json!({"change": "paid", "note": "resolved"}),
                json!({"change": "hold", "note": "needs_review", "order": "in_1"}),
                json!({"change": null, "note": "needs_review"}),
            ],
        ),
        (
            "get_payment_history",
            vec![json!({"limit": 1}), json!({"limit": 50})],
            vec![
                json!({}),
                json!({"limit": "5"}),
                json!({"limit": null}),
                json!({"limit": 5, "customer": "cus_2"}),
            ],
        ),
        (
            "send_email",
            vec![json!({"subject": "Your payment", "body": "Hello {{name}}"})],
            vec![
                json!({"subject": "x"}),
                json!({"subject": "x", "body": ["y"]}),
                json!({"subject": "x", "body": "y", "to": "a@example.com"}),
            ],
        ),
        (
            "notify_sales",
            vec![json!({"priority": "high", "summary": "A large payment failed."})],
            vec![
                json!({"priority": "urgent", "summary": "x"}),
                json!({"priority": "high"}),
                json!("high"),
            ],
        ),
        (
            "notify_finance",
            vec![json!({"priority": "high", "summary": "A payment is disputed."})],
            vec![
                json!({"priority": "high", "summary": null}),
                json!({"priority": "high", "summary": "x", "channel": "sales"}),
                json!({"priority": "high", "summary": "x", "due_by": 1}),
            ],
        ),
        (
            "schedule_winback",
            vec![
                json!({"delay_days": 7, "campaign": "ask_why"}),
                json!({"delay_days": 90, "campaign": "come_back"}),
            ],
            vec![
                json!({"delay_days": 7.5, "campaign": "ask_why"}),
                json!({"delay_days": 7, "campaign": "half_price"}),
                json!({"delay_days": 7, "campaign": "ask_why", "discount": 100}),
            ],
        ),
    ] {
        let validator =
            jsonschema::validator_for(&find(name).unwrap().contract().parameters).unwrap();
        for arguments in good {
            assert!(validator.is_valid(&arguments), "{name} refuses {arguments}");
        }
        for arguments in bad {
            assert!(
                !validator.is_valid(&arguments),
                "{name} accepts {arguments}"
            );
        }
    }
}
