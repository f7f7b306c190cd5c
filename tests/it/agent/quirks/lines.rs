//! Lines: gateways, overload, silence, and answers that break off. The run is deferred, or another endpoint is asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use billhook::agent::model::Model;
use serde_json::json;

use super::{
    Answer, Ended, FORMS, Form, ModelServer, calling, decided_at, done, ended, giving, mail_call,
    model, play, shown,
};
use crate::agent::scene::{lead, start};
use crate::support::app::TestApp;

fn raw(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
    let headers = headers
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    Answer::Raw(status, headers.collect(), body.to_owned())
}

/// Answers once as it is told to, and from then on as it should.
async fn recovering(form: Form, first: Answer) -> ModelServer {
    ModelServer::start(move |_, before| match before {
        0 => first.clone(),
        1 => form.of(&calling(&json!([mail_call()]))),
        _ => form.of(&done()),
    })
    .await
}

async fn assert_deferred(app: &TestApp) -> String {
    let run = shown(app).await.run.unwrap();
    assert_eq!((run.status.as_str(), app.mails().len()), ("deferred", 0));
    run.reason.unwrap()
}

#[tokio::test]
async fn quirk_19_what_is_no_answer_is_asked_for_again() {
    for form in FORMS {
        for first in [
            Answer::Json(json!({"error": {"message": "overloaded", "code": 529}})),
            raw(502, &[], "<html><h1>Bad Gateway</h1></html>"),
            raw(200, &[], "<html>welcome</html>"),
            raw(200, &[], ""),
            raw(503, &[], ""),
            Answer::Events(vec![]),
            Answer::Events(vec![
                json!({"error": {"message": "overloaded"}}).to_string(),
            ]),
            Answer::Events(vec!["{\"choices\": [".to_owned()]),
            Answer::HangUp,
        ] {
            let server = recovering(form, first.clone()).await;
            let app = decided_at(&server, &[]).await;
            assert_eq!(
                ended(&app).await,
                Ended::by_model(&[]),
                "{form:?} {first:?}"
            );
            assert_eq!(server.asked().len(), 3, "{first:?}");
        }
    }
}

#[tokio::test]
async fn quirk_19_a_stream_without_an_end_mark_is_whole() {
    let server = ModelServer::start(|_, before| {
        let answer = if before == 0 {
            calling(&json!([mail_call()]))
        } else {
            done()
        };
        let mut events = super::events(&answer);
        events.pop();
        Answer::Events(events)
    })
    .await;
    let app = decided_at(&server, &[]).await;
    assert_eq!(ended(&app).await, Ended::by_model(&[]));
}

#[tokio::test]
async fn quirk_20_a_short_wait_is_waited_and_a_long_one_defers_the_run() {
    for status in [429, 499, 529] {
        let server = recovering(Form::Whole, raw(status, &[], "slow down")).await;
        let app = decided_at(&server, &[]).await;
        assert_eq!(ended(&app).await, Ended::by_model(&[]), "{status}");
    }
    for wish in ["3600", "999999999"] {
        let server = recovering(Form::Whole, raw(429, &[("retry-after", wish)], "")).await;
        let app = decided_at(&server, &[]).await;
        let reason = assert_deferred(&app).await;
        assert!(reason.contains("answered 429"), "{reason}");
        assert_eq!(server.asked().len(), 1, "{wish}");
        // At the hour the rules decide: nobody waits longer than that for a model.
        app.clock.advance(Duration::from_hours(1));
        app.drain().await;
        assert_eq!(ended(&app).await, Ended::by_rules(&[]), "{wish}");
    }
}

#[tokio::test]
async fn quirk_20_a_moment_is_a_wait_too() {
    let headers = [
        ("date", "Tue, 24 Nov 2026 10:00:00 GMT"),
        ("retry-after", "Tue, 24 Nov 2026 10:10:00 GMT"),
    ];
    let server = recovering(Form::Whole, raw(429, &headers, "")).await;
    let (model, clock) = model(&[("OPENAI_BASE_URL", server.url())]);
    let app = play("payment_failed", model).await;
    assert_deferred(&app).await;
    for _ in 0..2 {
        clock.advance(Duration::from_mins(5));
        app.clock.advance(Duration::from_mins(5));
        app.drain().await;
    }
    assert_eq!(ended(&app).await, Ended::by_model(&[]));
}

#[tokio::test]
async fn quirk_21_silence_and_trickles_end_in_time() {
    for (answer, settings) in [
        (
            Answer::Silence,
            [("BILLHOOK__MODEL__FIRST_BYTE_TIMEOUT", "200ms")],
        ),
        (
            Answer::Trickle,
            [("BILLHOOK__MODEL__ATTEMPT_TIMEOUT", "400ms")],
        ),
    ] {
        let server = ModelServer::start(move |_, _| answer.clone()).await;
        let begun = Instant::now();
        let app = decided_at(&server, &settings).await;
        let reason = assert_deferred(&app).await;
        assert!(reason.contains("answer"), "{reason}");
        assert_eq!(server.asked().len(), 3, "{reason}");
        // Without its limits it would be for ever; a slow machine has a minute.
        assert!(begun.elapsed() < Duration::from_mins(1));
    }
}

#[tokio::test]
async fn quirk_21_another_endpoint_is_asked_at_once() {
    for first in [
        Answer::HangUp,
        raw(500, &[], "Failed to parse tool call arguments"),
        raw(401, &[], "{\"error\": {\"code\": \"invalid_api_key\"}}"),
        raw(
            429,
            &[("retry-after", "3600")],
            "{\"error\": {\"code\": \"insufficient_quota\"}}",
        ),
        raw(400, &[], "{\"error\": \"we do not like your messages\"}"),
        raw(302, &[("location", "http://127.0.0.1:1/")], ""),
    ] {
        let bad = ModelServer::start(move |_, _| first.clone()).await;
        let good = giving(Form::Whole, vec![calling(&json!([mail_call()]))]).await;
        let (model, _clock) = model(&[
            ("OPENAI_BASE_URL", bad.url()),
            ("BILLHOOK__MODEL__FALLBACKS", "spare"),
            ("BILLHOOK__MODEL__ENDPOINTS__SPARE__BASE_URL", good.url()),
            ("BILLHOOK__MODEL__ENDPOINTS__SPARE__NAME", "spare-model"),
        ]);
        let app = play("payment_failed", model).await;
        assert_eq!(ended(&app).await, Ended::by_model(&[]));
        assert_eq!(good.asked().len(), 2);
        assert_eq!(good.asked()[0]["model"], "spare-model");
    }
}

#[tokio::test]
async fn an_endpoint_that_keeps_failing_is_left_alone_and_comes_back() {
    let server = ModelServer::start(|_, before| match before {
        0..5 => raw(503, &[], ""),
        5 => Form::Whole.of(&calling(&json!([mail_call()]))),
        _ => Form::Whole.of(&done()),
    })
    .await;
    let (model, clock) = model(&[("OPENAI_BASE_URL", server.url())]);
    let shared: Arc<dyn Model> = model.clone();
    let app = start(shared).await;
    app.deliver(&lead("payment_failed")).await;
    app.settle().await;
    assert_eq!(server.asked().len(), 3);
    for _ in 0..4 {
        app.clock.advance(Duration::from_secs(40));
        app.drain().await;
    }
    assert_eq!(server.asked().len(), 5, "after five failures nobody asks");
    assert!(model.state().all(|(_, rest)| !rest.is_zero()));
    assert_deferred(&app).await;
    clock.advance(Duration::from_secs(15));
    app.clock.advance(Duration::from_secs(400));
    app.drain().await;
    assert_eq!(ended(&app).await, Ended::by_model(&[]));
    assert!(model.state().all(|(_, rest)| rest.is_zero()));
}

#[tokio::test]
async fn a_repeated_internal_error_over_one_request_is_not_repeated_a_third_time() {
    let server = ModelServer::start(|_, _| raw(500, &[], "{\"error\": \"template\"}")).await;
    let app = decided_at(&server, &[]).await;
    let reason = assert_deferred(&app).await;
    assert!(reason.contains("answered 500"), "{reason}");
    assert_eq!(server.asked().len(), 2);
}
