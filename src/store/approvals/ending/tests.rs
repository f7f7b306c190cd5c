//! What may become of something that is held, as a table.

use super::*;

fn approve(hash: &str) -> Verdict {
    Verdict::Approve {
        hash: hash.to_owned(),
    }
}

fn state(is_due: bool, found: Option<&'static str>, gone: Option<&str>) -> State<'static> {
    State {
        is_due,
        hash: "seen",
        found,
        gone: gone.map(str::to_owned),
    }
}

fn ends(status: &'static str, reason: &str, settles: bool, decision: Decision) -> Ending {
    Ending::Ends {
        status,
        reason: reason.to_owned(),
        settles,
        decision,
    }
}

#[test]
fn only_what_was_seen_leaves_and_only_in_time_and_while_nothing_stands_against_it() {
    let verdict = approve("seen");
    let asked = |state: &State<'_>| ending(Asked::Verdict(&verdict), state);
    assert_eq!(asked(&state(false, Some("seen"), None)), Ending::Leaves);
    for found in [None, Some("other")] {
        let kept = asked(&state(false, found, None));
        assert_eq!(kept, Ending::None(Decision::Changed));
    }
    let over = |status: &str| Decision::Over(status.to_owned());
    assert_eq!(
        asked(&state(true, Some("seen"), None)),
        ends(
            "expired",
            "nobody approved it in time",
            true,
            over("expired")
        )
    );
    assert_eq!(
        asked(&state(false, Some("seen"), Some("paid"))),
        ends("suppressed", "paid", false, over("suppressed"))
    );
    let other = approve("other");
    for state in [
        state(false, Some("seen"), None),
        state(false, Some("other"), None),
        state(true, Some("seen"), Some("paid")),
    ] {
        assert_eq!(
            ending(Asked::Verdict(&other), &state),
            Ending::None(Decision::OtherHash("seen".to_owned()))
        );
    }
}

#[test]
fn what_is_denied_settles_what_is_owed_unless_nothing_is_any_more() {
    let deny = |reason: Option<&str>| Verdict::Deny {
        reason: reason.map(str::to_owned),
    };
    for found in [None, Some("seen"), Some("other")] {
        assert_eq!(
            ending(
                Asked::Verdict(&deny(Some("too cold"))),
                &state(false, found, None)
            ),
            ends("denied", "too cold", true, Decision::Done)
        );
    }
    // As a database takes it, and no more of it than somebody reads.
    let long = format!("too\0 cold{}", "x".repeat(1000));
    let kept = format!("too cold{}", "x".repeat(491));
    assert_eq!(
        ending(
            Asked::Verdict(&deny(Some(&long))),
            &state(false, None, None)
        ),
        ends("denied", &kept, true, Decision::Done)
    );
    assert_eq!(
        ending(
            Asked::Verdict(&deny(None)),
            &state(false, None, Some("paid"))
        ),
        ends(
            "denied",
            "a person denied it; nothing is owed any more: paid",
            false,
            Decision::Done
        )
    );
}

#[test]
fn time_ends_only_what_is_due() {
    let early = ending(Asked::Time, &state(false, Some("seen"), None));
    assert_eq!(early, Ending::None(Decision::Over("held".to_owned())));
    assert_eq!(
        ending(Asked::Time, &state(true, Some("seen"), None)),
        ends(
            "expired",
            "nobody approved it in time",
            true,
            Decision::Done
        )
    );
}
