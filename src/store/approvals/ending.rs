//! What becomes of something that is held, when a person or the time asks. Pure.

use crate::store::verdicts::{Decision, Verdict};
use crate::stripe::text::{clip, without_nul};

/// The longest of a person's reasons that is kept.
const MAX_REASON_CHARS: usize = 500;

/// What ends a wait.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked<'a> {
    Verdict(&'a Verdict),
    Time,
}

/// What is held, as far as it decides what may become of it.
pub(super) struct State<'a> {
    /// Its time is over.
    pub(super) is_due: bool,
    /// Of what was held when it was proposed.
    pub(super) hash: &'a str,
    /// Of what is held now; nothing where the row is gone.
    pub(super) found: Option<&'a str>,
    /// The fact that stands against it.
    pub(super) gone: Option<String>,
}

/// What becomes of what is held.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It goes on waiting.
    None(Decision),
    /// It leaves.
    Leaves,
    /// It ends in this status.
    Ends {
        status: &'static str,
        reason: String,
        /// What is owed is done in its place.
        settles: bool,
        decision: Decision,
    },
}

/// What becomes of what is held, now that it is asked.
pub(super) fn ending(asked: Asked<'_>, state: &State<'_>) -> Ending {
    let over = |status: &str| Decision::Over(status.to_owned());
    if let Asked::Verdict(Verdict::Approve { hash }) = asked
        && hash != state.hash
    {
        return Ending::None(Decision::OtherHash(state.hash.to_owned()));
    }
    let but = |reason: &str| match &state.gone {
        None => reason.to_owned(),
        Some(gone) => format!("{reason}; nothing is owed any more: {gone}"),
    };
    let ends = |status, reason: String, decision| Ending::Ends {
        status,
        reason,
        settles: state.gone.is_none(),
        decision,
    };
    match (asked, &state.gone) {
        (Asked::Time, _) if !state.is_due => Ending::None(over("held")),
        (Asked::Time, _) => ends("expired", but("nobody approved it in time"), Decision::Done),
        (Asked::Verdict(_), _) if state.is_due => ends(
            "expired",
            but("nobody approved it in time"),
            over("expired"),
        ),
        (Asked::Verdict(Verdict::Deny { reason }), _) => {
            let reason = reason.as_deref().unwrap_or("a person denied it");
            let reason = without_nul(clip(reason, MAX_REASON_CHARS));
            ends("denied", but(&reason), Decision::Done)
        }
        (Asked::Verdict(Verdict::Approve { .. }), Some(gone)) => {
            ends("suppressed", gone.clone(), over("suppressed"))
        }
        (Asked::Verdict(Verdict::Approve { .. }), None) if state.found != Some(state.hash) => {
            Ending::None(Decision::Changed)
        }
        (Asked::Verdict(Verdict::Approve { .. }), None) => Ending::Leaves,
    }
}

#[cfg(test)]
mod tests;
