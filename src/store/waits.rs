//! What each event, run and message that is not over waits for, in a sentence a person can act on.
//!
//! The sentences are made of what the stages themselves go by: the same columns, the same clocks, the same bounds. A
//! new way to wait in a stage is a new sentence here.

use super::database::{Row, args, statements};
use super::error::StoreError;
use super::fetches::Reach;
use super::shown::RunRecord;
use super::shown::rows::count;
use super::sql_store::SqlStore;
use crate::clock::Timestamp;

statements! {
    RECEIVED: "SELECT received_at FROM events WHERE id = $1";
    LANE: "SELECT lease_until FROM lanes WHERE lane = $1";
    /// What keeps a lane from being claimed, as `CLAIM_LANE` asks it: how many events, how many of them for as long as it
    /// takes, and the last that is not waited for so long.
    UNAPPLIED: "SELECT count(*) AS n, coalesce(sum(CASE WHEN e.status = 'pending' AND e.received_at <= l.next_due THEN 1 ELSE 0 END), 0) AS sure, max(e.received_at) AS last \
        FROM events e JOIN lanes l ON l.lane = e.lane WHERE e.lane = $1 AND e.status IN ('pending', 'retrying') \
        AND (e.received_at > $2 OR e.status = 'pending' AND e.received_at <= l.next_due)";
    /// The run of the lane that is worked on, or else comes next.
    AHEAD: "SELECT id, playbook, status FROM runs WHERE lane = $1 AND status IN ('waiting', 'running', 'deferred') AND due_at <= $2 \
        ORDER BY CASE WHEN status = 'running' THEN 0 ELSE 1 END, due_at, id LIMIT 1";
}

/// The two clocks that waiting is measured by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    now: Timestamp,
    /// What leases are compared with.
    leases: Timestamp,
}

/// A time as a sentence tells it: to the second. The record beside it is exact.
fn second(time: Timestamp) -> Timestamp {
    Timestamp::from_seconds(time.seconds())
}

impl Moment {
    fn holds(self, lease: Timestamp) -> bool {
        lease > self.leases
    }
}

impl SqlStore {
    pub(super) async fn moment(&self) -> Result<Moment, StoreError> {
        Ok(Moment {
            now: self.clock.now(),
            leases: self.db.lease_clock(self.clock.as_ref()).await?,
        })
    }

    /// What an event waits for; `run` is its follow-up, where it has one.
    pub(super) fn event_waits(
        &self,
        row: &Row,
        run: Option<&RunRecord>,
        moment: Moment,
    ) -> Result<Option<String>, StoreError> {
        let lease = row.time("lease_until")?;
        let until = second(lease);
        let error = row.opt_text("last_error")?.unwrap_or_default();
        let (failures, most) = (row.int("attempts")?, self.policy.attempts);
        Ok(match (row.text("status")?.as_str(), run) {
            ("pending" | "retrying", _) if moment.holds(lease) => {
                Some(format!("is being applied, under a lease until {until}"))
            }
            ("pending" | "retrying", _) if lease > Timestamp::default() => Some(format!(
                "its worker gave no sign of life until {until}: the next free one applies it"
            )),
            ("pending", _) => Some("waits for a free worker to apply it".to_owned()),
            ("retrying", _) => {
                let failed = if failures > 0 {
                    format!("attempt {failures} of {most} to apply it failed ({error})")
                } else {
                    format!("could not be applied ({error})")
                };
                let at = row.time("not_before")?;
                Some(if at > moment.now {
                    format!("{failed}; it is tried again at {}", second(at))
                } else {
                    format!("{failed}; it waits for a free worker to try again")
                })
            }
            ("applied", Some(run)) => run
                .waits_for
                .as_ref()
                .map(|waits| format!("its follow-up {} {waits}", run.id)),
            ("dead", Some(run)) if run.status == "failed" => Some(format!(
                "waits for a person: its follow-up {} failed {} times ({error}); when the cause is gone, `billhook events retry {}`",
                run.id,
                run.attempts,
                row.text("id")?
            )),
            ("dead", _) => Some(format!(
                "waits for a person: applying it failed {failures} times ({error}); when the cause is gone, `billhook events retry {}`",
                row.text("id")?
            )),
            _ => None,
        })
    }

    /// What a run waits for.
    pub(super) async fn run_waits(
        &self,
        row: &Row,
        moment: Moment,
    ) -> Result<Option<String>, StoreError> {
        let status = row.text("status")?;
        if !matches!(status.as_str(), "waiting" | "running" | "deferred") {
            return Ok(None);
        }
        let (lane, due) = (row.text("lane")?, row.time("due_at")?);
        let leased = self.db.row(&LANE, args![&lane]).await?;
        let lease = leased.map_or(Ok(Timestamp::default()), |row| row.time("lease_until"))?;
        let until = second(lease);
        let tries = count(row, "attempts")?;
        let most = self.policy.attempts;
        if status == "running" {
            return Ok(Some(if moment.holds(lease) {
                let attempt = tries.saturating_add(1);
                format!(
                    "is being decided, attempt {attempt} of {most}, under a lease until {until}"
                )
            } else {
                format!(
                    "waits: its worker gave no sign of life until {until}; the next free one goes on from its journal"
                )
            }));
        }
        let told = before(row, &status, (tries, most))?;
        let at = second(due);
        if due > moment.now {
            let later = if status == "deferred" {
                let decide_by = row.time("decide_by")?;
                let rules = second(decide_by);
                if due >= decide_by {
                    return Ok(Some(format!(
                        "{}; the rules decide at {rules}",
                        told.trim_end_matches("; it ")
                    )));
                }
                format!("is asked again at {at}, and from {rules} on the rules decide")
            } else if !told.is_empty() {
                format!("is tried again at {at}")
            } else if due > self.settled(row).await? {
                format!(
                    "waits until {at}: the invoice of this payment may still arrive and take over"
                )
            } else {
                format!("waits for its settle window until {at}: events about the same fact gather")
            };
            return Ok(Some(told + &later));
        }
        let queued = self.queued(row, &lane, moment, moment.holds(lease)).await?;
        Ok(Some(format!("{told}is due since {at} and {queued}")))
    }

    /// When the settle window of a run's leading event ends.
    async fn settled(&self, row: &Row) -> Result<Timestamp, StoreError> {
        let lead = self.db.row(&RECEIVED, args![row.text("event")?]).await?;
        let received = lead.map_or_else(|| row.time("created_at"), |lead| lead.time("received_at"));
        Ok(received?.plus(self.policy.settle))
    }

    /// What keeps a due run from being claimed.
    async fn queued(
        &self,
        row: &Row,
        lane: &str,
        moment: Moment,
        leased: bool,
    ) -> Result<String, StoreError> {
        let next = self.db.row(&AHEAD, args![lane, moment.now]).await?;
        let id = row.text("id")?;
        let ahead = match next {
            Some(next) if next.text("id")? != id => {
                Some(format!("{} ({})", next.text("id")?, next.text("playbook")?))
            }
            _ => None,
        };
        if leased {
            let other = ahead.as_deref().unwrap_or("another follow-up");
            return Ok(format!(
                "waits for {other} of this customer, which is being decided: they go one at a time"
            ));
        }
        let patience = self.policy.patience();
        let since = moment.now.minus(patience);
        if let Some(row) = self.db.row(&UNAPPLIED, args![lane, since]).await?
            && let Some(last) = row.opt_time("last")?
        {
            let events = row.int("n")?;
            let most = if row.int("sure")? > 0 {
                String::new()
            } else {
                format!(", until {} at most", second(last.plus(patience)))
            };
            return Ok(format!(
                "waits for {events} received events of this customer to be applied{most}"
            ));
        }
        Ok(ahead.map_or_else(
            || "waits for a free worker".to_owned(),
            |other| {
                format!("waits behind {other} of this customer, which comes first and waits for a free worker")
            },
        ))
    }
}

/// What a run's last try came to, as the beginning of a sentence.
fn before(row: &Row, status: &str, (tries, most): (u32, u32)) -> Result<String, StoreError> {
    let reason = row.opt_text("reason")?.unwrap_or_default();
    Ok(if status == "deferred" {
        format!("waits for the model ({reason}); it ")
    } else if tries > 0 {
        format!("attempt {tries} of {most} failed ({reason}); it ")
    } else if !reason.is_empty() {
        format!("could not be decided ({reason}); it ")
    } else {
        String::new()
    })
}

/// What a message waits for.
pub(super) fn message(row: &Row, moment: Moment) -> Result<Option<String>, StoreError> {
    let lease = row.time("lease_until")?;
    let until = second(lease);
    let reason = row.opt_text("reason")?;
    let tries = count(row, "attempts")?;
    Ok(match row.text("status")?.as_str() {
        "pending" => {
            let not_before = row.time("not_before")?;
            let expires_at = row.time("expires_at")?;
            let (at, end) = (second(not_before), second(expires_at));
            let later = not_before > moment.now;
            Some(match reason {
                _ if moment.holds(lease) => "is about to be sent by a worker".to_owned(),
                _ if expires_at <= moment.now => {
                    format!("expired at {end}, and will be marked as such in some seconds")
                }
                Some(reason) if reason.starts_with("no_channel") => {
                    format!("waits for a way to leave ({reason}), until {end}")
                }
                Some(reason) if later && is_failure(&reason, tries) => format!(
                    "attempt {tries} failed ({reason}); it is tried again at {at}, until {end}"
                ),
                Some(reason) if later => {
                    format!("waits until {at}, and expires at {end} ({reason})")
                }
                _ => format!("is due since {at} and waits for a free worker"),
            })
        }
        "sending" => {
            let since = second(row.opt_time("tried_at")?.unwrap_or_default());
            Some(if moment.holds(lease) {
                format!(
                    "is being sent since {since}, attempt {tries}; the answer is waited for, under a lease until {until}"
                )
            } else {
                format!(
                    "was being sent at {since} when its worker gave no sign of life; the next free one decides whether it may go again"
                )
            })
        }
        "held" => Some(format!(
            "waits for a person's word until {}: `billhook approvals list --status held` names it",
            second(row.time("expires_at")?)
        )),
        "unknown" => Some(format!(
            "waits for a person: look for Message-ID {} at the mail server, then `billhook outbox resolve {} sent` or `resend`",
            row.text("message_id")?,
            row.text("id")?
        )),
        _ => None,
    })
}

/// What a question to Stripe waits for, as whoever has a key of this reach would ask it. Nothing waits for its answer.
pub(super) fn fetch(row: &Row, reach: Reach, moment: Moment) -> Result<Option<String>, StoreError> {
    let status = row.text("status")?;
    if !matches!(status.as_str(), "pending" | "denied") {
        return Ok(None);
    }
    let is_denied = status == "denied";
    let lease = row.time("lease_until")?;
    let not_before = row.time("not_before")?;
    let (at, later) = (second(not_before), not_before > moment.now);
    Ok(Some(match row.opt_text("last_error")? {
        _ if moment.holds(lease) => {
            format!("is being asked, under a lease until {}", second(lease))
        }
        _ if !reach.covers(row.flag("livemode")?) => {
            "waits for a key of its mode: set STRIPE_SECRET_KEY".to_owned()
        }
        Some(error) if later && is_denied => format!(
            "has no answer yet ({error}); it is asked again at {at}, or when `serve` is started anew"
        ),
        Some(error) if later => format!("has no answer yet ({error}); it is asked again at {at}"),
        Some(error) => {
            format!("has no answer yet ({error}); it waits for a free worker to ask again")
        }
        None if later && is_denied => format!(
            "waits until {at}, or until `serve` is started anew: the key may not ask about objects of this kind; \
             `billhook doctor` names the permission"
        ),
        None if later => {
            format!("waits until {at}: what is on its way may settle it without asking")
        }
        None => format!("is due since {at} and waits for a free worker"),
    }))
}

/// Whether a message waits because its last try failed. Its own reasons to wait start with their name.
fn is_failure(reason: &str, tries: u32) -> bool {
    tries > 0 && !reason.starts_with("caps.") && !reason.starts_with("first_contact")
}
