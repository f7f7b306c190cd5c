//! Answers: what may be missing in them, and what stands there instead.

use serde_json::{Value, json};

use super::{
    Answer, Ended, FORMS, Form, ModelServer, calling, completion, decided_at, done, ended, giving,
    mail_call, shown,
};

#[tokio::test]
async fn quirk_10_chunks_have_no_choice_or_no_delta() {
    let server = ModelServer::start(|_, before| {
        if before > 0 {
            return Form::Streamed.of(&done());
        }
        let mut events = super::events(&calling(&json!([mail_call()])));
        events.insert(
            0,
            json!({"choices": [], "prompt_filter_results": [{}]}).to_string(),
        );
        events.insert(
            1,
            json!({"choices": [{"index": 0, "finish_reason": null}]}).to_string(),
        );
        events.insert(2, json!({"object": "ping"}).to_string());
        Answer::Events(events)
    })
    .await;
    let app = decided_at(&server, &[]).await;
    assert_eq!(ended(&app).await, Ended::by_model(&[]));
}

#[tokio::test]
async fn quirk_11_an_answer_without_a_word_is_asked_for_once_more() {
    for form in FORMS {
        for content in [
            json!({"content": null}),
            json!({"content": ""}),
            json!({"content": []}),
            json!({"content": null, "reasoning_content": "I should write a mail."}),
            json!({}),
        ] {
            let speechless = completion(&content, &json!("stop"));
            let server = giving(
                form,
                vec![speechless.clone(), calling(&json!([mail_call()]))],
            )
            .await;
            let app = decided_at(&server, &[]).await;
            assert_eq!(
                ended(&app).await,
                Ended::by_model(&[]),
                "{form:?} {content}"
            );
            let asked = server.asked();
            let nudge = asked[1]["messages"][3]["content"].as_str().unwrap();
            assert!(nudge.contains("You called no tool"), "{nudge}");

            let server = giving(form, vec![speechless; 20]).await;
            let app = decided_at(&server, &[]).await;
            assert_eq!(
                ended(&app).await,
                Ended::by_rules(&[]),
                "{form:?} {content}"
            );
            assert_eq!(server.asked().len(), 2, "and not for ever");
        }
    }
}

#[tokio::test]
async fn quirk_11_content_comes_in_parts_beside_calls() {
    let mut answer = calling(&json!([mail_call()]));
    answer["choices"][0]["message"]["content"] = json!([{"type": "text", "text": "A mail then."}]);
    let server = giving(Form::Whole, vec![answer]).await;
    let app = decided_at(&server, &[]).await;
    assert_eq!(ended(&app).await, Ended::by_model(&[]));
    assert_eq!(server.asked()[1]["messages"][2]["content"], "A mail then.");
}

#[tokio::test]
async fn quirk_17_usage_is_missing_and_estimated() {
    for form in FORMS {
        for usage in [
            json!(null),
            json!({}),
            json!({"prompt_tokens": 0, "completion_tokens": 0}),
        ] {
            let mut answer = calling(&json!([mail_call()]));
            answer["usage"] = usage;
            let server = giving(form, vec![answer]).await;
            let app = decided_at(&server, &[]).await;
            assert_eq!(ended(&app).await, Ended::by_model(&[]));
            let usage = shown(&app).await.run.unwrap().usage;
            assert_eq!(usage["tokens"]["estimated"], true, "{usage}");
            assert!(
                usage["tokens"]["input_tokens"].as_u64().unwrap() > 1500,
                "{usage}"
            );
        }
        let server = giving(form, vec![calling(&json!([mail_call()]))]).await;
        let app = decided_at(&server, &[]).await;
        let usage = shown(&app).await.run.unwrap().usage;
        let tokens = &usage["tokens"];
        let counted = (&tokens["input_tokens"], &tokens["estimated"]);
        assert_eq!(counted, (&json!(1800), &json!(false)));
    }
}

#[tokio::test]
async fn quirk_18_values_that_nobody_knows_are_left_alone() {
    for form in FORMS {
        let mut answer = calling(&json!([mail_call()]));
        answer["service_tier"] = "on_demand".into();
        answer["created"] = json!(1.5e9);
        answer["object"] = Value::Null;
        answer["choices"][0]["message"]["annotations"] = json!([{"type": "file_citation"}]);
        answer["choices"][0]["message"]["role"] = "robot".into();
        let server = giving(form, vec![answer]).await;
        let app = decided_at(&server, &[]).await;
        assert_eq!(ended(&app).await, Ended::by_model(&[]));
    }
}

#[tokio::test]
async fn quirk_22_a_refusal_and_a_filter_end_the_run_and_the_rules_write() {
    for form in FORMS {
        let mut refusal = calling(&json!([mail_call()]));
        refusal["choices"][0]["message"]["refusal"] = "I cannot help with that.".into();
        let mut filtered = calling(&json!([mail_call()]));
        filtered["choices"][0]["finish_reason"] = "content_filter".into();
        for answer in [refusal, filtered] {
            let server = giving(form, vec![answer]).await;
            let app = decided_at(&server, &[]).await;
            assert_eq!(ended(&app).await, Ended::by_rules(&[]), "{form:?}");
            assert_eq!(server.asked().len(), 1);
        }
    }
}
