use serde_json::json;

use super::*;
use crate::agent::openai::error::Then;

/// A request that offers two tools, after one turn in which a call had the id `call_1`.
fn request() -> Request {
    let tools = ["send_email", "notify_sales"].map(|name| billhook_tools::find(name).unwrap());
    let call = Call {
        id: "call_1".to_owned(),
        name: "send_email".to_owned(),
        arguments: "{}".to_owned(),
    };
    Request {
        messages: vec![
            Message::User {
                content: "x".repeat(600),
            },
            Message::Assistant {
                content: String::new(),
                calls: vec![call],
            },
        ],
        tools: tools.iter().map(|tool| tool.contract()).collect(),
        owed: Vec::new(),
        deadline: None,
    }
}

fn of(body: &Value) -> Reply {
    read(body, &request(), &[]).unwrap()
}

fn of_message(message: &Value) -> Reply {
    of(&json!({ "choices": [{ "message": message }] }))
}

fn of_calls(calls: &Value) -> Vec<Call> {
    of_message(&json!({ "tool_calls": calls })).calls
}

#[test]
fn calls_count_whatever_the_finish_reason_says() {
    let call = json!({"id": "a", "type": "function", "function": {"name": "send_email", "arguments": "{}"}});
    for finish in [
        json!("stop"),
        json!("tool_calls"),
        json!("tool_call"),
        json!("eos"),
        json!("length"),
        json!(""),
        json!(null),
        json!(7),
    ] {
        let reply = of(&json!({
            "choices": [{"message": {"tool_calls": [call]}, "finish_reason": finish}],
        }));
        assert_eq!(reply.calls.len(), 1, "{finish}");
        assert_eq!(reply.finish, finish.as_str().unwrap_or_default());
    }
}

#[test]
fn what_may_be_missing_may_be_missing() {
    for message in [
        json!({"content": null}),
        json!({"content": ""}),
        json!({"content": []}),
        json!({"tool_calls": null, "reasoning_content": "Hm."}),
        json!({"tool_calls": []}),
        json!({}),
        json!(null),
        json!("Hello"),
    ] {
        let reply = of_message(&message);
        assert_eq!(
            (reply.content, reply.calls),
            (None, Vec::new()),
            "{message}"
        );
    }
    assert_eq!(of(&json!({"choices": []})).calls, Vec::new());
    assert_eq!(of(&json!({"choices": [{}]})).content, None);
}

#[test]
fn content_comes_as_a_text_or_in_parts() {
    let parts =
        json!({"content": [{"type": "text", "text": "Good"}, "bye", {"type": "image_url"}]});
    assert_eq!(of_message(&parts).content.as_deref(), Some("Goodbye"));
}

#[test]
fn ids_are_the_servers_where_they_can_be() {
    let function = json!({"name": "send_email", "arguments": "{}"});
    let calls = of_calls(&json!([
        {"id": "a", "function": function},
        {"id": "a", "function": function},
        {"id": "call_1", "function": function},
        {"id": null, "function": function},
        {"id": " ", "function": function},
        {"id": 7, "function": function},
        {"id": "c2_6", "function": function},
        {"function": function},
    ]));
    let ids: Vec<&str> = calls.iter().map(|call| call.id.as_str()).collect();
    // The second turn, each by its place; one that was given already is given once.
    assert_eq!(
        ids,
        ["a", "c2_1", "c2_2", "c2_3", "c2_4", "c2_5", "c2_6", "c2_7"]
    );
}

#[test]
fn a_prefix_is_taken_off_the_name_of_a_tool_on_offer_alone() {
    let named = |name: &str| json!({"function": {"name": name, "arguments": {}}});
    let calls = of_calls(&json!([
        named("functions.send_email"),
        named("default_api.notify_sales"),
        named("functions.send_money"),
        named("send_email"),
        named("send_email.now"),
        {"function": {}},
    ]));
    let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
    let expected = [
        "send_email",
        "notify_sales",
        "functions.send_money",
        "send_email",
        "send_email.now",
        "",
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_call_that_is_written_as_text_is_text() {
    let text = r#"<tool_call>{"name": "send_email", "arguments": {}}</tool_call>"#;
    let reply = of_message(&json!({"content": text}));
    assert_eq!(reply.content.as_deref(), Some(text));
    assert!(reply.calls.is_empty());
}

#[test]
fn a_refusal_leaves_no_call() {
    let call = json!({"id": "a", "function": {"name": "send_email", "arguments": "{}"}});
    let reply = of_message(&json!({"refusal": "I cannot help.", "tool_calls": [call]}));
    assert_eq!(reply.refusal.as_deref(), Some("I cannot help."));
    assert!(reply.calls.is_empty());
    let filtered = of(&json!({
        "choices": [{"message": {"tool_calls": [call]}, "finish_reason": "content_filter"}],
    }));
    assert_eq!(filtered.refusal.as_deref(), Some("content_filter"));
    assert!(filtered.calls.is_empty());
}

#[test]
fn tokens_are_those_that_were_counted_else_an_estimate() {
    let counted = of(&json!({
        "choices": [],
        "usage": {
            "prompt_tokens": 900,
            "completion_tokens": 80,
            "prompt_tokens_details": {"cached_tokens": 512},
            "completion_tokens_details": {"reasoning_tokens": 40},
        },
        "service_tier": "on_demand",
    }));
    let expected = Usage {
        input_tokens: 900,
        output_tokens: 80,
        cached_tokens: 512,
        reasoning_tokens: 40,
        estimated: false,
    };
    assert_eq!(counted.usage, expected);
    for usage in [
        json!(null),
        json!({}),
        json!({"prompt_tokens": 0, "completion_tokens": 0}),
        json!({"prompt_tokens": "many"}),
    ] {
        let reply = of(&json!({
            "choices": [{"message": {"content": "twelve bytes"}}],
            "usage": usage,
        }));
        assert!(reply.usage.estimated, "{usage}");
        assert!(reply.usage.input_tokens > 200, "{usage}");
        assert_eq!(reply.usage.output_tokens, 4);
    }
}

#[test]
fn what_is_no_completion_is_no_reply() {
    for body in [json!(null), json!([]), json!("<html>"), json!({"id": "x"})] {
        let failure = read(&body, &request(), &[]).unwrap_err();
        assert_eq!(failure.then, Then::Again, "{body}");
    }
    let body = json!({"error": {"message": "overloaded"}, "choices": []});
    assert_eq!(read(&body, &request(), &[]).unwrap_err().then, Then::Again);
    let body = json!({"error": null, "choices": []});
    assert!(read(&body, &request(), &[]).is_ok());
}
