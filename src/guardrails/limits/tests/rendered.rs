//! The second look, at the text as it would be sent.

use super::super::rendered::check_rendered;

const LINK: &str = "https://invoice.stripe.com/i/acct_1/test_x?s=ap";
const FACTS: [&str; 7] = [
    "$10.99",
    "10.99",
    LINK,
    "Anna O'Brien",
    "23 November 2026",
    "Acme 24 Ltd., 1 High Street, www.acme.example",
    "",
];

fn rule(text: &str) -> &'static str {
    check_rendered(text, &FACTS, "en").map_or_else(|refusal| refusal.rule, |()| "passes")
}

#[test]
fn facts_pass_where_they_stand_by_themselves() {
    for text in [
        "Hello Anna O'Brien,\n\nyour payment of $10.99 failed on 23 November 2026.\n\nhttps://invoice.stripe.com/i/acct_1/test_x?s=ap\n\n\
         Acme 24 Ltd., 1 High Street, www.acme.example\n",
        "Pay ($10.99) here: https://invoice.stripe.com/i/acct_1/test_x?s=ap.",
        "It was $10.99, and $10.99; $10.99! $10.99? “$10.99”",
        "Also, e.g. this template may abbreviate.",
    ] {
        assert_eq!(rule(text), "passes", "{text}");
    }
}

#[test]
fn everything_else_is_refused() {
    for (text, expected) in [
        ("See https://evil.example", "url"),
        (
            "See https://invoice.stripe.com/i/acct_1/test_x?s=apevil",
            "url",
        ),
        (
            "See https://invoice.stripe.com/i/acct_1/test_x?s=ap/evil",
            "url",
        ),
        (
            "See https://invoice.stripe.com/i/acct_1/test_x?s=ap.evil",
            "url",
        ),
        (
            "See https://invoice.stripe.com/i/acct_1/test_x?s=ap@evil",
            "url",
        ),
        ("See evil.com", "domain"),
        ("See evil。com", "domain"),
        ("See Anna O'Brien.com", "domain"),
        ("Write to mallory@evil", "address"),
        ("Call +49 30 123456", "phone"),
        ("It was $11.99", "digit"),
        ("It was $10.990", "digit"),
        ("It was 1$10.99", "digit"),
        ("It was -$10.99", "digit"),
        ("It was $10.99,50", "digit"),
        ("It was ③", "digit"),
        ("a\u{202e}b", "bidi"),
        ("a\u{200b}b", "invisible"),
        ("a\u{e000}b", "invisible"),
        ("a\u{0}b", "control"),
        ("a\r\nb", "control"),
        ("<b>x</b>", "markup"),
    ] {
        assert_eq!(rule(text), expected, "{text:?}");
    }
}

#[test]
fn a_fact_does_not_excuse_what_cannot_be_seen() {
    let refusal = check_rendered("Hello An\u{202e}na", &["An\u{202e}na"], "en").unwrap_err();
    assert_eq!(refusal.rule, "bidi");
}

#[test]
fn a_short_fact_does_not_open_the_door_for_longer_numbers() {
    for text in ["It was 15", "It was 51", "1.5", "1,5", "-1", "1/2"] {
        assert!(check_rendered(text, &["1"], "en").is_err(), "{text}");
    }
    assert!(check_rendered("It was 1 and 1.", &["1"], "en").is_ok());
}

#[test]
fn other_languages_are_served_too() {
    for (text, locale) in [
        (
            "お支払い（¥500）に失敗しました。カードを更新してください。https://pay.example/x 。次に進みます。",
            "ja",
        ),
        (
            "پرداخت شما انجام نشد، می\u{200c}توانید دوباره تلاش کنید.",
            "fa",
        ),
        ("Votre paiement de 10,99\u{a0}€ a échoué.", "fr"),
    ] {
        let facts = ["¥500", "https://pay.example/x", "10,99\u{a0}€"];
        assert_eq!(check_rendered(text, &facts, locale), Ok(()), "{text}");
    }
    // Where no spelling needs it, a joiner only hides something.
    assert!(check_rendered("می\u{200c}توانید", &[], "en").is_err());
    assert!(check_rendered("お支払い。evil.com", &[], "ja").is_err());
    assert!(check_rendered("お支払い。com", &[], "ja").is_err());
}
