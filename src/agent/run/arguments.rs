//! The arguments of a call, read or refused. Pure.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value};

/// The longest arguments of a call that are parsed at all.
pub(super) const MOST_ARGUMENT_BYTES: usize = 16 * 1024;

/// Arguments must be one JSON object. What is not is answered, never repaired and never taken for an empty object.
pub(super) fn parse(arguments: &str) -> Result<Value, String> {
    if arguments.len() > MOST_ARGUMENT_BYTES {
        return Err(format!(
            "the arguments are longer than {MOST_ARGUMENT_BYTES} bytes"
        ));
    }
    let mut reader = serde_json::Deserializer::from_str(arguments);
    let object = reader
        .deserialize_map(Distinct)
        .and_then(|object| reader.end().map(|()| object));
    object
        .map(Value::Object)
        .map_err(|error| match error.classify() {
            Category::Data => {
                "the arguments must be one JSON object, each name in it once".to_owned()
            }
            _ => format!(
                "the arguments are not JSON: line {}, column {}",
                error.line(),
                error.column()
            ),
        })
}

/// Reads an object and refuses a name that comes twice: which of the values was meant, nobody knows.
struct Distinct;

impl<'de> Visitor<'de> for Distinct {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, value)) = entries.next_entry()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a name comes twice"));
            }
        }
        Ok(object)
    }
}
