//! How far a look has come with all of its accounts, as one bar for whoever watches.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::backfill::{Stage, Step};

/// What an account that is over counts for. Time is what is walked through; how many events it holds nobody knows before.
const WHOLE: u64 = 1000;

/// One bar. Hidden by itself where standard error is no terminal.
pub(super) struct Board {
    bar: ProgressBar,
    seen: Mutex<Seen>,
}

/// What was heard of each account.
#[derive(Default)]
struct Seen(BTreeMap<String, Account>);

#[derive(Default)]
struct Account {
    share: u64,
    is_over: bool,
    found: u64,
    objects: u64,
}

impl Board {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent}% {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            bar,
            seen: Mutex::default(),
        }
    }

    pub(super) fn show(&self, step: &Step<'_>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (position, message) = seen.hear(step);
        let length = u64::try_from(step.accounts).unwrap_or(u64::MAX);
        self.bar.set_length(length.saturating_mul(WHOLE));
        self.bar.set_position(position);
        self.bar.set_message(message);
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Seen {
    /// Where the bar stands now, and what is written beside it.
    fn hear(&mut self, step: &Step<'_>) -> (u64, String) {
        let account = self.0.entry(step.account.to_owned()).or_default();
        (account.found, account.objects) = (step.found, step.objects);
        match step.stage {
            Stage::Walks { from, at, to } => {
                let whole = to.since(from).as_secs().max(1);
                account.share = (at.since(from).as_secs().min(whole) * WHOLE) / whole;
            }
            Stage::Ended => (account.share, account.is_over) = (WHOLE, true),
            Stage::Waits(_) | Stage::LooksUp(_) => {}
        }
        let all = || self.0.values();
        let mut parts = Vec::new();
        if step.accounts > 1 {
            let over = all().filter(|account| account.is_over).count();
            parts.push(format!("{over} of {} accounts", step.accounts));
        }
        let found: u64 = all().map(|account| account.found).sum();
        parts.push(format!("{found} events"));
        let objects: u64 = all().map(|account| account.objects).sum();
        if objects > 0 {
            parts.push(format!("{objects} objects"));
        }
        let doing = match step.stage {
            Stage::Waits(holder) => format!(
                "; {} waits for {}, until {} at the latest if that was killed",
                step.account, holder.by, holder.until
            ),
            Stage::LooksUp(list) => format!("; {}: {list}", step.account),
            Stage::Walks { .. } | Stage::Ended => String::new(),
        };
        let message = parts.join(", ") + &doing;
        (all().map(|account| account.share).sum(), message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::store::Holder;

    #[test]
    fn accounts_that_are_looked_at_side_by_side_share_one_bar() {
        let holder = Holder {
            by: "`billhook serve` (process 7)".to_owned(),
            until: Timestamp::from_seconds(1_800_000_000),
        };
        let at = Timestamp::from_seconds;
        let walks = |at| Stage::Walks {
            from: Timestamp::from_seconds(100),
            at,
            to: Timestamp::from_seconds(200),
        };
        let mut seen = Seen::default();
        for (account, found, objects, stage, expected) in [
            (
                "self",
                10,
                0,
                walks(at(150)),
                (500, "0 of 2 accounts, 10 events"),
            ),
            (
                "acct_1",
                0,
                0,
                Stage::Waits(&holder),
                (
                    500,
                    "0 of 2 accounts, 10 events; acct_1 waits for `billhook serve` (process 7), until 2027-01-15T08:00:00Z at the latest if that was killed",
                ),
            ),
            (
                "acct_1",
                5,
                0,
                walks(at(120)),
                (700, "0 of 2 accounts, 15 events"),
            ),
            (
                "self",
                12,
                0,
                walks(at(999)),
                (1200, "0 of 2 accounts, 17 events"),
            ),
            (
                "self",
                12,
                100,
                Stage::LooksUp("/v1/charges"),
                (
                    1200,
                    "0 of 2 accounts, 17 events, 100 objects; self: /v1/charges",
                ),
            ),
            (
                "self",
                12,
                100,
                Stage::Ended,
                (1200, "1 of 2 accounts, 17 events, 100 objects"),
            ),
        ] {
            let step = Step {
                account,
                accounts: 2,
                found,
                objects,
                stage,
            };
            let (position, message) = seen.hear(&step);
            assert_eq!((position, message.as_str()), expected);
        }
    }
}
