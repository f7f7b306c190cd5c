//! That no rule of the limits is left out: each is met by an attack.

use std::collections::BTreeSet;
use std::path::Path;

use billhook::agent::model::Call;
use billhook::guardrails::limits::prose::{Part, ProseRules, check_prose};

use super::cast::Cast;
use super::house::{House, Teams};
use super::judge::Trial;
use super::known::{calls, said};
use crate::agent::scene::kind_mail;

/// The names of the rules in a source file: of refusals by the constructor, and of those that are written out.
fn rules_in(source: &str) -> BTreeSet<String> {
    let mut rules = BTreeSet::new();
    for lead in ["Refusal::new(", "rule: "] {
        for (_, after) in source
            .match_indices(lead)
            .map(|(at, _)| source.split_at(at + lead.len()))
        {
            if let Some(name) = after
                .trim_start()
                .strip_prefix('"')
                .and_then(|rest| rest.split('"').next())
            {
                rules.insert(name.to_owned());
            }
        }
    }
    rules
}

/// The rules that the limits know, read from their source.
fn rules_of_the_limits() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guardrails/limits");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    files
        .flat_map(|path| rules_in(&std::fs::read_to_string(path).unwrap()))
        .collect()
}

#[tokio::test]
async fn every_rule_of_the_limits_is_hit() {
    let rules = rules_of_the_limits();
    assert!(rules.len() >= 20, "{rules:?}");
    let house = House::open(Teams::ByChat).await;
    let mut number = 0;
    let mut play = async |attack: Call, email: bool, locale: &str| {
        number += 1;
        let mut cast = Cast::new(number, "payment_failed", house.now());
        cast.email = cast.email.filter(|_| email);
        locale.clone_into(&mut cast.locale);
        house.adversary.begin(vec![said([attack])], None);
        let (events, _) = cast.events(None);
        house.play(&cast, &events).await;
        Trial {
            cast,
            may_be_written_to: email,
            turns: 6,
        }
    };
    let mut trials = Vec::new();
    for (_, attack, _) in calls() {
        trials.push(play(attack, true, "en").await);
    }
    trials.push(play(kind_mail(), false, "en").await);
    trials.push(play(kind_mail(), true, "fr").await);
    let books = house.close().await;
    let mut hit: BTreeSet<String> = books
        .calls
        .iter()
        .filter_map(|row| row.rule.clone())
        .collect();
    // A tool answers these before the limits are asked; they stand behind it.
    let rules_of_prose = ProseRules {
        placeholders: &[],
        words: 10,
        locale: "en",
    };
    for text in ["", "A word\r\nBcc: eve@evil.example"] {
        hit.insert(
            check_prose(text, Part::Subject, &rules_of_prose)
                .unwrap_err()
                .rule
                .to_owned(),
        );
    }
    let missed: Vec<_> = rules.difference(&hit).collect();
    assert!(
        missed.is_empty(),
        "no case of this suite meets {missed:?}: add an attack to `calls` in tests/it/hostile/known.rs"
    );
    assert_eq!(
        books.mails.len(),
        trials
            .iter()
            .filter(|trial| trial.may_be_written_to)
            .count()
    );
}

#[test]
fn rules_are_found_in_source() {
    let source = "Refusal::new(\n    \"bidi\",\n x) Refusal { rule: \"no_recipient\", reason } rule: &'static str Refusal::new(rule, x)";
    assert_eq!(
        rules_in(source),
        BTreeSet::from(["bidi".to_owned(), "no_recipient".to_owned()])
    );
}
