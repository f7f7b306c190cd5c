//! The verbs, read from the traits' own text.

use std::collections::BTreeSet;

/// Methods with a body of their own, and why no fault is put into them. Any other must lose its body, or a new verb would
/// be covered by nothing.
const PROVIDED: &[(&str, &str)] = &[
    (
        "Store::close",
        "answers nothing, and nothing comes after it",
    ),
    (
        "Mailer::rest",
        "answers nothing; connections that are lost cost a new one",
    ),
];

/// The traits that are the way to the world, with the source of each.
const TRAITS: &[(&str, &str)] = &[
    ("Store", include_str!("../../../src/store/mod.rs")),
    ("Mailer", include_str!("../../../src/outbox/send.rs")),
    ("Notifier", include_str!("../../../src/outbox/chat.rs")),
    (
        "Application",
        include_str!("../../../src/outbox/application.rs"),
    ),
];

/// A method of a trait.
#[derive(Debug, PartialEq, Eq)]
struct Method {
    name: String,
    is_async: bool,
    is_provided: bool,
}

/// The methods of `pub trait NAME`.
fn methods(source: &str, name: &str) -> Vec<Method> {
    let head = format!("pub trait {name}:");
    let (_, body) = source.split_once(&head).expect("the trait is there");
    let (body, _) = body.split_once("\n}\n").expect("it ends");
    // Each piece begins within a method, and what stands before it says of which kind that is.
    let pieces: Vec<&str> = body.split("fn ").collect();
    pieces
        .windows(2)
        .filter(|pair| pair[0].ends_with("\n    ") || pair[0].ends_with("\n    async "))
        .map(|pair| {
            let (before, method) = (pair[0], pair[1]);
            let is_async = before.ends_with(" async ");
            let (name, _) = method.split_once('(').expect("a method has arguments");
            let end = method.chars().find(|c| ";{".contains(*c));
            Method {
                name: name.to_owned(),
                is_async,
                is_provided: end != Some(';'),
            }
        })
        .collect()
}

/// The asynchronous methods that an implementation must write.
fn verbs(source: &str, name: &str) -> BTreeSet<String> {
    let methods = methods(source, name).into_iter();
    methods
        .filter(|method| method.is_async && !method.is_provided)
        .map(|method| method.name)
        .collect()
}

/// Everything that may fail: what the store does, and what the senders do.
pub(super) fn all() -> BTreeSet<String> {
    TRAITS
        .iter()
        .flat_map(|(name, source)| verbs(source, name))
        .collect()
}

#[test]
fn required_methods_are_read_and_provided_ones_are_not() {
    let source = "pub trait Other: Send {\n    async fn no(&self);\n}\n\npub trait Store: Send + Sync {\n    /// Says; hello.\n    \
        async fn one(\n        &self,\n    ) -> u64;\n    async fn two(&self) -> u64 {\n        1\n    }\n    fn three(&self);\n}\n";
    assert_eq!(verbs(source, "Store"), BTreeSet::from(["one".to_owned()]));
    let all = all();
    for known in ["ingest", "check", "finish_run", "send", "notify"] {
        assert!(all.contains(known), "{known}");
    }
    assert!(!all.contains("rest") && !all.contains("close"));
}

#[test]
fn every_verb_is_one_that_faults_are_put_into() {
    let provided: BTreeSet<String> = TRAITS
        .iter()
        .flat_map(|(of, source)| {
            let methods = methods(source, of).into_iter();
            methods
                .filter(|method| method.is_provided)
                .map(move |method| format!("{of}::{}", method.name))
        })
        .collect();
    let named = PROVIDED.iter().map(|(name, _)| (*name).to_owned());
    assert_eq!(provided, named.collect());
}
