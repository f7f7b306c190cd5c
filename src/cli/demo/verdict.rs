//! Whether what happened is what should have happened: a demo that lies is worse than none.

use std::collections::BTreeMap;

use super::play::{FORGED, Played, Scene};
use crate::cli::timeline::nobody_to_write_to;

/// Everything that differs, one sentence each. A model may tell sales more often than the rules; nothing else is its
/// choice.
pub(super) fn differences(played: &Played) -> Vec<String> {
    let mut wrong = Vec::new();
    answers(played, &mut wrong);
    mails(played, &mut wrong);
    let to = |channel: &str| {
        let notices = played
            .notices
            .iter()
            .filter(|notice| notice.channel == channel);
        sorted(notices.map(|notice| notice.event.as_str()))
    };
    let finance = to("finance");
    if finance != ["evt_demo_24"] {
        wrong.push(format!(
            "finance was told of {finance:?}, expected [\"evt_demo_24\"]"
        ));
    }
    let notices = to("sales");
    let told = ["evt_demo_14", "evt_demo_21"];
    if played.deciders().iter().any(|decider| *decider != "rules") {
        for event in told.iter().filter(|event| !notices.contains(event)) {
            wrong.push(format!("sales were not told of {event}"));
        }
    } else if notices != told {
        wrong.push(format!("sales were told of {notices:?}, expected {told:?}"));
    }
    let scheduled = sorted(
        played
            .schedules
            .iter()
            .map(|schedule| schedule.event.as_str()),
    );
    if scheduled != ["evt_demo_22"] {
        wrong.push(format!(
            "scheduled after {scheduled:?}, expected [\"evt_demo_22\"]"
        ));
    }
    let states: BTreeMap<&str, &str> = played
        .states
        .iter()
        .map(|(id, status)| (id.as_str(), status.as_str()))
        .collect();
    for (id, expected) in [
        ("sub_demoAda", "past_due"),
        ("sub_demoEmil", "active"),
        ("sub_demoClara", "canceled"),
        ("order-1001", "paid"),
        ("order-1002", "pending"),
        ("order-1003", "paid"),
    ] {
        let found = states.get(id).copied().unwrap_or_default();
        if found != expected {
            wrong.push(format!("{id} is `{found}`, expected `{expected}`"));
        }
    }
    wrong
}

fn answers(played: &Played, wrong: &mut Vec<String>) {
    for scene in &played.scenes {
        let expected = if scene.id == FORGED { 401 } else { 200 };
        if scene.http != expected {
            wrong.push(format!(
                "{} was answered {} ({}), expected {expected}",
                scene.id, scene.http, scene.answer
            ));
        }
        let status = scene
            .record
            .as_ref()
            .map(|record| record.status.as_str())
            .unwrap_or_default();
        let expected = match scene.id.as_str() {
            FORGED => "",
            "evt_demo_23" => "ignored",
            _ => "done",
        };
        if status != expected {
            wrong.push(format!("{} is `{status}`, expected `{expected}`", scene.id));
        }
    }
    let duplicates = played
        .scenes
        .iter()
        .filter(|scene| scene.answer == "duplicate")
        .count();
    if duplicates != 1 {
        wrong.push(format!(
            "{duplicates} posts were answered as duplicates, expected 1"
        ));
    }
    let refused = played
        .scenes
        .iter()
        .filter_map(Scene::own_record)
        .any(|record| record.id == "evt_demo_21" && nobody_to_write_to(&record.tool_calls));
    if !refused {
        wrong.push("a mail to a customer without an address was not refused".to_owned());
    }
}

/// The folder is what counts: one mail for each failed payment with an address, however many events told it.
fn mails(played: &Played, wrong: &mut Vec<String>) {
    let found = sorted(played.mails.iter().map(|mail| {
        mail.message
            .as_ref()
            .and_then(|message| message.to.as_deref())
            .unwrap_or("nobody known")
    }));
    let expected = ["ada@customer.example", "ben@customer.example"];
    if found != expected {
        wrong.push(format!(
            "mails were written to {found:?}, expected {expected:?}"
        ));
    }
    for message in played.mails.iter().filter_map(|mail| mail.message.as_ref()) {
        if message.status != "sent" {
            wrong.push(format!(
                "the mail {} lies in the folder and is `{}`",
                message.id, message.status
            ));
        }
    }
}

fn sorted<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut texts: Vec<&str> = texts.collect();
    texts.sort_unstable();
    texts
}
