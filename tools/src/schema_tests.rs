//! What a struct becomes under strict decoding, and what is refused.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::strict;

/// Not for the model.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Everything {
    /// How many.
    #[schemars(range(min = 1, max = 50))]
    count: u32,
    plain: u64,
    signed: i64,
    /// A word.
    #[schemars(length(min = 2, max = 120), regex(pattern = "^[a-z]+$"))]
    word: String,
    documented: Documented,
    undocumented: Option<Undocumented>,
    maybe_documented: Option<Documented>,
    maybe: Option<i64>,
    nested: Option<Nested>,
    list: Vec<Nested>,
    tagged: Tagged,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
enum Documented {
    /// The first.
    One,
    Two,
    /// The third.
    TheThird,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
enum Undocumented {
    A,
    B,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Nested {
    on: bool,
}

#[derive(JsonSchema)]
#[schemars(tag = "kind")]
#[expect(dead_code, reason = "only its schema is used")]
enum Tagged {
    Left { at: i64 },
    Right { word: String },
}

#[test]
fn every_construct_lands_in_the_subset() {
    let nested = json!({"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"],
        "additionalProperties": false});
    let mut maybe_nested = nested.clone();
    maybe_nested["type"] = json!(["object", "null"]);
    let schema = strict::<Everything>().unwrap();
    let expected = json!({
        "type": "object",
        "properties": {
            "count": {"type": "integer", "description": "How many. From 1 to 50."},
            "plain": {"type": "integer"},
            "signed": {"type": "integer"},
            "word": {"type": "string",
                "description": "A word. From 2 to 120 characters. Matches the pattern \"^[a-z]+$\"."},
            "documented": {"type": "string", "enum": ["two", "one", "the_third"],
                "description": "`one`: The first. `the_third`: The third."},
            "undocumented": {"type": ["string", "null"], "enum": ["A", "B", null]},
            "maybe_documented": {"anyOf": [
                {"type": "string", "enum": ["two", "one", "the_third"],
                    "description": "`one`: The first. `the_third`: The third."},
                {"type": "null"},
            ]},
            "maybe": {"type": ["integer", "null"]},
            "nested": maybe_nested,
            "list": {"type": "array", "items": nested},
            "tagged": {"anyOf": [
                {"type": "object", "properties": {"kind": {"type": "string", "enum": ["Left"]},
                    "at": {"type": "integer"}},
                    "required": ["kind", "at"], "additionalProperties": false},
                {"type": "object", "properties": {"kind": {"type": "string", "enum": ["Right"]},
                    "word": {"type": "string"}},
                    "required": ["kind", "word"], "additionalProperties": false},
            ]},
        },
        "required": ["count", "plain", "signed", "word", "documented", "undocumented", "maybe_documented", "maybe", "nested", "list", "tagged"],
        "additionalProperties": false,
    });
    assert_eq!(schema, expected, "{schema:#}");
    jsonschema::meta::validate(&schema).unwrap();
}

macro_rules! field {
    ($name:ident, $kind:ty $(, $attribute:meta)?) => {
        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "only its schema is used")]
        struct $name {
            $(#[$attribute])?
            field: $kind,
        }
    };
}

field!(WithMap, BTreeMap<String, String>);
field!(WithValue, Value);
field!(WithValues, Vec<Value>);
field!(WithUntagged, Untagged);
field!(WithDefault, u32, serde(default));
field!(WithTuple, (u32, String));
field!(WithRecursion, Recursive);
field!(WithUnit, ());

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Untagged {
    Number(i64),
    Text(String),
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Recursive {
    inner: Option<Box<Self>>,
}

#[test]
fn what_cannot_be_said_strictly_is_refused_and_located() {
    for (name, schema) in [
        ("map", strict::<WithMap>()),
        ("any value", strict::<WithValue>()),
        ("list of any values", strict::<WithValues>()),
        ("untagged union", strict::<WithUntagged>()),
        ("default", strict::<WithDefault>()),
        ("tuple", strict::<WithTuple>()),
        ("recursion", strict::<WithRecursion>()),
    ] {
        match schema {
            Ok(schema) => panic!("{name} came through: {schema:#}"),
            Err(error) => assert!(error.at.starts_with("$.field"), "{name}: {error}"),
        }
    }
    for (name, schema) in [
        ("union at the root", strict::<Tagged>()),
        ("enum at the root", strict::<Documented>()),
        ("map at the root", strict::<BTreeMap<String, u32>>()),
        ("option at the root", strict::<Option<Nested>>()),
        ("value at the root", strict::<Value>()),
        ("number at the root", strict::<u32>()),
    ] {
        match schema {
            Ok(schema) => panic!("{name} came through: {schema:#}"),
            Err(error) => assert_eq!(error.at, "$", "{name}: {error}"),
        }
    }
}

#[test]
fn a_field_that_is_only_null_is_harmless() {
    let schema = strict::<WithUnit>().unwrap();
    assert_eq!(schema["properties"]["field"], json!({"type": "null"}));
}
