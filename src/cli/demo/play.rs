//! Posting the sample events and gathering what became of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::Value;

use super::Stage;
use crate::cli::failure::Failure;
use crate::cli::send::post::Poster;
use crate::cli::send::recorded::{self, Recorded};
use crate::clock::Clock;
use crate::store::{EventRecord, MessageFilter, MessageRecord, Page, Store};

/// How long everything may take after the last post.
const DEADLINE: Duration = Duration::from_secs(20);
/// The pause between two looks whether it is over.
const POLL: Duration = Duration::from_millis(50);

/// Posted once more at the end, with the same bytes.
const REPEATED: &str = "evt_demo_19";
/// Signed by somebody who does not know the secret.
pub(super) const FORGED: &str = "evt_demo_forged";

/// Times of the samples lie within this many seconds around the newest of them; no amount does.
const AROUND: i64 = 400 * 86_400;

/// One post, and what became of its event.
#[derive(Debug, Serialize)]
pub(super) struct Scene {
    /// The event's id.
    pub(super) id: String,
    /// Its type.
    pub(super) r#type: String,
    /// When it was posted.
    pub(super) at: String,
    /// The HTTP status.
    pub(super) http: u16,
    /// What the answer says.
    pub(super) answer: String,
    /// What is stored of it; nothing for a post that was refused.
    pub(super) record: Option<EventRecord>,
}

impl Scene {
    /// The record, unless this post only repeated another one.
    pub(super) fn own_record(&self) -> Option<&EventRecord> {
        self.record.as_ref().filter(|_| self.answer != "duplicate")
    }
}

/// A mail that lies in the folder.
#[derive(Debug, Serialize)]
pub(super) struct Mail {
    /// Where.
    pub(super) file: String,
    /// Its message in the outbox; nothing means that somebody else wrote the file.
    pub(super) message: Option<MessageRecord>,
}

/// A scheduled follow-up.
#[derive(Debug, Serialize)]
pub(super) struct Schedule {
    /// The event that led to it.
    pub(super) event: String,
    /// In how many days it is due.
    pub(super) days: i64,
    /// The customer.
    pub(super) customer: String,
}

/// Everything that happened.
#[derive(Debug)]
pub(super) struct Played {
    /// Post by post.
    pub(super) scenes: Vec<Scene>,
    /// What lies in the folder of mails.
    pub(super) mails: Vec<Mail>,
    /// Messages to the business's own people.
    pub(super) notices: Vec<MessageRecord>,
    /// What is due later.
    pub(super) schedules: Vec<Schedule>,
    /// Status of rows that the self-check looks at.
    pub(super) states: BTreeMap<String, String>,
}

impl Played {
    /// Who decided follow-ups: `rules`, or a model's name.
    pub(super) fn deciders(&self) -> BTreeSet<&str> {
        self.scenes
            .iter()
            .filter_map(|scene| scene.record.as_ref()?.run.as_ref()?.model.as_deref())
            .collect()
    }
}

/// Posts all samples, waits until nothing is left to do now, and gathers what happened.
pub(super) async fn play(
    stage: &Stage,
    url: &str,
    store: &dyn Store,
    clock: &dyn Clock,
) -> anyhow::Result<Played> {
    let mut events = recorded::parse("events.jsonl", super::EVENTS.as_bytes())?;
    let by = recorded::distance(&events, clock.now()).unwrap_or(0);
    let base = clock.now().seconds() - by;
    for event in &mut events {
        shift_all(&mut event.value, base, by);
        event.body = event.value.to_string().into_bytes();
    }
    let poster = Poster::new(&format!("{url}/stripe/webhook"))?;
    let stranger = SecretString::from("whsec_of_somebody_else");
    let repeated: Vec<Recorded> = events
        .iter()
        .filter(|event| text(&event.value, "id") == REPEATED)
        .cloned()
        .collect();
    let mut scenes = Vec::new();
    for event in events.iter().chain(&repeated) {
        let id = text(&event.value, "id");
        let secret = if id == FORGED {
            &stranger
        } else {
            &stage.secret
        };
        let now = clock.now();
        let answered = poster.post(&event.body, secret, now).await;
        let http = answered.status.map_err(|reason| {
            Failure::Outside(format!("the demo's own service does not answer: {reason}"))
        })?;
        scenes.push(Scene {
            id: id.to_owned(),
            r#type: text(&event.value, "type").to_owned(),
            at: now.iso(),
            http,
            answer: answered.detail,
            record: None,
        });
    }
    settled(store).await?;
    for scene in &mut scenes {
        scene.record = store.event(&scene.id).await?;
    }
    gather(stage, store, scenes).await
}

/// Waits until nothing can be done any more before something scheduled is due.
async fn settled(store: &dyn Store) -> anyhow::Result<()> {
    let started = tokio::time::Instant::now();
    loop {
        let census = store.census().await?;
        if census.idle {
            return Ok(());
        }
        if started.elapsed() > DEADLINE {
            return Err(Failure::No(format!(
                "the demo is not over after {} s: events {:?}, runs {:?}, messages {:?}; set RUST_LOG=info to see what it waits for",
                DEADLINE.as_secs(),
                census.events,
                census.runs,
                census.messages
            ))
            .into());
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn gather(stage: &Stage, store: &dyn Store, scenes: Vec<Scene>) -> anyhow::Result<Played> {
    let page = Page {
        limit: 100,
        starting_after: None,
    };
    let mut messages = Vec::new();
    for listed in store.messages(&MessageFilter::default(), &page).await?.data {
        messages.extend(store.message(&listed.id).await?);
    }
    messages.reverse();
    let mut states = BTreeMap::new();
    for (kind, id) in [
        ("subscription", "sub_demoAda"),
        ("subscription", "sub_demoEmil"),
        ("subscription", "sub_demoClara"),
        ("order", "order-1001"),
        ("order", "order-1002"),
        ("order", "order-1003"),
    ] {
        let rows = store.object(kind, id).await?;
        let status = rows
            .first()
            .map(|row| text(&row.data, "status").to_owned())
            .unwrap_or_default();
        states.insert(id.to_owned(), status);
    }
    let mails = mails(&stage.config.email.folder, &messages)?;
    let schedules = scenes
        .iter()
        .filter_map(Scene::own_record)
        .flat_map(|record| {
            let led = record
                .run
                .as_ref()
                .is_some_and(|run| run.event == record.id);
            let calls = record.tool_calls.iter().filter(move |call| {
                led && call.tool == "schedule_winback" && call.effect.as_deref() == Some("done")
            });
            calls.map(|call| Schedule {
                event: record.id.clone(),
                days: call
                    .arguments
                    .get("delay_days")
                    .and_then(Value::as_i64)
                    .unwrap_or(0),
                customer: record.customer.clone().unwrap_or_default(),
            })
        })
        .collect();
    Ok(Played {
        scenes,
        mails,
        notices: messages
            .into_iter()
            .filter(|message| message.channel != "email")
            .collect(),
        schedules,
        states,
    })
}

/// What lies in the folder, each file with the message it was made from: they share the Message-ID.
fn mails(folder: &Path, messages: &[MessageRecord]) -> anyhow::Result<Vec<Mail>> {
    let mut files: Vec<_> = match std::fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .with_context(|| format!("cannot read {}", folder.display()))?,
        // Nothing was mailed at all; the self-check has its word on that.
        Err(_missing) => Vec::new(),
    };
    files.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    files.sort();
    Ok(files
        .iter()
        .map(|path| {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let message = messages.iter().find(|message| {
                let id = message.message_id.trim_start_matches('<');
                id.split('@').next() == Some(stem.as_ref())
            });
            Mail {
                file: path.display().to_string(),
                message: message.cloned(),
            }
        })
        .collect())
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Moves every time in a sample, those inside of objects too: a renewal that is tried again in three days must not
/// lie in the past.
fn shift_all(value: &mut Value, base: i64, by: i64) {
    match value {
        Value::Number(_) => {
            if let Some(time) = value.as_i64()
                && (time - base).abs() < AROUND
            {
                *value = (time + by).into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shift_all(item, base, by)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| shift_all(field, base, by)),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_move_and_amounts_stay() {
        let base = 1_767_225_600;
        let mut value = json!({"created": base, "data": [{"next": base + 86_400, "amount": 120_000}], "n": null});
        shift_all(&mut value, base, 1_000_000_000);
        assert_eq!(
            value,
            json!({"created": base + 1_000_000_000, "data": [{"next": base + 1_000_086_400, "amount": 120_000}], "n": null})
        );
    }

    #[test]
    fn the_samples_are_events_with_ids_of_their_own() {
        let events = recorded::parse("events.jsonl", super::super::EVENTS.as_bytes()).unwrap();
        let ids: std::collections::BTreeSet<&str> = events
            .iter()
            .map(|event| text(&event.value, "id"))
            .collect();
        assert_eq!(ids.len(), events.len());
        assert!(ids.contains(REPEATED) && ids.contains(FORGED));
        assert!(events.len() >= 14);
    }
}
