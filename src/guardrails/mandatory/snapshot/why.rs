//! Why an event that came late changed nothing: what is known better, from which event, and by which rule.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Rank, Snapshot, project};

/// Fields that another event tells otherwise, and better.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Superseded {
    /// The event that stands.
    pub event: String,
    /// Its type.
    pub r#type: String,
    /// Which fields it stands for.
    pub fields: Vec<String>,
    /// Why it stands, in a sentence without a subject: "was created 3 s later".
    pub because: String,
}

/// What of `event` is superseded, by the events that stand; `snapshots` are all of its object.
pub fn superseded(snapshots: &[Snapshot], event: &str) -> Vec<Superseded> {
    let Some(mine) = newest_body(snapshots, event) else {
        return Vec::new();
    };
    let projection = project(snapshots);
    let mut fields: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (field, value) in mine.fields.iter() {
        let differs = projection.row.get(field) != Some(value);
        if let Some(winner) = projection.winners.get(field).filter(|_| differs) {
            fields.entry(winner).or_default().push(field.to_owned());
        }
    }
    let stands = |(winner, fields): (&str, Vec<String>)| {
        let other = newest_body(snapshots, winner)?;
        Some(Superseded {
            event: other.event.clone(),
            r#type: other.event_type.clone(),
            fields,
            because: because(snapshots, mine, other),
        })
    };
    fields.into_iter().filter_map(stands).collect()
}

fn newest_body<'a>(snapshots: &'a [Snapshot], event: &str) -> Option<&'a Snapshot> {
    let bodies = snapshots.iter().filter(|snapshot| snapshot.event == event);
    bodies.max_by(|a, b| a.api_version.cmp(&b.api_version))
}

/// Which of the rules of the projection put `other` above `mine`, in their order.
fn because(snapshots: &[Snapshot], mine: &Snapshot, other: &Snapshot) -> String {
    let (low, high) = (Rank::of(mine), Rank::of(other));
    if high.absorbed && !low.absorbed {
        let state = other.fields.text("status").unwrap_or("deleted");
        return format!("shows `{state}`, which nothing leaves");
    }
    if high.created > low.created {
        let later = high.created.seconds() - low.created.seconds();
        return format!("was created {later} s later");
    }
    if high.phase > low.phase {
        return format!(
            "is of the same second, in which {} comes after {}",
            other.event_type, mine.event_type
        );
    }
    if high.progress > low.progress {
        return "is of the same second, and the object had come further in it".to_owned();
    }
    if other.previous.is_empty() && mine.previous.is_empty() {
        return "is of the same second; nothing tells which came later, so the greater id stands"
            .to_owned();
    }
    let until: Vec<Snapshot> = snapshots
        .iter()
        .filter(|snapshot| Rank::of(snapshot) <= low)
        .cloned()
        .collect();
    if other.event > mine.event && project(&until).tie {
        return "is of the same second; what each says it changed does not tell which came later, so the greater id stands"
            .to_owned();
    }
    "is of the same second, and came later by what each says it changed".to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Timestamp;
    use crate::stripe::view::{Family, view};

    fn snapshot(event: &str, kind: &str, at: i64, fields: &Value) -> Snapshot {
        Snapshot {
            family: Family::Invoice,
            object: "in_1".to_owned(),
            event: event.to_owned(),
            event_type: kind.to_owned(),
            api_version: "2025-09-30.clover".to_owned(),
            created: Timestamp::from_seconds(at),
            fields: view(Family::Invoice, fields),
            previous: view(Family::Invoice, &Value::Null),
        }
    }

    #[test]
    fn each_rule_of_the_projection_is_told() {
        let said = json!({"status": "open", "number": "A-0", "attempt_count": 0});
        let mine = snapshot("evt_5", "invoice.updated", 10, &said);
        for (kind, at, fields, expected) in [
            (
                "invoice.paid",
                9,
                json!({"status": "paid", "number": "A-0"}),
                "shows `paid`, which nothing leaves",
            ),
            (
                "invoice.updated",
                14,
                json!({"status": "open", "number": "A-1"}),
                "was created 4 s later",
            ),
            (
                "invoice.payment_failed",
                10,
                json!({"status": "open", "attempt_count": 1}),
                "is of the same second, and the object had come further in it",
            ),
            (
                "invoice.finalized",
                10,
                json!({"status": "open", "number": "A-1"}),
                "is of the same second; nothing tells which came later, so the greater id stands",
            ),
        ] {
            let other = snapshot("evt_6", kind, at, &fields);
            let found = superseded(&[other, mine.clone()], "evt_5");
            let found: Vec<_> = found
                .iter()
                .map(|s| (s.event.as_str(), s.because.as_str()))
                .collect();
            assert_eq!(found, [("evt_6", expected)]);
        }
        let created = snapshot("evt_9", "invoice.created", 10, &json!({"status": "draft"}));
        let found = superseded(&[mine.clone(), created], "evt_9");
        assert_eq!(
            found[0].because,
            "is of the same second, in which invoice.updated comes after invoice.created"
        );
        assert_eq!(found[0].fields, ["status"]);
        assert_eq!(superseded(&[mine], "evt_5"), []);
        assert_eq!(superseded(&[], "evt_5"), []);
    }

    #[test]
    fn what_was_put_in_order_is_told_apart_from_what_was_not() {
        let number = |event: &str, said: &str, before: &str| {
            let mut update = snapshot(event, "invoice.updated", 10, &json!({ "number": said }));
            update.previous = view(Family::Invoice, &json!({ "number": before }));
            update
        };
        let known = snapshot("evt_0", "invoice.updated", 5, &json!({ "number": "A-0" }));
        let (first, second) = (number("evt_6", "A-1", "A-0"), number("evt_5", "A-2", "A-1"));
        let found = superseded(&[known, second, first], "evt_6");
        assert_eq!(
            found[0].because,
            "is of the same second, and came later by what each says it changed"
        );
        let (there, back) = (number("evt_5", "A-1", "A-2"), number("evt_6", "A-2", "A-1"));
        let found = superseded(&[there, back], "evt_5");
        assert_eq!(
            found[0].because,
            "is of the same second; what each says it changed does not tell which came later, so the greater id stands"
        );
    }
}
