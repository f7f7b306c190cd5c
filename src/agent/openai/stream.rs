//! A stream of chunks, put together to the completion that it is a stream of. Pure.
//!
//! Some servers stream although nobody asked, so every answer may be one. Which call a chunk goes on with is told by
//! what it repeats: servers reuse an index for the next call, or give one call a new id in every chunk.

use eventsource_stream::Eventsource as _;
use futures::{StreamExt as _, stream};
use serde_json::{Map, Value, json};

use super::arguments::is_object;
use super::error::Failure;
use super::reply::MOST_CALLS;

/// The completion that a whole stream comes to; without an end mark, what came so far.
pub(super) async fn assemble(body: &[u8]) -> Result<Value, Failure> {
    // An event counts once an empty line ends it, and a line that broke may have ended without.
    let chunks = [body, b"\n\n"].map(Ok::<_, std::convert::Infallible>);
    let mut events = stream::iter(chunks).eventsource();
    let mut whole = Whole::default();
    while let Some(event) = events.next().await {
        let Ok(event) = event else {
            return Err(Failure::again("answered a stream that is no text"));
        };
        let data = event.data.trim();
        if data == "[DONE]" {
            break;
        }
        let Ok(chunk) = serde_json::from_str::<Value>(data) else {
            return Err(Failure::again(
                "answered a stream of something that is no JSON",
            ));
        };
        if event.event == "error" && chunk.get("error").is_none() {
            return Ok(json!({ "error": chunk }));
        }
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            return Ok(chunk);
        }
        whole.add(&chunk);
    }
    Ok(whole.completion())
}

#[derive(Default)]
struct Whole {
    chunks: usize,
    content: String,
    refusal: String,
    calls: Vec<Part>,
    finish: Value,
    usage: Value,
    id: Value,
    model: Value,
}

/// A call as far as it came.
struct Part {
    index: u64,
    id: String,
    name: String,
    arguments: String,
}

impl Whole {
    fn add(&mut self, chunk: &Value) {
        if let Some(usage) = chunk.get("usage").filter(|usage| usage.is_object()) {
            self.usage = usage.clone();
        }
        for (known, key) in [(&mut self.id, "id"), (&mut self.model, "model")] {
            if known.is_null() {
                *known = chunk.get(key).cloned().unwrap_or_default();
            }
        }
        // Some servers begin with a chunk that has no choice, and end with one.
        let Some(choice) = chunk.pointer("/choices/0") else {
            return;
        };
        self.chunks += 1;
        if let Some(finish) = choice.get("finish_reason").filter(|f| f.is_string()) {
            self.finish = finish.clone();
        }
        let Some(delta) = choice.get("delta").or_else(|| choice.get("message")) else {
            return;
        };
        let text = |key: &str| delta.get(key).and_then(Value::as_str).unwrap_or_default();
        self.content.push_str(text("content"));
        self.refusal.push_str(text("refusal"));
        let calls = delta.get("tool_calls").and_then(Value::as_array);
        for (at, call) in calls.into_iter().flatten().enumerate() {
            self.add_call(at as u64, call);
        }
    }

    fn add_call(&mut self, at: u64, call: &Value) {
        let index = call.get("index").and_then(Value::as_u64).unwrap_or(at);
        let function = call.get("function").unwrap_or(&Value::Null);
        let text = |value: &Value, key: &str| {
            let text = value.get(key).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let (id, name) = (text(call, "id"), text(function, "name"));
        let arguments = match function.get("arguments") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        };
        let is_full = self.calls.len() >= MOST_CALLS;
        let last = self.calls.iter_mut().rfind(|part| part.index == index);
        match last.filter(|part| !part.is_followed_by(&id, &name)) {
            Some(part) => {
                if part.name.is_empty() {
                    part.name = name;
                }
                part.arguments.push_str(&arguments);
            }
            None if !is_full => self.calls.push(Part {
                index,
                id,
                name,
                arguments,
            }),
            None => {}
        }
    }

    fn completion(self) -> Value {
        // A stream that says nothing at all is no completion.
        if self.chunks == 0 {
            return Value::Null;
        }
        let mut message = Map::new();
        message.insert("content".to_owned(), self.content.into());
        message.insert("refusal".to_owned(), self.refusal.into());
        let calls = self.calls.into_iter().map(|part| {
            json!({ "id": part.id, "function": { "name": part.name, "arguments": part.arguments } })
        });
        message.insert("tool_calls".to_owned(), calls.collect());
        json!({
            "id": self.id,
            "model": self.model,
            "choices": [{ "message": message, "finish_reason": self.finish }],
            "usage": self.usage,
        })
    }
}

impl Part {
    /// Whether a chunk of the same index begins the next call instead of going on with this one.
    fn is_followed_by(&self, id: &str, name: &str) -> bool {
        let other_id = !id.is_empty() && id != self.id;
        if !self.name.is_empty() && !name.is_empty() && name != self.name {
            return true;
        }
        // A new id in every chunk is one call, until that call is whole.
        (other_id || !name.is_empty()) && is_object(&self.arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(chunks: &[Value]) -> String {
        let lines: Vec<String> = chunks.iter().map(|c| format!("data: {c}\n\n")).collect();
        lines.concat()
    }

    fn calls(deltas: &[Value]) -> Vec<Value> {
        deltas
            .iter()
            .map(|call| json!({"choices": [{"delta": {"tool_calls": [call]}}]}))
            .collect()
    }

    async fn made(chunks: &[Value]) -> Value {
        assemble(body(chunks).as_bytes()).await.unwrap()
    }

    async fn called(deltas: &[Value]) -> Vec<(String, String)> {
        let whole = made(&calls(deltas)).await;
        let calls = whole.pointer("/choices/0/message/tool_calls").unwrap();
        let calls = calls.as_array().unwrap().iter();
        calls
            .map(|call| {
                let text = |key: &str| call["function"][key].as_str().unwrap().to_owned();
                (text("name"), text("arguments"))
            })
            .collect()
    }

    fn pair(name: &str, arguments: &str) -> (String, String) {
        (name.to_owned(), arguments.to_owned())
    }

    #[tokio::test]
    async fn calls_are_put_together_from_their_pieces() {
        let found = called(&[
            json!({"index": 0, "id": "a", "function": {"name": "send_email", "arguments": ""}}),
            json!({"index": 0, "function": {"arguments": "{\"sub"}}),
            json!({"index": 1, "id": "b", "function": {"name": "notify_sales", "arguments": "{"}}),
            json!({"index": 0, "function": {"arguments": "ject\":1}"}}),
            json!({"index": 1, "function": {"arguments": "}"}}),
        ])
        .await;
        let expected = [
            pair("send_email", "{\"subject\":1}"),
            pair("notify_sales", "{}"),
        ];
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn calls_that_all_have_index_zero_are_told_apart() {
        let found = called(&[
            json!({"index": 0, "id": "a", "function": {"name": "send_email", "arguments": "{}"}}),
            json!({"index": 0, "id": "b", "function": {"name": "send_email", "arguments": "{"}}),
            json!({"index": 0, "id": "b", "function": {"arguments": "}"}}),
            json!({"index": 0, "id": "c", "function": {"name": "notify_sales", "arguments": {"x": 1}}}),
        ])
        .await;
        let expected = [
            pair("send_email", "{}"),
            pair("send_email", "{}"),
            pair("notify_sales", "{\"x\":1}"),
        ];
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn a_new_id_in_every_chunk_is_one_call() {
        let found = called(&[
            json!({"index": 0, "id": "a", "function": {"name": "send_email", "arguments": ""}}),
            json!({"index": 0, "id": "b", "function": {"name": "send_email", "arguments": "{\"a\""}}),
            json!({"id": "c", "function": {"arguments": ":1}"}}),
        ])
        .await;
        assert_eq!(found, [pair("send_email", "{\"a\":1}")]);
    }

    #[tokio::test]
    async fn comments_chunks_without_choices_and_a_missing_end_are_fine() {
        let text = format!(
            ": keep-alive\n\ndata: {}\n\n: keep-alive\n\ndata: {}\n\ndata: {}",
            json!({"choices": [], "prompt_filter_results": []}),
            json!({"choices": [{"delta": {"content": "Good"}, "finish_reason": null}]}),
            json!({"choices": [{"delta": {"content": "bye"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}}),
        );
        let whole = assemble(text.as_bytes()).await.unwrap();
        assert_eq!(whole["choices"][0]["message"]["content"], "Goodbye");
        assert_eq!(whole["choices"][0]["finish_reason"], "stop");
        assert_eq!(whole["usage"]["prompt_tokens"], 3);
    }

    #[tokio::test]
    async fn errors_inside_a_stream_are_errors() {
        let chunk = json!({"choices": [{"delta": {"content": "Hel"}}]});
        let error = json!({"message": "overloaded", "code": 529});
        let text = format!("data: {chunk}\n\nevent: error\ndata: {error}\n\n");
        let whole = assemble(text.as_bytes()).await.unwrap();
        assert_eq!(whole["error"]["code"], 529);
        let whole = made(&[chunk, json!({"error": {"message": "overloaded"}})]).await;
        assert_eq!(whole["error"]["message"], "overloaded");
        assert_eq!(made(&[]).await, Value::Null);
        assert!(assemble(b"data: {\"choices\": [\n\n").await.is_err());
    }
}
