//! Requests: what a server may not take of them.

use serde_json::{Value, json};

use super::{
    Answer, Ended, FORMS, Form, ModelServer, call, calling, decided_at, done, ended, giving,
    mail_call,
};

/// A server that refuses every request with a field, by its name.
async fn refusing(form: Form, field: &'static str) -> ModelServer {
    ModelServer::start(move |body, _| {
        let has = body.get(field).is_some() || body["tools"][0]["function"].get(field).is_some();
        if has {
            let error = json!({"error": {"message": format!("Unrecognized request argument: {field}"), "code": 400}});
            return Answer::Raw(400, vec![], error.to_string());
        }
        let has_called = body["messages"].as_array().unwrap().len() > 2;
        form.of(&if has_called { done() } else { calling(&json!([mail_call()])) })
    })
    .await
}

#[tokio::test]
async fn quirk_15_and_16_what_a_server_does_not_know_is_left_out() {
    for form in FORMS {
        for field in [
            "strict",
            "parallel_tool_calls",
            "max_completion_tokens",
            "stream_options",
        ] {
            let server = refusing(form, field).await;
            let stream = [("BILLHOOK__MODEL__PROFILE__STREAM", "true")];
            let app = decided_at(&server, &stream).await;
            assert_eq!(ended(&app).await, Ended::by_model(&[]), "{form:?} {field}");
            // Once with it, then never again.
            let asked = server.asked();
            assert_eq!(asked.len(), 3, "{field}");
            let limits = |body: &Value| {
                let has = |field: &str| body.get(field).is_some();
                (has("max_completion_tokens"), has("max_tokens"))
            };
            let old_name = field == "max_completion_tokens";
            assert_eq!(limits(&asked[1]), (!old_name, old_name));
            assert!(
                asked
                    .iter()
                    .all(|body| body.get("response_format").is_none())
            );
        }
    }
}

#[tokio::test]
async fn quirk_16_a_field_that_is_refused_again_ends_the_run_by_rules() {
    let server = ModelServer::start(|_, _| {
        let error = json!({"error": "strict is not what we like about you"});
        Answer::Raw(400, vec![], error.to_string())
    })
    .await;
    let app = decided_at(&server, &[]).await;
    assert_eq!(ended(&app).await, Ended::by_rules(&[]));
    assert_eq!(server.asked().len(), 2, "once without it, and never again");
}

#[tokio::test]
async fn a_request_that_no_server_takes_is_decided_by_rules_at_once() {
    let server = ModelServer::start(|_, _| {
        let error =
            json!({"error": {"message": "context too long", "code": "context_length_exceeded"}});
        Answer::Raw(400, vec![], error.to_string())
    })
    .await;
    let app = decided_at(&server, &[]).await;
    assert_eq!(ended(&app).await, Ended::by_rules(&[]));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn quirk_23_content_is_never_null_and_reasoning_is_not_replayed() {
    for form in FORMS {
        let mut answer = calling(&json!([call(
            "get_payment_history",
            &json!("{\"limit\":1}")
        )]));
        answer["choices"][0]["message"]["reasoning_content"] = "A secret thought.".into();
        let server = giving(form, vec![answer, calling(&json!([mail_call()]))]).await;
        let app = decided_at(&server, &[]).await;
        assert_eq!(ended(&app).await, Ended::by_model(&[]));
        // That content is a text in every message is the server's own check.
        for body in server.asked() {
            assert!(!body.to_string().contains("A secret thought"));
        }
    }
}

#[tokio::test]
async fn quirk_23_arguments_are_objects_where_the_profile_says_so() {
    let answer = calling(&json!([call(
        "get_payment_history",
        &json!("{\"limit\":1}")
    )]));
    let server = giving(Form::Whole, vec![answer]).await;
    let objects = [("BILLHOOK__MODEL__PROFILE__ARGUMENTS", "object")];
    let _app = decided_at(&server, &objects).await;
    let asked = server.asked();
    let replayed = &asked[1]["messages"][2]["tool_calls"][0]["function"]["arguments"];
    assert_eq!(*replayed, json!({"limit": 1}));
}

#[tokio::test]
async fn the_key_is_sent_and_none_is_made_up() {
    let server = giving(Form::Whole, vec![]).await;
    decided_at(&server, &[("OPENAI_API_KEY", "sk-test-1")]).await;
    decided_at(&server, &[]).await;
    let headers = server.headers();
    assert_eq!(headers[0]["authorization"], "Bearer sk-test-1");
    let last = headers.last().unwrap();
    assert!(!last.contains_key("authorization"), "{last:?}");
}
