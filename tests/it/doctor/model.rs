//! What `doctor` says of the model's servers: asked as cheaply as can be, and without a word of the key.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio_util::sync::DropGuard;

use super::rows;
use crate::support::listen::listen;
use crate::support::model_server::completion;
use crate::support::place::Place;

/// What a path answers.
#[derive(Clone)]
enum Answer {
    /// A status and a body.
    Json(u16, Value),
    /// It takes the request and never answers.
    Silence,
}

/// A model's server that answers the two questions as it is told to, and keeps which it was asked.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<&'static str>>>,
    _stop: DropGuard,
}

impl Server {
    async fn start(models: Answer, completions: Answer) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let route = |name: &'static str, answer: Answer| {
            let asked = asked.clone();
            move || async move {
                asked.lock().unwrap().push(name);
                match answer {
                    Answer::Json(status, body) => respond(status, &body),
                    Answer::Silence => std::future::pending().await,
                }
            }
        };
        let app = Router::new()
            .route("/v1/models", get(route("models", models)))
            .route(
                "/v1/chat/completions",
                post(route("completions", completions)),
            );
        let (address, stop) = listen(app).await;
        Self {
            url: format!("http://{address}/v1"),
            asked,
            _stop: stop,
        }
    }
}

fn respond(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, Body::from(body.to_string())).into_response()
}

fn listing(names: &[&str]) -> Answer {
    let models: Vec<Value> = names.iter().map(|id| json!({ "id": id })).collect();
    Answer::Json(200, json!({ "object": "list", "data": models }))
}

fn ok() -> Answer {
    let said = completion(&json!({ "content": "ok" }), &json!("stop"));
    Answer::Json(200, said)
}

fn refused(status: u16) -> Answer {
    let words = json!({ "error": { "message": "hunter2 is no key of ada@example.com" } });
    Answer::Json(status, words)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_answer_of_a_models_server_has_a_next_step() {
    let cases = [
        (
            listing(&["other", "vendor/m-1"]),
            refused(500),
            "ok      model endpoint: m-1 at `first`: in its list of models (GET /models) > -",
            1,
        ),
        // Many servers have no list, or one that is not complete.
        (
            refused(404),
            ok(),
            "ok      model endpoint: m-1 at `first`: it answered a question of a few tokens (POST /chat/completions) > -",
            2,
        ),
        (
            listing(&["m-10", "m-1-mini"]),
            refused(404),
            "failed  model endpoint: m-1 at `first`: it has no such model, or nothing is at its address (404) > correct \
             OPENAI_MODEL, or OPENAI_BASE_URL: at most servers the address ends in /v1",
            2,
        ),
        (
            refused(401),
            ok(),
            "failed  model endpoint: m-1 at `first`: the key is not taken (401) > set OPENAI_API_KEY to a key that may use this model",
            1,
        ),
        (
            refused(404),
            refused(403),
            "failed  model endpoint: m-1 at `first`: the key may not use this model (403) > set OPENAI_API_KEY",
            2,
        ),
        // A restricted key may be kept from the list alone.
        (
            refused(403),
            ok(),
            "ok      model endpoint: m-1 at `first`: it answered a question of a few tokens (POST /chat/completions) > -",
            2,
        ),
        (
            refused(403),
            refused(403),
            "failed  model endpoint: m-1 at `first`: the key may not use this model (403) > set OPENAI_API_KEY",
            2,
        ),
        (
            refused(404),
            refused(402),
            "warning model endpoint: m-1 at `first`: answered 402 > look after the account",
            2,
        ),
        (
            refused(404),
            refused(529),
            "warning model endpoint: m-1 at `first`: answered 529 > check OPENAI_BASE_URL",
            2,
        ),
        (
            Answer::Silence,
            Answer::Silence,
            "warning model endpoint: m-1 at `first`: no whole answer within 300ms > check OPENAI_BASE_URL",
            2,
        ),
    ];
    for (models, completions, expected, asked) in cases {
        let server = Server::start(models, completions).await;
        let mut place = Place::sqlite();
        place.set("OPENAI_BASE_URL", server.url.clone());
        place.set("OPENAI_API_KEY", "hunter2");
        place.set("OPENAI_MODEL", "m-1");
        place.set("BILLHOOK__MODEL__ATTEMPT_TIMEOUT", "300ms");
        let (_, told) = rows(&place).await;
        assert!(told.contains(expected), "{expected}\n{told}");
        assert!(
            !told.contains("hunter2") && !told.contains("ada@"),
            "{told}"
        );
        assert_eq!(server.asked.lock().unwrap().len(), asked, "{expected}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_endpoint_is_asked_and_a_budget_that_cannot_be_counted_is_refused() {
    let first = Server::start(listing(&["m-1"]), ok()).await;
    let mut place = Place::sqlite();
    for (name, value) in [
        ("OPENAI_BASE_URL", first.url.as_str()),
        ("OPENAI_MODEL", "m-1"),
        // Nobody listens there.
        (
            "BILLHOOK__MODEL__ENDPOINTS__SPARE__BASE_URL",
            "http://127.0.0.1:1/v1",
        ),
        ("BILLHOOK__MODEL__ENDPOINTS__SPARE__NAME", "m-2"),
        ("BILLHOOK__MODEL__FALLBACKS", "spare"),
    ] {
        place.set(name, value);
    }
    let migrated = place.run(place.command(&["migrate"])).await;
    assert_eq!(migrated.0, Some(0), "{}", migrated.1);
    let (_, told) = rows(&place).await;
    for line in [
        "ok      model endpoint: m-1 at `first`: in its list",
        "warning model endpoint: m-2 at `spare`: cannot be reached > check model.endpoints.spare.base_url",
        "ok      decisions: by the model; today 0 of model.budgets.tokens_per_day = 100000000 > -",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
    place.set("BILLHOOK__MODEL__BUDGETS__COST_PER_DAY", "20");
    place.set("BILLHOOK__MODEL__PRICES__M-1__INPUT", "1");
    place.set("BILLHOOK__MODEL__PRICES__M-1__OUTPUT", "2");
    let refused = place.run(place.command(&["doctor"])).await;
    assert_eq!(refused.0, Some(2), "{}", refused.1);
    let said = "nobody knows what the model `m-2` costs: write [model.prices.\"m-2\"]";
    assert!(refused.1.contains(said), "{}", refused.1);
    place.set("BILLHOOK__MODEL__PRICES__M__INPUT", "1");
    place.set("BILLHOOK__MODEL__PRICES__M__OUTPUT", "2");
    let (_, told) = rows(&place).await;
    assert!(
        told.contains("today 0 of model.budgets.cost_per_day = 20 > -"),
        "{told}"
    );
}
