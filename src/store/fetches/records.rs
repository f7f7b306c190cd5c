//! Questions to Stripe: why there are any, what each says, and how it ends.

use std::time::Duration;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::store::database::Row;
use crate::store::error::StoreError;
use crate::store::shown::rows::count;

/// Why Stripe is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Two events of one second say different things of an object, and nothing tells which was later.
    Tie,
    /// An event shows only the beginning of a list.
    List,
    /// Nothing says yet which payment an invoice was to be paid by, or the other way round.
    Links,
    /// A thin event says only what it is about.
    Thin,
}

impl Reason {
    pub(super) const ALL: [Self; 4] = [Self::Tie, Self::List, Self::Links, Self::Thin];

    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tie => "tie",
            Self::List => "list",
            Self::Links => "links",
            Self::Thin => "thin",
        }
    }

    /// How long it is not asked: what else happens in the second of a tie is on its way, and an answer that is given in
    /// that very second could not settle it.
    pub(super) fn pause(self) -> Duration {
        match self {
            Self::Tie => AFTER_A_TIE,
            Self::List | Self::Links | Self::Thin => Duration::ZERO,
        }
    }
}

pub(super) const AFTER_A_TIE: Duration = Duration::from_secs(2);

/// Which events something can be asked about: a key sees one mode, and nothing of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// There is no key.
    #[default]
    Nothing,
    /// The key is for live mode, or for test mode.
    Mode(bool),
    /// The key does not say what it is for.
    Either,
}

impl Reach {
    /// What a key reaches that is for this mode, or does not say for which.
    pub fn of_key(livemode: Option<bool>) -> Self {
        livemode.map_or(Self::Either, Self::Mode)
    }

    /// Whether events of this mode are within it.
    pub fn covers(self, livemode: bool) -> bool {
        match self {
            Self::Nothing => false,
            Self::Mode(mode) => mode == livemode,
            Self::Either => true,
        }
    }

    /// The modes within it, the one with money first.
    pub(in crate::store) fn modes(self) -> impl Iterator<Item = bool> {
        [true, false]
            .into_iter()
            .filter(move |mode| self.covers(*mode))
    }
}

/// A question under a lease.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedFetch {
    /// Its id.
    pub id: String,
    /// The fence.
    pub epoch: i64,
    /// Why it is asked.
    pub reason: Reason,
    /// The account, as its events are stored under.
    pub account: String,
    /// Stripe's livemode.
    pub livemode: bool,
    /// What has to be sent as `Stripe-Context`.
    pub context: Option<String>,
    /// Stripe's object name, or `v2.core.event`.
    pub kind: String,
    /// The object's id.
    pub object: String,
    /// The event that asked last.
    pub event: String,
    /// How often it was asked in vain.
    pub attempts: u32,
    /// When the question came up.
    pub asked_at: Timestamp,
}

impl ClaimedFetch {
    pub(super) fn read(row: &Row) -> Result<Self, StoreError> {
        let word = row.text("reason")?;
        let reason = Reason::ALL
            .into_iter()
            .find(|reason| reason.as_str() == word);
        Ok(Self {
            id: row.text("id")?,
            epoch: row.int("epoch")?,
            reason: reason.ok_or(StoreError::Inconsistent {
                column: "fetches.reason",
                what: "unknown",
            })?,
            account: row.text("account")?,
            livemode: row.flag("livemode")?,
            context: row.opt_text("context")?,
            kind: row.text("kind")?,
            object: row.text("object")?,
            event: row.text("event")?,
            attempts: count(row, "attempts")?,
            asked_at: row.time("asked_at")?,
        })
    }
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchEnd {
    /// It is answered, and the answer is taken in.
    Done,
    /// There is no such object, or not any more: nothing is known better, and never will be.
    Gone,
    /// It will not be answered.
    GivenUp(String),
    /// It is asked again then.
    Again {
        /// When.
        at: Timestamp,
        /// Why it was not answered.
        error: String,
    },
    /// The key may not ask this: nothing of the kind is asked until then.
    Denied {
        /// Until when.
        until: Timestamp,
        /// What is missing.
        error: String,
    },
}

/// A question as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub struct FetchRecord {
    /// Why Stripe is asked.
    pub reason: String,
    /// Stripe's object name, or `v2.core.event`.
    pub kind: String,
    /// The object's id.
    pub id: String,
    /// `pending`, `denied`, `done`, `gone` or `given_up`.
    pub status: String,
    /// How often it was asked in vain.
    pub attempts: u32,
    /// Why it was not answered.
    pub last_error: Option<String>,
    /// Not asked before this, while it waits.
    pub not_before: Option<String>,
    /// When the question came up.
    pub asked_at: String,
    /// When it was over.
    pub ended_at: Option<String>,
    /// What it waits for, in a sentence, while it is not over.
    pub waits_for: Option<String>,
}
