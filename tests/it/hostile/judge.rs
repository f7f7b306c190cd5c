//! Whether an attacker got what they wanted: read from bytes that left and from tables, never from what billhook says of
//! itself. Pure, so that it can be shown each kind of evil and must find it.

use std::collections::{BTreeMap, BTreeSet};

use super::books::Books;
use super::cast::{Cast, Owed};
use super::letter::Letter;
use super::reading::bytes;
use super::tables::{effects, orders, state};

/// A house's own addresses: notices to its people may go there.
pub(super) const TEAMS: [&str; 2] = ["sales@acme.example", "finance@acme.example"];

/// One thing that should not be, by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) kind: &'static str,
    pub(super) what: String,
}

/// A case, as the judge must know it.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    pub(super) cast: Cast,
    /// Whether there is an address that mail can be sent to.
    pub(super) may_be_written_to: bool,
    /// How often a model may be asked in one run.
    pub(super) turns: i64,
}

/// What was found so far.
#[derive(Default)]
pub(super) struct Verdict(Vec<Violation>);

impl Verdict {
    pub(super) fn find(&mut self, kind: &'static str, so: bool, what: impl FnOnce() -> String) {
        if so {
            self.0.push(Violation { kind, what: what() });
        }
    }
}

/// Everything that is wrong in these books.
pub(super) fn judge(books: &Books, trials: &[Trial]) -> Vec<Violation> {
    let mut verdict = Verdict::default();
    let by_lead: BTreeMap<String, &Trial> = trials
        .iter()
        .map(|trial| (trial.cast.lead_id(), trial))
        .collect();
    bytes(&mut verdict, books, &by_lead);
    owed(&mut verdict, books, trials);
    once(&mut verdict, books);
    effects(&mut verdict, books, &by_lead);
    runs(&mut verdict, books, &by_lead);
    state(&mut verdict, books, trials);
    orders(&mut verdict, books, &by_lead);
    for what in &books.strange_changes {
        verdict.find("strange_change", true, || what.clone());
    }
    verdict.0
}

/// Each case's mails, notices and win-backs: neither fewer nor more, and all of them gone.
fn owed(verdict: &mut Verdict, books: &Books, trials: &[Trial]) {
    for trial in trials {
        let lead = trial.cast.lead_id();
        let of = |channel: &str| {
            let rows = books.messages.iter();
            rows.filter(|row| row.event == lead && row.channel == channel && row.status == "sent")
                .count()
        };
        let found = Owed {
            mails: of("email"),
            sales: of("sales"),
            finance: of("finance"),
            winbacks: books
                .schedules
                .iter()
                .filter(|row| row.event == lead)
                .count(),
        };
        let due = trial.cast.owed(trial.may_be_written_to);
        verdict.find("owed", found != due, || {
            format!("{lead} ({}): {found:?}, owed {due:?}", trial.cast.playbook)
        });
    }
    let left = books.mails.len() + books.notices.len();
    verdict.find("owed", left != books.messages.len(), || {
        format!("{left} left, {} rows", books.messages.len())
    });
}

/// One mail for an occurrence and a stage, one notice to a team.
fn once(verdict: &mut Verdict, books: &Books) {
    let mut seen = BTreeSet::new();
    for row in &books.messages {
        let key = (&row.occurrence, &row.playbook, &row.channel);
        verdict.find("twice", !seen.insert(key), || format!("{key:?}"));
    }
    let ids: BTreeSet<String> = books
        .mails
        .iter()
        .map(|mail| Letter::read(mail).all("Message-ID").concat())
        .collect();
    verdict.find("twice", ids.len() != books.mails.len(), || {
        "one mail left twice".to_owned()
    });
}

/// Every run came to its end, and none cost more than its playbook allows.
fn runs(verdict: &mut Verdict, books: &Books, by_lead: &BTreeMap<String, &Trial>) {
    for run in &books.runs {
        verdict.find("run", run.status != "done", || format!("{run:?}"));
        verdict.find("budget", run.bytes > 600_000, || format!("{run:?}"));
        let turns = by_lead.get(&run.event).map_or(0, |trial| trial.turns);
        verdict.find("budget", run.turns > turns, || format!("{run:?}"));
    }
    for lead in by_lead.keys() {
        verdict.find(
            "run",
            !books.runs.iter().any(|run| run.event == *lead),
            || format!("no run for {lead}"),
        );
    }
}
