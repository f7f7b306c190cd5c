//! The door that every event comes through: which of them are worked on, and how many may wait.

use std::time::Duration;

use super::stripe::reach;
use crate::config::Config;
use crate::inbox::{self, Admission};

/// How old the answer may be to whether too many events wait.
const BACKLOG_PAUSE: Duration = Duration::from_secs(1);

/// Which events are worked on.
pub(super) fn admission(config: &Config) -> Admission {
    Admission {
        accept_livemode: config.stripe.accept_livemode,
        accept_testmode: config.stripe.accept_testmode,
        accounts: config.stripe.accounts.clone(),
        reach: reach(config),
    }
}

/// How much the inbox takes on. A delivery may wait for two transactions, and then its request has still time to be
/// answered.
pub(super) fn inbox_limits(config: &Config) -> inbox::Limits {
    inbox::Limits {
        max_backlog: config.inbox.max_backlog,
        backlog_pause: BACKLOG_PAUSE,
        commit: config.server.request_timeout / 3,
    }
}
