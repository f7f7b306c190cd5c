mod lists;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::json;
use tokio_util::task::TaskTracker;

use super::*;
use crate::config::Config;

const KEY: &str = "rk_test_51Hsecretsecret";

/// Status, headers and body.
type Canned = (u16, Vec<(&'static str, String)>, Vec<u8>);

/// A server that gives its answers in order, the last one for ever, and keeps what it was asked.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Canned>>>,
    asked: Arc<Mutex<Vec<(String, HeaderMap)>>>,
}

impl Script {
    fn then(self, status: u16, headers: &[(&'static str, &str)], body: &impl ToString) -> Self {
        let headers = headers.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
        let answer = (status, headers, body.to_string().into_bytes());
        self.answers.lock().unwrap().push_back(answer);
        self
    }

    fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(path, _)| path.clone()).collect()
    }

    async fn serve(&self) -> StripeApi {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(self.clone());
        TaskTracker::new().spawn(async move { axum::serve(listener, app).await.unwrap() });
        client(&base, KEY, &[])
    }
}

async fn answer(State(script): State<Script>, request: Request) -> Response {
    let path = request.uri().to_string();
    let headers = request.headers().clone();
    script.asked.lock().unwrap().push((path, headers));
    let mut answers = script.answers.lock().unwrap();
    let (status, headers, body) = if answers.len() > 1 {
        answers.pop_front().unwrap()
    } else {
        answers.front().unwrap().clone()
    };
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Body::from(body)).unwrap()
}

/// A client whose pauses are short, so that only what Stripe asks for takes time.
fn client(base: &str, key: &str, settings: &[(&str, &str)]) -> StripeApi {
    let env = [("STRIPE_API_BASE", base), ("STRIPE_SECRET_KEY", key)]
        .iter()
        .chain(settings)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let config = Config::from_layers(None, &env).unwrap();
    let tries = RetryPolicy {
        base: Duration::from_millis(1),
        ..TRIES
    };
    StripeApi::with_tries(&config.stripe, tries)
        .unwrap()
        .unwrap()
}

async fn refusal(status: u16, body: Value) -> ApiError {
    let api = Script::default().then(status, &[], &body).serve().await;
    let answer = api.get("/v1/customers/cus_1", &[], &Scope::default()).await;
    answer.unwrap_err()
}

#[tokio::test]
async fn an_answer_comes_with_its_date_and_version() {
    let script = Script::default().then(
        200,
        &[
            ("date", "Fri, 15 Jan 2027 08:00:00 GMT"),
            ("stripe-version", "2025-09-30.clover"),
        ],
        &json!({"id": "cus_1", "name": "a\u{0}b"}),
    );
    let api = script.serve().await;
    let scope = Scope {
        account: Some("acct_1"),
        context: None,
        trigger: Some("evt_1"),
    };
    let fetched = api.get("/v1/customers/cus_1", &[("expand[]", "tax")], &scope);
    let fetched = fetched.await.unwrap();
    assert_eq!(fetched.body, json!({"id": "cus_1", "name": "ab"}));
    assert_eq!(fetched.date, Some(Timestamp::from_seconds(1_800_000_000)));
    assert_eq!(fetched.version.as_deref(), Some("2025-09-30.clover"));
    let (path, headers) = script.asked.lock().unwrap()[0].clone();
    assert_eq!(path, "/v1/customers/cus_1?expand%5B%5D=tax");
    assert_eq!(headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(headers["stripe-account"], "acct_1");
    assert_eq!(headers["stripe-request-trigger"], "event=evt_1");
    // The account's own version: one of ours would change the shapes that its webhooks have.
    assert!(!headers.contains_key("stripe-version") && !headers.contains_key("stripe-context"));
}

#[tokio::test]
async fn a_v2_path_names_a_version_and_its_context() {
    let script = Script::default().then(200, &[], &json!({}));
    let api = script.serve().await;
    let scope = Scope {
        context: Some("acct_1/acct_2"),
        ..Scope::default()
    };
    api.get("/v2/core/events/evt_1", &[], &scope).await.unwrap();
    let (_, headers) = script.asked.lock().unwrap()[0].clone();
    assert_eq!(headers["stripe-version"], V2_VERSION);
    assert_eq!(headers["stripe-context"], "acct_1/acct_2");
}

#[tokio::test]
async fn what_is_busy_is_asked_again_and_what_is_wrong_is_not() {
    for (status, headers, tries) in [
        (429, vec![], 3),
        (429, vec![("retry-after", "0")], 3),
        (429, vec![("retry-after", "soon")], 3),
        (500, vec![], 3),
        (503, vec![], 3),
        (409, vec![], 3),
        (400, vec![("stripe-should-retry", "true")], 3),
        (500, vec![("stripe-should-retry", "false")], 1),
        (400, vec![], 1),
        (401, vec![], 1),
        (402, vec![], 1),
        (404, vec![], 1),
    ] {
        let script = Script::default()
            .then(status, &headers, &"oops")
            .then(status, &headers, &"oops")
            .then(200, &[], &json!({"ok": true}));
        let api = script.serve().await;
        let answer = api.get("/v1/events", &[], &Scope::default()).await;
        assert_eq!(script.asked().len(), tries, "{status} {headers:?}");
        assert_eq!(answer.is_ok(), tries > 1, "{status} {headers:?}");
    }
}

#[tokio::test]
async fn nobody_is_asked_for_ever() {
    let script = Script::default().then(503, &[], &"");
    let api = script.serve().await;
    let error = api.get("/v1/events", &[], &Scope::default()).await;
    let error = error.unwrap_err();
    assert!(error.is_passing(), "{error}");
    assert_eq!(
        error.to_string(),
        "Stripe's API answered 503; it is tried again later"
    );
    assert_eq!(script.asked().len(), 5);
}

#[tokio::test]
async fn a_wish_to_wait_is_bounded_and_one_beyond_the_deadline_ends_it() {
    let script = Script::default().then(429, &[("retry-after", "86400")], &"");
    let slow = script.serve().await;
    // The longest wait that is granted is a minute, and the deadline comes first.
    let api = client(
        slow.inner.base.as_str(),
        KEY,
        &[("BILLHOOK__STRIPE__API_DEADLINE", "30s")],
    );
    let error = api.get("/v1/events", &[], &Scope::default()).await;
    let Err(ApiError::Limited { retry_after }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(retry_after, Some(Duration::from_mins(1)));
    assert_eq!(script.asked().len(), 1);
}

#[tokio::test]
async fn refusals_name_what_is_missing_and_no_key() {
    let error = refusal(
        403,
        json!({"error": {"type": "invalid_request_error", "message": format!(
            "The provided key '{KEY}' does not have the required permissions for this endpoint on account 'acct_1'. Having the 'rak_event_read' permission would allow this request to continue."
        )}}),
    )
    .await;
    assert_eq!(
        error.to_string(),
        "the API key lacks the permission rak_event_read (\"Events: Read\"): give it to the restricted key at Dashboard > Developers > API keys"
    );
    let error = refusal(
        401,
        json!({"error": {"message": format!("Invalid API Key provided: {KEY}")}}),
    )
    .await;
    assert!(matches!(
        error,
        ApiError::Denied {
            status: 401,
            permission: None,
            ..
        }
    ));
    assert!(!format!("{error} {error:?}").contains("secretsecret"));
    let error = refusal(403, json!({"error": {"code": "account_invalid"}})).await;
    assert!(
        matches!(&error, ApiError::Denied { code: Some(code), .. } if code == "account_invalid")
    );
    let error = refusal(
        400,
        json!({"error": {"code": "parameter_invalid_integer", "param": "created[gte]", "message": "prose"}}),
    )
    .await;
    assert_eq!(
        error.to_string(),
        "Stripe answered 400 (parameter_invalid_integer, created[gte]), and would again: look up request (no id) in Workbench > Logs"
    );
}

#[tokio::test]
async fn what_is_gone_is_told_from_what_is_no_api() {
    let missing = |param: &str| json!({"error": {"code": "resource_missing", "param": param}});
    for (status, body) in [
        (404, missing("id")),
        (404, json!({"error": {"code": "not_found"}})),
        (400, missing("customer")),
    ] {
        assert!(
            matches!(refusal(status, body).await, ApiError::Gone),
            "{status}"
        );
    }
    // A cursor that Stripe does not know any more says nothing about what is listed.
    for (status, body) in [
        (400, missing("starting_after")),
        (400, missing("ending_before")),
        (404, missing("starting_after")),
        (404, json!("<html>not found</html>")),
    ] {
        let error = refusal(status, body).await;
        assert!(
            matches!(error, ApiError::Refused { .. }),
            "{status}: {error}"
        );
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Script::default().then(200, &[], &json!({"stolen": true}));
    let elsewhere = target.serve().await;
    let to = format!("{}v1/events", elsewhere.inner.base);
    let script = Script::default().then(307, &[("location", to.as_str())], &"");
    let error = script.serve().await;
    let error = error.get("/v1/events", &[], &Scope::default()).await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "Stripe's API answered with a redirect (307), which is not followed because the key would go along: check `stripe.api_base`, and what stands between"
    );
    assert!(target.asked().is_empty());
}

#[tokio::test]
async fn answers_are_bounded_and_have_to_be_json() {
    let huge = format!("\"{}\"", "x".repeat(answer::MAX_BODY));
    let api = Script::default().then(200, &[], &huge).serve().await;
    let error = api.get("/v1/events", &[], &Scope::default()).await;
    assert!(matches!(error, Err(ApiError::TooLarge)), "{error:?}");
    let deep = "[".repeat(100_000);
    for body in ["<html>", "", "{\"id\":", deep.as_str()] {
        let api = Script::default().then(200, &[], &body).serve().await;
        let error = api.get("/v1/events", &[], &Scope::default()).await;
        assert!(matches!(error, Err(ApiError::NotJson(_))), "{error:?}");
    }
}

#[tokio::test]
async fn what_would_break_a_header_is_not_sent() {
    let script = Script::default().then(200, &[], &json!({}));
    let api = script.serve().await;
    let scope = Scope::of_account(Some("acct_1\r\nHost: evil.example"));
    let error = api.get("/v1/events", &[], &scope).await.unwrap_err();
    assert!(matches!(
        error,
        ApiError::BadScope {
            header: "stripe-account"
        }
    ));
    assert!(script.asked().is_empty());
}

#[tokio::test]
async fn silence_is_unavailable_and_names_no_key() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://user:pass@{}", listener.local_addr().unwrap());
    let api = client(&base, KEY, &[("BILLHOOK__STRIPE__API_DEADLINE", "50ms")]);
    let error = api.get("/v1/events", &[], &Scope::default()).await;
    let error = error.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Stripe's API did not answer within `stripe.api_deadline`; it is tried again later"
    );
    drop(listener);
    let api = client(&base, KEY, &[]);
    let error = api.get("/v1/events", &[], &Scope::default()).await;
    let error = error.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Stripe's API cannot be reached; it is tried again later"
    );
    let shown = format!("{error:?} {api:?}");
    assert!(!shown.contains("secretsecret"), "{shown}");
    assert!(!format!("{error:?}").contains("pass"), "{error:?}");
}

#[test]
fn a_key_says_which_mode_it_is_for() {
    for (key, mode) in [
        ("sk_test_1", Some(false)),
        ("rk_test_1", Some(false)),
        ("sk_live_1", Some(true)),
        ("rk_live_1", Some(true)),
        ("sk_org_live_1", Some(true)),
        ("sk_org_test_1", Some(false)),
        ("pk_live_1", None),
        ("live_1", None),
        ("whsec_1", None),
    ] {
        assert_eq!(
            client("http://127.0.0.1:1", key, &[]).livemode(),
            mode,
            "{key}"
        );
    }
    let config = Config::defaults().unwrap();
    assert!(StripeApi::new(&config.stripe).unwrap().is_none());
}
