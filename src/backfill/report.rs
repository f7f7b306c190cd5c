//! What a look came to, for whoever asked for it.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use tokio_util::sync::CancellationToken;

use super::BackfillError;
use super::accounts::Account;
use crate::clock::Timestamp;
use crate::store::{Gap, Holder};
use crate::stripe::api::ApiError;
use crate::telemetry::in_one_line;

/// Stripe's code for an account that a key cannot speak for (docs.stripe.com/error-codes).
const NOT_CONNECTED: &str = "account_invalid";

/// How far a look has come with one account.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The account.
    pub account: &'a str,
    /// How many accounts there are.
    pub accounts: usize,
    /// Events found so far.
    pub found: u64,
    /// Objects looked up so far.
    pub objects: u64,
    /// What it does.
    pub stage: Stage<'a>,
}

/// What a look does with an account.
#[derive(Debug, Clone, Copy)]
pub enum Stage<'a> {
    /// Somebody else has it.
    Waits(&'a Holder),
    /// It walks through its events.
    Walks {
        /// Where the walk began.
        from: Timestamp,
        /// What it has reached.
        at: Timestamp,
        /// Where it will end.
        to: Timestamp,
    },
    /// It looks up a list of objects.
    LooksUp(&'a str),
    /// It is over.
    Ended,
}

/// Hears how far a look has come.
pub type Watch<'a> = dyn Fn(&Step<'_>) + Sync + 'a;

/// For when nobody watches.
pub(super) fn nobody(_: &Step<'_>) {}

/// What a look at all accounts came to.
#[derive(Debug, Serialize)]
pub struct Report {
    pub(super) object: &'static str,
    /// Nothing was written.
    pub dry_run: bool,
    /// The key's mode.
    pub livemode: bool,
    /// Each account.
    pub accounts: Vec<AccountReport>,
    /// What else there is to know.
    pub remarks: Vec<String>,
    /// Why Stripe did not say which accounts are connected, and may well the next time.
    #[serde(skip)]
    pub(super) unlisted: Option<BackfillError>,
}

impl Report {
    /// Whether somebody else has an account.
    pub fn is_busy(&self) -> bool {
        let mut accounts = self.accounts.iter();
        accounts.any(|account| matches!(account.status, Outcome::Busy(_)))
    }

    /// Whether some account was not looked at to the end.
    pub fn has_failed(&self) -> bool {
        self.failures().next().is_some()
    }

    /// Why accounts were not looked at to the end, or not found.
    pub fn failures(&self) -> impl Iterator<Item = &BackfillError> {
        let of_accounts = self
            .accounts
            .iter()
            .filter_map(|account| match &account.status {
                Outcome::Failed(error) => Some(error),
                _ => None,
            });
        of_accounts.chain(&self.unlisted)
    }
}

/// How a look at one account ended.
#[derive(Debug)]
pub enum Outcome {
    /// Its events are complete.
    Done,
    /// Somebody else looks.
    Busy(Holder),
    /// Somebody has looked a moment ago.
    Recent,
    /// The account is not connected to the key's any more.
    Disconnected,
    /// It ended early.
    Failed(BackfillError),
}

impl Outcome {
    pub(super) fn of(account: &Account, done: Result<(), BackfillError>) -> Self {
        match done {
            Ok(()) => Self::Done,
            // The account has ended its connection, which is no fault of the key.
            Err(BackfillError::Stripe(ApiError::Denied {
                code: Some(code), ..
            })) if code == NOT_CONNECTED && account.connected.is_some() => Self::Disconnected,
            Err(error) => Self::Failed(error),
        }
    }

    /// Why it did not come to its end.
    fn reason(&self) -> Option<String> {
        match self {
            Self::Failed(error) => Some(in_one_line(error)),
            Self::Busy(holder) => Some(format!(
                "{} is looking for its events; should that have been killed, its claim ends by itself at {}",
                holder.by, holder.until
            )),
            Self::Done | Self::Recent | Self::Disconnected => None,
        }
    }

    /// How reports and metrics call it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Busy(_) => "busy",
            Self::Recent => "recent",
            Self::Disconnected => "disconnected",
            Self::Failed(_) => "failed",
        }
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.word())
    }
}

/// What a look at one account came to.
#[derive(Debug, Serialize)]
pub struct AccountReport {
    /// The account.
    pub account: String,
    /// How it ended.
    pub status: Outcome,
    /// Why, where it ended early.
    pub error: Option<String>,
    /// Where the walk began, in ISO 8601.
    pub from: Option<String>,
    /// Events that Stripe lists there.
    pub found: u64,
    /// Those that came in, or would, by type.
    pub new: BTreeMap<String, u64>,
    /// Those that could not be read.
    pub unreadable: u64,
    /// The time whose events Stripe does not list any more.
    pub gap: Option<GapReport>,
    /// What else there is to know.
    pub remarks: Vec<String>,
}

/// What was done about a time without events.
#[derive(Debug, Serialize)]
pub struct GapReport {
    /// Its first moment, in ISO 8601.
    pub from: String,
    /// The first moment after it.
    pub to: String,
    /// Whether every object that may have changed was looked up.
    pub reconciled: bool,
    /// How many were.
    pub objects: u64,
    /// How many of these billhook had known otherwise.
    pub changed: u64,
}

/// A look at one account while it goes on.
pub(super) struct Round<'w> {
    pub(super) account: Account,
    /// How many accounts there are.
    accounts: usize,
    watch: &'w Watch<'w>,
    pub(super) livemode: bool,
    pub(super) from: Option<Timestamp>,
    pub(super) found: u64,
    pub(super) new: u64,
    pub(super) types: BTreeMap<String, u64>,
    pub(super) unreadable: u64,
    pub(super) gap: Option<Gap>,
    pub(super) reconciled: bool,
    pub(super) objects: u64,
    pub(super) changed: u64,
    pub(super) remarks: Vec<String>,
    /// The process is about to end.
    pub(super) stop: CancellationToken,
}

impl<'w> Round<'w> {
    pub(super) fn new(
        account: Account,
        accounts: usize,
        livemode: bool,
        watch: &'w Watch<'w>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            account,
            accounts,
            watch,
            livemode,
            from: None,
            found: 0,
            new: 0,
            types: BTreeMap::new(),
            unreadable: 0,
            gap: None,
            reconciled: false,
            objects: 0,
            changed: 0,
            remarks: Vec::new(),
            stop,
        }
    }

    /// Tells whoever watches.
    pub(super) fn tell(&self, stage: Stage<'_>) {
        (self.watch)(&Step {
            account: &self.account.name,
            accounts: self.accounts,
            found: self.found,
            objects: self.objects,
            stage,
        });
    }

    /// Counts an event that is new.
    pub(super) fn came_in(&mut self, kind: &str) {
        self.new += 1;
        *self.types.entry(kind.to_owned()).or_default() += 1;
    }

    pub(super) fn into_report(self, outcome: Outcome) -> AccountReport {
        AccountReport {
            account: self.account.name,
            error: outcome.reason(),
            status: outcome,
            from: self.from.map(Timestamp::iso),
            found: self.found,
            new: self.types,
            unreadable: self.unreadable,
            gap: self.gap.map(|gap| GapReport {
                from: gap.from.iso(),
                to: gap.to.iso(),
                reconciled: self.reconciled,
                objects: self.objects,
                changed: self.changed,
            }),
            remarks: self.remarks,
        }
    }
}
