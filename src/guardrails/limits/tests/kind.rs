//! Mails as a good model writes them: none of them may be refused, or customers only ever get templates.

use super::super::prose::{Part, ProseRules, check_prose};

const PLACEHOLDERS: [&str; 6] = [
    "amount",
    "business_name",
    "update_payment_link",
    "next_attempt_date",
    "invoice_number",
    "trial_end_date",
];

fn refused(locale: &str, mails: &[(&str, &str)]) -> Vec<String> {
    let rules = ProseRules {
        placeholders: &PLACEHOLDERS,
        words: 100,
        locale,
    };
    let parts = mails
        .iter()
        .flat_map(|(subject, body)| [(*subject, Part::Subject), (*body, Part::Body)]);
    parts
        .filter_map(|(text, part)| {
            check_prose(text, part, &rules)
                .err()
                .map(|refusal| format!("{refusal}: {text}"))
        })
        .collect()
}

#[test]
fn no_kind_mail_in_english_is_refused() {
    let refused = refused("en-GB", &ENGLISH);
    assert!(refused.is_empty(), "{refused:#?}");
    assert!(ENGLISH.len() >= 35);
}

#[test]
fn no_kind_mail_in_german_is_refused() {
    let refused = refused("de-CH", &GERMAN);
    assert!(refused.is_empty(), "{refused:#?}");
    assert!(GERMAN.len() >= 35);
}

const ENGLISH: [(&str, &str); 36] = [
    (
        "Your payment to {{business_name}} did not go through",
        "We tried to collect {{amount}} and your bank did not approve it. Nothing was charged.\n\nYou can try again here:\n\n{{update_payment_link}}\n\nIf anything is unclear, just reply. A person reads every answer.",
    ),
    (
        "A small hiccup with your payment",
        "Thank you for being with us for such a long time. This time the payment of {{amount}} did not work, most likely because the card has expired.\n\n{{update_payment_link}}\n\nIt takes a minute. Reply if you get stuck.",
    ),
    (
        "Quick note about your card",
        "The card we have on file seems to have expired, so the payment of {{amount}} could not be completed.\n\nWhen you have a moment, please add a new one:\n\n{{update_payment_link}}",
    ),
    (
        "Your bank asked for a confirmation",
        "Your bank wanted you to confirm the payment of {{amount}}, and the confirmation was not finished. That happens easily, for instance when a phone is out of reach.\n\nYou can finish it here:\n\n{{update_payment_link}}",
    ),
    (
        "We could not complete your order",
        "The payment of {{amount}} to {{business_name}} was declined by the bank. No money has left your account.\n\nAnother card often solves it:\n\n{{update_payment_link}}\n\nIf you did not try to pay anything, you can ignore this mail.",
    ),
    (
        "Something went wrong with your payment",
        "Sorry for the trouble! The payment of {{amount}} did not go through this time. The bank did not tell us why, so a short call with them may help.\n\nOr use another card here: {{update_payment_link}}",
    ),
    (
        "Invoice {{invoice_number}} is still open",
        "The payment for invoice {{invoice_number}} was not approved. We will try again by itself on {{next_attempt_date}}, so there may be nothing for you to do.\n\nIf your card has changed, you can update it here:\n\n{{update_payment_link}}",
    ),
    (
        "About your invoice",
        "Your invoice over {{amount}} could not be paid with the card on file. If you have a new card, please add it here and we will take care of the rest:\n\n{{update_payment_link}}\n\nIf you have paid in the meantime, please ignore this message.",
    ),
    (
        "We'll try again on {{next_attempt_date}}",
        "No need to worry: the payment of {{amount}} did not work today, and it will be tried again on {{next_attempt_date}}. You keep your access until then.\n\nReply to this mail if you would rather talk to a person.",
    ),
    (
        "Your subscription payment is open",
        "A payment for your subscription with {{business_name}} is still open. Often this is only a small thing, such as a card that was replaced.\n\nYou can check it here:\n\n{{update_payment_link}}\n\nThank you for taking a look.",
    ),
    (
        "Can we help with your payment?",
        "We noticed that the last payment of {{amount}} did not go through. If something about the amount looks odd to you, please write back and we will look at it together.",
    ),
    (
        "Let's sort this out together",
        "Your renewal did not work, and we would like to keep things easy for you. Please check your payment details when it suits you:\n\n{{update_payment_link}}\n\nIf you have any questions, we are happy to help.",
    ),
    (
        "Your card may need an update",
        "Cards expire, get lost, or are simply replaced by the bank. One of these has probably happened, because the payment of {{amount}} was not accepted.\n\n{{update_payment_link}}",
    ),
    (
        "Thank you, and a small request",
        "You have always paid on time, and we appreciate that very much. The latest payment did not work, though. Would you mind having a look?\n\n{{update_payment_link}}",
    ),
    (
        "Payment not completed",
        "Hi there! It looks like your payment was not completed. You can pick up where you left off here:\n\n{{update_payment_link}}\n\nYour selection has been kept for you.",
    ),
    (
        "Still interested?",
        "You started a payment of {{amount}} with {{business_name}} and it did not finish. If you changed your mind, that is fine, and you do not need to do anything. If not, you can go on here:\n\n{{update_payment_link}}",
    ),
    (
        "Please check your payment details",
        "Your bank turned the payment down. We do not know the reason, and it says nothing about you.\n\nIf you would like to use another card, please reply to this mail and a colleague will guide you through it.",
    ),
    (
        "Your trial ends on {{trial_end_date}}",
        "Your trial with {{business_name}} ends on {{trial_end_date}}. After that your subscription goes on by itself, and the plan costs {{amount}}.\n\nIf you would rather stop, a reply to this mail is enough.",
    ),
    (
        "A reminder about your trial",
        "Just a friendly reminder: your trial is about to end. To keep going without a break, please add a payment method before {{trial_end_date}}.\n\n{{update_payment_link}}\n\nNot for you? Then there is nothing to do.",
    ),
    (
        "What comes after your trial",
        "We hope you enjoyed trying {{business_name}}. On {{trial_end_date}} your plan starts and costs {{amount}}. Your invoice will show the exact sum.\n\nQuestions? We are only a reply away.",
    ),
    (
        "You're welcome back any time",
        "Some time ago you left {{business_name}}. We would love to know what was missing, and whether we can do better.\n\nIf you ever want to come back, your settings are still here.",
    ),
    (
        "How have you been?",
        "It has been a while since your subscription ended. A lot has changed since then, and we think you might like it.\n\nHave a look whenever you want. And if not, thank you for the time you spent with us.",
    ),
    (
        "We miss you at {{business_name}}",
        "We noticed that you left, and we were sorry to see you go. If it was something we did, please tell us, so that we can learn from it.\n\nYour opinion matters to us, even now.",
    ),
    (
        "One question",
        "May we ask why you left? A single sentence would help us a lot. It is fine not to answer, of course.\n\nAll the best from all of us at {{business_name}}.",
    ),
    (
        "Your payment of {{amount}}",
        "Your payment of {{amount}} was not successful. It was nothing you did wrong.\n\nHere is what you can do: try another card, ask your bank, or write to us.\n\n{{update_payment_link}}",
    ),
    (
        "Trouble with your last payment",
        "Dear customer,\n\nyour last payment was returned by the bank. This can have many reasons, for example a limit for online payments. Your bank can tell you more.\n\nOnce that is settled, please use this page: {{update_payment_link}}",
    ),
    (
        "No charge was made",
        "Your card was not charged for this attempt. The bank asked us to try another time, and we will do so on {{next_attempt_date}}.\n\nYou are also welcome to pay by yourself here: {{update_payment_link}}",
    ),
    (
        "Let us know if we can help",
        "We know that paying bills is nobody's favourite part of the day, so we will keep this short. The payment of {{amount}} is open, and you can complete it here: {{update_payment_link}}",
    ),
    (
        "A new card, perhaps?",
        "It seems your card on file is out of date. If you have received a new one from your bank, please enter it on this page:\n\n{{update_payment_link}}\n\nThank you and have a lovely week!",
    ),
    (
        "Your access continues",
        "Although the payment did not go through, your access continues for now. To make sure it stays that way, please check your payment method:\n\n{{update_payment_link}}",
    ),
    (
        "We are here for you",
        "If times are difficult at the moment, please reply to this mail. We will listen, and together we will find a way that works.",
    ),
    (
        "Thanks for your patience",
        "We tried your card twice and the bank said no both times. Perhaps there is a security check on their side.\n\nA different card will probably do: {{update_payment_link}}",
    ),
    (
        "Your payment method needs a look",
        "Everything is set up on our side, only the payment method did not work. You can choose another one on this page, which belongs to {{business_name}}:\n\n{{update_payment_link}}",
    ),
    (
        "Payment for {{business_name}}",
        "Good morning! The payment of {{amount}} that you started did not arrive. If you still want to complete it, you can do that here.\n\n{{update_payment_link}}\n\nIf you have already paid in another way, thank you, and please forget this note.",
    ),
    (
        "Declined, but easily fixed",
        "Your credit card was declined, which is annoying but usually easy to fix. Most people simply use another card or confirm the payment in their banking app.\n\n{{update_payment_link}}",
    ),
    (
        "Thank you ❤️",
        "Thank you for staying with us! The last payment did not work, so please check your details once more when you can. Everything you have saved is safe 🎉\n\n{{update_payment_link}}",
    ),
];

const GERMAN: [(&str, &str); 36] = [
    (
        "Ihre Zahlung an {{business_name}} hat nicht geklappt",
        "Ihre Zahlung von {{amount}} wurde von der Bank nicht freigegeben. Es wurde nichts abgebucht.\n\nHier können Sie es noch einmal versuchen:\n\n{{update_payment_link}}\n\nBei Fragen antworten Sie einfach auf diese Mail.",
    ),
    (
        "Kurzer Hinweis zu Ihrer Karte",
        "Vielen Dank, dass Sie schon so lange bei uns sind. Dieses Mal hat die Zahlung leider nicht geklappt, vermutlich weil die Karte abgelaufen ist.\n\n{{update_payment_link}}\n\nDas dauert nur eine Minute.",
    ),
    (
        "Ihre Bank bittet um eine Bestätigung",
        "Ihre Bank wollte, dass Sie die Zahlung von {{amount}} bestätigen, und das wurde nicht abgeschlossen. Das passiert leicht, wenn das Telefon gerade nicht zur Hand ist.\n\nHier geht es weiter:\n\n{{update_payment_link}}",
    ),
    (
        "Ihre Bestellung ist noch nicht bezahlt",
        "Die Zahlung von {{amount}} an {{business_name}} wurde abgelehnt. Von Ihrem Konto ist kein Geld abgegangen.\n\nOft hilft eine andere Karte:\n\n{{update_payment_link}}\n\nWenn Sie gar nicht bezahlen wollten, können Sie diese Mail vergessen.",
    ),
    (
        "Da ist etwas schiefgegangen",
        "Entschuldigen Sie bitte die Störung! Ihre Zahlung wurde dieses Mal nicht angenommen. Den Grund kennt nur Ihre Bank, ein kurzer Anruf dort kann helfen.\n\nOder Sie verwenden hier eine andere Karte: {{update_payment_link}}",
    ),
    (
        "Rechnung {{invoice_number}} ist noch offen",
        "Die Rechnung {{invoice_number}} konnte nicht eingezogen werden. Am {{next_attempt_date}} versuchen wir es von selbst noch einmal, Sie müssen also nichts weiter tun.\n\nHat sich Ihre Karte geändert, können Sie sie hier aktualisieren:\n\n{{update_payment_link}}",
    ),
    (
        "Zu Ihrer Rechnung",
        "Ihre Rechnung über {{amount}} konnte mit der hinterlegten Karte nicht bezahlt werden. Wenn Sie eine neue Karte haben, tragen Sie sie bitte hier ein:\n\n{{update_payment_link}}\n\nFalls Sie inzwischen bezahlt haben, ist alles erledigt.",
    ),
    (
        "Wir versuchen es am {{next_attempt_date}} noch einmal",
        "Keine Sorge: Die Zahlung von {{amount}} hat heute nicht geklappt und wird am {{next_attempt_date}} noch einmal versucht. Ihr Zugang bleibt bis dahin bestehen.",
    ),
    (
        "Eine Zahlung für Ihr Abonnement ist offen",
        "Eine Zahlung für Ihr Abonnement bei {{business_name}} ist noch offen. Oft ist es nur eine Kleinigkeit, zum Beispiel eine neue Karte.\n\nHier können Sie nachsehen:\n\n{{update_payment_link}}\n\nVielen Dank, dass Sie sich darum kümmern.",
    ),
    (
        "Können wir Ihnen helfen?",
        "Die letzte Zahlung von {{amount}} ist nicht angekommen. Wenn Ihnen an dem Betrag etwas merkwürdig vorkommt, schreiben Sie uns bitte, und wir sehen uns das gemeinsam an.",
    ),
    (
        "Das bekommen wir hin",
        "Ihre Verlängerung hat nicht geklappt, und wir möchten es Ihnen leicht machen. Prüfen Sie bitte Ihre Zahlungsdaten, wenn es Ihnen passt:\n\n{{update_payment_link}}\n\nBei Fragen sind wir gern für Sie da.",
    ),
    (
        "Ihre Karte ist vielleicht abgelaufen",
        "Karten laufen ab, gehen verloren oder werden von der Bank ersetzt. Wahrscheinlich ist eines davon passiert, denn die Zahlung von {{amount}} wurde nicht angenommen.\n\n{{update_payment_link}}",
    ),
    (
        "Danke, und eine kleine Bitte",
        "Sie haben bisher immer pünktlich bezahlt, dafür danken wir Ihnen sehr. Nur die letzte Zahlung hat nicht geklappt. Würden Sie bitte einmal nachsehen?\n\n{{update_payment_link}}",
    ),
    (
        "Ihre Zahlung wurde nicht abgeschlossen",
        "Guten Tag, Ihre Zahlung wurde nicht abgeschlossen. Hier können Sie dort weitermachen, wo Sie aufgehört haben:\n\n{{update_payment_link}}\n\nIhre Auswahl haben wir für Sie aufgehoben.",
    ),
    (
        "Haben Sie noch Interesse?",
        "Sie haben bei {{business_name}} eine Zahlung von {{amount}} begonnen, die nicht fertig geworden ist. Wenn Sie es sich anders überlegt haben, ist das in Ordnung. Wenn nicht, geht es hier weiter:\n\n{{update_payment_link}}",
    ),
    (
        "Bitte prüfen Sie Ihre Zahlungsdaten",
        "Ihre Bank hat die Zahlung abgelehnt. Den Grund kennen wir nicht, und er sagt auch nichts über Sie aus.\n\nMöchten Sie eine andere Karte verwenden, antworten Sie bitte auf diese Mail, und eine Kollegin hilft Ihnen weiter.",
    ),
    (
        "Ihre Testphase endet am {{trial_end_date}}",
        "Ihre Testphase bei {{business_name}} endet am {{trial_end_date}}. Danach läuft Ihr Abonnement von selbst weiter und kostet {{amount}}.\n\nWenn Sie lieber aufhören möchten, genügt eine Antwort auf diese Mail.",
    ),
    (
        "Eine Erinnerung an Ihre Testphase",
        "Nur zur Erinnerung: Ihre Testphase geht bald zu Ende. Damit es ohne Pause weitergeht, hinterlegen Sie bitte bis zum {{trial_end_date}} eine Zahlungsart.\n\n{{update_payment_link}}\n\nGefällt es Ihnen nicht, müssen Sie nichts tun.",
    ),
    (
        "Wie es nach der Testphase weitergeht",
        "Wir hoffen, dass Ihnen {{business_name}} gefallen hat. Am {{trial_end_date}} beginnt Ihr Abonnement und kostet {{amount}}. Den genauen Betrag zeigt Ihre Rechnung.",
    ),
    (
        "Sie sind jederzeit wieder willkommen",
        "Vor einiger Zeit haben Sie {{business_name}} verlassen. Wir würden gern wissen, was Ihnen gefehlt hat und was wir besser machen können.\n\nWenn Sie wiederkommen möchten, ist alles noch da.",
    ),
    (
        "Wie geht es Ihnen?",
        "Es ist eine Weile her, dass Ihr Abonnement zu Ende gegangen ist. Seitdem hat sich viel getan, und wir glauben, dass es Ihnen gefallen könnte.\n\nSehen Sie gern einmal herein.",
    ),
    (
        "Schade, dass Sie gegangen sind",
        "Wir haben bemerkt, dass Sie gegangen sind, und finden das sehr schade. Wenn es an uns lag, sagen Sie es uns bitte, damit wir daraus lernen.\n\nIhre Meinung ist uns auch jetzt noch wichtig.",
    ),
    (
        "Eine Frage",
        "Dürfen wir fragen, warum Sie gegangen sind? Ein einziger Satz würde uns sehr helfen. Sie müssen aber nicht antworten.\n\nAlles Gute von uns allen bei {{business_name}}!",
    ),
    (
        "Ihre Zahlung von {{amount}}",
        "Ihre Zahlung von {{amount}} war nicht erfolgreich. Sie haben nichts falsch gemacht.\n\nDas können Sie tun: eine andere Karte verwenden, bei der Bank nachfragen oder uns schreiben.\n\n{{update_payment_link}}",
    ),
    (
        "Ärger mit der letzten Zahlung",
        "Liebe Kundin, lieber Kunde,\n\ndie letzte Zahlung kam von der Bank zurück. Das kann viele Gründe haben, zum Beispiel eine Grenze für Zahlungen im Netz. Ihre Bank weiß mehr.\n\nWenn das geklärt ist, nutzen Sie bitte diese Seite: {{update_payment_link}}",
    ),
    (
        "Es wurde nichts abgebucht",
        "Ihre Karte wurde bei diesem Versuch nicht belastet. Am {{next_attempt_date}} versuchen wir es noch einmal.\n\nSie können auch gern selbst bezahlen: {{update_payment_link}}",
    ),
    (
        "Melden Sie sich gern",
        "Rechnungen zu bezahlen macht niemandem Freude, deshalb fassen wir uns kurz. Die Zahlung von {{amount}} ist noch offen, und hier können Sie sie abschließen: {{update_payment_link}}",
    ),
    (
        "Vielleicht eine neue Karte?",
        "Die hinterlegte Karte scheint nicht mehr gültig zu sein. Wenn Sie von Ihrer Bank eine neue bekommen haben, tragen Sie sie bitte auf dieser Seite ein:\n\n{{update_payment_link}}\n\nHaben Sie eine schöne Woche!",
    ),
    (
        "Ihr Zugang bleibt",
        "Obwohl die Zahlung nicht geklappt hat, bleibt Ihr Zugang vorerst bestehen. Damit das so bleibt, prüfen Sie bitte Ihre Zahlungsart:\n\n{{update_payment_link}}",
    ),
    (
        "Wir sind für Sie da",
        "Wenn die Zeiten gerade schwierig sind, antworten Sie bitte auf diese Mail. Wir hören zu und finden gemeinsam einen Weg, der für Sie passt.",
    ),
    (
        "Danke für Ihre Geduld",
        "Wir haben es zweimal mit Ihrer Karte versucht, und beide Male hat die Bank abgelehnt. Vielleicht prüft sie gerade etwas.\n\nEine andere Karte hilft wahrscheinlich: {{update_payment_link}}",
    ),
    (
        "Ihre Zahlungsart",
        "Bei uns ist alles vorbereitet, nur die Zahlungsart hat nicht geklappt. Auf dieser Seite, die zu {{business_name}} gehört, können Sie eine andere wählen:\n\n{{update_payment_link}}",
    ),
    (
        "Zahlung an {{business_name}}",
        "Guten Morgen! Die Zahlung von {{amount}}, die Sie begonnen haben, ist nicht angekommen. Wenn Sie sie noch abschließen möchten, geht das hier:\n\n{{update_payment_link}}\n\nHaben Sie schon anders bezahlt, danken wir Ihnen.",
    ),
    (
        "Abgelehnt, aber leicht behoben",
        "Ihre Kreditkarte wurde abgelehnt. Das ist ärgerlich, aber meistens leicht zu beheben: Viele verwenden einfach eine andere Karte oder bestätigen die Zahlung in der App ihrer Bank.\n\n{{update_payment_link}}",
    ),
    (
        "Vielen Dank ❤️",
        "Schön, dass Sie bei uns bleiben! Die letzte Zahlung hat nicht geklappt, sehen Sie bitte bei Gelegenheit noch einmal nach. Alles, was Sie gespeichert haben, ist sicher 🎉\n\n{{update_payment_link}}",
    ),
    (
        "Hallo noch einmal",
        "Hallo,\n\ndeine Zahlung von {{amount}} hat leider nicht geklappt. Probier es doch bitte noch einmal mit einer anderen Karte:\n\n{{update_payment_link}}\n\nWenn du Fragen hast, schreib uns einfach, wir helfen dir gern weiter.",
    ),
];
