//! What finance is told of a dispute, from current rows.

use crate::guardrails::mandatory::facts::is_inquiry;
use crate::guardrails::precondition::Standing;
use crate::guardrails::provenance::Fact;
use crate::stripe::view::View;

/// A dispute as a notice shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    state: State,
    id: Option<Fact>,
    charge: Option<Fact>,
    reason: Option<Fact>,
    due_by: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A bank asks; no money has moved.
    Inquiry,
    /// The money is taken until the bank has decided.
    Open,
    /// The money is gone.
    Lost,
}

impl State {
    fn of(dispute: &View) -> Self {
        match dispute.text("status") {
            Some("lost") => Self::Lost,
            _ if is_inquiry(dispute) => Self::Inquiry,
            _ => Self::Open,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Inquiry => "inquiry",
            Self::Open => "open",
            Self::Lost => "lost",
        }
    }
}

impl Dispute {
    /// The dispute that an occurrence is about.
    pub fn of(standing: &Standing) -> Option<Self> {
        let (id, row) = standing.dispute.as_ref()?;
        Some(Self {
            state: State::of(row),
            id: Fact::id(id),
            charge: row.text("charge").and_then(Fact::id),
            reason: row.text("reason").and_then(Fact::code),
            due_by: row.int("due_by"),
        })
    }

    /// The word that playbooks know its state by.
    pub fn word(dispute: &View) -> &'static str {
        State::of(dispute).as_str()
    }

    /// Its state, as playbooks know it.
    pub fn state(&self) -> &'static str {
        self.state.as_str()
    }

    /// The notice's title.
    pub fn title(&self) -> &'static str {
        match self.state {
            State::Inquiry => "A bank asks about a payment",
            State::Open => "Payment disputed",
            State::Lost => "Dispute lost",
        }
    }

    /// What stands under the summary, dates in `language`.
    pub fn fields(&self, language: &str) -> Vec<(&'static str, Fact)> {
        let deadline = self.due_by.filter(|_| self.state != State::Lost);
        [
            ("Reason", self.reason.clone()),
            ("Answer by", deadline.map(|at| Fact::day(at, language))),
            ("Dispute", self.id.clone()),
            ("Charge", self.charge.clone()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn dispute(fields: serde_json::Value) -> Dispute {
        let standing = Standing {
            dispute: Some(("dp_1".to_owned(), serde_json::from_value(fields).unwrap())),
            ..Standing::default()
        };
        Dispute::of(&standing).unwrap()
    }

    fn fields(dispute: &Dispute) -> Vec<(&'static str, String)> {
        let fields = dispute.fields("en").into_iter();
        fields
            .map(|(name, fact)| (name, fact.as_str().to_owned()))
            .collect()
    }

    #[test]
    fn a_notice_says_what_there_is_to_do() {
        for (status, state, title, deadline) in [
            (
                "warning_needs_response",
                "inquiry",
                "A bank asks about a payment",
                true,
            ),
            (
                "warning_under_review",
                "inquiry",
                "A bank asks about a payment",
                true,
            ),
            ("needs_response", "open", "Payment disputed", true),
            ("under_review", "open", "Payment disputed", true),
            ("from_the_future", "open", "Payment disputed", true),
            ("lost", "lost", "Dispute lost", false),
        ] {
            let shown = dispute(json!({ "status": status, "due_by": 7 }));
            assert_eq!((shown.state(), shown.title()), (state, title), "{status}");
            let found = fields(&shown).contains(&("Answer by", "1 January 1970".to_owned()));
            assert_eq!(found, deadline, "{status}");
        }
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        assert_eq!(
            fields(&dispute(json!({}))),
            [("Dispute", "dp_1".to_owned())]
        );
        let odd = json!({ "reason": "<!channel>", "charge": "ch_1 and more" });
        assert_eq!(fields(&dispute(odd)), [("Dispute", "dp_1".to_owned())]);
        let full = json!({ "status": "needs_response", "reason": "product_not_received", "charge": "ch_1" });
        assert_eq!(
            fields(&dispute(full)),
            [
                ("Reason", "product not received".to_owned()),
                ("Dispute", "dp_1".to_owned()),
                ("Charge", "ch_1".to_owned()),
            ]
        );
    }
}
