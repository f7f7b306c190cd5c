//! Follow-ups that are due, decided by a model that takes no time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use billhook::agent::model::{Call, Message, Reply};
use billhook::agent::scripted::Scripted;
use billhook::app::{App, Role, open_store};
use billhook::clock::{Clock, ManualClock, SystemClock};
use billhook::config::Config;
use billhook::shutdown::Shutdown;
use billhook::store::{ClaimedRun, NewStep, NewToolCall, Store};
use billhook::stripe::signature::sign;
use futures::stream::{StreamExt as _, iter};
use secrecy::SecretString;
use serde_json::{Value, json};
use tower::ServiceExt as _;

const SECRET: &str = "whsec_secret_of_the_journal_bench";
/// Requests in flight while the follow-ups are told of.
const AT_ONCE: usize = 16;
/// Longer than the settle window.
const SETTLED: Duration = Duration::from_mins(2);
const LEASE: Duration = Duration::from_mins(10);

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) runs: usize,
    pub(crate) writes: usize,
}

/// What was measured.
pub(crate) struct Times {
    pub(crate) writes: Vec<Duration>,
    pub(crate) runs: Vec<Duration>,
}

/// The moments at which runs asked for their first reply.
type Begun = Arc<Mutex<Vec<Instant>>>;

/// Decides follow-ups over an empty database, then writes into the journal of one more.
pub(crate) async fn measure(url: &str, size: Size) -> anyhow::Result<Times> {
    let env: BTreeMap<String, String> = [
        ("STRIPE_WEBHOOK_SECRET", SECRET),
        ("DATABASE_URL", url),
        ("BILLHOOK__FOLLOW_UP__CONCURRENCY", "1"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    let config = Config::from_layers(None, &env)?;
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let begun = Begun::default();
    let store = open_store(&config, clock.clone()).await?;
    let mut app = App::with(&config, clock.clone(), store.clone(), model(begun.clone()))?;
    let running = Shutdown::manual();
    let inbox = app.take_inbox().context("the inbox is taken")?;
    running.tasks().spawn(inbox.run(running.hard().clone()));

    tell(&app, clock.as_ref(), 0..=size.runs).await?;
    while app.worker.apply_due().await? > 0 {}
    clock.advance(SETTLED);
    let last = store
        .claim_run(LEASE)
        .await?
        .context("no follow-up is due")?;
    let decided = app.worker.decide_due().await?;
    begun
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Instant::now());
    ensure!(
        decided == size.runs as u64,
        "{decided} follow-ups were decided"
    );
    let moments = begun.lock().unwrap_or_else(PoisonError::into_inner).clone();
    ensure!(moments.len() == size.runs + 1, "a run was asked twice");
    let runs = moments.windows(2);
    let runs = runs.filter_map(|two| Some(*two.last()? - *two.first()?));
    let times = Times {
        runs: runs.collect(),
        writes: write(store.as_ref(), &last, size.writes).await?,
    };
    running.begin();
    Ok(times)
}

/// Takes in as many customers, each with a payment that failed.
async fn tell(
    app: &App,
    clock: &dyn Clock,
    numbers: impl IntoIterator<Item = usize>,
) -> anyhow::Result<()> {
    let router = app.router(Role::All);
    let told = iter(numbers)
        .map(|number| {
            let router = router.clone();
            let events = events(number, clock.now().seconds());
            async move {
                for event in events {
                    let body = event.to_string().into_bytes();
                    let signature = sign(&SecretString::from(SECRET), clock.now(), &body);
                    let request = Request::post("/stripe/webhook")
                        .header("Stripe-Signature", signature)
                        .body(Body::from(body))?;
                    let answer = router.clone().oneshot(request).await?;
                    ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
                }
                Ok(())
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<anyhow::Result<()>>>()
        .await;
    told.into_iter().collect()
}

fn events(number: usize, now: i64) -> [Value; 2] {
    let event = |id: String, kind: &str, object: Value| {
        json!({
            "id": id, "object": "event", "api_version": "2020-08-27", "created": now, "livemode": true,
            "pending_webhooks": 1, "request": { "id": null, "idempotency_key": null }, "type": kind,
            "data": { "object": object },
        })
    };
    let customer = json!({
        "id": format!("cus_{number}"), "object": "customer", "email": format!("{number}@example.com"), "created": now,
        "preferred_locales": ["en"],
    });
    let intent = json!({
        "id": format!("pi_{number}"), "object": "payment_intent", "customer": format!("cus_{number}"),
        "status": "requires_payment_method", "amount": 4900, "amount_received": 0, "currency": "eur", "metadata": {},
        "created": now, "latest_charge": format!("ch_{number}"),
    });
    [
        event(format!("evt_cus_{number}"), "customer.created", customer),
        event(
            format!("evt_pi_{number}"),
            "payment_intent.payment_failed",
            intent,
        ),
    ]
}

/// Two reads, a mail, a notice, and the end; it notes when a run asks it for the first time.
fn model(begun: Begun) -> Arc<Scripted> {
    Arc::new(Scripted::answering(move |request, _| {
        let replies = |message: &&Message| matches!(message, Message::Assistant { .. });
        let known = request.messages.iter().filter(replies).count();
        if known == 0 {
            let mut begun = begun.lock().unwrap_or_else(PoisonError::into_inner);
            begun.push(Instant::now());
        }
        let calls = match known {
            0 => vec![
                call("get_payment_history", &json!({ "limit": 10 })),
                call("get_payment_history", &json!({ "limit": 50 })),
            ],
            1 => vec![call("send_email", &words())],
            2 => vec![call(
                "notify_sales",
                &json!({ "priority": "normal", "summary": "A call may help." }),
            )],
            _ => Vec::new(),
        };
        Ok(Reply {
            content: Some("As I see it, this is what helps.".to_owned()),
            calls,
            ..Reply::default()
        })
    }))
}

fn call(name: &str, arguments: &Value) -> Call {
    Call {
        id: format!("call_{name}"),
        name: name.to_owned(),
        arguments: arguments.to_string(),
    }
}

fn words() -> Value {
    json!({
        "subject": "A small hiccup with your payment",
        "body": "Sadly your payment did not go through.\n\nNothing was charged. A reply reaches a person.",
    })
}

/// Commits steps of an ordinary size, every other one with the tool call that it records.
async fn write(
    store: &dyn Store,
    run: &ClaimedRun,
    writes: usize,
) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(writes);
    for seq in 0..writes {
        let call = (seq % 2 == 1).then(|| NewToolCall {
            tool: "send_email".to_owned(),
            arguments: words(),
            by: "model",
            verdict: "allowed",
            rule: None,
            reason: None,
            effect_key: Some("a".repeat(64)),
            result: json!({ "status": "accepted" }),
        });
        let step = NewStep {
            seq: i64::try_from(seq)?,
            data: json!({ "step": "reply", "reply": { "content": "x".repeat(300), "calls": [words()] } }),
            prompt_hash: "b".repeat(64),
            model: Some("bench".to_owned()),
            tools_hash: "bench".to_owned(),
            spending: None,
            call,
        };
        let start = Instant::now();
        store.journal(run, &step).await?;
        times.push(start.elapsed());
    }
    Ok(times)
}
