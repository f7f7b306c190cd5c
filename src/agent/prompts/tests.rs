//! Over 400 lines because every kind of mistake in a prompt file stands beside its message.

use std::collections::BTreeSet;

use serde_json::json;

use super::files::{self, entries};
use super::*;
use crate::guardrails::limits::prose::{Part, ProseRules, check_prose};

const TOOLS: [&str; 6] = [
    "update_order",
    "get_payment_history",
    "send_email",
    "notify_sales",
    "notify_finance",
    "schedule_winback",
];

fn prompts() -> Prompts {
    Prompts::embedded().unwrap()
}

fn context(changes: Value) -> Value {
    let mut context = sample_context();
    let Value::Object(changes) = changes else {
        panic!("{changes} is no object")
    };
    for (name, value) in changes {
        context[name] = value;
    }
    context
}

fn changed(file: &str, from: &str, to: &str) -> Result<Prompts, PromptsError> {
    let folder = tempfile::tempdir().unwrap();
    let (_, text) = EMBEDDED.iter().find(|(name, _)| *name == file).unwrap();
    assert!(text.contains(from), "{file} does not contain {from}");
    let path = folder.path().join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text.replace(from, to)).unwrap();
    Prompts::open(Some(folder.path()))
}

fn problem(file: &str, from: &str, to: &str) -> String {
    let problems = changed(file, from, to).unwrap().check(&TOOLS);
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" | ")
}

#[test]
fn every_file_in_the_folder_is_embedded() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts");
    let mut found = Vec::new();
    for (folder, prefix) in [("", ""), ("playbooks", "playbooks/"), ("emails", "emails/")] {
        for (name, path) in entries(&root.join(folder)).unwrap() {
            if path.is_file() {
                found.push(format!("{prefix}{name}"));
            } else {
                assert!(
                    folder.is_empty() && ["playbooks", "emails"].contains(&name.as_str()),
                    "{name}"
                );
            }
        }
    }
    found.sort();
    assert_eq!(
        found,
        EMBEDDED
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect::<Vec<_>>()
    );
}

#[test]
fn what_is_embedded_has_no_problem() {
    assert_eq!(prompts().check(&TOOLS), []);
}

#[test]
fn each_leading_event_has_its_playbook() {
    let prompts = prompts();
    for (event, playbook) in [
        ("payment_intent.succeeded", "payment_succeeded"),
        ("payment_intent.payment_failed", "payment_failed"),
        ("invoice.payment_failed", "invoice_payment_failed"),
        ("customer.subscription.updated", "subscription_past_due"),
        ("customer.subscription.deleted", "subscription_ended"),
        ("customer.subscription.trial_will_end", "trial_ending"),
        ("charge.dispute.created", "dispute_opened"),
        ("charge.dispute.closed", "dispute_opened"),
        ("payout.failed", "payout_failed"),
        ("payout.updated", "payout_failed"),
        ("invoice.finalization_failed", "invoice_finalization_failed"),
        ("invoice.overpaid", "invoice_overpaid"),
    ] {
        assert_eq!(prompts.led_by(event).unwrap().name, playbook);
        assert_eq!(prompts.playbooks[playbook].stage, "first");
    }
    assert_eq!(prompts.led_by("charge.failed"), None);
    let winback = &prompts.playbooks["winback_due"];
    assert_eq!(
        (winback.stage.as_str(), winback.leads.len()),
        ("winback", 0)
    );
    assert!(prompts.playbooks["payment_failed"].limits.words <= 100);
}

#[test]
fn sales_are_told_where_nobody_can_be_written_to() {
    let prompts = prompts();
    for name in [
        "payment_failed",
        "invoice_payment_failed",
        "subscription_past_due",
    ] {
        let must = |changes: Value| -> Vec<(String, Value)> {
            let calls = prompts.owed_calls(name, &context(changes)).unwrap();
            calls
                .into_iter()
                .filter(|call| call.must)
                .map(|call| {
                    (
                        call.tool,
                        call.args.get("priority").cloned().unwrap_or_default(),
                    )
                })
                .collect()
        };
        let mail = || ("send_email".to_owned(), Value::Null);
        let sales = |priority: &str| ("notify_sales".to_owned(), json!(priority));
        assert_eq!(must(json!({})), [mail()]);
        assert_eq!(must(json!({"high_value": true})), [mail(), sales("high")]);
        // The mail is tried all the same: its refusal is how the timeline says that nobody could be written to.
        let nobody = must(json!({"recipient": false}));
        assert_eq!(nobody, [mail(), sales("normal")]);
        let nobody = must(json!({"recipient": false, "high_value": true}));
        assert_eq!(nobody, [mail(), sales("high")]);
    }
}

#[test]
fn owed_summaries_pass_the_filters_of_a_models() {
    let prompts = prompts();
    for playbook in prompts.playbooks.keys() {
        for flags in 0..12 {
            let dispute = ["inquiry", "open", "lost"][flags >> 2];
            let context = context(
                json!({"high_value": flags & 1 == 1, "recipient": flags & 2 == 2, "dispute": dispute}),
            );
            for call in prompts.owed_calls(playbook, &context).unwrap() {
                if let Some(summary) = call.args.get("summary") {
                    let summary = summary.as_str().unwrap();
                    assert!(
                        !summary.chars().any(char::is_numeric),
                        "{playbook}: {summary}"
                    );
                    let rules = ProseRules {
                        placeholders: &[],
                        words: 60,
                        locale: "en",
                    };
                    assert_eq!(
                        check_prose(summary, Part::Summary, &rules),
                        Ok(()),
                        "{playbook}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_trial_ends_by_a_mail_and_by_sales_only_where_none_can_go() {
    let prompts = prompts();
    let tools = |changes: Value| -> Vec<String> {
        let calls = prompts
            .owed_calls("trial_ending", &context(changes))
            .unwrap();
        calls.into_iter().map(|call| call.tool).collect()
    };
    assert_eq!(tools(json!({"high_value": true})), ["send_email"]);
    assert_eq!(
        tools(json!({"recipient": false})),
        ["send_email", "notify_sales"]
    );
}

#[test]
fn a_trial_that_lapses_is_told_of_in_other_words() {
    let prompts = prompts();
    let mail = |changes: Value| {
        let mut calls = prompts
            .owed_calls("trial_ending", &context(changes))
            .unwrap();
        assert_eq!(calls.len(), 1, "one mail, whatever is ahead");
        calls.remove(0).args["body"].as_str().unwrap().to_owned()
    };
    for (language, goes_on, lapses) in [
        ("en", "goes on by itself", "only if a payment method"),
        ("de", "läuft danach von selbst weiter", "nur weiter, wenn"),
    ] {
        for trial in ["goes_on", "lapses"] {
            let body = mail(json!({ "trial": trial, "language": language }));
            assert_eq!(body.contains(lapses), trial == "lapses", "{body}");
            assert_eq!(body.contains(goes_on), trial == "goes_on", "{body}");
        }
    }
    let told = prompts.render("trial_ending", &context(json!({ "trial": "lapses" })));
    let instructions = told.unwrap().instructions;
    assert!(!instructions.contains("by itself"), "{instructions}");
}

#[test]
fn finance_is_told_what_a_dispute_has_come_to() {
    let prompts = prompts();
    let told = |dispute: &str| {
        let calls = prompts
            .owed_calls("dispute_opened", &context(json!({ "dispute": dispute })))
            .unwrap();
        assert_eq!((calls.len(), calls[0].tool.as_str()), (1, "notify_finance"));
        assert!(calls[0].must);
        calls[0].args.clone()
    };
    assert_eq!(told("inquiry")["priority"], "normal");
    assert!(
        told("inquiry")["summary"]
            .as_str()
            .unwrap()
            .contains("No money has moved")
    );
    assert_eq!(told("open")["priority"], "high");
    assert!(told("lost")["summary"].as_str().unwrap().contains("lost"));
}

#[test]
fn a_winback_is_owed_after_the_configured_days() {
    let calls = prompts()
        .owed_calls("subscription_ended", &context(json!({"winback_days": 14})))
        .unwrap();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].tool, "schedule_winback");
    assert_eq!(
        calls[0].args,
        json!({"delay_days": 14, "campaign": "come_back"})
    );
}

#[test]
fn an_owed_mail_comes_from_the_template_in_the_customers_language() {
    let prompts = prompts();
    let mail = |changes: Value| {
        let calls = prompts
            .owed_calls("invoice_payment_failed", &context(changes))
            .unwrap();
        calls
            .into_iter()
            .find(|call| call.tool == "send_email")
            .unwrap()
            .args
    };
    let german = mail(json!({"language": "de-AT"}));
    assert!(
        german["subject"]
            .as_str()
            .unwrap()
            .starts_with("Ihre Zahlung")
    );
    let french = mail(json!({"language": "fr", "placeholders": ["amount", "business_name"]}));
    let body = french["body"].as_str().unwrap();
    assert!(body.starts_with("The payment of {{amount}}"), "{body}");
    assert!(
        !body.contains("link")
            && !body.contains("tried again by itself on")
            && body.contains("reply")
    );
}

#[test]
fn instructions_follow_the_facts() {
    let prompts = prompts();
    let with = |changes: Value| {
        prompts
            .render("payment_failed", &context(changes))
            .unwrap()
            .instructions
    };
    assert!(with(json!({})).contains("{{update_payment_link}}"));
    let without = json!({"update_link": false, "placeholders": ["amount"]});
    assert!(!with(without).contains("{{update_payment_link}}"));
    assert!(with(json!({"recipient": false})).contains("Do not call `send_email`"));
    assert!(with(json!({"has_paid": false})).contains("never paid before"));
    for word in ["fraud", "stolen", "lost card", "do_not_honor"] {
        assert!(!with(json!({})).to_lowercase().contains(word), "{word}");
    }
}

#[test]
fn what_a_model_is_told_reads_well() {
    let rendered = prompts()
        .render(
            "payment_failed",
            &context(
                json!({"high_value": true, "placeholders": ["amount", "update_payment_link"]}),
            ),
        )
        .unwrap();
    insta::assert_snapshot!(rendered.instructions, @r"
    A one-off payment did not go through. Nothing was charged.

    Write one mail to the customer with `send_email`:
    - Say that the payment of {{amount}} to {{business_name}} did not go through and that nothing was charged.
    - Reason in plain words: the bank did not approve it, and does not tell us more. Suggest another card or a word with the bank.
    - Offer one next step: {{update_payment_link}}, in a paragraph of its own.
    - End by saying that a reply reaches a person.

    This payment is large. Tell sales as well with `notify_sales`, priority `high`: one or two sentences on what happened and
    whether the customer has paid before. The amount is added for you.

    If it helps the tone, look at the history once with `get_payment_history` before you write: a customer of many good
    payments is thanked for them in half a sentence, without figures.

    # In this run
    - You work for Acme. Mails are written in the language `en`, words for colleagues in English.
    - A mail's body has at most 100 words.
    - Placeholders on offer: {{amount}}, {{update_payment_link}}.
    ");
    let system = rendered.system;
    assert!(system.starts_with("You work in billing support."));
    assert!(!system.contains("{#") && !system.contains("{%"));
}

#[test]
fn every_run_of_every_playbook_begins_with_the_same_bytes() {
    let prompts = prompts();
    let mut systems = BTreeSet::new();
    for playbook in prompts.playbooks.keys() {
        for changes in [
            json!({}),
            json!({"language": "de", "locale": "de-AT", "business_name": "Beta", "words": 3, "recipient": false}),
            json!({"placeholders": [], "amount": "", "plan": null, "dispute": "lost", "trial": "lapses"}),
        ] {
            systems.insert(prompts.render(playbook, &context(changes)).unwrap().system);
        }
    }
    assert_eq!(systems.len(), 1);
    let personal = changed("system.md", "kind and calm", "calm in {{ language }}").unwrap();
    let problems = personal.check(&TOOLS);
    assert!(
        problems
            .iter()
            .any(|p| p.file == "system.md" && p.what.contains("`language`")),
        "{problems:?}"
    );
}

#[test]
fn a_missing_name_is_an_error_with_the_file() {
    let mut context = sample_context();
    context.as_object_mut().unwrap().remove("update_link");
    let error = prompts()
        .render("payment_failed", &context)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("playbooks/payment_failed.md cannot be rendered: undefined"),
        "{error}"
    );
}

#[test]
fn the_check_finds_what_is_wrong() {
    let playbook = "playbooks/payment_failed.md";
    assert!(
        problem(
            playbook,
            "{%- if not has_paid %}",
            "{%- if not has_payed %}"
        )
        .contains("`has_payed`")
    );
    assert!(
        problem(
            playbook,
            "when: \"not recipient or high_value\"",
            "when: \"not recipent or high_value\""
        )
        .contains("`recipent`")
    );
    assert!(
        problem(playbook, "limit: 10", "limit: '=ten'")
            .contains("`owed[0].args.limit` names the unknown `ten`")
    );
    assert!(
        problem(
            playbook,
            "[payment_intent.payment_failed]",
            "[payment_intent.succeeded]"
        )
        .contains("already leads")
    );
    assert!(
        problem(playbook, "tools: [get_payment_history, ", "tools: [pay, ")
            .contains("unknown tool `pay`")
    );
    assert!(
        problem(playbook, "send_email, notify_sales]", "notify_sales]")
            .contains("not among its `tools`")
    );
    assert!(problem(playbook, "words: 100", "words: 20").contains("has more words"));
    assert!(problem(playbook, "{{ \"{{amount}}\" }}", "{{ amount | euros }}").contains("euros"));
    assert!(problem(playbook, "{%- else -%}", "{%- elsif -%}").contains("cannot be parsed"));
    let unused = changed(
        "playbooks/winback_due.md",
        "template: winback_due",
        "template: payment_failed",
    );
    assert!(matches!(unused, Err(PromptsError::Unused { .. })));
    let mail_owed = "  - { tool: send_email, must: true }\n  - tool: schedule_winback";
    assert!(
        problem(
            "playbooks/subscription_ended.md",
            "  - tool: schedule_winback",
            mail_owed
        )
        .contains("owes a mail and has no `template`")
    );
    assert!(
        problem("emails/layout.txt", "{{ business_name }}", "{{ busyness }}")
            .contains("`busyness`")
    );
    let mail = "emails/payment_failed.md";
    for (to, expected) in [
        ("in 3 days", "digit"),
        ("at acme.example", "address"),
        ("{{card}}", "unknown placeholder `card`"),
        ("<b>now</b>", "markup"),
        ("we will refund you", "would be refused"),
        ("{{amount", "braces"),
    ] {
        assert!(
            problem(mail, "nothing was charged", to).contains(expected),
            "{to}"
        );
    }
    assert!(problem(mail, "{{update_payment_link}}", "here").contains("never needed"));
    assert!(problem(mail, "{{amount}}", "{{product}}").contains("a first paragraph"));
}

#[test]
fn a_folder_replaces_files_and_refuses_unknown_names() {
    let built_in = prompts();
    let louder = changed("system.md", "kind and calm", "kind, calm and brief").unwrap();
    assert!(louder.system.contains("kind, calm and brief"));
    assert_ne!(louder.hash, built_in.hash);
    assert_eq!(louder.playbooks, built_in.playbooks);

    for file in [
        "systm.md",
        "playbooks/payment_failed.txt",
        "emails/payment_failed.DE.md",
        "mails/x.md",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "---\nsubject: x\n---\nx").unwrap();
        let error = Prompts::open(Some(folder.path())).unwrap_err();
        assert!(
            matches!(error, PromptsError::UnknownFile { .. }),
            "{file}: {error}"
        );
    }

    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("emails")).unwrap();
    for left_behind in [
        ".editor",
        "..data",
        "#system.md#",
        "emails/payment_failed.md~",
    ] {
        std::fs::write(folder.path().join(left_behind), "x").unwrap();
    }
    assert_eq!(
        Prompts::open(Some(folder.path())).unwrap().hash,
        built_in.hash
    );
    std::fs::write(
        folder.path().join("emails/payment_faild.md"),
        "---\nsubject: x\n---\nx",
    )
    .unwrap();
    assert!(matches!(
        Prompts::open(Some(folder.path())),
        Err(PromptsError::Unused { .. })
    ));
    assert!(matches!(
        Prompts::open(Some(&folder.path().join("nowhere"))),
        Err(PromptsError::Io { .. })
    ));

    // What would be read without end, or waited for.
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("system.md")).unwrap();
    let Err(PromptsError::Io { source, .. }) = Prompts::open(Some(folder.path())) else {
        panic!("a device is no prompt");
    };
    assert_eq!(source.to_string(), "it is no ordinary file");
}

#[test]
fn the_hash_covers_names_and_texts() {
    let set = |pairs: &[(&str, &str)]| {
        let files: BTreeMap<String, String> = pairs
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect();
        files::hash(files.iter())
    };
    assert_ne!(set(&[("a", "bc")]), set(&[("ab", "c")]));
    assert_ne!(
        set(&[("a", "b"), ("c", "d")]),
        set(&[("a", "d"), ("c", "b")])
    );
    assert_eq!(prompts().hash, prompts().hash);
    assert_eq!(prompts().hash.len(), 64);
}

/// What changed, by playbook.
fn differing(changed: &Prompts) -> Vec<String> {
    let built_in = prompts();
    let prints = changed.prints.iter();
    prints
        .filter(|(name, print)| built_in.prints.get(*name) != Some(print))
        .map(|(name, _)| name.clone())
        .collect()
}

#[test]
fn a_runs_hashes_are_those_of_what_it_is_made_of() {
    let all: Vec<String> = prompts().playbooks.into_keys().collect();
    for (file, from, to, moved) in [
        ("system.md", "kind and calm", "kind", all.clone()),
        ("emails/layout.txt", "Kind regards", "Best regards", all),
        (
            "playbooks/payment_failed.md",
            "One way out",
            "Only one way out",
            vec!["payment_failed".to_owned()],
        ),
        // A mail that only one case of the playbook is owed is still the playbook's.
        (
            "emails/trial_lapsing.de.md",
            "kostet dann",
            "kostet danach",
            vec!["trial_ending".to_owned()],
        ),
    ] {
        assert_eq!(
            differing(&changed(file, from, to).unwrap()),
            moved,
            "{file}"
        );
    }
    let fewer = changed(
        "playbooks/payment_failed.md",
        "tools: [get_payment_history, send_email, notify_sales]",
        "tools: [send_email, notify_sales]",
    );
    let (fewer, built_in) = (fewer.unwrap(), prompts());
    let print = |set: &Prompts| set.print("payment_failed").unwrap().clone();
    assert_ne!(print(&fewer).tools, print(&built_in).tools);
    // The same tools are the same to every playbook.
    assert_eq!(
        print(&built_in).tools,
        built_in.print("invoice_payment_failed").unwrap().tools
    );
    assert!(print(&built_in).differs(Some("another"), None));
    assert!(print(&built_in).differs(Some(&print(&built_in).prompts), Some("another")));
    let same = (print(&built_in).prompts, print(&built_in).tools);
    assert!(!print(&built_in).differs(Some(&same.0), Some(&same.1)));
    assert!(!print(&built_in).differs(None, None));
}

#[test]
fn whoever_decides_begins_by_the_whole_check() {
    assert!(Prompts::checked(None).is_ok());
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("playbooks")).unwrap();
    let (_, text) = EMBEDDED
        .iter()
        .find(|(name, _)| *name == "playbooks/payout_failed.md")
        .unwrap();
    let write = |name: &str, text: String| {
        std::fs::write(folder.path().join("playbooks").join(name), text).unwrap();
    };
    // It can be read, and a customer would have met the mistake first.
    write(
        "payout_failed.md",
        text.replace("---\n{#", "---\n{{ dispute_state }}{#"),
    );
    let refused = Prompts::checked(Some(folder.path())).unwrap_err();
    assert!(matches!(refused, PromptsError::Problems(_)), "{refused}");
    let refused = refused.to_string();
    for part in ["payout_failed.md", "dispute_state", "prompts check"] {
        assert!(refused.contains(part), "{refused}");
    }
    write("payout_failed.md", (*text).to_owned());
    assert!(Prompts::checked(Some(folder.path())).is_ok());
    let lonely = text.replace("name: payout_failed", "name: payout_late");
    write(
        "payout_late.md",
        lonely.replace(
            "leads: [payout.failed, payout.updated]",
            "leads: [payout.canceled]",
        ),
    );
    let refused = Prompts::checked(Some(folder.path())).unwrap_err();
    assert!(refused.to_string().contains("would never run"), "{refused}");
}

#[test]
fn what_only_the_code_decides_is_not_changed_by_a_file() {
    let leads = problem(
        "playbooks/payment_failed.md",
        "leads: [payment_intent.payment_failed]",
        "leads: [payment_intent.created]",
    );
    assert!(
        leads.contains("`leads` would change nothing: write [payment_intent.payment_failed]"),
        "{leads}"
    );
    let stage = problem(
        "playbooks/payment_failed.md",
        "stage: first",
        "stage: second",
    );
    assert!(
        stage.contains("`stage` would change nothing: write first"),
        "{stage}"
    );
}
