//! The program as a whole, started as a user starts it.

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

/// The program in a folder of its own, without anything that this machine's user has set.
fn billhook(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("billhook").unwrap();
    command
        .current_dir(folder)
        .env_clear()
        .env("TMPDIR", folder);
    command
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes)))
}

#[test]
fn the_demo_does_the_main_job_with_nothing_configured() {
    let home = tempfile::tempdir().unwrap();
    let ran = billhook(home.path())
        .args(["demo", "--json"])
        .output()
        .unwrap();
    let told = json(&ran.stdout);
    assert!(ran.status.success(), "{:#}", told["differences"]);
    assert!(told["events"].as_array().unwrap().len() >= 14);
    let folder = told["folder"].as_str().unwrap();
    let written = std::fs::read_dir(Path::new(folder).join("mail"))
        .unwrap()
        .count();
    assert_eq!(written, told["mails"].as_array().unwrap().len());
    assert_eq!(written, 2);

    // What the demo says about looking further is true.
    let config = told["config"].as_str().unwrap();
    let ask = |arguments: &[&str]| {
        let asked = billhook(home.path())
            .args(["--config", config])
            .args(arguments)
            .output()
            .unwrap();
        (
            asked.status.code(),
            String::from_utf8(asked.stdout).unwrap(),
            String::from_utf8(asked.stderr).unwrap(),
        )
    };
    let (code, shown, _) = ask(&["events", "show", "evt_demo_21"]);
    assert_eq!(code, Some(0));
    assert!(shown.contains("nobody could be written to"), "{shown}");
    assert!(
        shown.contains("pending, waits for a way to leave (no_channel: set SALES_WEBHOOK_URL"),
        "{shown}"
    );
    let (code, listed, _) = ask(&["events", "list", "--status", "ignored", "--json"]);
    assert_eq!(code, Some(0));
    assert_eq!(json(listed.as_bytes())["data"][0]["id"], "evt_demo_23");
    let (code, _, error) = ask(&["events", "show", "evt_nobody_knows"]);
    assert_eq!(code, Some(1));
    assert!(
        error.contains("there is no event `evt_nobody_knows`"),
        "{error}"
    );
    for list in ["events", "outbox"] {
        let (code, _, error) = ask(&[list, "list", "--starting-after", "re_nobody"]);
        assert_eq!(code, Some(1), "{error}");
        assert!(
            error.contains(": 're_nobody'; a page goes on after"),
            "{error}"
        );
    }
    let (_, listed, _) = ask(&["outbox", "list", "--channel", "sales", "--json"]);
    let listed = json(listed.as_bytes());
    let channels = listed["data"].as_array().unwrap().iter();
    let mut channels: Vec<_> = channels.map(|message| &message["channel"]).collect();
    channels.dedup();
    assert_eq!(channels, ["sales"]);
    let (code, _, error) = ask(&["events", "retry", "evt_demo_19"]);
    assert_eq!(code, Some(1), "{error}");
}

#[test]
fn every_type_is_listed_whole_on_a_narrow_terminal() {
    let home = tempfile::tempdir().unwrap();
    let list = |arguments: &[&str], columns: &str| {
        let mut asked = billhook(home.path());
        asked.args(arguments).env("COLUMNS", columns);
        asked.output().unwrap().stdout
    };
    let all = json(&list(&["events", "types", "--json"], "40"));
    for columns in ["40", "80", "120"] {
        let text = String::from_utf8(list(&["events", "types"], columns)).unwrap();
        for handled in all["data"].as_array().unwrap() {
            let kind = handled["type"].as_str().unwrap();
            let is_there = text
                .lines()
                .any(|line| line.split_whitespace().any(|word| word == kind));
            assert!(is_there, "{kind} at {columns} columns:\n{text}");
        }
        for state in all["states"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|of| of["states"].as_array().unwrap())
        {
            for name in state["next"].as_array().unwrap() {
                assert!(
                    text.contains(name.as_str().unwrap()),
                    "{name} at {columns} columns"
                );
            }
        }
    }
}

#[test]
fn exit_codes_tell_what_kind_of_failure_it_was() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(
        home.path().join("bad.jsonl"),
        "{\"id\":\"evt_1\",\"type\":\"a\"}\n{\"id\":1}\n",
    )
    .unwrap();
    std::fs::write(
        home.path().join("event.json"),
        "{\"id\":\"evt_1\",\"type\":\"a\"}",
    )
    .unwrap();
    std::fs::write(
        home.path().join("unknown.toml"),
        "[server]\nlisten_on = \"x\"\n",
    )
    .unwrap();
    // Nobody listens on port 1 of this machine.
    let nowhere = "http://127.0.0.1:1/stripe/webhook";
    for (arguments, code, says) in [
        (vec!["serve"], 2, "STRIPE_WEBHOOK_SECRET"),
        (
            vec!["--config", "unknown.toml", "migrate"],
            2,
            "server.listen_on",
        ),
        (
            vec!["send", "bad.jsonl", "--secret", "whsec_x"],
            2,
            "bad.jsonl:2",
        ),
        (
            vec!["send", "missing.json", "--secret", "whsec_x"],
            2,
            "missing.json",
        ),
        (vec!["send", "event.json"], 2, "no secret to sign with"),
        (
            vec![
                "send",
                "event.json",
                "--secret",
                "whsec_x",
                "--url",
                nowhere,
            ],
            3,
            "cannot be reached",
        ),
        (vec!["tools", "schema", "rm"], 2, "there is no tool `rm`"),
        (vec!["tools", "export", "--check"], 1, ""),
        (vec!["nonsense"], 2, "nonsense"),
        (vec!["--help"], 0, ""),
    ] {
        let ran = billhook(home.path()).args(&arguments).output().unwrap();
        let error = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(says), "{arguments:?}: {error}");
    }
}

#[test]
fn a_mailbox_is_kept_from_mails_and_let_have_them_again() {
    let home = tempfile::tempdir().unwrap();
    let asked = |arguments: &[&str]| {
        let ran = billhook(home.path())
            .arg("suppressions")
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (ran.status.code(), text(ran.stdout), text(ran.stderr))
    };
    let (code, told, _) = asked(&["list"]);
    assert_eq!(
        (code, told.trim()),
        (Some(0), "every mailbox may be written to")
    );
    let (code, told, _) = asked(&["add", "Ada+x@Example.com", "--reason", "asked for it"]);
    let expected = "ada@example.com is never written to from now on";
    assert_eq!((code, told.trim()), (Some(0), expected));
    let (_, listed, _) = asked(&["list"]);
    assert!(
        listed.contains("ada@example.com") && listed.contains("asked for it"),
        "{listed}"
    );
    let (_, told, _) = asked(&["add", "ada@example.com", "--json"]);
    assert_eq!(json(told.as_bytes())["added"], false);
    let (_, told, _) = asked(&["remove", "ada@example.com"]);
    assert_eq!(told.trim(), "ada@example.com may be written to again");
    let (code, _, error) = asked(&["add", "nobody"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("no mail address"), "{error}");
}
