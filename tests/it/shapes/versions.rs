//! One history, told by endpoints of every version and of any mixture of them, comes to one business state.

use std::collections::BTreeMap;

use billhook::store::Store as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::Value;

use super::{apply_everything, depends_on_the_shape};
use crate::support::bench::Bench;
use crate::support::fixture::samples::story;
use crate::support::fixture::{Shape, Told};

/// How often the history is told in a mixture of shapes.
const MIXTURES: u64 = 60;

/// Lines that only some versions show: a charge names its invoice until basil, and lists its refunds until 2022-11-15;
/// these refunds are told nowhere else. And what is captured in part comes whole until basil, and the rest leaves again.
const OF_SOME: [(&str, &str); 4] = [
    (" charge/", "invoice/"),
    ("refund/re_lapsed", ""),
    ("refund/re_released_", ""),
    ("charge/ch_1003 moved", ""),
];

/// Rows by name, with the fields that every version carries; and links, by themselves.
type State = BTreeMap<String, Value>;

/// Tells the history to an account of its own, each event in the shape that is chosen for it.
async fn tell(bench: &Bench, account: &str, mut choose: impl FnMut() -> Shape) {
    let deliveries: Vec<_> = story()
        .into_iter()
        .map(|event| {
            let event = Told {
                id: format!("{}_{account}", event.id),
                ..event
            };
            let mut delivery = event.delivery(choose(), bench.now());
            delivery.account = format!("{account}{}", event.account.unwrap_or_default());
            delivery
        })
        .collect();
    bench.store.ingest(&deliveries).await.unwrap();
    apply_everything(bench).await;
}

/// The state of an account and of those that are connected to it.
fn state(lines: &[String], account: &str) -> State {
    lines
        .iter()
        .filter_map(|line| line.strip_prefix(account))
        // A connected account's own row has its name for an id.
        .filter_map(|line| row(&line.replace(account, "")))
        .collect()
}

/// A line of the state without what depends on the shape.
fn row(line: &str) -> Option<(String, Value)> {
    let Some((name, data)) = line.split_once(": {") else {
        let of_some = OF_SOME
            .iter()
            .any(|(one, other)| line.contains(one) && line.contains(other));
        return (!of_some).then(|| (line.to_owned(), Value::Null));
    };
    let kind = name.split('/').nth(2).unwrap_or_default();
    let mut data: Value = serde_json::from_str(&format!("{{{data}")).unwrap();
    // What one version leaves out another says to be null (an empty list of charges, no latest charge): who reads a row
    // does not tell the two apart.
    data.as_object_mut()
        .unwrap()
        .retain(|field, value| !value.is_null() && !depends_on_the_shape(kind, field));
    Some((name.to_owned(), data))
}

fn difference(expected: &State, found: &State) -> String {
    let mut lines = Vec::new();
    for (name, value) in expected {
        if found.get(name) != Some(value) {
            lines.push(format!("  oldest: {name} {value}"));
        }
    }
    for (name, value) in found {
        if expected.get(name) != Some(value) {
            lines.push(format!("  here:   {name} {value}"));
        }
    }
    lines.join("\n")
}

#[tokio::test]
async fn one_history_in_every_version_is_one_state() {
    let bench = Bench::in_memory().await;
    let mut tellings = Vec::new();
    for shape in Shape::ALL {
        let account = format!("{}:", shape.version());
        tell(&bench, &account, || shape).await;
        tellings.push(account);
    }
    for seed in 0..MIXTURES {
        let account = format!("mixture {seed}:");
        let mut rng = StdRng::seed_from_u64(seed);
        tell(&bench, &account, || *Shape::ALL.choose(&mut rng).unwrap()).await;
        tellings.push(account);
    }
    let lines = bench.store.business_state().await.unwrap();
    let oldest = state(&lines, &tellings[0]);
    assert!(oldest.len() > 100, "{} rows and links", oldest.len());
    // Of what was reserved a part was captured: that much is kept, and nothing was paid back of it.
    let found = |name: &str, field: &str| {
        let (_, row) = oldest.iter().find(|(row, _)| row.contains(name)).unwrap();
        row[field].clone()
    };
    assert_eq!(found("/charge/ch_1003 of ", "amount"), 4900);
    assert_eq!(found("/charge/ch_1003 of ", "amount_captured"), 3000);
    assert_eq!(found("/order/1003 of ", "amount_refunded"), 0);
    for telling in &tellings[1..] {
        let found = state(&lines, telling);
        assert!(
            found == oldest,
            "{telling} differs from the oldest version\n{}",
            difference(&oldest, &found)
        );
    }
    println!(
        "{} events in {} versions and {MIXTURES} mixtures of them: {} rows and links each",
        story().len(),
        Shape::ALL.len(),
        oldest.len()
    );
}
