//! What each call comes to: the answer, the proposal, and what the model is told when it was wrong.

use std::sync::Mutex;

use crate::{
    Campaign, Context, Currency, Effect, Facts, FactsError, Money, OrderChange, OrderNote, Outcome,
    Payment, Priority, Proposal, ToolError, all, find,
};
use futures::future::{BoxFuture, FutureExt};
use serde_json::{Value, json};

/// Facts that note what was asked and give more than that.
#[derive(Default)]
struct FakeFacts {
    asked: Mutex<Vec<String>>,
    fail: bool,
}

impl Facts for FakeFacts {
    fn payment_history<'a>(
        &'a self,
        account: &'a str,
        livemode: bool,
        customer: &'a str,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Payment>, FactsError>> {
        self.asked
            .lock()
            .unwrap()
            .push(format!("{account} {livemode} {customer} {limit}"));
        Box::pin(async move {
            if self.fail {
                return Err(FactsError {
                    what: "payments",
                    source: "the disk is gone".into(),
                });
            }
            let payment = |number: i64| Payment {
                id: format!("pi_{number}"),
                status: "succeeded".to_owned(),
                amount: Money::new(1099, Currency::new("usd").unwrap()),
                created: 1_700_000_000 - number,
                decline_code: None,
            };
            Ok((0..100).map(payment).collect())
        })
    }
}

pub(super) fn context() -> Context {
    Context {
        account: "self".to_owned(),
        livemode: true,
        occurrence: "occ_1".to_owned(),
        playbook: "payment_failed".to_owned(),
        stage: "first".to_owned(),
        purpose: "payment_failed".to_owned(),
        customer: Some("cus_1".to_owned()),
        order: Some("order_1".to_owned()),
        subscription: Some("sub_1".to_owned()),
    }
}

pub(super) fn call(name: &str, arguments: &Value, context: &Context) -> Result<Outcome, ToolError> {
    let facts = FakeFacts::default();
    // Nothing here waits, so the first poll has the answer.
    find(name)
        .unwrap()
        .call(arguments, context, &facts)
        .now_or_never()
        .unwrap()
}

fn told(name: &str, arguments: &Value, context: &Context) -> String {
    match call(name, arguments, context) {
        Err(ToolError::TellModel(text)) => text,
        other => panic!("{name} with {arguments} came to {other:?}"),
    }
}

pub(super) fn good(name: &str) -> Value {
    match name {
        "update_order" => json!({"change": "hold", "note": "repeated_failures"}),
        "get_payment_history" => json!({"limit": 3}),
        "send_email" => json!({"subject": "Your payment", "body": "Hello {{name}},\n\nit failed."}),
        "notify_sales" => json!({"priority": "high", "summary": "A large payment failed."}),
        "notify_finance" => json!({"priority": "high", "summary": "A payment is disputed."}),
        "schedule_winback" => json!({"delay_days": 7, "campaign": "come_back"}),
        other => panic!("{other} has no good arguments here: add them"),
    }
}

#[test]
fn good_calls_propose_what_the_context_fixes() {
    let expected = [
        (
            "update_order",
            Effect::Database,
            Some(Proposal::UpdateOrder {
                order: "order_1".to_owned(),
                change: OrderChange::Hold,
                note: OrderNote::RepeatedFailures,
            }),
        ),
        ("get_payment_history", Effect::Read, None),
        (
            "send_email",
            Effect::Outbox,
            Some(Proposal::SendEmail {
                customer: "cus_1".to_owned(),
                purpose: "payment_failed".to_owned(),
                subject: "Your payment".to_owned(),
                body: "Hello {{name}},\n\nit failed.".to_owned(),
            }),
        ),
        (
            "notify_sales",
            Effect::Outbox,
            Some(Proposal::NotifySales {
                priority: Priority::High,
                summary: "A large payment failed.".to_owned(),
            }),
        ),
        (
            "notify_finance",
            Effect::Outbox,
            Some(Proposal::NotifyFinance {
                priority: Priority::High,
                summary: "A payment is disputed.".to_owned(),
            }),
        ),
        (
            "schedule_winback",
            Effect::Database,
            Some(Proposal::ScheduleWinback {
                subscription: "sub_1".to_owned(),
                delay_days: 7,
                campaign: Campaign::ComeBack,
            }),
        ),
    ];
    assert_eq!(expected.len(), all().len(), "a tool is not looked at");
    for (name, effect, proposal) in expected {
        let outcome = call(name, &good(name), &context()).unwrap();
        assert_eq!(find(name).unwrap().effect(), effect, "{name}");
        assert_eq!(outcome.proposal.is_none(), effect == Effect::Read, "{name}");
        if let Some(proposal) = &proposal {
            assert_eq!(proposal.tool(), name);
            assert_eq!(outcome.result["status"], "proposed");
        }
        assert_eq!(outcome.proposal, proposal, "{name}");
    }
}

#[test]
fn history_asks_for_the_contexts_customer_and_keeps_to_the_limit() {
    let facts = FakeFacts::default();
    let tool = find("get_payment_history").unwrap();
    let outcome = tool
        .call(&json!({"limit": 2}), &context(), &facts)
        .now_or_never()
        .unwrap()
        .unwrap();
    assert_eq!(*facts.asked.lock().unwrap(), ["self true cus_1 2"]);
    assert_eq!(
        outcome.result,
        json!({"paid": [{"amount": 2198, "currency": "usd"}], "payments": [
            {"id": "pi_0", "status": "succeeded", "amount": {"amount": 1099, "currency": "usd"},
                "created": 1_700_000_000, "decline_code": null},
            {"id": "pi_1", "status": "succeeded", "amount": {"amount": 1099, "currency": "usd"},
                "created": 1_699_999_999, "decline_code": null},
        ]})
    );
}

#[test]
fn facts_that_fail_are_fatal_and_silent_about_the_reason() {
    let facts = FakeFacts {
        fail: true,
        ..FakeFacts::default()
    };
    let tool = find("get_payment_history").unwrap();
    let error = tool
        .call(&json!({"limit": 2}), &context(), &facts)
        .now_or_never()
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, ToolError::Fatal(_)));
    assert!(!error.to_string().contains("disk"));
}

#[test]
fn malformed_arguments_are_never_read_as_none() {
    for tool in all() {
        let name = tool.name();
        let as_text = Value::String(good(name).to_string());
        let as_list = Value::Array(good(name).as_object().unwrap().values().cloned().collect());
        for bad in [
            json!(null),
            json!(true),
            json!(1),
            json!("{}"),
            as_text,
            json!([]),
            as_list,
            json!({}),
        ] {
            let text = told(name, &bad, &context());
            assert!(
                text.starts_with("invalid_arguments: "),
                "{name} with {bad}: {text}"
            );
            assert!(text.contains(name), "{text}");
        }
        let mut extra = good(name);
        extra["to"] = json!("mallory@example.com");
        assert!(
            told(name, &extra, &context()).contains("unknown field `to`"),
            "{name}"
        );
        for field in good(name).as_object().unwrap().keys() {
            let mut missing = good(name);
            missing.as_object_mut().unwrap().remove(field);
            assert!(
                told(name, &missing, &context()).contains(&format!("missing field `{field}`")),
                "{name}"
            );
            let mut null = good(name);
            null[field] = json!(null);
            told(name, &null, &context());
            let mut nested = good(name);
            nested[field] = json!({"value": good(name)[field]});
            told(name, &nested, &context());
        }
    }
}

fn says(name: &str, arguments: &Value, expected: &str) {
    let text = told(name, arguments, &context());
    assert!(
        text.contains(expected),
        "{name} with {arguments} says {text}"
    );
}

#[test]
fn answers_about_numbers_and_codes_say_what_to_mend() {
    for (arguments, expected) in [
        (
            json!({"change": "paid", "note": "resolved"}),
            "expected `hold` or `release`",
        ),
        (
            json!({"change": "hold", "note": "because"}),
            "unknown variant `because`",
        ),
        (
            json!({"change": "hold", "note": "resolved"}),
            "no reason to hold",
        ),
    ] {
        says("update_order", &arguments, expected);
    }
    for (limit, expected) in [
        (json!(0), "from 1 to 50"),
        (json!(51), "from 1 to 50"),
        (json!(-1), "invalid value"),
        (json!(4_294_967_297_u64), "invalid value"),
        (json!(5.5), "invalid type"),
        (json!("5"), "invalid type"),
    ] {
        says("get_payment_history", &json!({ "limit": limit }), expected);
    }
    for (arguments, expected) in [
        (
            json!({"delay_days": 0, "campaign": "ask_why"}),
            "from 1 to 90",
        ),
        (
            json!({"delay_days": 91, "campaign": "ask_why"}),
            "from 1 to 90",
        ),
        (
            json!({"delay_days": 7, "campaign": "free_year"}),
            "unknown variant `free_year`",
        ),
    ] {
        says("schedule_winback", &arguments, expected);
    }
}

#[test]
fn answers_about_texts_say_what_to_mend() {
    for (subject, body, expected) in [
        (
            "ä".repeat(121).as_str(),
            "x",
            "`subject` has 121 characters, at most 120",
        ),
        (
            "x",
            "ä".repeat(4001).as_str(),
            "`body` has 4001 characters, at most 4000",
        ),
        (" ", "x", "`subject` is empty"),
        ("x", "\n\n", "`body` is empty"),
        ("x\r\nBcc: a", "x", "single line"),
        ("x\u{2028}y", "x", "single line"),
        ("x\u{85}y", "x", "single line"),
    ] {
        says(
            "send_email",
            &json!({ "subject": subject, "body": body }),
            expected,
        );
    }
    for (priority, summary, expected) in [
        ("high", "ä".repeat(401).as_str(), "at most 400"),
        ("high", "", "`summary` is empty"),
        ("asap", "x", "expected `normal` or `high`"),
    ] {
        for tool in ["notify_sales", "notify_finance"] {
            let arguments = json!({ "priority": priority, "summary": summary });
            says(tool, &arguments, expected);
        }
    }
}

#[test]
fn at_the_very_bounds_everything_is_fine() {
    let long = |count: usize| "ä".repeat(count);
    for (name, arguments) in [
        ("get_payment_history", json!({"limit": 1})),
        ("get_payment_history", json!({"limit": 50})),
        (
            "send_email",
            json!({"subject": long(120), "body": long(4000)}),
        ),
        (
            "notify_sales",
            json!({"priority": "normal", "summary": long(400)}),
        ),
        (
            "schedule_winback",
            json!({"delay_days": 1, "campaign": "ask_why"}),
        ),
        (
            "schedule_winback",
            json!({"delay_days": 90, "campaign": "ask_why"}),
        ),
    ] {
        call(name, &arguments, &context()).unwrap();
    }
}

#[test]
fn an_answer_never_echoes_more_than_a_little() {
    let text = told(
        "update_order",
        &json!({"change": "x".repeat(100_000), "note": "resolved"}),
        &context(),
    );
    assert!(
        text.chars().count() <= 400,
        "{} characters",
        text.chars().count()
    );
}

#[test]
fn without_its_subject_a_tool_says_so() {
    let nobody = Context {
        customer: None,
        order: None,
        subscription: None,
        ..context()
    };
    for (name, lead) in [
        ("update_order", "no_order:"),
        ("get_payment_history", "no_customer:"),
        ("send_email", "no_recipient:"),
        ("schedule_winback", "no_subscription:"),
    ] {
        let text = told(name, &good(name), &nobody);
        assert!(text.starts_with(lead), "{name} says {text}");
    }
    for name in ["notify_sales", "notify_finance"] {
        let outcome = call(name, &good(name), &nobody).unwrap();
        assert!(outcome.proposal.is_some(), "{name}");
    }
}
