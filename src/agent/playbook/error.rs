//! What can be wrong with a playbook.

/// A playbook that cannot be used. Each names the file and the key.
#[derive(Debug, thiserror::Error)]
pub enum PlaybookError {
    /// No front matter.
    #[error(
        "{file} has no front matter: begin it with a line `---` and end that part with another"
    )]
    FrontMatter {
        /// The file.
        file: String,
    },
    /// The front matter is no valid YAML, or has an unknown, missing or mistyped key.
    #[error("the front matter of {file} cannot be read: {what}")]
    Yaml {
        /// The file.
        file: String,
        /// The parser's words, which name the key and the line.
        what: String,
    },
    /// A key holds a value that makes no sense.
    #[error("`{key}` of {file} {what}")]
    Key {
        /// The file.
        file: String,
        /// The key.
        key: String,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// An expression cannot be compiled, or names something that the context lacks.
    #[error("the expression in `{key}` of {file} failed: {source}")]
    Expression {
        /// The file.
        file: String,
        /// The key.
        key: String,
        /// The engine's words.
        #[source]
        source: minijinja::Error,
    },
}
