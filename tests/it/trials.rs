//! The word before a trial turns into payments: once per end, and not where nothing will be charged.

use serde_json::{Value, json};

use crate::support::app::{START, TestApp, event};

const DAY: i64 = 86_400;

fn trial(changes: &Value) -> Value {
    let price = json!({ "id": "price_1", "object": "price", "currency": "eur", "unit_amount": 1900,
        "recurring": { "interval": "month", "usage_type": "licensed" }, "transform_quantity": null });
    let mut subscription = json!({
        "id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "trialing", "currency": "eur",
        "created": START - 4 * DAY, "trial_start": START - 4 * DAY, "trial_end": START + 3 * DAY,
        "cancel_at_period_end": false, "cancel_at": null, "collection_method": "charge_automatically",
        "items": { "object": "list", "has_more": false, "data": [
            { "id": "si_1", "object": "subscription_item", "quantity": 2, "price": price }] },
    });
    let fields = changes.as_object().unwrap().clone();
    subscription.as_object_mut().unwrap().extend(fields);
    subscription
}

fn will_end(id: &str, at: i64, changes: &Value) -> Value {
    event(
        id,
        "customer.subscription.trial_will_end",
        at,
        &trial(changes),
    )
}

async fn with(settings: &[(&str, &str)], language: &str, email: Option<&str>) -> TestApp {
    let app = TestApp::with(settings, std::sync::Arc::new(billhook::agent::rules::Rules)).await;
    let customer = json!({ "id": "cus_1", "object": "customer", "email": email, "name": "Ada Lovelace",
        "created": START - 1000, "preferred_locales": [language] });
    app.deliver(&event("evt_cus", "customer.created", -100, &customer))
        .await;
    app.settle().await;
    app
}

async fn with_customer() -> TestApp {
    with(&[], "en", Some("ada@example.com")).await
}

async fn text(app: &TestApp) -> String {
    let messages = app.messages().await;
    assert_eq!(messages.len(), 1, "{messages:#?}");
    app.store_text(&messages[0].id).await
}

#[tokio::test]
async fn a_customer_hears_once_when_the_trial_ends_and_what_comes_then() {
    let app = with_customer().await;
    let told = will_end("evt_t", 0, &json!({}));
    app.deliver(&told).await;
    app.deliver(&told).await;
    app.settle().await;
    app.deliver(&will_end("evt_again", 60, &json!({}))).await;
    app.settle().await;
    assert_eq!(app.mails().len(), 1);
    insta::assert_snapshot!(text(&app).await, @r"
    Hello,

    Your trial with Acme ends soon, and your subscription then goes on by itself.

    The trial ends on 18 January 2027.

    After that the plan costs €38.00; your invoice shows the exact sum.

    If you would like to stay, please see that your payment details are up to date. To change them, or to stop before the trial ends, reply to this mail, and a person will help you.

    Kind regards
    Acme
    ");
}

#[tokio::test]
async fn a_german_customer_with_a_page_for_cards_reads_it_in_german() {
    let page = (
        "BILLHOOK__LINKS__UPDATE_PAYMENT",
        "https://acme.example/card",
    );
    let app = with(&[page], "de", Some("ada@example.com")).await;
    app.deliver(&will_end("evt_t", 0, &json!({}))).await;
    app.settle().await;
    insta::assert_snapshot!(text(&app).await, @r"
    Guten Tag,

    Ihre Testphase bei Acme geht bald zu Ende, und Ihr Abonnement läuft danach von selbst weiter.

    Die Testphase endet am 18.01.2027.

    Danach kostet das Abonnement 38,00 €; den genauen Betrag zeigt Ihre Rechnung.

    Wenn Sie bleiben möchten, sehen Sie bitte nach, ob Ihre Zahlungsdaten noch stimmen:

    https://acme.example/card

    Wenn Sie lieber aufhören möchten, antworten Sie vor dem Ende der Testphase auf diese Mail, und ein Mensch hilft Ihnen weiter.

    Freundliche Grüße
    Acme
    ");
}

#[tokio::test]
async fn a_price_that_the_items_do_not_say_outright_is_left_out() {
    let item = |price: Value| json!({ "items": { "has_more": false, "data": [{ "id": "si_1", "quantity": 1, "price": price }] } });
    for changes in [
        json!({ "discounts": ["di_1"] }),
        json!({ "automatic_tax": { "enabled": true } }),
        item(json!({ "id": "price_1", "unit_amount": null, "unit_amount_decimal": "0.05" })),
        item(
            json!({ "id": "price_1", "unit_amount": 500, "recurring": { "usage_type": "metered" } }),
        ),
        item(
            json!({ "id": "price_1", "unit_amount": 500, "transform_quantity": { "divide_by": 10 } }),
        ),
        json!({ "items": { "has_more": true, "data": [] } }),
        json!({ "items": null }),
    ] {
        let app = with_customer().await;
        app.deliver(&will_end("evt_t", 0, &changes)).await;
        app.settle().await;
        let text = text(&app).await;
        assert!(
            !text.contains("costs") && text.contains("ends soon"),
            "{changes}: {text}"
        );
    }
}

#[tokio::test]
async fn a_trial_that_was_extended_ends_again() {
    let app = with_customer().await;
    app.deliver(&will_end("evt_1", 0, &json!({}))).await;
    app.settle().await;
    let later = json!({ "trial_end": START + 10 * DAY });
    app.clock.advance(std::time::Duration::from_hours(7 * 24));
    app.deliver(&will_end("evt_2", 7 * DAY, &later)).await;
    app.settle().await;
    assert_eq!(app.mails().len(), 2);

    // Moved before anybody was written to: the first day is never named.
    let app = with_customer().await;
    app.deliver(&will_end("evt_1", 0, &json!({}))).await;
    app.deliver(&event(
        "evt_moved",
        "customer.subscription.updated",
        1,
        &trial(&later),
    ))
    .await;
    app.settle().await;
    assert_eq!(app.mails().len(), 0);
    let run = app.event("evt_1").await.run.unwrap();
    assert_eq!(
        run.reason.as_deref(),
        Some("the trial ends at another time now")
    );
}

#[tokio::test]
async fn nobody_is_written_to_where_nothing_will_be_charged() {
    let free = json!({ "items": { "has_more": false, "data": [
        { "id": "si_1", "quantity": 1, "price": { "id": "price_0", "unit_amount": 0, "currency": "eur" } }] } });
    for (changes, said) in [
        (
            json!({ "status": "active" }),
            "the subscription is active now",
        ),
        (
            json!({ "status": "canceled" }),
            "the subscription is canceled now",
        ),
        (
            json!({ "cancel_at_period_end": true }),
            "subscription sub_1 is set to end",
        ),
        (
            json!({ "cancel_at": START + 3 * DAY }),
            "subscription sub_1 is set to end",
        ),
        (
            json!({ "pause_collection": { "behavior": "keep_as_draft", "resumes_at": null } }),
            "subscription sub_1 is not collected: keep_as_draft",
        ),
        (free, "subscription sub_1 costs nothing"),
    ] {
        let app = with_customer().await;
        app.deliver(&will_end("evt_t", 0, &json!({}))).await;
        app.deliver(&event(
            "evt_then",
            "customer.subscription.updated",
            1,
            &trial(&changes),
        ))
        .await;
        app.settle().await;
        assert_eq!(app.mails().len(), 0, "{said}");
        let run = app.event("evt_t").await.run.unwrap();
        assert_eq!(
            (run.status.as_str(), run.reason.as_deref()),
            ("skipped", Some(said))
        );
    }
}

#[tokio::test]
async fn a_trial_that_lapses_without_a_card_says_so() {
    for behavior in ["cancel", "pause"] {
        let settings = json!({ "default_payment_method": null,
            "trial_settings": { "end_behavior": { "missing_payment_method": behavior } } });
        let app = with_customer().await;
        app.deliver(&will_end("evt_t", 0, &settings)).await;
        app.settle().await;
        let text = text(&app).await.replace('\u{a0}', " ");
        insta::allow_duplicates! {
            insta::assert_snapshot!(text, @r"
            Hello,

            Your trial with Acme ends soon. Your subscription goes on after it only if a payment method is there by then.

            The trial ends on 18 January 2027.

            The plan then costs €38.00; your invoice shows the exact sum.

            To add a payment method, or to stop before the trial ends, reply to this mail, and a person will help you.

            Kind regards
            Acme
            ");
        }
    }
}

#[tokio::test]
async fn a_card_of_the_customers_keeps_a_trial_from_lapsing() {
    let settings = json!({ "default_payment_method": null,
        "trial_settings": { "end_behavior": { "missing_payment_method": "cancel" } } });
    let app = with_customer().await;
    let pays = json!({ "id": "cus_1", "object": "customer", "email": "ada@example.com",
        "invoice_settings": { "default_payment_method": "pm_1" }, "created": START - 1000 });
    app.deliver(&event("evt_pays", "customer.updated", -50, &pays))
        .await;
    app.deliver(&will_end("evt_t", 0, &settings)).await;
    app.settle().await;
    let text = text(&app).await;
    assert!(text.contains("goes on by itself"), "{text}");
}

#[tokio::test]
async fn an_end_that_cannot_be_is_not_named() {
    let app = with_customer().await;
    let absurd = json!({ "trial_end": START + 1000 * DAY });
    app.deliver(&will_end("evt_t", 0, &absurd)).await;
    app.settle().await;
    let text = text(&app).await;
    assert!(text.contains("ends soon"), "{text}");
    assert!(!text.contains("ends on"), "{text}");
}

/// Under a test clock a trial ends in simulated time, before or long after the day on which it is told of.
#[tokio::test]
async fn under_a_test_clock_an_end_is_named_whenever_it_is() {
    for (days, named) in [(-400, "11 December 2025"), (1000, "11 October 2029")] {
        let app = with_customer().await;
        let clock = json!({ "test_clock": "clock_1", "trial_end": START + days * DAY });
        app.deliver(&will_end("evt_t", 0, &clock)).await;
        app.settle().await;
        let text = text(&app).await;
        let said = format!("The trial ends on {named}.");
        assert!(text.contains(&said), "{text}");
    }
}

/// Asked when the mail leaves: another one went that day, and the next day is too late.
#[tokio::test]
async fn a_word_that_comes_too_late_is_not_sent() {
    let one = ("BILLHOOK__CAPS__MAILS_PER_CUSTOMER_PER_DAY", "1");
    let app = with(&[one], "en", Some("ada@example.com")).await;
    let other = json!({ "id": "sub_2", "trial_end": START + 2 * DAY });
    app.deliver(&will_end("evt_other", 0, &other)).await;
    app.settle().await;
    let soon = json!({ "trial_end": START + DAY / 2 });
    app.deliver(&will_end("evt_t", 60, &soon)).await;
    app.settle().await;
    assert_eq!(app.mails().len(), 1);
    assert_eq!(app.event("evt_t").await.messages[0].status, "pending");
    app.clock.advance(std::time::Duration::from_hours(25));
    app.drain().await;
    assert_eq!(app.mails().len(), 1);
    let message = app.event("evt_t").await.messages.remove(0);
    assert_eq!(
        (message.status.as_str(), message.reason.as_deref()),
        ("suppressed", Some("the trial has ended"))
    );
}

#[tokio::test]
async fn without_an_address_sales_are_told() {
    let app = with(&[], "en", None).await;
    app.deliver(&will_end("evt_t", 0, &json!({}))).await;
    app.settle().await;
    let messages = app.messages().await;
    let channels: Vec<&str> = messages.iter().map(|m| m.channel.as_str()).collect();
    assert_eq!(channels, ["sales"]);
}
