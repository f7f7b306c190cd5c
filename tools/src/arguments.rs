//! From what a model sent to checked arguments, and from an argument struct to a contract.
//!
//! It must never repair what arrived: a call that is not exactly right is answered with what to mend, and never read
//! as a call without arguments.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::{Contract, ToolError, schema};

/// The longest error text that goes back to a model; the rest would be an echo of its own words.
const LONGEST_ANSWER: usize = 400;

/// Reads the arguments of `tool`; anything missing, unknown or of the wrong type is an answer to the model.
pub(crate) fn read<'a, T: Deserialize<'a>>(
    tool: &str,
    arguments: &'a Value,
) -> Result<T, ToolError> {
    // Without this, serde would also read a struct from a list of its fields.
    if !arguments.is_object() {
        let what = match arguments {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        return Err(mend(
            tool,
            &format!("the arguments must be one JSON object, not {what}"),
        ));
    }
    T::deserialize(arguments).map_err(|error| mend(tool, &error.to_string()))
}

/// An answer that names the tool and says what is wrong.
pub(crate) fn mend(tool: &str, problem: &str) -> ToolError {
    let text: String = format!("invalid_arguments: {tool}: {problem}")
        .chars()
        .take(LONGEST_ANSWER)
        .collect();
    ToolError::TellModel(text)
}

/// Checks one text argument: something to read, at most `most` characters.
pub(crate) fn check_text(tool: &str, name: &str, text: &str, most: usize) -> Result<(), ToolError> {
    if text.trim().is_empty() {
        return Err(mend(
            tool,
            &format!("`{name}` is empty, write at least one word"),
        ));
    }
    let length = text.chars().count();
    if length > most {
        return Err(mend(
            tool,
            &format!("`{name}` has {length} characters, at most {most} are allowed"),
        ));
    }
    Ok(())
}

/// Checks that a text stays on one line, whatever a program takes for the end of a line.
pub(crate) fn check_single_line(tool: &str, name: &str, text: &str) -> Result<(), ToolError> {
    let breaks = |c: char| {
        matches!(
            c,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    if text.contains(breaks) {
        return Err(mend(tool, &format!("`{name}` must be a single line")));
    }
    Ok(())
}

/// The contract of a tool whose arguments are `T`.
#[expect(
    clippy::expect_used,
    reason = "a struct outside the strict subset must stop the program at its start; a test renders every contract"
)]
pub(crate) fn contract<T: JsonSchema>(name: &str, description: &str) -> Contract {
    let parameters =
        schema::strict::<T>().expect("a tool's arguments stay inside the strict subset");
    Contract {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters,
        strict: true,
    }
}
