use super::*;

const RECEIVED: i64 = 1_767_225_600;

fn event() -> EventRecord {
    EventRecord {
        object: "event_record",
        id: "evt_1".to_owned(),
        r#type: "payment_intent.payment_failed".to_owned(),
        account: "self".to_owned(),
        livemode: false,
        api_version: None,
        created: at(-1),
        received_at: at(0),
        status: "applied".to_owned(),
        attempts: 0,
        last_error: None,
        stale: false,
        occurrence: Some("occ_1".to_owned()),
        customer: Some("cus_1".to_owned()),
        deliveries: Vec::new(),
        changes: Vec::new(),
        run: None,
        tool_calls: Vec::new(),
        messages: Vec::new(),
        payload: Value::Null,
    }
}

fn run(status: &str, due: i64) -> RunRecord {
    RunRecord {
        object: "run",
        id: "run_1".to_owned(),
        event: "evt_1".to_owned(),
        occurrence: "occ_1".to_owned(),
        playbook: "payment_failed".to_owned(),
        status: status.to_owned(),
        reason: None,
        due_at: at(due),
        model: None,
        prompt_hash: None,
        generation: 1,
        steps: Vec::new(),
        usage: Value::Null,
        cost: None,
        started_at: None,
        ended_at: None,
    }
}

fn at(seconds: i64) -> String {
    Timestamp::from_seconds(RECEIVED + seconds).iso()
}

fn waits(now: i64, unapplied: usize) -> Waits {
    Waits {
        settle: Duration::from_secs(10),
        decide_by: Duration::from_hours(1),
        unapplied,
        now: Timestamp::from_seconds(RECEIVED + now),
    }
}

#[test]
fn a_waiting_follow_up_says_what_it_waits_for() {
    for (status, due, now, unapplied, expected) in [
        (
            "waiting",
            10,
            3,
            0,
            Some("settle window until 2026-01-01T00:00:10Z"),
        ),
        (
            "waiting",
            60,
            3,
            0,
            Some("the invoice of this payment may still arrive"),
        ),
        (
            "waiting",
            10,
            12,
            2,
            Some("2 received events of this customer"),
        ),
        ("waiting", 10, 12, 0, Some("waits for a worker")),
        ("running", 10, 12, 0, Some("being decided now")),
        (
            "deferred",
            40,
            12,
            0,
            Some("about 2026-01-01T01:00:10Z the rules decide"),
        ),
        ("done", 10, 12, 0, None),
    ] {
        let said = waiting(&event(), &run(status, due), &waits(now, unapplied));
        match (expected, &said) {
            (Some(expected), Some(said)) => assert!(said.contains(expected), "{said}"),
            (None, None) => {}
            _ => panic!("{status}: {said:?}"),
        }
    }
}

#[test]
fn a_failed_try_is_no_settle_window() {
    let mut run = run("waiting", 40);
    run.started_at = Some(at(11));
    let said = waiting(&event(), &run, &waits(12, 0)).unwrap();
    assert!(
        said.contains("tried again at 2026-01-01T00:00:40Z"),
        "{said}"
    );
}

#[test]
fn what_customers_wrote_cannot_steer_the_terminal() {
    assert_eq!(plain(&Value::from("\u{1b}]0;x\u{7}\nAda")), "]0;x Ada");
    assert_eq!(short("not a time\u{1b}"), "not a time");
}
