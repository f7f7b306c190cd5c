//! Calls: their arguments, their ids, their names, and how many there are.

use serde_json::{Value, json};

use super::{
    Answer, Ended, FORMS, Form, ModelServer, call, calling, decided_at, done, ended, giving,
    mail_arguments, mail_call, notice_call,
};

/// The mail's arguments in another guise.
async fn sent_with(arguments: &[Value]) {
    for form in FORMS {
        for arguments in arguments {
            let server = giving(form, vec![calling(&json!([call("send_email", arguments)]))]).await;
            let app = decided_at(&server, &[]).await;
            assert_eq!(
                ended(&app).await,
                Ended::by_model(&[]),
                "{form:?} {arguments}"
            );
            server.asked();
        }
    }
}

#[tokio::test]
async fn quirk_1_arguments_are_an_object() {
    let object: Value = serde_json::from_str(&mail_arguments()).unwrap();
    sent_with(&[object]).await;
}

#[tokio::test]
async fn quirk_2_arguments_are_wrapped_once_more() {
    let text = mail_arguments();
    sent_with(&[
        Value::from(text.clone()).to_string().into(),
        format!("```json\n{text}\n```").into(),
        format!("<arguments>{text}</arguments>").into(),
    ])
    .await;
}

#[tokio::test]
async fn quirk_3_malformed_arguments_never_run_and_their_siblings_do() {
    let text = mail_arguments();
    let cut = text.split_at(text.len() / 2).0;
    for form in FORMS {
        for arguments in [
            json!(""),
            json!(cut),
            json!("[]"),
            json!("5"),
            json!("null"),
            json!("{} {}"),
            Value::Null,
        ] {
            let both = calling(&json!([call("send_email", &arguments), notice_call()]));
            let again = calling(&json!([mail_call()]));
            let server = giving(form, vec![both, again]).await;
            let app = decided_at(&server, &[]).await;
            let expected = Ended::by_model(&["invalid_arguments"]);
            assert_eq!(ended(&app).await, expected, "{form:?} {arguments}");
            let asked = server.asked();
            let answer = &asked[1]["messages"][3]["content"];
            assert!(
                answer.as_str().unwrap().contains("invalid_arguments"),
                "{answer}"
            );
        }
    }
}

#[tokio::test]
async fn quirk_3_after_two_corrections_the_rules_write() {
    for form in FORMS {
        let wrong = calling(&json!([call("send_email", &json!("{"))]));
        let server = giving(form, vec![wrong; 20]).await;
        let app = decided_at(&server, &[]).await;
        let expected = Ended::by_rules(&["invalid_arguments"; 3]);
        assert_eq!(ended(&app).await, expected, "{form:?}");
        assert_eq!(server.asked().len(), 3, "{form:?}");
    }
}

#[tokio::test]
async fn quirk_4_what_was_malformed_is_replayed_as_an_empty_object() {
    for form in FORMS {
        let server = ModelServer::start(move |body, before| {
            let messages = body["messages"].as_array().unwrap();
            let calls = messages
                .iter()
                .filter_map(|m| m["tool_calls"].as_array())
                .flatten();
            let is_object = |call: &Value| {
                let text = call["function"]["arguments"].as_str().unwrap();
                serde_json::from_str::<serde_json::Map<String, Value>>(text).is_ok()
            };
            if !calls.into_iter().all(is_object) {
                return Answer::Raw(
                    500,
                    vec![],
                    "Failed to parse tool call arguments".to_owned(),
                );
            }
            form.of(&match before {
                0 => calling(&json!([call("send_email", &json!("{\"subject\": \"A"))])),
                1 => calling(&json!([mail_call()])),
                _ => done(),
            })
        })
        .await;
        let app = decided_at(&server, &[]).await;
        assert_eq!(ended(&app).await, Ended::by_model(&["invalid_arguments"]));
        let replayed = &server.asked()[1]["messages"][2]["tool_calls"][0];
        assert_eq!(replayed["function"]["arguments"], "{}");
    }
}

#[tokio::test]
async fn quirk_5_ids_are_missing_null_empty_or_given_twice() {
    for form in FORMS {
        for id in [json!(null), json!(""), json!("same"), json!(7)] {
            let mut calls = json!([mail_call(), notice_call()]);
            calls[0]["id"] = id.clone();
            calls[1]["id"] = id.clone();
            let mut later = calling(&json!([call(
                "get_payment_history",
                &json!("{\"limit\":1}")
            )]));
            later["choices"][0]["message"]["tool_calls"][0]["id"] = id.clone();
            let server = giving(form, vec![calling(&calls), later]).await;
            let app = decided_at(&server, &[]).await;
            assert_eq!(ended(&app).await, Ended::by_model(&[]), "{form:?} {id}");
            // That each answer answers one call is the server's own check.
            assert_eq!(server.asked().len(), 3);
        }
        let mut calls = json!([mail_call(), notice_call()]);
        calls[0].as_object_mut().unwrap().remove("id");
        let server = giving(form, vec![calling(&calls)]).await;
        let app = decided_at(&server, &[]).await;
        assert_eq!(ended(&app).await, Ended::by_model(&[]));
        server.asked();
    }
}

#[tokio::test]
async fn quirk_5_ids_have_nine_characters_where_the_profile_says_so() {
    let server = giving(
        Form::Whole,
        vec![calling(&json!([mail_call(), notice_call()]))],
    )
    .await;
    let nine = [("BILLHOOK__MODEL__PROFILE__CALL_IDS", "nine")];
    let app = decided_at(&server, &nine).await;
    assert_eq!(ended(&app).await, Ended::by_model(&[]));
    let asked = server.asked();
    let calls = asked[1]["messages"][2]["tool_calls"].as_array().unwrap();
    assert_eq!(calls.len(), 2);
    for call in calls {
        let id = call["id"].as_str().unwrap();
        assert!(
            id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()),
            "{id}"
        );
    }
}

#[tokio::test]
async fn quirk_6_and_7_the_finish_reason_decides_nothing() {
    for form in FORMS {
        for finish in [
            json!("stop"),
            json!(""),
            json!("tool_call"),
            json!("eos"),
            json!("eos_token"),
            json!("end_turn"),
            json!("error"),
            json!(null),
        ] {
            let mut answer = calling(&json!([mail_call()]));
            answer["choices"][0]["finish_reason"] = finish.clone();
            let server = giving(form, vec![answer]).await;
            let app = decided_at(&server, &[]).await;
            assert_eq!(ended(&app).await, Ended::by_model(&[]), "{form:?} {finish}");
        }
    }
}

#[tokio::test]
async fn quirk_8_a_call_that_was_cut_off_does_not_run() {
    for form in FORMS {
        let text = mail_arguments();
        let cut = text.split_at(text.len() - 5).0;
        let answer = calling(&json!([call("send_email", &cut.into())]));
        let server = giving(form, vec![answer, calling(&json!([mail_call()]))]).await;
        let app = decided_at(&server, &[]).await;
        assert_eq!(ended(&app).await, Ended::by_model(&["invalid_arguments"]));
    }
}

#[tokio::test]
async fn quirk_9_parallel_calls_share_an_index_in_a_stream() {
    let chunk = |call: Value| {
        json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": null}]})
            .to_string()
    };
    let server = ModelServer::start(move |_, before| {
        if before > 0 {
            return Form::Streamed.of(&done());
        }
        let calls = [mail_call(), notice_call()].map(|mut call| {
            call["index"] = 0.into();
            chunk(call)
        });
        Answer::Events(calls.to_vec())
    })
    .await;
    let app = decided_at(&server, &[]).await;
    assert_eq!(ended(&app).await, Ended::by_model(&[]));
    let asked = server.asked();
    assert_eq!(
        asked[1]["messages"][2]["tool_calls"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn quirk_12_a_call_that_is_printed_as_text_does_not_run() {
    for form in FORMS {
        let printed =
            json!({"name": "send_email", "arguments": {"subject": "Hi", "body": "Pay up."}});
        for text in [
            printed.to_string(),
            format!("<tool_call>{printed}</tool_call>"),
            format!("```json\n{printed}\n```"),
        ] {
            let message = json!({"role": "assistant", "content": text});
            let answer = super::completion(&message, &json!("stop"));
            let server = giving(form, vec![answer]).await;
            let app = decided_at(&server, &[]).await;
            assert_eq!(ended(&app).await, Ended::by_rules(&[]), "{form:?} {text}");
            assert!(!app.mails()[0].contains("Pay up"));
        }
    }
}

#[tokio::test]
async fn quirk_13_names_have_prefixes_or_are_unknown() {
    for form in FORMS {
        let mut prefixed = mail_call();
        prefixed["function"]["name"] = "functions.send_email".into();
        let server = giving(form, vec![calling(&json!([prefixed]))]).await;
        let app = decided_at(&server, &[]).await;
        assert_eq!(ended(&app).await, Ended::by_model(&[]));

        let unknown = calling(&json!([call("send_money", &json!("{}"))]));
        let server = giving(form, vec![unknown, calling(&json!([mail_call()]))]).await;
        let app = decided_at(&server, &[]).await;
        assert_eq!(ended(&app).await, Ended::by_model(&["tool_not_offered"]));
        let asked = server.asked();
        let answer = asked[1]["messages"][3]["content"].as_str().unwrap();
        assert!(
            answer.contains("send_email"),
            "the known ones are named: {answer}"
        );
    }
}

#[tokio::test]
async fn quirk_14_seventy_identical_calls_come_in_one_reply() {
    for form in FORMS {
        let calls: Vec<Value> = (0..70)
            .map(|n| {
                let mut call = mail_call();
                call["id"] = format!("call_{n}").into();
                call
            })
            .collect();
        let server = giving(form, vec![calling(&calls.into())]).await;
        let app = decided_at(&server, &[]).await;
        assert_eq!(ended(&app).await, Ended::by_model(&[]), "{form:?}");
        let asked = server.asked();
        let replayed = asked[1]["messages"][2]["tool_calls"].as_array().unwrap();
        assert_eq!(replayed.len(), 16, "what is not looked at is not sent back");
    }
}

#[tokio::test]
async fn quirk_24_arguments_are_huge_deep_or_no_json() {
    let deep = format!("{{\"subject\": {}1{}}}", "[".repeat(200), "]".repeat(200));
    for form in FORMS {
        for arguments in [
            format!("{{\"subject\": \"{}\"}}", "x".repeat(1 << 20)),
            deep.clone(),
            "{\"subject\": NaN}".to_owned(),
            "{\"subject\": \"\\ud800\", \"body\": \"x\"}".to_owned(),
            "{\"subject\": \"a\", \"subject\": \"b\", \"body\": \"x\"}".to_owned(),
        ] {
            let bad = calling(&json!([call("send_email", &arguments.clone().into())]));
            let server = giving(form, vec![bad, calling(&json!([mail_call()]))]).await;
            let app = decided_at(&server, &[]).await;
            let short: String = arguments.chars().take(40).collect();
            let expected = Ended::by_model(&["invalid_arguments"]);
            assert_eq!(ended(&app).await, expected, "{form:?} {short}");
            let sent = server.asked()[1].to_string().len();
            assert!(sent < 100_000, "{sent} bytes were sent back");
        }
    }
}
