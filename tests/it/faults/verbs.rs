//! The verbs, read from the traits' own text.

use std::collections::BTreeSet;

/// The asynchronous methods of `pub trait NAME` that an implementation must write.
fn verbs(source: &str, name: &str) -> BTreeSet<String> {
    let head = format!("pub trait {name}:");
    let (_, body) = source.split_once(&head).expect("the trait is there");
    let (body, _) = body.split_once("\n}\n").expect("it ends");
    body.split("    async fn ")
        .skip(1)
        .filter_map(|method| {
            // One with a body of its own is made of the others.
            let end = method.chars().find(|c| ";{".contains(*c));
            let (name, _) = method.split_once('(').expect("a method has arguments");
            (end == Some(';')).then(|| name.to_owned())
        })
        .collect()
}

/// Everything that may fail: what the store does, and what the senders do.
pub(super) fn all() -> BTreeSet<String> {
    [
        (include_str!("../../../src/store/mod.rs"), "Store"),
        (include_str!("../../../src/outbox/send.rs"), "Mailer"),
        (include_str!("../../../src/outbox/chat.rs"), "Notifier"),
    ]
    .into_iter()
    .flat_map(|(source, name)| verbs(source, name))
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
