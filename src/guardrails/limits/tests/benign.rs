//! Ordinary kind mails must pass, or the filters only ever send templates.

use super::super::prose::Part;
use super::super::values::{PersonalName, personal_name};
use super::{english, german, verdict};

#[test]
fn kind_english_mails_pass() {
    for text in [
        "Hello {{name}},\n\nwe tried to collect your payment of {{amount}} for {{product}}, but your bank declined it. \
         This happens now and then — often a card has simply expired.\n\nYou can update your card details here: \
         {{update_payment_link}}\n\nIf you have any questions, just reply to this email. We're happy to help!\n\nKind regards",
        "Hi {{ name }},\n\nyour payment of {{amount}} didn’t go through. Please use the link below to try another card.\n\n\
         {{update_payment_link}}\n\nThanks for being with us.",
        "No hurry: we will try again in a few days. Feel free to reply if you need more time.",
        "Your credit card was declined. Please use another credit card or a debit card.",
        "We’re sorry to see you go… Was there something we could have done better? Tell us, we read every reply.",
        "You are always welcome back. Your settings are still here, should you change your mind.",
        "One of your payments failed twice; a second card often helps.",
        "We will try once more within twenty-four hours, and a third time after that.",
        "Your free trial ends soon. We hope you like {{product}}!",
        "“Quoted”, 'single', (brackets), [square], dashes – and — and/or slashes; a list:\n- first\n* second\n• third",
        "Thank you ❤️ 🎉 for staying with us.",
        "Dear Mr. O'Brien at Ignore Previous LLC, the System Message GmbH wishes you well.",
        "Naïve café résumé façade — all Latin.",
        "Wait...what happened? Your bank said no.",
        "We could not charge the card on file. Please log in to your account to update it.",
        "The attempt on {{amount}} failed. It was not your fault.",
        "If you still want to pay, you can use another card here: {{update_payment_link}}",
    ] {
        assert_eq!(english(text), "passes", "{text}");
    }
}

#[test]
fn kind_german_mails_pass() {
    for text in [
        "Guten Tag {{name}},\n\nleider konnte die Zahlung über {{amount}} für {{product}} nicht eingezogen werden. Das \
         passiert manchmal, zum Beispiel wenn eine Karte abgelaufen ist.\n\nHier können Sie Ihre Zahlungsdaten \
         aktualisieren: {{update_payment_link}}\n\nBei Fragen antworten Sie einfach auf diese E-Mail.\n\nMit freundlichen Grüßen",
        "Hallo {{name}},\n\nIhre Kreditkarte wurde abgelehnt. Bitte versuchen Sie es mit einer anderen Karte.",
        "Schade, dass Sie gehen! Wir würden uns freuen, Sie zurückzugewinnen. Was hat Ihnen gefehlt?",
        "Wir versuchen es in drei Tagen erneut. Entschuldigen Sie bitte die Störung.",
        "Diese Nachricht ist an Sie gerichtet, weil eine Rechnung offen ist. Ihr Zugang bleibt vorerst eingerichtet.",
        "Bitte teilen Sie uns mit, wenn Sie mehr Zeit brauchen – wir helfen gern.",
        "Vielen Dank für Ihre Treue. „Schön, dass Sie da sind“, sagt das ganze Team.",
        "Eine Ihrer Zahlungen ist zweimal fehlgeschlagen.",
    ] {
        assert_eq!(german(text), "passes", "{text}");
    }
}

#[test]
fn subjects_and_summaries_pass() {
    for text in [
        "Your payment didn't go through",
        "A quick word about {{product}}",
        "We’d love to have you back, {{name}}",
    ] {
        assert_eq!(verdict(text, Part::Subject, "en-GB"), "passes", "{text}");
    }
    for text in [
        "A long-standing customer's renewal failed for the second time; usually pays on time. Worth a call.",
        "New customer, first payment failed. No earlier payments.",
    ] {
        assert_eq!(verdict(text, Part::Summary, "en"), "passes", "{text}");
    }
}

#[test]
fn names_that_people_have() {
    for (raw, name) in [
        ("Anna", "Anna"),
        ("  Anna  Müller ", "Anna Müller"),
        ("O'Brien", "O'Brien"),
        ("Siobhán O’Connor-Smith", "Siobhán O’Connor-Smith"),
        ("Jose\u{301} Nu\u{301}n\u{303}ez", "José Núñez"),
        ("Nguyễn Thị Minh Khai", "Nguyễn Thị Minh Khai"),
        ("山田太郎", "山田太郎"),
        ("Ольга Иванова", "Ольга Иванова"),
        ("محمد", "محمد"),
        ("प्रिया शर्मा", "प्रिया शर्मा"),
        ("Ignore Previous LLC", "Ignore Previous LLC"),
        ("System Message GmbH", "System Message GmbH"),
        ("Ms Six", "Ms Six"),
    ] {
        let found = personal_name(raw);
        let found = found.as_ref().map(PersonalName::as_str);
        assert_eq!(found, Some(name), "{raw:?}");
    }
    assert!(personal_name(&"a".repeat(40)).is_some());
}

#[test]
fn names_that_are_something_else() {
    for raw in [
        "",
        "   ",
        "-",
        "' '",
        "Anna B.",
        "evil.com",
        "Call 0800",
        "Anna\nBcc: x",
        "Anna\r",
        "Anna\t",
        "Anna\u{202e}",
        "An\u{200b}na",
        "Anna\u{e0041}",
        "a\u{3164}b",
        "{{amount}}",
        "<b>Anna</b>",
        "anna@evil",
        "Anna, urgent",
        "Anna 🎉",
        "Ⅷ",
        "Ⅷth Henry 8",
        "One Two Three Four Five",
        "Send your password now",
        "You Won Fifty Dollars",
        "Full Refund For You",
        "\u{301}Anna",
        "A\u{336}\u{337}\u{338}\u{335}nna",
        "A\u{20dd}nna",
        "（Anna）",
    ] {
        assert_eq!(personal_name(raw), None, "{raw:?}");
    }
    assert_eq!(personal_name(&"a".repeat(41)), None);
}
