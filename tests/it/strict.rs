//! The tools' schemas against strict decoding, by a normalizer of our own: what `ensure_strict_json_schema` of OpenAI's
//! agents does to a schema, and what its guide and other servers refuse. It shares no code with what made the schemas.

use std::path::Path;

use serde_json::{Map, Value, json};

const DEEPEST: usize = 10;
const MOST_PROPERTIES: usize = 5000;
const MOST_VALUES: usize = 1000;
/// Characters of all names and values together.
const MOST_CHARACTERS: usize = 120_000;
/// From so many values on, these may have that many characters together.
const LONG_LIST: (usize, usize) = (250, 15_000);

/// What the subset has no word for.
const UNKNOWN: [&str; 13] = [
    "allOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "patternProperties",
    "propertyNames",
    "unevaluatedProperties",
    "contains",
    "prefixItems",
];

/// What some servers refuse and others do not look at, so that nobody may count on it.
const UNHEARD: [&str; 15] = [
    "format",
    "default",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
];

/// What a whole schema has used up.
#[derive(Default)]
struct Size {
    properties: usize,
    values: usize,
    characters: usize,
}

/// The schema as strict decoding wants it, or why it cannot be.
fn normalized(schema: &Value) -> Result<Value, String> {
    if schema["type"] != "object" || schema.get("anyOf").is_some() || schema.get("oneOf").is_some()
    {
        return Err("the root is no object".to_owned());
    }
    let mut size = Size::default();
    let out = node(schema, schema, 1, &mut size)?;
    if size.properties > MOST_PROPERTIES
        || size.values > MOST_VALUES
        || size.characters > MOST_CHARACTERS
    {
        let Size {
            properties,
            values,
            characters,
        } = size;
        return Err(format!(
            "{properties} properties, {values} values, {characters} characters"
        ));
    }
    Ok(out)
}

fn node(schema: &Value, root: &Value, depth: usize, size: &mut Size) -> Result<Value, String> {
    let Value::Object(given) = schema else {
        return Err(format!("{schema} says nothing"));
    };
    let mut left = given.clone();
    if depth > DEEPEST {
        return Err(format!("deeper than {DEEPEST}"));
    }
    for word in UNKNOWN.iter().chain(&UNHEARD) {
        if left.contains_key(*word) {
            return Err(format!("{word} is not known"));
        }
    }
    if let Some(target) = left.get("$ref").and_then(Value::as_str) {
        if left.len() == 1 {
            return Ok(schema.clone());
        }
        // Beside its words a reference is not seen: what it names is put in its place.
        let target = root
            .pointer(target.trim_start_matches('#'))
            .ok_or("a reference to nothing")?;
        let mut inlined = target
            .as_object()
            .cloned()
            .ok_or("a reference to no schema")?;
        left.remove("$ref");
        inlined.append(&mut left);
        return node(&Value::Object(inlined), root, depth, size);
    }
    if let Some(one) = left.remove("oneOf") {
        left.insert("anyOf".to_owned(), one);
    }
    for word in ["$defs", "definitions"] {
        if let Some(Value::Object(definitions)) = left.get_mut(word) {
            for definition in definitions.values_mut() {
                *definition = node(definition, root, depth, size)?;
            }
        }
    }
    if let Some(Value::Array(branches)) = left.get_mut("anyOf") {
        for branch in branches {
            *branch = node(branch, root, depth, size)?;
        }
    } else if !left.contains_key("type") {
        return Err("takes anything".to_owned());
    }
    if let Some(value) = left.get("const").and_then(Value::as_str) {
        size.characters += value.len();
    }
    if let Some(Value::Array(values)) = left.get("enum") {
        let characters = values
            .iter()
            .map(|value| value.as_str().map_or(1, str::len))
            .sum::<usize>();
        if values.len() > LONG_LIST.0 && characters > LONG_LIST.1 {
            return Err("an enum that is too long".to_owned());
        }
        size.values += values.len();
        size.characters += characters;
    }
    if is(&left, "array") {
        let items = left.get("items").ok_or("a list of anything")?;
        let items = node(items, root, depth + 1, size)?;
        left.insert("items".to_owned(), items);
    }
    if is(&left, "object") {
        object(&mut left, root, depth, size)?;
    }
    Ok(Value::Object(left))
}

fn object(
    left: &mut Map<String, Value>,
    root: &Value,
    depth: usize,
    size: &mut Size,
) -> Result<(), String> {
    match left.get("additionalProperties") {
        None => drop(left.insert("additionalProperties".to_owned(), json!(false))),
        Some(Value::Bool(false)) => {}
        Some(_) => return Err("a map".to_owned()),
    }
    let mut names = Vec::new();
    if let Some(Value::Object(properties)) = left.get_mut("properties") {
        for (name, property) in properties {
            *property = node(property, root, depth + 1, size)?;
            size.properties += 1;
            size.characters += name.len();
            names.push(Value::from(name.as_str()));
        }
    }
    let missing: Vec<Value> = {
        let required = left.get("required").and_then(Value::as_array);
        names
            .into_iter()
            .filter(|name| !required.is_some_and(|required| required.contains(name)))
            .collect()
    };
    let required = left.entry("required").or_insert_with(|| json!([]));
    required
        .as_array_mut()
        .ok_or("required is no list")?
        .extend(missing);
    Ok(())
}

fn is(schema: &Map<String, Value>, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(own)) => own == kind,
        Some(Value::Array(own)) => own.iter().any(|own| own == kind),
        _ => false,
    }
}

#[test]
fn every_tools_schema_passes_unchanged() {
    let mut seen = 0;
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let contract: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(contract["strict"], true, "{}", path.display());
        let parameters = &contract["parameters"];
        assert_eq!(
            normalized(parameters).as_ref(),
            Ok(parameters),
            "{}",
            path.display()
        );
        seen += 1;
    }
    let tools = billhook_tools::all();
    assert_eq!(seen, tools.len());
    for tool in tools {
        let parameters = tool.contract().parameters;
        assert_eq!(
            normalized(&parameters).as_ref(),
            Ok(&parameters),
            "{}",
            tool.name()
        );
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "called with what was just written"
)]
fn with(property: Value) -> Value {
    json!({ "type": "object", "properties": { "a": property }, "required": ["a"], "additionalProperties": false })
}

#[test]
fn what_can_be_mended_is_changed() {
    let bare = json!({ "type": "object", "properties": { "a": { "type": "string" }, "b": { "type": ["integer", "null"] } }, "required": ["b"] });
    let strict = normalized(&bare).unwrap();
    assert_eq!(strict["additionalProperties"], false);
    assert_eq!(strict["required"], json!(["b", "a"]));
    let inner = with(
        json!({ "type": "array", "items": { "type": "object", "properties": { "c": { "type": "boolean" } } } }),
    );
    assert_eq!(
        normalized(&inner).unwrap()["properties"]["a"]["items"]["required"],
        json!(["c"])
    );
    let one = with(json!({ "oneOf": [{ "type": "string" }, { "type": "null" }] }));
    assert!(
        normalized(&one).unwrap()["properties"]["a"]
            .get("anyOf")
            .is_some()
    );
    let mut referring = with(json!({ "$ref": "#/$defs/word", "description": "A word." }));
    referring["$defs"] = json!({ "word": { "type": "string", "enum": ["x"] } });
    let inlined = &normalized(&referring).unwrap()["properties"]["a"];
    assert_eq!(
        *inlined,
        json!({ "type": "string", "enum": ["x"], "description": "A word." })
    );
    for schema in [bare, inner, one, referring] {
        let strict = normalized(&schema).unwrap();
        assert_ne!(strict, schema, "it was not strict before");
        assert_eq!(normalized(&strict).as_ref(), Ok(&strict), "and is now");
    }
}

#[test]
fn what_cannot_be_mended_is_refused() {
    let text = json!({ "type": "string" });
    for word in UNKNOWN.iter().chain(&UNHEARD) {
        let mut property = text.clone();
        property[*word] = json!(1);
        let refusal = normalized(&with(property)).unwrap_err();
        assert_eq!(refusal, format!("{word} is not known"));
    }
    let mut deep = text.clone();
    for _ in 0..DEEPEST {
        deep = with(deep);
    }
    let many = |count: usize, long: usize| {
        let values: Vec<String> = (0..count).map(|n| format!("{n:0long$}")).collect();
        with(json!({ "type": "string", "enum": values }))
    };
    let names: Map<String, Value> = (0..=MOST_PROPERTIES)
        .map(|n| (n.to_string(), text.clone()))
        .collect();
    let refused = [
        json!({ "anyOf": [{ "type": "object" }] }),
        json!({ "type": "object", "anyOf": [] }),
        json!({ "type": "string" }),
        json!(true),
        with(json!(true)),
        with(json!({})),
        with(json!({ "description": "Anything." })),
        with(json!({ "type": "array" })),
        with(json!({ "type": "object", "additionalProperties": { "type": "string" } })),
        with(json!({ "type": "object", "additionalProperties": true })),
        with(json!({ "$ref": "#/$defs/none", "description": "x" })),
        deep,
        many(MOST_VALUES + 1, 4),
        many(LONG_LIST.0 + 1, 60),
        json!({ "type": "object", "properties": names }),
    ];
    for schema in refused {
        assert!(normalized(&schema).is_err(), "{schema}");
    }
    assert!(normalized(&many(MOST_VALUES, 4)).is_ok());
    assert!(normalized(&many(LONG_LIST.0, 60)).is_ok());
}
