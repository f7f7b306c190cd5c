//! `billhook events`: the inbox.

use clap::Subcommand;
use serde_json::{Value, json};

use super::failure::Failure;
use super::output::{Output, clean};
use super::{Answer, Surroundings, event_types, timeline};
use crate::clock::{Clock as _, SystemClock};
use crate::http::shapes;
use crate::store::{EVENT_STATUSES, EventFilter, EventRecord, Page, Retried, SqlStore, Store as _};

/// What may be asked for.
#[derive(Debug, Subcommand)]
pub(super) enum Events {
    /// List events, newest first
    List(List),
    /// Show what an event changed, and what follows from it
    Show {
        /// The event
        id: String,
    },
    /// Try a dead or retrying event again, at the stage where it failed
    Retry {
        /// The event
        id: String,
    },
    /// List the event types that are handled, and which state may follow which; all other types are stored and ignored
    Types,
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Only those in this status
    #[arg(long, value_parser = EVENT_STATUSES)]
    status: Option<String>,
    /// Only those of this type
    #[arg(long, value_name = "TYPE")]
    r#type: Option<String>,
    /// Only those of this customer
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Only those of this account (`acct_…`, or `self`)
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Only those of live mode, or of test mode
    #[arg(long, value_name = "true|false")]
    livemode: Option<bool>,
    /// How many
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    /// Go on after this event
    #[arg(long, value_name = "ID")]
    starting_after: Option<String>,
}

impl Events {
    pub(super) async fn run(
        self,
        around: &Surroundings,
        output: &mut Output,
    ) -> anyhow::Result<Answer> {
        match self {
            Self::List(asked) => list(asked, around, output).await,
            Self::Show { id } => show(&id, around, output).await,
            Self::Retry { id } => retry(&id, around, output).await,
            Self::Types => event_types::print(around, output),
        }
    }
}

async fn list(asked: List, around: &Surroundings, output: &mut Output) -> anyhow::Result<Answer> {
    let store = around.store().await?;
    let List {
        status,
        r#type,
        customer,
        account,
        livemode,
        limit,
        starting_after,
    } = asked;
    let filter = EventFilter {
        event_type: r#type,
        status,
        customer,
        account,
        livemode,
        created_from: None,
    };
    let page = Page {
        limit,
        starting_after,
    };
    let events = store.events(&filter, &page).await?;
    store.close().await;
    if output.is_json() {
        output.json(&events)?;
    } else if events.data.is_empty() {
        output.line("no events")?;
    } else {
        output.table(
            &["received", "id", "type", "customer", "status", "why"],
            events.data.iter().map(row),
        )?;
        if let Some(last) = events.data.last().filter(|_| events.has_more) {
            output.line(format!("more: add --starting-after {}", clean(&last.id)))?;
        }
    }
    Ok(Answer::Yes)
}

fn row(event: &EventRecord) -> Vec<String> {
    vec![
        timeline::short(&event.received_at),
        clean(&event.id),
        clean(&event.r#type),
        clean(event.customer.as_deref().unwrap_or_default()),
        event.status.clone(),
        clean(why(event).unwrap_or_default()),
    ]
}

/// Why it is where it is. That a dead event waits for a person is said by its status.
fn why(event: &EventRecord) -> Option<&str> {
    let waits = event.waits_for.as_deref();
    let waits = waits.filter(|_| event.status != "dead");
    waits.or(event.last_error.as_deref())
}

async fn show(id: &str, around: &Surroundings, output: &mut Output) -> anyhow::Result<Answer> {
    let store = around.store().await?;
    let Some(mut event) = store.event(id).await? else {
        return Err(missing(id).into());
    };
    // An event shows its run without the journal; here all of it is wanted.
    if let Some(run) = &event.run
        && let Some(whole) = store.run(&run.id).await?
    {
        event.run = Some(whole);
    }
    if output.is_json() {
        output.json(&event)?;
    } else {
        timeline::print(&event, output)?;
        if let Some(customer) = &event.customer {
            access(&store, around, &event, customer, output).await?;
        }
    }
    store.close().await;
    Ok(Answer::Yes)
}

/// Whether the event's customer has access now, and why.
async fn access(
    store: &SqlStore,
    around: &Surroundings,
    event: &EventRecord,
    customer: &str,
    output: &mut Output,
) -> anyhow::Result<()> {
    let rows = store.object("customer", customer).await?;
    let row = rows
        .iter()
        .find(|row| row.account == event.account && row.livemode == event.livemode);
    let Some(row) = row else { return Ok(()) };
    let config = around.config()?;
    let shown = shapes::customer(row, SystemClock.now(), &config.access);
    let access = shown.get("access");
    let field = |name: &str| access.and_then(|access| access.get(name));
    let has = if field("granted").and_then(Value::as_bool) == Some(true) {
        "has access"
    } else {
        "has no access"
    };
    let reason = field("reason").map(timeline::plain).unwrap_or_default();
    output.line("")?;
    output.line(format!("customer {} {has}: {reason}", clean(customer)))
}

fn missing(id: &str) -> Failure {
    Failure::No(format!(
        "there is no event `{id}` in the inbox; `billhook events list` names those there are"
    ))
}

async fn retry(id: &str, around: &Surroundings, output: &mut Output) -> anyhow::Result<Answer> {
    let store = around.store().await?;
    let retried = store.retry_event(id).await?;
    store.close().await;
    match retried {
        Retried::Retrying => {
            if output.is_json() {
                output.json(&json!({"object": "event_record", "id": id, "status": "retrying"}))?;
            } else {
                output.line(format!("{id} is tried again as soon as a worker is free"))?;
            }
            Ok(Answer::Yes)
        }
        Retried::NotDead => Err(Failure::No(format!(
            "`{id}` is neither dead nor retrying, so there is nothing to try again; see `billhook events show {id}`"
        ))
        .into()),
        Retried::Missing => Err(missing(id).into()),
    }
}
