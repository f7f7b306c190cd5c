use super::*;
use crate::guardrails::limits::rendered::check_rendered;
use crate::guardrails::limits::values::personal_name;

fn prompts() -> Prompts {
    Prompts::embedded().unwrap()
}

fn facts() -> MailFacts {
    MailFacts {
        greeting_name: personal_name("Ada"),
        language: "en".into(),
        locale: "en-GB".into(),
        business_name: "Acme".into(),
        support_email: Some("help@acme.example".into()),
        values: BTreeMap::from([("amount".to_owned(), Fact::business("€49.00"))]),
        update_payment_link: Some(Fact::business(
            "https://invoice.stripe.com/i/acct_1/test_2?s=ap&x=1",
        )),
    }
}

fn template(name: &str, facts: &MailFacts) -> Prose {
    prompts()
        .template(name, &facts.language)
        .unwrap()
        .prose(&facts.placeholders())
}

fn body(text: &str) -> Prose {
    Prose {
        subject: "A subject".into(),
        body: text.into(),
    }
}

fn error(prose: &Prose, facts: &MailFacts) -> String {
    render_mail(prose, facts, &prompts())
        .unwrap_err()
        .to_string()
}

#[test]
fn a_mail_reads_well_as_text() {
    let facts = facts();
    let mail = render_mail(&template("payment_failed", &facts), &facts, &prompts()).unwrap();
    assert_eq!(mail.subject, "Your payment to Acme did not go through");
    insta::assert_snapshot!(mail.text, @r"
    Hello Ada,

    Your payment of €49.00 to Acme did not go through, and nothing was charged. This happens, and it is usually quick to fix: the bank did not approve the payment this time.

    You can try again or use another card here:

    https://invoice.stripe.com/i/acct_1/test_2?s=ap&x=1

    If you did not try to pay, this mail can be ignored. If anything is unclear, just reply and a person will help you.

    Kind regards
    Acme
    help@acme.example
    ");
}

#[test]
fn a_mail_without_a_link_asks_for_a_reply() {
    let facts = MailFacts {
        language: "de".into(),
        locale: "de-AT".into(),
        greeting_name: None,
        support_email: None,
        update_payment_link: None,
        ..facts()
    };
    let mail = render_mail(&template("payment_failed", &facts), &facts, &prompts()).unwrap();
    insta::assert_snapshot!(mail.text, @r"
    Guten Tag,

    Ihre Zahlung von €49.00 an Acme hat nicht geklappt, und es wurde nichts abgebucht. Das kommt vor und ist meist schnell behoben: Die Bank hat die Zahlung dieses Mal nicht freigegeben.

    Bitte antworten Sie auf diese Mail, wenn Sie es noch einmal versuchen oder eine andere Karte verwenden möchten. Ein Mensch liest sie und hilft Ihnen weiter.

    Wenn Sie gar nicht bezahlen wollten, können Sie diese Mail ignorieren.

    Freundliche Grüße
    Acme
    ");
    assert!(mail.html.contains("<html lang=\"de-AT\""), "{}", mail.html);
    assert!(!mail.html.contains("href"));
}

#[test]
fn every_template_renders_with_and_without_a_link() {
    let prompts = prompts();
    for (name, language) in prompts.templates.keys() {
        for update_payment_link in [facts().update_payment_link, None] {
            let facts = MailFacts {
                language: language.clone(),
                update_payment_link,
                ..facts()
            };
            let mail = render_mail(&template(name, &facts), &facts, &prompts).unwrap();
            for text in [&mail.subject, &mail.text, &mail.html] {
                assert!(
                    !text.contains("{{") && !text.contains("}}"),
                    "{name} {language}: {text}"
                );
            }
            let shown = [
                "Ada",
                "Acme",
                "help@acme.example",
                "€49.00",
                facts
                    .update_payment_link
                    .as_ref()
                    .map_or("Acme", Fact::as_str),
            ];
            assert_eq!(
                check_rendered(&mail.text, &shown, language),
                Ok(()),
                "{name} {language}"
            );
            let has_link = mail.text.contains("https://");
            assert_eq!(
                has_link,
                facts.update_payment_link.is_some() && name != "winback_due",
                "{name} {language}"
            );
            assert_eq!(mail.html.contains("class=\"button\""), has_link);
        }
    }
}

#[test]
fn a_lone_link_is_a_button_and_one_in_a_sentence_is_a_link() {
    let mail = render_mail(
        &body("Pay here:\n\n{{ update_payment_link }}\n\nThanks."),
        &facts(),
        &prompts(),
    )
    .unwrap();
    assert_eq!(mail.html.matches("class=\"button\"").count(), 1);
    assert!(
        mail.html
            .contains("href=\"https:&#x2f;&#x2f;invoice.stripe.com")
            || mail.html.contains("href=\"https://invoice.stripe.com")
    );
    let mail = render_mail(
        &body("Please {{update_payment_link}} soon."),
        &facts(),
        &prompts(),
    )
    .unwrap();
    assert_eq!(mail.html.matches("class=\"button\"").count(), 0);
    assert_eq!(
        mail.html.matches("class=\"inline\" href=\"https").count(),
        1
    );
    assert!(
        mail.text
            .contains("Please https://invoice.stripe.com/i/acct_1/test_2?s=ap&x=1 soon.")
    );
}

#[test]
fn values_are_never_read_again() {
    let hostile = "{{update_payment_link}} {% raw %} {{ 7*7 }} <b>&\r\nBcc: eve\u{202e}";
    let facts = MailFacts {
        business_name: hostile.into(),
        values: BTreeMap::from([("amount".to_owned(), Fact::business(hostile))]),
        ..facts()
    };
    let prose = Prose {
        subject: "From {{business_name}}".into(),
        body: "It is {{amount}}.".into(),
    };
    let mail = render_mail(&prose, &facts, &prompts()).unwrap();
    let shown = "{{update_payment_link}} {% raw %} {{ 7*7 }} <b>& Bcc: eve";
    assert_eq!(mail.subject, format!("From {shown}"));
    assert!(
        mail.text.contains(&format!("It is {shown}.\n")),
        "{}",
        mail.text
    );
    // As a name it is none, and there is no other way into the greeting.
    assert_eq!(personal_name(hostile), None);
    assert!(!mail.text.contains("https://") && !mail.html.contains("invoice.stripe.com"));
    assert!(!mail.html.contains("<b>") && mail.html.contains("&lt;b&gt;&amp; Bcc: eve"));
}

#[test]
fn prose_is_escaped_and_keeps_its_paragraphs() {
    let prose =
        body("One <script>alert()</script>\r\nnext line\r\n\r\n\r\n\r\nTwo & \"three\"\n \n");
    let mail = render_mail(&prose, &facts(), &prompts()).unwrap();
    assert!(mail.text.contains(
        "\nOne <script>alert()</script>\nnext line\n\nTwo & \"three\"\n\nKind regards\n"
    ));
    assert!(!mail.html.contains("<script"));
    assert!(mail.html.contains("<br>next line</p>"));
    assert_eq!(mail.html.matches("<p ").count(), 4);
}

#[test]
fn what_cannot_be_filled_in_is_refused() {
    let facts = facts();
    assert_eq!(
        error(&body("{{plan}}"), &facts),
        "the body names `plan`, which is not offered here"
    );
    let no_link = MailFacts {
        update_payment_link: None,
        ..facts.clone()
    };
    assert!(error(&body("{{update_payment_link}}"), &no_link).contains("not offered"));
    // A value under the link's name is no way around its checks.
    let sly = MailFacts {
        values: BTreeMap::from([(
            "update_payment_link".to_owned(),
            Fact::business("http://evil.example"),
        )]),
        ..no_link
    };
    assert!(error(&body("{{update_payment_link}}"), &sly).contains("not offered"));
    for braces in [
        "{{amount",
        "amount}}",
        "}}{{amount}}",
        "{{ {{amount}} }}",
        "a {{",
    ] {
        assert_eq!(
            error(&body(braces), &facts),
            "the body has braces that do not match",
            "{braces}"
        );
    }
    assert_eq!(error(&body(" \n \n"), &facts), "the body is empty");
    for subject in [
        "",
        "   ",
        "a\nb",
        "a\r\nBcc: x",
        "a\u{0}",
        "{{update_payment_link}}",
        "{{plan}}",
    ] {
        let prose = Prose {
            subject: subject.into(),
            body: "Hello.".into(),
        };
        assert!(
            error(&prose, &facts).starts_with("the subject "),
            "{subject}"
        );
    }
}

#[test]
fn only_an_https_link_is_shown() {
    for link in [
        "http://pay.example",
        "javascript:alert(1)",
        "https://",
        "https://user:pass@pay.example",
        "https://pay.example/\" onclick=\"x",
        "https://pay.example/a b",
        "pay.example",
    ] {
        let facts = MailFacts {
            update_payment_link: Some(Fact::business(link)),
            ..facts()
        };
        assert!(
            error(&body("Hello."), &facts).contains("no https address"),
            "{link}"
        );
    }
}

#[test]
fn what_can_be_filled_in_is_what_is_offered() {
    assert_eq!(
        facts().placeholders(),
        ["amount", "business_name", "update_payment_link"]
    );
    let facts = MailFacts {
        update_payment_link: None,
        ..facts()
    };
    assert_eq!(facts.placeholders(), ["amount", "business_name"]);
}

#[test]
fn the_html_part_states_the_language_of_its_text() {
    for (language, locale, stated) in [
        ("de", "de-AT", "de-AT"),
        ("en", "fr-FR", "en"),
        ("en", "en_GB", "en"),
        ("en", "en\"x", "en"),
        ("de-AT", "", "de"),
    ] {
        let facts = MailFacts {
            language: language.into(),
            locale: locale.into(),
            ..facts()
        };
        let mail = render_mail(&body("Hello."), &facts, &prompts()).unwrap();
        assert!(
            mail.html.contains(&format!("<html lang=\"{stated}\" ")),
            "{language} {locale}"
        );
    }
}
