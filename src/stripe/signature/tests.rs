use proptest::prelude::*;

use super::*;

const T: i64 = 1_700_000_000;
const TOLERANCE: Duration = Duration::from_mins(5);
const BODY_A: &[u8] = br#"{"id":"evt_test_webhook","object":"event"}"#;
const SIGNED_A: &str = "d95c6b7477fbd7e9f90b1b0ef5f9c7ac25abca5382460e0d988c2b2a5b71b990";

fn secrets(list: &str) -> SigningSecrets {
    SigningSecrets::parse(list).unwrap()
}

fn at(seconds: i64, headers: &[&[u8]], body: &[u8], list: &str) -> Result<(), SignatureError> {
    verify(
        headers,
        body,
        &secrets(list),
        Timestamp::from_seconds(seconds),
        TOLERANCE,
    )
}

/// One header with body A, verified at the second it was signed in.
fn check(header: &str) -> Result<(), SignatureError> {
    at(T, &[header.as_bytes()], BODY_A, "whsec_test_secret")
}

#[test]
fn signatures_made_elsewhere_verify() {
    let published = br#"{"account":"acct_123","api_version":"2017-05-25","created":1533204620,"data":{"object":{"amount":1000,"currency":"usd","customer":"cus_123","date":1533204620,"description":"Test Invoice Item","discountable":false,"id":"ii_123","invoice":"in_123","livemode":false,"metadata":{},"object":"invoiceitem","period":{"end":1533204620,"start":1533204620},"proration":false,"quantity":3,"quantity_decimal":"0"}},"id":"evt_123","livemode":false,"object":"event","pending_webhooks":1,"request":{"id":"req_123","idempotency_key":"idempotency-key-123"},"type":"invoiceitem.created"}"#;
    assert_eq!(published.len(), 569);
    let accented = "{\"id\":\"evt_1\",\"object\":\"event\",\"name\":\"é\"}\n".as_bytes();
    let raw = b"{\"id\":\"evt_1\",\"x\":\"\xff\xfe\"}";
    for (secret, seconds, body, hex) in [
        (
            "secret",
            1_533_204_620,
            published.as_slice(),
            "d7373bc68f4bd320b253cd7461f87af6e1cdf1b4d7db1614d8d1d746972d2d0a",
        ),
        ("whsec_test_secret", T, BODY_A, SIGNED_A),
        (
            "whsec_test_secret",
            T,
            accented,
            "efc9604fa9eb22d1ac5ff291a79b24ea2381c84eedba2e56f3a3959c7b522b21",
        ),
        (
            "whsec_test_secret",
            T,
            raw.as_slice(),
            "0f58c791d5cb4bd2c0317ba1db42fe6c931b866eace61ccbad891bfb7052034f",
        ),
        (
            "whsec_test_secret",
            T,
            b"".as_slice(),
            "316b9ab98c15bfa039d243f3196acee619cf29749a91a634e6a8154e2f7b6727",
        ),
    ] {
        let header = format!("t={seconds},v1={hex}");
        assert_eq!(
            at(seconds, &[header.as_bytes()], body, secret),
            Ok(()),
            "{header}"
        );
        let made = sign(
            &SecretString::from(secret),
            Timestamp::from_seconds(seconds),
            body,
        );
        assert_eq!(made, header);
    }
}

#[test]
fn bytes_are_verified_and_not_their_lossy_text() {
    let raw = b"{\"id\":\"evt_1\",\"x\":\"\xff\xfe\"}";
    let lossy = "c4a56d44945f2056d75805080260f3c5f01eebab1a6458972bf349935083231b";
    let header = format!("t={T},v1={lossy}");
    let outcome = at(T, &[header.as_bytes()], raw, "whsec_test_secret");
    assert_eq!(outcome, Err(SignatureError::NoMatch));
}

#[test]
fn an_empty_body_verifies_and_is_no_event() {
    use crate::stripe::event::{Event, EventError};
    let header = sign(&SecretString::from("s"), Timestamp::from_seconds(T), b"");
    assert_eq!(at(T, &[header.as_bytes()], b"", "s"), Ok(()));
    assert!(matches!(
        Event::parse(b"", Timestamp(0)),
        Err(EventError::Empty)
    ));
}

#[test]
fn while_a_secret_is_rolled_either_signature_and_either_secret_will_do() {
    let old = "1de589abed7921316157c1e4fb7961c5840dcd903a3c986f1febdea00ffb9247";
    let new = "a205fddac80d1399f0fd8556b976133f791b29797319edad0b299fcda7300bce";
    for header in [
        format!("t={T},v1={old},v1={new}"),
        format!("t={T},v1={new},v1={old}"),
    ] {
        for list in [
            "whsec_old",
            "whsec_new",
            "whsec_old,whsec_new",
            "whsec_other,whsec_new",
        ] {
            assert_eq!(
                at(T, &[header.as_bytes()], BODY_A, list),
                Ok(()),
                "{header} {list}"
            );
        }
        let outcome = at(T, &[header.as_bytes()], BODY_A, "whsec_other");
        assert_eq!(outcome, Err(SignatureError::NoMatch));
    }
    for one in [old, new] {
        let header = format!("t={T},v1={one}");
        let both = at(T, &[header.as_bytes()], BODY_A, " whsec_new , whsec_old ");
        assert_eq!(both, Ok(()));
    }
}

#[test]
fn every_shape_of_the_header_has_one_answer() {
    use SignatureError::{
        BadTimestamp, NoHeader, NoMatch, NoSignature, NoTimestamp, RepeatedTimestamp,
    };
    let good = SIGNED_A;
    let upper = SIGNED_A.to_uppercase();
    let short = SIGNED_A.strip_suffix("90").unwrap();
    for (header, expected) in [
        (format!("t={T},v1={good}"), Ok(())),
        (format!("v1={good},t={T}"), Ok(())),
        (String::new(), Err(NoHeader)),
        (" \t".into(), Err(NoHeader)),
        // Parts without an equals sign are ignored, and so are keys that nobody knows.
        (format!("v1,t={T}"), Err(NoSignature)),
        (format!("t,v1={good}"), Err(NoTimestamp)),
        (format!("x,,t={T},v1={good},=,v2=1"), Ok(())),
        // A value is opaque after its first equals sign.
        (format!("t={T},v1={good}={good}"), Err(NoMatch)),
        (format!("t={T}={T},v1={good}"), Err(BadTimestamp)),
        (format!("v1={good}"), Err(NoTimestamp)),
        (format!("t=,v1={good}"), Err(BadTimestamp)),
        (format!("t=abc,v1={good}"), Err(BadTimestamp)),
        (format!("t=123abc,v1={good}"), Err(BadTimestamp)),
        (format!("t=+{T},v1={good}"), Err(BadTimestamp)),
        (format!("t=-{T},v1={good}"), Err(BadTimestamp)),
        (format!("t= {T},v1={good}"), Err(BadTimestamp)),
        (format!("t={T}.0,v1={good}"), Err(BadTimestamp)),
        (format!("t={T},t={T},v1={good}"), Err(RepeatedTimestamp)),
        (format!("t=1,t={T},v1={good}"), Err(RepeatedTimestamp)),
        (format!("t={T}"), Err(NoSignature)),
        (format!("t={T},v0={good}"), Err(NoSignature)),
        (format!("t={T},v0={good},v1={good}"), Ok(())),
        (format!("t={T},v1={good},v1=bad_signature"), Ok(())),
        (format!("t={T},v1=bad_signature,v1={good}"), Ok(())),
        (format!("t={T},v1=bad_signature"), Err(NoMatch)),
        (format!("t={T},v1="), Err(NoMatch)),
        (format!("t={T},v1={short}"), Err(NoMatch)),
        (format!("t={T},v1={good}00"), Err(NoMatch)),
        (format!("t={T},v1={upper}"), Err(NoMatch)),
        (format!("T={T},V1={good}"), Err(NoTimestamp)),
        // Space around a part is the optional white space of a list in HTTP.
        (format!(" t={T} ,\tv1={good} "), Ok(())),
        (format!("t={T},v1 ={good}"), Err(NoSignature)),
        (format!("t={T};v1={good}"), Err(BadTimestamp)),
    ] {
        assert_eq!(check(&header), expected, "{header:?}");
    }
    assert_eq!(at(T, &[], BODY_A, "s"), Err(NoHeader));
    assert_eq!(at(T, &[b"t=1,v1=\xff\xfe"], BODY_A, "s"), Err(NoMatch));
}

#[test]
fn a_timestamp_that_is_not_canonical_is_refused_even_when_it_was_signed_so() {
    let signed = "29cd6e323396278a109521b7b46a0d59d58b7cc479974a5421d7c33b23dbcb49";
    assert_eq!(
        check(&format!("t=0{T},v1={signed}")),
        Err(SignatureError::BadTimestamp)
    );
    assert_eq!(
        check(&format!("t={T},v1={signed}")),
        Err(SignatureError::NoMatch)
    );
    let mac = mac(
        &SecretString::from("whsec_test_secret"),
        b"01700000000",
        BODY_A,
    );
    assert_eq!(hex::encode(mac), signed);
}

#[test]
fn a_header_that_is_sent_twice_is_refused_even_when_both_are_good() {
    let header = format!("t={T},v1={SIGNED_A}");
    let twice = [header.as_bytes(), header.as_bytes()];
    let outcome = at(T, &twice, BODY_A, "whsec_test_secret");
    assert_eq!(outcome, Err(SignatureError::RepeatedHeader));
    let joined = format!("{header}, {header}");
    assert_eq!(check(&joined), Err(SignatureError::RepeatedTimestamp));
}

#[test]
fn the_age_may_reach_the_tolerance_in_either_direction() {
    let header = format!("t={T},v1={SIGNED_A}");
    let outside = Err(SignatureError::OutsideTolerance {
        tolerance: TOLERANCE,
    });
    for (now, expected) in [
        (T, Ok(())),
        (T + 300, Ok(())),
        (T + 301, outside),
        (T - 300, Ok(())),
        (T - 301, outside),
        (0, outside),
        (i64::MAX / 1_000_000, outside),
        (i64::MIN / 1_000_000, outside),
    ] {
        let outcome = at(now, &[header.as_bytes()], BODY_A, "whsec_test_secret");
        assert_eq!(outcome, expected, "{now}");
    }
}

#[test]
fn the_tolerance_is_taken_as_it_is_given() {
    let header = format!("t={T},v1={SIGNED_A}");
    for (now, tolerance, fits) in [
        (
            Timestamp::from_seconds(T + 20),
            Duration::from_secs(10),
            false,
        ),
        (
            Timestamp::from_seconds(T + 20),
            Duration::from_secs(20),
            true,
        ),
        // Stripe writes whole seconds, so the rest of that second has the same age.
        (
            Timestamp::from_seconds(T + 20).plus(Duration::from_millis(999)),
            Duration::from_secs(20),
            true,
        ),
        (Timestamp::from_seconds(T), Duration::ZERO, true),
        (Timestamp::from_seconds(T + 1), Duration::ZERO, false),
        (Timestamp::from_seconds(0), Duration::MAX, true),
    ] {
        let secrets = secrets("whsec_test_secret");
        let outcome = verify(&[header.as_bytes()], BODY_A, &secrets, now, tolerance);
        assert_eq!(outcome.is_ok(), fits, "{now} {tolerance:?}");
    }
}

#[test]
fn the_signature_is_judged_before_the_age() {
    let forged = format!("t=1,v1={SIGNED_A}");
    assert_eq!(check(&forged), Err(SignatureError::NoMatch));
}

#[test]
fn extreme_timestamps_do_not_overflow() {
    let secret = SecretString::from("s");
    for seconds in ["0", "9223372036854775807", "253402300800"] {
        let hex = hex::encode(mac(&secret, seconds.as_bytes(), BODY_A));
        let header = format!("t={seconds},v1={hex}");
        let outcome = at(T, &[header.as_bytes()], BODY_A, "s");
        let expected = SignatureError::OutsideTolerance {
            tolerance: TOLERANCE,
        };
        assert_eq!(outcome, Err(expected), "{seconds}");
    }
    for seconds in [
        "9223372036854775808",
        "18446744073709551616",
        &"9".repeat(400),
    ] {
        let outcome = at(T, &[format!("t={seconds},v1=0").as_bytes()], BODY_A, "s");
        assert_eq!(outcome, Err(SignatureError::BadTimestamp), "{seconds}");
    }
}

#[test]
fn hostile_headers_are_refused_before_any_signature_is_made() {
    let good = format!("t={T},v1={SIGNED_A}");
    let huge = format!("{good},{}", "x".repeat(64 * 1024));
    assert_eq!(check(&huge), Err(SignatureError::TooLarge));
    let many = format!("t={T}{}", format!(",v1={SIGNED_A}").repeat(10_000));
    assert_eq!(check(&many), Err(SignatureError::TooLarge));
    let commas = format!("{good}{}", ",".repeat(31));
    assert_eq!(check(&commas), Err(SignatureError::TooLarge));
    let at_the_bound = format!("{good}{}", ",".repeat(30));
    assert_eq!(check(&at_the_bound), Ok(()));
}

#[test]
fn secrets_are_trimmed_and_must_be_secrets() {
    for (list, count) in [
        ("whsec_a", 1),
        (" whsec_a\n", 1),
        ("whsec_a,whsec_b", 2),
        ("whsec_a , whsec_b ,", 2),
    ] {
        assert_eq!(secrets(list).as_slice().len(), count, "{list:?}");
    }
    for (list, expected) in [
        ("", SecretsError::Empty),
        (" , ,", SecretsError::Empty),
        ("whsec_a whsec_b", SecretsError::WhiteSpace),
        ("whsec_a\u{a0}b", SecretsError::WhiteSpace),
        ("whsec_\u{0}a", SecretsError::WhiteSpace),
        ("sk_live_1", SecretsError::ApiKey),
        ("whsec_a,rk_test_1", SecretsError::ApiKey),
    ] {
        assert_eq!(
            SigningSecrets::parse(list).unwrap_err(),
            expected,
            "{list:?}"
        );
    }
    assert_eq!(SigningSecrets::new([""]).unwrap_err(), SecretsError::Empty);
    assert_eq!(SigningSecrets::new([]).unwrap_err(), SecretsError::Empty);
    let header = format!("t={T},v1={SIGNED_A}");
    let outcome = at(T, &[header.as_bytes()], BODY_A, "whsec_test_secret\n");
    assert_eq!(outcome, Ok(()));
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let text = format!("{:?}", secrets("whsec_hidden"));
    assert!(!text.contains("hidden"), "{text}");
}

#[test]
fn errors_say_what_to_do() {
    assert_eq!(
        SignatureError::OutsideTolerance {
            tolerance: TOLERANCE
        }
        .to_string(),
        "timestamp outside the tolerance of 300 s: check the clock, or have Stripe send it again"
    );
    assert_eq!(
        SignatureError::NoMatch.to_string(),
        "no v1 signature matches: is STRIPE_WEBHOOK_SECRET the secret of this endpoint, and the body unchanged?"
    );
    assert_eq!(
        SignatureError::NoHeader.to_string(),
        "no Stripe-Signature header: only Stripe posts here, or a proxy dropped it"
    );
}

proptest! {
    #[test]
    fn no_header_makes_it_panic(header in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(at(T, &[&header], BODY_A, "s").is_err());
    }

    #[test]
    fn no_list_of_parts_is_believed_without_the_secret(
        parts in prop::collection::vec("(t|v0|v1|)=?[0-9a-f=+ -]{0,70}", 0..6),
    ) {
        prop_assert!(at(T, &[parts.join(",").as_bytes()], BODY_A, "s").is_err());
    }

    #[test]
    fn what_is_signed_verifies_and_one_changed_byte_does_not(
        body in prop::collection::vec(any::<u8>(), 1..200),
        seconds in 0_i64..4_000_000_000,
        place in any::<prop::sample::Index>(),
    ) {
        let header = sign(&SecretString::from("s"), Timestamp::from_seconds(seconds), &body);
        prop_assert_eq!(at(seconds, &[header.as_bytes()], &body, "s"), Ok(()));
        let mut changed = body.clone();
        changed[place.index(body.len())] ^= 1;
        let outcome = at(seconds, &[header.as_bytes()], &changed, "s");
        prop_assert_eq!(outcome, Err(SignatureError::NoMatch));
    }
}
