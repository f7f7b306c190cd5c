//! What events say, whatever API version tells them: our fixtures, what each of them writes, one history in every
//! version, and what happens to events that are not as they should be.

mod envelopes;
mod mutations;
mod updates;
mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::mem::discriminant;
use std::path::{Path, PathBuf};
use std::time::Duration;

use billhook::guardrails::mandatory::RULES;
use billhook::store::Store as _;
use serde_json::Value;

use crate::support::bench::Bench;
use crate::support::fixture::samples::{changes, sample, shapes_of, story};
use crate::support::fixture::{Shape, Told};
use crate::support::services::variable;

/// Where our fixtures are.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stripe")
}

/// `BILLHOOK_TEST_WRITE_FIXTURES=1` writes the files anew.
#[test]
fn files_and_builders_tell_the_same() {
    let write = variable("BILLHOOK_TEST_WRITE_FIXTURES").is_some();
    let mut expected = BTreeSet::new();
    for rule in RULES {
        let told = sample(rule.event_type);
        for shape in shapes_of(&told) {
            let path = folder().join(format!("{}.{}.json", told.kind, shape.version()));
            let text = format!("{:#}\n", told.json(shape));
            if write {
                fs::create_dir_all(folder()).unwrap();
                fs::write(&path, &text).unwrap();
            }
            let found = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                found == text,
                "{} differs from its builder; BILLHOOK_TEST_WRITE_FIXTURES=1 writes it anew",
                path.display()
            );
            expected.insert(path);
        }
    }
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if write && !expected.contains(&path) {
            fs::remove_file(&path).unwrap();
        } else {
            assert!(expected.contains(&path), "{} is nobody's", path.display());
        }
    }
}

#[test]
fn every_sample_is_of_a_type_of_its_own_that_is_handled() {
    let mut kinds = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for told in story() {
        assert!(kinds.insert(told.kind), "{} is told twice", told.kind);
        assert!(ids.insert(told.id.clone()), "{} is used twice", told.id);
    }
    let handled: BTreeSet<&str> = RULES.iter().map(|rule| rule.event_type).collect();
    assert_eq!(kinds, handled);
}

fn without_version(told: &Told, shape: Shape) -> Value {
    let mut event = told.json(shape);
    event.as_object_mut().unwrap().remove("api_version");
    event
}

/// A shape that has no file of its own would have the one before it; one that has it tells something otherwise.
#[test]
fn shapes_differ_exactly_where_they_are_said_to() {
    let mut idle = BTreeMap::new();
    for told in story() {
        let changing = changes(&told.object);
        let idle = idle
            .entry(format!("{:?}", discriminant(&told.object)))
            .or_insert_with(|| (told.kind, changing.to_vec()));
        for pair in Shape::ALL.windows(2) {
            let differs = without_version(&told, pair[0]) != without_version(&told, pair[1]);
            let name = format!("{} in {}", told.kind, pair[1].version());
            if differs {
                assert!(
                    changing.contains(&pair[1]),
                    "{name} differs, and `changes` does not say so"
                );
                idle.1.retain(|shape| *shape != pair[1]);
            }
        }
    }
    for (kind, shapes) in idle.into_values() {
        assert_eq!(
            shapes,
            [],
            "no sample like {kind} shows what `changes` says"
        );
    }
}

/// Fields that only some versions tell, or tell otherwise: there, and only there, two shapes of one history may end in
/// different rows. Each is a change that docs.stripe.com/changelog names.
const DEPENDS_ON_THE_SHAPE: [(&str, &[&str]); 6] = [
    // Gone with basil: payments are linked to invoices by invoice payments, and what was reserved and not captured no
    // longer counts as paid back. The list of refunds went in 2022-11-15.
    (
        "charge",
        &["amount_refunded", "invoice", "refunds_incomplete"],
    ),
    ("payment_intent", &["invoice"]),
    // Basil names no charge, shows payments only where asked, counts what was paid out of band, and says what was paid
    // too much.
    (
        "invoice",
        &[
            "amount_overpaid",
            "amount_paid",
            "charge",
            "payment_intent",
            "payments_incomplete",
        ],
    ),
    // 2025-05-28.basil.
    (
        "credit_note",
        &["post_payment_amount", "pre_payment_amount"],
    ),
    // `prevented` is a status since clover.
    ("dispute", &["status"]),
    // `canceled_by_retention_policy` is a reason since dahlia.
    ("subscription", &["cancellation_reason"]),
];

fn depends_on_the_shape(kind: &str, field: &str) -> bool {
    DEPENDS_ON_THE_SHAPE
        .iter()
        .any(|(of, fields)| *of == kind && fields.contains(&field))
}

/// Applies whatever was taken in; what cannot be applied fails the test.
async fn apply_everything(bench: &Bench) {
    loop {
        let lease = Duration::from_mins(10);
        let claimed = bench.store.claim_events(500, lease).await.unwrap();
        if claimed.is_empty() {
            return;
        }
        for event in claimed {
            let applied = bench.store.apply_event(&event).await;
            applied.unwrap_or_else(|error| panic!("{} {}: {error}", event.event_type, event.id));
        }
    }
}
