//! What an attempt that came to no reply means: whether another may come to something, and whom to ask then.
//!
//! A server's words decide here and go nowhere else: they may repeat what they were sent.

use std::borrow::Cow;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;

use crate::retry::retry_after;

/// The longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// The longest code that is shown.
const LONGEST_CODE: usize = 60;

/// An attempt that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(super) struct Failure {
    /// What follows.
    pub(super) then: Then,
    /// What happened, in our words.
    pub(super) reason: String,
    /// The status that it answered with, where it answered and that said failure.
    pub(super) status: Option<u16>,
    /// How long the server wants to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// No answer came in time.
    pub(super) is_timeout: bool,
}

/// What follows from a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Then {
    /// Another attempt may come to something: overload, a broken line, an answer that makes no sense.
    Again,
    /// It serves nobody for now: the key is wrong, the model is not there, the quota is spent.
    Leave,
    /// It takes requests, but not with this field.
    Without(&'static str),
    /// It will never answer this request.
    Never,
}

impl Failure {
    /// Whether the server failed in itself; some do so over one request, and will for ever.
    pub(super) fn is_internal(&self) -> bool {
        self.status == Some(500)
    }

    /// What it is called where failures are counted: one of a few words, or a status.
    pub(super) fn error_type(&self) -> Cow<'static, str> {
        match (self.status, &self.then) {
            (Some(status), _) => Cow::Owned(status.to_string()),
            (None, _) if self.is_timeout => Cow::Borrowed("timeout"),
            (None, Then::Again) => Cow::Borrowed("failed"),
            (None, Then::Leave) => Cow::Borrowed("unavailable"),
            (None, Then::Without(_) | Then::Never) => Cow::Borrowed("refused"),
        }
    }

    /// One of a server that let us wait for too long.
    pub(super) fn timeout(reason: impl Into<String>) -> Self {
        Self {
            is_timeout: true,
            ..Self::again(reason)
        }
    }

    /// One after which another attempt may come to something.
    pub(super) fn again(reason: impl Into<String>) -> Self {
        Self {
            then: Then::Again,
            reason: reason.into(),
            status: None,
            retry_after: None,
            is_timeout: false,
        }
    }

    /// What an answer other than 2xx means; `fields` are those of the request that a server may not know.
    pub(super) fn of_answer(
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
        fields: &[&'static str],
    ) -> Self {
        let said = Said::of(&serde_json::from_slice(body).unwrap_or_default());
        let then = match headers.get("x-should-retry").map(HeaderValue::as_bytes) {
            Some(b"true") => Then::Again,
            _ => said.then(status, fields),
        };
        Self {
            then,
            reason: match &said.code {
                Some(code) => format!("answered {status} ({code})"),
                None => format!("answered {status}"),
            },
            status: Some(status),
            retry_after: retry_after(headers, LONGEST_WAIT),
            is_timeout: false,
        }
    }

    /// What a body means that is an error although the status said success.
    pub(super) fn of_body(error: &Value, fields: &[&'static str]) -> Self {
        let said = Said::of(&serde_json::json!({ "error": error }));
        let status = said.status.unwrap_or(500);
        Self {
            then: said.then(status, fields),
            reason: match &said.code {
                Some(code) => format!("answered with an error ({code})"),
                None => "answered with an error".to_owned(),
            },
            status: None,
            retry_after: None,
            is_timeout: false,
        }
    }
}

/// What an error body says, in any of the shapes that servers use.
#[derive(Debug, Default)]
struct Said {
    /// A short word for it, fit to be shown.
    code: Option<String>,
    /// A status that stands in the body.
    status: Option<u16>,
    /// Everything it says, in lower case: to find words in, never to be shown.
    words: String,
}

impl Said {
    fn of(body: &Value) -> Self {
        // Some gateways answer with a list of one.
        let body = body.get(0).unwrap_or(body);
        let error = match body.get("error") {
            Some(Value::String(text)) => return Self::of_text(text),
            Some(error @ Value::Object(_)) => error,
            _ => body,
        };
        let text = |key: &str| error.get(key).and_then(Value::as_str);
        let number = error.get("code").or_else(|| error.get("status"));
        let mut words = String::new();
        for key in ["message", "detail", "param", "code", "type", "status"] {
            if let Some(found) = text(key) {
                words.push_str(&found.to_lowercase());
                words.push('\n');
            }
        }
        Self {
            code: ["code", "type", "status"]
                .into_iter()
                .filter_map(text)
                .find(|code| is_code(code))
                .map(str::to_owned),
            status: number
                .and_then(Value::as_u64)
                .and_then(|number| u16::try_from(number).ok())
                .filter(|status| (400..600).contains(status)),
            words,
        }
    }

    fn of_text(text: &str) -> Self {
        Self {
            words: text.to_lowercase(),
            ..Self::default()
        }
    }

    fn then(&self, status: u16, fields: &[&'static str]) -> Then {
        match status {
            400 | 422 => fields
                .iter()
                .find(|field| self.names(field))
                .map_or(Then::Never, |field| Then::Without(field)),
            // Money or a key is missing: no wait mends that, and every other run would hear the same. And a redirect would
            // take the key elsewhere.
            300..400 | 401..=404 => Then::Leave,
            429 if self.words.contains("insufficient_quota") => Then::Leave,
            408 | 409 | 425 | 429 | 499 | 500.. => Then::Again,
            _ => Then::Never,
        }
    }

    /// Whether a field is named as a whole word: `max_tokens` is not named by `max_completion_tokens`.
    fn names(&self, field: &str) -> bool {
        self.words
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .any(|word| word == field)
    }
}

fn is_code(text: &str) -> bool {
    (1..=LONGEST_CODE).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIELDS: [&str; 3] = ["strict", "parallel_tool_calls", "max_completion_tokens"];

    fn answer(status: u16, body: &Value) -> Failure {
        Failure::of_answer(
            status,
            &HeaderMap::new(),
            body.to_string().as_bytes(),
            &FIELDS,
        )
    }

    #[test]
    fn every_shape_of_error_is_understood() {
        let shapes = [
            json!({"error": {"message": "Unrecognized request argument: parallel_tool_calls", "type": "invalid_request_error", "param": null, "code": null}}),
            json!({"error": {"message": "bad", "param": "parallel_tool_calls", "code": 400}}),
            json!({"error": "unknown field `parallel_tool_calls`"}),
            json!({"detail": "extra inputs: parallel_tool_calls"}),
            json!({"object": "error", "message": "parallel_tool_calls: Extra inputs", "code": 400}),
            json!([{"error": {"code": 400, "message": "Unknown name \"parallel_tool_calls\"", "status": "INVALID_ARGUMENT"}}]),
        ];
        for shape in shapes {
            let found = answer(400, &shape).then;
            assert_eq!(found, Then::Without("parallel_tool_calls"), "{shape}");
        }
    }

    #[test]
    fn a_status_says_what_follows() {
        let says = |text: &str| json!({"error": {"message": text}});
        let cases = [
            (400, says("context too long"), Then::Never),
            (
                400,
                says("`strict` is not supported"),
                Then::Without("strict"),
            ),
            (400, says("be stricter"), Then::Never),
            (401, says("no such key"), Then::Leave),
            (404, says("no such model"), Then::Leave),
            (413, says("too large"), Then::Never),
            (429, says("slow down"), Then::Again),
            (
                429,
                json!({"error": {"code": "insufficient_quota"}}),
                Then::Leave,
            ),
            (307, json!({}), Then::Leave),
            (499, json!({}), Then::Again),
            (500, json!("<html>"), Then::Again),
            (502, json!(null), Then::Again),
            (529, json!({}), Then::Again),
        ];
        for (status, body, then) in cases {
            assert_eq!(answer(status, &body).then, then, "{status} {body}");
        }
    }

    #[test]
    fn a_failure_is_counted_under_one_of_a_few_words() {
        let counted = |failure: Failure| failure.error_type().into_owned();
        assert_eq!(counted(answer(429, &json!({}))), "429");
        assert_eq!(counted(Failure::timeout("no whole answer")), "timeout");
        assert_eq!(counted(Failure::again("the connection broke")), "failed");
        let of_body = |body: &Value| counted(Failure::of_body(body, &FIELDS));
        assert_eq!(of_body(&json!({"code": 402})), "unavailable");
        assert_eq!(of_body(&json!({"code": 400})), "refused");
    }

    #[test]
    fn a_servers_words_are_not_repeated() {
        let failure = answer(
            500,
            &json!({"error": {"message": "while reading jenny@example.com", "type": "server_error"}}),
        );
        assert_eq!(failure.to_string(), "answered 500 (server_error)");
        let failure = answer(500, &json!({"error": {"code": "jenny rosen wrote"}}));
        assert_eq!(failure.to_string(), "answered 500");
    }

    #[test]
    fn an_error_under_a_status_of_success_is_one() {
        let failure = Failure::of_body(&json!({"message": "overloaded", "code": 529}), &FIELDS);
        assert_eq!(failure.then, Then::Again);
        let failure = Failure::of_body(&json!({"message": "no credits", "code": 402}), &FIELDS);
        assert_eq!(failure.then, Then::Leave);
    }
}
