use serde_json::json;

use super::*;

fn file(extra: &str) -> String {
    format!(
        "---\nname: probe\nleads: [a.b]\nstage: first\ntools: [notify_sales]\nlimits: {{ turns: 2, words: 50 }}\n{extra}\n---\nBody.\n"
    )
}

fn error(text: &str) -> String {
    Playbook::parse("probe", text).unwrap_err().to_string()
}

#[test]
fn a_playbook_is_read_in_full() {
    let playbook = Playbook::parse(
        "probe",
        &file("mode: shadow\ntemplate: mail\nowed: [{ tool: notify_sales, must: true, when: big, args: { priority: high } }]"),
    )
    .unwrap();
    assert_eq!(playbook.leads, ["a.b"]);
    assert_eq!(playbook.mode, Mode::Shadow);
    assert_eq!(
        playbook.limits,
        Limits {
            turns: 2,
            words: 50
        }
    );
    assert_eq!(playbook.template.as_deref(), Some("mail"));
    assert_eq!(playbook.body, "Body.\n");
    assert_eq!(playbook.owed[0].args, json!({"priority": "high"}));
}

#[test]
fn errors_name_the_file_and_the_key() {
    insta::assert_snapshot!(
        [
            error("no front matter"),
            error(&file("owed: []\nmodel: big")),
            error(&file("owed: [{ tool: x, must: true, wen: y }]")),
            error(&file("")),
            error(&file("owed: [{ tool: x, must: true, when: 'a and' }]")),
            error(&file("owed: [{ tool: x, must: true, args: [1] }]")),
            error(&file("owed: []").replace("turns: 2", "turns: 200")),
            error(&file("owed: []").replace("name: probe", "name: other")),
            error(&file("owed: []").replace("stage: first", "stage: 'First try'")),
        ]
        .join("\n"),
        @r"
        playbooks/probe.md has no front matter: begin it with a line `---` and end that part with another
        the front matter of playbooks/probe.md cannot be read: unknown field `model`, expected one of name, leads, stage, tools, owed, limits, mode, template at line 7, column 1
        the front matter of playbooks/probe.md cannot be read: unknown field `wen`, expected one of tool, must, when, args, template at line 6, column 31
        the front matter of playbooks/probe.md cannot be read: missing field `owed` at line 5, column 1
        the expression in `owed[0].when` of playbooks/probe.md failed: syntax error: unexpected end of input, expected expression (in <expression>:1)
        `owed[0].args` of playbooks/probe.md must be a map of arguments
        `limits.turns` of playbooks/probe.md is 200: it must be between 1 and 20
        `name` of playbooks/probe.md is `other`: rename it or the file
        `stage` of playbooks/probe.md must be a word of lower-case letters, digits and _
        "
    );
}

#[test]
fn conditions_and_arguments_are_worked_out_over_the_context() {
    let playbook = Playbook::parse(
        "probe",
        &file(
            "owed:\n  - { tool: a, must: true, when: 'not recipient or big', args: { days: '=days', word: plain, deep: { list: ['=days + 1'] } }, template: other }\n  - { tool: b, must: false, when: big }\n  - { tool: c, must: true }",
        ),
    )
    .unwrap();
    let calls = playbook
        .owed_calls(&json!({"recipient": false, "big": false, "days": 7}))
        .unwrap();
    assert_eq!(
        calls,
        [
            OwedCall {
                tool: "a".into(),
                must: true,
                args: json!({"days": 7, "word": "plain", "deep": {"list": [8]}}),
                template: Some("other".into()),
            },
            OwedCall {
                tool: "c".into(),
                must: true,
                args: json!({}),
                template: None,
            },
        ]
    );
    let calls = playbook
        .owed_calls(&json!({"recipient": true, "big": false, "days": 7}))
        .unwrap();
    assert_eq!(
        calls.iter().map(|c| c.tool.as_str()).collect::<Vec<_>>(),
        ["c"]
    );
}

#[test]
fn an_unknown_name_is_an_error_and_never_false() {
    for owed in [
        "{ tool: a, must: true, when: missing }",
        "{ tool: a, must: true, when: not missing }",
        "{ tool: a, must: true, args: { x: '=missing' } }",
        "{ tool: a, must: true, when: '1' }",
    ] {
        let playbook = Playbook::parse("probe", &file(&format!("owed: [{owed}]"))).unwrap();
        assert!(playbook.owed_calls(&json!({})).is_err(), "{owed}");
    }
}

#[test]
fn front_matter_ends_at_the_first_closing_line() {
    assert_eq!(
        front_matter("---\na: 1\n---\nb\n---\nc"),
        Some(("a: 1\n", "b\n---\nc"))
    );
    assert_eq!(
        front_matter("---\r\na: 1\r\n---\r\nb"),
        Some(("a: 1\r\n", "b"))
    );
    assert_eq!(front_matter("---\na: 1\n"), None);
    assert_eq!(front_matter("a: 1\n---\n"), None);
}
