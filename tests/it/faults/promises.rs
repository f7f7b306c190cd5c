//! What a telling came to, and what must hold of it whatever befell it.

use std::collections::{BTreeMap, BTreeSet};

use billhook::store::{
    ApprovalFilter, EventFilter, MessageFilter, MessageRecord, ObjectFilter, Page, Store as _, TOLD,
};

use super::point::{Fault, Point};
use super::stage::Stage;
use super::stories::POISON;

/// What is the same in every telling of a story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The business's state, row by row.
    state: Vec<String>,
    /// Each event and where it ended.
    events: BTreeMap<String, String>,
    /// Each follow-up and how it ended, by playbook.
    runs: Vec<(String, String)>,
    /// Whom each message was for, what it was about, and how it ended.
    messages: Vec<(String, String, String)>,
    /// How often each turn of a model was asked for.
    asked: BTreeMap<usize, usize>,
}

const ALL: Page = Page {
    limit: 100,
    starting_after: None,
};

/// Reads what a telling came to, past every fault, and checks what holds of any telling by itself.
pub(super) async fn outcome(stage: &Stage) -> Outcome {
    let store = &stage.ground.store;
    let events = store.events(&EventFilter::default(), &ALL).await.unwrap();
    let events: BTreeMap<_, _> = events
        .data
        .into_iter()
        .map(|event| (event.id, event.status))
        .collect();
    for id in &stage.accepted {
        let status = events.get(id).unwrap_or_else(|| panic!("{id} is lost"));
        let expected = if id == POISON { "dead" } else { "done" };
        assert_eq!(status, expected, "{id}");
    }
    let runs = store.runs(&ALL).await.unwrap().data;
    for run in &runs {
        let is_over = matches!(run.status.as_str(), "done" | "skipped" | "merged");
        assert!(is_over, "{} is {}: {:?}", run.id, run.status, run.reason);
    }
    let mut messages = store
        .messages(&MessageFilter::default(), &ALL)
        .await
        .unwrap()
        .data;
    check_told(stage, &messages).await;
    // How many it takes to tell the application the newest is a matter of chance.
    messages.retain(|message| message.channel != "app");
    check_copies(stage, &approved(stage, &messages).await);
    let mut runs: Vec<_> = runs
        .into_iter()
        .map(|run| (run.playbook, run.status))
        .collect();
    runs.sort();
    let mut messages: Vec<_> = messages
        .into_iter()
        .map(|message| {
            let whom = message.to.unwrap_or(message.channel);
            (whom, message.playbook.unwrap_or_default(), message.status)
        })
        .collect();
    messages.sort();
    Outcome {
        state: store.business_state().await.unwrap(),
        events,
        runs,
        messages,
        asked: stage.ground.sink.asked.lock().unwrap().clone(),
    }
}

/// The messages but for those that nobody approved, in whose place others may stand under the same id.
async fn approved(stage: &Stage, messages: &[MessageRecord]) -> Vec<MessageRecord> {
    let store = &stage.ground.store;
    let all = store.approvals(&ApprovalFilter::default(), &ALL).await;
    let mut unapproved = BTreeMap::new();
    for approval in all.unwrap().data {
        let is_over = approval.status != "held";
        assert!(is_over, "left over: {approval:?}");
        if approval.status != "approved" {
            unapproved.insert(approval.message.unwrap().id, approval.status);
        }
    }
    let (unapproved, approved): (Vec<_>, Vec<_>) = messages
        .iter()
        .cloned()
        .partition(|message| unapproved.get(&message.id) == Some(&message.status));
    assert!(unapproved.iter().all(|message| message.attempts == 0));
    approved
}

/// A customer has at most one copy of a mail, and exactly the sent ones; internal notices arrive at least once.
fn check_copies(stage: &Stage, messages: &[MessageRecord]) {
    let sink = &stage.ground.sink;
    let (mails, notices) = (sink.mails.lock().unwrap(), sink.notices.lock().unwrap());
    let ids: BTreeSet<_> = messages.iter().map(|message| &message.message_id).collect();
    assert_eq!(ids.len(), messages.len(), "one effect has two messages");
    assert!(mails.iter().all(|mail| ids.contains(mail)));
    let mut told = 0;
    for message in messages {
        let copies = mails
            .iter()
            .filter(|mail| **mail == message.message_id)
            .count();
        match (message.channel.as_str(), message.status.as_str()) {
            ("email", "sent") => assert_eq!(copies, 1, "{message:?}"),
            ("email", "suppressed" | "expired") => assert_eq!(copies, 0, "{message:?}"),
            ("email", "unknown") => assert!(copies <= 1, "{message:?}"),
            ("sales", "sent") => told += 1,
            _ => panic!("left over: {message:?}"),
        }
    }
    let distinct: BTreeSet<_> = notices.iter().collect();
    assert_eq!(distinct.len(), told, "notices by their ids");
}

/// The application knows the newest version of every object that it is told of, and nothing waits to be told.
async fn check_told(stage: &Stage, messages: &[MessageRecord]) {
    let told = stage.ground.sink.told.lock().unwrap().clone();
    for message in messages.iter().filter(|message| message.channel == "app") {
        let is_over = matches!(message.status.as_str(), "sent" | "suppressed");
        assert!(is_over, "left over: {message:?}");
    }
    if !stage.ground.tells_application() {
        assert!(told.is_empty(), "told without being configured: {told:?}");
        return;
    }
    let mut known: BTreeMap<String, i64> = BTreeMap::new();
    let mut versions: BTreeMap<String, (String, i64)> = BTreeMap::new();
    for (id, body) in told {
        let object = format!("{}/{}", body["data"]["object"], body["data"]["id"]).replace('"', "");
        let version = body["version"].as_i64().unwrap();
        let one = (object.clone(), version);
        assert_eq!(versions.entry(id).or_insert(one.clone()), &one, "one id");
        let newest = known.entry(object).or_default();
        *newest = version.max(*newest);
    }
    let mut rows = BTreeMap::new();
    for (kind, _) in TOLD {
        let filter = ObjectFilter {
            kind: kind.to_owned(),
            ..ObjectFilter::default()
        };
        for row in stage
            .ground
            .store
            .objects(&filter, &ALL)
            .await
            .unwrap()
            .data
        {
            rows.insert(format!("{kind}/{}", row.id), row.version);
        }
    }
    assert_eq!(known, rows, "what the application knows, and what is");
}

impl Outcome {
    /// Holds a telling that `point` befell against the undisturbed one.
    pub(super) fn check(&self, undisturbed: &Self, point: Point) {
        assert_eq!(self.state, undisturbed.state, "the business's state");
        assert_eq!(self.events, undisturbed.events, "the events");
        assert_eq!(self.runs, undisturbed.runs, "the follow-ups");
        let may_be_unknown = match point.verb {
            "begin_sending" | "send" | "renew_message" | "settle_message" => true,
            // Channels work side by side: whoever dies at another's may have a mail on its way.
            "claim_messages" | "current_row" | "notify" | "tell" => {
                matches!(point.fault, Fault::DiesBefore | Fault::DiesAfter)
            }
            _ => false,
        };
        let read = |messages: &[(String, String, String)]| -> Vec<_> {
            let settled = messages.iter().map(|(whom, playbook, status)| {
                let undecided = may_be_unknown && status == "unknown";
                let status = if undecided { "sent" } else { status };
                (whom.clone(), playbook.clone(), status.to_owned())
            });
            settled.collect()
        };
        assert_eq!(read(&self.messages), undisturbed.messages, "the messages");
        let once_more = match point.fault {
            // Whoever took over asks, and the one who slept does not know yet.
            Fault::StallsBefore | Fault::StallsAfter => usize::MAX,
            // The reply was given and not journaled.
            Fault::FailsBefore | Fault::DiesBefore | Fault::Panics if point.verb == "journal" => 1,
            // The process died while the model was being asked.
            Fault::DiesBefore | Fault::DiesAfter | Fault::Panics
                if matches!(point.verb, "renew_run" | "claim_run") =>
            {
                1
            }
            _ => 0,
        };
        let asked = |outcome: &Self| outcome.asked.values().sum::<usize>();
        let extra = asked(self) - asked(undisturbed);
        assert!(
            extra <= once_more,
            "journaled replies were asked for again: {:?}",
            self.asked
        );
    }
}
