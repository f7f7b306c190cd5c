//! What finance is told of a dispute, from current rows.

use crate::guardrails::mandatory::facts::is_inquiry;
use crate::guardrails::precondition::Standing;
use crate::stripe::text::is_a_code;
use crate::stripe::view::View;

/// A dispute as a notice shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    state: State,
    id: String,
    charge: Option<String>,
    reason: Option<String>,
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
            id: id.clone(),
            charge: row.text("charge").map(str::to_owned),
            reason: row.text("reason").and_then(in_words),
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

    /// What stands under the summary, dates written by `date`.
    pub fn fields(&self, date: impl Fn(i64) -> String) -> Vec<(&'static str, String)> {
        let deadline = self.due_by.filter(|_| self.state != State::Lost);
        [
            ("Reason", self.reason.clone()),
            ("Answer by", deadline.map(date)),
            ("Dispute", Some(self.id.clone())),
            ("Charge", self.charge.clone()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

/// One of Stripe's words, such as `product_not_received`, for a reader; nothing for what cannot be one.
pub(super) fn in_words(reason: &str) -> Option<String> {
    is_a_code(reason).then(|| reason.replace('_', " "))
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
            let fields = shown.fields(|at| at.to_string());
            let found = fields.contains(&("Answer by", "7".to_owned()));
            assert_eq!(found, deadline, "{status}");
        }
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        assert_eq!(
            dispute(json!({})).fields(|at| at.to_string()),
            [("Dispute", "dp_1".to_owned())]
        );
        let full = json!({ "status": "needs_response", "reason": "product_not_received", "charge": "ch_1" });
        assert_eq!(
            dispute(full).fields(|at| at.to_string()),
            [
                ("Reason", "product not received".to_owned()),
                ("Dispute", "dp_1".to_owned()),
                ("Charge", "ch_1".to_owned()),
            ]
        );
    }

    #[test]
    fn only_a_word_of_stripes_is_repeated() {
        for reason in [
            "",
            "Call +49 30 123",
            "<!channel>",
            "général",
            "x".repeat(65).as_str(),
        ] {
            assert_eq!(in_words(reason), None, "{reason}");
        }
        assert_eq!(
            in_words("credit_not_processed").as_deref(),
            Some("credit not processed")
        );
    }
}
