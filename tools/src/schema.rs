//! JSON Schemas inside the subset that strict decoding accepts, made from the argument structs.
//!
//! This module owns the way from a Rust type to a tool's `parameters`. It must never let through a keyword that some
//! server refuses or ignores: what the subset cannot say (ranges, lengths) moves into the description, and what it
//! cannot express at all (maps, arbitrary values, unions at the root) is an error, found when the program starts.

use schemars::generate::SchemaSettings;
use schemars::transform::Transform;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

/// Strict decoding refuses deeper nesting.
const DEEPEST: usize = 10;

/// Strict decoding refuses longer lists of values.
const MOST_VALUES: usize = 1000;

/// A type that has no schema inside the strict subset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema at `{at}` {problem}")]
pub struct SchemaError {
    /// Where it stands: `$` and the names of the properties on the way.
    pub at: String,
    /// What is wrong with it and what to write instead.
    pub problem: String,
}

/// The strict schema of an argument struct, to be used as a tool's `parameters`.
pub fn strict<T: JsonSchema>() -> Result<Value, SchemaError> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    let mut transform = Strict::default();
    transform.transform(&mut schema);
    match transform.refused {
        Some(error) => Err(error),
        None => Ok(schema.to_value()),
    }
}

/// Rewrites a whole root schema; the first thing it cannot rewrite is kept in `refused`.
#[derive(Debug, Default)]
pub struct Strict {
    /// Why the schema that was last transformed is not usable.
    pub refused: Option<SchemaError>,
}

impl Transform for Strict {
    fn transform(&mut self, schema: &mut Schema) {
        match root(schema.as_value()) {
            Ok(rewritten) => *schema = rewritten.into(),
            Err(error) => self.refused = Some(error),
        }
    }
}

fn refuse<T>(at: &str, problem: impl Into<String>) -> Result<T, SchemaError> {
    Err(SchemaError {
        at: at.to_owned(),
        problem: problem.into(),
    })
}

fn root(schema: &Value) -> Result<Map<String, Value>, SchemaError> {
    let is_object = schema.get("type").and_then(Value::as_str) == Some("object");
    if !is_object
        || schema
            .get("oneOf")
            .or_else(|| schema.get("anyOf"))
            .is_some()
    {
        return refuse("$", "is no plain object, use a struct with named fields");
    }
    let mut rewritten = node(schema, "$", 1)?;
    // The text above the struct is for readers of the code; a tool has a description of its own.
    rewritten.remove("description");
    Ok(rewritten)
}

/// Rewrites one schema by taking over what is known; whatever is left over is refused by name.
fn node(schema: &Value, at: &str, depth: usize) -> Result<Map<String, Value>, SchemaError> {
    let Some(source) = schema.as_object() else {
        return refuse(at, "takes any value, give it a type");
    };
    if depth > DEEPEST {
        return refuse(at, format!("is nested deeper than {DEEPEST} levels"));
    }
    let mut left = source.clone();
    for noise in ["$schema", "title", "default", "examples", "format"] {
        left.remove(noise);
    }
    let mut words = left
        .remove("description")
        .and_then(|text| text.as_str().map(str::to_owned))
        .unwrap_or_default();
    for limit in limits(&mut left) {
        push_sentence(&mut words, &limit);
    }
    let mut out = Map::new();

    if let Some(branches) = left.remove("oneOf") {
        let branches = branches.as_array().cloned().unwrap_or_default();
        if let Some((values, meanings)) = constants(&branches) {
            // Values of a documented enum: one list, and the meaning of each in words.
            push_sentence(&mut words, &meanings);
            out.insert("type".to_owned(), json!("string"));
            out.insert("enum".to_owned(), Value::Array(values));
            left.remove("type");
        } else {
            out.insert("anyOf".to_owned(), alternatives(&branches, at, depth)?);
        }
    } else if let Some(branches) = left.remove("anyOf") {
        let branches = branches.as_array().cloned().unwrap_or_default();
        let nulls = branches.iter().filter(|branch| is_null(branch)).count();
        // Only an `Option` is written so; other unions of this shape leave it to a reader which branch was meant.
        if branches.len() != 2 || nulls != 1 {
            return refuse(at, "is an untagged union, give the enum a tag");
        }
        out.insert("anyOf".to_owned(), alternatives(&branches, at, depth)?);
    }
    if let Some(value) = left.remove("const") {
        out.insert("type".to_owned(), json!("string"));
        if !value.is_string() {
            return refuse(at, "is a constant that is no text");
        }
        out.insert("enum".to_owned(), json!([value]));
        left.remove("type");
    }
    if let Some(kind) = left.remove("type") {
        out.insert("type".to_owned(), kind);
    }
    if let Some(values) = left.remove("enum") {
        if values
            .as_array()
            .is_none_or(|values| values.is_empty() || values.len() > MOST_VALUES)
        {
            return refuse(at, format!("has no values or more than {MOST_VALUES}"));
        }
        out.insert("enum".to_owned(), values);
    }
    if has_type(&out, "object") {
        object(&mut left, &mut out, at, depth)?;
    }
    if has_type(&out, "array") {
        let Some(items) = left.remove("items") else {
            return refuse(at, "is a list of anything, give its items a type");
        };
        out.insert(
            "items".to_owned(),
            Value::Object(node(&items, &format!("{at}[]"), depth + 1)?),
        );
    }

    if let Some(keyword) = left.keys().next() {
        return refuse(
            at,
            format!("needs `{keyword}`, which strict decoding does not know"),
        );
    }
    if !out.contains_key("type") && !out.contains_key("anyOf") {
        return refuse(at, "takes any value, give it a type");
    }
    if !words.is_empty() {
        out.insert("description".to_owned(), json!(words));
    }
    Ok(out)
}

fn object(
    left: &mut Map<String, Value>,
    out: &mut Map<String, Value>,
    at: &str,
    depth: usize,
) -> Result<(), SchemaError> {
    match left.remove("additionalProperties") {
        None | Some(Value::Bool(false)) => {}
        Some(_) => return refuse(at, "is a map, name its fields in a struct"),
    }
    let required = left.remove("required");
    let required: Vec<&str> = required
        .as_ref()
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut properties = Map::new();
    for (name, property) in left
        .remove("properties")
        .as_ref()
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let here = format!("{at}.{name}");
        // Strict decoding sends every property, so one that may be left out must be able to say so with null.
        if !required.contains(&name.as_str()) && !nullable(property) {
            return refuse(
                &here,
                "may be left out but cannot be null, make it an `Option`",
            );
        }
        properties.insert(
            name.clone(),
            Value::Object(node(property, &here, depth + 1)?),
        );
    }
    if properties.is_empty() && at != "$" {
        return refuse(at, "is a map or has no fields, name its fields in a struct");
    }
    let names: Vec<&String> = properties.keys().collect();
    let names = json!(names);
    out.insert("properties".to_owned(), Value::Object(properties));
    out.insert("required".to_owned(), names);
    out.insert("additionalProperties".to_owned(), json!(false));
    Ok(())
}

fn alternatives(branches: &[Value], at: &str, depth: usize) -> Result<Value, SchemaError> {
    let rewritten: Result<Vec<Value>, SchemaError> = branches
        .iter()
        .map(|branch| node(branch, at, depth).map(Value::Object))
        .collect();
    Ok(Value::Array(rewritten?))
}

/// The values of a unit enum and what its variants' comments say, if these branches are nothing else.
fn constants(branches: &[Value]) -> Option<(Vec<Value>, String)> {
    let mut values = Vec::new();
    let mut meanings = Vec::new();
    for branch in branches {
        let text = branch.get("description").and_then(Value::as_str);
        let named = match (
            branch.get("const"),
            branch.get("enum").and_then(Value::as_array),
        ) {
            (Some(value), _) => vec![value.clone()],
            (None, Some(several)) => several.clone(),
            (None, None) => return None,
        };
        for value in named {
            let name = value.as_str()?;
            meanings.extend(text.map(|text| format!("`{name}`: {text}")));
            values.push(value);
        }
    }
    (!values.is_empty()).then(|| (values, meanings.join(" ")))
}

/// Takes the limits that the subset cannot say out of the schema and puts them into words.
fn limits(left: &mut Map<String, Value>) -> Vec<String> {
    let unsigned = left
        .get("minimum")
        .is_some_and(|least| least.as_f64() == Some(0.0))
        && !left.contains_key("maximum");
    if unsigned {
        left.remove("minimum");
    }
    let mut words = Vec::new();
    for (least, most, unit) in [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
    ] {
        match (left.remove(least), left.remove(most)) {
            (Some(least), Some(most)) => words.push(format!("From {least} to {most}{unit}.")),
            (Some(least), None) => words.push(format!("At least {least}{unit}.")),
            (None, Some(most)) => words.push(format!("At most {most}{unit}.")),
            (None, None) => {}
        }
    }
    for (keyword, lead) in [
        ("exclusiveMinimum", "More than"),
        ("exclusiveMaximum", "Less than"),
        ("multipleOf", "A multiple of"),
    ] {
        words.extend(left.remove(keyword).map(|value| format!("{lead} {value}.")));
    }
    if let Some(pattern) = left.remove("pattern") {
        words.push(format!("Matches the pattern {pattern}."));
    }
    if left.get("uniqueItems").is_some() {
        left.remove("uniqueItems");
        words.push("No item twice.".to_owned());
    }
    words
}

fn push_sentence(words: &mut String, sentence: &str) {
    if !words.is_empty() && !sentence.is_empty() {
        words.push(' ');
    }
    words.push_str(sentence);
}

fn has_type(schema: &Map<String, Value>, wanted: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(kind)) => kind == wanted,
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == wanted),
        _ => false,
    }
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").is_some_and(|kind| kind == "null")
}

fn nullable(schema: &Value) -> bool {
    let by_type = schema
        .as_object()
        .is_some_and(|schema| has_type(schema, "null"));
    let by_branch = schema
        .get("anyOf")
        .and_then(Value::as_array)
        .is_some_and(|branches| branches.iter().any(is_null));
    by_type || by_branch
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
