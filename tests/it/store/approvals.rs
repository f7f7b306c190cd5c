//! What waits for a person: held, then approved, denied or expired, once, whoever comes first.
//!
//! Over 400 lines because every way in which a wait can end is a case here, over one set of helpers.

mod races;

use std::time::Duration;

use billhook::guardrails::precondition::Purpose;
use billhook::store::{
    Action, ApprovalFilter, ApprovalRecord, Awaited, Channel, Decision, Fallback, NewEffect,
    NewMessage, NewStep, NewToolCall, Page, Resolution, Resolved, SqlStore, Store, Verdict,
};
use billhook_tools::{Campaign, Proposal};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

use super::queued::{Wanted, claim, done, go, run_of};
use super::{LONG, apply, paid};
use crate::support::bench::{Bench, policy};

on_both!(
    what_is_approved_leaves_as_it_was_shown_and_once,
    what_is_denied_makes_room_for_what_is_owed,
    nothing_is_owed_in_place_of_what_nobody_owes,
    time_denies_what_nobody_approved,
    what_is_owed_is_not_done_when_it_is_too_old,
    a_fact_ends_it_whatever_the_person_says,
    a_row_that_was_changed_is_refused,
    a_schedule_is_written_when_it_is_approved,
    a_hold_is_replaced_by_what_is_owed,
    a_first_contact_still_waits_and_no_longer,
    what_nobody_approved_cannot_be_sent_again,
    a_key_that_waits_is_taken,
    it_is_listed_counted_and_explained,
);

/// In minutes.
const DAY: u64 = 24 * 60;

const ALL: Page = Page {
    limit: 100,
    starting_after: None,
};

fn mail(intent: &str, text: &str) -> NewMessage {
    NewMessage {
        channel: Channel::Email,
        purpose: Purpose::PaymentFailed,
        recipient: Some(format!("{intent}@example.com")),
        message_id: format!("<{intent}@acme.example>"),
        subject: format!("Subject of {text}"),
        text: format!("{text}\n"),
        html: Some(format!("<p>{text}</p>")),
        notice: None,
        first_contact: false,
        reason: None,
    }
}

fn written(text: &str) -> Proposal {
    Proposal::SendEmail {
        customer: "cus_1".to_owned(),
        purpose: "payment_failed".to_owned(),
        subject: format!("Subject of {text}"),
        body: text.to_owned(),
    }
}

fn awaited(intent: &str, action: Action, fallback: Option<(Proposal, Action)>) -> NewEffect {
    let fallback = fallback.map(|(proposal, action)| Fallback {
        arguments: json!({ "by": "rule" }),
        proposal,
        action,
    });
    NewEffect {
        key: format!("key_{intent}"),
        proposal: written("the model"),
        action: Action::Await(Box::new(Awaited { action, fallback })),
    }
}

/// A mail of a model that waits, in place of one that is owed.
fn owed_mail(intent: &str) -> NewEffect {
    let fallback = Action::Send(Box::new(mail(intent, "the rules")));
    awaited(
        intent,
        Action::Send(Box::new(mail(intent, "the model"))),
        Some((written("the rules"), fallback)),
    )
}

/// Finishes the run of a failed payment with this, after the model's call was journaled; what waits then.
async fn hold(bench: &Bench, intent: &str, effect: NewEffect) -> ApprovalRecord {
    let run = run_of(bench, &format!("cus_{intent}"), intent).await;
    let call = NewToolCall {
        tool: "send_email".to_owned(),
        arguments: json!({}),
        by: "model",
        verdict: "held",
        rule: None,
        reason: None,
        effect_key: Some(effect.key.clone()),
        result: json!({}),
    };
    let step = NewStep {
        seq: 0,
        data: json!({ "step": "result" }),
        prompt_hash: "hash".to_owned(),
        tools_hash: "tools".to_owned(),
        model: Some("a-model".to_owned()),
        spending: None,
        call: Some(call),
    };
    bench.store.journal(&run, &step).await.unwrap();
    let finish = done(vec![effect]);
    bench.store.finish_run(&run, &finish).await.unwrap();
    waiting(bench, intent).await
}

/// What was held for a payment, whole.
async fn waiting(bench: &Bench, intent: &str) -> ApprovalRecord {
    let event = bench.store.event(&format!("evt_{intent}_failed")).await;
    let approvals = event.unwrap().unwrap().approvals;
    assert_eq!(approvals.len(), 1);
    let whole = bench.store.approval(&approvals[0].id).await.unwrap();
    whole.unwrap()
}

async fn every(bench: &Bench) -> Vec<ApprovalRecord> {
    let all = ApprovalFilter::default();
    bench.store.approvals(&all, &ALL).await.unwrap().data
}

fn approve(approval: &ApprovalRecord) -> Verdict {
    Verdict::Approve {
        hash: approval.hash.clone(),
    }
}

fn deny() -> Verdict {
    Verdict::Deny {
        reason: Some("too\0 cold".to_owned()),
    }
}

async fn decide(store: &SqlStore, approval: &ApprovalRecord, verdict: &Verdict) -> Decision {
    let decided = store.decide_approval(&approval.id, verdict, "a test");
    decided.await.unwrap()
}

fn over(status: &str) -> Decision {
    Decision::Over(status.to_owned())
}

/// Texts and statuses of the messages of a payment, in the order of their texts.
async fn messages(bench: &Bench, intent: &str) -> Vec<(String, String)> {
    let event = bench.store.event(&format!("evt_{intent}_failed")).await;
    let mut found = Vec::new();
    for message in event.unwrap().unwrap().messages {
        let whole = bench.store.message(&message.id).await.unwrap().unwrap();
        assert_eq!(whole.message_id, format!("<{intent}@acme.example>"));
        let text = whole.text.unwrap().trim().to_owned();
        found.push((text, message.status));
    }
    found.sort();
    found
}

/// Who called for a payment, and what became of it.
async fn calls(bench: &Bench, intent: &str) -> Vec<(String, String, Option<String>)> {
    let event = bench.store.event(&format!("evt_{intent}_failed")).await;
    let calls = event.unwrap().unwrap().tool_calls.into_iter();
    calls
        .map(|call| (call.by, call.verdict, call.effect))
        .collect()
}

fn made(by: &str, verdict: &str, effect: &str) -> (String, String, Option<String>) {
    (by.to_owned(), verdict.to_owned(), Some(effect.to_owned()))
}

fn is(text: &str, status: &str) -> (String, String) {
    (text.to_owned(), status.to_owned())
}

/// Runs a statement behind the store's back.
async fn tamper(bench: &Bench, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    if bench.is_postgres() {
        let mut db = PgConnection::connect(&bench.url).await.unwrap();
        db.execute(sql).await.unwrap();
    } else {
        let mut db = SqliteConnection::connect(&bench.url).await.unwrap();
        db.execute(sql).await.unwrap();
    }
}

async fn what_is_approved_leaves_as_it_was_shown_and_once(bench: Bench) {
    let held = hold(&bench, "pi_1", owed_mail("pi_1")).await;
    assert_eq!(held.status, "held");
    let message = held.message.clone().unwrap();
    assert_eq!(message.text.as_deref(), Some("the model\n"));
    assert_eq!(message.html.as_deref(), Some("<p>the model</p>"));
    assert_eq!(message.to.as_deref(), Some("pi_1@example.com"));
    assert!(claim(&bench.store).await.is_empty(), "it waits");
    assert_eq!(calls(&bench, "pi_1").await, [made("model", "held", "held")]);

    let other = Verdict::Approve {
        hash: "0".repeat(64),
    };
    let refused = decide(&bench.store, &held, &other).await;
    assert_eq!(refused, Decision::OtherHash(held.hash.clone()));
    assert!(claim(&bench.store).await.is_empty());

    let decision = decide(&bench.store, &held, &approve(&held)).await;
    assert_eq!(decision, Decision::Done);
    for again in [approve(&held), deny()] {
        assert_eq!(decide(&bench.store, &held, &again).await, over("approved"));
    }
    let leaves = claim(&bench.store).await;
    assert_eq!(leaves.len(), 1);
    assert_eq!(
        (leaves[0].subject.as_str(), leaves[0].text.as_str()),
        ("Subject of the model", "the model\n")
    );
    assert_eq!(leaves[0].html.as_deref(), Some("<p>the model</p>"));
    let decided = waiting(&bench, "pi_1").await;
    assert_eq!(decided.status, "approved");
    assert_eq!(decided.decided_by.as_deref(), Some("a test"));
    assert_eq!(decided.decided_at, Some(bench.now().iso()));
    assert_eq!(
        calls(&bench, "pi_1").await,
        [made("model", "held", "intended")]
    );
    let expires = bench.now().plus(policy().expire).iso();
    let shown = bench.store.message(&message.id).await.unwrap().unwrap();
    assert_eq!(shown.expires_at, Some(expires));
    let denial = deny();
    let missing = bench.store.decide_approval("appr_none", &denial, "a test");
    assert_eq!(missing.await.unwrap(), Decision::Missing);
}

async fn what_is_denied_makes_room_for_what_is_owed(bench: Bench) {
    let held = hold(&bench, "pi_1", owed_mail("pi_1")).await;
    assert_eq!(
        held.fallback.as_deref(),
        Some("send \"Subject of the rules\" to pi_1@example.com")
    );
    assert_eq!(decide(&bench.store, &held, &deny()).await, Decision::Done);
    assert_eq!(
        messages(&bench, "pi_1").await,
        [is("the model", "denied"), is("the rules", "pending")]
    );
    assert_eq!(
        decide(&bench.store, &held, &approve(&held)).await,
        over("denied")
    );
    assert_eq!(go(&bench.store).await, 1);
    assert_eq!(
        messages(&bench, "pi_1").await,
        [is("the model", "denied"), is("the rules", "sent")]
    );
    assert_eq!(
        calls(&bench, "pi_1").await,
        [
            made("model", "held", "denied"),
            made("rules", "allowed", "done")
        ]
    );
    let denied = waiting(&bench, "pi_1").await;
    assert_eq!(denied.reason.as_deref(), Some("too cold"));
}

async fn nothing_is_owed_in_place_of_what_nobody_owes(bench: Bench) {
    let send = Action::Send(Box::new(mail("pi_1", "the model")));
    let held = hold(&bench, "pi_1", awaited("pi_1", send, None)).await;
    assert_eq!(held.fallback, None);
    assert_eq!(decide(&bench.store, &held, &deny()).await, Decision::Done);
    assert_eq!(messages(&bench, "pi_1").await, [is("the model", "denied")]);
    assert_eq!(
        calls(&bench, "pi_1").await,
        [made("model", "held", "denied")]
    );
    bench.clock.advance(policy().approvals_expire * 2);
    assert_eq!(bench.store.expire_approvals(10).await.unwrap(), 0);
    assert!(claim(&bench.store).await.is_empty());
}

async fn time_denies_what_nobody_approved(bench: Bench) {
    for intent in ["pi_1", "pi_2", "pi_3"] {
        hold(&bench, intent, owed_mail(intent)).await;
    }
    assert_eq!(bench.store.expire_approvals(10).await.unwrap(), 0);
    bench.clock.advance(policy().approvals_expire);
    // It is over though nobody has marked it yet, and asking settles what is owed.
    let held = waiting(&bench, "pi_3").await;
    assert!(held.waits_for.unwrap().starts_with("expired at "));
    let held = waiting(&bench, "pi_3").await;
    assert_eq!(
        decide(&bench.store, &held, &approve(&held)).await,
        over("expired")
    );
    for (marked, limit) in [(1, 1), (1, 10), (0, 10)] {
        assert_eq!(bench.store.expire_approvals(limit).await.unwrap(), marked);
    }
    for intent in ["pi_1", "pi_2", "pi_3"] {
        assert_eq!(
            messages(&bench, intent).await,
            [is("the model", "expired"), is("the rules", "pending")]
        );
        let expired = waiting(&bench, intent).await;
        assert_eq!(expired.status, "expired");
        assert_eq!(
            calls(&bench, intent).await,
            [
                made("model", "held", "expired"),
                made("rules", "allowed", "intended")
            ]
        );
    }
}

async fn what_is_owed_is_not_done_when_it_is_too_old(bench: Bench) {
    hold(&bench, "pi_1", owed_mail("pi_1")).await;
    // Nobody worked for days.
    bench
        .clock
        .advance(policy().approvals_expire + policy().expire + Duration::from_secs(1));
    assert_eq!(bench.store.expire_approvals(10).await.unwrap(), 1);
    assert_eq!(messages(&bench, "pi_1").await, [is("the model", "expired")]);
    let expired = waiting(&bench, "pi_1").await;
    assert_eq!(
        expired.reason.as_deref(),
        Some("nobody approved it in time; what is owed is too old to be done by now")
    );
}

async fn a_fact_ends_it_whatever_the_person_says(bench: Bench) {
    for intent in ["pi_1", "pi_2", "pi_3"] {
        hold(&bench, intent, owed_mail(intent)).await;
    }
    let paid_by = ["pi_1", "pi_2", "pi_3"].map(|intent| paid(&format!("cus_{intent}"), intent, 60));
    apply(&bench, &paid_by).await;
    let approved = waiting(&bench, "pi_1").await;
    assert_eq!(
        decide(&bench.store, &approved, &approve(&approved)).await,
        over("suppressed")
    );
    let denied = waiting(&bench, "pi_2").await;
    assert_eq!(decide(&bench.store, &denied, &deny()).await, Decision::Done);
    bench.clock.advance(policy().approvals_expire);
    assert_eq!(bench.store.expire_approvals(10).await.unwrap(), 1);
    let paid = "the payment is succeeded now";
    for (intent, status, reason) in [
        ("pi_1", "suppressed", paid.to_owned()),
        (
            "pi_2",
            "denied",
            format!("too cold; nothing is owed any more: {paid}"),
        ),
        (
            "pi_3",
            "expired",
            format!("nobody approved it in time; nothing is owed any more: {paid}"),
        ),
    ] {
        assert_eq!(messages(&bench, intent).await, [is("the model", status)]);
        let ended = waiting(&bench, intent).await;
        assert_eq!(
            (ended.status.as_str(), ended.reason),
            (status, Some(reason))
        );
        assert_eq!(calls(&bench, intent).await, [made("model", "held", status)]);
    }
    assert!(claim(&bench.store).await.is_empty());
}

async fn a_row_that_was_changed_is_refused(bench: Bench) {
    for (intent, column, value) in [
        ("pi_1", "text", "'Buy gold'"),
        ("pi_2", "html", "NULL"),
        ("pi_3", "recipient", "'mallory@example.com'"),
        ("pi_4", "subject", "'Win'"),
    ] {
        let held = hold(&bench, intent, owed_mail(intent)).await;
        let message = held.message.clone().unwrap().id;
        let change = format!("UPDATE messages SET {column} = {value} WHERE id = '{message}'");
        tamper(&bench, &change).await;
        assert_eq!(
            decide(&bench.store, &held, &approve(&held)).await,
            Decision::Changed,
            "{column}"
        );
        assert_eq!(waiting(&bench, intent).await.status, "held");
        assert!(claim(&bench.store).await.is_empty());
        // What is owed is still to be had.
        assert_eq!(decide(&bench.store, &held, &deny()).await, Decision::Done);
        let leaves = claim(&bench.store).await;
        assert_eq!(leaves.len(), 1);
        assert_eq!(leaves[0].text, "the rules\n");
        let whom = format!("{intent}@example.com");
        assert_eq!(leaves[0].recipient, Some(whom));
    }
}

fn schedule(bench: &Bench, days: u64) -> Action {
    Action::Schedule {
        playbook: "winback_due".to_owned(),
        due_at: bench.now().plus(Duration::from_hours(24 * days)),
        subscription: "sub_1".to_owned(),
        data: json!({ "campaign": "come_back" }),
    }
}

fn winback(days: u8) -> Proposal {
    Proposal::ScheduleWinback {
        subscription: "sub_1".to_owned(),
        delay_days: days.into(),
        campaign: Campaign::ComeBack,
    }
}

async fn a_schedule_is_written_when_it_is_approved(bench: Bench) {
    for (intent, approves) in [("pi_1", true), ("pi_2", false)] {
        let owed = Some((winback(7), schedule(&bench, 7)));
        let effect = awaited(intent, schedule(&bench, 3), owed);
        let held = hold(&bench, intent, effect).await;
        assert_eq!(held.message, None);
        assert!(held.what.contains("winback_due"), "{}", held.what);
        let verdict = if approves { approve(&held) } else { deny() };
        assert_eq!(decide(&bench.store, &held, &verdict).await, Decision::Done);
    }
    // The one on the third day, as the model wished; the other on the seventh, as the rules have it.
    for (passes, promoted) in [
        (3 * DAY - 1, 0),
        (2, 1),
        (4 * DAY - 2, 0),
        (2, 1),
        (30 * DAY, 0),
    ] {
        bench.clock.advance(Duration::from_mins(passes));
        let found = bench.store.promote_schedules(10).await.unwrap();
        assert_eq!(found, promoted, "after {passes} minutes");
    }
}

async fn a_hold_is_replaced_by_what_is_owed(bench: Bench) {
    let holds = async |intent: &str| -> Value {
        let order = bench.store.object("order", intent).await.unwrap().remove(0);
        order.beside
    };
    for (intent, approves) in [("pi_1", true), ("pi_2", false)] {
        let action = Action::Hold {
            order: intent.to_owned(),
            reason: "address_unclear".to_owned(),
            ends_at: bench.now().plus(Duration::from_hours(72)),
        };
        let held = hold(&bench, intent, awaited(intent, action, None)).await;
        assert_eq!(holds(intent).await, json!([]), "nothing is held back yet");
        let verdict = if approves { approve(&held) } else { deny() };
        assert_eq!(decide(&bench.store, &held, &verdict).await, Decision::Done);
        let placed = holds(intent).await;
        assert_eq!(placed.as_array().unwrap().len(), usize::from(approves));
        let effect = if approves { "done" } else { "denied" };
        assert_eq!(calls(&bench, intent).await, [made("model", "held", effect)]);
    }
}

async fn a_first_contact_still_waits_and_no_longer(bench: Bench) {
    for (intent, waits) in [("pi_1", Duration::ZERO), ("pi_2", Duration::from_hours(1))] {
        let mut first = mail(intent, "the model");
        first.first_contact = true;
        let effect = awaited(intent, Action::Send(Box::new(first)), None);
        let held = hold(&bench, intent, effect).await;
        let at = bench.now().plus(policy().first_contact_delay);
        bench.clock.advance(waits);
        decide(&bench.store, &held, &approve(&held)).await;
        let id = held.message.unwrap().id;
        let shown = bench.store.message(&id).await.unwrap().unwrap();
        assert_eq!(shown.not_before, Some(at.max(bench.now()).iso()));
    }
}

/// An expired notice to the business's own people may be sent again, unless it is one that nobody approved.
async fn what_nobody_approved_cannot_be_sent_again(bench: Bench) {
    let notice = |intent: &str| {
        let wanted = Wanted::notice("cus_1", intent);
        let effect = wanted.effect();
        let Action::Send(message) = effect.action else {
            panic!("a message");
        };
        awaited(intent, Action::Send(message), None)
    };
    for (intent, approves) in [("pi_1", false), ("pi_2", true)] {
        let held = hold(&bench, intent, notice(intent)).await;
        if approves {
            decide(&bench.store, &held, &approve(&held)).await;
        }
    }
    bench.clock.advance(policy().expire * 2);
    bench.store.expire_approvals(10).await.unwrap();
    bench.store.expire_messages(10).await.unwrap();
    let unsent = bench.store.examine().await.unwrap().unsent_notices;
    assert_eq!(unsent.len(), 1);
    assert_eq!(unsent[0].count, 1, "only the one that was to be sent");
    for (intent, expected) in [
        ("pi_1", Resolved::NotUnknown("expired".to_owned())),
        ("pi_2", Resolved::Done),
    ] {
        let id = waiting(&bench, intent).await.message.unwrap().id;
        let resolved = bench.store.resolve_message(&id, Resolution::Resend);
        assert_eq!(resolved.await.unwrap(), expected);
    }
    assert_eq!(claim(&bench.store).await.len(), 1);
}

async fn a_key_that_waits_is_taken(bench: Bench) {
    hold(&bench, "pi_1", owed_mail("pi_1")).await;
    let mut again = owed_mail("pi_2");
    again.key = "key_pi_1".to_owned();
    let run = run_of(&bench, "cus_2", "pi_2").await;
    let finish = done(vec![again]);
    bench.store.finish_run(&run, &finish).await.unwrap();
    assert_eq!(every(&bench).await.len(), 1);
    assert!(messages(&bench, "pi_2").await.is_empty());
}

async fn it_is_listed_counted_and_explained(bench: Bench) {
    for intent in ["pi_1", "pi_2", "pi_3"] {
        hold(&bench, intent, owed_mail(intent)).await;
        bench.clock.advance(Duration::from_mins(1));
    }
    let second = waiting(&bench, "pi_2").await;
    decide(&bench.store, &second, &deny()).await;
    let list = async |status: Option<&str>, after: Option<String>, limit: u32| {
        let filter = ApprovalFilter {
            status: status.map(str::to_owned),
        };
        let page = Page {
            limit,
            starting_after: after,
        };
        let found = bench.store.approvals(&filter, &page).await.unwrap();
        let ids: Vec<_> = found.data.iter().map(|one| one.event.clone()).collect();
        (
            ids,
            found.has_more,
            found.data.last().map(|one| one.id.clone()),
        )
    };
    let (ids, more, last) = list(None, None, 2).await;
    assert_eq!((ids, more), (names(["pi_3", "pi_2"]), true));
    let (ids, more, _) = list(None, last, 2).await;
    assert_eq!((ids, more), (names(["pi_1"]), false));
    let (ids, _, last) = list(Some("held"), None, 1).await;
    assert_eq!(ids, names(["pi_3"]));
    assert_eq!(list(Some("held"), last, 1).await.0, names(["pi_1"]));
    assert_eq!(list(Some("denied"), None, 9).await.0, names(["pi_2"]));
    let listed = every(&bench).await;
    assert!(
        listed
            .iter()
            .all(|one| one.message.as_ref().unwrap().text.is_none())
    );

    assert_eq!(bench.store.census().await.unwrap().approvals_held, 2);
    let found = bench.store.examine().await.unwrap();
    assert_eq!((found.held, found.expiring), (2, 0));
    bench.clock.advance(Duration::from_hours(23));
    let found = bench.store.examine().await.unwrap();
    assert_eq!((found.held, found.expiring), (2, 2));

    let held = waiting(&bench, "pi_1").await;
    let waits = held.waits_for.unwrap();
    assert!(
        waits.starts_with("waits for a person until ")
            && waits.contains("then the rules do what is owed"),
        "{waits}"
    );
    let message = bench.store.message(&held.message.unwrap().id).await;
    let waits = message.unwrap().unwrap().waits_for.unwrap();
    assert!(
        waits.contains("billhook approvals list --status held"),
        "{waits}"
    );
}

fn names<const N: usize>(intents: [&str; N]) -> Vec<String> {
    let name = |intent| format!("evt_{intent}_failed");
    intents.into_iter().map(name).collect()
}

/// A claim that whoever died in the middle of finishing left: nothing of it is there, and the run goes on.
#[tokio::test]
async fn a_run_that_lost_its_reason_holds_nothing() {
    let bench = Bench::in_memory().await;
    let run = run_of(&bench, "cus_1", "pi_1").await;
    apply(&bench, &[paid("cus_1", "pi_1", 30)]).await;
    let finish = done(vec![owed_mail("pi_1")]);
    bench.store.finish_run(&run, &finish).await.unwrap();
    assert!(every(&bench).await.is_empty());
    assert!(bench.store.claim_run(LONG).await.unwrap().is_none());
}
