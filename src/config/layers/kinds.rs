//! Kinds of values: what a key takes, and what a text from the environment becomes. No error repeats a value.

use config::{Value, ValueKind};

/// What kind of value a key takes: the kind of its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Flag,
    Number,
    /// A number that may have decimals, or be left open: kept as it is written.
    Amount,
    List,
}

/// A number as its text. Of a fraction this is the shortest that reads back as the same, so what was written.
pub(super) fn amount(value: ValueKind) -> ValueKind {
    match value {
        ValueKind::I64(number) => number.to_string().into(),
        ValueKind::U64(number) => number.to_string().into(),
        ValueKind::Float(number) => number.to_string().into(),
        other => other,
    }
}

/// Brings a value to the kind of its key; in the environment everything is a text.
pub(super) fn as_kind(kind: Kind, value: ValueKind) -> Result<ValueKind, String> {
    match (kind, value) {
        (Kind::Text, value @ ValueKind::String(_))
        | (Kind::Flag, value @ ValueKind::Boolean(_))
        | (Kind::Number, value @ (ValueKind::I64(_) | ValueKind::U64(_))) => Ok(value),
        (Kind::Amount, value) => match amount(value) {
            value @ ValueKind::String(_) => Ok(value),
            _ => Err("write a number".to_owned()),
        },
        (Kind::Flag, ValueKind::String(text)) => match text.as_str() {
            "true" => Ok(true.into()),
            "false" => Ok(false.into()),
            _ => Err("write true or false".to_owned()),
        },
        (Kind::Number, ValueKind::String(text)) => text
            .parse::<i64>()
            .map(Into::into)
            .map_err(|_invalid| "write a whole number".to_owned()),
        (Kind::List, ValueKind::String(text)) if text.trim().is_empty() => {
            Ok(ValueKind::Array(Vec::new()))
        }
        (Kind::List, ValueKind::String(text)) => list(text.split(',').map(Some)),
        (Kind::List, ValueKind::Array(items)) => list(items.iter().map(|item| match &item.kind {
            ValueKind::String(text) => Some(text.as_str()),
            _ => None,
        })),
        (Kind::Text, _) => Err("write a text in quotes".to_owned()),
        (Kind::Flag, _) => Err("write true or false".to_owned()),
        (Kind::Number, _) => Err("write a whole number".to_owned()),
        (Kind::List, _) => Err("write a list of texts".to_owned()),
    }
}

/// Secrets, hosts and accounts: none is empty, none holds a space. A secret that was pasted with a line break in it
/// would otherwise only show as signatures that never match.
fn list<'a>(items: impl Iterator<Item = Option<&'a str>>) -> Result<ValueKind, String> {
    let mut values = Vec::new();
    for (index, item) in items.enumerate() {
        let number = index + 1;
        match item.map(str::trim) {
            None => return Err(format!("entry {number} is no text")),
            Some("") => return Err(format!("entry {number} is empty")),
            Some(text) if text.chars().any(char::is_whitespace) => {
                return Err(format!("entry {number} contains a space or a line break"));
            }
            Some(text) => values.push(Value::new(None, text)),
        }
    }
    Ok(ValueKind::Array(values))
}
