//! The database: whether it is there, can be relied on, and holds work that waits for a person.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::finding::Finding;
use super::whose::Whose;
use crate::app;
use crate::clock::{Clock, Timestamp};
use crate::config::Config;
use crate::ids::TimeSortedIds;
use crate::store::{BackfillRecord, Examination, SqlStore, Store as _, StoreError, UnsentNotices};
use crate::stripe::api::StripeApi;
use crate::telemetry::in_one_line;

const CHECK: &str = "database";
/// Where PostgreSQL listens when its address does not say.
const POSTGRES_PORT: u16 = 5432;
/// Clocks that are further apart than this make times in logs and mails confusing, and signatures seem old.
const SKEW: Duration = Duration::from_secs(2);

/// Nobody has looked for missed events for so long that it cannot be meant.
const FORGOTTEN: Duration = Duration::from_hours(3 * 24);

/// All checks of the database; when it cannot be asked, one says why.
pub(super) async fn look(config: &Config, clock: Arc<dyn Clock>) -> Vec<Finding> {
    if let Some(path) = sqlite_file(config)
        && !path.exists()
    {
        return vec![not_yet(&path)];
    }
    // A pool only says that it waited in vain. What is no address of a host (a socket's, say) is the pool's to try.
    let url = &config.database.url;
    if url.scheme() != "sqlite"
        && let Err(error) = super::services::connect(url, POSTGRES_PORT).await
        && error.kind() != io::ErrorKind::Other
    {
        return vec![unreachable(config, &error)];
    }
    let ids = Arc::new(TimeSortedIds::new(clock.clone()));
    let url = config.database.url.expose();
    let policy = app::policy(config);
    let examined = async {
        let store = SqlStore::open_as_found(url, clock.clone(), ids, policy).await?;
        let examined = store.examine().await;
        store.close().await;
        examined
    };
    match examined.await {
        Ok(mut examination) => {
            let whose = Whose::of(config).await;
            let records = &mut examination.backfills;
            records.retain(|record| whose.includes(&record.account));
            findings(config, clock.as_ref(), &examination)
        }
        Err(error) => vec![failure(config, &error)],
    }
}

/// The file of a SQLite database; none for another database, and for one in memory.
pub(super) fn sqlite_file(config: &Config) -> Option<PathBuf> {
    let path = config.database.url.expose().strip_prefix("sqlite:")?;
    let path = path.trim_start_matches("//");
    (!path.is_empty() && path != ":memory:").then(|| PathBuf::from(path))
}

fn not_yet(path: &Path) -> Finding {
    let folder = super::machine::folder_of(path);
    let found = format!("{} does not exist yet", path.display());
    if super::machine::is_writable(&folder) {
        Finding::warning(
            CHECK,
            found,
            "`billhook serve` or `billhook migrate` makes it",
        )
    } else {
        Finding::failed(
            CHECK,
            format!("{found}, and its folder takes no files"),
            "make the folder, or point DATABASE_URL elsewhere",
        )
    }
}

fn unreachable(config: &Config, cause: &dyn Error) -> Finding {
    let (url, cause) = (&config.database.url, in_one_line(cause));
    Finding::failed(
        CHECK,
        format!("{url} cannot be opened: {cause}"),
        "start it, or correct DATABASE_URL",
    )
}

fn failure(config: &Config, error: &StoreError) -> Finding {
    let text = in_one_line(error);
    match error {
        StoreError::SchemaMissing if config.database.migrate => Finding::warning(
            CHECK,
            "it answers, and has no schema or an old one",
            "`billhook serve` or `billhook migrate` brings it up to date",
        ),
        StoreError::SchemaMissing => Finding::failed(CHECK, text, "run `billhook migrate`"),
        StoreError::SchemaTooNew { .. } => {
            Finding::failed(CHECK, text, "install the newer billhook")
        }
        StoreError::Unreachable(cause) => unreachable(config, cause),
        _ => Finding::failed(
            CHECK,
            format!("{}: {text}", config.database.url),
            "check that its user may read and write",
        ),
    }
}

/// The mode of the API key: of the other mode nobody looks for events.
fn key_mode(config: &Config) -> Option<bool> {
    StripeApi::new(&config.stripe).ok().flatten()?.livemode()
}

fn findings(config: &Config, clock: &dyn Clock, examination: &Examination) -> Vec<Finding> {
    // The whole, so that a new field is shown or left out on purpose.
    let Examination {
        version,
        time,
        loses_commits,
        dead,
        unknown,
        no_channel,
        unsent_notices,
        untold,
        backfills,
        given_up,
        denied,
        held,
        expiring,
        decisions,
    } = examination;
    // Distributions add their own name behind it.
    let release = version.split(' ').next().unwrap_or_default();
    let kind = if time.is_some() {
        "PostgreSQL"
    } else {
        "SQLite"
    };
    let mut findings = vec![Finding::ok(
        CHECK,
        format!("{kind} {release} answers, its schema is current, and it takes writes"),
    )];
    findings.push(match loses_commits {
        None => Finding::ok("durability", "what is committed outlives a power cut"),
        Some(setting) => Finding::failed(
            "durability",
            format!("{setting}: a power cut may take back what Stripe was told is kept"),
            "set fsync and synchronous_commit to on",
        ),
    });
    findings.push(match time {
        None => Finding::off("clock", "SQLite goes by this machine's"),
        Some(time) => {
            let now = clock.now();
            let apart = now.since(*time).max(time.since(now));
            let found = format!("{} ms apart from the database's", apart.as_millis());
            if apart <= SKEW {
                Finding::ok("clock", found)
            } else {
                Finding::warning(
                    "clock",
                    found,
                    "let both machines follow one time server; signatures are judged by this one's clock",
                )
            }
        }
    });
    findings.extend([
        super::model::decides(config, decisions),
        waiting(
            "dead events",
            *dead,
            "`billhook events list --status dead` says why; then `billhook events retry ID`",
        ),
        waiting(
            "unknown messages",
            *unknown,
            "`billhook outbox list --status unknown`; ask the mail server, then `billhook outbox resolve ID sent|resend`",
        ),
        waiting(
            "notices without a way",
            *no_channel,
            "set SALES_WEBHOOK_URL or SALES_EMAIL, FINANCE_WEBHOOK_URL or FINANCE_EMAIL",
        ),
        approvals(*held, *expiring),
        unsent(unsent_notices),
        waiting(
            "given up at Stripe",
            *given_up,
            "`billhook events show ID` says what was asked and why it was not answered; state is as the events say it",
        ),
        missed_events(clock.now(), key_mode(config), backfills),
    ]);
    if !denied.is_empty() {
        findings.push(Finding::warning(
            "questions to Stripe",
            format!("some are refused: {}", denied.join("; ")),
            "once the key may, they are asked again within the hour, and at once when `serve` is started anew",
        ));
    }
    if config.app.webhook_url.is_some() {
        findings.push(waiting(
            "untold objects",
            *untold,
            "`billhook outbox list --status failed` and `expired` say why (410: it wants no more); then `billhook app resend`",
        ));
    }
    findings
}

/// When the account was looked at that was longest not looked at to the end.
fn missed_events(now: Timestamp, key_mode: Option<bool>, all: &[BackfillRecord]) -> Finding {
    const CHECK: &str = "missed events";
    let Some(livemode) = key_mode else {
        return Finding::off(CHECK, "nobody looks for any without an API key");
    };
    let records: Vec<_> = all.iter().filter(|one| one.livemode == livemode).collect();
    if let Some(gap) = records.iter().find_map(|one| one.progress.gap.as_ref()) {
        return Finding::warning(
            CHECK,
            format!(
                "those from {} to {} are missing and Stripe does not list them any more",
                gap.from, gap.to
            ),
            "`billhook backfill` looks their objects up, and says what its key lacks for that",
        );
    }
    if let Some(error) = records.iter().find_map(|one| one.last_error.as_ref()) {
        return Finding::warning(
            CHECK,
            format!("the last look ended early: {error}"),
            "it is tried again by itself; `billhook backfill` does it now",
        );
    }
    if records.is_empty() {
        return Finding::off(CHECK, "nobody has looked for any yet");
    }
    let count = records.len();
    let done: Option<Vec<_>> = records.iter().map(|one| one.done_at).collect();
    let Some(oldest) = done.and_then(|done| done.into_iter().min()) else {
        return Finding::warning(
            CHECK,
            format!("of {count} account(s) one was not looked at to the end yet"),
            "`billhook backfill` does it, or waits for whoever is about it",
        );
    };
    let age = now.since(oldest);
    let mark = records.iter().filter_map(|one| one.progress.mark).min();
    let mark = mark.map_or_else(String::new, |mark| format!("; all up to {mark} are here"));
    // No event was ever listed of an account that was not connected any more when it was first looked at.
    let uncovered: Vec<_> = records
        .iter()
        .filter(|one| one.progress.mark.is_none())
        .map(|one| one.account.as_str())
        .collect();
    let but = uncovered.first().map_or_else(String::new, |account| {
        let others = if uncovered.len() > 1 { ", …" } else { "" };
        format!(
            ", but for {} account(s) that no look could cover: {account}{others}",
            uncovered.len()
        )
    });
    let found = format!(
        "looked for {} h ago in {count} account(s){mark}{but}",
        age.as_secs() / 3600
    );
    if age > FORGOTTEN {
        Finding::warning(
            CHECK,
            found,
            "run `billhook backfill`: Stripe lists events for 30 days only",
        )
    } else if !uncovered.is_empty() {
        Finding::warning(CHECK, found, "`billhook backfill` says why")
    } else {
        Finding::ok(CHECK, found)
    }
}

/// What sales and finance were not told in the last 30 days, or are not told while their webhook refuses it.
fn unsent(notices: &[UnsentNotices]) -> Finding {
    const CHECK: &str = "notices not sent";
    let mut found = Vec::new();
    let mut next = Vec::new();
    let mut resend = "";
    for UnsentNotices {
        channel,
        status,
        count,
    } in notices
    {
        if status == "pending" {
            found.push(format!("{count} to {channel} refused, and tried again"));
        } else {
            found.push(format!("{count} to {channel} {status}"));
            resend = "; then `billhook outbox resolve ID resend`";
        }
        next.push(format!(
            "`billhook outbox list --channel {channel} --status {status}`"
        ));
    }
    if found.is_empty() {
        return Finding::ok(CHECK, "none");
    }
    let next = format!(
        "{} says why (an address that is no longer right, perhaps){resend}",
        next.join(", ")
    );
    Finding::warning(CHECK, found.join(", "), &next)
}

/// What waits for a person's word, and how much of it not for long.
fn approvals(held: u64, expiring: u64) -> Finding {
    let found = match (held, expiring) {
        (0, _) => return Finding::ok("held for approval", "none"),
        (held, 0) => held.to_string(),
        (held, soon) => format!("{held}, of which {soon} expire within four hours"),
    };
    Finding::warning(
        "held for approval",
        found,
        "`billhook approvals list --status held`, then `approve ID` or `deny ID`; when the time is over the rules do what is owed",
    )
}

fn waiting(check: &'static str, count: u64, next: &str) -> Finding {
    match count {
        0 => Finding::ok(check, "none"),
        count => Finding::warning(check, count.to_string(), next),
    }
}
