//! Effect keys: what is in them, and that nothing else is.

use serde_json::json;

use super::calls::{call, context, good};
use crate::{Context, Effect, all};

#[test]
fn effect_keys_hold_nothing_that_a_model_chooses() {
    for (name, other) in [
        (
            "update_order",
            json!({"change": "release", "note": "resolved"}),
        ),
        ("send_email", json!({"subject": "Other", "body": "Words"})),
        (
            "notify_sales",
            json!({"priority": "normal", "summary": "Other words."}),
        ),
        (
            "notify_finance",
            json!({"priority": "normal", "summary": "Other words."}),
        ),
        (
            "schedule_winback",
            json!({"delay_days": 90, "campaign": "ask_why"}),
        ),
    ] {
        let first = call(name, &good(name), &context())
            .unwrap()
            .proposal
            .unwrap();
        let second = call(name, &other, &context()).unwrap().proposal.unwrap();
        assert_ne!(first, second);
        assert_eq!(
            first.effect_key(&context()),
            second.effect_key(&context()),
            "{name}"
        );
    }
}

#[test]
fn effect_keys_change_with_every_fixed_part() {
    let other = |text: &str| Some(text.to_owned());
    let changed: [(&str, Context, &[&str]); 8] = [
        (
            "account",
            Context {
                account: "acct_2".to_owned(),
                ..context()
            },
            &["*"],
        ),
        (
            "livemode",
            Context {
                livemode: false,
                ..context()
            },
            &["*"],
        ),
        (
            "occurrence",
            Context {
                occurrence: "occ_2".to_owned(),
                ..context()
            },
            &["*"],
        ),
        (
            "stage",
            Context {
                stage: "winback".to_owned(),
                ..context()
            },
            &["send_email"],
        ),
        (
            "customer",
            Context {
                customer: other("cus_2"),
                ..context()
            },
            &["send_email"],
        ),
        (
            "order",
            Context {
                order: other("order_2"),
                ..context()
            },
            &["update_order"],
        ),
        (
            "subscription",
            Context {
                subscription: other("sub_2"),
                ..context()
            },
            &["schedule_winback"],
        ),
        // Neither is a part: a second playbook about one occurrence must not send the same mail again.
        (
            "playbook and purpose",
            Context {
                playbook: "x".to_owned(),
                purpose: "y".to_owned(),
                ..context()
            },
            &[],
        ),
    ];
    let mut keys = Vec::new();
    for tool in all()
        .into_iter()
        .filter(|tool| tool.effect() != Effect::Read)
    {
        let name = tool.name();
        let key = |context: &Context| {
            call(name, &good(name), context)
                .unwrap()
                .proposal
                .unwrap()
                .effect_key(context)
        };
        let before = key(&context());
        assert_eq!(before.len(), 64);
        for (part, context, of) in &changed {
            let differs = of.contains(&"*") || of.contains(&name);
            assert_eq!(key(context) != before, differs, "{name}: {part}");
        }
        assert!(
            !keys.contains(&before),
            "{name} shares a key with another tool"
        );
        keys.push(before);
    }
}
