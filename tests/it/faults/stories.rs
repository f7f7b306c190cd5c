//! Over 400 lines because each story stands beside its entry in the table.
//!
//! What happens to the business while things break: small stories, which together need every verb.
//!
//! Each is told apart from the others, because a fault in one cannot change another: lanes and objects are not shared.
//!
//! Over 400 lines because the table of the stories belongs together.

mod approved;
mod asked;
mod conduct;
mod told;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::http::Method;
use billhook::agent::model::Model;
use billhook::agent::rules::Rules;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use serde_json::json;

use self::approved::{Writer, a_person_approves};
use self::asked::{events_were_missed, stripe_is_asked, stripe_is_out_of_reach};
use self::conduct::Conduct;
use self::told::the_application_is_told;
use super::point::Faults;
use super::senders::{MailServer, Sink};
use super::stage::Stage;
use crate::support::app::START;
use crate::support::fixture::{Charge, Customer, Intent, Invoice, Object, Subscription, Told};

/// One story.
pub(super) struct Story {
    pub(super) name: &'static str,
    pub(super) settings: &'static [(&'static str, &'static str)],
    pub(super) model: fn(&Arc<Faults>, &Arc<Sink>) -> Arc<dyn Model>,
    pub(super) server: MailServer,
    pub(super) tell: for<'a> fn(&'a mut Stage) -> LocalBoxFuture<'a, ()>,
}

/// Just over the settle window of a stage.
const SETTLED: Duration = Duration::from_mins(31);
/// An event this old when it arrives causes no follow-up.
const LONG_AGO: i64 = -90_000;

pub(super) fn rules(_: &Arc<Faults>, _: &Arc<Sink>) -> Arc<dyn Model> {
    Arc::new(Rules)
}

pub(super) const STORIES: [Story; 14] = [
    Story {
        name: "a person decides what nobody knows",
        settings: &[],
        model: rules,
        server: MailServer::HangsUp,
        tell: |stage| a_person_decides(stage).boxed_local(),
    },
    Story {
        name: "a renewal fails",
        settings: &[],
        model: rules,
        server: MailServer::Prompt,
        tell: |stage| a_renewal_fails(stage).boxed_local(),
    },
    Story {
        name: "paid before the mail leaves",
        settings: &[],
        model: rules,
        server: MailServer::Prompt,
        tell: |stage| paid_before_the_mail_leaves(stage).boxed_local(),
    },
    Story {
        name: "a second mail is capped",
        settings: &[],
        model: rules,
        server: MailServer::Prompt,
        tell: |stage| a_second_mail_is_capped(stage).boxed_local(),
    },
    Story {
        name: "sales are told",
        settings: &[],
        model: rules,
        server: MailServer::Prompt,
        tell: |stage| sales_are_told(stage).boxed_local(),
    },
    Story {
        name: "a customer is won back",
        settings: &[],
        model: rules,
        server: MailServer::Prompt,
        tell: |stage| a_customer_is_won_back(stage).boxed_local(),
    },
    Story {
        name: "a mail expires",
        // Before the first contact may be made.
        settings: &[("BILLHOOK__OUTBOX__EXPIRE", "1h")],
        model: rules,
        server: MailServer::Prompt,
        tell: |stage| a_mail_expires(stage).boxed_local(),
    },
    Story {
        name: "Stripe is out of reach",
        settings: &[
            ("STRIPE_SECRET_KEY", "rk_live_of_these_stories"),
            // Nobody listens there.
            ("STRIPE_API_BASE", "http://127.0.0.1:1"),
            ("BILLHOOK__STRIPE__API_DEADLINE", "100ms"),
        ],
        model: rules,
        server: MailServer::Prompt,
        tell: |stage| stripe_is_out_of_reach(stage).boxed_local(),
    },
    Story {
        name: "a poison event",
        settings: &[],
        model: rules,
        server: MailServer::Prompt,
        tell: |stage| a_poison_event(stage).boxed_local(),
    },
    Story {
        name: "the application is told",
        settings: &[
            ("APP_WEBHOOK_URL", "https://shop.example/billhook"),
            (
                "APP_WEBHOOK_SECRET",
                "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            ),
        ],
        model: rules,
        server: MailServer::Prompt,
        tell: |stage| the_application_is_told(stage).boxed_local(),
    },
    Story {
        name: "stripe is asked",
        settings: &[],
        model: rules,
        server: MailServer::Prompt,
        tell: |stage| stripe_is_asked(stage).boxed_local(),
    },
    Story {
        name: "events were missed",
        settings: &[],
        model: rules,
        server: MailServer::Prompt,
        tell: |stage| events_were_missed(stage).boxed_local(),
    },
    Story {
        name: "a person approves",
        settings: &[(
            "BILLHOOK__PROMPTS__FOLDER",
            concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/fixtures/prompts/approve"
            ),
        )],
        model: |_, sink| Arc::new(Writer { sink: sink.clone() }),
        server: MailServer::Prompt,
        tell: |stage| a_person_approves(stage).boxed_local(),
    },
    Story {
        name: "a model decides",
        // Short, so that a run that waits for its model, and a mail that waits for its server, renew their leases while
        // the test looks on.
        settings: &[
            ("BILLHOOK__WORKER__LEASE", "150ms"),
            ("BILLHOOK__WORKER__POLL", "10ms"),
        ],
        model: |faults, sink| {
            Arc::new(Conduct {
                faults: faults.clone(),
                sink: sink.clone(),
                was_away: AtomicBool::new(false),
            })
        },
        server: MailServer::Slow,
        tell: |stage| a_model_decides(stage).boxed_local(),
    },
];

fn told(id: &str, kind: &'static str, at: i64, object: impl Into<Object>) -> Told {
    Told::new(id, kind, START + at, object)
}

pub(super) fn customer() -> Told {
    let ada = Customer {
        id: "cus_1".into(),
        email: Some("ada.blum@shopper.example".into()),
        name: Some("Ada Blum".into()),
        delinquent: false,
        created: START - 200_000,
    };
    told("evt_cus", "customer.created", LONG_AGO, ada)
}

fn intent(id: &str, amount: i64, paid: bool) -> Intent {
    Intent {
        id: id.into(),
        customer: Some("cus_1".into()),
        invoice: None,
        order: None,
        status: if paid {
            "succeeded"
        } else {
            "requires_payment_method"
        },
        amount,
        received: if paid { amount } else { 0 },
        charge: Some(format!("ch_{id}")),
        declined: !paid,
        created: START - 600,
        ..Intent::default()
    }
}

/// The customer has paid before, so that nobody waits for a first contact.
fn paid_before() -> Told {
    let paid = intent("pi_old", 4900, true);
    told("evt_old", "payment_intent.succeeded", LONG_AGO, paid)
}

fn failed(id: &str, intent_id: &str, at: i64) -> Told {
    let intent = intent(intent_id, 4900, false);
    told(id, "payment_intent.payment_failed", at, intent)
}

/// Five events about one failure, out of order, some twice; then the invoice is tried again and paid.
async fn a_renewal_fails(stage: &mut Stage) {
    let invoice = |status, attempts| Invoice {
        id: "in_1".into(),
        customer: "cus_1".into(),
        subscription: Some("sub_1".into()),
        intent: Some("pi_1".into()),
        charge: Some("ch_1".into()),
        status,
        amount: 4900,
        attempts,
        shows_payments: false,
        created: START - 60,
        ..Invoice::default()
    };
    let subscription = |status| Subscription {
        id: "sub_1".into(),
        customer: "cus_1".into(),
        status,
        latest_invoice: Some("in_1".into()),
        period_start: START - 60,
        cancel_at_period_end: false,
        canceled_at: None,
        created: START - 90 * 86_400,
        ..Subscription::default()
    };
    let charge = Charge {
        id: "ch_1".into(),
        intent: "pi_1".into(),
        customer: Some("cus_1".into()),
        invoice: Some("in_1".into()),
        amount: 4900,
        created: START,
        ..Charge::default()
    };
    let mut declined = intent("pi_1", 4900, false);
    declined.invoice = Some("in_1".into());
    declined.charge = Some("ch_1".into());
    let past_due = told(
        "evt_past_due",
        "customer.subscription.updated",
        1,
        subscription("past_due"),
    )
    .was(json!({ "status": "active" }));
    let leading = told("evt_in", "invoice.payment_failed", 1, invoice("open", 1));
    let events = [
        past_due.clone(),
        told("evt_ch", "charge.failed", 0, charge),
        customer(),
        leading.clone(),
        told("evt_pi", "payment_intent.payment_failed", 0, declined),
        told("evt_up", "invoice.updated", 1, invoice("open", 1)).was(json!({ "attempt_count": 0 })),
        paid_before(),
        past_due,
        leading,
    ];
    for event in &events {
        stage.deliver(event).await;
    }
    stage.pass(SETTLED).await;
    let again = told("evt_paid", "invoice.paid", 4000, invoice("paid", 2));
    stage.deliver(&again).await;
    stage.pass(SETTLED).await;
}

/// The first mail to an address waits, and the payment goes through meanwhile.
async fn paid_before_the_mail_leaves(stage: &mut Stage) {
    stage.deliver(&customer()).await;
    stage.deliver(&failed("evt_f", "pi_1", 0)).await;
    stage.pass(SETTLED).await;
    let paid = intent("pi_1", 4900, true);
    stage
        .deliver(&told("evt_s", "payment_intent.succeeded", 2000, paid))
        .await;
    stage.pass(Duration::from_hours(3)).await;
}

/// Two payments fail within a minute; the second mail waits for the next day.
async fn a_second_mail_is_capped(stage: &mut Stage) {
    stage.deliver(&customer()).await;
    stage.deliver(&paid_before()).await;
    stage.deliver(&failed("evt_1", "pi_1", 0)).await;
    stage.deliver(&failed("evt_2", "pi_2", 40)).await;
    stage.pass(SETTLED).await;
    stage.pass(Duration::from_hours(25)).await;
}

/// The first mail to an address waits, and so long that it is not worth sending any more.
async fn a_mail_expires(stage: &mut Stage) {
    stage.deliver(&customer()).await;
    stage.deliver(&failed("evt_f", "pi_1", 0)).await;
    stage.pass(SETTLED).await;
    stage.pass(Duration::from_hours(3)).await;
}

async fn sales_are_told(stage: &mut Stage) {
    stage.deliver(&customer()).await;
    let large = intent("pi_1", 490_000, true);
    stage
        .deliver(&told("evt_s", "payment_intent.succeeded", 0, large))
        .await;
    stage.pass(SETTLED).await;
}

async fn a_customer_is_won_back(stage: &mut Stage) {
    stage.deliver(&customer()).await;
    stage.deliver(&paid_before()).await;
    let ended = Subscription {
        id: "sub_1".into(),
        customer: "cus_1".into(),
        status: "canceled",
        latest_invoice: None,
        period_start: START - 60,
        cancel_at_period_end: false,
        canceled_at: Some(START),
        created: START - 90 * 86_400,
        ..Subscription::default()
    };
    stage
        .deliver(&told("evt_end", "customer.subscription.deleted", 0, ended))
        .await;
    stage.pass(SETTLED).await;
    stage.pass(Duration::from_hours(7 * 24 + 1)).await;
}

/// Nobody knows whether a mail left, so a person looks for it at the mail server, and says.
async fn a_person_decides(stage: &mut Stage) {
    stage.deliver(&customer()).await;
    stage.deliver(&paid_before()).await;
    stage.deliver(&failed("evt_f", "pi_1", 0)).await;
    stage.pass(SETTLED).await;
    // Asked again where the mail that was sent again is the one whose server hangs up.
    for _ in 0..3 {
        let unknown = stage.get("/api/v1/outbox?status=unknown").await;
        for message in unknown["data"].as_array().unwrap() {
            let left = {
                let mails = stage.ground.sink.mails.lock().unwrap();
                mails.iter().any(|id| message["message_id"] == *id)
            };
            let said = json!({ "resolution": if left { "sent" } else { "resend" } });
            let path = format!("/api/v1/outbox/{}/resolve", message["id"].as_str().unwrap());
            stage.ask(Method::POST, &path, Some(&said)).await;
        }
        stage.pass(Duration::from_secs(10)).await;
    }
}

/// An event that cannot be understood is dead and stays it; its neighbours go their way. Whoever looks sees all.
async fn a_poison_event(stage: &mut Stage) {
    let other = Object::Other(json!({ "object": "charge", "customer": "cus_1" }));
    stage.deliver(&customer()).await;
    stage
        .deliver(&told(POISON, "payment_intent.payment_failed", 0, other))
        .await;
    stage.deliver(&failed("evt_f", "pi_1", 1)).await;
    stage.pass(SETTLED).await;
    let dead = stage.get("/api/v1/events?status=dead").await;
    assert_eq!(dead["data"][0]["id"], POISON);
    let again = format!("/api/v1/events/{POISON}/retry");
    stage.ask(Method::POST, &again, None).await;
    stage.pass(Duration::from_hours(3)).await;
    for (list, has_pages) in [
        ("events", true),
        ("runs", true),
        ("tool_calls", false),
        ("outbox", true),
        ("customers", true),
    ] {
        let rows = stage.get(&format!("/api/v1/{list}")).await;
        let id = rows["data"][0]["id"].as_str().unwrap();
        if has_pages {
            let row = stage.get(&format!("/api/v1/{list}/{id}")).await;
            assert_eq!(row["id"], id);
        }
    }
    stage.get("/api/v1/ledger?source=ch_1").await;
    let list = "/api/v1/suppressions";
    let mailbox = json!({ "address": "eve@example.com", "reason": "asked for it" });
    stage.ask(Method::POST, list, Some(&mailbox)).await;
    stage.get(list).await;
    let mailbox = json!({ "address": "eve@example.com" });
    stage.ask(Method::DELETE, list, Some(&mailbox)).await;
    stage.get("/readyz").await;
    stage.get("/metrics").await;
}

pub(super) const POISON: &str = "evt_poison";

async fn a_model_decides(stage: &mut Stage) {
    stage.deliver(&customer()).await;
    stage.deliver(&paid_before()).await;
    stage.deliver(&failed("evt_f", "pi_1", 0)).await;
    stage.pass(SETTLED).await;
    // The model was away.
    stage.pass(Duration::from_secs(10)).await;
}
